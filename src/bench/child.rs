//! The server under test, in a process of its own, so that its time and memory can be told from those of the load.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::error::BenchError;

/// How long a server may take until it is ready.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Ticks of a second in `/proc`: what Linux tells programs, whatever it counts in itself.
const TICKS: u32 = 100;

/// A server in a process of its own. It ends with this.
pub(super) struct Server {
    child: Child,
    pub(super) address: String,
}

impl Server {
    /// Starts `rowcast` with these words and variables; it says where it listens.
    pub(super) async fn start(args: &[&str], environment: &[(&str, &str)]) -> Result<Self, BenchError> {
        let mut command = Command::new(std::env::current_exe()?);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ROWCAST_") || name == "DATABASE_URL") {
            command.env_remove(name);
        }
        command.args(args).envs(environment.iter().copied());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let out = child.stdout.take().ok_or_else(|| std::io::Error::other("the server has no output"))?;
        let mut lines = BufReader::new(out).lines();
        let line = tokio::time::timeout(START_LIMIT, lines.next_line()).await.map_err(std::io::Error::other)??;
        let address = line.as_deref().and_then(|line| line.split_once("http://"));
        let address = address.ok_or_else(|| std::io::Error::other("the server does not say where it listens"))?.1;
        Ok(Self { address: address.trim().to_owned(), child })
    }

    /// Waits until it is ready to serve.
    pub(super) async fn ready(&self) -> Result<(), BenchError> {
        let begun = Instant::now();
        while begun.elapsed() < START_LIMIT {
            if self.is_ready().await.unwrap_or(false) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(std::io::Error::other("the server does not become ready").into())
    }

    async fn is_ready(&self) -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.write_all(b"GET /health/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer.starts_with("HTTP/1.1 200"))
    }

    fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// The time that it has had.
    pub(super) fn cpu(&self) -> Duration {
        cpu_of(self.pid())
    }

    /// The bytes that it has in memory.
    pub(super) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
    }
}

/// The time that this process has had.
pub(super) fn own_cpu() -> Duration {
    cpu_of(std::process::id())
}

/// The time that the processes of a Postgres have had, as far as they still run.
pub(super) fn postgres_cpu(postmaster: u32) -> Duration {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let own = pids.filter(|pid| *pid == postmaster || stat(*pid).is_some_and(|stat| stat.parent == postmaster));
    own.map(cpu_of).sum()
}

struct Stat {
    parent: u32,
    ticks: u32,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(PathBuf::from(format!("/proc/{pid}/stat"))).ok()?;
    // The name of the program, in parentheses, may hold anything.
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let field = |index: usize| fields.get(index)?.parse::<u32>().ok();
    Some(Stat { parent: field(1)?, ticks: field(11)? + field(12)? })
}

fn cpu_of(pid: u32) -> Duration {
    stat(pid).map_or(Duration::ZERO, |stat| Duration::from_secs(1) * stat.ticks / TICKS)
}
