//! The lists: `{"items":[…],"cursor":…,"more":…}`, a page behind a cursor. Parameters that a list does not know are errors, so
//! that a misspelt filter does not become none.

use std::fmt;

use hyper::Response;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};
use tokio_postgres::Client;
use uuid::Uuid;

use super::tables::{Tables, problem};
use crate::auth::Identity;
use crate::db::{Lane, Requester};
use crate::http::request::context::Context;
use crate::http::request::query::{Query, no_parameters};
use crate::http::response::json::{Outgoing, json_text};
use crate::http::response::problem::Problem;
use crate::http::response::refusals::{BAD_REQUEST, INVALID_TRADE};
use crate::trading::{
    self, Error, Order, OrderFilter, Page, PastSetting, Place, Setting, Snapshot, Trade, TradeFilter, Window,
};
use crate::view::trading::{Private, Public, list};

/// The most items of one answer, and how many there are if nothing is said.
const MAX_LIMIT: u16 = 1000;
const USUAL_LIMIT: u16 = 100;

type Answered = Result<Response<Outgoing>, Problem>;

/// `GET /v1/trades`
pub(in crate::http) async fn trades(context: &Context, identity: &Identity, query: Option<&str>) -> Answered {
    let tables = Tables::of(context, identity);
    let page = list_trades(&tables, Query::parse(query)?).await?;
    Ok(answer(&page, |trade| trade.private(tables.redaction), trade_place))
}

/// `GET /v1/trades/{id}`
pub(in crate::http) async fn trade(context: &Context, identity: &Identity, id: Uuid, query: Option<&str>) -> Answered {
    no_parameters(query)?;
    let tables = Tables::of(context, identity);
    let work = async |client: &mut Client| trading::get_trade(client, id).await;
    let trade = tables.run(Lane::Read, |error| problem(error, INVALID_TRADE), work).await?;
    Ok(json_text(trade.private(tables.redaction)))
}

/// `GET /v1/orders`
pub(in crate::http) async fn orders(context: &Context, identity: &Identity, query: Option<&str>) -> Answered {
    let tables = Tables::of(context, identity);
    let page = list_orders(&tables, Query::parse(query)?).await?;
    Ok(answer(&page, |order| order.private(tables.redaction), order_place))
}

/// `GET /v1/snapshots`
pub(in crate::http) async fn snapshots(context: &Context, identity: &Identity, query: Option<&str>) -> Answered {
    let tables = Tables::of(context, identity);
    let page = list_snapshots(&tables, Query::parse(query)?).await?;
    Ok(answer(&page, |snapshot| snapshot.private(tables.redaction), snapshot_place))
}

/// `GET /v1/config`: the settings, or with `history=true` what they were before.
pub(in crate::http) async fn settings(context: &Context, identity: &Identity, query: Option<&str>) -> Answered {
    let tables = Tables::of(context, identity);
    let mut query = Query::parse(query)?;
    match query.take("history").as_deref() {
        None | Some("false") => {
            let page = list_settings(&tables, query).await?;
            Ok(answer(&page, |setting| setting.private(tables.redaction), setting_cursor))
        }
        Some("true") => {
            let page = list_history(&tables, query).await?;
            Ok(answer(&page, |setting| setting.private(tables.redaction), past_place))
        }
        Some(_) => Err(Problem::bad_request("history must be true or false")),
    }
}

/// `GET /public/v1/trades`
pub(in crate::http) async fn public_trades(context: &Context, requester: Requester, query: Option<&str>) -> Answered {
    let tables = Tables::for_requester(context, requester);
    let mut query = Query::parse(query)?;
    // What is not shown is not to be found out by asking for it either.
    if query.take("client_order_id").is_some() {
        return Err(unknown("client_order_id"));
    }
    let page = list_trades(&tables, query).await?;
    Ok(answer(&page, |trade| trade.public(tables.redaction), |trade| trade_place(trade).anonymous()))
}

/// `GET /public/v1/snapshots`
pub(in crate::http) async fn public_snapshots(
    context: &Context,
    requester: Requester,
    query: Option<&str>,
) -> Answered {
    let tables = Tables::for_requester(context, requester);
    let page = list_snapshots(&tables, Query::parse(query)?).await?;
    Ok(answer(&page, |snapshot| snapshot.public(tables.redaction), |s| snapshot_place(s).anonymous()))
}

fn answer<T, C: fmt::Display>(
    page: &Page<T>,
    show: impl Fn(&T) -> String,
    place: impl Fn(&T) -> C,
) -> Response<Outgoing> {
    let items: Vec<String> = page.items.iter().map(show).collect();
    json_text(list(&items, page.items.last().map(|last| place(last).to_string()).as_deref(), page.more))
}

fn trade_place(trade: &Trade) -> Place {
    Place::new(trade.opened_at, trade.id)
}

fn order_place(order: &Order) -> Place {
    Place::new(order.created_at, order.id)
}

fn snapshot_place(snapshot: &Snapshot) -> Place {
    Place::new(snapshot.taken_at, snapshot.id)
}

