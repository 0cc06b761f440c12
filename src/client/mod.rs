//! The client: what `rowcast tail` and the load generator follow a stream with, and [`Api`], by which `rowcast demo` writes.
//!
//! [`Stream`] is the whole of it: it comes back after every loss and goes on behind the last event. [`Connection`] is one
//! attempt. Both hold the server to what it promises: seqs that only grow, and a count and a sum in every heartbeat that
//! must be those of the events that came. A break of that is an error and never passed over, since a client that hides
//! it is no witness. Nothing is known here of the database or of tokens but how to send one.

mod api;
mod backoff;
mod connection;
mod connector;
mod endpoint;
mod error;
mod frame;
mod ledger;
mod problem;
mod socket;
mod stream;
mod upgrade;

pub use api::Api;
pub use connection::Connection;
pub use connector::{Connector, TrustError};
pub use endpoint::{BadEndpoint, Endpoint, Selection, Start};
pub use error::{Error, Told};
pub use frame::{BadFrame, Details, Event, Frame, Heartbeat, Hello};
pub use stream::{Item, Options, Stream, Tokens};
