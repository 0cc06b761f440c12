//! What the tests stand on: a Postgres of their own, a database for each, the server in this process, the binary.
#![allow(dead_code, reason = "each test uses the part that it needs")]

pub(crate) mod nginx_proxy;
pub(crate) mod raw_http;
pub(crate) mod redis;
pub(crate) mod restarted_server;
pub(crate) mod scripted_server;
pub(crate) mod slow_link;

use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rowcast::app::{App, AppError};
use rowcast::cluster::{Cluster, Search, find};
use rowcast::config::{Secret, ServerConfig, Source};
use rowcast::db::{Connector, DatabaseUrl, migrate};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

/// A secret for HS256, as long as it must be.
pub(crate) const JWT_SECRET: &str = "0123456789abcdef0123456789abcdef";
/// How long a test waits for what must happen; only a failing test waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Free memory from which on clusters are kept there: more than all tests together need at any moment.
const ROOM: u64 = 4 << 30;

/// The cluster of this run: `TEST_DATABASE_URL`, or one that is started at the first need and ends with this process.
struct Shared {
    admin_url: String,
    template: String,
    _keeper: Option<Child>,
}

static SHARED: OnceLock<Shared> = OnceLock::new();
static COUNTER: AtomicUsize = AtomicUsize::new(0);

async fn shared() -> &'static Shared {
    match SHARED.get() {
        Some(shared) => shared,
        None => tokio::task::spawn_blocking(|| SHARED.get_or_init(start)).await.unwrap(),
    }
}

fn start() -> Shared {
    let (admin_url, keeper) = match std::env::var("TEST_DATABASE_URL") {
        Ok(url) => (url, None),
        Err(_) => {
            let (url, keeper) = throwaway_cluster();
            (url, Some(keeper))
        }
    };
    let template = unique("template");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        connect(&admin_url).await.batch_execute(&format!("create database {template}")).await.unwrap();
        migrate(&with_database(&admin_url, &template)).await;
    });
    Shared { admin_url, template, _keeper: keeper }
}

/// A cluster in a temporary folder. A shell that waits for the end of this process, whatever ends it, stops the server
/// and removes the folder: it reads from a pipe whose other end only this process holds.
fn throwaway_cluster() -> (String, Child) {
    let folder = quick_folder("rowcast-test-").keep();
    let bins = find(&Search::from_env(&folder)).unwrap();
    let settings =
        [("fsync", "off"), ("full_page_writes", "off"), ("max_connections", "300"), ("max_wal_size", "256MB")];
    let cluster = Cluster::open_with(&folder, &bins, &settings).unwrap();
    let (url, pid) = (cluster.url(), cluster.pid());
    cluster.leave_running();
    let script = format!(
        "cat >/dev/null; kill -INT {pid}; while kill -0 {pid} 2>/dev/null; do sleep 0.05; done; rm -rf '{}'",
        folder.display()
    );
    let keeper = Command::new("/bin/sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (url, keeper)
}

/// A folder for a cluster, which Postgres may enter: in memory where there is room, since a database is some 600 files,
/// which cost a disk more than everything else that a test does.
pub(crate) fn quick_folder(prefix: &str) -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let roomy = nix::sys::statvfs::statvfs(memory)
        .is_ok_and(|room| room.blocks_available().saturating_mul(room.fragment_size()) >= ROOM);
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix(prefix);
    // A container may have the folder and no right to write there.
    let in_memory = if roomy { builder.tempdir_in(memory).ok() } else { None };
    let folder = in_memory.unwrap_or_else(|| builder.tempdir().unwrap());
    make_enterable(folder.path());
    folder
}

