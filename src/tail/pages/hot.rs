//! The hot tail: the newest events, in memory. Pages without events take no place in it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::page::Page;
use super::render::Render;
use super::{Limits, Position};

/// Every event in `(floor, head]`.
pub(super) struct Hot<R: Render> {
    pub(super) position: Position,
    /// Events at or below this seq are not here: the cache has them, or a load brings them.
    floor: i64,
    /// In order, each with at least one event; all but the last are complete.
    pages: VecDeque<Arc<Page<R>>>,
    weight: usize,
}

/// Where a reader's next page is.
pub(super) enum Lookup<R: Render> {
    /// In the hot tail.
    Hot(Arc<Page<R>>),
    /// In a page up to the floor, which is complete.
    Older {
        /// Where the stream stands.
        position: Position,
        /// The floor of the hot tail.
        floor: i64,
    },
}

impl<R: Render> Hot<R> {
    /// A hot tail that knows nothing yet, in this epoch.
    pub(super) fn unknown(epoch: u64) -> Self {
        Self::starting_at(Position { epoch, ..Position::default() }, 0)
    }

    /// A hot tail without pages, which begins after `floor`.
    pub(super) fn starting_at(position: Position, floor: i64) -> Self {
        Self { position, floor, pages: VecDeque::new(), weight: 0 }
    }

    /// The page with the first event after the cursor, or one that says that there is none up to the head.
    pub(super) fn find(&self, cursor: i64) -> Lookup<R> {
        let Position { head, epoch, .. } = self.position;
        if cursor < self.floor {
            return Lookup::Older { position: self.position.clone(), floor: self.floor };
        }
        let at = self.pages.partition_point(|page| page.last_seq() <= cursor);
        Lookup::Hot(match self.pages.get(at) {
            Some(page) => Arc::clone(page),
            None => Arc::new(Page::open(cursor.min(head), head, epoch, Vec::new())),
        })
    }

    /// The page that may grow.
    pub(super) fn open(&self) -> Option<&Arc<Page<R>>> {
        self.pages.back().filter(|page| !page.is_complete())
    }

    /// The seq up to which its pages reach. Events beyond it are in no page yet.
    pub(super) fn paged(&self) -> i64 {
        self.pages.back().map_or(self.floor, |page| page.upto())
    }

    /// The state after this one, in which `fresh` pages stand at the end (the first in place of the open one, if there is
    /// one), and the pages that had to leave, all of them complete.
    pub(super) fn grown(&self, fresh: Vec<Page<R>>, position: Position, limits: &Limits) -> (Self, Vec<Arc<Page<R>>>) {
        let mut next = Self { position, floor: self.floor, pages: self.pages.clone(), weight: self.weight };
        for page in fresh {
            if next.pages.back().is_some_and(|last| last.begins_after() == page.begins_after()) {
                next.weight -= next.pages.pop_back().map_or(0, |last| last.weight());
            }
            next.weight += page.weight();
            next.pages.push_back(Arc::new(page));
        }
        let mut left = Vec::new();
        while next.pages.len() > 1 && (next.pages.len() > limits.hot_pages || next.weight > limits.hot_bytes) {
            if let Some(page) = next.pages.pop_front() {
                next.weight -= page.weight();
                next.floor = page.upto();
                left.push(page);
            }
        }
        (next, left)
    }

    /// Its pages that are complete at or below this seq.
    pub(super) fn complete_below(&self, floor: i64) -> Vec<Arc<Page<R>>> {
        let settled = |page: &&Arc<Page<R>>| page.is_complete() && page.upto() <= floor;
        self.pages.iter().filter(settled).cloned().collect()
    }
}
