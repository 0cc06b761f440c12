//! A connection while a statement runs on it. One whose statement did not come to its end is never given back: the statement is
//! cancelled, and the connection closed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool_postgres::Object;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::Client;

use super::Connector;
use super::distrust::Distrust;
use super::lane_counts::{InUse, LaneCounts};
use super::share::Turn;

/// How long a request to cancel may take to reach the server.
const CANCEL_LIMIT: Duration = Duration::from_secs(1);
/// How long the cancelled statement may take to end.
const END_LIMIT: Duration = Duration::from_secs(1);

/// A connection of the pool, in use.
pub(super) struct Lease {
    held: Option<Held>,
    /// Whether the statement has run past its limit.
    expired: bool,
}

/// What is given back when the statement has ended, however that was. Until then it counts as in use, so that there are never
/// more connections, nor requests to cancel, than the pool has places.
struct Held {
    object: Object,
    connector: Connector,
    distrust: Distrust,
    counts: Arc<LaneCounts>,
    _in_use: InUse,
    _turn: Option<Turn>,
}

impl Lease {
    pub(super) fn new(
        object: Object,
        connector: Connector,
        distrust: Distrust,
        counts: &Arc<LaneCounts>,
        turn: Option<Turn>,
    ) -> Self {
        let (in_use, counts) = (InUse::new(counts), Arc::clone(counts));
        let held = Held { object, connector, distrust, counts, _in_use: in_use, _turn: turn };
        Self { held: Some(held), expired: false }
    }

    /// The connection, until it is given back.
    pub(super) fn client(&mut self) -> Option<&mut Client> {
        self.held.as_mut().map(|held| &mut **held.object)
    }

    /// The statement has ended: the connection goes back to the pool.
    pub(super) fn finish(mut self) {
        drop(self.held.take());
    }

    /// Whether the connection was made for this lease.
    pub(super) fn is_new(&self) -> bool {
        self.held.as_ref().is_some_and(|held| Object::metrics(&held.object).recycle_count == 0)
    }

    /// The statement has ended, and the connection leads to where nobody wants to go: it is closed.
    pub(super) fn reject(mut self) {
        if let Some(held) = self.held.take() {
            held.counts.discarded.fetch_add(1, Ordering::Relaxed);
            drop(Object::take(held.object));
        }
    }

    /// The statement has run past its limit.
    pub(super) fn expire(mut self) {
        self.expired = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(held) = self.held.take() else { return };
        let ended = if self.expired { &held.counts.expired } else { &held.counts.cancelled };
        ended.fetch_add(1, Ordering::Relaxed);
        held.counts.discarded.fetch_add(1, Ordering::Relaxed);
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(held.discard())),
            Err(_) => drop(Object::take(held.object)),
        }
    }
}

impl Held {
    /// Cancels what runs, and closes the connection once it has ended. It stays open until then, since a pooler forgets how to
    /// cancel what a client that has gone had sent.
    async fn discard(self) {
        if !self.object.is_closed() {
            let cancelled = timeout(CANCEL_LIMIT, self.connector.cancel(&self.object.cancel_token())).await;
            match cancelled {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a statement could not be cancelled"),
                Err(_) => tracing::debug!("a statement could not be cancelled in time"),
            }
            // Answered after what was cancelled. If even this is not, nobody answers there.
            if timeout(END_LIMIT, self.object.simple_query("")).await.is_err() {
                self.distrust.now();
            }
        }
        drop(Object::take(self.object));
    }
}
