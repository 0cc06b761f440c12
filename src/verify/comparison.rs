//! The comparison: reads the stream page by page, and beside each page the same range of the table, so that memory does not grow with
//! the journal.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use tokio_postgres::Client;

use super::difference::{Difference, first_change, first_difference};
use super::fingerprint::{fingerprint, hex, short_hash};
use super::recent_events::{MAX_RECENT, RecentEvents};
use super::report::{Progress, Report, VerifyError};
use super::table::{LAST_VALUE_SQL, ROWS_BEYOND_SEQUENCE_SQL, TRIMMED_SQL, query_number, read_rows};
use crate::db::DatabaseError;
use crate::journal::StoredEvent;
use crate::tail::pages::{PageError, Pages, Seqs};

/// How long to wait for the tail to connect, and then for the safe head to reach the number that the sequence had at the beginning. An
/// open transaction may hold the head back for longer; then only events up to the head that was reached are compared at first.
pub(super) const CATCH_UP_LIMIT: Duration = Duration::from_secs(10);
/// The most rows that one statement reads when the table is compared with the remembered events.
const RECHECK_ROWS: i64 = 512;

/// Compares the stream with the table, a page at a time.
pub(super) struct Comparison<OnProgress> {
    client: Client,
    pages: Pages<Seqs>,
    epoch: u64,
    /// The seq after which the comparison began.
    after: i64,
    /// The seq up to which everything was compared.
    compared_upto: i64,
    /// The number of events that were compared.
    count: u64,
    stream_digest: Context,
    table_digest: Context,
    recent: RecentEvents,
    on_progress: OnProgress,
}

impl<OnProgress: FnMut(Progress)> Comparison<OnProgress> {
    pub(super) fn new(client: Client, pages: Pages<Seqs>, after: i64, on_progress: OnProgress) -> Self {
        let (stream_digest, table_digest) = (Context::new(&SHA256), Context::new(&SHA256));
        let (epoch, recent) = (pages.position().epoch, RecentEvents { after, hashes: Vec::new() });
        Self {
            client,
            pages,
            epoch,
            after,
            compared_upto: after,
            count: 0,
            stream_digest,
            table_digest,
            recent,
            on_progress,
        }
    }

    /// Compares everything up to a safe head, and then new events for the time `follow`.
    pub(super) async fn run(mut self, follow: Duration) -> Result<Report, VerifyError> {
        let mut difference = self.compare_stream(follow).await?;
        if difference.is_none() && !follow.is_zero() {
            // An event must not change after its delivery, so the events that are still remembered are compared again.
            difference = self.recheck(self.recent.hashes.len()).await?;
        }
        let rows_beyond_sequence = self.rows_beyond_sequence().await?;
        Ok(Report {
            count: self.count,
            after: self.after,
            upto: self.compared_upto,
            stream_digest: hex(&self.stream_digest.finish()),
            table_digest: hex(&self.table_digest.finish()),
            difference,
            rows_beyond_sequence,
        })
    }

    /// Compares until `follow` has passed, or until the first difference.
    async fn compare_stream(&mut self, follow: Duration) -> Result<Option<Difference>, VerifyError> {
        let bound = self.wait_for_safe_head().await?;
        if let Some(difference) = self.compare_upto(bound, false).await? {
            return Ok(Some(difference));
        }
        if follow.is_zero() {
            return Ok(None);
        }
        (self.on_progress)(Progress::CaughtUp(self.compared_upto));
        let end = tokio::time::Instant::now() + follow;
        let mut position = self.pages.subscribe();
        loop {
            let compared_upto = self.compared_upto;
            let head_moved = position.wait_for(|p| p.head > compared_upto || p.epoch != self.epoch);
            let bound = match tokio::time::timeout_at(end, head_moved).await {
                Ok(Ok(position)) => position.head,
                Ok(Err(_)) => return Err(VerifyError::TailEnded),
                Err(_time_is_over) => return Ok(None),
            };
            if let Some(difference) = self.compare_upto(bound, true).await? {
                return Ok(Some(difference));
            }
        }
    }

    /// Waits for a safe head that covers all commits before this call. Returns a lower head if an open transaction holds it back for
    /// longer than [`CATCH_UP_LIMIT`].
    async fn wait_for_safe_head(&mut self) -> Result<i64, VerifyError> {
        let wanted = query_number(&self.client, LAST_VALUE_SQL).await?;
        let mut position = self.pages.subscribe();
        let waited = tokio::time::timeout(CATCH_UP_LIMIT, position.wait_for(|p| p.head >= wanted)).await;
        if let Ok(Ok(position)) = waited {
            return Ok(position.head);
        }
        let head = self.pages.position().head;
        (self.on_progress)(Progress::HeldBack { head, wanted });
        Ok(head)
    }

