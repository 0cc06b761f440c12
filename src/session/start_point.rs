//! Where a reader begins, and the cursor that it is told for an event.

use crate::journal::{Cursor, EventHeader, Owners};
use crate::tail::pages::Pages;
use crate::view::Views;

/// Where a reader begins, in one history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartPoint {
    /// The reader begins after this seq.
    pub at: i64,
    /// The newest event up to that seq.
    pub cursor: Cursor,
    /// The history that both belong to.
    pub epoch: u64,
}

/// The cursor of an event as a reader gets it who may see the events of these owners. It tells nothing of the id of an event that the
/// reader may not see. Events that only the reader's filter leaves out are not hidden.
pub(super) fn cursor_for(pages: &Pages<Views>, owners: &Owners, event: &EventHeader<'_>) -> Cursor {
    let public = *owners == Owners::Nobody;
    if owners.include(event.owner.as_deref()) && (!public || pages.renderer().public_shows(event)) {
        Cursor::of(event.seq, event.id)
    } else {
        Cursor::of_hidden(event.seq, event.id)
    }
}
