//! The rule of sleep: after a bell, after ending a hush, and on a new connection, the tail may not sleep before a fence has opened
//! that was taken *after* that moment. Pure.
//!
//! A writer that skips the bell because of the hush holds the lock of writers at that moment. So a fence taken afterwards waits for
//! that writer, and no wake-up is ever lost. The search in `model.rs` goes through every order of events.

/// The fence that the tail has still to pass before it may sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Duty {
    /// The tail owes nothing.
    Paid,
    /// The tail must take a fence.
    TakeFence,
    /// The fence taken at this seq must open.
    PassFence(i64),
}

impl Duty {
    /// Owes a new fence: a bell was heard, a hush was ended, or the connection is new.
    pub(super) fn incur(&mut self) {
        *self = Self::TakeFence;
    }

    /// Notes that a fence was taken at `upto`. The look must have begun after the last [`Self::incur`].
    pub(super) fn fence_taken(&mut self, upto: i64) {
        if *self == Self::TakeFence {
            *self = Self::PassFence(upto);
        }
    }

    /// Notes that everything up to `decided` is decided, and was read.
    pub(super) fn passed(&mut self, decided: i64) {
        if matches!(*self, Self::PassFence(upto) if upto <= decided) {
            *self = Self::Paid;
        }
    }

    /// Whether the tail owes nothing, and so may sleep.
    pub(super) fn is_paid(self) -> bool {
        self == Self::Paid
    }
}
