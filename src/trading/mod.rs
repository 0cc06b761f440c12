//! Trades, orders, snapshots and settings of a trading engine: the statements that read and write them. What their rules
//! are, the database knows (`sql/migrations/V11__trading.sql`), for plain SQL as for HTTP; what changed
//! goes on the stream by `rowcast.publish` alone, so nothing here appends an event.

mod amount;
mod error;
mod orders;
mod page;
mod settings;
mod snapshots;
mod trades;

pub use amount::{Amount, BadAmount};
pub use error::Error;
pub use orders::{
    NewOrder, Order, OrderFilter, Report, list as list_orders, place as place_order, report as report_order,
};
pub use page::{BadPlace, Page, Place, Window};
pub use settings::{PastSetting, Setting, history as setting_history, list as list_settings, put as put_setting};
pub use snapshots::{NewSnapshot, Snapshot, list as list_snapshots, take as take_snapshot};
pub use trades::{
    Closing, NewTrade, Trade, TradeFilter, close as close_trade, get as get_trade, list as list_trades,
    open as open_trade,
};

/// How the types begin that are this application's own: what its tables say, and nobody else.
pub const TYPES: [&str; 4] = ["trade.", "order.", "snapshot.", "config."];

/// Whether a creation made something, or a retry found what the first one had made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// Now.
    New,
    /// Before.
    Before,
}
