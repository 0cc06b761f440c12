//! What readers hold: a handle that answers "the page after this cursor".

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Instant;

use tokio::sync::{Semaphore, watch};

use crate::db::Trouble;
use crate::journal::CurrentJournal;
use crate::telemetry::Histogram;

use super::cache::{Cache, Flight, Outcome};
use super::hot::{Hot, Place};
use super::load::{Load, Loaded};
use super::page::{Chunk, Page};
use super::render::{Render, View};
use super::writer::PageWriter;
use super::{LOAD_LIMIT, Limits, PageError, Position};

/// The pages of this node, for reading. Cheap to clone, shared by every session.
pub struct Pages<R: Render>(Arc<Shared<R>>);

/// Std locks over sections that search or swap: none awaits, and none frees pages. Where both are needed, the cache's
/// comes first.
pub(super) struct Shared<R: Render> {
    pub(super) hot: RwLock<Hot<R>>,
    pub(super) cache: Mutex<Cache<R>>,
    pub(super) position: watch::Sender<Position>,
    pub(super) limits: Limits,
    loads: Semaphore,
    load_times: Histogram,
    loader: Box<dyn Load>,
    pub(super) journal: CurrentJournal,
    renderer: RwLock<Arc<R>>,
}

impl<R: Render> Clone for Pages<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: Render> fmt::Debug for Pages<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("position", &self.position()).field("limits", &self.0.limits).finish()
    }
}

/// How the search for a page stands.
enum Found<R: Render> {
    Hot(Arc<Page<R>>),
    Cached(Arc<Page<R>>),
    OnItsWay(watch::Receiver<Outcome<R>>),
}

impl<R: Render> Pages<R> {
    /// An empty store, which knows nothing until its writer jumps to a head. There is one writer, the tail.
    pub fn new(mut loader: impl Load, renderer: R, limits: Limits) -> (Self, PageWriter<R>) {
        let journal = CurrentJournal::default();
        loader.follow(journal.clone());
        let shared = Arc::new(Shared {
            hot: RwLock::new(Hot::unknown(0)),
            cache: Mutex::new(Cache::new(limits.cache_bytes)),
            position: watch::Sender::new(Position::default()),
            limits,
            loads: Semaphore::new(limits.loads.max(1)),
            load_times: Histogram::default(),
            loader: Box::new(loader),
            journal,
            renderer: RwLock::new(Arc::new(renderer)),
        });
        (Self(Arc::clone(&shared)), PageWriter::new(shared))
    }

    /// How far the stream is decided, at this moment.
    pub fn position(&self) -> Position {
        self.0.hot().position.clone()
    }

    /// The journal that the tail follows. Whoever reads beside the pages reads from there alone.
    pub fn journal(&self) -> &CurrentJournal {
        &self.0.journal
    }

    /// The same as something to wait on. Who sees a head here finds every page up to it.
    pub fn subscribe(&self) -> watch::Receiver<Position> {
        self.0.position.subscribe()
    }

    /// The page with the first event after the cursor. If there is none up to the head, a page without one, whose `upto`
    /// is the head. Never shows what was not decided when it was called or later.
    ///
    /// At the live edge it answers without waiting for anything. To walk: take `page.after(cursor)`, then set the cursor to
    /// `max(cursor, page.upto())`, until that is the head.
    pub async fn page_after(&self, cursor: i64) -> Result<Arc<Page<R>>, PageError> {
        let mut cursor = cursor.max(0);
        let mut epoch = None;
        loop {
            let page = match Shared::find(&self.0, cursor, &mut epoch)? {
                Found::Hot(page) => return Ok(page),
                Found::Cached(page) => page,
                Found::OnItsWay(mut outcome) => match outcome.wait_for(Option::is_some).await.as_deref() {
                    Ok(Some(Ok(page))) => Arc::clone(page),
                    Ok(Some(Err(error))) => return Err(error.clone()),
                    Ok(None) | Err(_) => return Err(PageError::Ended),
                },
            };
            if page.last_seq() > cursor {
                return Ok(page);
            }
            // It says everything beyond the cursor, or ends there and is cut there from now on (a load that others had sent
            // for). So this moves on, and ends in the hot tail at the latest.
            cursor = cursor.max(page.upto());
        }
    }

