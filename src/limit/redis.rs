//! Counting in Redis, where all nodes count together, and finding out that Redis is lost or back.
//!
//! There is one connection, which all decisions share. When one of them fails or takes too long, Redis is lost: the
//! connection is dropped, and all requests are decided in memory at once, instead of each waiting for Redis by itself. A task
//! connects again, and takes Redis for back only after a decision on a probe key; so a Redis that answers but cannot write stays
//! lost.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, ServerErrorKind};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::decision::LimitError;
use super::gcra::{Quota, Taken};
use crate::clock::jitter;
use crate::config::{Rate, Secret};
use crate::redis_client::redis_client;
use crate::shutdown::Shutdown;

/// Makes a decision, atomically.
const SCRIPT: &str = include_str!("script.lua");
/// The key that a probe asks for; it expires after a millisecond.
const PROBE_KEY: &str = "rowcast:limit:probe";
/// The time that making a connection may take, with TLS and login.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The interval at which an idle connection is probed, so that the status is true also when no request is limited.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// The waits between two tries to come back: doubled each time, from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(5);
/// A connection that has lasted this long makes the waits begin anew.
const STABLE_AFTER: Duration = Duration::from_secs(30);

/// The Redis of the configuration, connected or lost.
pub(super) struct Redis {
    client: Client,
    timeout: Duration,
    state: RwLock<State>,
    /// Notified when Redis is found to be lost.
    lost: Notify,
    lost_total: AtomicU64,
}

enum State {
    NotYetTried,
    Connected(Arc<RedisConnection>),
    Lost,
}

/// The reason for which Redis makes no decision.
#[derive(Debug, thiserror::Error)]
enum RedisFailure {
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("{0}")]
    Error(#[from] RedisError),
}

/// One connection to Redis, with the script loaded.
struct RedisConnection {
    multiplexed: MultiplexedConnection,
    /// The hash by which Redis knows the script.
    script_hash: String,
}

impl RedisConnection {
    /// Makes one decision: runs the script by its hash, or sends it whole where Redis has forgotten it.
    async fn decide(&self, key: &str, quota: Quota, cost: u32) -> Result<Taken, RedisError> {
        let run = async |command: &str, script: &str| {
            let mut asked = ::redis::cmd(command);
            asked.arg(script).arg(1).arg(key).arg(quota.count).arg(quota.period).arg(quota.price(cost));
            asked.query_async::<(u8, u64)>(&mut self.multiplexed.clone()).await
        };
        let answer = match run("EVALSHA", &self.script_hash).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => run("EVAL", SCRIPT).await,
            answer => answer,
        };
        answer.map(|(allowed, debt)| Taken { allowed: allowed == 1, debt })
    }
}

impl Redis {
    pub(super) fn new(url: &Secret, timeout: Duration) -> Result<Self, LimitError> {
        let client = redis_client(url).map_err(|error| LimitError::Url(error.to_string()))?;
        Ok(Self {
            client,
            timeout,
            state: RwLock::new(State::NotYetTried),
            lost: Notify::new(),
            lost_total: AtomicU64::new(0),
        })
    }

