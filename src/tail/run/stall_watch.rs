//! Watches a fence that stays closed: names the transactions that hold it, and ends their sessions after a limit, if one is set.

use std::time::{Duration, Instant, SystemTime};

use tokio_postgres::Client;

use super::super::blocker::{self, Blocker};
use super::super::fence::Fences;
use super::super::pages::Render;
use super::super::statements::Server;
use super::super::status::{StallReason, Stalled};
use super::lost::LostConnection;
use super::state::Tail;

/// After this time the holders of a closed fence are named, and from then on again as often.
const NAME_EVERY: Duration = Duration::from_secs(1);

/// Since when a fence is closed, and when its holders were last named.
pub(super) struct StallWatch {
    /// The moment since which the oldest fence is closed and the head has not moved.
    closed_since: Option<(Instant, SystemTime)>,
    /// Whether the head has moved since the last [`Self::update`].
    progressed: bool,
    last_named: Instant,
}

impl StallWatch {
    pub(super) fn new(now: Instant) -> Self {
        Self { closed_since: None, progressed: false, last_named: now }
    }

    /// Notes that the head has moved. Under load some fence is always closed for a moment, which is no stall.
    pub(super) fn progressed(&mut self) {
        self.progressed = true;
    }

    /// Names the transactions that hold the oldest fence, and ends those beyond the limit. Each of them has held that fence
    /// since it was first found closed.
    pub(super) async fn update<R: Render>(
        &mut self,
        client: &Client,
        fences: &Fences,
        server: &Server,
        tail: &Tail<R>,
    ) -> Result<(), LostConnection> {
        if (std::mem::take(&mut self.progressed) || fences.blockers().is_none())
            && let Some((closed, _)) = self.closed_since.take()
        {
            tail.times.fence_wait.observe(closed.elapsed());
            clear_stall(tail);
        }
        let Some(holders) = fences.blockers() else { return Ok(()) };
        let (closed, since) = *self.closed_since.get_or_insert_with(|| (Instant::now(), SystemTime::now()));
        if closed.elapsed() < NAME_EVERY || self.last_named.elapsed() < NAME_EVERY {
            return Ok(());
        }
        self.last_named = Instant::now();
        let blockers = blocker::name(client, holders, server.identity.started()).await?;
        for blocker in &blockers {
            if let (Some(limit), Some(pid)) = (tail.blocker_limit, blocker.pid)
                && (closed.elapsed() >= limit || blocker.idle_for.is_some_and(|idle| idle >= limit))
            {
                let ended = blocker::terminate(client, pid, server.identity.started()).await?;
                let (held_for, idle_for) = (closed.elapsed(), blocker.idle_for);
                tracing::warn!(%blocker, ?held_for, ?idle_for, ended, "a transaction held the stream back too long");
                tail.count(|c| c.terminated += u64::from(ended));
            }
        }
        let news = tail.status.send_if_modified(|status| {
            let known = status.stalled.as_ref().map(|stalled| match &stalled.reason {
                StallReason::Transaction(known) => transaction_names(known),
                StallReason::Database => Vec::new(),
            });
            let news = known != Some(transaction_names(&blockers));
            status.stalled = Some(Stalled { since, reason: StallReason::Transaction(blockers.clone()) });
            news
        });
        if news {
            for blocker in &blockers {
                tracing::warn!(%blocker, "an open transaction that has inserted holds the stream back");
            }
        }
        Ok(())
    }
}

fn clear_stall<R: Render>(tail: &Tail<R>) {
    if tail.status.send_if_modified(|status| status.stalled.take().is_some()) {
        tracing::info!("the stream goes on");
    }
}

fn transaction_names(blockers: &[Blocker]) -> Vec<&str> {
    blockers.iter().map(|blocker| blocker.transaction.as_str()).collect()
}
