//! Orders. Each is placed once under its client order id, and then changed by reports until it ends.

use postgres_types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::Creation;
use super::amount::Amount;
use super::error::TradingError;
use super::page::{Page, Select, Window};
use crate::db::Timestamp;

const COLUMNS: &str = "id, client_order_id, trade_id, symbol, side, type, status, quantity::text, limit_price::text, \
                       filled_quantity::text, average_price::text, fees::text, reject_reason, placed_by, created_at, updated_at";

/// One order. Numbers are the digits that the database holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "docs/04_DB_SCHEMA.md says what each column means")]
pub(super) struct Order {
    pub(super) id: Uuid,
    pub(super) client_order_id: String,
    pub(super) trade_id: Option<Uuid>,
    pub(super) symbol: String,
    pub(super) side: String,
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) quantity: String,
    pub(super) limit_price: Option<String>,
    pub(super) filled_quantity: String,
    pub(super) average_price: Option<String>,
    pub(super) fees: String,
    pub(super) reject_reason: Option<String>,
    pub(super) placed_by: Option<String>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

impl Order {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            client_order_id: row.try_get("client_order_id")?,
            trade_id: row.try_get("trade_id")?,
            symbol: row.try_get("symbol")?,
            side: row.try_get("side")?,
            kind: row.try_get("type")?,
            status: row.try_get("status")?,
            quantity: row.try_get("quantity")?,
            limit_price: row.try_get("limit_price")?,
            filled_quantity: row.try_get("filled_quantity")?,
            average_price: row.try_get("average_price")?,
            fees: row.try_get("fees")?,
            reject_reason: row.try_get("reject_reason")?,
            placed_by: row.try_get("placed_by")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

/// An order that is to be placed.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "docs/04_DB_SCHEMA.md says what each column means")]
pub(super) struct NewOrder {
    pub(super) client_order_id: String,
    pub(super) trade_id: Option<Uuid>,
    pub(super) symbol: String,
    pub(super) side: String,
    pub(super) kind: String,
    pub(super) quantity: Amount,
    pub(super) limit_price: Option<Amount>,
}

/// A report on an order. Fields that are `None` stay as they are. Numbers are totals of the whole order.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "docs/04_DB_SCHEMA.md says what each column means")]
pub(super) struct OrderReport {
    pub(super) trade_id: Option<Uuid>,
    pub(super) status: Option<String>,
    pub(super) filled_quantity: Option<Amount>,
    pub(super) average_price: Option<Amount>,
    pub(super) fees: Option<Amount>,
    pub(super) reject_reason: Option<String>,
}

/// The filter of a list of orders. A field that is `None` is no condition.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "docs/04_DB_SCHEMA.md says what each column means")]
pub(super) struct OrderFilter {
    pub(super) trade_id: Option<Uuid>,
    pub(super) symbol: Option<String>,
    pub(super) side: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) status: Option<String>,
    pub(super) client_order_id: Option<String>,
}

/// Places an order, or returns the one that was placed under this client order id before.
pub(super) async fn place(client: &Client, by: &str, new: &NewOrder) -> Result<(Order, Creation), TradingError> {
    // Numbers count by their value: 1.0 asks for the same as 1.00.
    let asked = "sha256(convert_to(jsonb_build_array($2::uuid, $3::text, $4::text, $5::text, \
                 trim_scale($6::text::numeric)::text, trim_scale($7::text::numeric)::text)::text, 'UTF8'))";
    let values: [(&(dyn ToSql + Sync), Type); 8] = [
        (&new.client_order_id, Type::TEXT),
        (&new.trade_id, Type::UUID),
        (&new.symbol, Type::TEXT),
        (&new.side, Type::TEXT),
        (&new.kind, Type::TEXT),
        (&new.quantity.as_str(), Type::TEXT),
        (&new.limit_price.as_ref().map(Amount::as_str), Type::TEXT),
        (&by, Type::TEXT),
    ];
    let insert = format!(
        "with now as (select clock_timestamp() as at)
         insert into trading.orders
             (client_order_id, trade_id, symbol, side, type, quantity, limit_price, placed_by, created_with, created_at, updated_at)
         select $1, $2, $3, $4, $5, $6::text::numeric, $7::text::numeric, $8, {asked}, at, at from now
         on conflict (client_order_id) do nothing returning {COLUMNS}"
    );
    if let Some(row) = client.query_typed(&insert, &values).await?.first() {
        return Ok((Order::read(row)?, Creation::New));
    }
    let find = format!(
        "select {COLUMNS}, created_with is not distinct from {asked} as same from trading.orders where client_order_id = $1"
    );
    let rows = client.query_typed(&find, &values[..7]).await?;
    let row = rows.first().ok_or(TradingError::Reused)?;
    if row.try_get("same")? { Ok((Order::read(row)?, Creation::Existing)) } else { Err(TradingError::Reused) }
}

/// Applies a report to an order. A repeated report changes nothing. A report that the state of the order does not allow is an
/// [`TradingError::State`].
pub(super) async fn report(client: &Client, id: Uuid, report: &OrderReport) -> Result<Order, TradingError> {
    let sql = format!(
        "update trading.orders
            set trade_id = coalesce($2, trade_id), status = coalesce($3, status),
                filled_quantity = coalesce($4::text::numeric, filled_quantity),
                average_price = coalesce($5::text::numeric, average_price), fees = coalesce($6::text::numeric, fees),
                reject_reason = coalesce($7, reject_reason)
          where id = $1 returning {COLUMNS}"
    );
    let amount = |amount: &Option<Amount>| amount.as_ref().map(|amount| amount.as_str().to_owned());
    let values: [(&(dyn ToSql + Sync), Type); 7] = [
        (&id, Type::UUID),
        (&report.trade_id, Type::UUID),
        (&report.status, Type::TEXT),
        (&amount(&report.filled_quantity), Type::TEXT),
        (&amount(&report.average_price), Type::TEXT),
        (&amount(&report.fees), Type::TEXT),
        (&report.reject_reason, Type::TEXT),
    ];
    let rows = client.query_typed(&sql, &values).await?;
    Ok(Order::read(rows.first().ok_or(TradingError::NotFound)?)?)
}

/// Orders by the time that they were placed.
pub(super) async fn list(client: &Client, filter: &OrderFilter, window: &Window) -> Result<Page<Order>, TradingError> {
    let mut select = Select::new(COLUMNS, "trading.orders");
    select.id("trade_id", filter.trade_id);
    select.text("symbol", filter.symbol.as_deref());
    select.text("side", filter.side.as_deref());
    select.text("type", filter.kind.as_deref());
    select.text("status", filter.status.as_deref());
    select.text("client_order_id", filter.client_order_id.as_deref());
    select.page(client, "created_at", window, Order::read).await
}
