//! Older pages: a bounded cache, and at most one load under way for each. Both stand under one lock, so that a page is
//! either there, or on its way, or nobody has asked: no reader can fall between.

use std::collections::{BTreeSet, HashMap};
use std::hash::RandomState;
use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;

use quick_cache::unsync::Cache as Shelf;
use quick_cache::{Lifecycle, Weighter};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::PageError;
use super::page::Page;
use super::render::Render;
use super::{end_of, index_of, start_of};

/// What a load came to; `None` while it is under way.
pub(super) type Outcome<R> = Option<Result<Arc<Page<R>>, PageError>>;

/// Only an estimate, by which the cache sizes its memory of what it let go.
const USUAL_PAGE_BYTES: u64 = 256 << 10;
/// How many cuts are remembered, of pages that are no longer in the cache too: a few megabytes. When there are more, all are
/// forgotten, and found again as their pages are loaded.
const MAX_CUTS: usize = 1 << 16;

/// A load under way: where its outcome will stand.
pub(super) type Flight<R> = Arc<watch::Sender<Outcome<R>>>;

/// The state under the lock.
pub(super) struct Cache<R: Render> {
    pub(super) epoch: u64,
    /// Cancelled when the epoch ends: a load of the old history may hang on a server that is gone, and must not take a turn
    /// from those of the new one.
    pub(super) ended: CancellationToken,
    capacity: u64,
    /// Each page under the seq that it begins after.
    shelf: Pages<R>,
    /// Where aligned ranges are known to be cut: the last seq of one page and the beginning of the next. Only of use, never
    /// needed for what is right: a page says itself from where to where it goes.
    cuts: BTreeSet<i64>,
    /// By the seq that the page begins after.
    pub(super) flights: HashMap<i64, Flight<R>>,
}

/// Pages that left the cache, to be dropped once the lock is given back: freeing thousands of events is not a thing for
/// others to wait for. A page that a reader still holds lives on with the reader.
pub(super) type Left<R> = Vec<Arc<Page<R>>>;

/// What was in the cache, of another history.
pub(super) struct Former<R: Render> {
    shelf: Pages<R>,
    flights: Vec<Flight<R>>,
    ended: CancellationToken,
}

impl<R: Render> Former<R> {
    /// Tells those who wait for a page of it, ends the loads, and frees the pages. Not to be called under a lock.
    pub(super) fn end(self) {
        for flight in &self.flights {
            flight.send_replace(Some(Err(PageError::Reset)));
        }
        self.ended.cancel();
        drop(self.shelf);
    }
}

type Pages<R> = Shelf<i64, Arc<Page<R>>, Bytes, RandomState, Evict>;

#[derive(Clone)]
pub(super) struct Bytes;

impl<R: Render> Weighter<i64, Arc<Page<R>>> for Bytes {
    fn weight(&self, _: &i64, page: &Arc<Page<R>>) -> u64 {
        page.weight() as u64
    }
}

#[derive(Clone)]
pub(super) struct Evict;

impl<R: Render> Lifecycle<i64, Arc<Page<R>>> for Evict {
    type RequestState = Left<R>;

    fn on_evict(&self, left: &mut Left<R>, _: i64, page: Arc<Page<R>>) {
        left.push(page);
    }
}

fn shelf<R: Render>(capacity: u64) -> Pages<R> {
    let pages = usize::try_from(capacity / USUAL_PAGE_BYTES).unwrap_or(usize::MAX).clamp(16, 1 << 16);
    Shelf::with(pages, capacity, Bytes, RandomState::new(), Evict)
}

impl<R: Render> Cache<R> {
    pub(super) fn new(capacity: u64) -> Self {
        let (shelf, flights) = (shelf(capacity), HashMap::new());
        Self { epoch: 0, ended: CancellationToken::new(), capacity, shelf, cuts: BTreeSet::new(), flights }
    }

    /// The page that a cursor below the floor is in, or from where to where it is to be loaded.
    pub(super) fn look_up(&mut self, cursor: i64, floor: i64) -> Result<Arc<Page<R>>, (i64, i64)> {
        loop {
            let (after, upto) = self.piece(cursor, floor);
            match self.shelf.get(&after) {
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
    fn piece(&self, cursor: i64, floor: i64) -> (i64, i64) {
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
    pub(super) fn put(&mut self, page: Arc<Page<R>>, left: &mut Left<R>) {
        let (after, upto) = (page.begins_after(), page.upto());
        let index = index_of(after + 1);
        for seq in [after, upto] {
            if start_of(index) < seq && seq < end_of(index) {
                self.cut(seq);
            }
        }
        self.shelf.insert_with_lifecycle(after, page, left);
    }

    pub(super) fn weight(&self) -> u64 {
        self.shelf.weight()
    }

    /// Empties everything for a new epoch, and hands out what there was.
    pub(super) fn renew(&mut self, epoch: u64) -> Former<R> {
        self.epoch = epoch;
        let ended = std::mem::replace(&mut self.ended, CancellationToken::new());
        let former = std::mem::replace(&mut self.shelf, shelf(self.capacity));
        self.cuts.clear();
        let flights = self.flights.drain().map(|(_, flight)| flight).collect();
        Former { shelf: former, flights, ended }
    }
}
