//! The comparison: stream and table are walked in step, a page at a time, so that memory does not grow with the journal.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use tokio_postgres::Client;

use super::difference::{Difference, first_change, first_difference};
use super::fingerprint::{fingerprint, hex, short_hash};
use super::ledger::{Ledger, MAX_REMEMBERED};
use super::report::{Progress, Report, VerifyError};
use super::table::{LAST_VALUE, ROWS_BEYOND_SEQUENCE, TRIMMED, number, rows};
use crate::db::DatabaseError;
use crate::journal::StoredEvent;
use crate::tail::pages::{PageError, Pages, Seqs};

/// How long to wait for the safe head to reach the last number that was drawn when the comparison began. An open transaction may
/// hold it back for longer; then everything up to the head of that moment is compared.
pub(super) const CATCH_UP: Duration = Duration::from_secs(10);
/// Rows of the table that one statement reads, when remembered events are checked once more.
const RECHECK_ROWS: i64 = 512;

/// Compares the stream with the table, a page at a time.
pub(super) struct Comparison<OnProgress> {
    client: Client,
    pages: Pages<Seqs>,
    epoch: u64,
    from: i64,
    /// Everything up to here was compared.
    compared_upto: i64,
    count: u64,
    stream_digest: Context,
    table_digest: Context,
    ledger: Ledger,
    on_progress: OnProgress,
}

impl<OnProgress: FnMut(Progress)> Comparison<OnProgress> {
    pub(super) fn new(client: Client, pages: Pages<Seqs>, from: i64, on_progress: OnProgress) -> Self {
        let (stream_digest, table_digest) = (Context::new(&SHA256), Context::new(&SHA256));
        let (epoch, ledger) = (pages.position().epoch, Ledger { after: from, events: Vec::new() });
        Self {
            client,
            pages,
            epoch,
            from,
            compared_upto: from,
            count: 0,
            stream_digest,
            table_digest,
            ledger,
            on_progress,
        }
    }

    /// Compares everything up to a safe head, and then new events for the time `follow`.
    pub(super) async fn run(mut self, follow: Duration) -> Result<Report, VerifyError> {
        let mut found = self.walk(follow).await?;
        if found.is_none() && !follow.is_zero() {
            // Nothing below a safe head may have changed since it was delivered.
            found = self.recheck(self.ledger.events.len()).await?;
        }
        let beyond = self.rows_beyond_sequence().await?;
        Ok(Report {
            count: self.count,
            from: self.from,
            upto: self.compared_upto,
            stream: hex(&self.stream_digest.finish()),
            table: hex(&self.table_digest.finish()),
            difference: found,
            beyond,
        })
    }

    async fn walk(&mut self, follow: Duration) -> Result<Option<Difference>, VerifyError> {
        let bound = self.safe_head().await?;
        if let Some(found) = self.compare_to(bound, false).await? {
            return Ok(Some(found));
        }
        if follow.is_zero() {
            return Ok(None);
        }
        (self.on_progress)(Progress::CaughtUp(self.compared_upto));
        let end = tokio::time::Instant::now() + follow;
        let mut position = self.pages.subscribe();
        loop {
            let compared_upto = self.compared_upto;
            let more = position.wait_for(|p| p.head > compared_upto || p.epoch != self.epoch);
            let bound = match tokio::time::timeout_at(end, more).await {
                Ok(Ok(position)) => position.head,
                Ok(Err(_)) => return Err(VerifyError::TailEnded),
                Err(_time_is_over) => return Ok(None),
            };
            if let Some(found) = self.compare_to(bound, true).await? {
                return Ok(Some(found));
            }
        }
    }

    /// A safe head that covers all commits before this call. After [`CATCH_UP`] a lower one, if an open transaction holds it back.
    async fn safe_head(&mut self) -> Result<i64, VerifyError> {
        let wanted = number(&self.client, LAST_VALUE).await?;
        let mut position = self.pages.subscribe();
        let waited = tokio::time::timeout(CATCH_UP, position.wait_for(|p| p.head >= wanted)).await;
        if let Ok(Ok(position)) = waited {
            return Ok(position.head);
        }
        let head = self.pages.position().head;
        (self.on_progress)(Progress::HeldBack { head, wanted });
        Ok(head)
    }

