//! Sessions: a cursor and a filter, and what follows from them. No socket and no clock in here.
//!
//! `walk` is the state machine of one reader: which page to take next, what of it to send, when the backlog ends. `live`
//! is what all readers of a node share: the head as it is announced, and who wants to be woken by which event. `start`
//! finds the place where a reader begins. `walker` drives the three for one reader, and is all that the doors (WebSocket,
//! SSE, paged reads) know of them.

mod live;
mod search;
mod start;
#[cfg(test)]
mod tests;
mod walk;
mod walker;

pub use live::{GATHER, GATHER_FROM, Live};
pub use start::{BadStart, MAX_LAST, Place, Refused, Start};
pub use walk::{Room, Run};
pub use walker::{RETRY, Step, Walker};
