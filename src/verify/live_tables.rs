//! Compares live tables with themselves: a snapshot and the events behind it must be each later snapshot, while writers go on.
//!
//! Snapshots are taken by the same code that a server runs. For a table with a map this is what holds the promise of its `state_key`.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep_until, timeout};

use super::fold_reader::FoldReader;
use super::report::VerifyError;
use super::table_report::{TableDifference, TableProgress, TableReport};
use crate::client::{Change, Fold, FoldLimits, LiveTable, RowKey};
use crate::db::{Connector, Database, Requester};
use crate::journal::Owners;
use crate::session::Announcer;
use crate::shutdown::{Shutdown, Tasks};
use crate::snapshot::{self, RowBlock, Rows, Snapshot, SnapshotError, SnapshotRequest, Snapshots};
use crate::tail::Tail;
use crate::tail::pages::{Limits, Pages, PostgresLoad};
use crate::view::{Known, PRIVATE, Redaction, Views};

/// The time from one snapshot to the next.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(1);
/// How long a snapshot may wait for the events that are folded before it is compared.
const SNAPSHOT_WAITS: Duration = Duration::from_secs(60);
/// How long to wait for the tail to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long to go on trying to take the last snapshot, where a writer holds the journal.
const LAST_SNAPSHOT_LIMIT: Duration = Duration::from_secs(60);
/// How long the tail may take to end.
const DRAIN_LIMIT: Duration = Duration::from_secs(6);
/// Memory for the pages of the stream.
const PAGE_CACHE_BYTES: u64 = 64 << 20;
/// The most rows that are compared, and the most memory that they may take.
const COMPARED: FoldLimits = FoldLimits { rows: 10_000_000, bytes: 4 << 30 };

/// Compares snapshots of these tables with each other for the time `follow`.
pub async fn verify_tables(
    connector: Connector,
    names: Vec<String>,
    follow: Duration,
    on_progress: impl FnMut(TableProgress),
) -> Result<TableReport, VerifyError> {
    let database = Database::with_snapshots(connector.clone(), 2, 1)?;
    let views = Views::new(Redaction::default(), Known::default());
    let (pages, writer) = Pages::new(PostgresLoad::new(database.clone()), views, Limits::within(PAGE_CACHE_BYTES));
    let tail = Tail::new(connector, database.clone(), writer, None);
    let announcer = Announcer::new(pages, database.clone());
    let (shutdown, mut tasks) = (Shutdown::new(), Tasks::default());
    let mut status = tail.status();
    tasks.spawn("tail", tail.run(shutdown.clone()));
    tasks.spawn("live", Arc::clone(&announcer).run(shutdown.clone()));

    // The result borrows the status, which the tail cannot change meanwhile, so it becomes a bool within the statement.
    let connected = timeout(CONNECT_LIMIT, status.wait_for(|s| s.connected)).await.is_ok_and(|s| s.is_ok());
    let compared = if connected {
        let snapshots = Snapshots::new(Arc::clone(&announcer), SNAPSHOT_WAITS);
        let comparison = TableComparison { announcer, snapshots, names, report: TableReport::default(), on_progress };
        comparison.run(follow).await
    } else {
        Err(VerifyError::CannotFollow)
    };
    shutdown.cancel();
    tasks.drain(DRAIN_LIMIT).await;
    database.close();
    compared
}

/// A comparison that is under way.
struct TableComparison<OnProgress> {
    announcer: Arc<Announcer>,
    snapshots: Snapshots,
    names: Vec<String>,
    report: TableReport,
    on_progress: OnProgress,
}

impl<OnProgress: FnMut(TableProgress)> TableComparison<OnProgress> {
    async fn run(mut self, follow: Duration) -> Result<TableReport, VerifyError> {
        let end = Instant::now() + follow;
        let first = self.take(Instant::now() + LAST_SNAPSHOT_LIMIT).await?;
        let (cursor, described) = (first.cursor, first.tables.clone());
        let mut fold = Fold::new(described.iter().map(live_table).collect(), COMPARED);
        // The fold is empty, so a row of the first snapshot can be wrong only by coming twice or by lacking its key.
        self.report.difference = self.compare(&mut fold, first).await?;
        let mut reader = FoldReader::start(&self.announcer, cursor, fold.tables()).await?;
        let begun = Instant::now();
        for number in 1_u32.. {
            if self.report.difference.is_some() {
                break;
            }
            sleep_until((begun + SNAPSHOT_EVERY * number).min(end)).await;
            let is_last = Instant::now() >= end;
            let deadline = if is_last { Instant::now() + LAST_SNAPSHOT_LIMIT } else { end };
            let snapshot = self.take(deadline).await?;
            if snapshot.tables != described {
                return Err(VerifyError::PublishedAnew);
            }
            self.report.events += reader.fold_upto(&mut fold, snapshot.cursor.seq).await?;
            self.report.upto = snapshot.cursor.seq;
            self.report.difference = self.compare(&mut fold, snapshot).await?;
            (self.on_progress)(TableProgress::Compared { rows: self.report.rows, snapshots: self.report.snapshots });
            if is_last {
                break;
            }
        }
        Ok(self.report)
    }

