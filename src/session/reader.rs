//! One reader of the stream: its [`ReadState`], its registration with the announcer, and the load that is under way. Each
//! transport (WebSocket, SSE, paged reads) drives this type and nothing below it, so the order of the steps is written once, here.
//!
//! - A reader registers with the announcer before it looks at the head for the first time. Events announced after the registration
//!   wake it, so none falls between the two.
//! - A reader looks at the head before each step. After any wake-up, and after any load, it looks again before it waits.
//! - A reader that has moved, or has another filter, since a search began drops the result of the search. A page it can still use: it
//!   takes only the events that it has not passed. A load from a history that has ended brings no events.
//!
//! A transport may stop waiting at any moment, to read from its client or to send a heartbeat, and loses nothing by it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::announcer::{Announcer, Registration};
use super::event_run::{EventRun, SendBudget};
use super::read_error::ReadError;
use super::read_state::{NextAction, ReadState};
use super::search::{Search, SearchWindow};
use super::start::Start;
use super::start_point::StartPoint;
use crate::clock::jitter;
use crate::db::Requester;
use crate::journal::{Batch, Cursor, Filter, Owners};
use crate::tail::pages::{Page, PageError, Position, View};
use crate::view::{Tally, Views};

/// The longest wait before a query that failed is made again.
pub const MAX_RETRY_DELAY: Duration = Duration::from_secs(1);
/// A reader that has waited for the database for this long is reported as stalled in its heartbeats.
pub const STALLED_AFTER: Duration = Duration::from_secs(2);

/// One reader of the stream.
#[derive(Debug)]
pub struct StreamReader {
    announcer: Arc<Announcer>,
    read_state: ReadState,
    registration: Registration,
    /// The searches of this reader count against the share of this requester.
    requester: Requester,
    window: SearchWindow,
    load_state: LoadState,
    /// The time since which the reader waits for the database; none if it does not wait.
    waiting_since: Option<SystemTime>,
    /// The page that the reader is in. It is held until all of it is read, so that the reader need not load it again if the cache drops
    /// it.
    current_page: Option<Arc<Page<Views>>>,
}

/// The outcome of one step.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// The reader took a step, which may have brought events to send. The next step may follow at once.
    Advanced(Vec<EventRun>),
    /// The backlog has been sent. Returned once.
    CaughtUp,
    /// There is nothing to read yet: the reader has been sent everything up to this position, or it is ahead of this node and waits
    /// until the node has come as far. The next step is of use after [`StreamReader::ready`].
    Idle(Position),
    /// The reader waits for a page, for a search, for the proof of its cursor, or for the time to try again after an error. The next step
    /// is of use after [`StreamReader::ready`].
    Loading,
    /// The database could not be asked, for this reason. The reader asks again after [`StreamReader::ready`].
    Unavailable(ReadError),
    /// The reader cannot go on, for this reason.
    Failed(ReadError),
}

/// The state of a reader between two steps.
enum LoadState {
    /// The next step looks at the head.
    Ready,
    /// There was nothing to read. The reader waits until the announcer wakes it.
    Idle,
    /// A load is under way.
    Loading(BoxFuture<'static, LoadResult>),
    /// A load has ended. The next step takes its result.
    LoadEnded(LoadResult),
    /// A load has failed. Nothing is loaded before this moment.
    RetryAt(Instant),
}

type LoadResult = Result<Loaded, ReadError>;

#[derive(Debug)]
enum Loaded {
    Page(Arc<Page<Views>>),
    /// The events that a search has found, and the position that it has reached, which may lie before the head.
    SearchResult(Batch, Position),
    /// The start point of the reader's cursor, proven in the current history.
    ProvenCursor(StartPoint),
    /// The page belonged to a history that has ended. The next step proves the cursor.
    OtherHistory,
}

impl fmt::Debug for LoadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("Ready"),
            Self::Idle => f.write_str("Idle"),
            Self::Loading(_) => f.write_str("Loading"),
            Self::LoadEnded(result) => f.debug_tuple("LoadEnded").field(result).finish(),
            Self::RetryAt(when) => f.debug_tuple("RetryAt").field(when).finish(),
        }
    }
}

