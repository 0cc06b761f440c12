//! Announces the head to the readers of a node, and wakes each for the events that it waiters.
//!
//! A reader without a filter waits for the next head. A reader with a filter is registered under the narrowest of its conditions, and
//! only an event that matches wakes it. As long as it was not woken, no event up to the announced head is for it.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::read_state::ReadState;
use super::refused::Refused;
use crate::db::Database;
use crate::journal::{Filter, Key, StoredEvent};
use crate::shutdown::Shutdown;
use crate::tail::pages::{HOT_PAGES, Page, PageError, Pages, Position};
use crate::view::Views;

/// The least time between two announcements when many readers wait: a session that wakes once for several events costs hardly more
/// than for one.
pub const GATHER: Duration = Duration::from_millis(5);
/// An announcement that has woken at least so many readers holds the next one back.
pub const GATHER_FROM: usize = 64;

/// Announces the head to the readers of one node.
pub struct Announcer {
    pages: Pages<Views>,
    database: Database,
    announced: watch::Sender<Position>,
    waiters: Mutex<Waiters>,
    next_number: AtomicU64,
    /// The epoch and the trim for which the seq of the oldest event was found, and that seq.
    oldest: Mutex<Option<(u64, i64, i64)>>,
}

impl fmt::Debug for Announcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announcer").field("announced", &*self.announced.borrow()).finish_non_exhaustive()
    }
}

/// The readers with a filter, by the condition and the number that each is registered under.
type Waiters = HashMap<Key, HashMap<u64, Arc<Waiter>>>;

#[derive(Debug)]
struct Waiter {
    filter: Arc<Filter>,
    /// Whether a matching event was announced since the reader looked last.
    woken: AtomicBool,
    signal: Notify,
}

impl Waiter {
    fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.signal.notify_one();
        }
    }
}

impl Announcer {
    /// An announcer for these pages. The database answers what no page can.
    pub fn new(pages: Pages<Views>, database: Database) -> Arc<Self> {
        let announced = watch::Sender::new(Position::default());
        Arc::new(Self {
            pages,
            database,
            announced,
            waiters: Mutex::default(),
            next_number: AtomicU64::new(0),
            oldest: Mutex::default(),
        })
    }

    /// The pages that all readers read.
    pub fn pages(&self) -> &Pages<Views> {
        &self.pages
    }

    /// The database, for questions that no page can answer.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The position that was announced last.
    pub fn position(&self) -> Position {
        self.announced.borrow().clone()
    }

    /// The announced position, as a channel to wait on.
    pub fn subscribe(&self) -> watch::Receiver<Position> {
        self.announced.subscribe()
    }

    /// The seq of the oldest event that retention has kept; one more than the head if there is none.
    pub async fn oldest(&self) -> Result<i64, PageError> {
        let position = self.pages.position();
        let known = *self.oldest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((epoch, trimmed, seq)) = known
            && (epoch, trimmed) == (position.epoch, position.trimmed)
        {
            return Ok(seq);
        }
        let page = self.pages.page_after(position.trimmed).await?;
        let first = page.events().map(|event| event.seq).find(|seq| *seq > position.trimmed);
        let Some(seq) = first else { return Ok(page.upto() + 1) };
        *self.oldest.lock().unwrap_or_else(PoisonError::into_inner) = Some((page.epoch(), position.trimmed, seq));
        Ok(seq)
    }

    /// The refusal for a cursor after which events were trimmed.
    pub(super) async fn expired(&self) -> Refused {
        self.oldest().await.map_or_else(Refused::from, |oldest| Refused::Expired { oldest })
    }

