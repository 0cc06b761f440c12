//! Which address is which endpoint, which methods it takes, and the frame around every request: its id, its limits,
//! its log line, and an answer even when a handler panics.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use http_body_util::Full;
use hyper::body::{Body, Bytes, Incoming};
use hyper::{Method, Request, Response};

use super::health::{self, Readiness, TailView};
use super::metrics::{self, HttpCounts};
use super::problem::Problem;
use super::request_id::RequestId;
use super::respond;
use crate::db::Database;

/// The largest body of any request.
pub const MAX_BODY_BYTES: u64 = 1 << 20;

/// What the endpoints need.
#[derive(Debug, Clone)]
pub struct Context {
    pub(super) database: Database,
    pub(super) readiness: Readiness,
    pub(super) tail: TailView,
    pub(super) counts: Arc<HttpCounts>,
}

impl Context {
    /// The database, whether traffic is welcome, and what may be seen of the tail.
    pub fn new(database: Database, readiness: Readiness, tail: TailView) -> Self {
        Self { database, readiness, tail, counts: Arc::default() }
    }
}

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Live,
    Ready,
    Database,
    Metrics,
}

impl Endpoint {
    fn at(path: &str) -> Option<Self> {
        Some(match path {
            "/health/live" => Self::Live,
            "/health/ready" => Self::Ready,
            "/health/db" => Self::Database,
            "/metrics" => Self::Metrics,
            _ => return None,
        })
    }

    /// The methods, as the `Allow` header lists them.
    fn allow(self) -> &'static str {
        match self {
            Self::Live | Self::Ready | Self::Database | Self::Metrics => "GET, HEAD",
        }
    }

    fn allows(self, method: &Method) -> bool {
        self.allow().split(", ").any(|m| m == method.as_str())
    }

    /// Probes come every few seconds and tell nothing new.
    fn is_probe(self) -> bool {
        matches!(self, Self::Live | Self::Ready | Self::Database | Self::Metrics)
    }
}

/// Answers one request, whatever happens.
pub(super) async fn answer(
    context: Arc<Context>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let begun = Instant::now();
    let id = RequestId::of(request.headers());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let endpoint = Endpoint::at(&path);

    let handled = AssertUnwindSafe(dispatch(&context, endpoint, &request)).catch_unwind().await;
    let outcome = handled.unwrap_or_else(|_panic| {
        // The panic hook has printed where; this line ties it to the request.
        tracing::error!(request_id = %id, %method, path, "a handler panicked");
        Err(Problem::internal())
    });
    let mut response = outcome.unwrap_or_else(|problem| problem.into_response(&id));
    respond::finish(response.headers_mut(), &id);

    let status = response.status().as_u16();
    context.counts.answered(status);
    let ms = begun.elapsed().as_secs_f64() * 1000.0;
    if endpoint.is_some_and(Endpoint::is_probe) {
        tracing::debug!(request_id = %id, %method, path, status, ms, "request");
    } else {
        tracing::info!(request_id = %id, %method, path, status, ms, "request");
    }
    Ok(response)
}

async fn dispatch(
    context: &Context,
    endpoint: Option<Endpoint>,
    request: &Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Problem> {
    let endpoint = endpoint.ok_or_else(Problem::not_found)?;
    if !endpoint.allows(request.method()) {
        return Err(Problem::method_not_allowed(endpoint.allow()));
    }
    // A body that says its size is refused by it, before a byte of it is read.
    if request.body().size_hint().lower() > MAX_BODY_BYTES {
        return Err(Problem::body_too_large(MAX_BODY_BYTES));
    }
    match endpoint {
        Endpoint::Live => Ok(health::live()),
        Endpoint::Ready => health::ready(&context.readiness, &context.database, &context.tail).await,
        Endpoint::Database => health::db(&context.database).await,
        Endpoint::Metrics => Ok(metrics::page(context)),
    }
}
