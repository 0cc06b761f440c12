//! The last answer to the question whether the database is there, and whether it takes writes.

use std::time::{Duration, Instant};

use super::DatabaseError;

/// How long one answer serves everybody who asks, so that a flood of probes is not a flood of queries.
const ANSWER_LIFETIME: Duration = Duration::from_millis(100);

/// The answer of a database to a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PingReply {
    /// How long the answer took.
    pub took: Duration,
    /// Whether it takes no writes: a standby, or one with `default_transaction_read_only`.
    pub read_only: bool,
}

/// The last answer to a ping, and when it came.
#[derive(Debug, Default)]
pub(super) struct LastPing {
    at: Option<Instant>,
    result: Option<Result<PingReply, DatabaseError>>,
}

impl LastPing {
    /// The last answer, while it is young enough to serve everybody who asks.
    pub(super) fn fresh(&self) -> Option<Result<PingReply, DatabaseError>> {
        let fresh = self.at.is_some_and(|at| at.elapsed() < ANSWER_LIFETIME);
        self.result.clone().filter(|_| fresh)
    }

    /// Keeps a new answer and logs where it differs from the one before. True if the database begins or ceases to take writes.
    pub(super) fn replace(&mut self, new: &Result<PingReply, DatabaseError>) -> bool {
        let read_only = new.as_ref().ok().map(|reply| reply.read_only);
        let changed = self.result.is_some() && self.read_only() != read_only;
        self.log_change(new);
        self.at = Some(Instant::now());
        self.result = Some(new.clone());
        changed
    }

    fn read_only(&self) -> Option<bool> {
        self.result.as_ref()?.as_ref().ok().map(|reply| reply.read_only)
    }

    /// Logs an answer only if it differs from the one before.
    fn log_change(&self, new: &Result<PingReply, DatabaseError>) {
        let state = |result: &Result<PingReply, DatabaseError>| match result {
            Ok(reply) if reply.read_only => Some("read_only"),
            Ok(_) => None,
            Err(error) => Some(error.kind()),
        };
        let (before, now) = (self.result.as_ref().and_then(state), state(new));
        match new {
            _ if before == now => {}
            Err(error) => tracing::error!(reason = error.kind(), "database check failed: {error}"),
            Ok(reply) if reply.read_only => {
                tracing::error!(
                    "the database takes no writes: it is a standby, or default_transaction_read_only is on"
                );
            }
            Ok(_) => tracing::info!("database check succeeds again"),
        }
    }
}
