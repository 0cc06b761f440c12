//! Durations, counted by size, for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in milliseconds. One more bucket counts what is longer than the last.
const BOUNDS: [u64; 14] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 60_000];
const BUCKETS: usize = BOUNDS.len() + 1;

/// Counts durations in buckets, from any thread.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_micros: AtomicU64,
}

/// The content of a [`Histogram`] at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramSnapshot {
    /// For each bucket its upper bound in seconds, and the number of durations up to it. The last bound is infinite, so its count
    /// is that of all durations.
    pub buckets: [(f64, u64); BUCKETS],
    /// The sum of all durations, in seconds.
    pub sum: f64,
}

impl HistogramSnapshot {
    /// The number of durations that were counted.
    pub fn count(&self) -> u64 {
        self.buckets[BUCKETS - 1].1
    }
}

impl Histogram {
    /// Counts a duration.
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| bound * 1_000 < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// The counts at this moment.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let mut bounds = BOUNDS.iter().map(|bound| Duration::from_millis(*bound).as_secs_f64());
        let mut total = 0;
        let buckets = self.buckets.each_ref().map(|count| {
            total += count.load(Ordering::Relaxed);
            (bounds.next().unwrap_or(f64::INFINITY), total)
        });
        let sum = Duration::from_micros(self.sum_micros.load(Ordering::Relaxed)).as_secs_f64();
        HistogramSnapshot { buckets, sum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_every_bucket_that_is_not_below_it() {
        let histogram = Histogram::default();
        for micros in [0, 1_000, 1_001, 60_000_000, 60_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.buckets[..3], [(0.001, 2), (0.002, 3), (0.005, 3)]);
        assert_eq!(snapshot.buckets[BUCKETS - 2..], [(60.0, 4), (f64::INFINITY, 5)]);
        assert_eq!((snapshot.count(), snapshot.sum), (5, 120.002_002));
    }
}
