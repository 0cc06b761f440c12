//! Sessions: a cursor and a filter, and what follows from them. No socket and no clock in here.
//!
//! `walk` is the state machine of one reader: which page to take next, what of it to send, when the backlog ends. `live`
//! is what all readers of a node share: the head as it is announced, and who wants to be woken by which event. `start`
//! finds the place where a reader begins. The doors (WebSocket, SSE, paged reads) drive the same three.

mod live;
mod start;
#[cfg(test)]
mod tests;
mod walk;

pub use live::{GATHER, GATHER_FROM, Interest, Live};
pub use start::{BadStart, MAX_LAST, Place, Refused, Start};
pub use walk::{Next, Room, Run, SEARCH_LIMIT, Walk};