impl StreamReader {
    /// A reader that begins at a start point.
    pub fn new(announcer: &Arc<Announcer>, start_point: StartPoint, filter: Arc<Filter>, view: View) -> Self {
        let registration = announcer.register(&filter);
        let (announcer, read_state) = (Arc::clone(announcer), ReadState::new(start_point, filter, view));
        let (requester, window) = (Requester::SERVER, SearchWindow::default());
        Self {
            announcer,
            read_state,
            registration,
            requester,
            window,
            load_state: LoadState::Ready,
            waiting_since: None,
            current_page: None,
        }
    }

    /// Counts the reader's searches against the share of this requester.
    #[must_use]
    pub fn on_behalf_of(self, requester: Requester) -> Self {
        Self { requester, ..self }
    }

    /// The cursor of the newest event that the reader has passed. A client that comes back with it misses nothing.
    pub fn cursor(&self) -> Cursor {
        self.read_state.cursor()
    }

    /// How many events and bytes the reader was sent.
    pub fn tally(&self) -> Tally {
        self.read_state.tally()
    }

    /// True if the reader has passed this seq.
    pub fn has_passed(&self, seq: i64) -> bool {
        self.read_state.has_passed(seq)
    }

    /// The history that the reader is in, as [`Position::epoch`] counts them.
    pub fn epoch(&self) -> u64 {
        self.read_state.epoch()
    }

    /// The time since which the reader waits for the database, if it has waited for long enough to be reported as stalled.
    pub fn stalled_since(&self) -> Option<SystemTime> {
        self.waiting_since.filter(|since| since.elapsed().is_ok_and(|waited| waited >= STALLED_AFTER))
    }

    /// Looks at the announced position and returns it. If no event up to it is for this reader, the reader moves there.
    pub fn look(&mut self) -> Position {
        let position = self.registration.look(&mut self.read_state);
        // The look may have consumed the wake-up that an idle reader waits for, so the reader must not go on waiting for it.
        if matches!(self.load_state, LoadState::Idle) {
            self.load_state = LoadState::Ready;
        }
        position
    }

    /// Changes whose events the reader sees, and in which view, from its next step on. Cursor and tally stay. A load that is under way
    /// was begun with the former rights, and is dropped.
    pub fn see_as(&mut self, owners: Owners, view: View) {
        let filter = Arc::new(Filter::clone(self.read_state.filter()).seen_by(owners));
        self.registration = self.announcer.register(&filter);
        self.read_state.set_filter(filter);
        self.window = SearchWindow::default();
        self.read_state.set_view(self.announcer.pages(), view);
        self.load_state = LoadState::Ready;
    }

    /// Takes one step: returns events to send, as far as pages in memory and the budget allow, or begins a load.
    pub fn step(&mut self, budget: SendBudget) -> Step {
        let step = self.advance(budget);
        match step {
            Step::Loading | Step::Unavailable(_) => {
                self.waiting_since = self.waiting_since.or_else(|| Some(SystemTime::now()))
            }
            _ => self.waiting_since = None,
        }
        step
    }

