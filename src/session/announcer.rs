//! Announces the head to the readers of a node, and wakes each for the events that its filter passes.
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

use super::read_error::ReadError;
use super::read_state::ReadState;
use super::shared_reading::SharedReading;
use super::sync_point::SyncPoint;
use crate::db::Database;
use crate::journal::{Filter, FilterKey, StoredEvent};
use crate::shutdown::Shutdown;
use crate::tail::pages::{HOT_PAGES, Page, PageError, Pages, Position};
use crate::view::Views;

/// The least time between two announcements when many readers wait: a session that wakes once for several events costs hardly more
/// than for one.
pub const GATHER_TIME: Duration = Duration::from_millis(5);
/// An announcement that has woken at least so many readers holds the next one back.
pub const GATHER_MIN_READERS: usize = 64;

/// Announces the head to the readers of one node.
pub struct Announcer {
    pages: Pages<Views>,
    database: Database,
    announced: watch::Sender<Position>,
    waiters: Mutex<Waiters>,
    next_number: AtomicU64,
    /// The answer of [`Self::oldest`], kept as (epoch, newest trimmed seq, seq of the oldest event).
    known_oldest: Mutex<Option<(u64, i64, i64)>>,
    /// The readings of [`Self::sync_point`].
    pub(super) sync_readings: Arc<SharedReading<Result<SyncPoint, ReadError>>>,
}

impl fmt::Debug for Announcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announcer").field("announced", &*self.announced.borrow()).finish_non_exhaustive()
    }
}

/// The readers with a filter: by the narrowest conditions of the filter, then by the number of the registration.
type Waiters = HashMap<FilterKey, HashMap<u64, Arc<Waiter>>>;

#[derive(Debug)]
struct Waiter {
    filter: Arc<Filter>,
    /// True if a matching event was announced since the reader last looked.
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
            known_oldest: Mutex::default(),
            sync_readings: Arc::default(),
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
    pub fn announced_position(&self) -> Position {
        self.announced.borrow().clone()
    }

    /// The announced position, as a channel to wait on.
    pub fn subscribe(&self) -> watch::Receiver<Position> {
        self.announced.subscribe()
    }

    /// The seq of the oldest event that retention has kept; one more than the head if there is none.
    pub async fn oldest(&self) -> Result<i64, PageError> {
        let position = self.pages.position();
        let known = *self.known_oldest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((epoch, trimmed, seq)) = known
            && (epoch, trimmed) == (position.epoch, position.trimmed)
        {
            return Ok(seq);
        }
        let page = self.pages.page_after(position.trimmed).await?;
        let first = page.events().map(|event| event.seq).find(|seq| *seq > position.trimmed);
        let Some(seq) = first else { return Ok(page.upto() + 1) };
        *self.known_oldest.lock().unwrap_or_else(PoisonError::into_inner) = Some((page.epoch(), position.trimmed, seq));
        Ok(seq)
    }

    /// The error for a cursor after which events were trimmed.
    pub(super) async fn cursor_expired_error(&self) -> ReadError {
        self.oldest().await.map_or_else(ReadError::from, |oldest| ReadError::CursorExpired { oldest })
    }

    /// Announces each head that the tail decides, until the shutdown.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let mut decided = self.pages.subscribe();
        decided.mark_changed();
        let mut announced_at = Instant::now();
        let mut woken_count = 0;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = decided.changed() => if changed.is_err() { return },
            }
            if woken_count >= GATHER_MIN_READERS {
                tokio::time::sleep_until(announced_at + GATHER_TIME).await;
            }
            let position = decided.borrow_and_update().clone();
            announced_at = Instant::now();
            woken_count = self.announce(position);
        }
    }

    /// Announces a position, and wakes the readers whose filter passes one of the new events. Returns the number of readers woken.
    pub(super) fn announce(&self, position: Position) -> usize {
        let before = self.announced_position();
        // If retention trimmed events beyond the last head, new events may be missing from the pages.
        let is_continuous = before.epoch == position.epoch && before.known && position.trimmed <= before.head;
        let new_pages = if is_continuous { self.pages_between(before.head, &position) } else { None };
        let mut woken_count = self.announced.receiver_count();
        // The lock is held until the head is announced, so no reader registers between the wake-ups and the announcement.
        let waiters = self.waiters();
        match new_pages {
            Some(pages) => {
                for event in pages.iter().flat_map(|page| page.events()) {
                    if before.head < event.seq && event.seq <= position.head {
                        woken_count += wake_for(&waiters, event);
                    }
                }
            }
            // Too many new pages, or another history: each reader looks for itself.
            None => {
                for waiter in waiters.values().flat_map(HashMap::values) {
                    waiter.wake();
                    woken_count += 1;
                }
            }
        }
        self.announced.send_replace(position);
        drop(waiters);
        woken_count
    }

    /// The pages after a seq up to a position, if all of them are in memory and belong to the position's history.
    fn pages_between(&self, after: i64, position: &Position) -> Option<Vec<Arc<Page<Views>>>> {
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
    pub fn registered_readers(&self) -> usize {
        self.waiters().values().map(HashMap::len).sum()
    }

    /// Registers a reader for the events that a filter passes, until the returned value is dropped.
    pub(super) fn register(self: &Arc<Self>, filter: &Arc<Filter>) -> Registration {
        let takes_all = filter.is_unrestricted() && filter.keys() == [FilterKey::Any];
        let waits_for = if takes_all { WaitsFor::Head(self.subscribe()) } else { self.register_filter(filter) };
        Registration { announcer: Arc::clone(self), waits_for }
    }

    fn register_filter(&self, filter: &Arc<Filter>) -> WaitsFor {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        // Starts out woken, so that the reader looks at everything that was announced before this moment.
        let waiter =
            Arc::new(Waiter { filter: Arc::clone(filter), woken: AtomicBool::new(true), signal: Notify::new() });
        waiter.signal.notify_one();
        let mut waiters = self.waiters();
        for key in filter.keys() {
            waiters.entry(key).or_default().insert(number, Arc::clone(&waiter));
        }
        WaitsFor::Match { number, waiter, must_read_upto: 0, head_moves: None }
    }
}

