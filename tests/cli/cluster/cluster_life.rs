//! The life of a development cluster: it starts, ends, is killed, is adopted, and keeps its data.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rowcast::cluster::{Cluster, ClusterError, DevState};

use super::{Checkout, Killable, bystander, keep_a_note, lives, note_of, pid_in, query, wait_until};

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

/// Kills the postmaster, and writes the pid of another process into its lock files.
fn kill_and_give_its_pid_away(cluster: Cluster) -> Killable {
    let (data, pid) = (cluster.data_dir().to_path_buf(), cluster.pid());
    let socket_lock = cluster.socket_dir().join(format!(".s.PGSQL.{}.lock", cluster.state().postgres_port));
    cluster.leave_running();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    wait_until("the server is dead", || !lives(pid));
    let other = bystander(&data);
    for lock in [data.join("postmaster.pid"), socket_lock] {
        let text = fs::read_to_string(&lock).unwrap();
        fs::write(&lock, text.replacen(&pid.to_string(), &other.0.id().to_string(), 1)).unwrap();
    }
    other
}

/// One that is busy does not notice that its postmaster is dead, and would write into the files of the next server.
#[test]
fn no_server_starts_while_a_backend_of_a_killed_one_still_works() {
    let checkout = Checkout::new();
    let cluster = checkout.open().unwrap();
    let url = cluster.url();
    let busy = "select sum(i) from (select generate_series(1, 40000000) i) s";
    let working = std::thread::spawn({
        let url = url.clone();
        move || query(&url, busy)
    });
    let find = format!("select pid from pg_stat_activity where query = '{busy}'");
    let mut found = Vec::new();
    wait_until("the backend works", || {
        found = query(&url, &find).unwrap();
        !found.is_empty()
    });
    let backend: i32 = found[0].parse().unwrap();
    let _other = kill_and_give_its_pid_away(cluster);
    assert!(lives(backend), "the backend should outlive its postmaster for a while");
    let cluster = checkout.open().unwrap();
    assert!(!lives(backend), "two servers on one data directory");
    assert_eq!(query(&cluster.url(), "select 'it answers'").unwrap(), ["it answers"]);
    let _done = working.join().unwrap();
}

#[test]
fn lock_files_of_a_killed_server_whose_pid_somebody_else_has_now_are_no_obstacle() {
    let checkout = Checkout::new();
    let cluster = checkout.open().unwrap();
    keep_a_note(&cluster);
    let mut other = kill_and_give_its_pid_away(cluster);
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