    /// Takes the result of a load if one has ended. Otherwise it looks at the head and does what [`ReadState::next`] says.
    fn advance(&mut self, budget: SendBudget) -> Step {
        match std::mem::replace(&mut self.load_state, LoadState::Ready) {
            LoadState::Ready | LoadState::Idle => {}
            LoadState::LoadEnded(loaded) => return self.take_loaded(loaded, budget),
            waiting @ (LoadState::Loading(_) | LoadState::RetryAt(_)) => {
                self.load_state = waiting;
                return Step::Loading;
            }
        }
        let position = self.look();
        let announcer = Arc::clone(&self.announcer);
        let load: BoxFuture<'static, LoadResult> = match self.read_state.next(&position) {
            NextAction::CaughtUp => return Step::CaughtUp,
            NextAction::Idle => {
                self.load_state = LoadState::Idle;
                return Step::Idle(position);
            }
            NextAction::Page(after) => {
                match self
                    .take_current_page(after, position.epoch)
                    .or_else(|| announcer.pages().cached_page_after(after))
                {
                    Some(page) => return Step::Advanced(self.take_page(page, budget)),
                    None => Box::pin(async move {
                        match announcer.pages().page_after(after).await {
                            Err(PageError::Reset) => Ok(Loaded::OtherHistory),
                            page => Ok(Loaded::Page(page?)),
                        }
                    }),
                }
            }
            NextAction::Search(after, position) => {
                let search_budget = self.read_state.search_budget(budget);
                let (requester, filter) = (self.requester.clone(), Arc::clone(self.read_state.filter()));
                let search = Search { requester, filter, window: self.window.clone() };
                Box::pin(async move {
                    let (found, reached) = search.forward(&announcer, after, position, search_budget).await?;
                    Ok(Loaded::SearchResult(found, reached))
                })
            }
            NextAction::Expired => Box::pin(async move { Err(announcer.cursor_expired_error().await) }),
            NextAction::ProveCursor => {
                let (filter, cursor) = (Arc::clone(self.read_state.filter()), self.read_state.cursor());
                let requester = self.requester.clone();
                Box::pin(async move {
                    Ok(Loaded::ProvenCursor(announcer.start_point(&requester, Start::After(cursor), &filter).await?))
                })
            }
        };
        self.load_state = LoadState::Loading(load);
        Step::Loading
    }

    /// Waits until the next step may be of use. The future can be dropped and made again.
    pub async fn ready(&mut self) {
        self.load_state = match &mut self.load_state {
            LoadState::Ready | LoadState::LoadEnded(_) => return,
            LoadState::Idle => {
                self.registration.wait().await;
                LoadState::Ready
            }
            LoadState::Loading(load) => LoadState::LoadEnded(load.await),
            LoadState::RetryAt(until) => {
                tokio::time::sleep_until(*until).await;
                LoadState::Ready
            }
        };
    }

    /// Takes out the page that the reader is in, if that page covers the seq after `after`.
    fn take_current_page(&mut self, after: i64, epoch: u64) -> Option<Arc<Page<Views>>> {
        self.current_page.take().filter(|page| page.covers(after) && page.epoch() == epoch)
    }

    fn take_page(&mut self, page: Arc<Page<Views>>, mut budget: SendBudget) -> Vec<EventRun> {
        let runs = self.read_state.take(self.announcer.pages(), &page, &mut budget);
        self.current_page = Some(page).filter(|page| !self.read_state.has_passed(page.upto()));
        runs
    }

    fn take_loaded(&mut self, loaded: LoadResult, budget: SendBudget) -> Step {
        match loaded {
            Ok(Loaded::Page(page)) => Step::Advanced(self.take_page(page, budget)),
            Ok(Loaded::SearchResult(batch, position)) => {
                let run = self.read_state.take_search_result(self.announcer.pages(), batch, &position);
                Step::Advanced(run.into_iter().collect())
            }
            Ok(Loaded::ProvenCursor(start_point)) => {
                self.read_state.restart_at(start_point);
                Step::Advanced(Vec::new())
            }
            Ok(Loaded::OtherHistory) => Step::Advanced(Vec::new()),
            Err(error @ (ReadError::Unavailable(_) | ReadError::Busy)) => {
                self.load_state = LoadState::RetryAt(Instant::now() + MAX_RETRY_DELAY.mul_f64(jitter()));
                Step::Unavailable(error)
            }
            Err(error) => Step::Failed(error),
        }
    }
}