/// Wakes the registered readers whose filter passes this event. Returns their number.
fn wake_for(waiters: &Waiters, event: &StoredEvent) -> usize {
    if waiters.is_empty() {
        return 0;
    }
    let mut woken_count = 0;
    for waiter in FilterKey::of(event).iter().filter_map(|key| waiters.get(key)).flat_map(HashMap::values) {
        if !waiter.woken.load(Ordering::Acquire) && waiter.filter.matches(event) {
            waiter.wake();
            woken_count += 1;
        }
    }
    woken_count
}

/// One reader's registration.
#[derive(Debug)]
pub(super) struct Registration {
    announcer: Arc<Announcer>,
    waits_for: WaitsFor,
}

#[derive(Debug)]
enum WaitsFor {
    /// The reader takes every event, so it waits for the next head.
    Head(watch::Receiver<Position>),
    /// The reader is registered with its filter. A wake-up obliges it to read every event up to the head that it
    /// then sees, `must_read_upto`. While its cursor is ahead of this node's head, it also waits for the next head, to find out when the
    /// node has caught up with it.
    Match { number: u64, waiter: Arc<Waiter>, must_read_upto: i64, head_moves: Option<watch::Receiver<Position>> },
}

impl Registration {
    /// Returns the announced position; a reader looks at it before each step. Moves a reader that was not woken to that position, since
    /// then no event up to it is for this reader.
    pub(super) fn look(&mut self, read: &mut ReadState) -> Position {
        match &mut self.waits_for {
            WaitsFor::Head(announced) => announced.borrow_and_update().clone(),
            WaitsFor::Match { waiter, must_read_upto, head_moves, .. } => {
                let (woken, position) = {
                    // Both are read under the lock under which `Announcer::announce` sets both.
                    let _waiters = self.announcer.waiters();
                    let position = self.announcer.announced_position();
                    *head_moves = read.is_ahead(&position).then(|| self.announcer.subscribe());
                    (waiter.woken.swap(false, Ordering::AcqRel), position)
                };
                if woken {
                    *must_read_upto = position.head;
                } else if read.has_passed(*must_read_upto) {
                    read.skip_to(&self.announcer.pages, &position);
                }
                position
            }
        }
    }

    /// Waits until there may be something new. The future can be dropped and made again.
    pub(super) async fn wait(&mut self) {
        match &mut self.waits_for {
            WaitsFor::Head(head) => head_moved(head).await,
            WaitsFor::Match { waiter, head_moves: None, .. } => waiter.signal.notified().await,
            WaitsFor::Match { waiter, head_moves: Some(head), .. } => tokio::select! {
                () = waiter.signal.notified() => {}
                () = head_moved(head) => {}
            },
        }
    }
}

/// Waits until the head moves; for ever if there is no announcer any more.
async fn head_moved(head: &mut watch::Receiver<Position>) {
    if head.changed().await.is_err() {
        std::future::pending().await
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let WaitsFor::Match { number, waiter, .. } = &self.waits_for else { return };
        let mut waiters = self.announcer.waiters();
        for key in waiter.filter.keys() {
            if let Some(registered) = waiters.get_mut(&key) {
                registered.remove(number);
                if registered.is_empty() {
                    waiters.remove(&key);
                }
            }
        }
    }
}
