//! Which address is which endpoint, which methods it takes, and the frame around every request: its id, its limits,
//! its log line, and an answer even when a handler panics.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use hyper::body::{Body, Incoming};
use hyper::header::HOST;
use hyper::http::uri::Authority;
use hyper::{Method, Request, Response, StatusCode, Version};
use ipnet::IpNet;
use tokio::sync::Semaphore;

use super::access::Reader;
use super::gate::Crowd;
use super::guarded::Stalled;
use super::health::{self, Readiness, TailView};
use super::metrics::{self, HttpCounts};
use super::origin::{Origin, is_preflight};
use super::problem::Problem;
use super::query::{Query, readable};
use super::request_id::RequestId;
use super::respond::{self, Outgoing, json_response};
use super::visit::Visit;
use super::ws::Opening;
use super::{access, append, chat, openapi, read, revocations, sse, trading, ws};
use crate::auth::{Action, Revoked, Verifier};
use crate::chat::Chat;
use crate::clock::{Awake, Clock};
use crate::config::{ServerConfig, StreamConfig};
use crate::db::Database;
use crate::limit::{Class, Limits, Places};
use crate::session::Live;
use crate::shutdown::Shutdown;
use crate::telemetry::LogThrottle;
use crate::view::Redaction;

/// The largest body of any request.
pub const MAX_BODY_BYTES: u64 = 1 << 20;

/// Between these is the step of the clock by which silence and stalls are counted: an eighth of the shortest that is to be noticed.
const SHORTEST_STEP: Duration = Duration::from_millis(10);
const LONGEST_STEP: Duration = Duration::from_millis(250);

/// What the endpoints need.
#[derive(Debug)]
pub struct Context {
    pub(super) database: Database,
    pub(super) readiness: Readiness,
    pub(super) tail: TailView,
    pub(super) live: Arc<Live>,
    pub(super) verifier: Verifier,
    pub(super) revoked: Revoked,
    pub(super) limits: Limits,
    pub(super) places: Places,
    /// Connections by address; requests too, where a proxy brings them.
    pub(super) addresses: Places,
    pub(super) trusted_proxies: Vec<IpNet>,
    pub(super) streams: StreamConfig,
    pub(super) drain: Duration,
    pub(super) allowed_origins: Vec<String>,
    pub(super) max_sessions: usize,
    pub(super) sessions: Arc<Semaphore>,
    pub(super) shutdown: Shutdown,
    pub(super) counts: HttpCounts,
    pub(super) redaction: Redaction,
    pub(super) chat: Chat,
    pub(super) refused_origins: LogThrottle,
    /// Addresses that send too many tokens of nobody, in the log.
    pub(super) guesses: LogThrottle,
    /// Requests beyond a rate, in the log.
    pub(super) refused: LogThrottle,
    /// The time of day.
    pub(super) clock: Clock,
    /// When a shutdown is to be over, once it has begun.
    drain_ends: OnceLock<tokio::time::Instant>,
    /// Time in which this process ran. [`super::Server::run`] moves it on.
    pub(super) awake: Awake,
}

/// Who gets in, and how often.
#[derive(Debug, Clone)]
pub struct Guards {
    /// Whose tokens are believed.
    pub verifier: Verifier,
    /// Whose no longer are.
    pub revoked: Revoked,
    /// How often one may ask.
    pub limits: Limits,
}

impl Context {
    /// The database, whether traffic is welcome, what may be seen of the tail, what sessions share, and who gets in.
    pub fn new(
        config: &ServerConfig,
        database: Database,
        readiness: Readiness,
        tail: TailView,
        live: Arc<Live>,
        guards: Guards,
        shutdown: Shutdown,
    ) -> Self {
        let Guards { verifier, revoked, limits } = guards;
        Self {
            database,
            readiness,
            tail,
            live,
            verifier,
            revoked,
            limits,
            places: Places::new(config.limits.sessions_per_subject),
            addresses: Places::new(config.http.connections_per_address),
            trusted_proxies: config.http.trusted_proxies.clone(),
            streams: config.streams.clone(),
            drain: config.drain,
            allowed_origins: config.http.allowed_origins.clone(),
            max_sessions: config.http.max_sessions,
            sessions: Arc::new(Semaphore::new(config.http.max_sessions)),
            shutdown,
            counts: HttpCounts::default(),
            redaction: Redaction::with(&config.streams.redact),
            chat: Chat::default(),
            refused_origins: LogThrottle::default(),
            guesses: LogThrottle::default(),
            refused: LogThrottle::default(),
            clock: Clock::system(),
            drain_ends: OnceLock::new(),
            awake: Awake::new(
                (config.streams.heartbeat.min(config.streams.write_stall) / 8).clamp(SHORTEST_STEP, LONGEST_STEP),
            ),
        }
    }

    /// When the shutdown that has begun is to be over.
    pub(super) fn drain_ends(&self) -> tokio::time::Instant {
        *self.drain_ends.get_or_init(|| tokio::time::Instant::now() + self.drain)
    }

    /// The same with another clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// The same, with another who answers.
    #[must_use]
    pub fn with_chat(self, chat: Chat) -> Self {
        Self { chat, ..self }
    }
}

