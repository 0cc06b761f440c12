//! The tail's loop: one connection after another, each a `visit` with its `probe`, and the `memory` that outlives them.

mod batch;
mod memory;
mod probe;
mod visit;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Notify, watch};
use tokio_postgres::Client;

use self::memory::Memory;
use self::visit::Visit;
use super::pages::{Misstep, PageWriter, Render};
use super::status::{Counts, Reason, Stalled, Status, TailTimes};
use crate::clock::jitter;
use crate::db::{Connector, Database, Trouble};
use crate::journal::{JournalIdentity, read_identified};
use crate::shutdown::Shutdown;

/// How long one statement may take before the connection is taken for dead. Rows of events may take longer together, and each
/// must come this soon ([`crate::journal::SILENCE`]): a slow link is no dead one.
const POLL_LIMIT: Duration = Duration::from_secs(5);
/// After a lost connection: the first wait, which doubles up to the longest.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// A connection that has handed out nothing has proven itself when it has stayed this long: one that fails at once, again
/// and again, is waited for ever longer.
const PROVEN_AFTER: Duration = Duration::from_secs(5);

/// The tail of one node.
#[derive(Debug)]
pub struct Tail<R: Render> {
    connector: Connector,
    /// Probes go out here: one that came back on its own connection would prove nothing about a pooler.
    database: Database,
    pages: PageWriter<R>,
    /// How long a transaction may hold the stream back before its session is ended, idle or not; for ever, by default.
    blocker_limit: Option<Duration>,
    status: watch::Sender<Status>,
    counts: watch::Sender<Counts>,
    times: Arc<TailTimes>,
    /// When the newest question began that the followed journal has answered.
    answered: watch::Sender<Option<Instant>>,
    memory: Memory,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("{0}")]
    Trouble(#[from] Trouble),
    #[error("a statement took longer than {POLL_LIMIT:?}")]
    Slow,
    #[error("the connection was closed")]
    Closed,
    /// A fault of ours: what is in memory is dropped, so that nothing wrong is handed out.
    #[error("the pages refuse what was read: {0}")]
    Misstep(#[from] Misstep),
    #[error("this is a standby, and its lock table is not the primary's: the tail needs the primary")]
    Standby,
    /// A pooler, a proxy, a restart of the server or a restore: what is known of its transactions is void.
    #[error("another server or another journal answers on this connection")]
    Moved,
    #[error(
        "the sequence was drawn to {drawn}, and {decided} was handed out: the database was restored, or lost commits"
    )]
    Behind { drawn: i64, decided: i64 },
    #[error(
        "the head that was written down is {written}, and the sequence was drawn to {drawn} only: a restore that is not over, \
         or one that left the sequence out"
    )]
    Unfinished { written: i64, drawn: i64 },
    /// A crash took back numbers that were decided, and they were drawn again.
    #[error("events have taken numbers that were handed out as empty: the database lost them in a crash")]
    Redrawn,
}

impl From<tokio_postgres::Error> for Lost {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Trouble(error.into())
    }
}

/// The answer to statements that are quick, or the end of the connection.
async fn within<T, E>(asked: impl Future<Output = Result<T, E>>) -> Result<T, Lost>
where
    Lost: From<E>,
{
    Ok(tokio::time::timeout(POLL_LIMIT, asked).await.map_err(|_| Lost::Slow)??)
}

/// Reads with the identity of the journal that was read. What is read limits itself; what stands around it is quick.
async fn identified<T>(
    client: &Client,
    read: impl Future<Output = Result<T, Lost>>,
) -> Result<(T, JournalIdentity, i64), Lost> {
    let over = Notify::new();
    let read = async {
        let found = read.await;
        over.notify_one();
        found
    };
    let late = async {
        over.notified().await;
        tokio::time::sleep(POLL_LIMIT).await;
    };
    tokio::select! {
        found = read_identified(client, read) => found,
        () = late => Err(Lost::Slow),
    }
}

impl<R: Render> Tail<R> {
    /// A tail that hands out into these pages.
    pub fn new(
        connector: Connector,
        database: Database,
        pages: PageWriter<R>,
        blocker_limit: Option<Duration>,
    ) -> Self {
        let (status, counts, answered) = (watch::Sender::default(), watch::Sender::default(), watch::Sender::default());
        let (times, memory) = (Arc::default(), Memory::default());
        Self { connector, database, pages, blocker_limit, status, counts, times, answered, memory }
    }

    /// How it is doing, now and later.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// What it has done, now and later.
    pub fn counts(&self) -> watch::Receiver<Counts> {
        self.counts.subscribe()
    }

    /// How long its events and fences took.
    pub fn times(&self) -> Arc<TailTimes> {
        Arc::clone(&self.times)
    }

    /// When it last asked a question that was answered, and the answer proved to come from the journal that it follows.
    pub fn answered(&self) -> watch::Receiver<Option<Instant>> {
        self.answered.subscribe()
    }

    /// Follows the journal until the shutdown, whatever becomes of connections.
    ///
    /// On a thread of its own, with its connection: each of the few steps from a bell to an event would otherwise wake
    /// another thread, which costs more than the steps do. A panic there is a panic here, and whoever drops this future
    /// ends the thread too: a runtime waits for it.
    pub async fn run(self, shutdown: Shutdown) {
        let shutdown = shutdown.child_token();
        let _dropped = shutdown.clone().drop_guard();
        let follow = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(self.follow(shutdown)))
        };
        match tokio::task::spawn_blocking(follow).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the tail has no thread"),
            Err(ended) => {
                if let Ok(panic) = ended.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }

    async fn follow(mut self, shutdown: Shutdown) {
        let mut wait = RETRY_MIN;
        loop {
            let lost = match Visit::begin(&mut self).await {
                Ok(visit) => {
                    let (begun, newest) = (Instant::now(), self.memory.newest());
                    let stayed = visit.stay(&mut self, &shutdown).await;
                    if self.memory.newest() > newest || begun.elapsed() >= PROVEN_AFTER {
                        wait = RETRY_MIN;
                    }
                    match stayed {
                        Ok(()) => return,
                        Err(lost) => lost,
                    }
                }
                Err(lost) => lost,
            };
            if matches!(lost, Lost::Misstep(_) | Lost::Redrawn) {
                self.forget();
                self.count(|c| c.resets += u64::from(matches!(lost, Lost::Redrawn)));
            }
            let since = SystemTime::now();
            self.status.send_modify(|s| {
                let stalled = s.stalled.take().filter(|s| s.reason == Reason::Database);
                *s = Status {
                    stalled: stalled.or(Some(Stalled { since, reason: Reason::Database })),
                    ..Status::default()
                };
            });
            tracing::warn!(retry_in = ?wait, "the tail lost its connection: {lost}");
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait.mul_f64(jitter())) => {}
            }
            wait = (wait * 2).min(RETRY_MAX);
        }
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }
}