    /// The connection, if Redis is connected.
    fn connection(&self) -> Option<Arc<RedisConnection>> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Connected(connection) => Some(Arc::clone(connection)),
            State::NotYetTried | State::Lost => None,
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connection().is_some()
    }

    pub(super) fn lost_total(&self) -> u64 {
        self.lost_total.load(Ordering::Relaxed)
    }

    /// Makes one decision. `None` if Redis is lost, or becomes so by not deciding in time.
    pub(super) async fn take(&self, key: &str, quota: Quota, cost: u32) -> Option<Taken> {
        let connection = self.connection()?;
        match within(self.timeout, connection.decide(key, quota, cost)).await {
            Ok(taken) => Some(taken),
            Err(why) => {
                self.set_lost(&connection, &why);
                None
            }
        }
    }

    /// Connects to Redis, again after each loss, until the shutdown. `found` is called after each connect.
    pub(super) async fn run(&self, shutdown: Shutdown, found: impl Fn()) {
        let keep = async {
            let mut wait = FIRST_WAIT;
            loop {
                match self.open().await {
                    Ok(connection) => {
                        let since = Instant::now();
                        self.set_connected(Arc::new(connection));
                        found();
                        self.watch().await;
                        if since.elapsed() >= STABLE_AFTER {
                            wait = FIRST_WAIT;
                        }
                    }
                    Err(why) => self.set_unreachable(&why),
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

    /// Makes a connection, and makes sure that Redis decides over it in time: a slow one would be lost at once.
    async fn open(&self) -> Result<RedisConnection, RedisFailure> {
        let connection = within(CONNECT_TIMEOUT, self.connect()).await?;
        within(self.timeout, probe(&connection)).await?;
        Ok(connection)
    }

    async fn connect(&self) -> Result<RedisConnection, RedisError> {
        // The timeouts are here and in `take`.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let mut multiplexed = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let script_hash = ::redis::cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query_async(&mut multiplexed).await?;
        Ok(RedisConnection { multiplexed, script_hash })
    }

    /// Waits until the connection is lost, and probes it from time to time, since there may be no request that notices a loss.
    async fn watch(&self) {
        while tokio::time::timeout(PROBE_INTERVAL, self.lost.notified()).await.is_err() {
            let Some(connection) = self.connection() else { continue };
            if let Err(why) = within(self.timeout, probe(&connection)).await {
                self.set_lost(&connection, &why);
            }
        }
    }

    fn set_connected(&self, connection: Arc<RedisConnection>) {
        let former = self.change(|_| Some(State::Connected(connection)));
        match former {
            Some(State::Lost) => tracing::info!("Redis is back: rate limits are shared again"),
            _ => tracing::info!("rate limits are shared through Redis"),
        }
    }

    /// Every request on a broken connection comes here; the first of them changes the state and logs it.
    fn set_lost(&self, connection: &Arc<RedisConnection>, why: &RedisFailure) {
        let current = |state: &State| matches!(state, State::Connected(now) if Arc::ptr_eq(now, connection));
        if self.change(|state| current(state).then_some(State::Lost)).is_some() {
            self.lost_total.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(error = %why, "Redis is lost: rate limits are counted in memory until it is back");
            self.lost.notify_one();
        }
    }

    /// Redis could not be reached. The first time is logged as a warning.
    fn set_unreachable(&self, why: &RedisFailure) {
        if self.change(|state| matches!(state, State::NotYetTried).then_some(State::Lost)).is_some() {
            self.lost_total.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(error = %why, "Redis cannot be used: rate limits are counted in memory until it can");
        } else {
            tracing::debug!(error = %why, "Redis is still lost");
        }
    }

    /// Changes the state if there is a next one, and returns the former.
    fn change(&self, next: impl FnOnce(&State) -> Option<State>) -> Option<State> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let next = next(&state)?;
        Some(std::mem::replace(&mut *state, next))
    }
}

/// Asks a Redis for one decision on the probe key. Returns its address, or an error with the address; neither holds a secret.
pub async fn probe_redis(url: &Secret) -> Result<String, String> {
    let redis = Redis::new(url, CONNECT_TIMEOUT).map_err(|error| error.to_string())?;
    let address = redis.client.get_connection_info().addr().to_string();
    match redis.open().await {
        Ok(_connection) => Ok(address),
        Err(RedisFailure::Error(error)) if refuses_login(&error) => {
            Err(format!("{address} refuses the login: check user and password in ROWCAST_REDIS_URL"))
        }
        Err(RedisFailure::Error(error)) if error.code().is_some() => Err(format!("{address} does not count: {error}")),
        Err(why) => Err(format!("{address} cannot be reached: {why}")),
    }
}

fn refuses_login(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
}

/// Waits for an answer of Redis, but no longer than the limit.
async fn within<T>(limit: Duration, asked: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisFailure> {
    match tokio::time::timeout(limit, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_late) => Err(RedisFailure::Late(limit)),
    }
}

/// Asks for a decision whose key expires at once.
async fn probe(connection: &RedisConnection) -> Result<(), RedisError> {
    let quota = Quota::new(Rate { count: 1000, per: Duration::from_secs(1) });
    connection.decide(PROBE_KEY, quota, 1).await.map(drop)
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("connected", &self.is_connected()).finish_non_exhaustive()
    }
}
