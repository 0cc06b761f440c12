//! Loads older pages from a standby, as far as it proves that it may answer, and else from the primary.
//!
//! A standby lags, can be paused, promoted, or left behind in a history that is gone. In the transaction that reads a page it
//! proves all of this: it is in recovery, and a copy of the journal's server and table; its own copy of the written head has reached the end
//! of the page, so every event of the page was visible to it before; and it holds an *anchor*, an event that this node has handed out, at or
//! after the end of the page. Histories that agree in an event agree in everything before it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use postgres_types::Type;
use tokio::time::Instant;
use tokio_postgres::Client;
use uuid::Uuid;

use super::load::{Load, Loaded, PostgresLoad};
use super::render::Render;
use super::store::Pages;
use super::{PAGE_SPAN, Position};
use crate::db::{Database, DatabaseError, Lane};
use crate::journal::{Budget, CurrentJournal, read_identified, read_range, trimmed_through};
use crate::shutdown::Shutdown;

/// How long a standby may take for a page. A frozen one is noticed by this.
const LIMIT: Duration = Duration::from_secs(2);
/// How long a standby that has failed is not asked: doubled each time, from the first to the last.
const REST_MIN: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(30);
/// How often the newest event becomes an anchor.
const ANCHOR_EVERY: Duration = Duration::from_millis(500);
/// How many anchors are kept: half of them of the last seconds, the others further and further apart.
const ANCHORS: usize = 64;

/// What a standby has done, for metrics.
#[derive(Debug, Default)]
pub struct ReplicaCounts {
    /// Pages that it has given.
    pub pages: AtomicU64,
    /// Pages for which it did not prove enough, or failed.
    pub refused: AtomicU64,
}

/// Events that this node has handed out, by which a standby proves its history.
#[derive(Debug, Clone, Default)]
pub struct Anchors(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    epoch: u64,
    events: VecDeque<(i64, Uuid)>,
}

impl Anchors {
    /// Makes the newest event an anchor every now and then, until the shutdown.
    pub async fn keep<R: Render>(self, pages: Pages<R>, shutdown: Shutdown) {
        loop {
            self.note(&pages.position());
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(ANCHOR_EVERY) => {}
            }
        }
    }

    fn note(&self, position: &Position) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.epoch != position.epoch {
            *kept = Kept { epoch: position.epoch, events: VecDeque::new() };
        }
        let Some(newest) = &position.newest else { return };
        if kept.events.back().is_none_or(|(seq, _)| *seq < newest.seq) {
            kept.events.push_back((newest.seq, newest.id));
        }
        if kept.events.len() > ANCHORS {
            // Of the older half every second one goes.
            let (half, mut at) = (ANCHORS / 2, 0);
            kept.events.retain(|_| {
                at += 1;
                at > half || at % 2 == 1
            });
        }
    }

    fn after(&self, seq: i64) -> Vec<(i64, Uuid)> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.events.iter().copied().filter(|(anchor, _)| *anchor >= seq).collect()
    }
}

/// Loads from a standby, or from the primary.
#[derive(Debug, Clone)]
pub struct ReplicaLoad {
    primary: PostgresLoad,
    replica: Database,
    anchors: Anchors,
    journal: CurrentJournal,
    counts: Arc<ReplicaCounts>,
    rest: Arc<Mutex<Rest>>,
}

/// The time in which a standby that has failed is not asked.
#[derive(Debug, Default)]
struct Rest {
    until: Option<Instant>,
    next: Duration,
}

/// Why a standby has not given a page.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("it did not prove that it has come so far in this history")]
    NotProven,
    #[error("it did not answer within {LIMIT:?}")]
    Late,
    #[error("{0}")]
    Database(#[from] DatabaseError),
}

impl ReplicaLoad {
    /// A loader over a standby and, for what that does not prove to have, the primary.
    pub fn new(primary: PostgresLoad, replica: Database, anchors: Anchors) -> Self {
        let (journal, counts, rest) = (CurrentJournal::default(), Arc::default(), Arc::default());
        Self { primary, replica, anchors, journal, counts, rest }
    }

    /// What the standby has done.
    pub fn counts(&self) -> Arc<ReplicaCounts> {
        Arc::clone(&self.counts)
    }

