//! Lists in pages. The cursor of a row is the time that the list is ordered by, and its id. A page begins behind a cursor, so rows
//! that are added or removed meanwhile neither shift nor repeat the others.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use postgres_types::{ToSql, Type};
use time::OffsetDateTime;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::error::TradingError;
use crate::db::Timestamp;

/// A cursor: the position of a row in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListCursor {
    /// The time that the list is ordered by.
    pub(super) at: Timestamp,
    /// The row among those of the same time.
    pub(super) row: RowKey,
}

/// Identifies a row among those of the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowKey {
    /// By its id.
    Id(Uuid),
    /// By a digest of its id, for clients that may not see ids.
    Digest(Uuid),
}

impl ListCursor {
    /// The cursor that stands on a row.
    pub(super) fn new(at: Timestamp, id: Uuid) -> Self {
        Self { at, row: RowKey::Id(id) }
    }

    /// This cursor with a digest in place of the id.
    #[must_use]
    pub(super) fn anonymous(self) -> Self {
        let RowKey::Id(id) = self.row else { return self };
        let sum = digest(&SHA256, id.as_bytes());
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(sum.as_ref()).for_each(|(to, from)| *to = *from);
        Self { row: RowKey::Digest(Uuid::from_bytes(bytes)), ..self }
    }
}

/// The text is not a cursor of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cursor must be one that a list has answered with")]
pub(super) struct BadListCursor;

/// Microseconds since 1970, as the database keeps them, and the id, or `~` and its digest.
impl fmt::Display for ListCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match self.row {
            RowKey::Id(id) => write!(f, "{at}.{}", id.simple()),
            RowKey::Digest(digest) => write!(f, "{at}.~{}", digest.simple()),
        }
    }
}

impl FromStr for ListCursor {
    type Err = BadListCursor;

    fn from_str(text: &str) -> Result<Self, BadListCursor> {
        let (micros, row) = text.split_once('.').ok_or(BadListCursor)?;
        let at = micros.parse().map_err(|_| BadListCursor)?;
        let row = match row.strip_prefix('~') {
            Some(digest) => Uuid::try_parse(digest).map(RowKey::Digest),
            None => Uuid::try_parse(row).map(RowKey::Id),
        };
        let cursor = Self { at, row: row.map_err(|_| BadListCursor)? };
        // Only one way to write a cursor is accepted.
        if cursor.to_string() == text { Ok(cursor) } else { Err(BadListCursor) }
    }
}

/// The part of a list that a request asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// Only rows behind this cursor.
    pub(super) after: Option<ListCursor>,
    /// The most rows of the page.
    pub(super) limit: usize,
    /// True for the oldest row first, false for the newest first.
    pub(super) oldest_first: bool,
    /// Only rows at or after this time.
    pub(super) since: Option<OffsetDateTime>,
    /// Only rows before this time.
    pub(super) until: Option<OffsetDateTime>,
}

/// A page of a list.
#[derive(Debug, Clone)]
pub(super) struct Page<T> {
    /// The rows, in the order of the list.
    pub(super) items: Vec<T>,
    /// True if others follow.
    pub(super) more: bool,
}

type Value = Box<dyn ToSql + Sync + Send>;

/// A select statement that is built condition by condition.
pub(super) struct Select {
    table: &'static str,
    sql: String,
    values: Vec<(Value, Type)>,
}

impl Select {
    /// A statement for these columns of all rows of a table.
    pub(super) fn new(columns: &str, table: &'static str) -> Self {
        Self { table, sql: format!("select {columns} from {table} where true"), values: Vec::new() }
    }

    fn bind(&mut self, value: impl ToSql + Sync + Send + 'static, kind: Type) -> usize {
        self.values.push((Box::new(value), kind));
        self.values.len()
    }

