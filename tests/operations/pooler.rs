//! PgBouncer in transaction mode between Rowcast and Postgres: every transaction may run on another server connection,
//! no session is anybody's own, and nothing said outside a transaction can be taken back for sure.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use futures_util::SinkExt;
use nix::unistd::{User, geteuid};
use rowcast::auth::Role;
use rowcast::tail::Hearing;
use tokio_postgres::config::Host;

use crate::cli::doctor::examine;
use crate::stream::ws::token;
use crate::support::raw_http::get_chunked;
use crate::support::{
    JWT_SECRET, TestDb, TestServer, connect, connector, make_enterable, migrated_database, run, text, until,
};
use crate::tail::{TailNode, committed, last_value, start_writers};

const INSERT: &str = "insert into rowcast.events (type, payload) values ('pooled.row', '{\"n\":1}')";
/// Server connections of the pool: fewer than clients, so that they are shared.
const SERVERS: usize = 4;

/// A pooler of one test, and the database behind it.
struct Pooler {
    child: Child,
    _folder: tempfile::TempDir,
    /// The same database as `db`, through the pooler.
    url: String,
    db: TestDb,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // Its connections must be gone before the database is dropped; a child that has ended cannot be killed again.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

pub(crate) fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    places.map(|place| place.join("pgbouncer")).find(|program| program.is_file())
}

/// Starts one in front of a database of its own; none where PgBouncer is not installed.
async fn pooler() -> Option<Pooler> {
    let Some(program) = program() else {
        let why = "skipped: PgBouncer is not installed (Debian: apt-get install pgbouncer)\n";
        std::io::stderr().write_all(why.as_bytes()).unwrap();
        return None;
    };
    let db = migrated_database().await;
    let folder = tempfile::tempdir().unwrap();
    make_enterable(folder.path());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = folder.path().join("pgbouncer.ini");
    std::fs::write(&settings, configuration(&db, port)).unwrap();
    let mut command = Command::new(program);
    if geteuid().is_root() {
        // It refuses to run as root, and reads its settings before it becomes somebody else.
        let account = ["postgres", "nobody"].into_iter().find(|name| User::from_name(name).ok().flatten().is_some());
        command.args(["-u", account.unwrap()]);
    }
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let child =
        command.arg(&settings).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let url = format!("postgres://app:app@127.0.0.1:{port}/{}?sslmode=disable", db.name);
    let pooler = Pooler { child, _folder: folder, url, db };
    let (way, log) = (connector(&pooler.url), pooler._folder.path().join("log"));
    until(&format!("PgBouncer takes connections: {}", read(&log)), || async { way.connect().await.is_ok() }).await;
    Some(pooler)
}

fn read(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}

fn configuration(db: &TestDb, port: u16) -> String {
    let postgres = connector(&db.url);
    let config = postgres.config();
    let host = match config.get_hosts().first().unwrap() {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    };
    let server = config.get_ports().first().copied().unwrap_or(5432);
    let (user, password) = (config.get_user().unwrap(), config.get_password().unwrap_or_default());
    let password = String::from_utf8(password.to_vec()).unwrap();
    format!(
        "[databases]\n* = host={host} port={server} user={user} password={password}\n\
         [pgbouncer]\npool_mode = transaction\nauth_type = any\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
         unix_socket_dir =\nmax_client_conn = 200\ndefault_pool_size = {SERVERS}\n"
    )
}

/// What a session could have been left with.
const LEFTOVERS: &str = "\
    select pg_backend_pid(), (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()), \
           array(select name || '=' || setting from pg_settings where source = 'session' \
                   and name not in ('application_name', 'client_encoding', 'DateStyle', 'TimeZone', \
                                    'standard_conforming_strings'))::text";

/// Looks into every server connection of the pool: as many transactions as there are connections, all at once.
async fn nothing_is_left_behind(pooler: &Pooler) {
    let clients = futures_util::future::join_all((0..SERVERS).map(|_| connect(&pooler.url))).await;
    let mut seen = Vec::new();
    for client in &clients {
        client.batch_execute("begin").await.unwrap();
        let row = client.query_typed_one(LEFTOVERS, &[]).await.unwrap();
        let (pid, locks, settings): (i32, i64, String) = (row.get(0), row.get(1), row.get(2));
        assert_eq!((locks, settings.as_str()), (0, "{}"), "of pid {pid}");
        seen.push(pid);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), SERVERS, "each has another server connection");
    for client in &clients {
        client.batch_execute("rollback").await.unwrap();
    }
    let sql = "select count(*) from pg_locks where locktype = 'advisory' \
                  and database = (select oid from pg_database where datname = current_database())";
    let locks: i64 = pooler.db.client().await.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(locks, 0);
}

#[tokio::test]
async fn writers_work_through_a_pooler_in_transaction_mode() {
    let Some(pooler) = pooler().await else { return };
    let client = connect(&pooler.url).await;
    client.batch_execute(INSERT).await.unwrap();
    client
        .batch_execute(&format!("begin; {INSERT}; savepoint s; {INSERT}; rollback to s; {INSERT}; commit"))
        .await
        .unwrap();
    client.batch_execute(&format!("begin; {INSERT}; rollback")).await.unwrap();
    client.batch_execute("select rowcast.append_event('pooled.row', dedupe_key => 'k')").await.unwrap();
    client.batch_execute("select rowcast.append_event('pooled.row', dedupe_key => 'k')").await.unwrap();
    client
        .batch_execute("insert into rowcast.events (type) select 'bulk.row' from generate_series(1, 500)")
        .await
        .unwrap();
    // The client prepares a statement for COPY, which lives as long as the server connection is ours.
    client.batch_execute("begin").await.unwrap();
    let mut sink = Box::pin(client.copy_in("copy rowcast.events (type) from stdin").await.unwrap());
    sink.send(&b"copied.row\ncopied.row\n"[..]).await.unwrap();
    assert_eq!(sink.as_mut().finish().await.unwrap(), 2);
    client.batch_execute("commit").await.unwrap();
    assert_eq!(committed(&pooler.db.client().await).await.len(), 1 + 2 + 1 + 500 + 2);
    nothing_is_left_behind(&pooler).await;
}

