//! A point of the journal up to which everything is committed that was committed before somebody asked.

/// A point of the journal. Everything that was committed before the point was asked for lies at or below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncPoint {
    /// The last number that was drawn from the sequence of the journal.
    pub seq: i64,
    /// The history that the number belongs to, as [`crate::tail::pages::Position::epoch`] counts them.
    pub epoch: u64,
    /// How often the tail had published its journal when the number was read. After another publication the sequence may have gone
    /// back, in a crash or a failover, and the number is to be read again.
    pub(super) publications: u64,
}
