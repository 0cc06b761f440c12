//! The readers' handle on the pages, which answers "the page after this cursor".

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
            look_wanted: Notify::new(),
            renderer: RwLock::new(Arc::new(renderer)),
        });
        (Self(Arc::clone(&shared)), PageWriter::new(shared))
    }

    /// How far the stream is decided, at this moment.
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

    /// Watches how far the stream is decided. Who sees a head here finds every page up to it.
    pub fn subscribe(&self) -> watch::Receiver<Position> {
        self.0.position.subscribe()
    }

    /// The page with the first event after the cursor. If there is none up to the head, a page without one, whose `upto`
    /// is the head. Shows only events that are decided.
    ///
    /// At the live edge it answers without waiting for anything. To walk: take `page.after(cursor)`, then set the cursor to
    /// `max(cursor, page.upto())`, until that is the head.
    pub async fn page_after(&self, cursor: i64) -> Result<Arc<Page<R>>, PageError> {
        let mut cursor = cursor.max(0);
        let mut epoch = None;
        loop {
            let page = match Shared::find(&self.0, cursor, &mut epoch)? {
                PageState::Hot(page) => return Ok(page),
                PageState::Cached(page) => page,
                PageState::Loading(mut outcome) => match outcome.wait_for(Option::is_some).await.as_deref() {
                    Ok(Some(Ok(page))) => Arc::clone(page),
                    Ok(Some(Err(error))) => return Err(error.clone()),
                    Ok(None) | Err(_) => return Err(PageError::Ended),
                },
            };
            if page.last_seq() > cursor {
                return Ok(page);
            }
            // The page covers the cursor and has no event after it, so the cursor moves on. Or the page came from a load
            // that other readers share and that stopped before the cursor; the cache has noted where, so the next round loads the
            // right part. The loop ends in the hot tail at the latest.
            cursor = cursor.max(page.upto());
        }
    }

    /// The page with the first event after the cursor, if it need not be waited for: it is hot, or in the cache.
    pub fn cached_page_after(&self, cursor: i64) -> Option<Arc<Page<R>>> {
        let cursor = cursor.max(0);
        let (position, floor) = match self.0.hot().find(cursor) {
            Lookup::Hot(page) => return Some(page),
            Lookup::Older { position, floor } => (position, floor),
        };
        let mut cache = self.0.cache();
        if cache.epoch != position.epoch {
            return None;
        }
        // `page_after` goes on from a page without events after the cursor; this gives up there.
        cache.look_up(cursor, floor).ok().filter(|page| page.last_seq() > cursor)
    }

    /// The rendering of a chunk for a view, never by a renderer that was replaced before this call.
    pub fn rendered(&self, chunk: &Chunk<R>, view: View) -> R::Rendered {
        chunk.rendered(&self.renderer(), view)
    }

    /// The current renderer.
    pub fn renderer(&self) -> Arc<R> {
        Arc::clone(&self.0.renderer.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the renderer. Returns `false` and changes nothing if a view's version would go backwards.
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
