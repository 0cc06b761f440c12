//! Remembers the events that were delivered lately, so that the table can be checked once more.

/// The most events that are remembered, 16 bytes each.
pub(super) const MAX_REMEMBERED: usize = 1 << 20;

/// The events that were delivered lately: every event after `after`, by seq, with a hash of all that it says.
pub(super) struct Ledger {
    pub(super) after: i64,
    pub(super) events: Vec<(i64, u64)>,
}

impl Ledger {
    /// Forgets the oldest `many` events.
    pub(super) fn forget(&mut self, many: usize) {
        if let Some((seq, _)) = many.checked_sub(1).and_then(|last| self.events.get(last)) {
            self.after = *seq;
            self.events.drain(..many);
        }
    }
}
