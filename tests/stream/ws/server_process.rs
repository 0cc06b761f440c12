//! A server in a process of its own, to be stopped, frozen and ended by signals.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{JWT_SECRET, binary, until};

/// Ends with this.
pub(super) struct Process {
    child: Child,
    pub(super) address: String,
}

impl Process {
    /// `rowcast serve` on a database, once it is ready.
    pub(super) async fn serve(url: &str, more: &[(&str, &str)]) -> Self {
        let usual = [
            ("DATABASE_URL", url),
            ("ROWCAST_JWT_SECRET", JWT_SECRET),
            ("ROWCAST_LISTEN", "127.0.0.1:0"),
            ("ROWCAST_RATE_LIMITS", crate::support::NO_LIMITS),
        ];
        let mut command = binary(&["serve"], &[&usual, more].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = tokio::task::spawn_blocking(move || lines.next().unwrap().unwrap()).await.unwrap();
        let address = first.rsplit_once("//").unwrap().1.to_owned();
        let process = Self { child, address };
        until("it is ready", || async { process.get("/health/ready").await.0 == 200 }).await;
        process
    }

    /// Status and body of a GET.
    pub(super) async fn get(&self, path: &str) -> (u16, String) {
        let answer = crate::support::raw_http::request(&self.address, "GET", path, &[], b"").await;
        (answer.status, answer.body)
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Its exit code, and all that it has logged.
    pub(super) async fn ended(mut self) -> (Option<i32>, String) {
        let mut stderr = self.child.stderr.take().unwrap();
        let log = tokio::task::spawn_blocking(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).unwrap();
            log
        });
        let log = tokio::time::timeout(crate::support::PATIENCE, log).await.expect("it did not end").unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
