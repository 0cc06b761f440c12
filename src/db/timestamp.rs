//! A time as Postgres keeps it: it reaches to the year 294276 and to infinity, which RFC 3339 cannot write. Constraints refuse such
//! times today, but older rows may hold them, and reading such a row must not fail.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use bytes::BytesMut;
use postgres_types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};
use time::OffsetDateTime;
use time::macros::datetime;

/// Shown in place of any earlier time: the beginning of the year 1.
pub const EARLIEST: OffsetDateTime = datetime!(0001-01-01 00:00:00 UTC);
/// Shown in place of any later time: the end of the year 9999.
pub const LATEST: OffsetDateTime = datetime!(9999-12-31 23:59:59.999999 UTC);

/// Microseconds from 1970 to 2000, where Postgres counts from.
const SINCE_1970: i128 = 946_684_800_000_000;
/// The finite times of Postgres: from the beginning of its calendar to before the year 294277.
const FINITE: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;

/// A time as it stands in a column, infinite ones too. It is written as microseconds since 1970, in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The time itself, or the nearest in the years 1 to 9999.
    pub fn shown(self) -> OffsetDateTime {
        let nanos = (i128::from(self.0) + SINCE_1970) * 1000;
        let nearest = if self.0 < 0 { EARLIEST } else { LATEST };
        let exact = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(nearest);
        exact.clamp(EARLIEST, LATEST)
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(at: OffsetDateTime) -> Self {
        let micros = at.unix_timestamp_nanos().div_euclid(1000) - SINCE_1970;
        Self(i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX }))
    }
}

impl<'a> FromSql<'a> for Timestamp {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(i64::from_be_bytes(raw.try_into()?)))
    }

    accepts!(TIMESTAMPTZ);
}

impl ToSql for Timestamp {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0.to_be_bytes());
        Ok(IsNull::No)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", i128::from(self.0) + SINCE_1970)
    }
}

/// The text is not a time, or is not written as [`Timestamp`] writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time in microseconds since 1970")]
pub struct BadTimestamp;

impl FromStr for Timestamp {
    type Err = BadTimestamp;

    fn from_str(text: &str) -> Result<Self, BadTimestamp> {
        let micros = text.parse::<i128>().ok().and_then(|micros| micros.checked_sub(SINCE_1970)).ok_or(BadTimestamp)?;
        let at = i64::try_from(micros).map(Self).map_err(|_| BadTimestamp)?;
        // Postgres has no time between its last finite one and infinity.
        let known = FINITE.contains(&at.0) || [i64::MIN, i64::MAX].contains(&at.0);
        if known && at.to_string() == text { Ok(at) } else { Err(BadTimestamp) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_cannot_be_written_is_shown_as_the_nearest_that_can() {
        let of = |at| Timestamp::from(at).shown();
        for at in [EARLIEST, LATEST, datetime!(2026-01-27 10:00:00.123456 UTC), datetime!(1969-12-31 23:59:59.5 UTC)] {
            assert_eq!(of(at), at);
        }
        assert_eq!(of(datetime!(0000-12-31 23:59:59.999999 UTC)), EARLIEST);
        assert_eq!(of(datetime!(-4000-01-01 00:00:00 UTC)), EARLIEST);
        for (raw, shown) in
            [(i64::MIN, EARLIEST), (FINITE.start, EARLIEST), (FINITE.end - 1, LATEST), (i64::MAX, LATEST)]
        {
            assert_eq!(Timestamp(raw).shown(), shown, "{raw}");
        }
    }

    #[test]
    fn every_time_is_written_in_one_way_and_read_back() {
        for raw in [i64::MIN, FINITE.start, -1, 0, 1, FINITE.end - 1, i64::MAX] {
            let at = Timestamp(raw);
            assert_eq!(at.to_string().parse(), Ok(at), "{raw}");
        }
        assert_eq!(Timestamp(0).to_string(), "946684800000000");
        for bad in
            ["", "x", "+1", "01", "-0", "1.5", "9224318016000000000", "-210866803200000001", "9".repeat(60).as_str()]
        {
            assert_eq!(bad.parse::<Timestamp>(), Err(BadTimestamp), "{bad}");
        }
    }
}