fn past_place(past: &PastSetting) -> Place {
    Place::new(past.changed_at, past.id)
}

fn setting_cursor(setting: &Setting) -> String {
    setting.key.clone()
}

async fn list_trades(tables: &Tables<'_>, mut query: Query) -> Result<Page<Trade>, Problem> {
    let filter = TradeFilter {
        symbol: text(&mut query, "symbol")?,
        side: one_of(&mut query, "side", &["long", "short"])?,
        status: one_of(&mut query, "status", &["open", "closed"])?,
        client_order_id: text(&mut query, "client_order_id")?,
    };
    let window = window(query)?;
    tables.run(Lane::Search, list_problem, async |client| trading::list_trades(client, &filter, &window).await).await
}

async fn list_orders(tables: &Tables<'_>, mut query: Query) -> Result<Page<Order>, Problem> {
    let states = ["new", "partially_filled", "filled", "cancelled", "rejected"];
    let trade_id = query.take("trade_id").map(|text| Uuid::try_parse(&text)).transpose();
    let filter = OrderFilter {
        trade_id: trade_id.map_err(|_| Problem::bad_request("trade_id must be a UUID"))?,
        symbol: text(&mut query, "symbol")?,
        side: one_of(&mut query, "side", &["buy", "sell"])?,
        kind: one_of(&mut query, "type", &["market", "limit"])?,
        status: one_of(&mut query, "status", &states)?,
        client_order_id: text(&mut query, "client_order_id")?,
    };
    let window = window(query)?;
    tables.run(Lane::Search, list_problem, async |client| trading::list_orders(client, &filter, &window).await).await
}

async fn list_snapshots(tables: &Tables<'_>, query: Query) -> Result<Page<Snapshot>, Problem> {
    let window = window(query)?;
    tables.run(Lane::Search, list_problem, async |client| trading::list_snapshots(client, &window).await).await
}

async fn list_settings(tables: &Tables<'_>, mut query: Query) -> Result<Page<Setting>, Problem> {
    let (key, after, limit) =
        (text(&mut query, "key")?, text(&mut query, "cursor")?, query.limit(USUAL_LIMIT, MAX_LIMIT)?.into());
    nothing_else(&query)?;
    tables
        .run(Lane::Search, list_problem, async |client| {
            trading::list_settings(client, key.as_deref(), after.as_deref(), limit).await
        })
        .await
}

async fn list_history(tables: &Tables<'_>, mut query: Query) -> Result<Page<PastSetting>, Problem> {
    let key = text(&mut query, "key")?;
    let window = window(query)?;
    tables
        .run(Lane::Search, list_problem, async |client| trading::setting_history(client, key.as_deref(), &window).await)
        .await
}

/// Of a list nothing is stored, so what cannot be asked for is a parameter.
fn list_problem(error: Error) -> Problem {
    match error {
        Error::Invalid(reason) => Problem::bad_request(reason),
        other => problem(other, BAD_REQUEST),
    }
}

/// The part of the list that is asked for. Takes what is left of the parameters.
fn window(mut query: Query) -> Result<Window, Problem> {
    let after = query.take("cursor").map(|text| text.parse()).transpose();
    let window = Window {
        after: after.map_err(|bad: trading::BadPlace| Problem::bad_request(bad.to_string()))?,
        limit: query.limit(USUAL_LIMIT, MAX_LIMIT)?.into(),
        oldest_first: one_of(&mut query, "order", &["newest", "oldest"])?.as_deref() == Some("oldest"),
        since: time(&mut query, "since")?,
        until: time(&mut query, "until")?,
    };
    nothing_else(&query)?;
    Ok(window)
}

fn time(query: &mut Query, name: &str) -> Result<Option<OffsetDateTime>, Problem> {
    let bad = |_| Problem::bad_request(format!("{name} must be a time as 2026-01-27T10:00:00Z"));
    let at = query.take(name).map(|text| OffsetDateTime::parse(&text, &Rfc3339)).transpose().map_err(bad)?;
    // West of Greenwich the year 9999 ends later than any time that can be list_problem in UTC; to go there would panic.
    let utc = |at: OffsetDateTime| at.checked_to_offset(UtcOffset::UTC);
    Ok(at.map(|at| utc(at).unwrap_or(PrimitiveDateTime::MAX.assume_utc())))
}

fn text(query: &mut Query, name: &str) -> Result<Option<String>, Problem> {
    match query.take(name) {
        Some(text) if text.is_empty() || text.contains('\0') => {
            Err(Problem::bad_request(format!("{name} must be some text without a NUL character")))
        }
        text => Ok(text),
    }
}

fn one_of(query: &mut Query, name: &str, words: &[&str]) -> Result<Option<String>, Problem> {
    match query.take(name) {
        Some(word) if !words.contains(&word.as_str()) => {
            Err(Problem::bad_request(format!("{name} must be one of {}", words.join(", "))))
        }
        word => Ok(word),
    }
}

fn nothing_else(query: &Query) -> Result<(), Problem> {
    Ok(query.none()?)
}

fn unknown(name: &str) -> Problem {
    Problem::bad_request(format!("{name} is not known"))
}
