//! The journal as the rest of the program sees it: events as they are stored, and the statements that read and write
//! them. Who may see what is not known here; a stored event cannot be sent to anyone.

mod event;
mod read;

pub use event::{Level, StoredEvent};
pub use read::{MAX_ROWS, read_range};