    async fn compare_to(&mut self, bound: i64, following: bool) -> Result<Option<Difference>, VerifyError> {
        while self.compared_upto < bound {
            let page = self.pages.page_after(self.compared_upto).await.map_err(|error| match error {
                PageError::Reset => VerifyError::HistoryChanged,
                PageError::Load(error) => VerifyError::Database(error),
                PageError::Ended => VerifyError::Page(error),
            })?;
            if page.epoch() != self.epoch || page.upto() <= self.compared_upto {
                return Err(VerifyError::HistoryChanged);
            }
            let upto = page.upto().min(bound);
            let delivered: Vec<&StoredEvent> = page
                .after(self.compared_upto)
                .flat_map(|part| part.events())
                .take_while(|event| event.seq <= upto)
                .collect();
            if let Some(found) = self.compare(&delivered, upto).await? {
                return Ok(Some(found));
            }
            self.compared_upto = upto;
            (self.on_progress)(Progress::Compared { count: self.count, seq: self.compared_upto, bound });
            if self.ledger.events.len() >= MAX_REMEMBERED {
                let half = MAX_REMEMBERED / 2;
                if following && let Some(found) = self.recheck(half).await? {
                    return Ok(Some(found));
                }
                self.ledger.forget(half);
            }
        }
        Ok(None)
    }

    /// Compares one page with its range of the table. It reads one row more than the page has
    /// events, so that a row at the end that was not delivered shows too.
    async fn compare(&mut self, delivered: &[&StoredEvent], upto: i64) -> Result<Option<Difference>, VerifyError> {
        let row_limit = i64::try_from(delivered.len()).unwrap_or(i64::MAX).saturating_add(1);
        let table_rows = rows(&self.client, self.compared_upto, upto, row_limit).await?;
        let mut found = first_difference(self.compared_upto, delivered, &table_rows);
        let mut kept = delivered;
        if found.is_some() {
            // Retention may have gone on since the page was read: what it took is missing on purpose.
            let trimmed = number(&self.client, TRIMMED).await?;
            if trimmed > self.compared_upto {
                kept = &delivered[delivered.partition_point(|event| event.seq <= trimmed)..];
                let table_rows: Vec<_> = table_rows.into_iter().filter(|event| event.seq > trimmed).collect();
                found = first_difference(self.compared_upto, kept, &table_rows);
                if found.is_none() {
                    table_rows.iter().for_each(|event| self.table_digest.update(&fingerprint(event)));
                }
            }
        } else {
            table_rows.iter().for_each(|event| self.table_digest.update(&fingerprint(event)));
        }
        if found.is_none() {
            for event in kept {
                let fingerprint = fingerprint(event);
                self.stream_digest.update(&fingerprint);
                self.ledger.events.push((event.seq, short_hash(&fingerprint)));
                self.count += 1;
            }
        }
        Ok(found)
    }

    /// Compares the first `many` remembered events with the table once more.
    async fn recheck(&self, many: usize) -> Result<Option<Difference>, VerifyError> {
        let remembered = self.ledger.events.get(..many).unwrap_or_default();
        let whole = many == self.ledger.events.len();
        let end = if whole { self.compared_upto } else { remembered.last().map_or(self.ledger.after, |last| last.0) };
        let mut after = self.ledger.after;
        let mut left = remembered;
        while after < end {
            let table_rows = rows(&self.client, after, end, RECHECK_ROWS).await?;
            let full = i64::try_from(table_rows.len()).unwrap_or(i64::MAX) >= RECHECK_ROWS;
            let upto = table_rows.last().filter(|_| full).map_or(end, |last| last.seq);
            let (now, later) = left.split_at(left.partition_point(|(seq, _)| *seq <= upto));
            if let Some(found) = first_change(now, &table_rows) {
                let trimmed = number(&self.client, TRIMMED).await?;
                let still = |seq: i64| seq > trimmed;
                let now: Vec<_> = now.iter().copied().filter(|(seq, _)| still(*seq)).collect();
                let table_rows: Vec<_> = table_rows.into_iter().filter(|event| still(event.seq)).collect();
                if trimmed <= after || first_change(&now, &table_rows).is_some() {
                    return Ok(Some(first_change(&now, &table_rows).unwrap_or(found)));
                }
            }
            (after, left) = (upto, later);
        }
        Ok(None)
    }

    /// Describes rows whose seq lies beyond the sequence. An insert that draws such a number later will fail.
    async fn rows_beyond_sequence(&self) -> Result<Option<String>, VerifyError> {
        let row = self.client.query_typed_one(ROWS_BEYOND_SEQUENCE, &[]).await.map_err(DatabaseError::from)?;
        let values = (|| Ok::<_, tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))();
        let (count, first, last_value): (i64, Option<i64>, i64) = values.map_err(DatabaseError::from)?;
        Ok(first.map(|first| {
            format!("{count} rows beyond the sequence, which is at {last_value}: the first has seq {first}")
        }))
    }
}
