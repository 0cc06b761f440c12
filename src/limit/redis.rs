//! Counting in Redis, where all nodes count together; and what happens when it is not there.
//!
//! There is one connection, over which all decisions go at once. When one of them fails or takes too long, Redis is lost:
//! the connection is put away, and everybody decides in memory at once, instead of each waiting for itself. A task brings
//! Redis back by asking what the limits would ask; so one that answers but must not write, or has no memory left, stays lost.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisError, ServerErrorKind,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::decision::LimitError;
use super::gcra::{Quota, Taken};
use crate::clock::jitter;
use crate::config::{Rate, Secret};
use crate::shutdown::Shutdown;

/// Decides, atomically.
const SCRIPT: &str = include_str!("script.lua");
/// What is asked to see whether Redis would decide; it is gone after a millisecond.
const PROBE_KEY: &str = "rowcast:limit:probe";
/// How long a new connection may take to be made, with TLS and login.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How often an idle connection is tried, so that the status is true also when nobody asks.
const WATCH: Duration = Duration::from_secs(5);
/// The waits between two tries to come back: doubled each time, from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(5);
/// A connection that has lasted this long makes the waits begin anew.
const STABLE: Duration = Duration::from_secs(30);

/// Redis, there or not.
pub(super) struct Redis {
    client: Client,
    timeout: Duration,
    state: RwLock<State>,
    /// Somebody has found out that Redis is lost.
    lost: Notify,
    lost_total: AtomicU64,
    lines: AtomicU64,
}

enum State {
    /// Not yet tried.
    Unknown,
    Up(Arc<Line>),
    Lost,
}

/// Why Redis does not decide.
#[derive(Debug, thiserror::Error)]
enum Missing {
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("{0}")]
    Error(#[from] RedisError),
}

/// One connection.
pub(super) struct Line {
    id: u64,
    connection: MultiplexedConnection,
    /// What the script is called by.
    script: String,
}

impl Line {
    /// Which connection this is; never 0.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// One decision: the script by its name, or whole where Redis has forgotten it.
    async fn decide(&self, key: &str, quota: Quota, cost: u32, untold: u64) -> Result<Taken, RedisError> {
        let run = async |command: &str, script: &str| {
            let mut asked = ::redis::cmd(command);
            asked.arg(script).arg(1).arg(key).arg(quota.count).arg(quota.period).arg(quota.price(cost)).arg(untold);
            asked.query_async::<(u8, u64)>(&mut self.connection.clone()).await
        };
        let answer = match run("EVALSHA", &self.script).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => run("EVAL", SCRIPT).await,
            answer => answer,
        };
        answer.map(|(allowed, debt)| Taken { allowed: allowed == 1, debt })
    }
}

impl Redis {
    pub(super) fn new(url: &Secret, timeout: Duration) -> Result<Self, LimitError> {
        let client = client(url).map_err(|error| LimitError::Url(error.to_string()))?;
        Ok(Self {
            client,
            timeout,
            state: RwLock::new(State::Unknown),
            lost: Notify::new(),
            lost_total: AtomicU64::new(0),
            lines: AtomicU64::new(0),
        })
    }

