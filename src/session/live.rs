//! What the readers of a node share: the head as it is announced to them, and who wants to be woken by which event.
//!
//! Whoever takes all that comes waits on the head. Whoever has a filter waits under the narrowest of its conditions, and is
//! woken by events that it wants and by no others; until then, every announced head is one up to which there is nothing for it.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::start::Refused;
use super::walk::Walk;
use crate::db::Database;
use crate::journal::{Filter, Key, StoredEvent};
use crate::shutdown::Shutdown;
use crate::tail::pages::{HOT_PAGES, Page, PageError, Pages, Position};
use crate::view::Views;

/// When many wait, a head is announced this long after the one before it at the earliest: a session that wakes for several
/// events costs hardly more than one that wakes for one.
pub const GATHER: Duration = Duration::from_millis(5);
/// How many an announcement must have woken for the next one to be held back.
pub const GATHER_FROM: usize = 64;

/// What the readers of a node share.
pub struct Live {
    pages: Pages<Views>,
    database: Database,
    announced: watch::Sender<Position>,
    wants: Mutex<Wants>,
    numbers: AtomicU64,
    /// The oldest event, and of which history and trim that is true.
    oldest: Mutex<Option<(u64, i64, i64)>>,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("announced", &*self.announced.borrow()).finish_non_exhaustive()
    }
}

/// Those who wait for something in particular.
type Wants = HashMap<Key, HashMap<u64, Arc<Want>>>;

#[derive(Debug)]
struct Want {
    filter: Arc<Filter>,
    /// Whether something came since it was last asked.
    woken: AtomicBool,
    bell: Notify,
}

impl Want {
    fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.bell.notify_one();
        }
    }
}

impl Live {
    /// Over the pages of a node; the database is for what no page can tell.
    pub fn new(pages: Pages<Views>, database: Database) -> Arc<Self> {
        let announced = watch::Sender::new(Position::default());
        Arc::new(Self {
            pages,
            database,
            announced,
            wants: Mutex::default(),
            numbers: AtomicU64::new(0),
            oldest: Mutex::default(),
        })
    }

    /// Where everyone reads.
    pub fn pages(&self) -> &Pages<Views> {
        &self.pages
    }

    /// For what no page can tell.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The head as it was last announced, and what belongs to it.
    pub fn position(&self) -> Position {
        self.announced.borrow().clone()
    }

    /// The same as something to wait on.
    pub fn subscribe(&self) -> watch::Receiver<Position> {
        self.announced.subscribe()
    }

    /// The seq of the oldest event that is kept; the head and one if there is none.
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

    /// That events after a cursor are gone, and what is left.
    pub(super) async fn expired(&self) -> Refused {
        self.oldest().await.map_or_else(Refused::from, |oldest| Refused::Expired { oldest })
    }

    /// Announces what the tail decides, until the shutdown.
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

    /// Wakes those who want what is new up to a position, and tells everyone how far it is. Returns how many it woke.
    pub(super) fn announce(&self, position: Position) -> usize {
        let before = self.position();
        // What was trimmed beyond the last head may be missing from the pages.
        let same = before.epoch == position.epoch && before.known && position.trimmed <= before.head;
        let news = if same { self.between(before.head, &position) } else { None };
        let mut woke = self.announced.receiver_count();
        // The lock is held until the head is told: who registers meanwhile does so before both or after both.
        let wants = self.wants();
        match news {
            Some(pages) => {
                for event in pages.iter().flat_map(|page| page.events()) {
                    if before.head < event.seq && event.seq <= position.head {
                        woke += wake(&wants, event);
                    }
                }
            }
            // Too much to look at, or another history: everyone looks for themselves.
            None => {
                for want in wants.values().flat_map(HashMap::values) {
                    want.wake();
                    woke += 1;
                }
            }
        }
        self.announced.send_replace(position);
        drop(wants);
        woke
    }

