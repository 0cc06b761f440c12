//! The routes that write. Each reads its body whole before a connection is taken, so that a slow client holds none.

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use tokio_postgres::Client;
use uuid::Uuid;

use super::body;
use super::tables::{Tables, problem};
use crate::auth::Identity;
use crate::db::Lane;
use crate::http::request::context::Context;
use crate::http::request::query::no_parameters;
use crate::http::response::json::{Outgoing, json_text};
use crate::http::response::problem::Problem;
use crate::http::response::refusals::{INVALID_ORDER, INVALID_SETTING, INVALID_SNAPSHOT, INVALID_TRADE};
use crate::trading::{self, Made};
use crate::view::trading::Private;

/// `POST /v1/trades`
pub(in crate::http) async fn open_trade(
    context: &Context,
    identity: &Identity,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    no_parameters(request.uri().query())?;
    let tables = Tables::of(context, identity);
    let new = body::new_trade(request).await?;
    let work = async |client: &mut Client| trading::open_trade(client, identity.subject(), &new).await;
    let (trade, made) = tables.run(Lane::Write, |error| problem(error, INVALID_TRADE), work).await?;
    Ok(created(trade.private(tables.redaction), made))
}

/// `POST /v1/trades/{id}/close`
pub(in crate::http) async fn close_trade(
    context: &Context,
    identity: &Identity,
    id: Uuid,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    no_parameters(request.uri().query())?;
    let tables = Tables::of(context, identity);
    let closing = body::closing(request).await?;
    let work = async |client: &mut Client| trading::close_trade(client, id, &closing).await;
    let trade = tables.run(Lane::Write, |error| problem(error, INVALID_TRADE), work).await?;
    Ok(json_text(trade.private(tables.redaction)))
}

/// `POST /v1/orders`
pub(in crate::http) async fn place_order(
    context: &Context,
    identity: &Identity,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    no_parameters(request.uri().query())?;
    let tables = Tables::of(context, identity);
    let new = body::new_order(request).await?;
    let work = async |client: &mut Client| trading::place_order(client, identity.subject(), &new).await;
    let (order, made) = tables.run(Lane::Write, |error| problem(error, INVALID_ORDER), work).await?;
    Ok(created(order.private(tables.redaction), made))
}

/// `PATCH /v1/orders/{id}`
pub(in crate::http) async fn report_order(
    context: &Context,
    identity: &Identity,
    id: Uuid,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    no_parameters(request.uri().query())?;
    let tables = Tables::of(context, identity);
    let report = body::report(request).await?;
    let work = async |client: &mut Client| trading::report_order(client, id, &report).await;
    let order = tables.run(Lane::Write, |error| problem(error, INVALID_ORDER), work).await?;
    Ok(json_text(order.private(tables.redaction)))
}

/// `POST /v1/snapshots`
pub(in crate::http) async fn take_snapshot(
    context: &Context,
    identity: &Identity,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    no_parameters(request.uri().query())?;
    let tables = Tables::of(context, identity);
    let new = body::new_snapshot(request).await?;
    let work = async |client: &mut Client| trading::take_snapshot(client, identity.subject(), &new).await;
    let snapshot = tables.run(Lane::Write, |error| problem(error, INVALID_SNAPSHOT), work).await?;
    Ok(created(snapshot.private(tables.redaction), Made::New))
}

/// `PUT /v1/config/{key}`
pub(in crate::http) async fn put_setting(
    context: &Context,
    identity: &Identity,
    key: &str,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    no_parameters(request.uri().query())?;
    let tables = Tables::of(context, identity);
    let (value, version) = body::setting(request).await?;
    let by = identity.subject();
    let work = async |client: &mut Client| trading::put_setting(client, by, key, &value, version).await;
    let (setting, made) = tables.run(Lane::Write, |error| problem(error, INVALID_SETTING), work).await?;
    Ok(created(setting.private(tables.redaction), made))
}

/// 201 for what is new, 200 for what a first request has made.
fn created(body: String, made: Made) -> Response<Outgoing> {
    let mut response = json_text(body);
    if made == Made::New {
        *response.status_mut() = StatusCode::CREATED;
    }
    response
}
