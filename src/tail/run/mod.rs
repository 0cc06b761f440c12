//! The tail's loop: one `connection` after another, each with its `probe`, and the `state` that they share.

mod batch;
mod connection;
mod lost;
mod memory;
mod probe;
mod resume;
mod stall_watch;
mod state;

use std::time::{Duration, Instant, SystemTime};

pub use self::state::Tail;

use self::connection::TailConnection;
use self::lost::LostConnection;
use super::pages::Render;
use super::status::{StallReason, Stalled, TailStatus};
use crate::clock::jitter;
use crate::shutdown::Shutdown;

/// The first wait after a lost connection, and the longest. The wait doubles with each connection that fails.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
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
        loop {
            let lost = match TailConnection::begin(&mut self).await {
                Ok(connection) => {
                    let (begun, newest) = (Instant::now(), self.memory.newest());
                    let stayed = connection.follow(&mut self, &shutdown).await;
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
            if matches!(lost, LostConnection::HeadMove(_) | LostConnection::Redrawn) {
                self.reset();
                self.count(|c| c.resets += u64::from(matches!(lost, LostConnection::Redrawn)));
            }
            let since = SystemTime::now();
            self.status.send_modify(|s| {
                let stalled = s.stalled.take().filter(|s| s.reason == StallReason::Database);
                *s = TailStatus {
                    stalled: stalled.or(Some(Stalled { since, reason: StallReason::Database })),
                    ..TailStatus::default()
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
}
