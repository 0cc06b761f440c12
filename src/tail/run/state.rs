//! The state of the tail that all of its connections share, one after the other.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use super::super::pages::{HeadMoveError, PageWriter, Render};
use super::super::relay::{ListsOfEdge, Source};
use super::super::status::{TailCounts, TailStatus, TailTimes};
use super::memory::{Memory, ids_of};
use crate::db::{Connector, Database};
use crate::journal::StoredEvent;

/// The tail of one node.
#[derive(Debug)]
pub struct Tail<R: Render> {
    pub(super) connector: Connector,
    /// The pool over which probes are sent. A probe sent over the listening connection would prove nothing about a pooler.
    pub(super) database: Database,
    pub(super) pages: PageWriter<R>,
    /// How long a transaction may hold the stream back before its session is ended, idle or not; for ever, by default.
    pub(super) blocker_limit: Option<Duration>,
    pub(super) status: watch::Sender<TailStatus>,
    pub(super) counts: watch::Sender<TailCounts>,
    pub(super) times: Arc<TailTimes>,
    /// The last moment that is proven: a statement that began then was answered by the journal that the tail follows.
    pub(super) proven_at: watch::Sender<Option<Instant>>,
    pub(super) memory: Memory,
    /// The copy in Redis, if this node is an edge.
    pub(super) edge: Option<Edge>,
}

/// What makes a node an edge: the copy that it reads, and where its lists go.
#[derive(Debug)]
pub(super) struct Edge {
    pub(super) source: Source,
    pub(super) lists: ListsOfEdge,
}

impl<R: Render> Tail<R> {
    /// A tail that hands out into these pages.
    pub fn new(
        connector: Connector,
        database: Database,
        pages: PageWriter<R>,
        blocker_limit: Option<Duration>,
    ) -> Self {
        let (status, counts, proven_at) =
            (watch::Sender::default(), watch::Sender::default(), watch::Sender::default());
        let (times, memory) = (Arc::default(), Memory::default());
        Self { connector, database, pages, blocker_limit, status, counts, times, proven_at, memory, edge: None }
    }

    /// This tail as that of an edge: while a relay is at work, it reads the copy in Redis, and gives its lists to the followers.
    #[must_use]
    pub fn with_copy(self, source: Source, lists: ListsOfEdge) -> Self {
        Self { edge: Some(Edge { source, lists }), ..self }
    }

    /// The status of the tail, now and later.
    pub fn status(&self) -> watch::Receiver<TailStatus> {
        self.status.subscribe()
    }

    /// The counters of the tail, now and later.
    pub fn counts(&self) -> watch::Receiver<TailCounts> {
        self.counts.subscribe()
    }

    /// How long the events and fences of the tail took.
    pub fn times(&self) -> Arc<TailTimes> {
        Arc::clone(&self.times)
    }

    /// The last moment that is proven: a statement that began then was answered by the journal that the tail follows.
    pub fn proven_at(&self) -> watch::Receiver<Option<Instant>> {
        self.proven_at.subscribe()
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut TailCounts)) {
        self.counts.send_modify(change);
    }

    /// Empties the pages, and the memory of what was handed out.
    pub(super) fn reset(&mut self) {
        self.pages.reset();
        self.memory = Memory::default();
    }

    /// Hands out the next events, which are all up to the new head.
    pub(super) fn advance(&mut self, rows: Vec<StoredEvent>, head: i64) -> Result<(), HeadMoveError> {
        let ids = ids_of(&rows);
        let times: Vec<SystemTime> = rows.iter().map(|row| row.at.into()).collect();
        self.pages.advance(rows, head)?;
        let now = SystemTime::now();
        for at in times {
            // An event that lies in the future by this node's clock counts as 0.
            self.times.delivery.observe(now.duration_since(at).unwrap_or_default());
        }
        self.memory.handed_out(&ids);
        self.memory.decided = Some(head);
        Ok(())
    }
}
