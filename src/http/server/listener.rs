//! The listener: accepts connections, with TLS if it has a certificate, holds them to their limits, and drains.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig as RustlsServer;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::config::{HttpConfig, TlsFiles};
use crate::http::connection::gate::{Gate, Pass};
use crate::http::connection::guarded::Guarded;
use crate::http::connection::wire::{Metered, Wire};
use crate::http::request::context::Context;
use crate::http::request::peer::Peer;
use crate::http::server::dispatch::answer;
use crate::http::stream::ws;
use crate::shutdown::Shutdown;
use crate::telemetry::LogThrottle;
use crate::tls::{PemError, provider, read_chain, read_key};

/// How long a client may take to send the head of a request, and to send the next one on a connection kept alive.
pub const HEADER_LIMIT: Duration = Duration::from_secs(10);
/// How long a TLS handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long one beyond the limit on connections may take for either, which is served for the sake of probes.
const PROBE_HEADER_LIMIT: Duration = Duration::from_secs(2);
/// The size of a request's head.
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// How much of an answer waits in memory for its connection, besides the piece that is under way.
const MAX_BUFFER: usize = 64 * 1024;
/// How many headers a request may have.
const MAX_HEADERS: usize = 100;
/// Connections beyond those of the clients: for probes, and for requests that come and go.
const SPARE_CONNECTIONS: usize = 256;
/// How long to wait when the machine has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken or not this machine's.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, io::Error),
    /// A certificate or key file is not what it should be.
    #[error("ROWCAST_TLS_CERT, ROWCAST_TLS_KEY: {0}")]
    Files(#[from] PemError),
    /// The certificate does not fit the key, or is none.
    #[error("ROWCAST_TLS_CERT, ROWCAST_TLS_KEY: {0}")]
    Tls(#[from] rustls::Error),
}

/// A server that listens and does not accept yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    max_connections: usize,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).field("tls", &self.tls.is_some()).finish()
    }
}

impl Server {
    /// Begins to listen.
    pub async fn bind(config: &HttpConfig) -> Result<Self, ListenError> {
        let tls = config.tls.as_ref().map(acceptor).transpose()?;
        let failed = |e| ListenError::Bind(config.listen, e);
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, tls, max_connections: config.max_sessions + SPARE_CONNECTIONS })
    }

    /// The address it listens on, with the port that the machine picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of the address.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }

    /// Serves until the shutdown, then until every request that is under way is answered, for at most `drain`.
    ///
    /// While it drains it still accepts, one request a connection, so that a probe can read that it drains.
    pub async fn run(self, context: Context, shutdown: Shutdown, drain: Duration) {
        let awake = context.awake.clone();
        tokio::select! {
            () = self.serve(context, shutdown, drain) => {}
            never = awake.keep() => match never {},
        }
    }

    async fn serve(self, context: Context, shutdown: Shutdown, drain: Duration) {
        let doors = Doors::new(self.tls, context, self.max_connections);
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(ended) = open.join_next(), if !open.is_empty() => tell_panic(&ended),
                (stream, from) = doors.accept(&self.listener) => {
                    doors.admit(stream, from, &mut open, Some(shutdown.clone()));
                }
            }
        }
        doors.context.drain_ends();
        let mut late = JoinSet::new();
        let drained = async {
            while !open.is_empty() {
                tokio::select! {
                    Some(ended) = open.join_next() => tell_panic(&ended),
                    Some(ended) = late.join_next(), if !late.is_empty() => tell_panic(&ended),
                    (stream, from) = doors.accept(&self.listener) => doors.admit(stream, from, &mut late, None),
                }
            }
        };
        if tokio::time::timeout(drain, drained).await.is_err() {
            tracing::warn!(open = open.len(), "the drain took too long; what is still open is cut off");
        }
        open.shutdown().await;
        late.shutdown().await;
    }
}

/// The things that every connection needs.
struct Doors {
    gate: Gate,
    tls: Option<TlsAcceptor>,
    context: Arc<Context>,
    /// Failures of accept, in the log.
    unaccepted: LogThrottle,
}

