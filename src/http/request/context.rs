//! The parts of the server that handlers share: built once, and given to every request.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::auth::{RevokedSubjects, Verifier};
use crate::chat::Chat;
use crate::clock::{Awake, Clock};
use crate::config::{ServerConfig, StreamConfig};
use crate::db::Database;
use crate::http::request::authenticate::TokenChecks;
use crate::http::request::counters::HttpCounters;
use crate::http::request::quota::Quotas;
use crate::http::request::readiness::{Readiness, TailView};
use crate::limit::Limits;
use crate::session::Announcer;
use crate::shutdown::Shutdown;
use crate::snapshot::Snapshots;
use crate::telemetry::LogThrottle;
use crate::view::Redaction;

/// The shortest step of the clock by which silence and stalls are measured. The step is an eighth of the shorter of the heartbeat and the
/// write stall, within these limits.
const SHORTEST_STEP: Duration = Duration::from_millis(10);
/// The longest step of that clock.
const LONGEST_STEP: Duration = Duration::from_millis(250);

/// The parts of the server that handlers share.
#[derive(Debug)]
pub struct Context {
    pub(in crate::http) database: Database,
    pub(in crate::http) readiness: Readiness,
    pub(in crate::http) tail: TailView,
    pub(in crate::http) announcer: Arc<Announcer>,
    pub(in crate::http) snapshots: Snapshots,
    pub(in crate::http) tokens: TokenChecks,
    pub(in crate::http) quotas: Arc<Quotas>,
    pub(in crate::http) streams: StreamConfig,
    pub(in crate::http) drain: Duration,
    pub(in crate::http) allowed_origins: Vec<String>,
    pub(in crate::http) max_sessions: usize,
    pub(in crate::http) sessions: Arc<Semaphore>,
    pub(in crate::http) shutdown: Shutdown,
    pub(in crate::http) counts: HttpCounters,
    pub(in crate::http) redaction: Redaction,
    pub(in crate::http) chat: Chat,
    /// Limits the log lines about pages of foreign origins.
    pub(in crate::http) refused_origins: LogThrottle,
    /// Limits the log lines about requests beyond a rate.
    pub(in crate::http) refused: LogThrottle,
    /// The time at which the shutdown is to be over, once it has begun.
    drain_ends: OnceLock<tokio::time::Instant>,
    /// The clock of the time in which this process ran. [`super::Server::run`] moves it on.
    pub(in crate::http) awake: Awake,
}

/// The checks of a request: its token, revocations, rates.
#[derive(Debug, Clone)]
pub struct Guards {
    /// Checks signature and claims of tokens.
    pub verifier: Verifier,
    /// The subjects whose tokens are revoked.
    pub revoked: RevokedSubjects,
    /// The rates of requests.
    pub limits: Limits,
}

impl Context {
    /// Builds the shared parts from the configuration and the parts that the owner of the server runs.
    pub fn new(
        config: &ServerConfig,
        database: Database,
        readiness: Readiness,
        tail: TailView,
        announcer: Arc<Announcer>,
        guards: Guards,
        shutdown: Shutdown,
    ) -> Self {
        let Guards { verifier, revoked, limits } = guards;
        let snapshots = Snapshots::new(Arc::clone(&announcer), config.streams.write_stall);
        Self {
            database,
            readiness,
            tail,
            announcer,
            snapshots,
            tokens: TokenChecks { verifier, revoked, clock: Clock::system() },
            quotas: Arc::new(Quotas::new(config, limits)),
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
            refused: LogThrottle::default(),
            drain_ends: OnceLock::new(),
            awake: Awake::new(
                (config.streams.heartbeat.min(config.streams.write_stall) / 8).clamp(SHORTEST_STEP, LONGEST_STEP),
            ),
        }
    }

    /// The time at which the shutdown is to be over. The first call begins to count.
    pub(in crate::http) fn drain_ends(&self) -> tokio::time::Instant {
        *self.drain_ends.get_or_init(|| tokio::time::Instant::now() + self.drain)
    }

    /// Replaces the clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { tokens: TokenChecks { clock, ..self.tokens }, ..self }
    }

    /// Replaces the responder of the chat.
    #[must_use]
    pub fn with_chat(self, chat: Chat) -> Self {
        Self { chat, ..self }
    }
}
