//! Trades. Each is opened with an entry price and closed with an exit price. The database computes the profit.

use postgres_types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::Creation;
use super::amount::Amount;
use super::error::TradingError;
use super::page::{Page, Select, Window};
use crate::db::Timestamp;

const COLUMNS: &str = "id, client_order_id, symbol, side, status, quantity::text, entry_price::text, exit_price::text, \
                       fees::text, profit::text, reason, close_reason, opened_by, opened_at, closed_at";

/// One trade. Numbers are the digits that the database holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "docs/04_DB_SCHEMA.md says what each column means")]
pub(super) struct Trade {
    pub(super) id: Uuid,
    pub(super) client_order_id: Option<String>,
    pub(super) symbol: String,
    pub(super) side: String,
    pub(super) status: String,
    pub(super) quantity: String,
    pub(super) entry_price: String,
    pub(super) exit_price: Option<String>,
    pub(super) fees: String,
    pub(super) profit: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) close_reason: Option<String>,
    pub(super) opened_by: Option<String>,
    pub(super) opened_at: Timestamp,
    pub(super) closed_at: Option<Timestamp>,
}

impl Trade {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            client_order_id: row.try_get("client_order_id")?,
            symbol: row.try_get("symbol")?,
            side: row.try_get("side")?,
            status: row.try_get("status")?,
            quantity: row.try_get("quantity")?,
            entry_price: row.try_get("entry_price")?,
            exit_price: row.try_get("exit_price")?,
            fees: row.try_get("fees")?,
            profit: row.try_get("profit")?,
            reason: row.try_get("reason")?,
            close_reason: row.try_get("close_reason")?,
            opened_by: row.try_get("opened_by")?,
            opened_at: row.try_get("opened_at")?,
            closed_at: row.try_get("closed_at")?,
        })
    }
}

/// A trade that is to be opened.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "docs/04_DB_SCHEMA.md says what each column means")]
pub(super) struct NewTrade {
    pub(super) client_order_id: Option<String>,
    pub(super) symbol: String,
    pub(super) side: String,
    pub(super) quantity: Amount,
    pub(super) entry_price: Amount,
    pub(super) fees: Option<Amount>,
    pub(super) reason: Option<String>,
}

/// The end of a trade.
#[derive(Debug, Clone)]
pub(super) struct Closing {
    /// The price at which the trade was closed.
    pub(super) exit_price: Amount,
    /// The fees of the whole trade; `None` keeps those that it has.
    pub(super) fees: Option<Amount>,
    /// The reason for closing it.
    pub(super) reason: Option<String>,
}

/// The filter of a list of trades. A field that is `None` is no condition.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "docs/04_DB_SCHEMA.md says what each column means")]
pub(super) struct TradeFilter {
    pub(super) symbol: Option<String>,
    pub(super) side: Option<String>,
    pub(super) status: Option<String>,
    pub(super) client_order_id: Option<String>,
}

/// Opens a trade, or returns the one that was opened under this client order id before.
pub(super) async fn open(client: &Client, by: &str, new: &NewTrade) -> Result<(Trade, Creation), TradingError> {
    // Numbers count by their value: 1.0 asks for the same as 1.00.
    let asked = "sha256(convert_to(jsonb_build_array($2::text, $3::text, trim_scale($4::text::numeric)::text, \
                 trim_scale($5::text::numeric)::text, trim_scale($6::text::numeric)::text, $7::text)::text, 'UTF8'))";
    let fees = new.fees.as_ref().map_or("0", Amount::as_str);
    let values: [(&(dyn ToSql + Sync), Type); 8] = [
        (&new.client_order_id, Type::TEXT),
        (&new.symbol, Type::TEXT),
        (&new.side, Type::TEXT),
        (&new.quantity.as_str(), Type::TEXT),
        (&new.entry_price.as_str(), Type::TEXT),
        (&fees, Type::TEXT),
        (&new.reason, Type::TEXT),
        (&by, Type::TEXT),
    ];
    let insert = format!(
        "insert into trading.trades
             (client_order_id, symbol, side, quantity, entry_price, fees, reason, opened_by, created_with)
         values ($1, $2, $3, $4::text::numeric, $5::text::numeric, $6::text::numeric, $7, $8, {asked})
         on conflict (client_order_id) do nothing returning {COLUMNS}"
    );
    if let Some(row) = client.query_typed(&insert, &values).await?.first() {
        return Ok((Trade::read(row)?, Creation::New));
    }
    let find = format!(
        "select {COLUMNS}, created_with is not distinct from {asked} as same from trading.trades where client_order_id = $1"
    );
    let rows = client.query_typed(&find, &values[..7]).await?;
    let row = rows.first().ok_or(TradingError::Reused)?;
    if row.try_get("same")? { Ok((Trade::read(row)?, Creation::Existing)) } else { Err(TradingError::Reused) }
}

/// One trade.
pub(super) async fn get(client: &Client, id: Uuid) -> Result<Trade, TradingError> {
    let sql = format!("select {COLUMNS} from trading.trades where id = $1");
    let rows = client.query_typed(&sql, &[(&id, Type::UUID)]).await?;
    Ok(Trade::read(rows.first().ok_or(TradingError::NotFound)?)?)
}

/// Closes a trade. Closing it again in the same way changes nothing; in another way, it is a [`TradingError::State`].
pub(super) async fn close(client: &Client, id: Uuid, closing: &Closing) -> Result<Trade, TradingError> {
    let sql = format!(
        "update trading.trades
            set status = 'closed', exit_price = $2::text::numeric, fees = coalesce($3::text::numeric, fees), close_reason = $4,
                closed_at = coalesce(closed_at, greatest(clock_timestamp(), opened_at))
          where id = $1 returning {COLUMNS}"
    );
    let values: [(&(dyn ToSql + Sync), Type); 4] = [
        (&id, Type::UUID),
        (&closing.exit_price.as_str(), Type::TEXT),
        (&closing.fees.as_ref().map(Amount::as_str), Type::TEXT),
        (&closing.reason, Type::TEXT),
    ];
    let rows = client.query_typed(&sql, &values).await?;
    Ok(Trade::read(rows.first().ok_or(TradingError::NotFound)?)?)
}

/// Trades by the time of their opening.
pub(super) async fn list(client: &Client, filter: &TradeFilter, window: &Window) -> Result<Page<Trade>, TradingError> {
    let mut select = Select::new(COLUMNS, "trading.trades");
    select.text("symbol", filter.symbol.as_deref());
    select.text("side", filter.side.as_deref());
    select.text("status", filter.status.as_deref());
    select.text("client_order_id", filter.client_order_id.as_deref());
    select.page(client, "opened_at", window, Trade::read).await
}
