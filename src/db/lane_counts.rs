//! The counters of a lane, and the guards that raise and lower two of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How often and how much a lane is used.
#[derive(Debug, Default)]
pub(super) struct LaneCounts {
    pub(super) in_use: AtomicUsize,
    pub(super) waiting: AtomicUsize,
    pub(super) runs: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) cancelled: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) discarded: AtomicU64,
}

/// One connection in use, as the metrics count it.
pub(super) struct InUse(Arc<LaneCounts>);

impl InUse {
    pub(super) fn new(counts: &Arc<LaneCounts>) -> Self {
        counts.in_use.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counts))
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One request that waits, as the metrics count it.
pub(super) struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    pub(super) fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
