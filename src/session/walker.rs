//! One reader on its way: its walk, its place among those who wait, and what it has sent for. Every door drives this and
//! nothing below it, so that what must be done in which order is done here alone.
//!
//! - It is registered among those who wait before it looks at the head for the first time: what comes between is told to it.
//! - It looks before each step. Whatever wakes it, or whatever it was sent, it looks again before it rests.
//! - What it has sent for is taken where it is when that comes, and thrown away if it is looking for something else by then.
//!
//! A door may stop waiting at any moment, to hear its client or to show a sign of life, and loses nothing by it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::live::{Interest, Live};
use super::search::{Search, Window};
use super::start::{Place, Refused, Start};
use super::walk::{Next, Room, Run, Walk};
use crate::clock::jitter;
use crate::db::Requester;
use crate::journal::{Batch, Cursor, Filter, Owners};
use crate::tail::pages::{Page, PageError, Position, View};
use crate::view::{Tally, Views};

/// The longest wait before a journal that could not be asked is asked again.
pub const RETRY: Duration = Duration::from_secs(1);
/// A reader that has waited for the database for longer than this says so in its heartbeats.
const STALLED_AFTER: Duration = Duration::from_secs(2);

/// One reader on its way.
#[derive(Debug)]
pub struct Walker {
    live: Arc<Live>,
    walk: Walk,
    interest: Interest,
    requester: Requester,
    window: Window,
    state: State,
    /// Since when it waits for the database.
    waits_since: Option<SystemTime>,
    /// The page that it is in, until it is through: no cache need keep it, and it is not loaded anew for every write.
    page: Option<Arc<Page<Views>>>,
}

/// What a step has come to.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// It moved on, and this is for the reader, if anything is. There may be more at once.
    Went(Vec<Run>),
    /// The backlog has been sent. Once.
    Live,
    /// There is nothing to read yet: the reader has been sent everything up to this position, or it is ahead of this node and waits
    /// until the node has come as far. Nothing comes before [`Walker::ready`].
    Rests(Position),
    /// It needs what is not at hand. Nothing comes before [`Walker::ready`].
    Waits,
    /// The journal cannot be asked, for this reason; it is asked again after [`Walker::ready`].
    Away(Refused),
    /// It cannot go on.
    Ended(Refused),
}

/// What the next step begins with.
enum State {
    /// A look.
    Due,
    /// The same, when there is something to see.
    Resting,
    /// This, when it comes.
    SentFor(BoxFuture<'static, Brought>),
    /// This.
    Here(Brought),
    /// A look, and not before this.
    Pausing(Instant),
}

/// What was sent for, or why it cannot be had.
type Brought = Result<Thing, Refused>;

#[derive(Debug)]
enum Thing {
    Page(Arc<Page<Views>>),
    /// What a search has found up to a position: that of the head, or one before it.
    Found(Batch, Position),
    /// Where the cursor stands in the history that there is now.
    Proof(Place),
    /// The page was of a history that is over: the next step proves the cursor.
    Nothing,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Due => f.write_str("Due"),
            Self::Resting => f.write_str("Resting"),
            Self::SentFor(_) => f.write_str("SentFor"),
            Self::Here(brought) => f.debug_tuple("Here").field(brought).finish(),
            Self::Pausing(until) => f.debug_tuple("Pausing").field(until).finish(),
        }
    }
}

impl Walker {
    /// A reader at a place.
    pub fn new(live: &Arc<Live>, place: Place, filter: Arc<Filter>, view: View) -> Self {
        let interest = live.interest(&filter);
        let (live, walk) = (Arc::clone(live), Walk::new(place, filter, view));
        let (requester, window) = (Requester::SERVER, Window::default());
        Self { live, walk, interest, requester, window, state: State::Due, waits_since: None, page: None }
    }

    /// A reader whose searches count against the share of this requester.
    #[must_use]
    pub fn on_behalf_of(self, requester: Requester) -> Self {
        Self { requester, ..self }
    }

    /// The newest event that it is past: what to come back with.
    pub fn cursor(&self) -> Cursor {
        self.walk.cursor()
    }

    /// What it was sent.
    pub fn tally(&self) -> Tally {
        self.walk.tally()
    }

    /// Whether everything up to this seq is behind it.
    pub fn is_past(&self, seq: i64) -> bool {
        self.walk.is_past(seq)
    }

    /// Since when it waits for the database, if that is for longer than it should be.
    pub fn stalled_since(&self) -> Option<SystemTime> {
        self.waits_since.filter(|since| since.elapsed().is_ok_and(|waited| waited >= STALLED_AFTER))
    }

