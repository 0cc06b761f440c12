//! Searches of the journal by a filter, in steps over windows of seqs. A filter whose conditions are each common and never hold
//! together finds nothing in a whole journal, which no index tells beforehand: so no statement looks at more than a window, and
//! between two windows others have their turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::{Client, Error};

use super::announcer::Announcer;
use super::refused::Refused;
use crate::db::{DatabaseError, Lane, Requester, Strangers};
use crate::journal::{self, Batch, Budget, EventHeader, Filter, QueryError, read_from};
use crate::tail::pages::Position;

/// The window of a first step. It grows fast where little is found, and shrinks where a step takes long.
const FIRST_WINDOW: i64 = 1 << 16;
const LEAST_WINDOW: i64 = 1 << 11;
const MOST_WINDOW: i64 = 1 << 22;
/// A step that takes less may be larger the next time, and one that takes more is to be smaller.
const QUICK: Duration = Duration::from_millis(50);
const SLOW: Duration = Duration::from_millis(200);
/// After how long a search that finds nothing tells its reader how far it is.
const TELL_AFTER: Duration = Duration::from_millis(500);
/// How long `last` goes back for events. Then its reader begins at the point that was reached.
const LAST_LIMIT: Duration = Duration::from_secs(5);

/// How far the next step of a reader's searches goes. Shared with the search that is under way.
#[derive(Debug, Clone)]
pub(super) struct Window(Arc<AtomicI64>);

impl Default for Window {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(FIRST_WINDOW)))
    }
}

impl Window {
    fn span(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Draws the conclusion from a step that took so long.
    fn learn(&self, took: Duration) {
        let span = self.span();
        let next = match took {
            took if took < QUICK => span * 4,
            took if took > SLOW => span / 4,
            _ => span,
        };
        self.0.store(next.clamp(LEAST_WINDOW, MOST_WINDOW), Ordering::Relaxed);
    }

    /// A step came to nothing within the limit of its lane; whether it is worth another try with a smaller one.
    fn shrink(&self) -> bool {
        let span = self.span();
        self.0.store((span / 16).max(LEAST_WINDOW), Ordering::Relaxed);
        span > LEAST_WINDOW
    }
}

/// Who searches, for what, and how fast it goes.
#[derive(Debug, Clone)]
pub(super) struct Search {
    pub(super) requester: Requester,
    pub(super) filter: Arc<Filter>,
    pub(super) window: Window,
}

impl Search {
    /// The first events after a seq, within a budget, and the position up to which there are no others: that of the head, or
    /// before it if looking on would take long.
    pub(super) async fn forward(
        &self,
        announcer: &Announcer,
        after: i64,
        position: Position,
        budget: Budget,
    ) -> Result<(Batch, Position), Refused> {
        let (begun, mut at, mut newest) = (Instant::now(), after, None);
        let (followed, mut strangers) = (announcer.pages().journal().known()?, Strangers::default());
        loop {
            let upto = position.head.min(at.saturating_add(self.window.span()));
            let look = async |client: &mut Client| {
                let (client, begun) = (&*client, Instant::now());
                let found = journal::query(client, &self.filter, at, upto, budget);
                let found = Box::pin(async {
                    if upto == position.head {
                        return found.await.map(|batch| (batch, None));
                    }
                    // What the reader can come back with, if there is nothing for it here.
                    let last = async { Ok(journal::newest(client, at, upto).await?) };
                    tokio::try_join!(biased; found, last)
                });
                let found = read_from(client, &followed, upto, found).await;
                self.window.learn(begun.elapsed());
                found
            };
            let found = announcer.database().run_proven(Lane::Search, &self.requester, &mut strangers, look).await;
            let (batch, last) = match found {
                Ok(Some(Ok(found))) => found,
                Ok(Some(Err(QueryError::Expired { .. }))) => return Err(announcer.expired().await),
                Ok(Some(Err(QueryError::Postgres(error)))) => return Err(DatabaseError::from(error).into()),
                Ok(None) => continue,
                Err(DatabaseError::Slow(_)) if self.window.shrink() => continue,
                // As far as it came, nothing is missing.
                Err(DatabaseError::Busy(_)) if at > after => {
                    let nothing = Batch { events: Vec::new(), reached: at };
                    return Ok((nothing, short(&position, at, newest)));
                }
                Err(error) => return Err(error.into()),
            };
            if upto == position.head {
                return Ok((batch, position));
            }
            newest = last.or(newest);
            if !batch.events.is_empty() || begun.elapsed() >= TELL_AFTER {
                return Ok((batch, short(&position, upto, newest)));
            }
            at = upto;
        }
    }

    /// Where the newest `n` events up to a position begin: the seq before the oldest of them, and what retention had taken by
    /// then. If that takes long, as far back as it came.
    pub(super) async fn back(
        &self,
        announcer: &Announcer,
        n: u32,
        position: &Position,
    ) -> Result<Option<Found>, Refused> {
        let Position { head, trimmed, .. } = *position;
        let (begun, mut upto, mut missing, mut oldest) = (Instant::now(), head, i64::from(n), None);
        let (followed, mut strangers) = (announcer.pages().journal().known()?, Strangers::default());
        loop {
            let after = trimmed.max(upto.saturating_sub(self.window.span()));
            let look = async |client: &mut Client| {
                let (client, begun) = (&*client, Instant::now());
                // Retention says what it takes before it takes it, and this node hears of it a little later: events that are gone
                // may still stand there, and a reader must not be sent among them.
                let found = async {
                    let found = journal::nth_newest(client, &self.filter, after, upto, missing);
                    tokio::try_join!(biased; found, journal::trimmed_through(client))
                };
                let found = read_from::<_, Error>(client, &followed, head, found).await;
                self.window.learn(begun.elapsed());
                found
            };
            let found = announcer.database().run_proven(Lane::Search, &self.requester, &mut strangers, look).await;
            let (found, gone) = match found {
                Ok(Some(found)) => found.map_err(DatabaseError::from)?,
                Ok(None) => continue,
                Err(DatabaseError::Slow(_)) if self.window.shrink() => continue,
                Err(error) => return Err(error.into()),
            };
            missing -= found.count;
            oldest = found.oldest.or(oldest);
            if missing <= 0 || after <= trimmed.max(gone) {
                return Ok(oldest.map(|oldest| Found { before: oldest - 1, gone }));
            }
            if begun.elapsed() >= LAST_LIMIT {
                return Ok(Some(Found { before: after, gone }));
            }
            upto = after;
        }
    }
}

/// Where a search backwards has come to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// What was found comes after this seq.
    pub(super) before: i64,
    /// What retention had taken then.
    pub(super) gone: i64,
}

/// A position as if the head were here.
fn short(position: &Position, head: i64, newest: Option<EventHeader<'static>>) -> Position {
    Position { head, newest: newest.map(Arc::new), ..position.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_follows_what_its_steps_take() {
        let window = Window::default();
        (0..9).for_each(|_| window.learn(Duration::ZERO));
        assert_eq!(window.span(), MOST_WINDOW);
        window.learn(Duration::from_millis(100));
        assert_eq!(window.span(), MOST_WINDOW);
        window.learn(Duration::from_secs(1));
        assert_eq!(window.span(), MOST_WINDOW / 4);
        assert!(window.shrink() && window.shrink() && window.shrink());
        assert_eq!((window.span(), window.shrink()), (LEAST_WINDOW, false));
    }
}
