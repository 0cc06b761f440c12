//! A Redis of one test: the real one, on a socket in a folder of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::until;

/// A `redis-server` that is killed with this. It can be killed and started again in between; what it knew is then lost.
pub(crate) struct TestRedis {
    program: PathBuf,
    folder: tempfile::TempDir,
    options: Vec<String>,
    child: Option<Child>,
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    places.map(|place| place.join("redis-server")).find(|program| program.is_file())
}

impl TestRedis {
    /// Starts one with these options; none where Redis is not installed.
    pub(crate) async fn start(options: &[&str]) -> Option<Self> {
        let Some(program) = program() else {
            let why = "skipped: Redis is not installed (Debian: apt-get install redis-server)\n";
            std::io::stderr().write_all(why.as_bytes()).unwrap();
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut redis = Self { program, folder, options, child: None };
        redis.revive().await;
        Some(redis)
    }

    /// The folder that it lies in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// How to reach it.
    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Starts it again, empty, where it was.
    pub(crate) async fn revive(&mut self) {
        let _gone = std::fs::remove_file(self.socket());
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let child = Command::new(&self.program)
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning"])
            .arg("--unixsocket")
            .arg(self.socket())
            .arg("--dir")
            .arg(self.folder.path())
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let socket = self.socket();
        let log = self.folder.path().join("log");
        until(&format!("Redis takes connections: {}", log.display()), || async {
            tokio::net::UnixStream::connect(&socket).await.is_ok()
        })
        .await;
    }

    /// SIGKILL, and waits for its end.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // One that has ended cannot be killed again; one that is frozen can.
            let _ended = child.kill();
            let _reaped = child.wait();
        }
    }

    /// Stops it where it stands: its socket goes on taking connections and bytes.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.as_ref().unwrap().id()).unwrap();
        kill(Pid::from_raw(id), signal).unwrap();
    }

    /// A connection that says what it is told.
    pub(crate) async fn connect(&self) -> redis::aio::MultiplexedConnection {
        redis::Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        self.kill();
    }
}
