//! Finds the last event to trim. It exists, lies at or below the safe head, and no event up to it is to be kept.

use std::time::Duration;

use postgres_types::Type;
use time::OffsetDateTime;

use super::{Note, Trim, TrimError, Until};
use crate::db::Timestamp;
use crate::journal::Cursor;
use crate::journal::read::{self, Bounds};

/// The number of events that one statement looks at, small, so that no long snapshot holds back vacuum.
const EVENTS_AT_ONCE: i64 = 100_000;

impl Trim<'_> {
    /// The seq through which events are trimmed already, and the last seq to trim; both are equal if there is nothing to do.
    pub(super) async fn decide(&mut self, until: Until) -> Result<(i64, i64), TrimError> {
        let bounds = read::bounds(&self.client).await?;
        let last = match until {
            Until::Before(cursor) => self.last_before(cursor, bounds).await?,
            Until::Keep(keep) => self.last_older_than(keep, bounds).await?,
        };
        Ok((bounds.trimmed_through, last))
    }

    async fn last_before(&mut self, cursor: Cursor, bounds: Bounds) -> Result<i64, TrimError> {
        let Bounds { trimmed_through, head } = bounds;
        // Events before this cursor are trimmed already, and its tag can no longer be checked.
        if cursor.seq <= trimmed_through {
            return Ok(trimmed_through);
        }
        let known = if cursor.tag.is_some() {
            let sql = "select id from rowcast.events where seq = $1";
            let rows = self.client.query_typed(sql, &[(&cursor.seq, Type::INT8)]).await?;
            rows.first().is_some_and(|row| row.try_get(0).is_ok_and(|id| cursor.agrees_with(id)))
        } else {
            cursor.seq <= self.sequence_value().await?.saturating_add(1)
        };
        if !known {
            return Err(TrimError::Unknown(cursor));
        }
        if head < cursor.seq - 1 {
            (self.tell)(Note::HeldBack(head));
        }
        let newest = read::newest(&self.client, trimmed_through, head.min(cursor.seq - 1)).await?;
        Ok(newest.map_or(trimmed_through, |event| event.seq))
    }

    /// `at` follows seq only roughly: a transaction may draw its seq and wait, and a clock may be set back. So a candidate
    /// is found by bisection over the primary key, in a few dozen statements. Then every event up to it is looked at, in order,
    /// and the first one that is too young ends the trim before it.
    async fn last_older_than(&mut self, keep: Duration, bounds: Bounds) -> Result<i64, TrimError> {
        let Bounds { trimmed_through, head } = bounds;
        let row = self.client.query_typed_one("select clock_timestamp()", &[]).await?;
        let now: OffsetDateTime = row.try_get(0)?;
        let cutoff = time::Duration::try_from(keep).ok().and_then(|keep| now.checked_sub(keep));
        // No event is older than 1970.
        let Some(cutoff) = cutoff.filter(|at| *at > OffsetDateTime::UNIX_EPOCH) else { return Ok(trimmed_through) };

        let candidate = self.bisect(cutoff, bounds).await?;
        if candidate == head && head < self.sequence_value().await? {
            (self.tell)(Note::HeldBack(head));
        }
        let sql = "select max(seq), min(seq) filter (where at >= $3), min(at) filter (where at >= $3), count(*)
                     from (select seq, at from rowcast.events where seq > $1 and seq <= $2
                            order by seq limit $4) looked";
        let (mut last, mut looked) = (trimmed_through, 0);
        loop {
            let values = [
                (&last as _, Type::INT8),
                (&candidate as _, Type::INT8),
                (&cutoff as _, Type::TIMESTAMPTZ),
                (&EVENTS_AT_ONCE as _, Type::INT8),
            ];
            let row = self.client.query_typed_one(sql, &values).await?;
            let Some(upto) = row.try_get::<_, Option<i64>>(0)? else { return Ok(last) };
            if let Some(young) = row.try_get::<_, Option<i64>>(1)? {
                (self.tell)(Note::Young(young, row.try_get::<_, Timestamp>(2)?.shown()));
                let newest = read::newest(&self.client, trimmed_through, young - 1).await?;
                return Ok(newest.map_or(trimmed_through, |event| event.seq));
            }
            looked += row.try_get::<_, i64>(3)?;
            (self.tell)(Note::Looked(looked));
            last = upto;
        }
    }

    /// A seq such that the newest event up to it is old enough and the next one is not; of several, any.
    async fn bisect(&self, cutoff: OffsetDateTime, bounds: Bounds) -> Result<i64, TrimError> {
        let sql = "select seq, at from rowcast.events where seq > $1 and seq <= $2 order by seq desc limit 1";
        let (mut low, mut high) = (bounds.trimmed_through, bounds.head);
        while low < high {
            let middle = high - (high - low) / 2;
            let rows = self.client.query_typed(sql, &[(&low, Type::INT8), (&middle, Type::INT8)]).await?;
            match rows.first() {
                Some(row) if row.try_get::<_, Timestamp>(1)? >= cutoff.into() => high = row.try_get::<_, i64>(0)? - 1,
                _ => low = middle,
            }
        }
        Ok(low)
    }
}
