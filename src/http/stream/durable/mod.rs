//! `GET /v1/stream/…`: the read side of the Durable Streams protocol. `docs/03_API_SPEC.md` says which parts of it are spoken, and how.
//!
//! - `offset`: the positions that clients are told, and the versions in them.
//! - `request`: what a request asks for, and of which stream.
//! - `catch_up`: one answer with the messages after an offset, and the long poll. `page` decides where such an answer ends.
//! - `events`: the same as server-sent events, in `data` and `control` events.
//! - `table_snapshot`: the rows of a table as the beginning of its stream; `change` makes the messages of the State Protocol.
//! - `answer`: headers, tags and what caches may keep; `poll_cursor` keeps caches from answering with the past for ever.

mod answer;
mod catch_up;
mod change;
mod events;
mod offset;
mod page;
mod poll_cursor;
mod request;
mod table_snapshot;

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Request, Response};

use crate::application::Parameter;
use crate::http::request::call::Call;
use crate::http::request::context::Context;
use crate::http::request::query::path_segment;
use crate::http::request::quota::RequestQuota;
use crate::http::request::viewer::Viewer;
use crate::http::response::json::Outgoing;
use crate::http::response::problem::Problem;
use crate::http::response::refusals;
use crate::http::stream::token_watch;
use crate::limit::Class;
use crate::session::Start;

use self::request::{From, Live, StreamRequest};

/// When a client may come back to a node that is starting.
const STARTING_RETRY: Duration = Duration::from_secs(1);

/// Answers a request for the stream of events.
pub(in crate::http) async fn events_stream(call: &Call, viewer: Viewer) -> Result<Response<Outgoing>, Problem> {
    view_is_known(&call.context, &viewer)?;
    let asked = StreamRequest::of_events(&call.context, viewer, call.query())?;
    answer(&call.context, &call.quota, &call.request, asked).await
}

/// Answers a request for the stream of a published table.
pub(in crate::http) async fn table_stream(call: &Call, viewer: Viewer) -> Result<Response<Outgoing>, Problem> {
    let Parameter::Key(name) = &call.parameter else { return Err(Problem::not_found()) };
    let name = path_segment(name).ok_or_else(Problem::not_found)?;
    view_is_known(&call.context, &viewer)?;
    let asked = StreamRequest::of_table(&call.context, viewer, &name, call.query()).await?;
    answer(&call.context, &call.quota, &call.request, asked).await
}

/// Refuses the public as long as this node has not read the taxonomy: nothing would seem to be public, and addresses would be others.
fn view_is_known(context: &Context, viewer: &Viewer) -> Result<(), Problem> {
    if context.announcer.pages().renderer().is_known(viewer.view()) {
        return Ok(());
    }
    Err(Problem::of(refusals::STARTING).retry_after(STARTING_RETRY))
}

async fn answer(
    context: &Arc<Context>,
    quota: &Arc<RequestQuota>,
    request: &Request<Incoming>,
    asked: StreamRequest,
) -> Result<Response<Outgoing>, Problem> {
    let presence = token_watch::register(&context.tokens.revoked, &asked.viewer)?;
    let requester = quota.requester_of(&asked.viewer);
    if request.method() == Method::HEAD {
        let tail = context.announcer.start_point(&requester, Start::Latest, &asked.filter).await?;
        return Ok(answer::metadata(asked.offset(tail.cursor)));
    }
    let is_snapshot = asked.from == From::Beginning && asked.table.is_some();
    if is_snapshot {
        spend(quota, &asked.viewer, Class::Snapshot).await?;
    }
    if asked.live == Some(Live::Sse) {
        if asked.viewer == Viewer::Public && !context.streams.public {
            return Err(Problem::because(refusals::NOT_FOUND, "The public streams are not opened on this server."));
        }
        quota.spend(Class::Connect).await?;
        return events::begin(context, quota, request, asked, presence).await;
    }
    if is_snapshot {
        return table_snapshot::answer(context, request.headers(), &asked, requester, presence).await;
    }
    catch_up::answer(context, request.headers(), &asked, requester, presence).await
}

/// Uses the quota of the subject, or of the address of a request without a token.
async fn spend(quota: &RequestQuota, viewer: &Viewer, class: Class) -> Result<(), Problem> {
    match viewer.identity() {
        Some(identity) => quota.spend_of(class, identity.subject(), 1).await,
        None => quota.spend(class).await,
    }
}
