//! The point where a reader begins, and the cursor that a reader gets for an event.

use crate::journal::{Cursor, EventHeader, Owners};
use crate::tail::pages::Pages;
use crate::view::Views;

/// The point where a reader begins, in one history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartPoint {
    /// The reader begins after this seq.
    pub after: i64,
    /// The cursor of the newest event up to that seq.
    pub cursor: Cursor,
    /// The history that both belong to.
    pub epoch: u64,
}

/// The cursor of an event for a reader who may see the events of these owners. If the reader may not see this event, the tag tells
/// nothing of its id. An event that only the reader's filter leaves out is not hidden.
pub(super) fn cursor_for(pages: &Pages<Views>, owners: &Owners, event: &EventHeader<'_>) -> Cursor {
    let public = *owners == Owners::Nobody;
    if owners.include(event.owner.as_deref()) && (!public || pages.renderer().public_shows(event)) {
        Cursor::of(event.seq, event.id)
    } else {
        Cursor::of_hidden(event.seq, event.id)
    }
}
