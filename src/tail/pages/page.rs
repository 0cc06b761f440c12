//! One page: immutable, made of chunks that pages of the same range share while the last one grows.

use std::fmt;
use std::sync::Arc;

use crate::journal::StoredEvent;

use super::render::{Render, Slot, View};
use super::{end_of, start_of};

/// A run of events that came together, with what the views made of it. A page that was loaded is one chunk; a page that
/// grew at the head has one per advance, so that no event is copied or rendered again when the page grows.
pub struct Chunk<R: Render> {
    events: Vec<StoredEvent>,
    slots: Box<[Slot<R>]>,
    weight: usize,
}

impl<R: Render> Chunk<R> {
    /// Takes the events over; they are in seq order.
    pub fn new(mut events: Vec<StoredEvent>) -> Self {
        events.shrink_to_fit();
        let slots: Box<[Slot<R>]> = (0..R::VIEWS).map(|_| Slot::default()).collect();
        let own = size_of::<Self>() + size_of_val::<[_]>(&slots);
        let weight = own + events.iter().map(|event| event.weight() + R::weight(event)).sum::<usize>();
        Self { events, slots, weight }
    }

    /// Its events, in seq order; there is at least one.
    pub fn events(&self) -> &[StoredEvent] {
        &self.events
    }

    /// What a view shows of it, by this renderer or a newer one.
    pub(super) fn rendered(&self, renderer: &Arc<R>, view: View) -> R::Rendered {
        match self.slots.get(view.0) {
            Some(slot) => slot.rendered(renderer, view, &self.events),
            // No such view was announced: there is no place to keep it, and nothing wrong in making it.
            None => renderer.render(view, &self.events),
        }
    }

    fn last_seq(&self) -> i64 {
        self.events.last().map_or(0, |event| event.seq)
    }
}

impl<R: Render> fmt::Debug for Chunk<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seqs = self.events.first().map(|event| event.seq..=self.last_seq());
        f.debug_struct("Chunk").field("events", &self.events.len()).field("seqs", &seqs).finish_non_exhaustive()
    }
}

/// What a reader has before it of one chunk.
#[derive(Debug)]
pub struct Part<'a, R: Render> {
    /// The chunk, whole: what a view renders is the chunk.
    pub chunk: &'a Arc<Chunk<R>>,
    /// The index of the first event after the reader's cursor.
    pub from: usize,
}

impl<'a, R: Render> Part<'a, R> {
    /// The events after the cursor.
    pub fn events(&self) -> &'a [StoredEvent] {
        self.chunk.events.get(self.from..).unwrap_or_default()
    }
}

/// The events of one aligned range, as far as they were decided when the page was made.
pub struct Page<R: Render> {
    index: i64,
    epoch: u64,
    upto: i64,
    next: Option<i64>,
    chunks: Vec<Arc<Chunk<R>>>,
    weight: usize,
}

impl<R: Render> Page<R> {
    pub(super) fn new(index: i64, epoch: u64, chunks: Vec<Arc<Chunk<R>>>, upto: i64) -> Self {
        let own = size_of::<Self>() + size_of_val::<[_]>(&chunks);
        let weight = own + chunks.iter().map(|chunk| chunk.weight).sum::<usize>();
        Self { index, epoch, upto, next: None, chunks, weight }
    }

    /// A page without events, from whose beginning on up to the seq before `next` (or the head, if nothing follows it) no
    /// event exists. That stays true for ever: what is below the head is immutable, and retention only removes.
    pub(super) fn burnt(index: i64, epoch: u64, next: Option<i64>, head: i64) -> Self {
        let upto = next.map_or(head, |seq| seq - 1);
        Self { next, ..Self::new(index, epoch, Vec::new(), upto) }
    }

    /// Which page: it covers `index * 512 < seq <= (index + 1) * 512`.
    pub fn index(&self) -> i64 {
        self.index
    }

    /// The history that it belongs to.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How far it says everything: a reader that has taken its events goes on after this seq. The end of its range, the
    /// head while that stands within, or beyond its range when it has no events and knows where the next one is.
    pub fn upto(&self) -> i64 {
        self.upto
    }

    /// For a page without events: the event that exists next, if one did when it was made.
    pub fn next(&self) -> Option<i64> {
        self.next
    }

    /// Whether its whole range is decided. Then it never changes.
    pub fn is_complete(&self) -> bool {
        self.upto >= end_of(self.index)
    }

    /// Its events, in seq order.
    pub fn events(&self) -> impl Iterator<Item = &StoredEvent> {
        self.chunks.iter().flat_map(|chunk| &chunk.events)
    }

    /// What it holds after a cursor, chunk by chunk.
    pub fn after(&self, cursor: i64) -> impl Iterator<Item = Part<'_, R>> {
        let first = self.chunks.partition_point(|chunk| chunk.last_seq() <= cursor);
        let rest = self.chunks.get(first..).unwrap_or_default();
        // Only the first of them can hold events that are not after the cursor; for the others the search ends at once.
        rest.iter().map(move |chunk| Part { chunk, from: chunk.events.partition_point(|event| event.seq <= cursor) })
    }

    /// The seq of its newest event; 0 if it has none.
    pub fn last_seq(&self) -> i64 {
        self.chunks.last().map_or(0, |chunk| chunk.last_seq())
    }

    /// Roughly the bytes that it takes, renderings included.
    pub fn weight(&self) -> usize {
        self.weight
    }

    pub(super) fn chunks(&self) -> &[Arc<Chunk<R>>] {
        &self.chunks
    }
}

impl<R: Render> fmt::Debug for Page<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("after", &start_of(self.index))
            .field("upto", &self.upto)
            .field("next", &self.next)
            .field("epoch", &self.epoch)
            .field("chunks", &self.chunks)
            .finish_non_exhaustive()
    }
}
