//! A node in a process of its own: the real tail and pages, and a reader that writes down all that it is given.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rowcast::db::{Database, Lane};
use rowcast::shutdown::Shutdown;
use rowcast::tail::pages::{Limits, Pages, PostgresLoad, Seqs};
use rowcast::tail::{Tail, TailCounts};
use tokio::sync::watch;

use crate::support::connector;

const URL: &str = "TORTURE_NODE_URL";
const FILE: &str = "TORTURE_NODE_FILE";

/// One node as the test sees it, through all its incarnations.
pub(crate) struct NodeProcess {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    url: String,
    folder: PathBuf,
    process: Option<(Child, ChildStdin, std::thread::JoinHandle<()>)>,
    /// The seq of the newest event in its file.
    pub(crate) at: watch::Sender<i64>,
    /// Whether it has hushed the bell.
    pub(crate) hushed: watch::Sender<bool>,
    counts: Arc<Mutex<Vec<[u64; 5]>>>,
    pub(crate) starts: u64,
}

impl NodeProcess {
    pub(crate) fn start(number: usize, url: &str, folder: &Path) -> Self {
        let name = format!("torture_node_{number}");
        let mut node = Self {
            file: folder.join(&name),
            url: format!("{url}?application_name={name}"),
            name,
            folder: folder.to_path_buf(),
            process: None,
            at: watch::Sender::new(0),
            hushed: watch::Sender::new(false),
            counts: Arc::default(),
            starts: 0,
        };
        node.resume();
        node
    }

