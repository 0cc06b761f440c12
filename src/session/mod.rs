//! Reading the stream: a start point, a filter, and the events that follow. No socket and no timer of a client in here.
//!
//! - `read_state`: how far one reader has read and what it reads next, as a pure state machine.
//! - `announcer`: announces the head to all readers of a node, and wakes each for the events that it wants.
//! - `start`: finds the point where a reader begins; `search`: finds events by a filter, a window of seqs at a time.
//! - `sync`: reads the point up to which everything is committed, and waits until the head is there; `shared_reading` lets all who ask
//!   at one moment share a reading.
//! - `reader`: drives these for one reader. The transports (WebSocket, SSE, paged reads) know nothing else of them.

mod announcer;
mod event_run;
mod read_error;
mod read_state;
mod reader;
mod search;
mod shared_reading;
mod start;
mod start_point;
mod sync;
mod sync_point;
#[cfg(test)]
mod tests;

pub use announcer::{Announcer, GATHER_MIN_READERS, GATHER_TIME};
pub use event_run::{EventRun, SendBudget};
pub use read_error::ReadError;
pub use reader::{MAX_RETRY_DELAY, STALLED_AFTER, Step, StreamReader};
pub use start::{BadStart, MAX_LAST, Start};
pub use start_point::StartPoint;
pub use sync::NotReached;
pub use sync_point::SyncPoint;
