//! The parts of the server that handlers share: built once, and given to every request.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::Semaphore;

use crate::auth::{Revoked, Verifier};
use crate::chat::Chat;
use crate::clock::{Awake, Clock};
use crate::config::{ServerConfig, StreamConfig};
use crate::db::Database;
use crate::http::request::counters::HttpCounters;
use crate::http::request::readiness::{Readiness, TailView};
use crate::limit::{ConnectionSlots, Limits};
use crate::session::Announcer;
use crate::shutdown::Shutdown;
use crate::telemetry::LogThrottle;
use crate::view::Redaction;

/// Between these is the step of the clock by which silence and stalls are counted: an eighth of the shortest that is to be noticed.
const SHORTEST_STEP: Duration = Duration::from_millis(10);
const LONGEST_STEP: Duration = Duration::from_millis(250);

/// The parts of the server that handlers share.
#[derive(Debug)]
pub struct Context {
    pub(in crate::http) database: Database,
    pub(in crate::http) readiness: Readiness,
    pub(in crate::http) tail: TailView,
    pub(in crate::http) live: Arc<Announcer>,
    pub(in crate::http) verifier: Verifier,
    pub(in crate::http) revoked: Revoked,
    pub(in crate::http) limits: Limits,
    pub(in crate::http) session_slots: ConnectionSlots,
    /// Connections by address; requests too, where a proxy brings them.
    pub(in crate::http) addresses: ConnectionSlots,
    pub(in crate::http) trusted_proxies: Vec<IpNet>,
    pub(in crate::http) streams: StreamConfig,
    pub(in crate::http) drain: Duration,
    pub(in crate::http) allowed_origins: Vec<String>,
    pub(in crate::http) max_sessions: usize,
    pub(in crate::http) sessions: Arc<Semaphore>,
    pub(in crate::http) shutdown: Shutdown,
    pub(in crate::http) counts: HttpCounters,
    pub(in crate::http) redaction: Redaction,
    pub(in crate::http) chat: Chat,
    pub(in crate::http) refused_origins: LogThrottle,
    /// Addresses that send too many tokens of nobody, in the log.
    pub(in crate::http) guesses: LogThrottle,
    /// Requests beyond a rate, in the log.
    pub(in crate::http) refused: LogThrottle,
    /// The time of day.
    pub(in crate::http) clock: Clock,
    /// When a shutdown is to be over, once it has begun.
    drain_ends: OnceLock<tokio::time::Instant>,
    /// Time in which this process ran. [`super::Server::run`] moves it on.
    pub(in crate::http) awake: Awake,
}

/// The checks of a request: its token, revocations, rates.
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
        live: Arc<Announcer>,
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
            session_slots: ConnectionSlots::new(config.limits.sessions_per_subject),
            addresses: ConnectionSlots::new(config.http.connections_per_address),
            trusted_proxies: config.http.trusted_proxies.clone(),
            streams: config.streams.clone(),
            drain: config.drain,
            allowed_origins: config.http.allowed_origins.clone(),
            max_sessions: config.http.max_sessions,
            sessions: Arc::new(Semaphore::new(config.http.max_sessions)),
            shutdown,
            counts: HttpCounters::default(),
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
    pub(in crate::http) fn drain_ends(&self) -> tokio::time::Instant {
        *self.drain_ends.get_or_init(|| tokio::time::Instant::now() + self.drain)
    }

    /// Replaces the clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Replaces the responder of the chat.
    #[must_use]
    pub fn with_chat(self, chat: Chat) -> Self {
        Self { chat, ..self }
    }
}
