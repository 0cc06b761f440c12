//! The relay: a copy of the decided journal in Redis Streams, from which edge nodes take live events without asking Postgres.
//!
//! Every node that may write the copy runs a [`Relay`]; one at a time holds the lease, by a lease in Redis. It appends each event under
//! the id `<seq>-0`, with the seq of the event before it, so that a reader notices a hole. Each write is a script that checks the
//! lease and the newest id, so a writer that was frozen, or that follows another history, changes nothing. Beside the events stands a
//! *report*, twice a second or with every move of the head: how far everything is decided, of which history, and which lists
//! (taxonomy, revocations) are current.
//!
//! An edge ([`Source`], read by `run::relayed`) believes an event only if it follows the one before, and a report only of the history
//! that it knows from Postgres itself. Whatever is missing it reads from Postgres. So the copy may be lost, old or wrong at any time,
//! and no event is: Redis makes edges cheap, and decides nothing.

mod copy;
mod copying;
mod entry;
mod error;
mod lists;
mod redis_link;
mod report;
mod script;
mod seal;
mod source;

pub use copying::{Relay, RelayCounts};
pub use error::RelayError;
pub use lists::{Lists, ListsOfEdge};
pub use source::Source;

pub(super) use report::Report;
pub(super) use source::{Arrival, Arrived, PATIENCE, Reader};
