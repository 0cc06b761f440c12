//! A server in a process of its own, to be killed.

use std::net::TcpListener;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::TcpStream;

use super::{JWT_SECRET, TestServer, binary, until};

/// A server that is killed and started again at the same place.
pub(crate) struct RestartedServer {
    settings: Vec<(String, String)>,
    pub(crate) place: String,
    running: Option<Child>,
}

impl RestartedServer {
    pub(crate) fn new(url: &str) -> Self {
        let rates = "connect=1000000/s,private=1000000/s,snapshot=1000000/s";
        Self::with(url, &[("ROWCAST_RATE_LIMITS", rates), ("ROWCAST_HEARTBEAT", "1s")])
    }

    /// A server with these settings.
    pub(crate) fn with(url: &str, settings: &[(&str, &str)]) -> Self {
        let place = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let own = [
            ("DATABASE_URL", url),
            ("ROWCAST_LISTEN", &place),
            ("ROWCAST_JWT_SECRET", JWT_SECRET),
            ("ROWCAST_LOG", "warn"),
        ];
        let settings = own.iter().chain(settings).map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut server = Self { settings, place, running: None };
        server.start();
        server
    }

    /// The next start is on this database, as after a restore.
    pub(crate) fn move_to(&mut self, url: &str) {
        self.settings.retain(|(name, _)| name != "DATABASE_URL");
        self.settings.push(("DATABASE_URL".to_owned(), url.to_owned()));
    }

    pub(crate) fn start(&mut self) {
        let environment: Vec<_> = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let child = binary(&["serve"], &environment).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.running = Some(child);
    }

    /// Waits until it answers that it is ready.
    pub(crate) async fn ready(&self) {
        let server = TestServer::at(&format!("http://{}", self.place));
        until("the server is ready", || async {
            TcpStream::connect(&self.place).await.is_ok() && server.get("/health/ready").await.status == 200
        })
        .await;
    }

    /// Sends it a signal, such as one that stops it where it stands.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.running.as_ref().unwrap().id()).unwrap();
        kill(Pid::from_raw(id), signal).unwrap();
    }

    pub(crate) fn kill(&mut self) {
        let mut child = self.running.take().unwrap();
        // SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Somebody's outgoing connection may have taken the port meanwhile: then the server has ended, and tries again.
    pub(crate) fn tend(&mut self) {
        let ended = self.running.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
        if ended {
            self.start();
        }
    }
}

impl Drop for RestartedServer {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.kill();
        }
    }
}
