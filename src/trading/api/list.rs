//! The lists: `{"items":[…],"cursor":…,"more":…}`, a page behind a cursor. Parameters that a list does not know are errors, so
//! that a misspelt filter does not become none.

use std::fmt;

use tokio_postgres::Client;
use uuid::Uuid;

use super::refused::refused;
use crate::application::{Answer, Answered, ApplicationError, Tables};
use crate::db::Lane;
use crate::query::{BadQuery, Query, no_parameters};
use crate::refusals::{BAD_REQUEST, INVALID_TRADE};
use crate::trading::error::TradingError;
use crate::trading::orders::{self, Order, OrderFilter};
use crate::trading::page::{BadListCursor, ListCursor, Page, Window};
use crate::trading::settings::{self, PastSetting, Setting};
use crate::trading::snapshots::{self, Snapshot};
use crate::trading::trades::{self, Trade, TradeFilter};
use crate::trading::view::{Private, Public};
use crate::view::Document;

/// The most items of one page, and the number of items if no limit is given.
const MAX_LIMIT: u16 = 1000;
const USUAL_LIMIT: u16 = 100;

const ORDER_STATES: &[&str] = &["new", "partially_filled", "filled", "cancelled", "rejected"];

/// `GET /v1/trades`
pub(super) async fn trades(tables: &Tables, query: Option<&str>) -> Answered {
    let page = list_trades(tables, Query::parse(query)?).await?;
    Ok(answer(&page, |trade| trade.private(tables.redaction()), trade_cursor))
}

/// `GET /v1/trades/{id}`
pub(super) async fn trade(tables: &Tables, id: Uuid, query: Option<&str>) -> Answered {
    no_parameters(query)?;
    let work = async |client: &mut Client| trades::get(client, id).await;
    let trade = tables.run(Lane::Read, |error| refused(error, INVALID_TRADE), work).await?;
    Ok(Answer::ok(trade.private(tables.redaction())))
}

/// `GET /v1/orders`
pub(super) async fn orders(tables: &Tables, query: Option<&str>) -> Answered {
    let page = list_orders(tables, Query::parse(query)?).await?;
    Ok(answer(&page, |order| order.private(tables.redaction()), order_cursor))
}

/// `GET /v1/snapshots`
pub(super) async fn snapshots(tables: &Tables, query: Option<&str>) -> Answered {
    let page = list_snapshots(tables, Query::parse(query)?).await?;
    Ok(answer(&page, |snapshot| snapshot.private(tables.redaction()), snapshot_cursor))
}

/// `GET /v1/config`: the settings, or with `history=true` all their versions.
pub(super) async fn settings(tables: &Tables, query: Option<&str>) -> Answered {
    let mut query = Query::parse(query)?;
    match query.take("history").as_deref() {
        None | Some("false") => {
            let page = list_settings(tables, query).await?;
            Ok(answer(&page, |setting| setting.private(tables.redaction()), setting_cursor))
        }
        Some("true") => {
            let page = list_history(tables, query).await?;
            Ok(answer(&page, |setting| setting.private(tables.redaction()), past_cursor))
        }
        Some(_) => Err(ApplicationError::bad_request("history must be true or false")),
    }
}

/// `GET /public/v1/trades`
pub(super) async fn public_trades(tables: &Tables, query: Option<&str>) -> Answered {
    let mut query = Query::parse(query)?;
    // The public list does not show this field, so nobody may search by it.
    if query.take("client_order_id").is_some() {
        return Err(BadQuery::Unknown("client_order_id".to_owned()).into());
    }
    let page = list_trades(tables, query).await?;
    Ok(answer(&page, |trade| trade.public(tables.redaction()), |trade| trade_cursor(trade).anonymous()))
}

/// `GET /public/v1/snapshots`
pub(super) async fn public_snapshots(tables: &Tables, query: Option<&str>) -> Answered {
    let page = list_snapshots(tables, Query::parse(query)?).await?;
    Ok(answer(&page, |snapshot| snapshot.public(tables.redaction()), |s| snapshot_cursor(s).anonymous()))
}

