//! The `sync` messages of a session that are not answered yet, in the order in which they came.
//!
//! A sync goes through three states. First the last number of the sequence is read, and the head of the node comes to it; then the reader
//! of the session passes that head; then the answer is sent. The first takes a future of its own, which the session polls beside its
//! stream. Messages that come while this future is busy wait for the next one, so a session has one such future at most.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;

use crate::clock::jitter;
use crate::session::{Announcer, MAX_RETRY_DELAY, STALLED_AFTER, StreamReader, SyncPoint};
use crate::tail::pages::Position;
use crate::view::Control;

/// The most syncs of one session that may wait for their answers.
pub(super) const MAX_UNANSWERED_SYNCS: usize = 64;
/// The longest that a session waits for the head in one go. Then it waits again, as long as it lasts.
const REACH_LIMIT: Duration = Duration::from_secs(60);

/// The syncs of a session that are not answered yet.
#[derive(Default)]
pub(super) struct Syncs {
    unanswered: VecDeque<Sync>,
    search: Search,
}

/// One sync that is not answered yet.
struct Sync {
    id: Option<String>,
    state: State,
}

/// How far a sync has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The next search will be for this sync.
    Asked,
    /// The search under way is for this sync.
    Searched,
    /// The sync is answered when the reader has passed this seq in this history.
    Reached { epoch: u64, seq: i64 },
}

/// The search for the head that syncs wait for.
#[derive(Default)]
enum Search {
    #[default]
    None,
    /// The last number of the sequence is read, or will be tried again, since this time.
    Reading(BoxFuture<'static, SyncPoint>, SystemTime),
    /// The head has yet to come to that number.
    Reaching(BoxFuture<'static, Position>),
}

/// Too many syncs are not answered yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooManySyncs;

impl Syncs {
    /// Takes in a message.
    pub(super) fn ask(&mut self, id: Option<String>, announcer: &Arc<Announcer>) -> Result<(), TooManySyncs> {
        if self.unanswered.len() >= MAX_UNANSWERED_SYNCS {
            return Err(TooManySyncs);
        }
        self.unanswered.push_back(Sync { id, state: State::Asked });
        self.search_next(announcer);
        Ok(())
    }

    /// Begins a search for the syncs that have none yet, unless one is under way.
    fn search_next(&mut self, announcer: &Arc<Announcer>) {
        let is_asked = self.unanswered.iter().any(|sync| sync.state == State::Asked);
        if !is_asked || !matches!(self.search, Search::None) {
            return;
        }
        self.replace(State::Asked, State::Searched);
        self.search = Search::Reading(Box::pin(read_point(Arc::clone(announcer))), SystemTime::now());
    }

    fn replace(&mut self, former: State, state: State) {
        self.unanswered.iter_mut().filter(|sync| sync.state == former).for_each(|sync| sync.state = state);
    }

    /// Waits until the search has come a step further; for ever if none is under way. The future can be dropped and made again.
    pub(super) async fn advance(&mut self, announcer: &Arc<Announcer>) {
        match &mut self.search {
            Search::None => std::future::pending().await,
            Search::Reading(reading, _) => {
                let point = reading.await;
                self.search = Search::Reaching(Box::pin(reach(Arc::clone(announcer), point)));
            }
            Search::Reaching(reaching) => {
                let Position { epoch, head: seq, .. } = reaching.await;
                self.search = Search::None;
                self.replace(State::Searched, State::Reached { epoch, seq });
                self.search_next(announcer);
            }
        }
    }

    /// The answer to the oldest sync, if this reader has passed what the sync waits for. If the history of the reader is a newer one,
    /// the sync is searched for again.
    pub(super) fn next_answer(&mut self, reader: &StreamReader, announcer: &Arc<Announcer>) -> Option<Control> {
        let State::Reached { epoch, seq } = self.unanswered.front()?.state else { return None };
        if reader.epoch() > epoch {
            self.replace(State::Reached { epoch, seq }, State::Asked);
            self.search_next(announcer);
            return None;
        }
        if reader.epoch() < epoch || !reader.has_passed(seq) {
            return None;
        }
        let Sync { id, .. } = self.unanswered.pop_front()?;
        Some(Control::Synced { id, cursor: reader.cursor().to_string() })
    }

    /// The time since which a sync waits for the database; none unless it has waited for unusually long.
    pub(super) fn stalled_since(&self) -> Option<SystemTime> {
        let Search::Reading(_, since) = self.search else { return None };
        since.elapsed().is_ok_and(|waited| waited >= STALLED_AFTER).then_some(since)
    }
}

/// Reads the point, and tries again after a failure, as long as the session lasts.
async fn read_point(announcer: Arc<Announcer>) -> SyncPoint {
    loop {
        match announcer.sync_point().await {
            Ok(point) => return point,
            Err(error) => {
                tracing::debug!(%error, "the point of a sync cannot be read");
                tokio::time::sleep(MAX_RETRY_DELAY.mul_f64(jitter())).await;
            }
        }
    }
}

/// Waits for the head, as long as the session lasts.
async fn reach(announcer: Arc<Announcer>, point: SyncPoint) -> Position {
    loop {
        if let Ok(position) = announcer.reach(point, REACH_LIMIT).await {
            return position;
        }
    }
}
