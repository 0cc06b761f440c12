//! Older pages: a bounded cache, and at most one load under way for each. Both stand under one lock, so that a page is
//! either there, or on its way, or nobody has asked: no reader can fall between.

use std::collections::{BTreeSet, HashMap};
use std::hash::RandomState;
use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;

use quick_cache::unsync::Cache as QuickCache;
use quick_cache::{Lifecycle, Weighter};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::PageError;
use super::page::Page;
use super::render::Render;
use super::{end_of, index_of, start_of};

/// The outcome of a load; `None` while it is under way.
pub(super) type Outcome<R> = Option<Result<Arc<Page<R>>, PageError>>;

/// An estimate of a page's bytes, from which the cache derives how many pages it expects.
const USUAL_PAGE_BYTES: u64 = 256 << 10;
/// How many cuts are remembered, of pages that are no longer in the cache too: a few megabytes. When there are more, all are
/// forgotten, and found again as their pages are loaded.
const MAX_CUTS: usize = 1 << 16;

/// A load under way: the channel in which its outcome will stand.
pub(super) type Flight<R> = Arc<watch::Sender<Outcome<R>>>;

/// The state under the lock.
pub(super) struct Cache<R: Render> {
    pub(super) epoch: u64,
    /// Cancelled when the epoch ends: a load of the old history may hang on a server that is gone, and must not take a turn
    /// from those of the new one.
    pub(super) ended: CancellationToken,
    capacity: u64,
    /// Each page under the seq that it begins after.
    pages: PageCache<R>,
    /// Where aligned ranges are known to be cut: the last seq of one page and the beginning of the next. Only of use, never
    /// needed for what is right: a page says itself from where to where it goes.
    cuts: BTreeSet<i64>,
    /// Loads under way, by the seq that the page begins after.
    pub(super) flights: HashMap<i64, Flight<R>>,
}

/// Pages that left the cache, to be dropped after the lock: nobody should wait while thousands of events are freed. A page that a
/// reader still holds lives on with the reader.
pub(super) type Evicted<R> = Vec<Arc<Page<R>>>;

/// The contents of the cache from the history before.
pub(super) struct FormerPages<R: Render> {
    pages: PageCache<R>,
    flights: Vec<Flight<R>>,
    ended: CancellationToken,
}

impl<R: Render> FormerPages<R> {
    /// Answers waiting readers with [`PageError::Reset`], ends the loads, and frees the pages. Not to be called under a lock.
    pub(super) fn end(self) {
        for flight in &self.flights {
            flight.send_replace(Some(Err(PageError::Reset)));
        }
        self.ended.cancel();
        drop(self.pages);
    }
}

type PageCache<R> = QuickCache<i64, Arc<Page<R>>, PageWeight, RandomState, CollectEvicted>;

#[derive(Clone)]
pub(super) struct PageWeight;

impl<R: Render> Weighter<i64, Arc<Page<R>>> for PageWeight {
    fn weight(&self, _: &i64, page: &Arc<Page<R>>) -> u64 {
        page.weight() as u64
    }
}

#[derive(Clone)]
pub(super) struct CollectEvicted;

impl<R: Render> Lifecycle<i64, Arc<Page<R>>> for CollectEvicted {
    type RequestState = Evicted<R>;

    fn on_evict(&self, evicted: &mut Evicted<R>, _: i64, page: Arc<Page<R>>) {
        evicted.push(page);
    }
}

fn page_cache<R: Render>(capacity: u64) -> PageCache<R> {
    let pages = usize::try_from(capacity / USUAL_PAGE_BYTES).unwrap_or(usize::MAX).clamp(16, 1 << 16);
    QuickCache::with(pages, capacity, PageWeight, RandomState::new(), CollectEvicted)
}

impl<R: Render> Cache<R> {
    pub(super) fn new(capacity: u64) -> Self {
        let (pages, flights) = (page_cache(capacity), HashMap::new());
        Self { epoch: 0, ended: CancellationToken::new(), capacity, pages, cuts: BTreeSet::new(), flights }
    }

    /// The page that a cursor below the floor is in, or the range `(after, upto]` to load.
    pub(super) fn look_up(&mut self, cursor: i64, floor: i64) -> Result<Arc<Page<R>>, (i64, i64)> {
        loop {
            let (after, upto) = self.uncut_range(cursor, floor);
            match self.pages.get(&after) {
                Some(page) if page.upto() > cursor => return Ok(Arc::clone(page)),
                Some(page) => {
                    let end = page.upto();
                    self.cut(end);
                }
                None => return Err((after, upto)),
            }
        }
    }

    /// The part of the aligned range around a cursor, as far as it is known to be cut.
    fn uncut_range(&self, cursor: i64, floor: i64) -> (i64, i64) {
        let index = index_of(cursor + 1);
        let (start, end) = (start_of(index), end_of(index).min(floor));
        let after = self.cuts.range((Excluded(start), Included(cursor))).next_back();
        let upto = self.cuts.range((Excluded(cursor), Included(end))).next();
        (after.copied().unwrap_or(start), upto.copied().unwrap_or(end))
    }

    /// Remembers a cut.
    pub(super) fn cut(&mut self, seq: i64) {
        if self.cuts.len() >= MAX_CUTS {
            self.cuts.clear();
        }
        self.cuts.insert(seq);
    }

    /// Puts a complete page in. One that is too heavy for the cache is not kept.
    pub(super) fn put(&mut self, page: Arc<Page<R>>, evicted: &mut Evicted<R>) {
        let (after, upto) = (page.begins_after(), page.upto());
        let index = index_of(after + 1);
        for seq in [after, upto] {
            if start_of(index) < seq && seq < end_of(index) {
                self.cut(seq);
            }
        }
        self.pages.insert_with_lifecycle(after, page, evicted);
    }

    pub(super) fn weight(&self) -> u64 {
        self.pages.weight()
    }

    /// Empties the cache for a new epoch, and returns its former contents.
    pub(super) fn renew(&mut self, epoch: u64) -> FormerPages<R> {
        self.epoch = epoch;
        let ended = std::mem::replace(&mut self.ended, CancellationToken::new());
        let former = std::mem::replace(&mut self.pages, page_cache(self.capacity));
        self.cuts.clear();
        let flights = self.flights.drain().map(|(_, flight)| flight).collect();
        FormerPages { pages: former, flights, ended }
    }
}