    /// The same, if the page need not be waited for: it is hot, or in the cache.
    pub fn cached_page_after(&self, cursor: i64) -> Option<Arc<Page<R>>> {
        let cursor = cursor.max(0);
        let (position, floor) = match self.0.hot().find(cursor) {
            Place::Hot(page) => return Some(page),
            Place::Older { position, floor } => (position, floor),
        };
        let mut cache = self.0.cache();
        if cache.epoch != position.epoch {
            return None;
        }
        // One that has nothing after the cursor is for `page_after` to go on from.
        cache.look_up(cursor, floor).ok().filter(|page| page.last_seq() > cursor)
    }

    /// What a view shows of a chunk, now: never by rules that were replaced before this was called.
    pub fn rendered(&self, chunk: &Chunk<R>, view: View) -> R::Rendered {
        chunk.rendered(&self.renderer(), view)
    }

    /// The rules in force.
    pub fn renderer(&self) -> Arc<R> {
        Arc::clone(&self.0.renderer.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other rules in force. `false`, and nothing happens, if a view's version would go backwards.
    pub fn set_renderer(&self, renderer: R) -> bool {
        let mut current = self.0.renderer.write().unwrap_or_else(PoisonError::into_inner);
        let forward = (0..R::VIEWS).map(View).all(|view| renderer.version(view) >= current.version(view));
        if forward {
            *current = Arc::new(renderer);
        }
        forward
    }

    /// How long loads of pages took, without the wait for a turn.
    pub fn load_times(&self) -> &Histogram {
        &self.0.load_times
    }

    /// The bytes of older pages in memory, for metrics.
    pub fn cached_bytes(&self) -> u64 {
        self.0.cache().weight()
    }
}

impl<R: Render> Shared<R> {
    pub(super) fn hot(&self) -> RwLockReadGuard<'_, Hot<R>> {
        self.hot.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cache(&self) -> MutexGuard<'_, Cache<R>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks where the cursor's next page is, and sends for it if it is nowhere. `epoch` is that of the first look, by which
    /// a reader never goes from a page of one history to a page of another.
    fn find(self: &Arc<Self>, cursor: i64, epoch: &mut Option<u64>) -> Result<Found<R>, PageError> {
        let place = self.hot().find(cursor);
        let now = match &place {
            Place::Hot(page) => page.epoch(),
            Place::Older { position, .. } => position.epoch,
        };
        if *epoch.get_or_insert(now) != now {
            return Err(PageError::Reset);
        }
        let (position, floor) = match place {
            Place::Hot(page) => return Ok(Found::Hot(page)),
            Place::Older { position, floor } => (position, floor),
        };
        let (landing, waiting, ended) = {
            let mut cache = self.cache();
            if cache.epoch != position.epoch {
                return Err(PageError::Reset);
            }
            let (after, upto) = match cache.look_up(cursor, floor) {
                Ok(page) => return Ok(Found::Cached(page)),
                Err(missing) => missing,
            };
            if let Some(flight) = cache.flights.get(&after) {
                return Ok(Found::OnItsWay(flight.subscribe()));
            }
            let (outcome, waiting) = watch::channel(None);
            let outcome = Arc::new(outcome);
            cache.flights.insert(after, Arc::clone(&outcome));
            let landing = Landing { shared: Arc::clone(self), after, upto, position, outcome, done: false };
            (landing, waiting, cache.ended.clone())
        };
        // A task of its own, so that the load does not end with the reader that happened to come first. It is started
        // outside the lock, because a runtime that shuts down drops it on the spot, and it lands then too.
        tokio::spawn(async move { ended.run_until_cancelled(landing.fly()).await });
        Ok(Found::OnItsWay(waiting))
    }

    /// Takes notice of what retention took. Only ever forward, within a history.
    pub(super) fn trim(&self, through: i64, epoch: u64) {
        if through <= self.hot().position.trimmed {
            return;
        }
        let position = {
            let mut hot = self.hot.write().unwrap_or_else(PoisonError::into_inner);
            if hot.position.epoch != epoch {
                return;
            }
            hot.position.trimmed = hot.position.trimmed.max(through);
            hot.position.clone()
        };
        self.tell(&position);
    }

    /// Tells everyone who waits where things stand now. Two may tell at once (the writer, and a load that found a trim), in
    /// either order: what is told only moves forward.
    pub(super) fn tell(&self, position: &Position) {
        self.position.send_if_modified(|told| {
            let before = told.clone();
            if (position.epoch, position.head, position.known) > (told.epoch, told.head, told.known) {
                *told = position.clone();
            }
            if before.epoch == position.epoch {
                told.trimmed = before.trimmed.max(position.trimmed);
            }
            *told != before
        });
    }

    async fn load(&self, after: i64, upto: i64, position: &Position) -> Result<Page<R>, Trouble> {
        let Loaded { events, reached, trimmed } = self.loader.range(after, upto, self.limits.page_bytes).await?;
        // Before anybody can have the page: who takes it must be able to see what it may lack.
        self.trim(trimmed, position.epoch);
        if events.is_empty() {
            let Loaded { events, trimmed, .. } = self.loader.next_after(upto, position.head).await?;
            self.trim(trimmed, position.epoch);
            let next = events.first().map(|event| event.seq);
            return Ok(Page::burnt(after, position.epoch, next, position.head));
        }
        if reached < upto {
            // A heavy range: whoever is in its middle shall not read all that lies before.
            let cuts = self.loader.cuts(reached, upto, self.limits.page_bytes).await?;
            let mut cache = self.cache();
            if cache.epoch == position.epoch {
                cuts.into_iter().for_each(|seq| cache.cut(seq));
            }
        }
        Ok(Page::new(after, reached, position.epoch, vec![Arc::new(Chunk::new(events))]))
    }
}

/// The end of one load, which comes whatever happens to its task.
struct Landing<R: Render> {
    shared: Arc<Shared<R>>,
    /// What is to be loaded.
    after: i64,
    upto: i64,
    position: Position,
    outcome: Flight<R>,
    done: bool,
}

impl<R: Render> Landing<R> {
    async fn fly(mut self) {
        let shared = Arc::clone(&self.shared);
        let Ok(_turn) = shared.loads.acquire().await else { return };
        if self.nobody_waits() {
            return;
        }
        let begun = Instant::now();
        let loaded = tokio::time::timeout(LOAD_LIMIT, shared.load(self.after, self.upto, &self.position)).await;
        shared.load_times.observe(begun.elapsed());
        let result = loaded.unwrap_or(Err(Trouble::Slow(LOAD_LIMIT)));
        self.land(result.map(Arc::new).map_err(PageError::Load));
    }

    /// Gives up before the load when every reader that wanted it has left. Readers join under the same lock, so none
    /// can come in between.
    fn nobody_waits(&mut self) -> bool {
        let mut cache = self.shared.cache();
        if self.outcome.receiver_count() > 0 {
            return false;
        }
        if cache.epoch == self.position.epoch {
            cache.flights.remove(&self.after);
        }
        self.done = true;
        true
    }

    /// Keeps the page, unless the history changed meanwhile, and tells everyone who waits. Whether they are told a page or
    /// an error, the next one who asks finds the cache, or begins anew.
    fn land(&mut self, result: Result<Arc<Page<R>>, PageError>) {
        self.done = true;
        let mut left = Vec::new();
        {
            let mut cache = self.shared.cache();
            if cache.epoch == self.position.epoch {
                cache.flights.remove(&self.after);
                if let Ok(page) = &result {
                    cache.put(Arc::clone(page), &mut left);
                }
            }
        }
        // A reset has told them already.
        self.outcome.send_if_modified(|outcome| {
            let first = outcome.is_none();
            outcome.get_or_insert(result);
            first
        });
    }
}

impl<R: Render> Drop for Landing<R> {
    fn drop(&mut self) {
        if !self.done {
            if std::thread::panicking() {
                tracing::error!(after = self.after, "the load of a page panicked");
            }
            self.land(Err(PageError::Ended));
        }
    }
}
