//! Events on their way to one reader, and how many of them one step may take.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::journal::Cursor;
use crate::tail::pages::Chunk;
use crate::view::{Frames, Tally, Views};

/// Consecutive events for one reader, rendered once for all readers who get them.
#[derive(Debug, Clone)]
pub struct EventRun {
    pub(super) chunk: Arc<Chunk<Views>>,
    pub(super) frames: Frames,
    pub(super) events: Range<usize>,
}

impl EventRun {
    /// The events as WebSocket messages.
    pub fn messages(&self) -> Bytes {
        self.frames.messages(self.events.clone())
    }

    /// The cursor and the JSON object of each event.
    pub fn objects(&self) -> impl Iterator<Item = (Cursor, Bytes)> {
        self.events.clone().filter_map(|index| {
            let event = self.chunk.events().get(index)?;
            Some((Cursor::of(event.seq, event.id), self.frames.object(index)?))
        })
    }

    /// The number of events.
    pub fn count(&self) -> usize {
        usize::try_from(self.tally().events).unwrap_or(usize::MAX)
    }

    /// The tally that a client adds up from these events.
    pub(super) fn tally(&self) -> Tally {
        self.frames.tally(self.events.clone())
    }
}

/// The most that one step may take, except that one event always fits, however large it is.
#[derive(Debug, Clone, Copy)]
pub struct SendBudget {
    /// The number of events.
    pub events: usize,
    /// The bytes of their messages.
    pub bytes: usize,
}

impl SendBudget {
    /// True while one more event may be taken.
    pub(super) fn is_left(self) -> bool {
        self.events > 0 && self.bytes > 0
    }

    /// Takes the number and the bytes of these events off the budget.
    pub(super) fn spend(&mut self, run: &EventRun) {
        self.events = self.events.saturating_sub(run.count());
        self.bytes = self.bytes.saturating_sub(run.frames.weight(run.events.clone()));
    }
}