    /// Compares page by page up to the seq `bound`. While it follows new events, it rechecks the oldest remembered ones before it
    /// forgets them.
    async fn compare_upto(&mut self, bound: i64, is_following: bool) -> Result<Option<Difference>, VerifyError> {
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
            if let Some(difference) = self.compare_page(&delivered, upto).await? {
                return Ok(Some(difference));
            }
            self.compared_upto = upto;
            (self.on_progress)(Progress::Compared { count: self.count, seq: self.compared_upto, bound });
            if self.recent.hashes.len() >= MAX_RECENT {
                let half = MAX_RECENT / 2;
                if is_following && let Some(difference) = self.recheck(half).await? {
                    return Ok(Some(difference));
                }
                self.recent.forget(half);
            }
        }
        Ok(None)
    }

    /// Compares the events of one page with the rows of the same range. It reads one row more than the page has events, so that it also
    /// finds a row at the end that was not delivered.
    async fn compare_page(&mut self, delivered: &[&StoredEvent], upto: i64) -> Result<Option<Difference>, VerifyError> {
        let row_limit = i64::try_from(delivered.len()).unwrap_or(i64::MAX).saturating_add(1);
        let table_rows = read_rows(&self.client, self.compared_upto, upto, row_limit).await?;
        let mut difference = first_difference(self.compared_upto, delivered, &table_rows);
        let mut untrimmed = delivered;
        if difference.is_some() {
            // Retention may have trimmed rows since the page was read. Those are missing on purpose, so the rest is compared anew.
            let trimmed = query_number(&self.client, TRIMMED_SQL).await?;
            if trimmed > self.compared_upto {
                untrimmed = &delivered[delivered.partition_point(|event| event.seq <= trimmed)..];
                let table_rows: Vec<_> = table_rows.into_iter().filter(|event| event.seq > trimmed).collect();
                difference = first_difference(self.compared_upto, untrimmed, &table_rows);
                if difference.is_none() {
                    table_rows.iter().for_each(|event| self.table_digest.update(&fingerprint(event)));
                }
            }
        } else {
            table_rows.iter().for_each(|event| self.table_digest.update(&fingerprint(event)));
        }
        if difference.is_none() {
            for event in untrimmed {
                let fingerprint = fingerprint(event);
                self.stream_digest.update(&fingerprint);
                self.recent.hashes.push((event.seq, short_hash(&fingerprint)));
                self.count += 1;
            }
        }
        Ok(difference)
    }

    /// Compares the oldest `count` remembered events with the table once more.
    async fn recheck(&self, count: usize) -> Result<Option<Difference>, VerifyError> {
        let remembered = self.recent.hashes.get(..count).unwrap_or_default();
        let is_all = count == self.recent.hashes.len();
        let end = if is_all { self.compared_upto } else { remembered.last().map_or(self.recent.after, |last| last.0) };
        let mut after = self.recent.after;
        let mut unchecked = remembered;
        while after < end {
            let table_rows = read_rows(&self.client, after, end, RECHECK_ROWS).await?;
            let is_cut = i64::try_from(table_rows.len()).unwrap_or(i64::MAX) >= RECHECK_ROWS;
            let upto = table_rows.last().filter(|_| is_cut).map_or(end, |last| last.seq);
            let (in_range, beyond_range) = unchecked.split_at(unchecked.partition_point(|(seq, _)| *seq <= upto));
            if let Some(difference) = first_change(in_range, &table_rows) {
                // As in `compare_page`: rows that retention has trimmed since are missing on purpose.
                let trimmed = query_number(&self.client, TRIMMED_SQL).await?;
                let untrimmed: Vec<_> = in_range.iter().copied().filter(|(seq, _)| *seq > trimmed).collect();
                let untrimmed_rows: Vec<_> = table_rows.into_iter().filter(|event| event.seq > trimmed).collect();
                let untrimmed_difference = first_change(&untrimmed, &untrimmed_rows);
                if trimmed <= after || untrimmed_difference.is_some() {
                    return Ok(Some(untrimmed_difference.unwrap_or(difference)));
                }
            }
            (after, unchecked) = (upto, beyond_range);
        }
        Ok(None)
    }

    /// Describes the rows whose seq lies beyond the sequence's last number. An insert that draws such a number later will fail.
    async fn rows_beyond_sequence(&self) -> Result<Option<String>, VerifyError> {
        let row = self.client.query_typed_one(ROWS_BEYOND_SEQUENCE_SQL, &[]).await.map_err(DatabaseError::from)?;
        let values = (|| Ok::<_, tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))();
        let (count, first, last_value): (i64, Option<i64>, i64) = values.map_err(DatabaseError::from)?;
        Ok(first.map(|first| {
            format!("{count} rows beyond the sequence, which is at {last_value}: the first has seq {first}")
        }))
    }
}
