//! The routes of the trading application. Each is a statement, or two; what changed reaches the stream because the tables are
//! published, so no handler appends an event.

mod body;
mod list;
mod tables;
mod write;

pub(in crate::http) use self::list::{orders, public_snapshots, public_trades, settings, snapshots, trade, trades};
pub(in crate::http) use self::write::{close_trade, open_trade, place_order, put_setting, report_order, take_snapshot};
