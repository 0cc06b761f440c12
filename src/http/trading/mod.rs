//! The routes of the trading application. Each is a statement, or two; what changed reaches the stream because the tables are
//! published, so no handler appends an event.

mod body;
mod list;
mod route;

use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use uuid::Uuid;

use super::path;
use super::problem::{Problem, sentence};
use super::respond::{Outgoing, json_text};
use super::router::Context;
use crate::auth::{Action, Extent, Identity};
use crate::db::{Connection, Trouble};
use crate::trading::{self, Error, Made};
use crate::view::trading::Private;

pub(super) use route::Route;

/// Whether a method changes something.
fn is_writing(method: &Method) -> bool {
    *method != Method::GET && *method != Method::HEAD
}

/// What everyone may see.
pub(super) async fn public(
    context: &Context,
    route: Route,
    query: Option<&str>,
) -> Result<Response<Outgoing>, Problem> {
    list::public(context, route, query).await
}

/// Answers somebody whose role allows it.
pub(super) async fn answer(
    context: &Context,
    identity: &Identity,
    route: Route,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    let writes = is_writing(request.method());
    // These rows belong to nobody: whoever may see only what is theirs has none of them.
    if !writes && identity.role().extent(Action::Read) < Extent::All {
        return Err(Problem::forbidden("The role of the token does not allow this."));
    }
    if writes { write(context, identity, route, request).await } else { read(context, route, &request).await }
}

async fn read(context: &Context, route: Route, request: &Request<Incoming>) -> Result<Response<Outgoing>, Problem> {
    if route != Route::Trade {
        return list::private(context, route, request.uri().query()).await;
    }
    no_parameters(request)?;
    let id = id(request)?;
    let client = connection(context).await?;
    let trade = trading::get_trade(&client, id).await.map_err(|error| problem(error, "invalid_trade"))?;
    Ok(json_text(trade.private(&context.redaction)))
}

/// Reads the body whole before a connection is taken, so that a slow client holds none.
async fn write(
    context: &Context,
    identity: &Identity,
    route: Route,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    no_parameters(&request)?;
    let by = identity.subject();
    let redaction = &context.redaction;
    let code = route.invalid();
    let told = |error| problem(error, code);
    match route {
        Route::Trades => {
            let new = body::new_trade(request).await?;
            let client = connection(context).await?;
            let (trade, made) = trading::open_trade(&client, by, &new).await.map_err(told)?;
            Ok(created(trade.private(redaction), made))
        }
        Route::Close => {
            let id = id(&request)?;
            let closing = body::closing(request).await?;
            let client = connection(context).await?;
            let trade = trading::close_trade(&client, id, &closing).await.map_err(told)?;
            Ok(json_text(trade.private(redaction)))
        }
        Route::Orders => {
            let new = body::new_order(request).await?;
            let client = connection(context).await?;
            let (order, made) = trading::place_order(&client, by, &new).await.map_err(told)?;
            Ok(created(order.private(redaction), made))
        }
        Route::Order => {
            let id = id(&request)?;
            let report = body::report(request).await?;
            let client = connection(context).await?;
            let order = trading::report_order(&client, id, &report).await.map_err(told)?;
            Ok(json_text(order.private(redaction)))
        }
        Route::Snapshots => {
            let new = body::new_snapshot(request).await?;
            let client = connection(context).await?;
            let snapshot = trading::take_snapshot(&client, by, &new).await.map_err(told)?;
            Ok(created(snapshot.private(redaction), Made::New))
        }
        Route::Setting => {
            let key = route::parameter(request.uri().path()).unwrap_or_default().to_owned();
            let (value, version) = body::setting(request).await?;
            let client = connection(context).await?;
            let (setting, made) = trading::put_setting(&client, by, &key, &value, version).await.map_err(told)?;
            Ok(created(setting.private(redaction), made))
        }
        // Their methods do not include one that writes.
        Route::Trade | Route::Config | Route::PublicTrades | Route::PublicSnapshots => Err(Problem::not_found()),
    }
}

/// 201 for what is new, 200 for what a first request has made.
fn created(body: String, made: Made) -> Response<Outgoing> {
    let mut response = json_text(body);
    if made == Made::New {
        *response.status_mut() = StatusCode::CREATED;
    }
    response
}

fn no_parameters(request: &Request<Incoming>) -> Result<(), Problem> {
    match request.uri().query() {
        Some(query) if !query.is_empty() => Err(Problem::bad_request("This request takes no parameters.")),
        _ => Ok(()),
    }
}

/// The id in the address. What is no id names nothing that there is.
fn id(request: &Request<Incoming>) -> Result<Uuid, Problem> {
    let id = route::parameter(request.uri().path()).and_then(path::id);
    id.ok_or_else(Problem::not_found)
}

async fn connection(context: &Context) -> Result<Connection, Problem> {
    context.database.get().await.map_err(|trouble| unavailable(&trouble))
}

fn unavailable(trouble: &Trouble) -> Problem {
    Problem::database_away("the trading tables cannot be reached", trouble)
}

/// What a client is told, with this code for what cannot be stored.
fn problem(error: Error, invalid: &'static str) -> Problem {
    match error {
        Error::NotFound => Problem::not_found(),
        Error::State { state, reason } => Problem::state_conflict(sentence(&reason), &state),
        Error::Reused => Problem::unprocessable("idempotency_conflict", sentence(&error.to_string()), None),
        Error::Invalid(reason) => Problem::unprocessable(invalid, sentence(&reason), None),
        Error::Postgres(error) => unavailable(&Trouble::from(error)),
    }
}
