//! One reader of the stream: its [`ReadState`], its registration with the announcer, and the load that is under way. Each
//! transport (WebSocket, SSE, paged reads) drives this type and nothing below it, so the order of the steps is written once, here.
//!
//! - A reader registers with the announcer before it looks at the head for the first time. Events announced after the registration
//!   wake it, so none falls between the two.
//! - A reader looks at the head before each step. After any wake-up, and after any load, it looks again before it waits.
//! - A load that was asked for at one seq is dropped if the reader has moved, or filters otherwise, by the time it arrives.
//!
//! A transport may stop waiting at any moment, to read from its client or to send a heartbeat, and loses nothing by it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::announcer::{Announcer, Interest};
use super::event_run::{EventRun, SendBudget};
use super::read_state::{Next, ReadState};
use super::refused::Refused;
use super::search::{Search, Window};
use super::start::Start;
use super::start_point::StartPoint;
use crate::clock::jitter;
use crate::db::Requester;
use crate::journal::{Batch, Cursor, Filter, Owners};
use crate::tail::pages::{Page, PageError, Position, View};
use crate::view::{Tally, Views};

/// The longest wait before a query that failed is made again.
pub const RETRY: Duration = Duration::from_secs(1);
/// The heartbeats of a reader that has waited for the database for longer than this say so.
const STALLED_AFTER: Duration = Duration::from_secs(2);

/// One reader of the stream.
#[derive(Debug)]
pub struct StreamReader {
    announcer: Arc<Announcer>,
    read: ReadState,
    interest: Interest,
    requester: Requester,
    window: Window,
    state: State,
    /// Since when the reader waits for the database.
    waits_since: Option<SystemTime>,
    /// The page that the reader is in. Held until all of it is read, so that the cache need not keep it and no new write makes the
    /// reader load it again.
    page: Option<Arc<Page<Views>>>,
}

/// The outcome of one step.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// The reader advanced. These events are to be sent; there may be none, and the next step may have more at once.
    Advanced(Vec<EventRun>),
    /// The backlog has been sent. Returned once.
    CaughtUp,
    /// There is nothing to read yet: the reader has been sent everything up to this position, or it is ahead of this node and waits
    /// until the node has come as far. The next step is of use after [`StreamReader::ready`].
    Idle(Position),
    /// The reader waits for a page, a search or a proof. The next step is of use after [`StreamReader::ready`].
    Loading,
    /// The database could not be asked, for this reason. The reader asks again after [`StreamReader::ready`].
    Unavailable(Refused),
    /// The reader cannot go on.
    Refused(Refused),
}

/// How the next step begins.
enum State {
    /// With a look at the head.
    Ready,
    /// With a look at the head, once the announcer has woken the reader.
    Idle,
    /// With the result of this load, once it is there.
    Loading(BoxFuture<'static, LoadResult>),
    /// With the result of a load.
    Loaded(LoadResult),
    /// With a look at the head, not before this moment.
    RetryAt(Instant),
}

type LoadResult = Result<Loaded, Refused>;

#[derive(Debug)]
enum Loaded {
    Page(Arc<Page<Views>>),
    /// What a search has found, and up to which position it has looked: that of the head, or one before it.
    Found(Batch, Position),
    /// Where the reader's cursor stands in the history that there is now.
    Proof(StartPoint),
    /// The page belonged to a history that has ended. The next step proves the cursor.
    OtherHistory,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("Ready"),
            Self::Idle => f.write_str("Idle"),
            Self::Loading(_) => f.write_str("Loading"),
            Self::Loaded(result) => f.debug_tuple("Loaded").field(result).finish(),
            Self::RetryAt(when) => f.debug_tuple("RetryAt").field(when).finish(),
        }
    }
}

impl StreamReader {
    /// A reader that begins at a start point.
    pub fn new(announcer: &Arc<Announcer>, start: StartPoint, filter: Arc<Filter>, view: View) -> Self {
        let interest = announcer.interest(&filter);
        let (announcer, read) = (Arc::clone(announcer), ReadState::new(start, filter, view));
        let (requester, window) = (Requester::SERVER, Window::default());
        Self { announcer, read, interest, requester, window, state: State::Ready, waits_since: None, page: None }
    }

    /// Counts the reader's searches against the share of this requester.
    #[must_use]
    pub fn on_behalf_of(self, requester: Requester) -> Self {
        Self { requester, ..self }
    }

    /// The cursor of the newest event that the reader has passed. A client that comes back with it misses nothing.
    pub fn cursor(&self) -> Cursor {
        self.read.cursor()
    }

    /// How many events and bytes the reader was sent.
    pub fn tally(&self) -> Tally {
        self.read.tally()
    }

    /// Whether the reader has passed this seq.
    pub fn has_passed(&self, seq: i64) -> bool {
        self.read.has_passed(seq)
    }

    /// Since when the reader waits for the database; none while that is no longer than usual.
    pub fn stalled_since(&self) -> Option<SystemTime> {
        self.waits_since.filter(|since| since.elapsed().is_ok_and(|waited| waited >= STALLED_AFTER))
    }

