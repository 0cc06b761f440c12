//! Searches of the journal by a filter, in steps over windows of seqs. No statement looks at more than one window, and between two
//! windows the connection serves others: a filter of common conditions that never hold together would search a whole journal and
//! find nothing, which no index tells beforehand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::{Client, Error};

use super::announcer::Announcer;
use super::read_error::ReadError;
use crate::db::{DatabaseError, Lane, MisroutedConnections, Requester};
use crate::journal::{self, Batch, Budget, EventHeader, Filter, QueryError, read_from};
use crate::tail::pages::Position;

/// The window of the first step. It grows after a quick step and shrinks after a slow one.
const FIRST_WINDOW: i64 = 1 << 16;
const SMALLEST_WINDOW: i64 = 1 << 11;
const LARGEST_WINDOW: i64 = 1 << 22;
/// After a step that took less than this the window grows.
const QUICK_STEP: Duration = Duration::from_millis(50);
/// After a step that took more than this the window shrinks.
const SLOW_STEP: Duration = Duration::from_millis(200);
/// A search that has found nothing for this long returns, so that its reader advances to the position that was reached.
const RETURN_AFTER: Duration = Duration::from_millis(500);
/// The longest search for the events of `last=N`. Then the reader begins at the point that was reached.
const LAST_SEARCH_LIMIT: Duration = Duration::from_secs(5);

/// The number of seqs that the next step of a reader's searches covers. A clone shares the number.
#[derive(Debug, Clone)]
pub(super) struct SearchWindow(Arc<AtomicI64>);

impl Default for SearchWindow {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(FIRST_WINDOW)))
    }
}

impl SearchWindow {
    fn span(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Adapts the window to the time that a step took.
    fn learn(&self, took: Duration) {
        let span = self.span();
        let next = match took {
            took if took < QUICK_STEP => span * 4,
            took if took > SLOW_STEP => span / 4,
            _ => span,
        };
        self.0.store(next.clamp(SMALLEST_WINDOW, LARGEST_WINDOW), Ordering::Relaxed);
    }

    /// Makes the window smaller after a step that exceeded the limit of its lane. Returns false if it was the smallest already, so that
    /// another try would not help.
    fn shrink(&self) -> bool {
        let span = self.span();
        self.0.store((span / 16).max(SMALLEST_WINDOW), Ordering::Relaxed);
        span > SMALLEST_WINDOW
    }
}

/// A search of the journal for one reader.
#[derive(Debug, Clone)]
pub(super) struct Search {
    pub(super) requester: Requester,
    pub(super) filter: Arc<Filter>,
    pub(super) window: SearchWindow,
}

impl Search {
    /// Finds the first matching events after a seq, within a budget. Also returns the position up to which the journal was searched,
    /// which lies before the head if searching on would take long.
    pub(super) async fn forward(
        &self,
        announcer: &Announcer,
        after: i64,
        position: Position,
        budget: Budget,
    ) -> Result<(Batch, Position), ReadError> {
        let (begun, mut at, mut newest) = (Instant::now(), after, None);
        let (followed, mut misrouted) = (announcer.pages().journal().known()?, MisroutedConnections::default());
        loop {
            let upto = position.head.min(at.saturating_add(self.window.span()));
            let look = async |client: &mut Client| {
                let (client, begun) = (&*client, Instant::now());
                let found = journal::query(client, &self.filter, at, upto, budget);
                let found = Box::pin(async {
                    if upto == position.head {
                        return found.await.map(|batch| (batch, None));
                    }
                    // The newest event of the window, whose cursor the reader gets if nothing in the window matches.
                    let last = async { Ok(journal::newest(client, at, upto).await?) };
                    tokio::try_join!(biased; found, last)
                });
                let found = read_from(client, &followed, upto, found).await;
                self.window.learn(begun.elapsed());
                found
            };
            let found = announcer.database().run_proven(Lane::Search, &self.requester, &mut misrouted, look).await;
            let (batch, last) = match found {
                Ok(Some(Ok(found))) => found,
                Ok(Some(Err(QueryError::Expired { .. }))) => return Err(announcer.cursor_expired_error().await),
                Ok(Some(Err(QueryError::Postgres(error)))) => return Err(DatabaseError::from(error).into()),
                Ok(None) => continue,
                Err(DatabaseError::Slow(_)) if self.window.shrink() => continue,
                // The windows up to `at` hold no match, so the reader may advance that far.
                Err(DatabaseError::Busy(_)) if at > after => {
                    let nothing = Batch { events: Vec::new(), reached: at };
                    return Ok((nothing, with_head(&position, at, newest)));
                }
                Err(error) => return Err(error.into()),
            };
            if upto == position.head {
                return Ok((batch, position));
            }
            newest = last.or(newest);
            if !batch.events.is_empty() || begun.elapsed() >= RETURN_AFTER {
                return Ok((batch, with_head(&position, upto, newest)));
            }
            at = upto;
        }
    }

