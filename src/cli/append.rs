//! `rowcast append`: one event from the arguments, or NDJSON from standard input.
//!
//! A thread reads lines into a short channel; the batch under way is all that is held beside it. When the database is
//! slow the channel fills, the thread stops reading, and whoever writes into the pipe waits.

use std::io::{BufRead, IsTerminal, Read};
use std::time::Duration;

use clap::ArgMatches;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{Failure, output};
use crate::config::Source;
use crate::db::{Connector, DatabaseError, DatabaseUrl};
use crate::journal::{self, AppendError, MAX_BATCH, NewEvent, SQL_SCOPE};
use crate::shutdown;

/// How long a batch waits for its next line.
const BATCH_WAIT: Duration = Duration::from_millis(100);
/// A batch that holds so many bytes is committed.
const BATCH_BYTES: usize = 4 << 20;
/// The longest line.
const MAX_LINE: usize = 1 << 20;
/// How many lines are read ahead of the batch.
const AHEAD: usize = 16;
/// How often progress is shown.
const PROGRESS: Duration = Duration::from_millis(500);

/// The flags that say something of one event, and so make no sense beside a stream of them.
const OF_ONE: [&str; 6] = ["level", "symbol", "trade-id", "subject", "owner", "dedupe-key"];

/// Appends and prints the seqs.
pub(super) async fn run(source: &Source, args: &ArgMatches) -> Result<(), Failure> {
    let text = |name: &str| args.get_one::<String>(name).cloned();
    let kind = text("type").unwrap_or_default();
    if kind == "-" {
        if text("json").is_some() || args.get_flag("public-safe") || OF_ONE.iter().any(|name| args.contains_id(name)) {
            return Err(Failure::Usage("with - each line says it all: no JSON and no flags of an event".to_owned()));
        }
        return from_stdin(source).await;
    }
    let mut event = NewEvent::new(kind);
    if let Some(json) = text("json") {
        event.payload = RawValue::from_string(json)
            .map_err(|e| Failure::Usage(format!("JSON is not valid JSON, at its column {}", e.column())))?;
    }
    event.public_safe = args.get_flag("public-safe");
    (event.level, event.symbol, event.subject) = (text("level"), text("symbol"), text("subject"));
    (event.owner, event.dedupe_key) = (text("owner"), text("dedupe-key"));
    event.trade_id = args.get_one::<Uuid>("trade-id").copied();
    let client = connect(source).await?;
    output::print(&journal::append(&client, SQL_SCOPE, &event).await?.seq.to_string());
    Ok(())
}

async fn connect(source: &Source) -> Result<Client, Failure> {
    let connector = Connector::new(DatabaseUrl::parse(&source.database_url()?)?)?;
    let (client, _carrier) = connector.connect().await.map_err(DatabaseError::from)?;
    Ok(client)
}

async fn from_stdin(source: &Source) -> Result<(), Failure> {
    let stop = shutdown::signals()?;
    let client = connect(source).await?;
    let (sender, lines) = mpsc::channel(AHEAD);
    // A thread of its own, not one of the runtime's: a read that never ends must not hold up the end of the process.
    std::thread::Builder::new().name("stdin".to_owned()).spawn(move || read_lines(&sender))?;
    let mut writer = Writer { client, appended: 0, shown: progress_wanted().then(Instant::now) };
    let mut batches = Batches { lines, next: None };
    let mut stop = std::pin::pin!(stop);
    loop {
        let (batch, end) = batches.next(stop.as_mut()).await;
        writer.write(&batch).await?;
        match end {
            None => {}
            Some(End::Done) => return Ok(()),
            Some(End::Bad(number, why)) => return Err(Failure::Line(number, why)),
            Some(End::Stopped) => return Err(Failure::Stopped(writer.appended)),
        }
    }
}

/// Where the seqs are seen, they are the progress.
fn progress_wanted() -> bool {
    std::io::stderr().is_terminal() && !std::io::stdout().is_terminal()
}

/// A line by its number, from 1.
type Line = (u64, Result<Vec<u8>, String>);

