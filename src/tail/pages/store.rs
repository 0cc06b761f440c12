//! The readers' handle on the pages of this node. It finds the page with the events after a given seq.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::{Notify, Semaphore, watch};

use super::cache::Cache;
use super::hot::{Hot, Lookup};
use super::load::Load;
use super::page::{Chunk, Page};
use super::render::{Render, View};
use super::search::PageState;
use super::shared::Shared;
use super::writer::PageWriter;
use super::{Limits, PageError, Position};
use crate::journal::CurrentJournal;
use crate::telemetry::Histogram;

/// The pages of this node, for reading. Cheap to clone, shared by every session.
pub struct Pages<R: Render>(Arc<Shared<R>>);

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

impl<R: Render> Pages<R> {
    /// Pages without events, and their one writer, which is for the tail. No head is known until the writer jumps to one.
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
            look_wanted: Notify::new(),
            renderer: RwLock::new(Arc::new(renderer)),
        });
        (Self(Arc::clone(&shared)), PageWriter::new(shared))
    }

    /// The position of the head at this moment.
    pub fn position(&self) -> Position {
        self.0.hot().position.clone()
    }

    /// The journal that the tail follows. Code that reads events without the pages must read from this journal only.
    pub fn journal(&self) -> &CurrentJournal {
        &self.0.journal
    }

    /// Asks the tail to look at the journal at once, though no bell has rung. A transaction that was rolled back rings none, and its
    /// numbers would be found to be empty up to a second later. Requests that come during one look count as one.
    pub fn want_look(&self) {
        self.0.look_wanted.notify_one();
    }

    /// A channel with the position of the head. Whoever sees a head in it can read every page up to that head.
    pub fn subscribe(&self) -> watch::Receiver<Position> {
        self.0.position.subscribe()
    }

    /// Returns the page with the first event after the seq `after`. If there is no such event up to the head, the page has no event after
    /// `after`, and its `upto` is the head. Pages hold decided events only.
    ///
    /// Near the head it returns without waiting. To read on, take the events of `page.after(after)`, and call this again with
    /// `max(after, page.upto())`, until that is the head.
    pub async fn page_after(&self, after: i64) -> Result<Arc<Page<R>>, PageError> {
        let mut after = after.max(0);
        let mut epoch = None;
        loop {
            let page = match Shared::find(&self.0, after, &mut epoch)? {
                PageState::Hot(page) => return Ok(page),
                PageState::Cached(page) => page,
                PageState::Loading(mut outcome) => match outcome.wait_for(Option::is_some).await.as_deref() {
                    Ok(Some(Ok(page))) => Arc::clone(page),
                    Ok(Some(Err(error))) => return Err(error.clone()),
                    Ok(None) | Err(_) => return Err(PageError::Ended),
                },
            };
            if page.last_seq() > after {
                return Ok(page);
            }
            // There are two cases. The page covers `after` and has no event after it: then `after` moves to the end of the page. Or
            // the page came from a load that other readers share, and ends at or before `after`: then the cache knows now where that
            // page ends, and the next round loads the part after it. The loop ends in the hot tail at the latest.
            after = after.max(page.upto());
        }
    }

    /// The page with the first event after the seq `after`, if it is in memory: in the hot tail, or in the cache.
    pub fn cached_page_after(&self, after: i64) -> Option<Arc<Page<R>>> {
        let after = after.max(0);
        let (position, hot_floor) = match self.0.hot().find(after) {
            Lookup::Hot(page) => return Some(page),
            Lookup::Older { position, floor: hot_floor } => (position, hot_floor),
        };
        let mut cache = self.0.cache();
        if cache.epoch != position.epoch {
            return None;
        }
        // A page without an event after `after` does not count, though `page_after` would look at the next page then.
        cache.look_up(after, hot_floor).ok().filter(|page| page.last_seq() > after)
    }

    /// The rendering of a chunk for a view, never by a renderer that was replaced before this call.
    pub fn rendered(&self, chunk: &Chunk<R>, view: View) -> R::Rendered {
        chunk.rendered(&self.renderer(), view)
    }

    /// The current renderer.
    pub fn renderer(&self) -> Arc<R> {
        Arc::clone(&self.0.renderer.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The version of what a view shows now. It only grows.
    pub fn version(&self, view: View) -> u64 {
        self.renderer().version(view)
    }

    /// Replaces the renderer. Returns `false` and changes nothing if a view's version would go backwards.
    pub fn set_renderer(&self, renderer: R) -> bool {
        let mut current = self.0.renderer.write().unwrap_or_else(PoisonError::into_inner);
        let is_forward = (0..R::VIEWS).map(View).all(|view| renderer.version(view) >= current.version(view));
        if is_forward {
            *current = Arc::new(renderer);
        }
        is_forward
    }

    /// How long loads of pages took, without the time that they waited for other loads.
    pub fn load_times(&self) -> &Histogram {
        &self.0.load_times
    }

    /// The bytes of older pages in memory, for metrics.
    pub fn cached_bytes(&self) -> u64 {
        self.0.cache().weight()
    }
}
