//! The writing side: the one tail task moves the head here, and nobody else can.

use std::fmt;
use std::iter::Peekable;
use std::sync::{Arc, PoisonError};
use std::vec::IntoIter;

use crate::journal::{EventHeader, JournalIdentity, StoredEvent};

use super::hot::Hot;
use super::page::{Chunk, Page, payload_bytes};
use super::render::Render;
use super::shared::Shared;
use super::{Position, end_of, index_of, start_of};

/// The right to move the head. It cannot be cloned.
pub struct PageWriter<R: Render>(Arc<Shared<R>>);

impl<R: Render> fmt::Debug for PageWriter<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PageWriter").field(&self.position()).finish()
    }
}

/// A move of the head that was refused, because it would break the order of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadMoveError {
    /// Heads only grow; another history needs a reset first.
    #[error("the head would go back from {from} to {to}")]
    Backwards {
        /// The current head.
        from: i64,
        /// The head that was asked for.
        to: i64,
    },
    /// Rows stand in seq order above the old head (or where a jump begins) and not beyond the new one.
    #[error("the row {seq} is out of place after {after}, up to {upto}")]
    Row {
        /// The seq of the row.
        seq: i64,
        /// The seq that it must be greater than.
        after: i64,
        /// The seq that it must not be greater than.
        upto: i64,
    },
    /// The newest event is the last row given, or, when none is, not after where the jump begins.
    #[error("the newest event cannot be {0}")]
    Newest(i64),
}

impl<R: Render> PageWriter<R> {
    pub(super) fn new(shared: Arc<Shared<R>>) -> Self {
        Self(shared)
    }

    /// The position of the head.
    pub fn position(&self) -> Position {
        self.0.hot().position.clone()
    }

    /// Whether this head lies further ahead than the hot tail reaches. Then [`Self::jump`] spares reading rows that nobody may
    /// want. [`Self::advance`] would be right as well.
    pub fn is_far(&self, head: i64) -> bool {
        let pages = i64::try_from(self.0.limits.hot_pages).unwrap_or(i64::MAX);
        index_of(head.max(1)).saturating_sub(index_of(self.position().head.max(1))) > pages
    }

    /// How many bytes of rows are worth handing out on the way to a far head: what the hot tail keeps.
    pub fn hot_bytes(&self) -> i64 {
        i64::try_from(self.0.limits.hot_bytes).unwrap_or(i64::MAX)
    }

    /// The seq after which the rows for [`Self::jump`] begin at best: `(page_start(head), head]`.
    pub fn page_start(head: i64) -> i64 {
        start_of(index_of(head.max(1)))
    }

    /// Moves the head, with all events that were decided since: every event in `(old head, head]`, in order. Readers
    /// see the new head and the pages up to it together.
    pub fn advance(&mut self, rows: Vec<StoredEvent>, head: i64) -> Result<Position, HeadMoveError> {
        let (before, open, paged) = {
            let hot = self.0.hot();
            (hot.position.clone(), hot.open().cloned(), hot.paged())
        };
        check(&rows, before.head, before.head, head)?;
        if head == before.head && before.known {
            return Ok(before);
        }
        let newest = rows.last().map(|event| Arc::new(event.header().into_owned())).or(before.newest);
        let position = Position { head, newest, known: true, ..before };
        let fresh = pages(open.as_deref(), paged, rows, &position, self.0.limits.page_bytes);
        let (hot, left) = self.0.hot().grown(fresh, position.clone(), &self.0.limits);
        self.publish(hot, left);
        Ok(position)
    }

    /// Starts the hot tail anew at this head: `rows` are all events in `(floor, head]`, `newest` is the newest event up to
    /// the head. What lies up to the floor is loaded when somebody wants it.
    pub fn jump(
        &mut self,
        floor: i64,
        rows: Vec<StoredEvent>,
        head: i64,
        newest: Option<EventHeader<'static>>,
    ) -> Result<Position, HeadMoveError> {
        let before = self.position();
        check(&rows, before.head, floor, head)?;
        let newest_seq = newest.as_ref().map_or(0, |newest| newest.seq);
        let fits = rows.last().map_or((0..=floor).contains(&newest_seq), |event| event.seq == newest_seq);
        if !fits {
            return Err(HeadMoveError::Newest(newest_seq));
        }
        let position = Position { head, newest: newest.map(Arc::new), known: true, ..before };
        let fresh = pages(None, floor, rows, &position, self.0.limits.page_bytes);
        let mut left = self.0.hot().complete_below(floor);
        let (hot, more) = Hot::starting_at(position.clone(), floor).grown(fresh, position.clone(), &self.0.limits);
        left.extend(more);
        self.publish(hot, left);
        Ok(position)
    }

