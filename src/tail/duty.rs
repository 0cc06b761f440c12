//! The one rule of sleep: after a bell, and after giving back the hush, the tail may not sleep before a fence taken
//! *after* that moment has opened. Pure.
//!
//! A writer that skips the bell because of the hush holds the lock of writers at that moment. So a fence taken afterwards waits for
//! that writer, and no wake-up is ever lost. The search in `model.rs` goes through every order of events.

/// What the tail owes before it may sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Duty {
    /// Nothing.
    Paid,
    /// A fence is still to be taken.
    Take,
    /// A fence was taken at this seq and is to open.
    Pass(i64),
}

impl Duty {
    /// A bell was heard, the hush was given back, or the connection is new.
    pub(super) fn incur(&mut self) {
        *self = Self::Take;
    }

    /// A fence was taken; its look at the sequence, `upto`, began after all that has been incurred.
    pub(super) fn taken(&mut self, upto: i64) {
        if *self == Self::Take {
            *self = Self::Pass(upto);
        }
    }

    /// Everything up to here is decided, and was read.
    pub(super) fn passed(&mut self, decided: i64) {
        if matches!(*self, Self::Pass(upto) if upto <= decided) {
            *self = Self::Paid;
        }
    }

    /// Whether the tail may sleep as far as this is concerned.
    pub(super) fn is_paid(self) -> bool {
        self == Self::Paid
    }
}
