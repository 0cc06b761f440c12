//! The status and the counters of the tail, for readiness, heartbeats and metrics.

use std::time::SystemTime;

use super::blocker::Blocker;
use crate::telemetry::Histogram;

/// How the tail is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TailStatus {
    /// Whether it has a connection on which it has looked at least once.
    pub connected: bool,
    /// Whether bells reach it.
    pub hearing: Hearing,
    /// Whether it has hushed the bell.
    pub hushed: bool,
    /// The stall, if the stream is held back for longer than a moment.
    pub stalled: Option<Stalled>,
    /// Where live events come from.
    pub live_from: LiveFrom,
}

/// Where the live events of a node come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LiveFrom {
    /// The tail follows the journal itself.
    #[default]
    Postgres,
    /// The tail reads the copy that a relay writes.
    Redis,
}

/// Whether bells reach a tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hearing {
    /// Not known yet: the first probe is on its way.
    #[default]
    Unproven,
    /// A probe has come back.
    Proven,
    /// No probe has come back, likely because of a pooler. The tail polls.
    Deaf,
}

/// A stall: for a while the head has not moved, though there may be new events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stalled {
    /// When the stall began.
    pub since: SystemTime,
    /// The reason for which the stream is held back.
    pub reason: StallReason,
}

/// The reason for which the stream is held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StallReason {
    /// Open transactions that have inserted, the oldest first; empty until they are named.
    Transaction(Vec<Blocker>),
    /// The database cannot be reached.
    Database,
}

/// Counts since the start, for metrics and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TailCounts {
    /// Times that the sequence was looked at.
    pub polls: u64,
    /// Times that the bell was hushed.
    pub hushes: u64,
    /// Bells rung for other nodes.
    pub rings: u64,
    /// Connections made.
    pub connections: u64,
    /// Times that the history was found to be another one.
    pub resets: u64,
    /// Blockers that were ended.
    pub terminated: u64,
    /// Holes in the copy in Redis, whose events were read from Postgres.
    pub gaps: u64,
    /// Times that an edge went from Redis to Postgres.
    pub fallbacks: u64,
}

/// Durations since the start, for metrics.
#[derive(Debug, Default)]
pub struct TailTimes {
    /// From the time of an event, which the database's clock gave it, to the moment by this node's clock at which the tail
    /// has handed it out. Events that the tail finds at its start do not count.
    pub delivery: Histogram,
    /// For how long a closed fence held the stream back until it moved on.
    pub fence_wait: Histogram,
}