impl Doors {
    fn new(tls: Option<TlsAcceptor>, context: Context, max: usize) -> Self {
        let gate = Gate::new(max, context.quotas.addresses.clone(), context.quotas.trusted_proxies.clone());
        Self { gate, tls, context: Arc::new(context), unaccepted: LogThrottle::default() }
    }

    /// The next connection. Errors of accept belong to one connection or to a machine that is short of something; neither
    /// may end the server, and the second must not spin.
    async fn accept(&self, listener: &TcpListener) -> (TcpStream, SocketAddr) {
        loop {
            match listener.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if let Some(count) = self.unaccepted.due() {
                        tracing::warn!(%error, count, "cannot accept a connection");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves a connection in a task of its own, or turns it away when there are too many. Without a `shutdown` to
    /// wait for it gets one request.
    fn admit(&self, stream: TcpStream, from: SocketAddr, tasks: &mut JoinSet<()>, shutdown: Option<Shutdown>) {
        let pass = self.gate.enter(from.ip());
        if !matches!(pass, Some(Pass::Full(..))) {
            self.context.counts.turned_away();
        }
        let Some(pass) = pass else {
            turn_away(&stream, self.tls.is_some());
            return;
        };
        self.context.counts.accepted();
        let stream = Metered::new(stream);
        let context = Arc::clone(&self.context);
        match self.tls.clone() {
            None => drop(tasks.spawn(serve(stream, from, context, shutdown, pass))),
            Some(tls) => drop(tasks.spawn(async move {
                let limit = if matches!(pass, Pass::Full(..)) { HANDSHAKE_LIMIT } else { PROBE_HEADER_LIMIT };
                match tokio::time::timeout(limit, tls.accept(stream)).await {
                    Ok(Ok(stream)) => serve(stream, from, context, shutdown, pass).await,
                    Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                    Err(_) => tracing::debug!("TLS handshake took too long"),
                }
            })),
        }
    }
}

/// One connection: requests, and after an upgrade a session. What requests need is freed before a session begins: sessions
/// are many and last long.
async fn serve<S: Wire>(stream: S, from: SocketAddr, context: Arc<Context>, shutdown: Option<Shutdown>, pass: Pass) {
    let place = match pass {
        Pass::Full(permit, place) => (permit, place),
        Pass::Probe(limit, slot) => {
            let peer = Arc::new(Peer::beyond_limit(from, limit, slot.has_request()));
            tokio::select! {
                () = Box::pin(requests(stream, peer, context, None, PROBE_HEADER_LIMIT)) => {}
                () = slot.must_close() => {}
            }
            return;
        }
    };
    let peer = Arc::new(Peer::new(from));
    Box::pin(requests(stream, Arc::clone(&peer), context, shutdown, HEADER_LIMIT)).await;
    if let Some(pending) = peer.take_pending() {
        drop(peer);
        ws::serve::<S>(pending).await;
    }
    drop(place);
}

async fn requests<S: Wire>(
    stream: S,
    peer: Arc<Peer>,
    context: Arc<Context>,
    shutdown: Option<Shutdown>,
    head_limit: Duration,
) {
    let (limit, awake) = (context.streams.write_stall, context.awake.clone());
    let io = TokioIo::new(Guarded::new(stream, limit, awake, peer.stalled.clone()));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(head_limit)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEADER_BYTES)
        .max_buf_size(MAX_BUFFER)
        .keep_alive(shutdown.is_some());
    let service = service_fn(move |request| answer(Arc::clone(&context), Arc::clone(&peer), request));
    let connection = http.serve_connection(io, service).with_upgrades();
    tokio::pin!(connection);
    let asked_to_end = async {
        match &shutdown {
            Some(shutdown) => shutdown.cancelled().await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = asked_to_end => {
            // Closes at once when idle, else after the answer that is under way.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

fn turn_away(stream: &TcpStream, tls: bool) {
    if !tls {
        const FULL: &[u8] =
            b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let _whether_it_listens = stream.try_write(FULL);
    }
}

fn tell_panic(ended: &Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, ListenError> {
    let mut config = RustlsServer::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(read_chain(&files.cert)?, read_key(&files.key)?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
