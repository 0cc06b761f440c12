//! The trading application: trades, orders, snapshots and settings of a trading engine, with the statements that read and write
//! them, what clients see of them (`view.rs`), and the endpoints (`api/`). The rules are those of the database
//! (`sql/migrations/V11__trading.sql`), for plain SQL as for HTTP; what changed goes on the stream by `rowcast.publish` alone, so
//! nothing here appends an event.

mod amount;
mod api;
mod error;
mod orders;
mod page;
mod settings;
mod snapshots;
mod trades;
mod view;

pub use api::APPLICATION;

/// Whether a creation made something, or a retry found what the first one had made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// Now.
    New,
    /// Before.
    Before,
}
