//! The frame around every request: its id, its limits, its log line, and an answer even when a handler panics. Which handler
//! it is, and what that asks of the request beforehand, the table of routes says.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use hyper::body::{Body, Incoming};
use hyper::header::HOST;
use hyper::http::uri::Authority;
use hyper::{Request, Response, StatusCode, Version};

use crate::application::Rate;
use crate::http::request::body::MAX_BODY_BYTES;
use crate::http::request::call::Call;
use crate::http::request::context::Context;
use crate::http::request::origin::{Origin, is_preflight};
use crate::http::request::peer::Peer;
use crate::http::request::query::readable;
use crate::http::request::quota::RequestQuota;
use crate::http::request::route::Handler;
use crate::http::response::headers::add_common_headers;
use crate::http::response::json::Outgoing;
use crate::http::response::problem::Problem;
use crate::http::response::request_id::RequestId;
use crate::http::routes::Address;

/// Answers one request, whatever happens.
pub(in crate::http) async fn answer(
    context: Arc<Context>,
    peer: Arc<Peer>,
    mut request: Request<Incoming>,
) -> Result<Response<Outgoing>, Infallible> {
    let begun = Instant::now();
    peer.request_has_come();
    let id = RequestId::of(request.headers());
    // For streams: they outlive the answer.
    request.extensions_mut().insert(id.clone());
    request.extensions_mut().insert(peer.stalled.clone());
    let method = request.method().clone();
    let path = readable(request.uri().path());
    let address = Address::of(request.uri().path(), &context.streams);
    let is_probe = address.as_ref().is_some_and(Address::is_probe);
    let quota = Arc::new(RequestQuota::new(&context.quotas, peer.address, request.headers()));
    let origin = (!is_probe).then(|| Origin::of(&context.allowed_origins, request.headers()));

    let handled = AssertUnwindSafe(dispatch(&context, &peer, &quota, address, request)).catch_unwind().await;
    let outcome = handled.unwrap_or_else(|_panic| {
        // The panic hook has printed where; this line ties it to the request.
        tracing::error!(request_id = %id, %method, path, "a handler panicked");
        Err(Problem::internal())
    });
    let mut response = outcome.unwrap_or_else(|problem| problem.into_response(&id));
    add_common_headers(response.headers_mut(), &id);
    quota.write(response.headers_mut());
    if let Some(origin) = origin {
        origin.write(response.headers_mut());
    }

    let status = response.status().as_u16();
    context.counts.answered(status);
    let took = begun.elapsed();
    if !is_probe {
        context.counts.request_took(took);
    }
    let (ms, from) = (took.as_secs_f64() * 1000.0, peer.address);
    if status == StatusCode::TOO_MANY_REQUESTS.as_u16()
        && let Some(count) = context.refused.due()
    {
        tracing::info!(request_id = %id, %from, %method, path, status, count, "requests beyond a rate limit");
    } else if status == StatusCode::TOO_MANY_REQUESTS.as_u16() || is_probe {
        tracing::debug!(request_id = %id, %from, %method, path, status, ms, "request");
    } else {
        tracing::info!(request_id = %id, %from, %method, path, status, ms, "request");
    }
    Ok(response)
}

async fn dispatch(
    context: &Arc<Context>,
    peer: &Arc<Peer>,
    quota: &Arc<RequestQuota>,
    address: Option<Address>,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    has_one_host(&request)?;
    if !address.as_ref().is_some_and(Address::is_probe) {
        peer.check()?;
        quota.take_address_slot()?;
    }
    let address = address.ok_or_else(Problem::not_found)?;
    if !address.is_probe() && is_preflight(request.method(), request.headers()) {
        return Origin::of(&context.allowed_origins, request.headers())
            .preflight(&context.refused_origins, &address.allow());
    }
    let route = address.route(request.method()).ok_or_else(|| Problem::method_not_allowed(&address.allow()))?;
    // A body that says its size is refused by it, before a byte of it is read.
    if request.body().size_hint().lower() > MAX_BODY_BYTES {
        return Err(Problem::body_too_large(MAX_BODY_BYTES));
    }
    if let Rate::Address(class) = route.counts_as {
        quota.spend(class).await?;
    }
    let parameter = address.parameter;
    let call =
        Call { context: Arc::clone(context), peer: Arc::clone(peer), quota: Arc::clone(quota), parameter, request };
    match &route.handler {
        Handler::Open(handle) => handle(call).await,
        Handler::Known(handle) => {
            let identity = context.tokens.identify(quota, call.request.headers()).await?;
            if let Rate::Subject(class) = route.counts_as {
                quota.spend_of(class, identity.subject(), 1).await?;
            }
            route.permit(&identity)?;
            handle(call, identity).await
        }
    }
}

/// One `Host` says for whom a request is (RFC 9112, 3.2): with none, or with two, a proxy may have read it as another's. Before
/// HTTP/1.1 there need be none.
fn has_one_host(request: &Request<Incoming>) -> Result<(), Problem> {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if host.is_empty() || is_authority(host.as_bytes()) => Ok(()),
        (None, None) if request.version() < Version::HTTP_11 => Ok(()),
        _ => Err(Problem::bad_request("A request has one Host header, with a host and perhaps a port.")),
    }
}

fn is_authority(host: &[u8]) -> bool {
    !host.contains(&b'@') && Authority::try_from(host).is_ok()
}