/// Postgres may run as another user than the tests do.
pub(crate) fn make_enterable(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn unique(what: &str) -> String {
    format!("rc_{what}_{}_{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

fn with_database(url: &str, name: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    let (server, _) = base.rsplit_once('/').unwrap();
    query.map_or_else(|| format!("{server}/{name}"), |query| format!("{server}/{name}?{query}"))
}

/// A database that one test has for itself. It is dropped with this.
#[derive(Debug)]
pub(crate) struct TestDb {
    /// How to reach it as its owner.
    pub(crate) url: String,
    /// Its name.
    pub(crate) name: String,
    admin_url: String,
}

impl TestDb {
    /// A connection of its own.
    pub(crate) async fn client(&self) -> Client {
        connect(&self.url).await
    }

    /// A login that has no right here but to connect.
    pub(crate) async fn stranger(&self) -> Client {
        let name = format!("stranger_{}", uuid::Uuid::new_v4().simple());
        self.client().await.batch_execute(&format!("create role {name} login password 'x'")).await.unwrap();
        connect(&self.url_of(&name, "x")).await
    }

    /// The URL of the same database for another user.
    pub(crate) fn url_of(&self, user: &str, password: &str) -> String {
        let (_, place) = self.url.split_once('@').unwrap();
        format!("postgres://{user}:{password}@{place}")
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (url, sql) = (self.admin_url.clone(), format!("drop database if exists {} with (force)", self.name));
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { connect(&url).await.batch_execute(&sql).await.unwrap() });
        });
        if dropped.join().is_err() && !std::thread::panicking() {
            panic!("{} could not be dropped", self.name);
        }
    }
}

/// Connects as the URL says.
pub(crate) async fn connect(url: &str) -> Client {
    let (client, _carrier) = connector(url).connect().await.unwrap();
    client
}

/// The connector of a URL.
pub(crate) fn connector(url: &str) -> Connector {
    Connector::new(DatabaseUrl::parse(&Secret::new(url)).unwrap()).unwrap()
}

/// A database without any migration.
pub(crate) async fn empty_database() -> TestDb {
    create("template0").await
}

/// A database with all migrations.
pub(crate) async fn migrated_database() -> TestDb {
    create(&shared().await.template).await
}

/// The statement that copies a template, file by file: writing the log of all its pages, as Postgres 15 and newer would,
/// takes longer.
async fn copy_of(admin: &Client, name: &str, template: &str) -> String {
    let version: String = admin.query_one("show server_version_num", &[]).await.unwrap().get(0);
    let strategy = if version.parse::<u32>().unwrap() >= 150_000 { " strategy file_copy" } else { "" };
    format!("create database {name} template {template}{strategy}")
}

async fn create(template: &str) -> TestDb {
    let admin_url = shared().await.admin_url.clone();
    let name = unique("test");
    let admin = connect(&admin_url).await;
    admin.batch_execute(&copy_of(&admin, &name, template).await).await.unwrap();
    TestDb { url: with_database(&admin_url, &name), name, admin_url }
}

/// Applies all migrations, as `rowcast migrate` does.
pub(crate) async fn migrate(url: &str) {
    migrate::run(&mut connect(url).await).await.unwrap();
}

