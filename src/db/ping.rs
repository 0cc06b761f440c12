//! The question whether the database is there, and whether it takes writes.

use std::time::{Duration, Instant};

use super::pool::says_on;
use super::{Database, Lane, Trouble, lane};

/// How long one answer serves everybody who asks, so that a flood of probes is not a flood of queries.
const MEMORY: Duration = Duration::from_millis(100);

/// A database that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pong {
    /// How long that took.
    pub took: Duration,
    /// Whether it takes no writes: a standby, or one with `default_transaction_read_only`.
    pub read_only: bool,
}

/// The answer that was given last.
#[derive(Debug, Default)]
pub(super) struct LastPing {
    at: Option<Instant>,
    result: Option<Result<Pong, Trouble>>,
}

impl Database {
    /// Asks the database whether it is there and takes writes, on a connection that is for this alone. Those who ask at the
    /// same time share one answer.
    pub async fn ping(&self) -> Result<Pong, Trouble> {
        let mut last = self.last_ping().lock().await;
        if let (Some(at), Some(result)) = (last.at, &last.result)
            && at.elapsed() < MEMORY
        {
            return result.clone();
        }
        let begun = Instant::now();
        // On a standby this is on, too.
        let asking = self.run(Lane::Probe, async |client| client.simple_query("show transaction_read_only").await);
        let asked = tokio::time::timeout(lane::PROBE_LIMIT, async { Ok::<_, Trouble>(says_on(&asking.await??)) });
        let result = asked.await.unwrap_or(Err(Trouble::Slow(lane::PROBE_LIMIT)));
        let result = result.map(|read_only| Pong { took: begun.elapsed(), read_only });
        if last.read_only() != result.as_ref().ok().map(|pong| pong.read_only) && last.result.is_some() {
            // A session keeps the setting that it began with.
            self.distrust();
        }
        last.tell_changes(&result);
        last.at = Some(Instant::now());
        last.result = Some(result.clone());
        result
    }
}

impl LastPing {
    fn read_only(&self) -> Option<bool> {
        self.result.as_ref()?.as_ref().ok().map(|pong| pong.read_only)
    }

    /// Logs when the answer becomes another one, not each time that it is given.
    fn tell_changes(&self, new: &Result<Pong, Trouble>) {
        let state = |result: &Result<Pong, Trouble>| match result {
            Ok(pong) if pong.read_only => Some("read_only"),
            Ok(_) => None,
            Err(trouble) => Some(trouble.kind()),
        };
        let (before, now) = (self.result.as_ref().and_then(state), state(new));
        match new {
            _ if before == now => {}
            Err(trouble) => tracing::error!(reason = trouble.kind(), "database check failed: {trouble}"),
            Ok(pong) if pong.read_only => {
                tracing::error!(
                    "the database takes no writes: it is a standby, or default_transaction_read_only is on"
                );
            }
            Ok(_) => tracing::info!("database check succeeds again"),
        }
    }
}
