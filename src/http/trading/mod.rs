//! The routes of the trading application. Each is a statement, or two; what changed reaches the stream because the tables are
//! published, so no handler appends an event.

mod body;
mod list;
mod route;

use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use tokio_postgres::Client;
use uuid::Uuid;

use super::access::requester;
use super::path;
use super::problem::{Problem, sentence};
use super::respond::{Outgoing, json_text};
use super::router::Context;
use super::visit::Visit;
use crate::auth::{Action, Extent, Identity};
use crate::db::{Lane, Requester, Trouble};
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
    visit: &Visit,
    route: Route,
    query: Option<&str>,
) -> Result<Response<Outgoing>, Problem> {
    list::public(&Asking { context, requester: visit.requester() }, route, query).await
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
    let asking = Asking { context, requester: requester(identity) };
    if writes { write(&asking, identity, route, request).await } else { read(&asking, route, &request).await }
}

/// The server, and whose share of the database is used.
struct Asking<'a> {
    context: &'a Context,
    requester: Requester,
}

impl Asking<'_> {
    /// Runs statements on the trading tables. An error of theirs is told as `told` makes it.
    async fn run<T>(
        &self,
        lane: Lane,
        told: impl FnOnce(Error) -> Problem,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Problem> {
        let outcome = self.context.database.run_for(lane, &self.requester, work).await;
        outcome.map_err(|trouble| unavailable(&trouble))?.map_err(told)
    }
}

async fn read(asking: &Asking<'_>, route: Route, request: &Request<Incoming>) -> Result<Response<Outgoing>, Problem> {
    if route != Route::Trade {
        return list::private(asking, route, request.uri().query()).await;
    }
    no_parameters(request)?;
    let (id, context) = (id(request)?, asking.context);
    let told = |error| problem(error, "invalid_trade");
    let trade = asking.run(Lane::Read, told, async |client| trading::get_trade(client, id).await).await?;
    Ok(json_text(trade.private(&context.redaction)))
}

/// Reads the body whole before a connection is taken, so that a slow client holds none.
async fn write(
    asking: &Asking<'_>,
    identity: &Identity,
    route: Route,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    no_parameters(&request)?;
    let by = identity.subject();
    let redaction = &asking.context.redaction;
    let code = route.invalid();
    let told = |error| problem(error, code);
    match route {
        Route::Trades => {
            let new = body::new_trade(request).await?;
            let work = async |client: &mut Client| trading::open_trade(client, by, &new).await;
            let (trade, made) = asking.run(Lane::Write, told, work).await?;
            Ok(created(trade.private(redaction), made))
        }
        Route::Close => {
            let id = id(&request)?;
            let closing = body::closing(request).await?;
            let work = async |client: &mut Client| trading::close_trade(client, id, &closing).await;
            let trade = asking.run(Lane::Write, told, work).await?;
            Ok(json_text(trade.private(redaction)))
        }
        Route::Orders => {
            let new = body::new_order(request).await?;
            let work = async |client: &mut Client| trading::place_order(client, by, &new).await;
            let (order, made) = asking.run(Lane::Write, told, work).await?;
            Ok(created(order.private(redaction), made))
        }
        Route::Order => {
            let id = id(&request)?;
            let report = body::report(request).await?;
            let work = async |client: &mut Client| trading::report_order(client, id, &report).await;
            let order = asking.run(Lane::Write, told, work).await?;
            Ok(json_text(order.private(redaction)))
        }
        Route::Snapshots => {
            let new = body::new_snapshot(request).await?;
            let work = async |client: &mut Client| trading::take_snapshot(client, by, &new).await;
            let snapshot = asking.run(Lane::Write, told, work).await?;
            Ok(created(snapshot.private(redaction), Made::New))
        }
        Route::Setting => {
            let key = route::parameter(request.uri().path()).unwrap_or_default().to_owned();
            let (value, version) = body::setting(request).await?;
            let work = async |client: &mut Client| trading::put_setting(client, by, &key, &value, version).await;
            let (setting, made) = asking.run(Lane::Write, told, work).await?;
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
