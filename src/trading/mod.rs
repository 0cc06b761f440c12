//! The trading application: trades, orders, snapshots and settings of a trading engine, with the statements that read and write
//! them, the documents for clients (`view.rs`), and the endpoints (`api/`). The database holds the rules, for SQL as for HTTP
//! (`sql/migrations/V11__trading.sql`). Changes reach the stream because the tables are published; nothing here appends an event.

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

/// The outcome of a creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Creation {
    /// This request has made the row.
    New,
    /// The row was there before this request.
    Existing,
}
