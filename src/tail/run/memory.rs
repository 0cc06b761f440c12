//! The part of the tail that outlives a connection, by which the next one knows whether it is in the same history.

use std::collections::VecDeque;

use uuid::Uuid;

use crate::journal::{JournalIdentity, StoredEvent};

/// How many handed out events are remembered: more than are committed in the second that Postgres takes at most to write its log.
const RECENT: usize = 8192;

/// What was handed out, and from which history.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) history: Option<JournalIdentity>,
    /// The newest events handed out, in order. All of them are looked for on a new connection: a crash that takes
    /// asynchronous commits goes by when they were made, so the newest of all may be there and one before it not.
    pub(super) recent: VecDeque<(i64, Uuid)>,
    /// The head that was handed out last.
    pub(super) decided: Option<i64>,
}

impl Memory {
    /// The seq of the newest event that was handed out.
    pub(super) fn newest(&self) -> Option<i64> {
        self.recent.back().map(|(seq, _)| *seq)
    }

    /// Remembers events that follow those that were handed out before.
    pub(super) fn handed_out(&mut self, rows: &[(i64, Uuid)]) {
        self.recent.extend(rows);
        self.recent.drain(..self.recent.len().saturating_sub(RECENT));
    }
}

/// The events of these rows, as they are remembered.
pub(super) fn ids_of(rows: &[StoredEvent]) -> Vec<(i64, Uuid)> {
    rows.iter().map(|row| (row.seq, row.id)).collect()
}
