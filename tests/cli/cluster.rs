//! The development cluster, against the Postgres of this machine: what `rowcast dev` survives, and what it leaves alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use rowcast::db::cluster::{Binaries, Cluster, ClusterError, DevState, Search, find};
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

#[test]
fn a_new_cluster_answers_as_configured() {
    let checkout = Checkout::new();
    let cluster = checkout.open().unwrap();
    for (setting, value) in [
        ("server_encoding", "UTF8"),
        ("data_checksums", "on"),
        ("max_prepared_transactions", "64"),
        ("max_connections", "200"),
        ("listen_addresses", "127.0.0.1"),
        ("password_encryption", "scram-sha-256"),
    ] {
        assert_eq!(query(&cluster.url(), &format!("show {setting}")).unwrap(), [value], "{setting}");
    }
    let lc_collate = query(&cluster.url(), "select datcollate from pg_database where datname = 'rowcast'").unwrap();
    assert!(["C.UTF-8", "C"].contains(&lc_collate[0].as_str()), "{lc_collate:?}");
}

#[test]
fn only_the_owner_of_the_password_or_of_the_socket_gets_in() {
    let checkout = Checkout::new();
    let cluster = checkout.open().unwrap();
    let password = cluster.state().postgres_password.expose().to_owned();
    let refused = query(&cluster.url().replace(&password, "wrong"), "select 1").unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "28P01");
    assert_eq!(fs::metadata(cluster.socket_dir()).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(checkout.dir().join("dev.json")).unwrap().mode() & 0o777, 0o600);
    assert!(!format!("{cluster:?}").contains(&password), "Debug shows the password");
    if let Some(line) = cluster.psql_line() {
        let output = Command::new("sh").arg("-c").arg(format!("{line} -XAtc 'select 40 + 2'")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "42", "{line}: {output:?}");
    }
}

#[test]
fn a_second_start_finds_the_data_at_the_same_address() {
    let checkout = Checkout::new();
    let cluster = checkout.open().unwrap();
    keep_a_note(&cluster);
    let (url, pid) = (cluster.url(), cluster.pid());
    cluster.stop().unwrap();
    assert!(!lives(pid), "stopped, but pid {pid} lives");
    let cluster = checkout.open().unwrap();
    assert_eq!(cluster.url(), url);
    assert_eq!(note_of(&cluster), ["kept"]);
}

#[test]
fn a_dropped_cluster_is_stopped() {
    let checkout = Checkout::new();
    let pid = checkout.open().unwrap().pid();
    assert!(!lives(pid), "dropped, but pid {pid} lives");
}

#[test]
fn a_killed_server_comes_back_with_its_data() {
    let checkout = Checkout::new();
    let cluster = checkout.open().unwrap();
    keep_a_note(&cluster);
    let pid = Pid::from_raw(cluster.pid());
    cluster.leave_running();
    kill(pid, Signal::SIGKILL).unwrap();
    let cluster = checkout.open().unwrap();
    assert_ne!(cluster.pid(), pid.as_raw());
    assert_eq!(note_of(&cluster), ["kept"]);
}

#[test]
fn a_server_that_outlived_its_rowcast_is_adopted() {
    let checkout = Checkout::new();
    let first = checkout.open_elsewhere();
    wait_until("the other process has opened the cluster", || checkout.dir().join("opened").exists());
    let pid = pid_in(&checkout.data()).unwrap();
    let state = DevState::load(&checkout.dir()).unwrap().unwrap();
    let refused = checkout.open().unwrap_err();
    assert!(matches!(refused, ClusterError::Busy { pid: Some(pid), .. } if pid == first.0.id()), "{refused}");
    first.kill();
    let cluster = checkout.open().unwrap();
    assert_eq!(cluster.pid(), pid, "adopted, not started anew");
    assert_eq!(cluster.state().postgres_port, state.postgres_port);
    assert_eq!(query(&cluster.url(), "select 1").unwrap(), ["1"]);
    cluster.stop().unwrap();
    assert!(!lives(pid), "an adopted server is stopped like one's own");
}

#[test]
fn lock_files_of_a_killed_server_whose_pid_somebody_else_has_now_are_no_obstacle() {
    let checkout = Checkout::new();
    let cluster = checkout.open().unwrap();
    keep_a_note(&cluster);
    let (data, pid) = (cluster.data_dir().to_path_buf(), cluster.pid());
    let socket_lock = cluster.socket_dir().join(format!(".s.PGSQL.{}.lock", cluster.state().postgres_port));
    cluster.leave_running();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    wait_until("the server is dead", || !lives(pid));
    let mut other = bystander(&data);
    for lock in [data.join("postmaster.pid"), socket_lock] {
        let text = fs::read_to_string(&lock).unwrap();
        fs::write(&lock, text.replacen(&pid.to_string(), &other.0.id().to_string(), 1)).unwrap();
    }
    let cluster = checkout.open().unwrap();
    assert_eq!(note_of(&cluster), ["kept"]);
    assert!(other.0.try_wait().unwrap().is_none(), "the other process was ended");
}

