//! The Postgres that is restarted and killed, in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rowcast::cluster::{Binaries, Cluster, Search, find};

use crate::support::quick_folder;

/// Only processes die, never the machine. The log of the journal is written late, so that a crash loses more of it. Whole pages are in it:
/// SIGKILL may end the write of a page in its middle.
const SETTINGS: &[(&str, &str)] = &[("fsync", "off"), ("max_connections", "150"), ("wal_writer_delay", "2s")];

pub(crate) struct CrashingPostgres {
    cluster: Option<Cluster>,
    bins: Binaries,
    pub(crate) folder: PathBuf,
    pub(crate) url: String,
    keeper: Child,
}

/// What the keeper does when the test is over, whatever ended it: it ends the nodes, stopped ones too, and the server,
/// which may be on its way up at that moment, and removes the folder.
const KEEPER: &str = r#"
cat >/dev/null
for pid in $(ls "$0/nodes" 2>/dev/null); do
    if tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q torture::node; then kill -KILL "$pid"; fi
done
quiet=0
while [ "$quiet" -lt 20 ]; do
    pid=$(head -n 1 "$0/cluster/postmaster.pid" 2>/dev/null)
    if [ -n "$pid" ] && [ "/proc/$pid/cwd" -ef "$0/cluster" ]; then kill -QUIT "$pid"; quiet=0; else quiet=$((quiet + 1)); fi
    sleep 0.1
done
rm -rf "$0"
"#;

impl CrashingPostgres {
    pub(crate) fn start() -> Self {
        let folder = quick_folder("rowcast-torture-").keep();
        std::fs::create_dir(folder.join("nodes")).unwrap();
        let keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let bins = find(&Search::from_env(&folder)).unwrap();
        let cluster = Cluster::open_with(&folder, &bins, SETTINGS).unwrap();
        let url = cluster.url();
        Self { cluster: Some(cluster), bins, folder, url, keeper }
    }

    /// Ends it in this way, and starts it again at the same address.
    pub(crate) fn restart(&mut self, way: StopMode) {
        let cluster = self.cluster.take().unwrap();
        let (pid, data) = (cluster.pid(), cluster.data_dir().to_path_buf());
        match way {
            StopMode::Fast => cluster.stop().unwrap(),
            StopMode::Immediate => self.signal(cluster, pid, &data, Signal::SIGQUIT),
            StopMode::Kill => self.signal(cluster, pid, &data, Signal::SIGKILL),
        }
        let begun = Instant::now();
        let cluster = loop {
            match Cluster::open_with(&self.folder, &self.bins, SETTINGS) {
                Ok(cluster) => break cluster,
                Err(_) if begun.elapsed() < Duration::from_secs(60) => std::thread::sleep(Duration::from_millis(100)),
                Err(error) => panic!("the server does not come back: {error}"),
            }
        };
        assert_eq!(cluster.url(), self.url, "somebody took the port meanwhile: run this again");
        self.cluster = Some(cluster);
    }

    fn signal(&self, cluster: Cluster, pid: i32, data: &Path, signal: Signal) {
        cluster.leave_running();
        kill(Pid::from_raw(pid), signal).unwrap();
        let begun = Instant::now();
        while lives(pid) {
            assert!(begun.elapsed() < Duration::from_secs(30), "pid {pid} survives {signal} in {}", data.display());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Stops it for good and waits for the keeper to clean up.
    pub(crate) fn end(mut self) {
        self.cluster.take().unwrap().stop().unwrap();
        drop(self.keeper.stdin.take());
        self.keeper.wait().unwrap();
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum StopMode {
    Fast,
    Immediate,
    Kill,
}

/// Not ended, nor ended and waiting for its parent to notice.
fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