fn answer<T, C: fmt::Display>(page: &Page<T>, show: impl Fn(&T) -> Document, cursor_of: impl Fn(&T) -> C) -> Answer {
    let items: Vec<Document> = page.items.iter().map(show).collect();
    let cursor = page.items.last().map(|last| cursor_of(last).to_string());
    Answer::ok(Document::list(&items, cursor.as_deref(), page.more))
}

fn trade_cursor(trade: &Trade) -> ListCursor {
    ListCursor::new(trade.opened_at, trade.id)
}

fn order_cursor(order: &Order) -> ListCursor {
    ListCursor::new(order.created_at, order.id)
}

fn snapshot_cursor(snapshot: &Snapshot) -> ListCursor {
    ListCursor::new(snapshot.taken_at, snapshot.id)
}

fn past_cursor(past: &PastSetting) -> ListCursor {
    ListCursor::new(past.changed_at, past.id)
}

fn setting_cursor(setting: &Setting) -> String {
    setting.key.clone()
}

async fn list_trades(tables: &Tables, mut query: Query) -> Result<Page<Trade>, ApplicationError> {
    let filter = TradeFilter {
        symbol: query.text("symbol")?,
        side: query.one_of("side", &["long", "short"])?,
        status: query.one_of("status", &["open", "closed"])?,
        client_order_id: query.text("client_order_id")?,
    };
    let window = window(query)?;
    tables.run(Lane::Search, list_refused, async |client| trades::list(client, &filter, &window).await).await
}

async fn list_orders(tables: &Tables, mut query: Query) -> Result<Page<Order>, ApplicationError> {
    let trade_id = query.take("trade_id").map(|text| Uuid::try_parse(&text)).transpose();
    let filter = OrderFilter {
        trade_id: trade_id.map_err(|_| ApplicationError::bad_request("trade_id must be a UUID"))?,
        symbol: query.text("symbol")?,
        side: query.one_of("side", &["buy", "sell"])?,
        kind: query.one_of("type", &["market", "limit"])?,
        status: query.one_of("status", ORDER_STATES)?,
        client_order_id: query.text("client_order_id")?,
    };
    let window = window(query)?;
    tables.run(Lane::Search, list_refused, async |client| orders::list(client, &filter, &window).await).await
}

async fn list_snapshots(tables: &Tables, query: Query) -> Result<Page<Snapshot>, ApplicationError> {
    let window = window(query)?;
    tables.run(Lane::Search, list_refused, async |client| snapshots::list(client, &window).await).await
}

async fn list_settings(tables: &Tables, mut query: Query) -> Result<Page<Setting>, ApplicationError> {
    let (key, after, limit) = (query.text("key")?, query.text("cursor")?, query.limit(USUAL_LIMIT, MAX_LIMIT)?.into());
    query.none()?;
    tables
        .run(Lane::Search, list_refused, async |client| {
            settings::list(client, key.as_deref(), after.as_deref(), limit).await
        })
        .await
}

async fn list_history(tables: &Tables, mut query: Query) -> Result<Page<PastSetting>, ApplicationError> {
    let key = query.text("key")?;
    let window = window(query)?;
    tables
        .run(Lane::Search, list_refused, async |client| settings::history(client, key.as_deref(), &window).await)
        .await
}

/// The error of a list. A list stores nothing, so an invalid value is one of the parameters.
fn list_refused(error: TradingError) -> ApplicationError {
    match error {
        TradingError::Invalid(reason) => ApplicationError::bad_request(reason),
        other => refused(other, BAD_REQUEST),
    }
}

/// The part of a list that a request asks for. Takes the remaining parameters, and refuses unknown ones.
fn window(mut query: Query) -> Result<Window, ApplicationError> {
    let after = query.take("cursor").map(|text| text.parse()).transpose();
    let window = Window {
        after: after.map_err(|bad: BadListCursor| ApplicationError::bad_request(bad.to_string()))?,
        limit: query.limit(USUAL_LIMIT, MAX_LIMIT)?.into(),
        oldest_first: query.one_of("order", &["newest", "oldest"])?.as_deref() == Some("oldest"),
        since: query.time("since")?,
        until: query.time("until")?,
    };
    query.none()?;
    Ok(window)
}
