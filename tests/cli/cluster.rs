//! The development cluster, against the Postgres of this machine: what `rowcast dev` survives, and what it leaves alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod cluster_folders;
mod cluster_life;
mod postgres_programs;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use rowcast::cluster::{Binaries, Cluster, ClusterError, Search, find};
use tempfile::TempDir;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::support::quick_folder;

const KILLABLE_DIR: &str = "TEST_CLUSTER_DIR";
const PATIENCE: Duration = Duration::from_secs(60);

/// A checkout of its own. Whatever server is left in it when a test ends, in whatever way, is ended too.
struct Checkout(TempDir);

impl Checkout {
    fn new() -> Self {
        Self::with_mode(0o755)
    }

    fn with_mode(mode: u32) -> Self {
        let dir = quick_folder("rowcast-test-");
        fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
        Self(dir)
    }

    fn dir(&self) -> PathBuf {
        self.0.path().join(".rowcast")
    }

    fn data(&self) -> PathBuf {
        self.dir().join("cluster")
    }

    fn open(&self) -> Result<Cluster, ClusterError> {
        Cluster::open(&self.dir(), &bins())
    }

    /// Another process that opens the cluster and waits to be killed.
    fn open_elsewhere(&self) -> Killable {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "cli::cluster::a_process_to_be_killed", "--ignored"]).env(KILLABLE_DIR, self.dir());
        Killable(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        end_server(&self.data());
    }
}

fn end_server(data: &Path) {
    let Some(pid) = pid_in(data) else { return };
    let cwd = fs::metadata(format!("/proc/{pid}/cwd")).map(|meta| meta.ino());
    if cwd.ok() == fs::metadata(data).map(|meta| meta.ino()).ok() {
        let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
        wait_until("the left server ends", || !lives(pid));
    }
}

struct Killable(Child);

impl Killable {
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Killable {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn bins() -> Binaries {
    find(&Search::from_env(Path::new("/nonexistent"))).unwrap()
}

fn pid_in(data: &Path) -> Option<i32> {
    fs::read_to_string(data.join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
}

/// Not ended, nor ended and waiting for its parent to notice.
fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        // Not a panic within a drop during a panic: that would abort the other tests.
        if Instant::now() >= deadline {
            assert!(std::thread::panicking(), "waited in vain until {what}");
            return;
        }
        sleep(Duration::from_millis(10));
    }
}

/// Runs statements, and returns the first column of every row.
fn query(url: &str, sql: &str) -> Result<Vec<String>, tokio_postgres::Error> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let rows = client.simple_query(sql).await?;
        Ok(rows
            .iter()
            .filter_map(|row| match row {
                SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
                _ => None,
            })
            .collect())
    })
}

fn keep_a_note(cluster: &Cluster) {
    query(&cluster.url(), "create table note (text text); insert into note values ('kept')").unwrap();
}

fn note_of(cluster: &Cluster) -> Vec<String> {
    query(&cluster.url(), "select text from note").unwrap()
}

/// A program that outlives the test's step, run by the user that runs Postgres.
fn bystander(owner_of: &Path) -> Killable {
    let mut command = Command::new("sleep");
    if geteuid().is_root() {
        let meta = fs::metadata(owner_of).unwrap();
        command.uid(meta.uid()).gid(meta.gid());
    }
    Killable(command.arg("600").spawn().unwrap())
}

#[test]
#[ignore = "not a test: the process that other tests start and kill"]
fn a_process_to_be_killed() {
    let Some(dir) = std::env::var_os(KILLABLE_DIR).map(PathBuf::from) else { return };
    let _cluster = Cluster::open(&dir, &bins()).unwrap();
    fs::write(dir.join("opened"), "").unwrap();
    sleep(PATIENCE * 2);
}
