//! Remembers the events that the stream delivered lately, so that the table can be compared with them once more.

/// The most events that are remembered, 16 bytes each.
pub(super) const MAX_RECENT: usize = 1 << 20;

/// The events that the stream delivered lately.
pub(super) struct RecentEvents {
    /// Every event delivered after this seq is remembered.
    pub(super) after: i64,
    /// The seq and the short hash of each event, in the order of their seqs.
    pub(super) hashes: Vec<(i64, u64)>,
}

impl RecentEvents {
    /// Forgets the oldest `count` events.
    pub(super) fn forget(&mut self, count: usize) {
        if let Some((seq, _)) = count.checked_sub(1).and_then(|last| self.hashes.get(last)) {
            self.after = *seq;
            self.hashes.drain(..count);
        }
    }
}