/// The other side of a connection, and what becomes of the connection when its requests are over.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// For probes alone, and why.
    crowd: Option<Crowd>,
    /// Set when a request has come.
    heard: Arc<AtomicBool>,
    /// Whether the connection was given up because nothing was taken.
    pub(super) stalled: Stalled,
    upgrade: Mutex<Option<Opening>>,
}

impl Peer {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, stalled: Stalled::default(), crowd: None, heard: Arc::default(), upgrade: Mutex::new(None) }
    }

    /// One of a connection beyond the limits.
    pub(super) fn crowded(address: SocketAddr, crowd: Crowd, heard: Arc<AtomicBool>) -> Self {
        Self { crowd: Some(crowd), heard, ..Self::new(address) }
    }

    /// The connection shall become this session, once the answer is sent.
    pub(super) fn hand_over(&self, opening: Opening) {
        *self.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(opening);
    }

    /// What the connection shall become.
    pub(super) fn take_upgrade(&self) -> Option<Opening> {
        self.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Live,
    Ready,
    Database,
    Metrics,
    Description,
    Socket,
    Events,
    Stream,
    Me,
    Revocations,
    PublicSocket,
    PublicEvents,
    PublicStream,
    Chat(chat::Place),
    Trading(trading::Route),
}

/// What an endpoint asks of whoever comes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: probes.
    Nothing,
    /// Nothing, and it is limited by address.
    Public,
    /// A token, whatever its role.
    Token,
    /// A token whose role may do this.
    Right(Action),
}

impl Endpoint {
    /// The streams for everybody are only there if they are opened.
    pub(super) fn at(path: &str, streams: &StreamConfig) -> Option<Self> {
        Some(match path {
            "/health/live" => Self::Live,
            "/health/ready" => Self::Ready,
            "/health/db" => Self::Database,
            "/metrics" => Self::Metrics,
            "/openapi.json" => Self::Description,
            "/ws" => Self::Socket,
            "/v1/events" => Self::Events,
            "/v1/events/stream" => Self::Stream,
            "/v1/me" => Self::Me,
            "/v1/revocations" => Self::Revocations,
            "/public/ws" if streams.public => Self::PublicSocket,
            "/public/v1/events" => Self::PublicEvents,
            "/public/v1/events/stream" if streams.public => Self::PublicStream,
            _ => return chat::Place::at(path).map(Self::Chat).or_else(|| trading::Route::at(path).map(Self::Trading)),
        })
    }