    /// Adds the condition that a column holds this text, if there is one.
    pub(super) fn text(&mut self, column: &str, value: Option<&str>) {
        if let Some(value) = value {
            let at = self.bind(value.to_owned(), Type::TEXT);
            self.sql.push_str(&format!(" and {column} = ${at}"));
        }
    }

    /// Adds the condition that a column holds this id, if there is one.
    pub(super) fn id(&mut self, column: &str, value: Option<Uuid>) {
        if let Some(value) = value {
            let at = self.bind(value, Type::UUID);
            self.sql.push_str(&format!(" and {column} = ${at}"));
        }
    }

    fn time(&mut self, column: &str, comparison: &str, value: Option<OffsetDateTime>) {
        if let Some(value) = value {
            let at = self.bind(value, Type::TIMESTAMPTZ);
            self.sql.push_str(&format!(" and {column} {comparison} ${at}"));
        }
    }

    /// Runs the statement for a window of the list, ordered by the time in this column and by id.
    pub(super) async fn page<T>(
        mut self,
        client: &Client,
        by: &str,
        window: &Window,
        read: impl Fn(&Row) -> Result<T, tokio_postgres::Error>,
    ) -> Result<Page<T>, TradingError> {
        self.time(by, ">=", window.since);
        self.time(by, "<", window.until);
        let (comparison, direction) = if window.oldest_first { (">", "asc") } else { ("<", "desc") };
        if let Some(cursor) = window.after {
            let at = self.bind(cursor.at, Type::TIMESTAMPTZ);
            let id = match cursor.row {
                RowKey::Id(id) => format!("${}", self.bind(id, Type::UUID)),
                RowKey::Digest(digest) => {
                    let digest = self.bind(digest, Type::UUID);
                    // If the row of the cursor is gone, the other rows of its time are skipped.
                    let beyond = if window.oldest_first { Uuid::max() } else { Uuid::nil() };
                    format!(
                        "coalesce((select id from {table} where {by} = ${at} \
                         and substr(sha256(uuid_send(id)), 1, 16) = uuid_send(${digest})), '{beyond}')",
                        table = self.table
                    )
                }
            };
            self.sql.push_str(&format!(" and ({by}, id) {comparison} (${at}, {id})"));
        }
        // One more than asked for tells whether there are more.
        let limit = self.bind(i64::try_from(window.limit).unwrap_or(i64::MAX).saturating_add(1), Type::INT8);
        self.sql.push_str(&format!(" order by {by} {direction}, id {direction} limit ${limit}"));
        let values: Vec<(&(dyn ToSql + Sync), Type)> =
            self.values.iter().map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone())).collect();
        let rows = client.query_typed(&self.sql, &values).await?;
        let more = rows.len() > window.limit;
        let items = rows.iter().take(window.limit).map(read).collect::<Result<_, _>>()?;
        Ok(Page { items, more })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_in_one_way_and_read_back() {
        let at = time::macros::datetime!(2026-01-27 10:00:00.123456 UTC).into();
        let cursor = ListCursor::new(at, Uuid::from_u128(7));
        assert_eq!(cursor.to_string(), "1769508000123456.00000000000000000000000000000007");
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        let anonymous = cursor.anonymous();
        assert_eq!(anonymous.to_string(), "1769508000123456.~6bae426822df52caf9dc36c8319247d6");
        assert_eq!((anonymous.to_string().parse(), anonymous.anonymous()), (Ok(anonymous), anonymous));
        for bad in [
            "",
            "1",
            ".",
            "1.x",
            "x.00000000000000000000000000000007",
            "01.00000000000000000000000000000007",
            "+1.00000000000000000000000000000007",
            "1.00000000-0000-0000-0000-000000000007",
            "9300000000000000000.00000000000000000000000000000007",
            "1.00000000000000000000000000000007\0",
            "1.~",
            "1.~~00000000000000000000000000000007",
        ] {
            assert_eq!(bad.parse::<ListCursor>(), Err(BadListCursor), "{bad}");
        }
    }
}