/// Asks again and again until the answer is yes; panics with the question when patience ends.
pub(crate) async fn until<F: Future<Output = bool>>(question: &str, mut ask: impl FnMut() -> F) {
    let begun = Instant::now();
    while !ask().await {
        assert!(begun.elapsed() < PATIENCE, "in vain: {question}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// That this took no longer than it may. A machine with more to do than it has cores is given that many times as long.
#[track_caller]
pub(crate) fn in_time(begun: Instant, limit: Duration) {
    let took = begun.elapsed();
    let limit = limit.mul_f64(load());
    assert!(took < limit, "it took {took:?} and may take {limit:?}");
}

/// How many want each core, over the last minute or just now; 1 where nobody has to wait, or nothing is told.
pub(crate) fn load() -> f64 {
    let told = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut fields = told.split(' ');
    let minute: f64 = fields.next().and_then(|field| field.parse().ok()).unwrap_or(0.0);
    let now: f64 = fields.nth(2).and_then(|field| field.split_once('/')?.0.parse().ok()).unwrap_or(0.0);
    let cores =
        std::thread::available_parallelism().map_or(1.0, |cores| f64::from(u16::try_from(cores.get()).unwrap()));
    (minute.max(now) / cores).max(1.0)
}

/// Rates that no test comes near: all of them come from one address.
pub(crate) const NO_LIMITS: &str = "public=1000000/s,private=1000000/s,connect=1000000/s,append=1000000/s,chat=1000000/s,snapshot=1000000/s,pages=1000000/s";

/// The settings of a server on this database, on a port that the machine picks.
pub(crate) fn settings(url: &str, more: &[(&str, &str)]) -> Source {
    let base = [
        ("DATABASE_URL", url),
        ("ROWCAST_JWT_SECRET", JWT_SECRET),
        ("ROWCAST_LISTEN", "127.0.0.1:0"),
        ("ROWCAST_RATE_LIMITS", NO_LIMITS),
    ];
    let all = base.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Source::new(all, []).unwrap()
}

/// A server in this process, as `rowcast serve` runs it.
#[derive(Debug)]
pub(crate) struct TestServer {
    /// Its URL.
    pub(crate) url: String,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), AppError>>,
}

impl TestServer {
    /// Starts a server; the database need not be there.
    pub(crate) async fn start(database_url: &str, more: &[(&str, &str)]) -> Self {
        Self::start_as(database_url, more, |app| app).await
    }

    /// The same with something about it changed.
    pub(crate) async fn start_as(database_url: &str, more: &[(&str, &str)], change: impl FnOnce(App) -> App) -> Self {
        let config = ServerConfig::read(&settings(database_url, more)).unwrap();
        let app = change(App::new(&config).await.unwrap());
        let url = app.url();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(app.run(async {
            // A sender that is dropped means the same as one that is used: the test is over.
            let _either_way = stopped.await;
            "the test is over"
        }));
        Self { url, stop: Some(stop), running }
    }

    /// The same, once it is ready.
    pub(crate) async fn ready(database_url: &str, more: &[(&str, &str)]) -> Self {
        Self::ready_as(database_url, more, |app| app).await
    }

    /// The same with something about it changed.
    pub(crate) async fn ready_as(database_url: &str, more: &[(&str, &str)], change: impl FnOnce(App) -> App) -> Self {
        let server = Self::start_as(database_url, more, change).await;
        until("the server is ready", || async { server.get("/health/ready").await.status == 200 }).await;
        server
    }

    /// A server that runs elsewhere, to be asked and not to be stopped.
    pub(crate) fn at(url: &str) -> Self {
        Self { url: url.to_owned(), stop: None, running: tokio::spawn(async { Ok(()) }) }
    }

    /// Where it listens, as `host:port`.
    pub(crate) fn address(&self) -> &str {
        self.url.split_once("//").unwrap().1
    }

    /// A GET of a path.
    pub(crate) async fn get(&self, path: &str) -> raw_http::Answer {
        raw_http::request(self.address(), "GET", path, &[], b"").await
    }

    /// The value of a metric without labels.
    pub(crate) async fn metric(&self, name: &str) -> i64 {
        let page = self.get("/metrics").await.body;
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no metric {name}")).parse().unwrap()
    }

    /// Asks it to end; how it ended comes from [`Self::ended`].
    pub(crate) fn ask_to_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits for its end.
    pub(crate) async fn ended(self) -> Result<(), AppError> {
        tokio::time::timeout(PATIENCE, self.running).await.unwrap().unwrap()
    }

    /// Ends it.
    pub(crate) async fn stop(mut self) -> Result<(), AppError> {
        self.ask_to_stop();
        self.ended().await
    }
}

/// The binary with these arguments and only these variables of ours.
pub(crate) fn binary(args: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rowcast"));
    for (name, _) in std::env::vars() {
        if name.starts_with("ROWCAST_") && name != "ROWCAST_PG_BIN" || name == "DATABASE_URL" {
            command.env_remove(name);
        }
    }
    command.args(args).envs(environment.iter().copied()).stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub(crate) async fn run(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = binary(args, environment);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// What a command printed, as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