#[tokio::test]
async fn a_tail_behind_a_pooler_says_that_it_is_deaf_polls_and_loses_nothing() {
    let Some(pooler) = pooler().await else { return };
    let mut node = TailNode::start(&pooler.url);
    let mut writers = start_writers(&pooler.url).await;
    let mut reader = node.reader();
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let client = pooler.db.client().await;
    reader.read_to(last_value(&client).await).await;
    let table = committed(&client).await;
    assert!(table.len() > 200 && table.len() < 640);
    assert_eq!(reader.seen, table);

    node.is("the tail knows that it is deaf", |s| s.hearing == Hearing::Deaf).await;
    connect(&pooler.url).await.batch_execute(INSERT).await.unwrap();
    reader.read_to(last_value(&client).await).await;
    assert_eq!(reader.seen, committed(&client).await);
    assert_eq!(node.counts.borrow().hushes, 0, "a hush would stay with somebody else's session");
    node.stop().await;
    nothing_is_left_behind(&pooler).await;
}

#[tokio::test]
async fn snapshots_are_exact_through_a_pooler_and_leave_nothing_behind() {
    let Some(pooler) = pooler().await else { return };
    let sql = pooler.db.client().await;
    let table = "create schema shop; create table shop.t (id int primary key, v int); select rowcast.publish('shop.t')";
    sql.batch_execute(table).await.unwrap();
    let server = TestServer::ready(&pooler.url, &[]).await;
    let bearer = format!("Bearer {}", token(Role::Admin, "root"));
    let mut changed = 0;
    for round in 1..=20 {
        let write = format!(
            "insert into shop.t select i, {round} from generate_series(1, {round} * 100) i \
                             on conflict (id) do update set v = excluded.v; delete from shop.t where id = {round}"
        );
        connect(&pooler.url).await.batch_execute(&write).await.unwrap();
        let headers = [("authorization", bearer.as_str())];
        let answer = get_chunked(server.address(), "/v1/snapshot?table=shop.t&sync=true", &headers).await;
        let rows: Vec<_> = answer.json()["tables"][0]["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["payload"].to_string())
            .collect();
        let stored = "select coalesce(string_agg(payload, ' ' order by payload), '') from \
                      (select format('{\"id\":%s,\"v\":%s}', id, v) collate \"C\" as payload from shop.t) rows";
        let stored: String = sql.query_one(stored, &[]).await.unwrap().get(0);
        let mut rows = rows;
        rows.sort();
        assert_eq!(rows.join(" "), stored, "round {round}");
        changed += rows.len();
    }
    assert!(changed > 20_000);
    server.stop().await.unwrap();
    nothing_is_left_behind(&pooler).await;
}

#[tokio::test]
async fn the_startup_check_migrate_check_doctor_and_verify_work_through_a_pooler() {
    let Some(pooler) = pooler().await else { return };
    let environment = [("DATABASE_URL", pooler.url.as_str()), ("ROWCAST_JWT_SECRET", JWT_SECRET)];
    pooler.db.client().await.batch_execute(INSERT).await.unwrap();
    // More than once, each a process of its own: a named statement of the one would be in the way of the next.
    for _ in 0..3 {
        let answer = run(&["migrate", "--check"], &environment).await;
        assert_eq!(text(&answer.stdout), "the schema is up to date\n", "{}", text(&answer.stderr));
    }
    let both = [TestServer::ready(&pooler.url, &[]).await, TestServer::ready(&pooler.url, &[]).await];
    for server in both {
        server.stop().await.unwrap();
    }

    let report = examine(&pooler.url).await;
    assert!(report.says("listen", "warn", "a pooler in transaction mode is in the way"), "{:?}", report.lines);
    assert!(report.says("migrations", "ok", "up to date"), "{:?}", report.lines);
    assert_eq!(report.code, Some(0));

    let answer = run(&["verify", "--seconds", "4"], &environment).await;
    let (out, log) = (text(&answer.stdout), text(&answer.stderr));
    assert_eq!(answer.status.code(), Some(0), "{out}{log}");
    assert!(out.starts_with("compared   1 events") && out.contains("\nequal "), "{out}");
    assert!(log.contains("bells do not reach the tail (is a transaction-mode pooler in the way of LISTEN?)"), "{log}");
    nothing_is_left_behind(&pooler).await;
}

#[tokio::test]
async fn a_table_is_published_through_a_pooler() {
    let Some(pooler) = pooler().await else { return };
    pooler.db.client().await.batch_execute("create table t (id int primary key)").await.unwrap();
    let environment = [("DATABASE_URL", pooler.url.as_str())];
    for _ in 0..2 {
        let answer = run(&["publish", "public.t"], &environment).await;
        assert_eq!(text(&answer.stdout), "public.t\n", "{}", text(&answer.stderr));
    }
    let client = connect(&pooler.url).await;
    client.batch_execute("begin; insert into t values (1); insert into t values (2); commit").await.unwrap();
    assert_eq!(committed(&pooler.db.client().await).await.len(), 2);
}