#[test]
fn a_pid_file_that_names_somebody_elses_process_is_no_obstacle() {
    let checkout = Checkout::new();
    let cluster = checkout.open().unwrap();
    keep_a_note(&cluster);
    let data = cluster.data_dir().to_path_buf();
    let pid_file = fs::read_to_string(data.join("postmaster.pid")).unwrap();
    cluster.stop().unwrap();
    let mut other = bystander(&data);
    let (_, rest) = pid_file.split_once('\n').unwrap();
    fs::write(data.join("postmaster.pid"), format!("{}\n{rest}", other.0.id())).unwrap();
    let cluster = checkout.open().unwrap();
    assert_eq!(note_of(&cluster), ["kept"]);
    cluster.stop().unwrap();
    assert!(other.0.try_wait().unwrap().is_none(), "the other process was ended");
}

#[test]
fn stopping_never_signals_a_process_that_inherited_the_pid() {
    let checkout = Checkout::new();
    let cluster = checkout.open().unwrap();
    let data = cluster.data_dir().to_path_buf();
    let text = fs::read_to_string(data.join("postmaster.pid")).unwrap();
    let pid = Pid::from_raw(cluster.pid());
    kill(pid, Signal::SIGQUIT).unwrap();
    wait_until("the server ends", || !lives(pid.as_raw()));
    let mut other = bystander(&data);
    fs::write(data.join("postmaster.pid"), text.replacen(&pid.to_string(), &other.0.id().to_string(), 1)).unwrap();
    cluster.stop().unwrap();
    sleep(Duration::from_millis(200));
    assert!(other.0.try_wait().unwrap().is_none(), "the other process was ended");
}

#[test]
fn a_port_that_was_taken_meanwhile_is_replaced_and_remembered() {
    let checkout = Checkout::new();
    let cluster = checkout.open().unwrap();
    let old = cluster.state().postgres_port;
    cluster.stop().unwrap();
    let _taken = TcpListener::bind(("0.0.0.0", old)).unwrap();
    let cluster = checkout.open().unwrap();
    let new = cluster.state().postgres_port;
    assert_ne!(new, old);
    assert_eq!(query(&cluster.url(), "show port").unwrap(), [new.to_string()]);
    assert_eq!(DevState::load(&checkout.dir()).unwrap().unwrap().postgres_port, new);
}

#[test]
fn a_password_that_was_changed_is_set_back() {
    let checkout = Checkout::new();
    let cluster = checkout.open().unwrap();
    query(&cluster.url(), "alter role postgres password 'forgotten'").unwrap();
    cluster.stop().unwrap();
    let cluster = checkout.open().unwrap();
    assert_eq!(query(&cluster.url(), "select 1").unwrap(), ["1"]);
}

#[test]
fn a_data_directory_without_our_marker_is_refused_and_untouched() {
    let checkout = Checkout::new();
    checkout.open().unwrap().stop().unwrap();
    let marker = checkout.data().join("rowcast-cluster");
    let conf = fs::read(checkout.data().join("rowcast.conf")).unwrap();
    for strange in [None, Some("another id")] {
        match strange {
            None => fs::remove_file(&marker).unwrap(),
            Some(id) => fs::write(&marker, id).unwrap(),
        }
        let refused = checkout.open().unwrap_err();
        assert!(matches!(refused, ClusterError::Foreign { .. }), "{refused}");
        assert!(refused.to_string().contains("untouched"), "{refused}");
        assert_eq!(fs::read(checkout.data().join("rowcast.conf")).unwrap(), conf);
        assert_eq!(pid_in(&checkout.data()), None, "it was started");
    }
}

#[test]
fn a_folder_of_somebody_else_at_our_place_is_refused_and_untouched() {
    let checkout = Checkout::new();
    fs::create_dir_all(checkout.data()).unwrap();
    fs::write(checkout.data().join("thesis.txt"), "years of work").unwrap();
    if geteuid().is_root() {
        // Owned by root it would be refused for that alone.
        chown(checkout.data(), Some(65_534), None).unwrap();
    }
    let refused = checkout.open().unwrap_err();
    assert!(matches!(refused, ClusterError::Foreign { .. }), "{refused}");
    assert_eq!(fs::read_to_string(checkout.data().join("thesis.txt")).unwrap(), "years of work");
    assert_eq!(fs::read_dir(checkout.data()).unwrap().count(), 1);
}

