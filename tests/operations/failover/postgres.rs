//! A Postgres of one test, which can be copied into a standby, cut off, promoted and killed.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, User, chown, geteuid};
use rowcast::cluster::{Search, find};
use tempfile::TempDir;

use crate::support::{connect, connector, quick_folder, until};

/// Ends the server when the test has ended, however it did: it reads from a pipe whose other end only this process holds.
const KEEPER: &str = r#"cat >/dev/null; if [ "/proc/$0/cwd" -ef "$1" ]; then kill -QUIT "$0"; fi"#;

const SETTINGS: &str = "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\nfull_page_writes = off\n\
     wal_level = replica\nmax_wal_senders = 4\nmax_connections = 100\nmax_wal_size = 256MB\nautovacuum_naptime = 1\n";

pub(crate) struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    account: Option<(Uid, Gid)>,
    pub(crate) port: u16,
    running: Option<(Child, Child)>,
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Postgres {
    fn new() -> Self {
        let folder = quick_folder("rowcast-failover-");
        let programs = find(&Search::from_env(folder.path())).unwrap().dir;
        // It refuses to run as root.
        let account = geteuid().is_root().then(|| {
            let user =
                ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten()).unwrap();
            chown(folder.path(), Some(user.uid), Some(user.gid)).unwrap();
            (user.uid, user.gid)
        });
        Self { folder, programs, account, port: free_port(), running: None }
    }

    /// A new server with an empty database `app`.
    pub(crate) async fn primary() -> Self {
        let mut postgres = Self::new();
        postgres.run("initdb", &["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", "-D", postgres.data()]);
        postgres.configure(SETTINGS);
        postgres.start().await;
        connect(&postgres.url_of("postgres")).await.batch_execute("create database app").await.unwrap();
        postgres
    }

    /// A standby of another one, which follows it.
    pub(crate) async fn standby(of: &Self) -> Self {
        let mut postgres = Self::new();
        let port = of.port.to_string();
        let from = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-D", postgres.data(), "-R", "-c", "fast"];
        postgres.run("pg_basebackup", &[&from[..], &["-X", "stream", "--no-sync"]].concat());
        postgres.start().await;
        postgres
    }

    fn data(&self) -> &str {
        // Made below the folder by the program that fills it.
        Box::leak(self.folder.path().join("data").display().to_string().into_boxed_str())
    }

    fn configure(&self, text: &str) {
        let file = Path::new(self.data()).join("postgresql.conf");
        OpenOptions::new().append(true).open(file).unwrap().write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        if let Some((user, group)) = self.account {
            command.uid(user.as_raw()).gid(group.as_raw());
        }
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Runs a program to its end.
    pub(crate) fn run(&self, name: &str, args: &[&str]) {
        let output = self.program(name).args(args).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    pub(crate) fn url(&self) -> String {
        self.url_of("app")
    }

    /// Starts it, the first time or again.
    pub(crate) async fn start(&mut self) {
        self.configure(&format!("port = {}\n", self.port));
        let log = File::create(self.folder.path().join("log")).unwrap();
        let mut command = self.program("postgres");
        command.args(["-D", self.data()]).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        let keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, &child.id().to_string(), self.data()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        self.running = Some((child, keeper));
        let way = connector(&self.url_of("postgres"));
        until("the server takes connections", || async { way.connect().await.is_ok() }).await;
    }

    /// A standby receives nothing more from its primary, and keeps what it has.
    pub(crate) async fn detach(&self) {
        let client = connect(&self.url()).await;
        client.batch_execute("alter system set primary_conninfo = ''").await.unwrap();
        client.batch_execute("select pg_reload_conf()").await.unwrap();
        until("the standby is cut off", || async {
            let row = client.query_one("select count(*) from pg_stat_wal_receiver", &[]).await.unwrap();
            row.get::<_, i64>(0) == 0
        })
        .await;
    }

    pub(crate) async fn promote(&self) {
        connect(&self.url()).await.batch_execute("select pg_promote(true, 60)").await.unwrap();
    }

    /// Sends a signal to all of its processes.
    pub(crate) fn signal(&self, signal: Signal) {
        let postmaster = self.running.as_ref().unwrap().0.id();
        let children = std::fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).unwrap();
        let children = children.split_whitespace().map(|id| id.parse().unwrap());
        for id in children.chain([i32::try_from(postmaster).unwrap()]) {
            // A child may have ended meanwhile.
            let _gone = nix::sys::signal::kill(Pid::from_raw(id), signal);
        }
    }

    /// As a machine that loses power would end it.
    pub(crate) fn kill(&mut self) {
        let Some((mut child, keeper)) = self.running.take() else { return };
        let _gone = kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGQUIT);
        child.wait().unwrap();
        end(keeper);
    }

    /// Ends one session's process with SIGKILL: the postmaster stays and starts everything else anew.
    pub(crate) async fn crash(&self) {
        let client = connect(&self.url()).await;
        let pid: i32 = client.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        let way = connector(&self.url());
        until("the crash has ended every session", || async { client.is_closed() }).await;
        until("the server takes connections again", || async { way.connect().await.is_ok() }).await;
    }
}

fn end(mut keeper: Child) {
    drop(keeper.stdin.take());
    keeper.wait().unwrap();
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}
