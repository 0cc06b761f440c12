//! `rowcast dev` as a newcomer meets it: one command, and it survives what happens to it.

use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::http::request;
use crate::support::{PATIENCE, binary, quick_folder, run, text, until};

struct Dev {
    child: Child,
    lines: Vec<String>,
}

impl Dev {
    /// Starts it and reads what it says, up to the line that begins with `ready`.
    async fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[]).await
    }

    async fn start_with(folder: &Path, more: &[&str]) -> Self {
        let usual = ["dev", "--listen", "127.0.0.1:0", "--dir", folder.to_str().unwrap()];
        let command = binary(&[&usual, more].concat(), &[]);
        let mut command = Command::from(command);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = Vec::new();
        while !lines.last().is_some_and(|l: &String| l.starts_with("ready")) {
            let line = tokio::time::timeout(PATIENCE, output.next_line()).await.unwrap().unwrap();
            lines.push(line.unwrap_or_else(|| panic!("it ended before it was ready, after {lines:?}")));
        }
        Self { child, lines }
    }

    fn said(&self, label: &str) -> &str {
        self.lines.iter().find_map(|l| l.strip_prefix(label)).unwrap().trim()
    }

    async fn is_ready(&self) {
        let address = self.said("server ").strip_prefix("http://").unwrap();
        until("it is ready", || async { request(address, "GET", "/health/ready", &[], b"").await.status == 200 }).await;
    }

    /// Runs the line that it printed for the terminal.
    async fn psql(&self, more: &str) -> String {
        let line = format!("{} {more}", self.said("psql "));
        let answer = Command::new("sh").args(["-c", &line]).output().await.unwrap();
        assert!(answer.status.success(), "{}", text(&answer.stderr));
        text(&answer.stdout)
    }

    async fn end(mut self, signal: Signal) -> Option<i32> {
        kill(Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()), signal).unwrap();
        tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap().code()
    }
}

#[tokio::test]
async fn one_command_serves_again_and_again_with_its_data() {
    let folder = quick_folder("rowcast-test-");
    let folder = folder.path().join(".rowcast");
    let dev = Dev::start(&folder).await;
    dev.is_ready().await;
    assert_eq!(dev.said("admin token ").split('.').count(), 3);
    let follow = format!("{} --cursor earliest --once --json", dev.said("follow "));
    let first = Command::new("sh").args(["-c", dev.said("first event ")]).output().await.unwrap();
    assert!(text(&first.stdout).contains("{\"text\": \"hello\"}"), "{}", text(&first.stderr));
    // The stream has it a moment after the commit.
    until("the stream has the event", || async {
        let followed = Command::new("sh").args(["-c", &follow]).output().await.unwrap();
        let event: serde_json::Value = serde_json::from_slice(&followed.stdout).unwrap_or_default();
        event["seq"] == 1 && event["payload"]["text"] == "hello"
    })
    .await;

    let second = run(&["dev", "--listen", "127.0.0.1:0", "--dir", folder.to_str().unwrap()], &[]).await;
    assert_eq!(second.status.code(), Some(1));
    let pid = dev.child.id().unwrap().to_string();
    assert!(text(&second.stderr).contains(&pid), "{}", text(&second.stderr));

    dev.end(Signal::SIGKILL).await;
    let dev = Dev::start(&folder).await;
    dev.is_ready().await;
    assert_eq!(dev.psql("-Atc 'select count(*) from rowcast.events'").await, "1\n");
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
    assert!(!folder.join("cluster/postmaster.pid").exists(), "Postgres goes when it goes");

    let dev = Dev::start(&folder).await;
    assert_eq!(dev.psql("-Atc 'select max(seq) from rowcast.query_events()'").await, "1\n");
    assert_eq!(dev.end(Signal::SIGTERM).await, Some(0));
}

#[tokio::test]
async fn with_demo_there_is_something_to_look_at() {
    let folder = quick_folder("rowcast-test-");
    let dev = Dev::start_with(&folder.path().join(".rowcast"), &["--demo"]).await;
    let told = "-Atc \"select exists (select from rowcast.events where type = 'order.placed') \
                and exists (select from rowcast.events where type = 'decision.made')\"";
    until("the demo plays", || async { dev.psql(told).await == "t\n" }).await;
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
}