    /// The methods, as the `Allow` header lists them.
    pub(super) fn allow(self) -> &'static str {
        match self {
            Self::Live | Self::Ready | Self::Database | Self::Metrics => "GET, HEAD",
            Self::Description | Self::Me | Self::PublicEvents => "GET, HEAD",
            Self::Socket | Self::Stream | Self::PublicSocket | Self::PublicStream => "GET",
            Self::Events | Self::Revocations => "GET, HEAD, POST",
            Self::Chat(place) => place.allow(),
            Self::Trading(route) => route.allow(),
        }
    }

    /// Every route stands here with what it needs; none is served without having been asked for it.
    pub(super) fn needs(self, method: &Method) -> Need {
        match self {
            Self::Live | Self::Ready | Self::Database | Self::Metrics => Need::Nothing,
            Self::Description | Self::PublicSocket | Self::PublicEvents | Self::PublicStream => Need::Public,
            Self::Me => Need::Token,
            Self::Events if method == Method::POST => Need::Right(Action::Write),
            Self::Socket | Self::Events | Self::Stream => Need::Right(Action::Read),
            Self::Revocations => Need::Right(Action::Administer),
            Self::Chat(_) => Need::Right(Action::Chat),
            Self::Trading(route) => route.needs(method).map_or(Need::Public, Need::Right),
        }
    }

    /// What it counts as. Appended events are counted when it is known how many they are.
    fn class(self, method: &Method) -> Option<Class> {
        match self {
            Self::Live | Self::Ready | Self::Database | Self::Metrics => None,
            Self::Events if method == Method::POST => None,
            // A message is counted when it is known how long it is.
            Self::Chat(chat::Place::Say) => None,
            Self::Events | Self::Me | Self::Revocations | Self::Chat(_) => Some(Class::Private),
            Self::Description | Self::PublicEvents => Some(Class::Public),
            Self::Trading(route) => Some(if route.is_public() { Class::Public } else { Class::Private }),
            Self::Socket | Self::Stream | Self::PublicSocket | Self::PublicStream => Some(Class::Connect),
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
    peer: Arc<Peer>,
    mut request: Request<Incoming>,
) -> Result<Response<Outgoing>, Infallible> {
    let begun = Instant::now();
    peer.heard.store(true, Ordering::Release);
    let id = RequestId::of(request.headers());
    // For streams: they outlive the answer.
    request.extensions_mut().insert(id.clone());
    request.extensions_mut().insert(peer.stalled.clone());
    let method = request.method().clone();
    let path = readable(request.uri().path());
    let endpoint = Endpoint::at(request.uri().path(), &context.streams);
    let visit = Arc::new(Visit::new(&context, peer.address, request.headers()));
    let origin = endpoint.is_none_or(|e| !e.is_probe()).then(|| Origin::of(&context, request.headers()));

    let handled = AssertUnwindSafe(dispatch(&context, &peer, &visit, endpoint, request)).catch_unwind().await;
    let outcome = handled.unwrap_or_else(|_panic| {
        // The panic hook has printed where; this line ties it to the request.
        tracing::error!(request_id = %id, %method, path, "a handler panicked");
        Err(Problem::internal())
    });
    let mut response = outcome.unwrap_or_else(|problem| problem.into_response(&id));
    respond::finish(response.headers_mut(), &id);
    visit.write(response.headers_mut());
    if let Some(origin) = origin {
        origin.write(response.headers_mut());
    }

    let status = response.status().as_u16();
    context.counts.answered(status);
    let (ms, from) = (begun.elapsed().as_secs_f64() * 1000.0, peer.address);
    if status == StatusCode::TOO_MANY_REQUESTS.as_u16()
        && let Some(count) = context.refused.due()
    {
        tracing::info!(request_id = %id, %from, %method, path, status, count, "requests beyond a rate limit");
    } else if status == StatusCode::TOO_MANY_REQUESTS.as_u16() || endpoint.is_some_and(Endpoint::is_probe) {
        tracing::debug!(request_id = %id, %from, %method, path, status, ms, "request");
    } else {
        tracing::info!(request_id = %id, %from, %method, path, status, ms, "request");
    }
    Ok(response)
}

async fn dispatch(
    context: &Arc<Context>,
    peer: &Peer,
    visit: &Arc<Visit>,
    endpoint: Option<Endpoint>,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    has_one_host(&request)?;
    if !endpoint.is_some_and(Endpoint::is_probe) {
        peer.crowd.map_or(Ok(()), |crowd| Err(crowd.problem()))?;
        visit.enter_address(context)?;
    }
    let endpoint = endpoint.ok_or_else(Problem::not_found)?;
    if !endpoint.is_probe() && is_preflight(request.method(), request.headers()) {
        return Origin::of(context, request.headers()).preflight(context, endpoint.allow());
    }
    if !endpoint.allows(request.method()) {
        return Err(Problem::method_not_allowed(endpoint.allow()));
    }
    // A body that says its size is refused by it, before a byte of it is read.
    if request.body().size_hint().lower() > MAX_BODY_BYTES {
        return Err(Problem::body_too_large(MAX_BODY_BYTES));
    }
    let class = endpoint.class(request.method());
    if let Some(class @ (Class::Connect | Class::Public)) = class {
        visit.spend(context, class).await?;
    }
    match endpoint {
        Endpoint::Live => Ok(health::live()),
        Endpoint::Ready => health::ready(&context.readiness, &context.database, &context.tail).await,
        Endpoint::Database => health::db(&context.database).await,
        Endpoint::Metrics => Ok(metrics::page(context)),
        Endpoint::Description => openapi::document(request.uri().query()),
        Endpoint::Socket => ws::upgrade(context, peer, visit, false, request).await,
        Endpoint::PublicSocket => ws::upgrade(context, peer, visit, true, request).await,
        Endpoint::PublicEvents => read::page(context, &Reader::Public, visit, request.uri().query()).await,
        Endpoint::PublicStream => sse::stream(context, Reader::Public, visit, &request).await,
        Endpoint::Events | Endpoint::Stream | Endpoint::Me | Endpoint::Revocations | Endpoint::Chat(_) => {
            private(context, visit, endpoint, request).await
        }
        Endpoint::Trading(route) if route.is_public() => {
            trading::public(context, visit, route, request.uri().query()).await
        }
        Endpoint::Trading(_) => private(context, visit, endpoint, request).await,
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

/// What needs a token.
async fn private(
    context: &Arc<Context>,
    visit: &Arc<Visit>,
    endpoint: Endpoint,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    let identity = access::identify(context, visit, request.headers()).await?;
    if endpoint.class(request.method()) == Some(Class::Private) {
        visit.spend_of(context, Class::Private, identity.subject(), 1).await?;
    }
    if let Need::Right(action) = endpoint.needs(request.method()) {
        access::permit(&identity, action)?;
    }
    match endpoint {
        Endpoint::Events if request.method() == Method::POST => append::post(context, &identity, visit, request).await,
        Endpoint::Events => read::page(context, &Reader::Known(identity), visit, request.uri().query()).await,
        Endpoint::Stream => sse::stream(context, Reader::Known(identity), visit, &request).await,
        Endpoint::Revocations if request.method() == Method::POST => {
            revocations::post(context, &identity, request).await
        }
        Endpoint::Chat(place) => chat::answer(context, &identity, visit, place, request).await,
        Endpoint::Trading(route) => trading::answer(context, &identity, route, request).await,
        Endpoint::Revocations => revocations::page(context, &identity, request.uri().query()).await,
        _ => {
            Query::parse(request.uri().query())?.none()?;
            Ok(json_response(&access::me(&identity)))
        }
    }
}
