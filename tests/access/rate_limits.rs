//! Rate limits: in memory, shared through Redis, and while Redis comes and goes.

mod memory_limits;
mod redis_outages;
mod shared_limits;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use rowcast::config::{LimitConfig, ServerConfig};
use rowcast::limit::{Class, Limits};
use rowcast::shutdown::{Shutdown, Tasks};

use crate::support::redis::TestRedis;
use crate::support::{PATIENCE, settings, until};

const MILLI: Duration = Duration::from_millis(1);

fn config(rates: &str, redis: Option<&str>) -> LimitConfig {
    let more = [("ROWCAST_RATE_LIMITS", rates), ("ROWCAST_REDIS_URL", redis.unwrap_or_default())];
    ServerConfig::read(&settings("postgres://nowhere", &more)).unwrap().limits
}

fn in_memory(rates: &str) -> Limits {
    Limits::new(&config(rates, None)).unwrap()
}

/// What is logged while this lives, on this thread.
#[derive(Clone, Default)]
struct CapturedLog(Arc<Mutex<Vec<u8>>>);

impl Write for CapturedLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl CapturedLog {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn lines_with(&self, word: &str) -> usize {
        self.text().lines().filter(|line| line.contains(word)).count()
    }
}

/// One node's limits with the task that keeps Redis.
struct LimitNode {
    limits: Limits,
    shutdown: Shutdown,
    tasks: Tasks,
}

impl LimitNode {
    fn start(rates: &str, url: &str, timeout: Duration) -> Self {
        let limits = Limits::with_redis_timeout(&config(rates, Some(url)), timeout).unwrap();
        let (shutdown, mut tasks) = (Shutdown::new(), Tasks::default());
        let (running, stop) = (limits.clone(), shutdown.clone());
        tasks.spawn("limits", async move { running.run(stop).await });
        Self { limits, shutdown, tasks }
    }

    /// One that has reached Redis, and is patient: other tests may be using the machine.
    async fn shared(rates: &str, redis: &TestRedis) -> Self {
        let node = Self::start(rates, &redis.url(), PATIENCE);
        node.wait_for(true).await;
        node
    }

    async fn wait_for(&self, shared: bool) {
        until("Redis is used, or not", || async { self.limits.status().shared == shared }).await;
    }

    async fn stop(mut self) {
        self.shutdown.cancel();
        assert!(self.tasks.drain(PATIENCE).await.is_empty());
    }
}

/// Asks so often at once, and counts who passes.
async fn burst(limits: &Limits, many: usize) -> usize {
    let asked = (0..many).map(|_| {
        let limits = limits.clone();
        tokio::spawn(async move { limits.check(Class::Private, "somebody", 1).await.allowed })
    });
    join_all(asked).await.into_iter().filter(|passed| *passed.as_ref().unwrap()).count()
}