    /// The connection, where there is one.
    pub(super) fn line(&self) -> Option<Arc<Line>> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Up(line) => Some(Arc::clone(line)),
            State::Unknown | State::Lost => None,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.line().is_some()
    }

    /// Whether this is still the connection.
    pub(super) fn is_current(&self, line: &Line) -> bool {
        self.line().is_some_and(|now| now.id == line.id)
    }

    pub(super) fn lost_total(&self) -> u64 {
        self.lost_total.load(Ordering::Relaxed)
    }

    /// One decision. None if Redis makes none in time; it is lost then.
    pub(super) async fn take(
        &self,
        line: &Arc<Line>,
        key: &str,
        quota: Quota,
        cost: u32,
        untold: u64,
    ) -> Option<Taken> {
        match within(self.timeout, line.decide(key, quota, cost, untold)).await {
            Ok(taken) => Some(taken),
            Err(why) => {
                self.lose(line, &why);
                None
            }
        }
    }

    /// Keeps Redis there as far as it can be, until the shutdown.
    pub(super) async fn run(&self, shutdown: Shutdown) {
        let keep = async {
            let mut wait = FIRST_WAIT;
            loop {
                match self.open().await {
                    Ok(line) => {
                        let since = Instant::now();
                        self.found(Arc::new(line));
                        self.watch().await;
                        if since.elapsed() >= STABLE {
                            wait = FIRST_WAIT;
                        }
                    }
                    Err(why) => self.missing(&why),
                }
                tokio::time::sleep(wait.mul_f64(jitter())).await;
                wait = (wait * 2).min(LAST_WAIT);
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = keep => {}
        }
    }

    /// Makes a connection, and makes sure that it would decide, and in time: one that is slow would be lost at once.
    async fn open(&self) -> Result<Line, Missing> {
        let line = within(CONNECT_TIMEOUT, self.connect()).await?;
        within(self.timeout, probe(&line)).await?;
        Ok(line)
    }

    async fn connect(&self) -> Result<Line, RedisError> {
        // The timeouts are here and in `take`.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let script = ::redis::cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query_async(&mut connection).await?;
        Ok(Line { id: self.lines.fetch_add(1, Ordering::Relaxed) + 1, connection, script })
    }

    /// Waits until the connection is lost, and finds out by itself where nobody asks.
    async fn watch(&self) {
        while tokio::time::timeout(WATCH, self.lost.notified()).await.is_err() {
            let Some(line) = self.line() else { continue };
            if let Err(why) = within(self.timeout, probe(&line)).await {
                self.lose(&line, &why);
            }
        }
    }

    fn found(&self, line: Arc<Line>) {
        let former = self.set(|_| Some(State::Up(line)));
        match former {
            Some(State::Lost) => tracing::info!("Redis is back: rate limits are shared again"),
            _ => tracing::info!("rate limits are shared through Redis"),
        }
    }

    /// Everybody on the connection finds out; the first of them says so.
    fn lose(&self, line: &Line, why: &Missing) {
        let current = |state: &State| matches!(state, State::Up(now) if now.id == line.id);
        if self.set(|state| current(state).then_some(State::Lost)).is_some() {
            self.lost_total.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(error = %why, "Redis is lost: rate limits are counted in memory until it is back");
            self.lost.notify_one();
        }
    }

    /// It could not be reached; the first time that is worth a line.
    fn missing(&self, why: &Missing) {
        if self.set(|state| matches!(state, State::Unknown).then_some(State::Lost)).is_some() {
            self.lost_total.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(error = %why, "Redis cannot be used: rate limits are counted in memory until it can");
        } else {
            tracing::debug!(error = %why, "Redis is still lost");
        }
    }

    /// Changes the state, where there is a next one, and returns the former.
    fn set(&self, next: impl FnOnce(&State) -> Option<State>) -> Option<State> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let next = next(&state)?;
        Some(std::mem::replace(&mut *state, next))
    }
}

/// Asks a Redis once what the limits would ask it. Says where it is, and why not, without any secret.
pub async fn probe_redis(url: &Secret) -> Result<String, String> {
    let redis = Redis::new(url, CONNECT_TIMEOUT).map_err(|error| error.to_string())?;
    let place = redis.client.get_connection_info().addr().to_string();
    match redis.open().await {
        Ok(_line) => Ok(place),
        Err(Missing::Error(error)) if refuses_login(&error) => {
            Err(format!("{place} refuses the login: check user and password in ROWCAST_REDIS_URL"))
        }
        Err(Missing::Error(error)) if error.code().is_some() => Err(format!("{place} does not count: {error}")),
        Err(why) => Err(format!("{place} cannot be reached: {why}")),
    }
}

fn refuses_login(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
}

/// What knows how to connect. Its complaints about a URL do not repeat it.
fn client(url: &Secret) -> Result<Client, RedisError> {
    let info = url.expose().into_connection_info()?;
    if matches!(info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
        return Err((ErrorKind::InvalidClientConfig, "certificates are verified, #insecure is not known").into());
    }
    // A decision is one small packet that somebody waits for.
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    Client::open(info.set_tcp_settings(tcp))
}

/// An answer of Redis, if it comes in time.
async fn within<T>(limit: Duration, asked: impl Future<Output = Result<T, RedisError>>) -> Result<T, Missing> {
    match tokio::time::timeout(limit, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_late) => Err(Missing::Late(limit)),
    }
}

/// Asks for a decision that leaves nothing behind.
async fn probe(line: &Line) -> Result<(), RedisError> {
    let quota = Quota::new(Rate { count: 1000, per: Duration::from_secs(1) });
    line.decide(PROBE_KEY, quota, 1, 0).await.map(drop)
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("up", &self.is_up()).finish_non_exhaustive()
    }
}