#[test]
fn a_second_opener_is_refused_with_the_pid_of_the_first() {
    let checkout = Checkout::new();
    let _first = checkout.open().unwrap();
    let refused = checkout.open().unwrap_err().to_string();
    assert!(refused.contains(&format!("(pid {})", std::process::id())), "{refused}");
}

#[test]
fn a_copied_checkout_that_shares_the_data_directory_is_refused() {
    let (checkout, copy) = (Checkout::new(), Checkout::new());
    let cluster = checkout.open().unwrap();
    fs::create_dir(copy.dir()).unwrap();
    fs::copy(checkout.dir().join("dev.json"), copy.dir().join("dev.json")).unwrap();
    symlink(cluster.data_dir(), copy.data()).unwrap();
    let refused = copy.open().unwrap_err();
    assert!(matches!(refused, ClusterError::Busy { .. }), "{refused}");
    assert_eq!(query(&cluster.url(), "select 1").unwrap(), ["1"]);
    fs::remove_file(copy.data()).unwrap();
}

#[test]
fn a_path_too_long_for_a_socket_gets_a_short_private_one() {
    let checkout = Checkout::new();
    let dir = checkout.0.path().join("long".repeat(40)).join(".rowcast");
    fs::create_dir_all(dir.parent().unwrap()).unwrap();
    let cluster = Cluster::open(&dir, &bins()).unwrap();
    let socket = cluster.socket_dir().to_path_buf();
    assert!(socket.as_os_str().len() < 80, "{}", socket.display());
    assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o700);
    assert_eq!(query(&cluster.url(), "select 1").unwrap(), ["1"]);
    cluster.stop().unwrap();
    assert!(!socket.exists(), "{} was left behind", socket.display());
}

#[test]
fn a_path_full_of_special_characters_works() {
    let checkout = Checkout::new();
    let dir = checkout.0.path().join(r#"it's "a", $HOME `x` \ %p"#).join(".rowcast");
    fs::create_dir_all(dir.parent().unwrap()).unwrap();
    let cluster = Cluster::open(&dir, &bins()).unwrap();
    keep_a_note(&cluster);
    cluster.stop().unwrap();
    assert_eq!(note_of(&Cluster::open(&dir, &bins()).unwrap()), ["kept"]);
}

#[test]
fn an_initdb_that_was_killed_halfway_is_started_over() {
    let checkout = Checkout::new();
    let first = checkout.open_elsewhere();
    let attempts = || -> Vec<PathBuf> {
        let entries = fs::read_dir(checkout.dir()).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.filter(|path| path.to_string_lossy().contains("cluster.init-")).collect()
    };
    wait_until("initdb writes", || attempts().iter().any(|path| path.join("data/global").exists()));
    first.kill();
    assert!(!checkout.data().exists(), "half a cluster stands in the place of a whole one");
    // Neither ours: one of another id, with something in it.
    let strange = checkout.dir().join("cluster.init-strange");
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("rowcast-cluster"), "another id").unwrap();
    let cluster = checkout.open().unwrap();
    assert_eq!(query(&cluster.url(), "select 1").unwrap(), ["1"]);
    assert_eq!(attempts(), [strange]);
}

#[test]
fn a_checkout_that_postgres_cannot_enter_has_its_cluster_elsewhere() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root runs Postgres as somebody else");
        return;
    }
    struct Elsewhere(PathBuf);
    impl Drop for Elsewhere {
        fn drop(&mut self) {
            end_server(&self.0);
            let _ = fs::remove_dir_all(&self.0);
            let _ = fs::remove_dir(self.0.parent().unwrap());
        }
    }
    let checkout = Checkout::with_mode(0o700);
    let cluster = checkout.open().unwrap();
    let elsewhere = Elsewhere(cluster.data_dir().to_path_buf());
    assert!(elsewhere.0.starts_with("/var/lib/rowcast"), "{}", elsewhere.0.display());
    assert_eq!(fs::read_link(checkout.data()).unwrap(), elsewhere.0);
    assert_ne!(fs::metadata(&elsewhere.0).unwrap().uid(), 0);
    keep_a_note(&cluster);
    cluster.stop().unwrap();
    let cluster = checkout.open().unwrap();
    assert_eq!(note_of(&cluster), ["kept"]);
    cluster.stop().unwrap();
    // As if killed before the link was made.
    fs::remove_file(checkout.data()).unwrap();
    let cluster = checkout.open().unwrap();
    assert_eq!(note_of(&cluster), ["kept"]);
    assert_eq!(cluster.data_dir(), elsewhere.0);
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let checkout = Checkout::new();
    checkout.open().unwrap().stop().unwrap();
    let conf = checkout.data().join("postgresql.conf");
    let text = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{text}\nwork_mem = 'plenty'\n")).unwrap();
    let refused = checkout.open().unwrap_err().to_string();
    assert!(refused.contains("work_mem") && refused.contains("postgres.log"), "{refused}");
    fs::write(&conf, text).unwrap();
    checkout.open().unwrap();
}

