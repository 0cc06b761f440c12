//! Marks the connections that must be closed instead of used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The moment up to which no connection is trusted: one that was last used before it is closed and not used again.
#[derive(Debug, Clone)]
pub(super) struct Distrust {
    start: Instant,
    micros: Arc<AtomicU64>,
}

impl Distrust {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), micros: Arc::default() }
    }

    /// Distrusts every connection that was last used before now.
    pub(super) fn distrust_all(&self) {
        let micros = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_max(micros, Ordering::Relaxed);
    }

    /// Whether a connection that was last used at this moment is distrusted.
    pub(super) fn covers(&self, used: Instant) -> bool {
        let upto = self.start + Duration::from_micros(self.micros.load(Ordering::Relaxed));
        self.micros.load(Ordering::Relaxed) > 0 && used <= upto
    }
}
