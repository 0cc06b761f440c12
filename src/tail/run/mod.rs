//! The tail's loop: one `connection` after another, each with its `probe`, and the `state` that they share.

mod batch;
mod connection;
mod lost;
mod memory;
mod probe;
mod relayed;
mod resume;
mod stall_watch;
mod state;

use std::time::{Duration, Instant, SystemTime};

pub use self::state::Tail;

use self::connection::TailConnection;
use self::lost::LostConnection;
use self::relayed::RelayedConnection;
use self::state::Edge;
use super::pages::Render;
use super::relay::Source;
use super::status::{StallReason, Stalled, TailStatus};
use crate::clock::jitter;
use crate::shutdown::Shutdown;

/// The first wait after a lost connection, and the longest. The wait doubles with each connection that fails.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// The first wait of an edge before it asks whether a relay reports again, and the longest. It doubles whenever the copy was lost soon.
const REDIS_RETRY_MIN: Duration = Duration::from_millis(250);
const REDIS_RETRY_MAX: Duration = Duration::from_secs(10);
/// A connection that lasted this long sets the wait back to [`RETRY_MIN`], even if it handed out no event.
const PROVEN_AFTER: Duration = Duration::from_secs(5);

impl<R: Render> Tail<R> {
    /// Follows the journal until the shutdown, whatever becomes of connections.
    ///
    /// The tail and its connection run on a thread of their own: otherwise each of the few steps from a bell to an event would
    /// wake another thread, which costs more than the step. A panic on that thread is resumed here. Dropping this future
    /// ends the thread.
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
        let mut redis = RedisWait::default();
        loop {
            if let Some(edge) = self.edge.take() {
                let (edge, lost) = self.follow_copy(edge, &shutdown).await;
                let source = edge.source.clone();
                self.edge = Some(edge);
                let Err((lost, lasted)) = lost else { return };
                self.note_fallback(&lost, redis.after(lasted));
                self.forget_if_void(&lost);
                if lost.is_of_postgres() {
                    self.status.send_modify(|status| status.stalled = stalled_by_database(status));
                }
                redis.watch(source, &shutdown);
            }
            // An edge follows the journal itself until a relay reports again.
            let until = redis.until(&shutdown);
            let lost = match self.follow_journal(&until, &mut wait).await {
                Ok(()) if shutdown.is_cancelled() => return,
                Ok(()) => continue,
                Err(lost) => lost,
            };
            self.forget_if_void(&lost);
            self.status.send_modify(|status| {
                *status = TailStatus { stalled: stalled_by_database(status), ..TailStatus::default() };
            });
            tracing::warn!(retry_in = ?wait, "the tail lost its connection: {lost}");
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait.mul_f64(jitter())) => {}
            }
            wait = (wait * 2).min(RETRY_MAX);
        }
    }

    /// Follows the journal over one connection to Postgres until that is lost, or the time is over.
    async fn follow_journal(&mut self, until: &Shutdown, wait: &mut Duration) -> Result<(), LostConnection> {
        let connection = tokio::select! {
            begun = TailConnection::begin(self) => begun?,
            () = until.cancelled() => return Ok(()),
        };
        let (begun, newest) = (Instant::now(), self.memory.newest());
        let stayed = connection.follow(self, until).await;
        if self.memory.newest() > newest || begun.elapsed() >= PROVEN_AFTER {
            *wait = RETRY_MIN;
        }
        stayed
    }

    /// Follows the copy in Redis until that is lost; says then why, and after what time.
    async fn follow_copy(
        &mut self,
        mut edge: Edge,
        shutdown: &Shutdown,
    ) -> (Edge, Result<(), (LostConnection, Duration)>) {
        let begun = Instant::now();
        let stayed = tokio::select! {
            connected = Box::pin(RelayedConnection::begin(self, &edge.source)) => match connected {
                Ok(connection) => connection.follow(self, &mut edge.lists, shutdown).await,
                Err(lost) => Err(lost),
            },
            () = shutdown.cancelled() => Ok(()),
        };
        edge.lists.withdraw();
        (edge, stayed.map_err(|lost| (lost, begun.elapsed())))
    }

    fn note_fallback(&self, lost: &LostConnection, is_new: bool) {
        self.count(|c| c.fallbacks += 1);
        if is_new {
            tracing::warn!("live events come from Postgres until a relay reports again: {lost}");
        } else {
            tracing::debug!("live events still come from Postgres: {lost}");
        }
    }

    /// Drops the pages if what was handed out is void, or a move of the head was refused.
    fn forget_if_void(&mut self, lost: &LostConnection) {
        if matches!(lost, LostConnection::HeadMove(_) | LostConnection::Redrawn) {
            self.reset();
            self.count(|c| c.resets += u64::from(matches!(lost, LostConnection::Redrawn)));
        }
    }
}

/// The stall of a stream that waits for Postgres: the one of before, if it waited already.
fn stalled_by_database(status: &TailStatus) -> Option<Stalled> {
    let before = status.stalled.clone().filter(|stalled| stalled.reason == StallReason::Database);
    before.or_else(|| Some(Stalled { since: SystemTime::now(), reason: StallReason::Database }))
}

/// When an edge that reads Postgres tries Redis again.
#[derive(Debug)]
struct RedisWait {
    wait: Duration,
    is_known: bool,
    until: Option<Shutdown>,
}

impl Default for RedisWait {
    fn default() -> Self {
        Self { wait: REDIS_RETRY_MIN, is_known: false, until: None }
    }
}

impl RedisWait {
    /// Notes that the copy was lost after having been followed for this time. Returns true if that is news.
    fn after(&mut self, lasted: Duration) -> bool {
        let was_known = std::mem::replace(&mut self.is_known, true);
        if lasted >= PROVEN_AFTER {
            self.wait = REDIS_RETRY_MIN;
            return true;
        }
        self.wait = (self.wait * 2).min(REDIS_RETRY_MAX);
        !was_known
    }

    /// Begins to wait until a relay reports, after a pause.
    fn watch(&mut self, source: Source, shutdown: &Shutdown) {
        if let Some(before) = self.until.take() {
            before.cancel();
        }
        let until = shutdown.child_token();
        let (reports, wait) = (until.clone(), self.wait);
        tokio::spawn(async move {
            let reported = async {
                loop {
                    tokio::time::sleep(wait.mul_f64(jitter())).await;
                    if source.open().await.is_ok() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = reports.cancelled() => {}
                () = reported => reports.cancel(),
            }
        });
        self.until = Some(until);
    }

    /// The time until which the journal is followed: until the shutdown, and on an edge until a relay reports.
    fn until(&self, shutdown: &Shutdown) -> Shutdown {
        self.until.clone().unwrap_or_else(|| shutdown.clone())
    }
}
