//! The writing side: the one tail task moves the head here, and nobody else can.

use std::fmt;
use std::sync::{Arc, PoisonError};

use crate::journal::{Cursor, JournalIdentity, StoredEvent};

use super::hot::Hot;
use super::page::{Chunk, Page};
use super::render::Render;
use super::store::Shared;
use super::{Position, end_of, index_of, start_of};

/// The right to move the head. It cannot be cloned.
pub struct PageWriter<R: Render>(Arc<Shared<R>>);

impl<R: Render> fmt::Debug for PageWriter<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PageWriter").field(&self.position()).finish()
    }
}

/// A move that would break the order of the stream. It was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misstep {
    /// Heads only grow; another history needs a reset first.
    #[error("the head would go back from {from} to {to}")]
    Backwards {
        /// Where it is.
        from: i64,
        /// Where it should have gone.
        to: i64,
    },
    /// Rows stand in seq order above the old head (or the start of the head's page) and not beyond the new one.
    #[error("the row {seq} is out of place after {after}, up to {upto}")]
    Row {
        /// The row.
        seq: i64,
        /// What it must be greater than.
        after: i64,
        /// What it must not be greater than.
        upto: i64,
    },
    /// The newest event is the last row given, or, when the head's page has none, before that page.
    #[error("the newest event cannot be {0}")]
    Newest(i64),
}

impl<R: Render> PageWriter<R> {
    pub(super) fn new(shared: Arc<Shared<R>>) -> Self {
        Self(shared)
    }

    /// Where the head is.
    pub fn position(&self) -> Position {
        self.0.hot().position
    }

    /// Whether the way to this head is longer than the hot tail wants to hold: then only the rows of the head's page
    /// need be read, and [`Self::jump`] takes them. Both ways are right; this one does not read what nobody may want.
    pub fn is_far(&self, head: i64) -> bool {
        let pages = i64::try_from(self.0.limits.hot_pages).unwrap_or(i64::MAX);
        index_of(head.max(1)).saturating_sub(index_of(self.position().head.max(1))) > pages
    }

    /// The seq after which the rows for [`Self::jump`] begin: `(page_start(head), head]`.
    pub fn page_start(head: i64) -> i64 {
        start_of(index_of(head.max(1)))
    }

    /// Moves the head, with all events that were decided since: every event in `(old head, head]`, in order. Readers
    /// see the new head and the pages up to it together.
    pub fn advance(&mut self, rows: Vec<StoredEvent>, head: i64) -> Result<Position, Misstep> {
        let (before, open) = {
            let hot = self.0.hot();
            (hot.position, hot.last().filter(|page| !page.is_complete()).cloned())
        };
        check(&rows, before.head, before.head, head)?;
        if head == before.head && before.known {
            return Ok(before);
        }
        let newest = rows.last().map_or(before.newest, |event| Cursor::of(event.seq, event.id));
        let position = Position { head, newest, known: true, ..before };
        let fresh = pages(open.as_deref(), rows, position);
        let (hot, left) = self.0.hot().grown(fresh, position, &self.0.limits);
        self.publish(hot, left);
        Ok(position)
    }

    /// Starts the hot tail anew at this head: `rows` are all events in `(page_start(head), head]`, `newest` is the
    /// newest event up to the head ([`Cursor::START`] if there is none).
    pub fn jump(&mut self, rows: Vec<StoredEvent>, head: i64, newest: Cursor) -> Result<Position, Misstep> {
        let before = self.position();
        let floor = Self::page_start(head);
        check(&rows, before.head, floor, head)?;
        let fits = rows.last().map_or((0..=floor).contains(&newest.seq), |event| event.seq == newest.seq);
        if !fits {
            return Err(Misstep::Newest(newest.seq));
        }
        let position = Position { head, newest, known: true, ..before };
        let page = pages(None, rows, position).pop();
        let left = self.0.hot().complete_below(floor);
        self.publish(Hot::starting_at(position, floor, page), left);
        Ok(position)
    }

    /// Pages are read from this journal from here on: it holds everything that was handed out.
    pub fn follow(&mut self, journal: JournalIdentity) {
        self.0.journal.set(Some(journal));
    }

    /// Takes notice of what retention took.
    pub fn trim(&mut self, through: i64) {
        self.0.trim(through, self.position().epoch);
    }

    /// The history is another, and nothing is read until [`Self::follow`]: everything is dropped, the epoch moves, and the head is 0 until the next jump.
    pub fn reset(&mut self) -> Position {
        let (unknown, former, position);
        self.0.journal.set(None);
        {
            let mut cache = self.0.cache();
            let mut hot = self.0.hot.write().unwrap_or_else(PoisonError::into_inner);
            let epoch = hot.position.epoch + 1;
            former = cache.renew(epoch);
            unknown = std::mem::replace(&mut *hot, Hot::unknown(epoch));
            position = hot.position;
        }
        former.end();
        self.0.tell(position);
        drop(unknown);
        position
    }

    /// Hands what leaves the hot tail to the cache, then swaps, then tells: in this order a reader always finds a page in
    /// the one place or the other, and never sees a head without its pages. What is no longer needed is freed at the end,
    /// under no lock.
    fn publish(&mut self, mut next: Hot<R>, left: Vec<Arc<Page<R>>>) {
        let mut evicted = Vec::new();
        if !left.is_empty() {
            let mut cache = self.0.cache();
            for page in left {
                cache.put(page, &mut evicted);
            }
        }
        let (former, position) = {
            let mut hot = self.0.hot.write().unwrap_or_else(PoisonError::into_inner);
            // A load may have found out meanwhile that more was trimmed.
            next.position.trimmed = next.position.trimmed.max(hot.position.trimmed);
            let position = next.position;
            (std::mem::replace(&mut *hot, next), position)
        };
        self.0.tell(position);
        drop((former, evicted));
    }
}

fn check(rows: &[StoredEvent], from: i64, floor: i64, head: i64) -> Result<(), Misstep> {
    if head < from || head < 0 {
        return Err(Misstep::Backwards { from, to: head });
    }
    let mut after = floor;
    for StoredEvent { seq, .. } in rows {
        if *seq <= after || *seq > head {
            return Err(Misstep::Row { seq: *seq, after, upto: head });
        }
        after = *seq;
    }
    Ok(())
}

/// The pages of these rows up to the head, of which the first takes over the chunks of the page that was still open.
fn pages<R: Render>(open: Option<&Page<R>>, rows: Vec<StoredEvent>, position: Position) -> Vec<Page<R>> {
    let mut parts: Vec<(i64, Vec<Arc<Chunk<R>>>)> = Vec::new();
    parts.extend(open.map(|page| (page.index(), page.chunks().to_vec())));
    let mut rows = rows.into_iter().peekable();
    while let Some(first) = rows.peek() {
        let index = index_of(first.seq);
        let events = std::iter::from_fn(|| rows.next_if(|event| index_of(event.seq) == index)).collect();
        let chunk = Arc::new(Chunk::new(events));
        match parts.last_mut() {
            Some((last, chunks)) if *last == index => chunks.push(chunk),
            _ => parts.push((index, vec![chunk])),
        }
    }
    let page = |(index, chunks)| Page::new(index, position.epoch, chunks, position.head.min(end_of(index)));
    parts.into_iter().map(page).collect()
}
