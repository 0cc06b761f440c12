//! Everything that knows how to reach Postgres: where it is, how to log in, how its schema is brought up to date.
//!
//! It does not know the tables: `journal` and the applications write their own SQL.

mod connect;
mod connections;
mod database;
mod distrust;
mod error;
mod hosts;
mod lane;
mod lane_counts;
mod lease;
pub mod migrate;
mod ping;
mod share;
mod timestamp;
mod tls;
mod url;

use std::time::Duration;

pub use connect::Connector;
pub use database::{Database, LaneStatus, MisroutedConnections};
pub use error::DatabaseError;
pub use lane::Lane;
pub use ping::PingReply;
pub use share::Requester;
pub use timestamp::{BadTimestamp, EARLIEST, LATEST, Timestamp};
pub use tls::TlsError;
pub use url::{DatabaseUrl, SslMode, UrlError};

/// How long a connection may take to be made, from the TCP handshake to the end of authentication.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(5);