    /// Announces each head that the tail decides, until the shutdown.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let mut decided = self.pages.subscribe();
        decided.mark_changed();
        let mut told = Instant::now();
        let mut woke = 0;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = decided.changed() => if changed.is_err() { return },
            }
            if woke >= GATHER_FROM {
                tokio::time::sleep_until(told + GATHER).await;
            }
            let position = decided.borrow_and_update().clone();
            told = Instant::now();
            woke = self.announce(position);
        }
    }

    /// Announces a position, and wakes the readers that an event up to it is for. Returns how many it has woken.
    pub(super) fn announce(&self, position: Position) -> usize {
        let before = self.position();
        // Where retention took events beyond the last head, the pages may lack some that are new.
        let is_continuous = before.epoch == position.epoch && before.known && position.trimmed <= before.head;
        let new_pages = if is_continuous { self.between(before.head, &position) } else { None };
        let mut woke = self.announced.receiver_count();
        // Held until the head is announced, so that a reader registers either before the waking and the announcement, or after both.
        let waiters = self.waiters();
        match new_pages {
            Some(pages) => {
                for event in pages.iter().flat_map(|page| page.events()) {
                    if before.head < event.seq && event.seq <= position.head {
                        woke += wake(&waiters, event);
                    }
                }
            }
            // Too many new pages, or another history: each reader looks for itself.
            None => {
                for waiter in waiters.values().flat_map(HashMap::values) {
                    waiter.wake();
                    woke += 1;
                }
            }
        }
        self.announced.send_replace(position);
        drop(waiters);
        woke
    }

    /// The pages after a seq up to a position, if all of them are in memory and belong to the position's history.
    fn between(&self, after: i64, position: &Position) -> Option<Vec<Arc<Page<Views>>>> {
        let (mut at, mut pages) = (after, Vec::new());
        while at < position.head {
            if pages.len() >= HOT_PAGES {
                return None;
            }
            let page =
                self.pages.cached_page_after(at).filter(|page| page.epoch() == position.epoch && page.upto() > at)?;
            at = page.upto();
            pages.push(page);
        }
        Some(pages)
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of registered readers with a filter, for metrics.
    pub fn interests(&self) -> usize {
        self.waiters().values().map(HashMap::len).sum()
    }

    /// Registers a reader for the events that a filter passes, until the returned value is dropped.
    pub(super) fn interest(self: &Arc<Self>, filter: &Arc<Filter>) -> Interest {
        let everything = filter.is_unrestricted() && filter.keys() == [Key::Any];
        let waits_for = if everything { WaitsFor::Head(self.subscribe()) } else { self.register(filter) };
        Interest { announcer: Arc::clone(self), waits_for }
    }

    fn register(&self, filter: &Arc<Filter>) -> WaitsFor {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        // Begins as woken, so that the reader looks at everything that was announced before this moment.
        let waiter =
            Arc::new(Waiter { filter: Arc::clone(filter), woken: AtomicBool::new(true), signal: Notify::new() });
        waiter.signal.notify_one();
        let mut waiters = self.waiters();
        for key in filter.keys() {
            waiters.entry(key).or_default().insert(number, Arc::clone(&waiter));
        }
        WaitsFor::Match { number, waiter, look_upto: 0, head: None }
    }
}

/// Wakes the registered readers that this event is for.
fn wake(waiters: &Waiters, event: &StoredEvent) -> usize {
    if waiters.is_empty() {
        return 0;
    }
    let mut woke = 0;
    for waiter in Key::of(event).iter().filter_map(|key| waiters.get(key)).flat_map(HashMap::values) {
        if !waiter.woken.load(Ordering::Acquire) && waiter.filter.matches(event) {
            waiter.wake();
            woke += 1;
        }
    }
    woke
}

/// One reader's registration.
#[derive(Debug)]
pub(super) struct Interest {
    announcer: Arc<Announcer>,
    waits_for: WaitsFor,
}

#[derive(Debug)]
enum WaitsFor {
    /// The reader takes every event, so it waits for the next head.
    Head(watch::Receiver<Position>),
    /// The reader is registered with its filter. Once woken, it must look at everything up to the head of that moment, `look_upto`.
    /// While it is ahead of this node it waits for the head as well, to be told that it has caught up.
    Match { number: u64, waiter: Arc<Waiter>, look_upto: i64, head: Option<watch::Receiver<Position>> },
}

impl Interest {
    /// The announced position; a reader looks at it before each step. Where no event up to it is for the reader, this moves it there.
    pub(super) fn look(&mut self, read: &mut ReadState) -> Position {
        match &mut self.waits_for {
            WaitsFor::Head(announced) => announced.borrow_and_update().clone(),
            WaitsFor::Match { waiter, look_upto, head, .. } => {
                let (woken, position) = {
                    // Both are read under the lock under which `Announcer::announce` sets both.
                    let _waiters = self.announcer.waiters();
                    let position = self.announcer.position();
                    *head = read.is_ahead(&position).then(|| self.announcer.subscribe());
                    (waiter.woken.swap(false, Ordering::AcqRel), position)
                };
                if woken {
                    *look_upto = position.head;
                } else if read.has_passed(*look_upto) {
                    read.skip_to(&self.announcer.pages, &position);
                }
                position
            }
        }
    }

    /// Waits until there may be something new. The future can be dropped and made again.
    pub(super) async fn woken(&mut self) {
        match &mut self.waits_for {
            WaitsFor::Head(head) => moved(head).await,
            WaitsFor::Match { waiter, head: None, .. } => waiter.signal.notified().await,
            WaitsFor::Match { waiter, head: Some(head), .. } => tokio::select! {
                () = waiter.signal.notified() => {}
                () = moved(head) => {}
            },
        }
    }
}

async fn moved(head: &mut watch::Receiver<Position>) {
    if head.changed().await.is_err() {
        std::future::pending().await
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        let WaitsFor::Match { number, waiter, .. } = &self.waits_for else { return };
        let mut waiters = self.announcer.waiters();
        for key in waiter.filter.keys() {
            if let Some(those) = waiters.get_mut(&key) {
                those.remove(number);
                if those.is_empty() {
                    waiters.remove(&key);
                }
            }
        }
    }
}
