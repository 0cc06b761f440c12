//! The part of the tail that outlives a connection, by which the next one knows whether it is in the same history.

use std::collections::VecDeque;

use uuid::Uuid;

use crate::journal::{JournalIdentity, StoredEvent};

/// How many handed out events are remembered: more than are committed in the second that Postgres takes at most to write its log.
const RECENT: usize = 8192;

/// The newest events that were handed out, and their history.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) history: Option<JournalIdentity>,
    /// The newest events handed out, in seq order. A new connection looks for all of them: a crash loses asynchronous commits
    /// by commit time, so the newest seq may survive while an earlier one is lost.
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

/// The seq and the id of each row.
pub(super) fn ids_of(rows: &[StoredEvent]) -> Vec<(i64, Uuid)> {
    rows.iter().map(|row| (row.seq, row.id)).collect()
}