    /// How far the stream is, and with it the reader, if nothing up to there is for it.
    pub fn look(&mut self) -> Position {
        let position = self.interest.look(&mut self.walk);
        // What there is to see has been seen by this look, and is gone into by the next step.
        if matches!(self.state, State::Resting) {
            self.state = State::Due;
        }
        position
    }

    /// From here on it sees what these may see. The cursor and the tally go on; what is under way was looked up with other
    /// eyes, and is not taken any more.
    pub fn see_as(&mut self, owners: Owners, view: View) {
        let filter = Arc::new(Filter::clone(self.walk.filter()).seen_by(owners));
        self.interest = self.live.interest(&filter);
        self.walk.refilter(filter);
        self.window = Window::default();
        self.walk.see(self.live.pages(), view);
        self.state = State::Due;
    }

    /// Goes on with what is at hand, and takes what there is room for.
    pub fn step(&mut self, room: Room) -> Step {
        let step = self.go_on(room);
        match step {
            Step::Waits | Step::Away(_) => self.waits_since = self.waits_since.or_else(|| Some(SystemTime::now())),
            _ => self.waits_since = None,
        }
        step
    }

    fn go_on(&mut self, room: Room) -> Step {
        match std::mem::replace(&mut self.state, State::Due) {
            State::Due | State::Resting => {}
            State::Here(brought) => return self.receive(brought, room),
            waits @ (State::SentFor(_) | State::Pausing(_)) => {
                self.state = waits;
                return Step::Waits;
            }
        }
        let position = self.look();
        let live = Arc::clone(&self.live);
        let sent: BoxFuture<'static, Brought> = match self.walk.next(&position) {
            Next::Live => return Step::Live,
            Next::Rest => {
                self.state = State::Resting;
                return Step::Rests(position);
            }
            Next::Page(after) => match self.kept(after, position.epoch).or_else(|| live.pages().at_hand(after)) {
                Some(page) => return Step::Went(self.take(page, room)),
                None => Box::pin(async move {
                    match live.pages().page_after(after).await {
                        Err(PageError::Reset) => Ok(Thing::Nothing),
                        page => Ok(Thing::Page(page?)),
                    }
                }),
            },
            Next::Search(after, position) => {
                let budget = self.walk.search_budget(room);
                let (requester, filter) = (self.requester.clone(), Arc::clone(self.walk.filter()));
                let search = Search { requester, filter, window: self.window.clone() };
                Box::pin(async move {
                    let (found, reached) = search.forward(&live, after, position, budget).await?;
                    Ok(Thing::Found(found, reached))
                })
            }
            Next::Expired => Box::pin(async move { Err(live.expired().await) }),
            Next::Prove => {
                let (filter, cursor) = (Arc::clone(self.walk.filter()), self.walk.cursor());
                let requester = self.requester.clone();
                let start = Start::After(cursor);
                Box::pin(async move { Ok(Thing::Proof(live.place_for(&requester, start, &filter).await?)) })
            }
        };
        self.state = State::SentFor(sent);
        Step::Waits
    }

    /// Waits until a step may come to something. Can be dropped and called again.
    pub async fn ready(&mut self) {
        self.state = match &mut self.state {
            State::Due | State::Here(_) => return,
            State::Resting => {
                self.interest.woken().await;
                State::Due
            }
            State::SentFor(sent) => State::Here(sent.await),
            State::Pausing(until) => {
                tokio::time::sleep_until(*until).await;
                State::Due
            }
        };
    }

    /// The page that it is in, if that is where it goes on.
    fn kept(&mut self, after: i64, epoch: u64) -> Option<Arc<Page<Views>>> {
        self.page.take().filter(|page| page.covers(after) && page.epoch() == epoch)
    }

    fn take(&mut self, page: Arc<Page<Views>>, mut room: Room) -> Vec<Run> {
        let runs = self.walk.take(self.live.pages(), &page, &mut room);
        self.page = Some(page).filter(|page| !self.walk.is_past(page.upto()));
        runs
    }

    fn receive(&mut self, brought: Brought, room: Room) -> Step {
        match brought {
            Ok(Thing::Page(page)) => Step::Went(self.take(page, room)),
            Ok(Thing::Found(batch, position)) => {
                let run = self.walk.found(self.live.pages(), batch, &position);
                Step::Went(run.into_iter().collect())
            }
            Ok(Thing::Proof(place)) => {
                self.walk.proven(place);
                Step::Went(Vec::new())
            }
            Ok(Thing::Nothing) => Step::Went(Vec::new()),
            Err(refused @ (Refused::Unavailable(_) | Refused::Busy)) => {
                self.state = State::Pausing(Instant::now() + RETRY.mul_f64(jitter()));
                Step::Away(refused)
            }
            Err(refused) => Step::Ended(refused),
        }
    }
}
