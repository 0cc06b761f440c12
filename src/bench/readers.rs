//! The readers: Rowcast's own tail with someone who takes what it hands out, and the bare LISTEN client that it is
//! compared with. All of them run on the program's own runtime, as a server's tail does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::error::BenchError;
use crate::db::{Connector, Database, DatabaseError};
use crate::journal::StoredEvent;
use crate::shutdown::Shutdown;
use crate::tail::pages::{Limits, Pages, PostgresLoad, Seqs};
use crate::tail::{Hearing, Tail, TailCounts};

/// How long a reader may take to hear its first bell, or to come to the end of what was written.
const PATIENCE: Duration = Duration::from_secs(30);
/// The default of `ROWCAST_PAGE_CACHE`.
const PAGE_CACHE: u64 = 256 << 20;

/// At this moment everything up to this seq had been handed out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) upto: i64,
    pub(super) at: Instant,
}

/// A tail as a server runs it, and a reader that follows it.
pub(super) struct Follower {
    counts: watch::Receiver<TailCounts>,
    shutdown: Shutdown,
    running: JoinHandle<()>,
    cursor: watch::Receiver<i64>,
    reading: JoinHandle<(Vec<Mark>, u64)>,
    // The reader ends when this is dropped.
    end: Shutdown,
}

impl Follower {
    /// Returns when bells are known to reach it.
    pub(super) async fn start(connector: &Connector) -> Result<Self, BenchError> {
        let database = Database::new(connector.clone(), 4)?;
        let (pages, writer) = Pages::new(PostgresLoad::new(database.clone()), Seqs, Limits::within(PAGE_CACHE));
        let tail = Tail::new(connector.clone(), database, writer, None);
        let (mut status, counts) = (tail.status(), tail.counts());
        let (shutdown, end) = (Shutdown::new(), Shutdown::new());
        let running = tokio::spawn(tail.run(shutdown.clone()));
        let hears = status.wait_for(|status| status.connected && status.hearing == Hearing::Proven);
        let heard = tokio::time::timeout(PATIENCE, hears).await.is_ok_and(|heard| heard.is_ok());
        if !heard {
            shutdown.cancel();
            return Err(BenchError::Io(std::io::Error::other("bells do not reach the tail; is a pooler in the way?")));
        }
        let (come, cursor) = watch::channel(0);
        let reading = tokio::spawn(read(pages, come, end.clone()));
        Ok(Self { counts, shutdown, running, cursor, reading, end })
    }

    pub(super) fn counts(&self) -> TailCounts {
        *self.counts.borrow()
    }

    /// Waits until everything up to this seq was read, and ends: when it had come how far, and how many events.
    pub(super) async fn finish(mut self, upto: i64) -> Result<(Vec<Mark>, u64), BenchError> {
        let came = tokio::time::timeout(PATIENCE, self.cursor.wait_for(|cursor| *cursor >= upto)).await;
        let came = came.is_ok_and(|came| came.is_ok());
        self.end.cancel();
        self.shutdown.cancel();
        let read = (&mut self.reading).await.map_err(std::io::Error::other)?;
        (&mut self.running).await.map_err(std::io::Error::other)?;
        if came { Ok(read) } else { Err(late("the tail", upto)) }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.end.cancel();
        self.shutdown.cancel();
    }
}

/// Follows the pages as a session does: to the head, then asleep until it moves.
async fn read(pages: Pages<Seqs>, come: watch::Sender<i64>, end: Shutdown) -> (Vec<Mark>, u64) {
    let mut position = pages.subscribe();
    let (mut marks, mut events, mut cursor) = (Vec::new(), 0_u64, 0);
    loop {
        tokio::select! {
            biased;
            () = end.cancelled() => return (marks, events),
            moved = position.wait_for(|p| p.head > cursor) => if moved.is_err() { return (marks, events) },
        }
        let Ok(page) = pages.page_after(cursor).await else { continue };
        for part in page.after(cursor) {
            events += part.events().len() as u64;
        }
        cursor = cursor.max(page.upto());
        marks.push(Mark { upto: cursor, at: Instant::now() });
        come.send_replace(cursor);
    }
}

/// The classic's client: it hears a notification for every row and does nothing about it.
pub(super) struct Listener {
    heard: Arc<AtomicU64>,
    _client: Client,
}

impl Listener {
    pub(super) async fn start(connector: &Connector) -> Result<Self, BenchError> {
        let heard = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&heard);
        let count = move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        };
        let (client, _carrier) = connector.connect_listening(count).await.map_err(DatabaseError::from)?;
        client.batch_execute("listen classic").await.map_err(DatabaseError::from)?;
        Ok(Self { heard, _client: client })
    }

    pub(super) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }
}

/// A bare LISTEN client that selects each row by the seq that the notification names: on one connection, prepared, the
/// same columns into the same struct as the tail's.
pub(super) struct Fetcher {
    come: watch::Receiver<i64>,
    fetching: JoinHandle<Result<Vec<Mark>, DatabaseError>>,
    end: Shutdown,
}

impl Fetcher {
    pub(super) async fn start(connector: &Connector) -> Result<Self, BenchError> {
        let (heard, mut seqs) = mpsc::unbounded_channel::<i64>();
        let tell = move |notification: tokio_postgres::Notification| {
            if let Ok(seq) = notification.payload().parse() {
                let _ended = heard.send(seq);
            }
        };
        let (client, _carrier) = connector.connect_listening(tell).await.map_err(DatabaseError::from)?;
        client.batch_execute("listen classic").await.map_err(DatabaseError::from)?;
        let select = format!("select {}::text from rowcast.events where seq = $1", StoredEvent::COLUMNS);
        let select = client.prepare(&select).await.map_err(DatabaseError::from)?;
        let (came, come) = watch::channel(0);
        let end = Shutdown::new();
        let ending = end.clone();
        let fetching = tokio::spawn(async move {
            let mut marks = Vec::new();
            loop {
                let seq = tokio::select! {
                    () = ending.cancelled() => return Ok(marks),
                    seq = seqs.recv() => match seq {
                        Some(seq) => seq,
                        None => return Ok(marks),
                    },
                };
                let row = client.query_one(&select, &[&seq]).await?;
                let event = StoredEvent::from_row(&row)?;
                marks.push(Mark { upto: event.seq, at: Instant::now() });
                came.send_replace(event.seq);
            }
        });
        Ok(Self { come, fetching, end })
    }

    pub(super) async fn finish(mut self, upto: i64) -> Result<Vec<Mark>, BenchError> {
        let came = tokio::time::timeout(PATIENCE, self.come.wait_for(|seq| *seq >= upto)).await;
        let came = came.is_ok_and(|came| came.is_ok());
        self.end.cancel();
        let marks = (&mut self.fetching).await.map_err(std::io::Error::other)??;
        if came { Ok(marks) } else { Err(late("the bare client", upto)) }
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

fn late(who: &str, upto: i64) -> BenchError {
    BenchError::Io(std::io::Error::other(format!("{who} has not come to seq {upto} within {PATIENCE:?}")))
}