    /// The position that is announced. Where no event up to it is for this reader, the reader moves there.
    pub fn look(&mut self) -> Position {
        let position = self.interest.look(&mut self.read);
        // This look may have taken note of a wake-up, so the reader must not wait for it again.
        if matches!(self.state, State::Idle) {
            self.state = State::Ready;
        }
        position
    }

    /// Shows the reader the events of other owners, in another view, from its next step on. Cursor and tally go on. A load that is
    /// under way was made for the rights of before, and is dropped.
    pub fn see_as(&mut self, owners: Owners, view: View) {
        let filter = Arc::new(Filter::clone(self.read.filter()).seen_by(owners));
        self.interest = self.announcer.interest(&filter);
        self.read.refilter(filter);
        self.window = Window::default();
        self.read.see(self.announcer.pages(), view);
        self.state = State::Ready;
    }

    /// Advances as far as pages in memory and the budget allow.
    pub fn step(&mut self, budget: SendBudget) -> Step {
        let step = self.advance(budget);
        match step {
            Step::Loading | Step::Unavailable(_) => {
                self.waits_since = self.waits_since.or_else(|| Some(SystemTime::now()))
            }
            _ => self.waits_since = None,
        }
        step
    }

    fn advance(&mut self, budget: SendBudget) -> Step {
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Ready | State::Idle => {}
            State::Loaded(loaded) => return self.receive(loaded, budget),
            waiting @ (State::Loading(_) | State::RetryAt(_)) => {
                self.state = waiting;
                return Step::Loading;
            }
        }
        let position = self.look();
        let announcer = Arc::clone(&self.announcer);
        let load: BoxFuture<'static, LoadResult> = match self.read.next(&position) {
            Next::CaughtUp => return Step::CaughtUp,
            Next::Idle => {
                self.state = State::Idle;
                return Step::Idle(position);
            }
            Next::Page(after) => {
                match self.current_page(after, position.epoch).or_else(|| announcer.pages().cached_page_after(after)) {
                    Some(page) => return Step::Advanced(self.take(page, budget)),
                    None => Box::pin(async move {
                        match announcer.pages().page_after(after).await {
                            Err(PageError::Reset) => Ok(Loaded::OtherHistory),
                            page => Ok(Loaded::Page(page?)),
                        }
                    }),
                }
            }
            Next::Search(after, position) => {
                let search_budget = self.read.search_budget(budget);
                let (requester, filter) = (self.requester.clone(), Arc::clone(self.read.filter()));
                let search = Search { requester, filter, window: self.window.clone() };
                Box::pin(async move {
                    let (found, reached) = search.forward(&announcer, after, position, search_budget).await?;
                    Ok(Loaded::Found(found, reached))
                })
            }
            Next::Expired => Box::pin(async move { Err(announcer.expired().await) }),
            Next::ProveCursor => {
                let (filter, cursor) = (Arc::clone(self.read.filter()), self.read.cursor());
                let requester = self.requester.clone();
                let start = Start::After(cursor);
                Box::pin(async move { Ok(Loaded::Proof(announcer.start_point(&requester, start, &filter).await?)) })
            }
        };
        self.state = State::Loading(load);
        Step::Loading
    }

    /// Waits until the next step may be of use. The future can be dropped and made again.
    pub async fn ready(&mut self) {
        self.state = match &mut self.state {
            State::Ready | State::Loaded(_) => return,
            State::Idle => {
                self.interest.woken().await;
                State::Ready
            }
            State::Loading(load) => State::Loaded(load.await),
            State::RetryAt(until) => {
                tokio::time::sleep_until(*until).await;
                State::Ready
            }
        };
    }

    /// The page that the reader is in, if the next event lies in it.
    fn current_page(&mut self, after: i64, epoch: u64) -> Option<Arc<Page<Views>>> {
        self.page.take().filter(|page| page.covers(after) && page.epoch() == epoch)
    }

    fn take(&mut self, page: Arc<Page<Views>>, mut budget: SendBudget) -> Vec<EventRun> {
        let runs = self.read.take(self.announcer.pages(), &page, &mut budget);
        self.page = Some(page).filter(|page| !self.read.has_passed(page.upto()));
        runs
    }

    fn receive(&mut self, loaded: LoadResult, budget: SendBudget) -> Step {
        match loaded {
            Ok(Loaded::Page(page)) => Step::Advanced(self.take(page, budget)),
            Ok(Loaded::Found(batch, position)) => {
                let run = self.read.take_found(self.announcer.pages(), batch, &position);
                Step::Advanced(run.into_iter().collect())
            }
            Ok(Loaded::Proof(start)) => {
                self.read.restart_at(start);
                Step::Advanced(Vec::new())
            }
            Ok(Loaded::OtherHistory) => Step::Advanced(Vec::new()),
            Err(refused @ (Refused::Unavailable(_) | Refused::Busy)) => {
                self.state = State::RetryAt(Instant::now() + RETRY.mul_f64(jitter()));
                Step::Unavailable(refused)
            }
            Err(refused) => Step::Refused(refused),
        }
    }
}