    /// A snapshot that holds everything that is committed now. While a writer holds the journal, it is tried until the deadline.
    async fn take(&mut self, deadline: Instant) -> Result<Snapshot, VerifyError> {
        loop {
            let request = SnapshotRequest {
                tables: self.names.clone(),
                owners: Owners::Any,
                view: PRIVATE,
                sync: true,
                requester: Requester::SERVER,
            };
            match self.snapshots.take(request).await {
                Err(error @ (SnapshotError::Stalled(_) | SnapshotError::Busy)) if Instant::now() < deadline => {
                    (self.on_progress)(TableProgress::Waiting(error.to_string()));
                    tokio::time::sleep(SNAPSHOT_EVERY).await;
                }
                taken => return Ok(taken?),
            }
        }
    }

    /// Compares the rows of a snapshot with those of the fold. The fold holds the rows of the snapshot afterwards.
    async fn compare(&mut self, fold: &mut Fold, snapshot: Snapshot) -> Result<Option<TableDifference>, VerifyError> {
        let (is_first, seq) = (self.report.snapshots == 0, snapshot.cursor.seq);
        self.report.snapshots += 1;
        fold.begin_snapshot();
        match snapshot.rows {
            Rows::Whole(kept) => {
                for block in kept.blocks() {
                    if let Some(difference) = self.compare_block(fold, block, is_first, seq)? {
                        return Ok(Some(difference));
                    }
                }
            }
            Rows::Streamed(mut rows) => {
                while let Some(block) = rows.next().await {
                    if let Some(difference) = self.compare_block(fold, &block, is_first, seq)? {
                        return Ok(Some(difference));
                    }
                }
                if !rows.is_complete() {
                    return Err(VerifyError::SnapshotBrokeOff);
                }
            }
        }
        let vanished = fold.end_snapshot().into_iter().next();
        Ok(vanished.map(|(table, name, payload)| TableDifference {
            table: self.names[table].clone(),
            name: Some(name.into()),
            seq,
            folded: Some(payload.into()),
            read: None,
            is_twice: false,
        }))
    }

    /// The first difference between some rows of a snapshot and the fold.
    fn compare_block(
        &mut self,
        fold: &mut Fold,
        block: &RowBlock,
        is_first: bool,
        seq: i64,
    ) -> Result<Option<TableDifference>, VerifyError> {
        for members in block.rows() {
            // The members come without the braces of their object.
            let object = [b"{", members, b"}"].concat();
            let row: RowMembers<'_> = serde_json::from_slice(&object).map_err(|_| VerifyError::SnapshotBrokeOff)?;
            let payload = row.payload.get();
            let (name, change) = fold.add_row(block.table, row.subject.as_deref(), payload);
            self.report.rows += 1;
            let (folded, is_twice) = match change {
                Change::Same => continue,
                Change::Appeared if is_first => continue,
                _ if fold.is_exceeded() => return Err(VerifyError::TooManyRows(COMPARED.rows, COMPARED.bytes >> 30)),
                Change::Changed(old) => (Some(old.into()), false),
                Change::Twice(old) => (Some(old.into()), true),
                Change::Appeared | Change::Removed(_) | Change::Emptied | Change::NotCompared => (None, false),
            };
            let (table, read) = (self.names[block.table].clone(), Some(payload.to_owned()));
            return Ok(Some(TableDifference { table, name, seq, folded, read, is_twice }));
        }
        Ok(None)
    }
}

/// The members of a row.
#[derive(Deserialize)]
struct RowMembers<'a> {
    subject: Option<String>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// A table as the fold needs it.
fn live_table(described: &snapshot::Description) -> LiveTable {
    let key = described.key.as_ref().map(|key| match key {
        snapshot::RowKey::Subject => RowKey::Subject("subject".to_owned()),
        snapshot::RowKey::Fields(fields) => RowKey::Fields(fields.clone()),
    });
    let (table, prefix, removes) = (described.table.clone(), described.prefix.clone(), described.removes.clone());
    LiveTable { table, prefix, columns: Vec::new(), key, removes }
}
