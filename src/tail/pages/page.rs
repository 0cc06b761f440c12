//! One page: immutable, made of chunks that pages of the same range share while the last one grows.

use std::fmt;
use std::sync::Arc;

use crate::journal::StoredEvent;

use super::render::{Render, Slot, View};

/// A run of events that came together, with what the views made of it. A page that was loaded is one chunk; a page that
/// grew at the head has one per advance, so that no event is copied or rendered again when the page grows.
pub struct Chunk<R: Render> {
    events: Vec<StoredEvent>,
    slots: Box<[Slot<R>]>,
    /// The bytes of the payloads.
    bytes: i64,
    weight: usize,
}

impl<R: Render> Chunk<R> {
    /// Takes the events over; they are in seq order.
    pub fn new(mut events: Vec<StoredEvent>) -> Self {
        events.shrink_to_fit();
        let slots: Box<[Slot<R>]> = (0..R::VIEWS).map(|_| Slot::default()).collect();
        let own = size_of::<Self>() + size_of_val::<[_]>(&slots);
        let weight = own + events.iter().map(|event| event.weight() + R::weight(event)).sum::<usize>();
        let bytes = events.iter().map(payload_bytes).sum();
        Self { events, slots, bytes, weight }
    }

    /// Its events, in seq order; there is at least one.
    pub fn events(&self) -> &[StoredEvent] {
        &self.events
    }

    /// The rendering of this chunk for a view, by this renderer or a newer one.
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

/// The bytes of one event that count towards the size of a page.
pub(super) fn payload_bytes(event: &StoredEvent) -> i64 {
    i64::try_from(event.payload.len()).unwrap_or(i64::MAX)
}

/// The part of a chunk after a reader's cursor.
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

/// The events of one aligned range, or of a part of it if they are heavy, as far as they were decided when the page was made.
pub struct Page<R: Render> {
    after: i64,
    upto: i64,
    epoch: u64,
    next: Option<i64>,
    is_open: bool,
    chunks: Vec<Arc<Chunk<R>>>,
    weight: usize,
}

impl<R: Render> Page<R> {
    /// A complete page: these are the events with `after < seq <= upto`.
    pub(super) fn new(after: i64, upto: i64, epoch: u64, chunks: Vec<Arc<Chunk<R>>>) -> Self {
        let own = size_of::<Self>() + size_of_val::<[_]>(&chunks);
        let weight = own + chunks.iter().map(|chunk| chunk.weight).sum::<usize>();
        Self { after, upto, epoch, next: None, is_open: false, chunks, weight }
    }

    /// The page at the head, which may grow.
    pub(super) fn open(after: i64, head: i64, epoch: u64, chunks: Vec<Arc<Chunk<R>>>) -> Self {
        Self { is_open: true, ..Self::new(after, head, epoch, chunks) }
    }

    /// A page without events, from whose beginning on up to the seq before `next` (or the head, if nothing follows it) no
    /// event exists. That stays true for ever: what is below the head is immutable, and retention only removes.
    pub(super) fn burnt(after: i64, epoch: u64, next: Option<i64>, head: i64) -> Self {
        let upto = next.map_or(head, |seq| seq - 1);
        Self { next, ..Self::new(after, upto, epoch, Vec::new()) }
    }

    /// The seq that it begins after: the start of an aligned range, or a cut in it.
    pub fn begins_after(&self) -> i64 {
        self.after
    }

    /// Whether the events right after this cursor are in this page's range.
    pub fn covers(&self, cursor: i64) -> bool {
        self.after <= cursor && cursor < self.upto
    }

    /// The history that it belongs to.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The last seq that the page covers: a reader that has taken its events goes on after this seq. The end of its range, a cut in
    /// it, the head while that stands within, or beyond its range when it has no events and knows where the next one is.
    pub fn upto(&self) -> i64 {
        self.upto
    }

    /// For a page without events: the event that exists next, if one did when it was made.
    pub fn next(&self) -> Option<i64> {
        self.next
    }

    /// Whether it never grows any more.
    pub fn is_complete(&self) -> bool {
        !self.is_open
    }

    /// Bytes of its payloads.
    pub(super) fn bytes(&self) -> i64 {
        self.chunks.iter().map(|chunk| chunk.bytes).sum()
    }

    /// Its events, in seq order.
    pub fn events(&self) -> impl Iterator<Item = &StoredEvent> {
        self.chunks.iter().flat_map(|chunk| &chunk.events)
    }

    /// Its newest event up to a seq.
    pub fn newest_upto(&self, seq: i64) -> Option<&StoredEvent> {
        let begun = self.chunks.partition_point(|chunk| chunk.events.first().is_some_and(|first| first.seq <= seq));
        let events = &self.chunks.get(begun.checked_sub(1)?)?.events;
        events.get(events.partition_point(|event| event.seq <= seq).checked_sub(1)?)
    }

    /// The events of this page after a cursor, chunk by chunk.
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
            .field("after", &self.after)
            .field("upto", &self.upto)
            .field("next", &self.next)
            .field("epoch", &self.epoch)
            .field("chunks", &self.chunks)
            .finish_non_exhaustive()
    }
}