#[test]
fn a_cluster_of_another_major_version_is_refused() {
    let checkout = Checkout::new();
    checkout.open().unwrap().stop().unwrap();
    let other = Binaries { major: 99, ..bins() };
    let refused = Cluster::open(&checkout.dir(), &other).unwrap_err();
    assert!(matches!(refused, ClusterError::WrongMajor { found: 99, .. }), "{refused}");
}

fn nowhere(root: &Path) -> Search {
    Search { pg_bin: None, path: None, root: root.to_path_buf(), rowcast_dir: root.join(".rowcast") }
}

/// An installation that only says its version.
fn fake_postgres(dir: &Path, version: &str) {
    fs::create_dir_all(dir).unwrap();
    for program in ["initdb", "pg_ctl", "postgres"] {
        let path = dir.join(program);
        fs::write(&path, format!("#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_wrong_rowcast_pg_bin_is_named_and_nothing_else_is_tried() {
    let dir = tempfile::tempdir().unwrap();
    let mut search = Search::from_env(dir.path());
    for wrong in [dir.path().join("missing"), dir.path().to_path_buf()] {
        search.pg_bin = Some(wrong.clone());
        let refused = find(&search).unwrap_err().to_string();
        assert!(refused.contains("ROWCAST_PG_BIN") && refused.contains(wrong.to_str().unwrap()), "{refused}");
    }
}

#[test]
fn without_postgres_the_error_says_what_to_install() {
    let dir = tempfile::tempdir().unwrap();
    let refused = find(&nowhere(dir.path())).unwrap_err().to_string();
    for word in ["apt-get install postgresql", "dnf install", "brew install", "scripts/run", "ROWCAST_PG_BIN"] {
        assert!(refused.contains(word), "no {word} in: {refused}");
    }
}

#[test]
fn a_postgres_that_is_too_old_is_named_with_its_version() {
    let dir = tempfile::tempdir().unwrap();
    fake_postgres(&dir.path().join("usr/lib/postgresql/13/bin"), "13.22 (Debian 13.22-1)");
    let refused = find(&nowhere(dir.path())).unwrap_err();
    assert!(matches!(&refused, ClusterError::TooOld { version, .. } if version == "13.22"), "{refused}");
    assert!(refused.to_string().contains("13.22"), "{refused}");
}

#[test]
fn the_highest_version_is_taken_unless_the_cluster_was_made_by_another() {
    let dir = tempfile::tempdir().unwrap();
    for version in ["9.6", "14", "16"] {
        fake_postgres(&dir.path().join("usr/lib/postgresql").join(version).join("bin"), &format!("{version}.1"));
    }
    let search = nowhere(dir.path());
    assert_eq!(find(&search).unwrap().major, 16);
    fs::create_dir_all(search.rowcast_dir.join("cluster")).unwrap();
    fs::write(search.rowcast_dir.join("cluster/PG_VERSION"), "14\n").unwrap();
    assert_eq!(find(&search).unwrap().major, 14);
}

#[test]
fn links_on_the_path_are_followed_and_wrappers_taken_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap();
    let (real, links, wrappers) = (root.join("real/bin"), root.join("links"), root.join(".rowcast/postgres/bin"));
    fake_postgres(&real, "15.3");
    fake_postgres(&wrappers, "17.6");
    fs::create_dir(&links).unwrap();
    symlink(real.join("postgres"), links.join("postgres")).unwrap();
    let mut search = nowhere(&root);
    assert_eq!(find(&search).unwrap().dir, wrappers);
    search.path = Some(links.into_os_string());
    assert_eq!(find(&search).unwrap().dir, real);
}

#[test]
fn a_cluster_runs_through_wrapper_scripts() {
    let checkout = Checkout::new();
    let real = bins();
    let dir = checkout.0.path().join("bin");
    fake_postgres(&dir, "");
    for program in ["initdb", "pg_ctl", "postgres"] {
        let target = real.dir.join(program);
        fs::write(dir.join(program), format!("#!/bin/sh\nexec '{}' \"$@\"\n", target.display())).unwrap();
    }
    let wrapped = find(&Search { pg_bin: Some(dir), ..nowhere(checkout.0.path()) }).unwrap();
    let cluster = Cluster::open(&checkout.dir(), &wrapped).unwrap();
    assert_eq!(query(&cluster.url(), "select 1").unwrap(), ["1"]);
}
