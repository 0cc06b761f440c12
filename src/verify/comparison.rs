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

/// How long the tail may take to come to what was committed when this began. An open writer holds it back for longer.
pub(super) const CATCH_UP: Duration = Duration::from_secs(10);
/// Rows of the table that one statement reads, when remembered events are checked once more.
const RECHECK_ROWS: i64 = 512;

/// A walk along both sides, a page at a time.
pub(super) struct Comparison<W> {
    client: Client,
    pages: Pages<Seqs>,
    epoch: u64,
    from: i64,
    /// Everything up to here was compared.
    cursor: i64,
    count: u64,
    stream: Context,
    table: Context,
    ledger: Ledger,
    on_progress: W,
}

impl<W: FnMut(Progress)> Comparison<W> {
    pub(super) fn new(client: Client, pages: Pages<Seqs>, from: i64, on_progress: W) -> Self {
        let (stream, table) = (Context::new(&SHA256), Context::new(&SHA256));
        let (epoch, ledger) = (pages.position().epoch, Ledger { after: from, events: Vec::new() });
        Self { client, pages, epoch, from, cursor: from, count: 0, stream, table, ledger, on_progress }
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
            upto: self.cursor,
            stream: hex(&self.stream.finish()),
            table: hex(&self.table.finish()),
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
        (self.on_progress)(Progress::CaughtUp(self.cursor));
        let end = tokio::time::Instant::now() + follow;
        let mut position = self.pages.subscribe();
        loop {
            let cursor = self.cursor;
            let more = position.wait_for(|p| p.head > cursor || p.epoch != self.epoch);
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

    async fn compare_to(&mut self, bound: i64, live: bool) -> Result<Option<Difference>, VerifyError> {
        while self.cursor < bound {
            let page = self.pages.page_after(self.cursor).await.map_err(|error| match error {
                PageError::Reset => VerifyError::HistoryChanged,
                PageError::Load(error) => VerifyError::Database(error),
                PageError::Ended => VerifyError::Page(error),
            })?;
            if page.epoch() != self.epoch || page.upto() <= self.cursor {
                return Err(VerifyError::HistoryChanged);
            }
            let upto = page.upto().min(bound);
            let delivered: Vec<&StoredEvent> =
                page.after(self.cursor).flat_map(|part| part.events()).take_while(|event| event.seq <= upto).collect();
            if let Some(found) = self.compare(&delivered, upto).await? {
                return Ok(Some(found));
            }
            self.cursor = upto;
            (self.on_progress)(Progress::Compared { count: self.count, seq: self.cursor, bound });
            if self.ledger.events.len() >= MAX_REMEMBERED {
                let half = MAX_REMEMBERED / 2;
                if live && let Some(found) = self.recheck(half).await? {
                    return Ok(Some(found));
                }
                self.ledger.forget(half);
            }
        }
        Ok(None)
    }

    /// Compares one page with its range of the table. One row more than the page has is enough to find the first that
    /// differs.
    async fn compare(&mut self, delivered: &[&StoredEvent], upto: i64) -> Result<Option<Difference>, VerifyError> {
        let most = i64::try_from(delivered.len()).unwrap_or(i64::MAX).saturating_add(1);
        let held = rows(&self.client, self.cursor, upto, most).await?;
        let mut found = first_difference(self.cursor, delivered, &held);
        let mut kept = delivered;
        if found.is_some() {
            // Retention may have gone on since the page was read: what it took is missing on purpose.
            let trimmed = number(&self.client, TRIMMED).await?;
            if trimmed > self.cursor {
                kept = &delivered[delivered.partition_point(|event| event.seq <= trimmed)..];
                let held: Vec<_> = held.into_iter().filter(|event| event.seq > trimmed).collect();
                found = first_difference(self.cursor, kept, &held);
                if found.is_none() {
                    held.iter().for_each(|event| self.table.update(&fingerprint(event)));
                }
            }
        } else {
            held.iter().for_each(|event| self.table.update(&fingerprint(event)));
        }
        if found.is_none() {
            for event in kept {
                let fingerprint = fingerprint(event);
                self.stream.update(&fingerprint);
                self.ledger.events.push((event.seq, short_hash(&fingerprint)));
                self.count += 1;
            }
        }
        Ok(found)
    }

    /// Reads the table again where the first `many` remembered events are.
    async fn recheck(&self, many: usize) -> Result<Option<Difference>, VerifyError> {
        let remembered = self.ledger.events.get(..many).unwrap_or_default();
        let whole = many == self.ledger.events.len();
        let end = if whole { self.cursor } else { remembered.last().map_or(self.ledger.after, |last| last.0) };
        let mut after = self.ledger.after;
        let mut left = remembered;
        while after < end {
            let held = rows(&self.client, after, end, RECHECK_ROWS).await?;
            let full = i64::try_from(held.len()).unwrap_or(i64::MAX) >= RECHECK_ROWS;
            let upto = held.last().filter(|_| full).map_or(end, |last| last.seq);
            let (now, later) = left.split_at(left.partition_point(|(seq, _)| *seq <= upto));
            if let Some(found) = first_change(now, &held) {
                let trimmed = number(&self.client, TRIMMED).await?;
                let still = |seq: i64| seq > trimmed;
                let now: Vec<_> = now.iter().copied().filter(|(seq, _)| still(*seq)).collect();
                let held: Vec<_> = held.into_iter().filter(|event| still(event.seq)).collect();
                if trimmed <= after || first_change(&now, &held).is_some() {
                    return Ok(Some(first_change(&now, &held).unwrap_or(found)));
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
