//! Shares: one requester may use a part of a group's connections at a time, so that others always get on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::lane::Limits;

/// Whose share of the connections a statement counts against.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Requester(Option<Arc<str>>);

impl Requester {
    /// The server itself, which has no share to keep to.
    pub const SERVER: Self = Self(None);

    /// The subject of a token.
    pub fn subject(subject: &str) -> Self {
        Self(Some(format!("subject {subject}").into()))
    }

    /// A client without a token, by the name under which its address is counted.
    pub fn address(address: &str) -> Self {
        Self(Some(format!("address {address}").into()))
    }
}

/// The shares of one group of connections.
#[derive(Debug)]
pub(super) struct Shares {
    size: usize,
    uses: Mutex<HashMap<Arc<str>, RequesterUse>>,
}

#[derive(Debug)]
struct RequesterUse {
    share: Arc<Semaphore>,
    statements: usize,
}

/// The error of a requester that has used up its share, and has to come back later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShareUsedUp;

impl Shares {
    /// Shares of a group with so many connections: all but one, and at least one.
    pub(super) fn new(connections: usize) -> Arc<Self> {
        Arc::new(Self { size: connections.saturating_sub(1).max(1), uses: Mutex::default() })
    }

    fn uses(&self) -> MutexGuard<'_, HashMap<Arc<str>, RequesterUse>> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the requester may use another connection, unless so many of its statements wait or run already.
    pub(super) async fn enter(
        self: &Arc<Self>,
        requester: &Requester,
        limits: Limits,
    ) -> Result<Option<Turn>, ShareUsedUp> {
        let Some(name) = &requester.0 else { return Ok(None) };
        let share = {
            let mut uses = self.uses();
            let fresh = || RequesterUse { share: Arc::new(Semaphore::new(self.size)), statements: 0 };
            let usage = uses.entry(Arc::clone(name)).or_insert_with(fresh);
            if usage.statements >= limits.per_requester {
                return Err(ShareUsedUp);
            }
            usage.statements += 1;
            Arc::clone(&usage.share)
        };
        // The statement is counted from here on, until this `Turn` is dropped.
        let mut turn = Turn { shares: Arc::clone(self), name: Arc::clone(name), permit: None };
        match tokio::time::timeout(limits.queue, share.acquire_owned()).await {
            Ok(Ok(permit)) => turn.permit = Some(permit),
            _ => return Err(ShareUsedUp),
        }
        Ok(Some(turn))
    }
}

/// A requester's use of one connection. Ends when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    shares: Arc<Shares>,
    name: Arc<str>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut uses = self.shares.uses();
        if let Some(usage) = uses.get_mut(&self.name) {
            usage.statements -= 1;
            if usage.statements == 0 {
                uses.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use std::time::Duration;

    use super::*;

    const LONG: Limits = Limits { run: Duration::MAX, queue: Duration::from_secs(60), per_requester: 9 };

    #[tokio::test(start_paused = true)]
    async fn a_requester_leaves_a_connection_to_the_others_and_waits_in_a_bounded_queue() {
        let shares = Shares::new(3);
        let (one, other) = (Requester::subject("a"), Requester::subject("b"));
        let held = [shares.enter(&one, LONG).await.unwrap(), shares.enter(&one, LONG).await.unwrap()];
        assert_eq!(shares.enter(&one, Limits { queue: Duration::from_secs(1), ..LONG }).await.err(), Some(ShareUsedUp));
        assert!(shares.enter(&other, LONG).await.unwrap().is_some());
        assert!(shares.enter(&Requester::SERVER, LONG).await.unwrap().is_none());

        let mut waiting: Vec<_> =
            (held.len()..LONG.per_requester).map(|_| Box::pin(shares.enter(&one, LONG))).collect();
        for turn in &mut waiting {
            assert!(futures_util::poll!(turn.as_mut()).is_pending());
        }
        assert_eq!(shares.enter(&one, LONG).await.err(), Some(ShareUsedUp), "at once");
        drop(held);
        assert!(waiting.remove(0).await.unwrap().is_some());
        drop(waiting);
        assert!(shares.uses().is_empty());
    }

    #[test]
    fn a_subject_and_an_address_of_one_name_are_two() {
        assert_ne!(Requester::subject("10.0.0.1"), Requester::address("10.0.0.1"));
        assert_eq!(Requester::address("10.0.0.1"), Requester::address("10.0.0.1"));
    }
}
