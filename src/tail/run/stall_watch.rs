//! Watches over a fence that stays closed: names who holds it, and ends who has done so for too long where that is wanted.

use std::time::{Duration, Instant, SystemTime};

use tokio_postgres::Client;

use super::super::blocker::{self, Blocker};
use super::super::fence::Fences;
use super::super::pages::Render;
use super::super::statements::Server;
use super::super::status::{Reason, Stalled};
use super::lost::Lost;
use super::state::Tail;

/// A fence that stays closed this long has its holders named, and named anew this often.
const NAME_EVERY: Duration = Duration::from_secs(1);

/// How long nothing more was decided, and when the holders were named.
pub(super) struct StallWatch {
    /// The moment since which nothing more was decided although something is to be.
    closed_since: Option<(Instant, SystemTime)>,
    /// True if more was decided since the last look.
    moved: bool,
    named: Instant,
}

impl StallWatch {
    pub(super) fn new(now: Instant) -> Self {
        Self { closed_since: None, moved: false, named: now }
    }

    /// More was decided. Under load some fence is always closed, each for a moment, and nobody holds anything back.
    pub(super) fn moved(&mut self) {
        self.moved = true;
    }

    /// Names whoever has kept a fence closed for a while, and ends whoever has done so for too long where that is wanted. Whoever is left
    /// of the oldest fence's holders has been one since it was first found closed.
    pub(super) async fn follow<R: Render>(
        &mut self,
        client: &Client,
        fences: &Fences,
        server: &Server,
        tail: &Tail<R>,
    ) -> Result<(), Lost> {
        if (std::mem::take(&mut self.moved) || fences.blockers().is_none())
            && let Some((closed, _)) = self.closed_since.take()
        {
            tail.times.fence_wait.observe(closed.elapsed());
            unstall(tail);
        }
        let Some(holders) = fences.blockers() else { return Ok(()) };
        let (closed, since) = *self.closed_since.get_or_insert_with(|| (Instant::now(), SystemTime::now()));
        if closed.elapsed() < NAME_EVERY || self.named.elapsed() < NAME_EVERY {
            return Ok(());
        }
        self.named = Instant::now();
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
                Reason::Transaction(known) => transactions(known),
                Reason::Database => Vec::new(),
            });
            let news = known != Some(transactions(&blockers));
            status.stalled = Some(Stalled { since, reason: Reason::Transaction(blockers.clone()) });
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

fn unstall<R: Render>(tail: &Tail<R>) {
    if tail.status.send_if_modified(|status| status.stalled.take().is_some()) {
        tracing::info!("the stream goes on");
    }
}

fn transactions(blockers: &[Blocker]) -> Vec<&str> {
    blockers.iter().map(|blocker| blocker.transaction.as_str()).collect()
}
