//! Snapshots: the state of the account at one moment. They are stored and never changed.

use postgres_types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::amount::Amount;
use super::error::TradingError;
use super::page::{Page, Select, Window};
use crate::db::Timestamp;

const COLUMNS: &str =
    "id, taken_at, equity::text, cash::text, unrealized_profit::text, positions::text as positions, taken_by";

/// One snapshot. Numbers are the digits that the database holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "docs/04_DB_SCHEMA.md says what each column means")]
pub(super) struct Snapshot {
    pub(super) id: Uuid,
    pub(super) taken_at: Timestamp,
    pub(super) equity: String,
    pub(super) cash: String,
    pub(super) unrealized_profit: String,
    /// A JSON array.
    pub(super) positions: String,
    pub(super) taken_by: Option<String>,
}

impl Snapshot {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            taken_at: row.try_get("taken_at")?,
            equity: row.try_get("equity")?,
            cash: row.try_get("cash")?,
            unrealized_profit: row.try_get("unrealized_profit")?,
            positions: row.try_get("positions")?,
            taken_by: row.try_get("taken_by")?,
        })
    }
}

/// A snapshot to store.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "docs/04_DB_SCHEMA.md says what each column means")]
pub(super) struct NewSnapshot {
    pub(super) equity: Amount,
    pub(super) cash: Amount,
    pub(super) unrealized_profit: Option<Amount>,
    /// JSON; the database checks that it is an array.
    pub(super) positions: Option<String>,
}

/// Stores a snapshot.
pub(super) async fn take(client: &Client, by: &str, new: &NewSnapshot) -> Result<Snapshot, TradingError> {
    let sql = format!(
        "insert into trading.snapshots (equity, cash, unrealized_profit, positions, taken_by)
         values ($1::text::numeric, $2::text::numeric, coalesce($3::text::numeric, 0), coalesce($4::text::jsonb, '[]'), $5)
         returning {COLUMNS}"
    );
    let values: [(&(dyn ToSql + Sync), Type); 5] = [
        (&new.equity.as_str(), Type::TEXT),
        (&new.cash.as_str(), Type::TEXT),
        (&new.unrealized_profit.as_ref().map(Amount::as_str), Type::TEXT),
        (&new.positions, Type::TEXT),
        (&by, Type::TEXT),
    ];
    let rows = client.query_typed(&sql, &values).await?;
    Ok(Snapshot::read(rows.first().ok_or(TradingError::NotFound)?)?)
}

/// Snapshots by their time.
pub(super) async fn list(client: &Client, window: &Window) -> Result<Page<Snapshot>, TradingError> {
    Select::new(COLUMNS, "trading.snapshots").page(client, "taken_at", window, Snapshot::read).await
}
