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
    held: Option<LeasedConnection>,
    /// Whether the statement has run past its limit.
    expired: bool,
}

/// The connection of a lease, given back when its statement has ended or was cancelled. Until then it counts as in use, so that
/// there are never more connections, nor requests to cancel, than the pool has places.
struct LeasedConnection {
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
        let held = LeasedConnection { object, connector, distrust, counts, _in_use: in_use, _turn: turn };
        Self { held: Some(held), expired: false }
    }

    /// The connection, until it is given back.
    pub(super) fn client(&mut self) -> Option<&mut Client> {
        self.held.as_mut().map(|held| &mut **held.object)
    }

    /// Gives the connection back to the pool, after its statement has ended.
    pub(super) fn finish(mut self) {
        drop(self.held.take());
    }

    /// Whether the connection was made for this lease.
    pub(super) fn is_new(&self) -> bool {
        self.held.as_ref().is_some_and(|held| Object::metrics(&held.object).recycle_count == 0)
    }

    /// Closes the connection after its statement has ended, because it leads to another server.
    pub(super) fn reject(mut self) {
        if let Some(held) = self.held.take() {
            held.counts.discarded.fetch_add(1, Ordering::Relaxed);
            drop(Object::take(held.object));
        }
    }

    /// Cancels the statement because it has run past its limit, and closes the connection.
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

impl LeasedConnection {
    /// Cancels the statement, and closes the connection once the statement has ended. A pooler can no longer cancel a statement
    /// whose client has disconnected.
    async fn discard(self) {
        if !self.object.is_closed() {
            let cancelled = timeout(CANCEL_LIMIT, self.connector.cancel(&self.object.cancel_token())).await;
            match cancelled {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a statement could not be cancelled"),
                Err(_) => tracing::debug!("a statement could not be cancelled in time"),
            }
            // The server answers this after the cancelled statement. Without an answer the server is taken for dead.
            if timeout(END_LIMIT, self.object.simple_query("")).await.is_err() {
                self.distrust.distrust_all();
            }
        }
        drop(Object::take(self.object));
    }
}