    /// Pages are read from this journal from here on: it holds everything that was handed out.
    pub fn follow(&mut self, journal: JournalIdentity) {
        self.0.journal.set(Some(journal));
    }

    /// Waits until a reader has called [`super::Pages::want_look`]. Returns at once if one has since the last wait.
    pub async fn look_wanted(&self) {
        self.0.look_wanted.notified().await;
    }

    /// Raises the trimmed seq of the position.
    pub fn trim(&mut self, through: i64) {
        self.0.trim(through, self.position().epoch);
    }

    /// Drops everything, since the history is another. The epoch moves, nothing is read until [`Self::follow`], and the head is 0
    /// until the next jump.
    pub fn reset(&mut self) -> Position {
        let (unknown, former, position);
        self.0.journal.set(None);
        {
            let mut cache = self.0.cache();
            let mut hot = self.0.hot.write().unwrap_or_else(PoisonError::into_inner);
            let epoch = hot.position.epoch + 1;
            former = cache.renew(epoch);
            unknown = std::mem::replace(&mut *hot, Hot::unknown(epoch));
            position = hot.position.clone();
        }
        former.end();
        self.0.publish_position(&position);
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
            let position = next.position.clone();
            (std::mem::replace(&mut *hot, next), position)
        };
        self.0.publish_position(&position);
        drop((former, evicted));
    }
}

fn check(rows: &[StoredEvent], from: i64, floor: i64, head: i64) -> Result<(), HeadMoveError> {
    if head < from.max(floor) || floor < 0 {
        return Err(HeadMoveError::Backwards { from: from.max(floor), to: head });
    }
    let mut after = floor;
    for StoredEvent { seq, .. } in rows {
        if *seq <= after || *seq > head {
            return Err(HeadMoveError::Row { seq: *seq, after, upto: head });
        }
        after = *seq;
    }
    Ok(())
}

/// Builds one page from rows.
struct PageBuilder<R: Render> {
    after: i64,
    index: i64,
    chunks: Vec<Arc<Chunk<R>>>,
    /// The payload bytes that still fit.
    bytes_left: i64,
    last_seq: i64,
}

impl<R: Render> PageBuilder<R> {
    fn new(after: i64, index: i64, bytes: i64) -> Self {
        Self { after, index, chunks: Vec::new(), bytes_left: bytes, last_seq: after }
    }

    /// Takes over the chunks of the page that was still open.
    fn of(open: &Page<R>, bytes: i64) -> Self {
        let (after, last_seq, chunks) = (open.begins_after(), open.last_seq(), open.chunks().to_vec());
        Self { after, index: index_of(after + 1), chunks, bytes_left: bytes - open.bytes(), last_seq }
    }

    fn is_full(&self) -> bool {
        self.bytes_left <= 0
    }

    /// Takes as many of these rows as belong to its range and fit.
    fn take(&mut self, rows: &mut Peekable<IntoIter<StoredEvent>>) {
        let mut events = Vec::new();
        while !self.is_full()
            && let Some(event) = rows.next_if(|event| index_of(event.seq) == self.index)
        {
            self.bytes_left -= payload_bytes(&event);
            self.last_seq = event.seq;
            events.push(event);
        }
        self.chunks.push(Arc::new(Chunk::new(events)));
    }

    fn into_page(self, position: &Position) -> Page<R> {
        let Position { head, epoch, .. } = *position;
        if self.is_full() {
            Page::new(self.after, self.last_seq, epoch, self.chunks)
        } else if head < end_of(self.index) {
            Page::open(self.after, head, epoch, self.chunks)
        } else {
            Page::new(self.after, end_of(self.index), epoch, self.chunks)
        }
    }
}

/// The pages of these rows up to the head, of which the first goes on from the page that was still open, or begins after what
/// was paged.
fn pages<R: Render>(
    open: Option<&Page<R>>,
    paged: i64,
    rows: Vec<StoredEvent>,
    position: &Position,
    bytes: i64,
) -> Vec<Page<R>> {
    let mut parts: Vec<PageBuilder<R>> = open.map(|page| PageBuilder::of(page, bytes)).into_iter().collect();
    let mut rows = rows.into_iter().peekable();
    while let Some(first) = rows.peek() {
        let index = index_of(first.seq);
        match parts.last_mut() {
            Some(part) if part.index == index && !part.is_full() => part.take(&mut rows),
            last => {
                // Whatever lies between is decided and empty.
                let before = last.map_or(paged, |part| part.last_seq);
                let mut part = PageBuilder::new(start_of(index).max(before), index, bytes);
                part.take(&mut rows);
                parts.push(part);
            }
        }
    }
    parts.into_iter().map(|part| part.into_page(position)).collect()
}