    async fn load_from_replica(&self, after: i64, upto: i64, budget: Budget) -> Result<Loaded, Refused> {
        let anchors = self.anchors.after(upto);
        let Some(journal) = self.journal.get().filter(|_| !anchors.is_empty()) else { return Err(Refused::NotProven) };
        let seqs: Vec<i64> = anchors.iter().map(|(seq, _)| *seq).collect();
        let read = async |client: &mut Client| {
            let client = &*client;
            let read = async {
                // In this order: what the head covers was visible before it, and retention says what it takes before it takes it.
                let head = async { Ok(client.query_typed_one("select head from rowcast.journal_state", &[]).await?) };
                let found = async {
                    let sql = "select seq, id from rowcast.events where seq = any($1)";
                    Ok(client.query_typed(sql, &[(&seqs, Type::INT8_ARRAY)]).await?)
                };
                let rows = read_range(client, after, upto, budget);
                let trimmed = async { Ok(trimmed_through(client).await?) };
                tokio::try_join!(biased; head, found, rows, trimmed)
            };
            read_identified::<_, DatabaseError>(client, read).await
        };
        let answer =
            tokio::time::timeout(LIMIT, self.replica.run(Lane::Read, read)).await.map_err(|_| Refused::Late)?;
        let ((head, found, batch, trimmed), identity, _) = answer??;
        let head: i64 = head.try_get(0).map_err(DatabaseError::from)?;
        let mut proven = false;
        for row in found {
            let (seq, id) =
                (row.try_get(0).map_err(DatabaseError::from)?, row.try_get(1).map_err(DatabaseError::from)?);
            if !anchors.contains(&(seq, id)) {
                return Err(Refused::NotProven);
            }
            proven = true;
        }
        if !proven || head < upto || !identity.is_copy_of(&journal) {
            return Err(Refused::NotProven);
        }
        Ok(Loaded { events: batch.events, reached: batch.reached, trimmed })
    }

    fn rests(&self) -> bool {
        let rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        rest.until.is_some_and(|until| Instant::now() < until)
    }

    /// Notes how an attempt ended. One that lags is asked again at once: it may have what is further back.
    fn note(&self, result: &Result<Loaded, Refused>) {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(_) => {
                self.counts.pages.fetch_add(1, Ordering::Relaxed);
                if std::mem::take(&mut *rest).until.is_some() {
                    tracing::info!("the standby gives pages again");
                }
            }
            Err(why) => {
                self.counts.refused.fetch_add(1, Ordering::Relaxed);
                if matches!(why, Refused::NotProven) {
                    return;
                }
                if rest.until.is_none() {
                    tracing::warn!("pages come from the primary, since the standby gives none: {why}");
                }
                rest.next = (rest.next * 2).clamp(REST_MIN, REST_MAX);
                rest.until = Some(Instant::now() + rest.next);
            }
        }
    }
}

impl Load for ReplicaLoad {
    fn follow(&mut self, journal: CurrentJournal) {
        self.journal = journal.clone();
        self.primary.follow(journal);
    }

    fn range(&self, after: i64, upto: i64, bytes: i64) -> BoxFuture<'_, Result<Loaded, DatabaseError>> {
        Box::pin(async move {
            if !self.rests() {
                let loaded = self.load_from_replica(after, upto, Budget { rows: PAGE_SPAN, bytes }).await;
                self.note(&loaded);
                if let Ok(loaded) = loaded {
                    return Ok(loaded);
                }
            }
            self.primary.range(after, upto, bytes).await
        })
    }

    fn cuts(&self, after: i64, upto: i64, bytes: i64) -> BoxFuture<'_, Result<Vec<i64>, DatabaseError>> {
        self.primary.cuts(after, upto, bytes)
    }

    fn next_after(&self, seq: i64, upto: i64) -> BoxFuture<'_, Result<Loaded, DatabaseError>> {
        // It reaches up to the head, which no standby has reached yet.
        self.primary.next_after(seq, upto)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tail::pages::tests::event;

    #[test]
    fn anchors_reach_far_back_and_are_few_and_of_one_history() {
        let anchors = Anchors::default();
        let position = |seq: i64, epoch: u64| Position {
            head: seq,
            newest: Some(Arc::new(event(seq).header().into_owned())),
            epoch,
            ..Position::default()
        };
        for seq in 1..=10_000 {
            anchors.note(&position(seq, 1));
            anchors.note(&position(seq, 1));
        }
        let kept = anchors.after(0);
        assert!(kept.len() <= ANCHORS && kept.is_sorted());
        assert_eq!(kept.last().map(|(seq, _)| *seq), Some(10_000));
        // The last seconds are there whole, and something from the beginning.
        assert!((9_980..=10_000).all(|seq| kept.iter().any(|(kept, _)| *kept == seq)));
        assert_eq!(kept.first().map(|(seq, _)| *seq), Some(1));
        assert_eq!(anchors.after(10_001), []);
        anchors.note(&position(50, 2));
        assert_eq!(anchors.after(0).iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [50]);
    }
}