    /// The pages after a seq up to a position, if they are all at hand; and of its history, which may have ended since.
    fn between(&self, after: i64, position: &Position) -> Option<Vec<Arc<Page<Views>>>> {
        let (mut at, mut pages) = (after, Vec::new());
        while at < position.head {
            if pages.len() >= HOT_PAGES {
                return None;
            }
            let page = self.pages.at_hand(at).filter(|page| page.epoch() == position.epoch && page.upto() > at)?;
            at = page.upto();
            pages.push(page);
        }
        Some(pages)
    }

    fn wants(&self) -> MutexGuard<'_, Wants> {
        self.wants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many wait for something in particular, for metrics.
    pub fn interests(&self) -> usize {
        self.wants().values().map(HashMap::len).sum()
    }

    /// Begins to wait for what a filter passes. Until this is dropped.
    pub(super) fn interest(self: &Arc<Self>, filter: &Arc<Filter>) -> Interest {
        let everything = filter.asks_nothing() && filter.keys() == [Key::Any];
        let way = if everything { Waiting::Head(self.subscribe()) } else { self.register(filter) };
        Interest { live: Arc::clone(self), way }
    }

    fn register(&self, filter: &Arc<Filter>) -> Waiting {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        // Woken to begin with: whatever was announced before this moment is looked at.
        let want = Arc::new(Want { filter: Arc::clone(filter), woken: AtomicBool::new(true), bell: Notify::new() });
        want.bell.notify_one();
        let mut wants = self.wants();
        for key in filter.keys() {
            wants.entry(key).or_default().insert(number, Arc::clone(&want));
        }
        Waiting::Wanted { number, want, look_upto: 0, head: None }
    }
}

/// Wakes those who want this event.
fn wake(wants: &Wants, event: &StoredEvent) -> usize {
    if wants.is_empty() {
        return 0;
    }
    let mut woke = 0;
    for want in Key::of(event).iter().filter_map(|key| wants.get(key)).flat_map(HashMap::values) {
        if !want.woken.load(Ordering::Acquire) && want.filter.matches(event) {
            want.wake();
            woke += 1;
        }
    }
    woke
}

/// One reader's place among those who wait.
#[derive(Debug)]
pub(super) struct Interest {
    live: Arc<Live>,
    way: Waiting,
}

#[derive(Debug)]
enum Waiting {
    /// For the next head.
    Head(watch::Receiver<Position>),
    /// For what is wanted. When woken, the reader must look at everything up to the head of that moment. While it is ahead
    /// of this node, it waits for the head too, to be told that it is live.
    Wanted { number: u64, want: Arc<Want>, look_upto: i64, head: Option<watch::Receiver<Position>> },
}

impl Interest {
    /// The position to go by, asked before each step. A reader that has nothing to look at up to it is moved there.
    pub(super) fn look(&mut self, walk: &mut Walk) -> Position {
        match &mut self.way {
            Waiting::Head(announced) => announced.borrow_and_update().clone(),
            Waiting::Wanted { want, look_upto, head, .. } => {
                let (woken, position) = {
                    // Together, as they are set together: see `Live::announce`.
                    let _wants = self.live.wants();
                    let position = self.live.position();
                    *head = walk.is_ahead(&position).then(|| self.live.subscribe());
                    (want.woken.swap(false, Ordering::AcqRel), position)
                };
                if woken {
                    *look_upto = position.head;
                } else if walk.is_past(*look_upto) {
                    walk.pass(&self.live.pages, &position);
                }
                position
            }
        }
    }

    /// Waits until there may be something new. Can be dropped and called again.
    pub(super) async fn woken(&mut self) {
        match &mut self.way {
            Waiting::Head(head) => moved(head).await,
            Waiting::Wanted { want, head: None, .. } => want.bell.notified().await,
            Waiting::Wanted { want, head: Some(head), .. } => tokio::select! {
                () = want.bell.notified() => {}
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
        let Waiting::Wanted { number, want, .. } = &self.way else { return };
        let mut wants = self.live.wants();
        for key in want.filter.keys() {
            if let Some(those) = wants.get_mut(&key) {
                those.remove(number);
                if those.is_empty() {
                    wants.remove(&key);
                }
            }
        }
    }
}
