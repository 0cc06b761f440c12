//! Finds one page: in the hot tail, in the cache, or through a load that all its readers share.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use super::cache::{Flight, Outcome};
use super::hot::Lookup;
use super::load::Loaded;
use super::page::{Chunk, Page};
use super::render::Render;
use super::shared::Shared;
use super::{LOAD_LIMIT, PageError, Position};
use crate::db::DatabaseError;

/// Where a page was found.
pub(super) enum PageState<R: Render> {
    Hot(Arc<Page<R>>),
    Cached(Arc<Page<R>>),
    Loading(watch::Receiver<Outcome<R>>),
}

impl<R: Render> Shared<R> {
    /// Finds the cursor's next page, and starts a load if it is not in memory. `epoch` keeps the epoch of the reader's first
    /// call, so that a reader never goes from one history to another.
    pub(super) fn find(self: &Arc<Self>, cursor: i64, epoch: &mut Option<u64>) -> Result<PageState<R>, PageError> {
        let found = self.hot().find(cursor);
        let now = match &found {
            Lookup::Hot(page) => page.epoch(),
            Lookup::Older { position, .. } => position.epoch,
        };
        if *epoch.get_or_insert(now) != now {
            return Err(PageError::Reset);
        }
        let (position, floor) = match found {
            Lookup::Hot(page) => return Ok(PageState::Hot(page)),
            Lookup::Older { position, floor } => (position, floor),
        };
        let (load, waiting, ended) = {
            let mut cache = self.cache();
            if cache.epoch != position.epoch {
                return Err(PageError::Reset);
            }
            let (after, upto) = match cache.look_up(cursor, floor) {
                Ok(page) => return Ok(PageState::Cached(page)),
                Err(missing) => missing,
            };
            if let Some(flight) = cache.flights.get(&after) {
                return Ok(PageState::Loading(flight.subscribe()));
            }
            let (outcome, waiting) = watch::channel(None);
            let outcome = Arc::new(outcome);
            cache.flights.insert(after, Arc::clone(&outcome));
            let load = PageLoad { shared: Arc::clone(self), after, upto, position, outcome, done: false };
            (load, waiting, cache.ended.clone())
        };
        // A task of its own, so that the load does not end with the reader that happened to come first. It is started
        // outside the lock, because a runtime that shuts down drops it on the spot, and it tells the readers then too.
        tokio::spawn(async move { ended.run_until_cancelled(load.run()).await });
        Ok(PageState::Loading(waiting))
    }

    async fn load(&self, after: i64, upto: i64, position: &Position) -> Result<Page<R>, DatabaseError> {
        let Loaded { events, reached, trimmed } = self.loader.range(after, upto, self.limits.page_bytes).await?;
        // Before the page is handed out: a reader that takes it must see which events retention may have taken.
        self.trim(trimmed, position.epoch);
        if events.is_empty() {
            let Loaded { events, trimmed, .. } = self.loader.next_after(upto, position.head).await?;
            self.trim(trimmed, position.epoch);
            let next = events.first().map(|event| event.seq);
            return Ok(Page::burnt(after, position.epoch, next, position.head));
        }
        if reached < upto {
            // A heavy range: its cuts let a reader in its middle load only the part that it needs.
            let cuts = self.loader.cuts(reached, upto, self.limits.page_bytes).await?;
            let mut cache = self.cache();
            if cache.epoch == position.epoch {
                cuts.into_iter().for_each(|seq| cache.cut(seq));
            }
        }
        Ok(Page::new(after, reached, position.epoch, vec![Arc::new(Chunk::new(events))]))
    }
}

/// One load, shared by all readers that want its page. They get an answer whatever happens to its task.
struct PageLoad<R: Render> {
    shared: Arc<Shared<R>>,
    /// The range to load is `(after, upto]`.
    after: i64,
    upto: i64,
    position: Position,
    outcome: Flight<R>,
    done: bool,
}

impl<R: Render> PageLoad<R> {
    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let Ok(_turn) = shared.loads.acquire().await else { return };
        if self.nobody_waits() {
            return;
        }
        let begun = Instant::now();
        let loaded = tokio::time::timeout(LOAD_LIMIT, shared.load(self.after, self.upto, &self.position)).await;
        shared.load_times.observe(begun.elapsed());
        let result = loaded.unwrap_or(Err(DatabaseError::Slow(LOAD_LIMIT)));
        self.finish(result.map(Arc::new).map_err(PageError::Load));
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
    fn finish(&mut self, result: Result<Arc<Page<R>>, PageError>) {
        self.done = true;
        let mut evicted = Vec::new();
        {
            let mut cache = self.shared.cache();
            if cache.epoch == self.position.epoch {
                cache.flights.remove(&self.after);
                if let Ok(page) = &result {
                    cache.put(Arc::clone(page), &mut evicted);
                }
            }
        }
        // Waiting readers have an answer already if the history was reset.
        self.outcome.send_if_modified(|outcome| {
            let first = outcome.is_none();
            outcome.get_or_insert(result);
            first
        });
    }
}

impl<R: Render> Drop for PageLoad<R> {
    fn drop(&mut self) {
        if !self.done {
            if std::thread::panicking() {
                tracing::error!(after = self.after, "the load of a page panicked");
            }
            self.finish(Err(PageError::Ended));
        }
    }
}