/// Reads lines until the end, the first that cannot be read, or nobody wants them.
fn read_lines(sender: &mpsc::Sender<Line>) {
    let mut input = std::io::stdin().lock();
    for number in 1.. {
        let mut line = Vec::new();
        // One byte more than the longest line with its end, so that a longer one is seen to be.
        let limit = u64::try_from(MAX_LINE + 2).unwrap_or(u64::MAX);
        let read = match input.by_ref().take(limit).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) => Ok(()),
            Err(error) => Err(format!("it cannot be read: {error}")),
        };
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        let read = read
            .and_then(|()| if line.len() > MAX_LINE { Err("it is longer than 1 MiB".to_owned()) } else { Ok(line) });
        let failed = read.is_err();
        if sender.blocking_send((number, read)).is_err() || failed {
            return;
        }
    }
}

/// Events with the numbers of their lines.
type Batch = Vec<(u64, NewEvent)>;

/// Why there is no next batch.
enum End {
    Done,
    Bad(u64, String),
    Stopped,
}

/// Gathers lines into batches.
struct Batches {
    lines: mpsc::Receiver<Line>,
    next: Option<Instant>,
}

impl Batches {
    /// The next batch, and the end if it is the last. What was read before a bad line or a stop is still in it.
    async fn next(&mut self, mut stop: std::pin::Pin<&mut impl Future<Output = &'static str>>) -> (Batch, Option<End>) {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        self.next = None;
        while batch.len() < MAX_BATCH && bytes < BATCH_BYTES {
            let line = tokio::select! {
                biased;
                _ = stop.as_mut() => return (batch, Some(End::Stopped)),
                line = self.lines.recv() => line,
                () = sleep_until(self.next) => return (batch, None),
            };
            let event = match line {
                None => return (batch, Some(End::Done)),
                Some((number, Err(why))) => return (batch, Some(End::Bad(number, why))),
                Some((_, Ok(line))) if line.trim_ascii().is_empty() => continue,
                Some((number, Ok(line))) => {
                    bytes += line.len();
                    NewEvent::from_json(&line).map(|event| (number, event)).map_err(|why| (number, why.to_string()))
                }
            };
            match event {
                Ok(event) => batch.push(event),
                Err((number, why)) => return (batch, Some(End::Bad(number, why))),
            }
            // The time runs from the first line of the batch.
            self.next.get_or_insert_with(|| Instant::now() + BATCH_WAIT);
        }
        (batch, None)
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

struct Writer {
    client: Client,
    appended: usize,
    shown: Option<Instant>,
}

impl Writer {
    /// Appends a batch. If the database refuses one of its events, those before it are appended all the same: then
    /// everything before the line that is named is stored, and nothing from it on.
    async fn write(&mut self, batch: &Batch) -> Result<(), Failure> {
        let events: Vec<NewEvent> = batch.iter().map(|(_, event)| event.clone()).collect();
        match self.append(&events).await {
            Err(AppendError::Refused(refusal)) => {
                let index = refusal.index.unwrap_or(0);
                if refusal.index.is_some() {
                    self.append(&events[..index]).await?;
                }
                let number = batch.get(index).map_or(0, |(number, _)| *number);
                Err(Failure::Line(number, refusal.to_string()))
            }
            Err(error) => Err(match (batch.first(), batch.last()) {
                (Some((first, _)), Some((last, _))) => Failure::Unsure(*first, *last, error.to_string()),
                _ => error.into(),
            }),
            Ok(()) => Ok(()),
        }
    }

    async fn append(&mut self, events: &[NewEvent]) -> Result<(), AppendError> {
        if events.is_empty() {
            return Ok(());
        }
        let appended = journal::append_batch(&self.client, SQL_SCOPE, events).await?;
        self.appended += appended.len();
        let seqs: Vec<String> = appended.iter().map(|a| a.seq.to_string()).collect();
        output::print(&seqs.join("\n"));
        if let Some(shown) = &mut self.shown
            && shown.elapsed() >= PROGRESS
        {
            *shown = Instant::now();
            output::tell(&format!("{} lines appended", self.appended));
        }
        Ok(())
    }
}
