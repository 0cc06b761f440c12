//! The state of the server and of the tail, from which readiness is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use tokio::sync::watch;

use crate::http::response::problem::Problem;
use crate::http::response::refusals;
use crate::tail::pages::{Pages, ReplicaCounts};
use crate::tail::relay::RelayCounts;
use crate::tail::{TailCounts, TailStatus, TailTimes};
use crate::view::Views;

/// The state of the server: starting, serving or draining. A cheap handle; the owner of the server sets it.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicU8>);

const STARTING: u8 = 0;
const SERVING: u8 = 1;
const DRAINING: u8 = 2;

impl Readiness {
    /// Sets the state to serving, when the start is complete. Has no effect on a server that drains already.
    pub fn serving(&self) {
        let _was_draining = self.0.compare_exchange(STARTING, SERVING, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Sets the state to draining.
    pub fn draining(&self) {
        self.0.store(DRAINING, Ordering::Release);
    }

    /// Refuses while the server starts or drains.
    pub(in crate::http) fn check(&self) -> Result<(), Problem> {
        match self.0.load(Ordering::Acquire) {
            SERVING => Ok(()),
            STARTING => Err(Problem::of(refusals::STARTING)),
            _ => Err(Problem::of(refusals::DRAINING)),
        }
    }
}

/// The part of the tail that handlers may see.
#[derive(Debug, Clone)]
pub struct TailView {
    /// The status of the tail.
    pub status: watch::Receiver<TailStatus>,
    /// The counters of the tail.
    pub counts: watch::Receiver<TailCounts>,
    /// How long its events and fences took.
    pub times: Arc<TailTimes>,
    /// The last moment that is proven: a statement that began then was answered by the journal that the tail follows.
    pub proven_at: watch::Receiver<Option<Instant>>,
    /// The pages that the tail fills.
    pub pages: Pages<Views>,
    /// The counters of the relay, if this node has one.
    pub relay: Option<watch::Receiver<RelayCounts>>,
    /// What the standby has done, if there is one.
    pub replica: Option<Arc<ReplicaCounts>>,
}