    /// Finds the newest `n` matching events up to a position, searching backwards; none if there are none. A search that takes too long
    /// returns as far back as it came.
    pub(super) async fn backward(
        &self,
        announcer: &Announcer,
        n: u32,
        position: &Position,
    ) -> Result<Option<NewestMatches>, ReadError> {
        let Position { head, trimmed, .. } = *position;
        let (begun, mut upto, mut missing, mut oldest) = (Instant::now(), head, i64::from(n), None);
        let (followed, mut misrouted) = (announcer.pages().journal().known()?, MisroutedConnections::default());
        loop {
            let after = trimmed.max(upto.saturating_sub(self.window.span()));
            let look = async |client: &mut Client| {
                let (client, begun) = (&*client, Instant::now());
                // Retention records a trim before it deletes, and this node learns of it a little later. So events that count as
                // trimmed may still be found, and the trim is read afterwards.
                let found = async {
                    let found = journal::nth_newest(client, &self.filter, after, upto, missing);
                    tokio::try_join!(biased; found, journal::trimmed_through(client))
                };
                let found = read_from::<_, Error>(client, &followed, head, found).await;
                self.window.learn(begun.elapsed());
                found
            };
            let found = announcer.database().run_proven(Lane::Search, &self.requester, &mut misrouted, look).await;
            let (found, trimmed_now) = match found {
                Ok(Some(found)) => found.map_err(DatabaseError::from)?,
                Ok(None) => continue,
                Err(DatabaseError::Slow(_)) if self.window.shrink() => continue,
                Err(error) => return Err(error.into()),
            };
            missing -= found.count;
            oldest = found.oldest.or(oldest);
            if missing <= 0 || after <= trimmed.max(trimmed_now) {
                return Ok(oldest.map(|oldest| NewestMatches { after: oldest - 1, trimmed: trimmed_now }));
            }
            if begun.elapsed() >= LAST_SEARCH_LIMIT {
                return Ok(Some(NewestMatches { after, trimmed: trimmed_now }));
            }
            upto = after;
        }
    }
}

/// The place of the newest matching events.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewestMatches {
    /// The events come after this seq.
    pub(super) after: i64,
    /// The newest seq that retention had taken when they were found.
    pub(super) trimmed: i64,
}

/// The position with another head, and the newest event up to that head.
fn with_head(position: &Position, head: i64, newest: Option<EventHeader<'static>>) -> Position {
    Position { head, newest: newest.map(Arc::new), ..position.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_follows_what_its_steps_take() {
        let window = SearchWindow::default();
        (0..9).for_each(|_| window.learn(Duration::ZERO));
        assert_eq!(window.span(), LARGEST_WINDOW);
        window.learn(Duration::from_millis(100));
        assert_eq!(window.span(), LARGEST_WINDOW);
        window.learn(Duration::from_secs(1));
        assert_eq!(window.span(), LARGEST_WINDOW / 4);
        assert!(window.shrink() && window.shrink() && window.shrink());
        assert_eq!((window.span(), window.shrink()), (SMALLEST_WINDOW, false));
    }
}
