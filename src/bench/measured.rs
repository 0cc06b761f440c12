//! The plan of a measurement of the journal, and its results.

use std::time::Duration;

use super::figures::Delays;
use super::testbed::Scheme;

/// The size of a measurement.
#[derive(Debug, Clone)]
pub struct Plan {
    pub writers: Vec<usize>,
    /// The threads that the writers share.
    pub threads: usize,
    pub rounds: usize,
    pub warm_up: Duration,
    pub measure: Duration,
    /// In each round of the latency.
    pub inserts: usize,
    /// Between two inserts into the same database.
    pub gap: Duration,
}

/// One round of one scheme.
#[derive(Debug, Clone)]
pub(super) struct Round {
    pub(super) scheme: Scheme,
    /// Commits acknowledged per second.
    pub(super) rate: f64,
    pub(super) busy: Option<Busy>,
}

/// The work of the tail meanwhile.
#[derive(Debug, Clone)]
pub(super) struct Busy {
    pub(super) seconds: f64,
    pub(super) polls: u64,
    pub(super) hushes: u64,
    pub(super) rings: u64,
    pub(super) delays: Delays,
    /// Events handed out in the whole round. They are as many as there are rows, or the round fails.
    pub(super) events: u64,
}

/// The rounds of so many writers.
#[derive(Debug, Clone)]
pub(super) struct Throughput {
    pub(super) writers: usize,
    /// In each, one of every scheme.
    pub(super) rounds: Vec<Vec<Round>>,
}

/// One round of the latency: the tail's, then the bare client's.
pub(super) type Latency = [Delays; 2];

/// Counts of this size are exact in a float.
#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn count(number: u64) -> f64 {
    number as f64
}