    /// Starts the process, which goes on from its file.
    pub(crate) fn resume(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(self.file.with_extension("log")).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "torture::node_process::a_node", "--ignored", "--nocapture"])
            .env(URL, &self.url)
            .env(FILE, &self.file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        std::fs::write(self.folder.join("nodes").join(child.id().to_string()), "").unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (at, counts) = (self.at.clone(), Arc::clone(&self.counts));
        let hushed = self.hushed.clone();
        let ear = std::thread::spawn(move || {
            let mut last = [0; 5];
            for line in stdout.lines().map_while(Result::ok) {
                if let Some(seq) = line.strip_prefix("at ") {
                    let seq = seq.parse().unwrap_or(0);
                    at.send_if_modified(|at| std::mem::replace(at, seq) != seq);
                } else if let Some(now) = line.strip_prefix("hushed ") {
                    hushed.send_replace(now == "true");
                } else if let Some(numbers) = line.strip_prefix("counts ") {
                    for (place, number) in last.iter_mut().zip(numbers.split(' ')) {
                        *place = number.parse().unwrap_or(*place);
                    }
                }
            }
            hushed.send_replace(false);
            counts.lock().unwrap().push(last);
        });
        self.process = Some((child, stdin, ear));
        self.starts += 1;
    }

    fn signal(&self, signal: Signal) {
        let (child, ..) = self.process.as_ref().unwrap();
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    }

    /// SIGKILL, wherever it is.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait();
    }

    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Asks it to shut down, and waits for its end.
    pub(crate) fn stop(&mut self) {
        let (_, stdin, _) = self.process.as_mut().unwrap();
        stdin.write_all(b"stop\n").unwrap();
        self.wait();
    }

    fn wait(&mut self) {
        let (mut child, stdin, ear) = self.process.take().unwrap();
        child.wait().unwrap();
        drop(stdin);
        ear.join().unwrap();
        let _ = std::fs::remove_file(self.folder.join("nodes").join(child.id().to_string()));
    }

    /// What all its incarnations counted, as far as they lived to tell it.
    pub(crate) fn counts(&self) -> [u64; 5] {
        let mut sum = [0; 5];
        for counts in self.counts.lock().unwrap().iter() {
            for (sum, count) in sum.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        sum
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.file.with_extension("log")).unwrap_or_default()
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        if let Some((child, ..)) = &mut self.process {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn say(line: &str) {
    // A closed pipe means that the test is over, and then so is this process.
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[test]
#[ignore = "not a test: the process that the torture starts, stops and kills"]
fn a_node() {
    let (Ok(url), Ok(file)) = (std::env::var(URL), std::env::var(FILE)) else { return };
    let _set_once = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).try_init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shutdown = Shutdown::new();
    let asked = shutdown.clone();
    std::thread::spawn(move || {
        let mut words = String::new();
        let mut byte = [0];
        while std::io::stdin().read(&mut byte).is_ok_and(|read| read == 1) {
            words.push(char::from(byte[0]));
            if words.ends_with("stop\n") {
                asked.cancel();
            }
        }
        // The test has ended, however it did.
        std::process::exit(2);
    });
    runtime.block_on(run(&url, Path::new(&file), shutdown));
}

async fn run(url: &str, file: &Path, shutdown: Shutdown) {
    let connector = connector(url);
    let database = Database::new(connector.clone(), 4).unwrap();
    let (pages, writer) = Pages::new(PostgresLoad::new(database.clone()), Seqs, Limits::within(64 << 20));
    let tail = Tail::new(connector, database.clone(), writer, None);
    let mut counts = tail.counts();
    let mut status = tail.status();
    let hushing = async move {
        let mut hushed = false;
        while status.wait_for(|now| now.hushed != hushed).await.is_ok() {
            hushed = !hushed;
            say(&format!("hushed {hushed}"));
        }
    };
    tokio::spawn(hushing);
    let tell = move |counts: &TailCounts| {
        let TailCounts { polls, hushes, rings, connections, resets, .. } = counts;
        say(&format!("counts {polls} {hushes} {rings} {connections} {resets}"));
    };
    let tailing = tokio::spawn(tail.run(shutdown.clone()));
    let reading = tokio::spawn(read(pages, database, DeliveryLog::open(file), shutdown.clone()));
    let telling = tokio::spawn(async move {
        loop {
            let ended = tokio::time::timeout(Duration::from_millis(300), shutdown.cancelled()).await.is_ok();
            tell(&counts.borrow_and_update());
            if ended {
                return;
            }
        }
    });
    tailing.await.unwrap();
    reading.await.unwrap();
    telling.await.unwrap();
}

/// The file of what was delivered: a line for each event, its seq and the tag of its id.
struct DeliveryLog {
    file: File,
    /// The last event written.
    last: Option<(i64, String)>,
}

impl DeliveryLog {
    /// Opens it, without the line that a kill has cut off.
    fn open(path: &Path) -> Self {
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        file.set_len(whole as u64).unwrap();
        let last = text[..whole].lines().rfind(|line| !line.starts_with("lost")).map(|line| {
            let (seq, tag) = line.split_once(' ').unwrap();
            (seq.parse().unwrap(), tag.to_owned())
        });
        Self { file, last }
    }

    fn write(&mut self, lines: &str) {
        self.file.write_all(lines.as_bytes()).unwrap();
    }

    fn cursor(&self) -> i64 {
        self.last.as_ref().map_or(0, |last| last.0)
    }
}

/// Walks the pages, as a session will do.
async fn read(pages: Pages<Seqs>, database: Database, mut book: DeliveryLog, shutdown: Shutdown) {
    let mut position = pages.subscribe();
    let mut cursor = book.cursor();
    let mut epoch = pages.position().epoch;
    say(&format!("at {cursor}"));
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            moved = position.wait_for(|p| p.epoch != epoch || p.head > cursor) => drop(moved.unwrap()),
        }
        let now = pages.position().epoch;
        if now != epoch {
            if !proven(&database, &mut book, &shutdown).await {
                return;
            }
            (epoch, cursor) = (now, book.cursor());
            continue;
        }
        let page = match pages.page_after(cursor).await {
            // One of another history is looked at after the cursor has been proven.
            Ok(page) if page.epoch() == epoch => page,
            Ok(_) => continue,
            Err(error) => {
                tracing::info!(%error, cursor, "no page");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let mut lines = String::new();
        for event in page.after(cursor).flat_map(|part| part.events()) {
            let id = event.id.simple().to_string();
            let tag = id[24..].to_owned();
            lines.push_str(&format!("{} {tag}\n", event.seq));
            book.last = Some((event.seq, tag));
        }
        if !lines.is_empty() {
            book.write(&lines);
            say(&format!("at {}", book.cursor()));
        }
        cursor = cursor.max(page.upto());
    }
}

/// After the history was declared another: whether the event of the cursor is still the one that it was. In this test it
/// must be, since nothing that was committed is ever lost. `false` is the shutdown.
async fn proven(database: &Database, book: &mut DeliveryLog, shutdown: &Shutdown) -> bool {
    let Some((seq, tag)) = book.last.clone() else { return true };
    tracing::info!(seq, "another history: proving the cursor");
    loop {
        let sql = format!("select right(id::text, 8) from rowcast.events where seq = {seq}");
        let asked = database.run(Lane::Read, async |client| client.query(&sql, &[]).await);
        if let Ok(Ok(rows)) = asked.await {
            let found: Option<String> = rows.first().map(|row| row.get(0));
            if found.as_deref() != Some(&tag) {
                book.write(&format!("lost history at {seq} {tag}: {found:?}\n"));
            }
            return true;
        }
        tokio::select! {
            () = shutdown.cancelled() => return false,
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
    }
}
