//! The client: `rowcast tail` and the load generator follow a stream with it, and `rowcast demo` writes with [`Api`].
//!
//! [`Stream`] connects again after every loss and goes on behind the last event. [`Connection`] is one connection. Both check what
//! the server promises: seqs only grow, and the count and the sum in every heartbeat are those of the events that came. A breach
//! is an error and never hidden, since this client is the witness of tests. [`LiveTables`] takes a snapshot of published tables and then
//! follows their stream, and [`Fold`] makes their rows of both. The module knows nothing of the database.

mod api;
mod backoff;
mod connection;
mod connector;
mod endpoint;
mod error;
mod fold;
mod frame;
mod ledger;
mod live_tables;
mod problem;
mod row_fields;
mod snapshot;
mod socket;
mod stream;
mod upgrade;

pub use api::Api;
pub use connection::Connection;
pub use connector::{Connector, TrustError};
pub use endpoint::{BadEndpoint, Endpoint, Selection, Start};
pub use error::{Error, Told};
pub use fold::{Change, Fold, FoldLimits, LiveTable, RowKey, TableColumn};
pub use frame::{BadFrame, Details, Event, Frame, Heartbeat, Hello};
pub use live_tables::{LiveItem, LiveTables};
pub use row_fields::{Field, FieldChange, row_difference, row_fields};
pub use snapshot::SnapshotRow;
pub use stream::{Item, Options, Stream, Tokens};
