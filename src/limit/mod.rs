//! Rate limits: how often a subject or address may ask, counted in memory or, through Redis, by all nodes together.
//!
//! A quota is a bucket that leaks (GCRA): all of it may be used at once, and it comes back evenly, one by one. Nothing here
//! knows about HTTP: a handler asks [`Limits::check`] and renders the [`Decision`].
//!
//! With Redis, each decision is one round trip. When Redis fails, a node counts in a memory of its own, which begins empty,
//! until Redis is back.

mod address;
mod decision;
mod gcra;
mod headers;
mod memory;
mod redis;
mod slots;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::config::{LimitConfig, Rate};
use crate::shutdown::Shutdown;

pub use self::decision::{Class, Decision, LimitError};

pub use address::{address_key, client_address, is_trusted};
pub use headers::Headers;
pub use slots::{ConnectionSlot, ConnectionSlots};

pub use self::redis::probe_redis;

use self::decision::CLASSES;
use self::gcra::Quota;
use self::memory::{DebtTable, KeyDigest};
use self::redis::Redis;

/// The time that one decision may wait for Redis before this node decides alone.
const REDIS_TIMEOUT: Duration = Duration::from_millis(100);

/// The state of the limits, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitStatus {
    /// True if a Redis is configured.
    pub configured: bool,
    /// True if decisions are made in Redis now.
    pub shared: bool,
    /// The times that Redis was lost, or not there at the start.
    pub lost_total: u64,
    /// The number of refused requests, in the order of [`Class::ALL`].
    pub denied: [u64; CLASSES],
}

impl LimitStatus {
    /// The number of refused requests of a class.
    pub fn denied(&self, class: Class) -> u64 {
        self.denied[class as usize]
    }
}

/// The limits of one node. Cloning gives another handle to the same ones.
#[derive(Debug, Clone)]
pub struct Limits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// In the order of [`Class::ALL`].
    counters: [Counter; CLASSES],
    redis: Option<Redis>,
}

/// The rate of one class, and the debts that this node counts by itself.
#[derive(Debug)]
struct Counter {
    rate: Rate,
    debts: DebtTable,
    denied: AtomicU64,
}

impl Counter {
    fn new(config: &LimitConfig, class: Class) -> Result<Self, LimitError> {
        let rate = *config.rates.get(class.name()).ok_or(LimitError::NoRate(class.name()))?;
        Ok(Self { rate, debts: DebtTable::new(Quota::new(rate)), denied: AtomicU64::new(0) })
    }
}

impl Limits {
    /// The limits of this configuration. Until [`Self::run`] has reached Redis, they are counted in memory.
    pub fn new(config: &LimitConfig) -> Result<Self, LimitError> {
        Self::with_redis_timeout(config, REDIS_TIMEOUT)
    }

    /// The limits of this configuration, with another timeout for Redis: tests run on machines that stall for longer than the
    /// usual one.
    pub fn with_redis_timeout(config: &LimitConfig, timeout: Duration) -> Result<Self, LimitError> {
        let counter = |class| Counter::new(config, class);
        let [public, private, connect, append, chat, snapshot, pages] = Class::ALL;
        let counters = [
            counter(public)?,
            counter(private)?,
            counter(connect)?,
            counter(append)?,
            counter(chat)?,
            counter(snapshot)?,
            counter(pages)?,
        ];
        let redis = config.redis_url.as_ref().map(|url| Redis::new(url, timeout)).transpose()?;
        Ok(Self(Arc::new(Inner { counters, redis })))
    }

    /// Keeps the connection to Redis until the shutdown: opens it, watches it, opens it again. Without Redis it only waits,
    /// since a task that ends early counts as broken.
    pub async fn run(&self, shutdown: Shutdown) {
        match &self.0.redis {
            // What was counted here is forgotten, so that the next outage begins with an empty memory.
            Some(redis) => {
                redis.run(shutdown, || self.0.counters.iter().for_each(|counter| counter.debts.clear())).await
            }
            None => shutdown.cancelled().await,
        }
    }

    /// Asks for `cost` of the quota of a class for this key: an address ([`address_key`]) or a subject.
    ///
    /// A cost above the whole quota counts as the whole quota, so that it passes while nothing of the quota is used. A cost of 0
    /// takes nothing. A refused request costs nothing.
    ///
    /// Never fails: without Redis, memory decides.
    pub async fn check(&self, class: Class, key: &str, cost: u32) -> Decision {
        let counter = self.counter(class);
        let digest = KeyDigest::of(class, counter.rate, key);
        let decision = match self.shared(counter, class, &digest, cost).await {
            Some(decision) => decision,
            None => counter.debts.take(&digest, cost),
        };
        if !decision.allowed {
            counter.denied.fetch_add(1, Ordering::Relaxed);
        }
        decision
    }

    /// The decision of Redis, if it makes one.
    async fn shared(&self, counter: &Counter, class: Class, digest: &KeyDigest, cost: u32) -> Option<Decision> {
        let quota = counter.debts.quota();
        let taken = self.0.redis.as_ref()?.take(&digest.name_in_redis(class), quota, cost).await?;
        Some(quota.decision(taken, cost))
    }

    /// The rate of a class.
    pub fn rate(&self, class: Class) -> Rate {
        self.counter(class).rate
    }

    /// The state of the limits, for metrics.
    pub fn status(&self) -> LimitStatus {
        let redis = self.0.redis.as_ref();
        LimitStatus {
            configured: redis.is_some(),
            shared: redis.is_some_and(Redis::is_connected),
            lost_total: redis.map_or(0, Redis::lost_total),
            denied: Class::ALL.map(|class| self.counter(class).denied.load(Ordering::Relaxed)),
        }
    }

    /// The number of keys that are held in memory, all classes together.
    pub fn keys_in_memory(&self) -> usize {
        self.0.counters.iter().map(|counter| counter.debts.len()).sum()
    }

    fn counter(&self, class: Class) -> &Counter {
        &self.0.counters[class as usize]
    }
}
