//! Reading the journal by seq. What lies beyond the safe head is the caller's to leave out: these statements read what
//! they are asked for.
//!
//! Every statement is unnamed, so that it is planned for its very bounds (which prunes the partitions, those ahead
//! included) and works through a pooler that hands every transaction to another server connection. A test shows the
//! plan of each at a million rows.

use postgres_types::Type;
use tokio_postgres::{Client, Error};

use super::filter::Values;
use super::{Cursor, Filter, StoredEvent};

/// The most rows that one statement returns.
pub const MAX_ROWS: i64 = 4096;

/// The next event after a seq, up to another; through a burnt range too.
pub const NEXT_SQL: &str = "select seq from rowcast.events where seq > $1 and seq <= $2 order by seq limit 1";
/// The newest event after a seq, up to another.
pub const NEWEST_SQL: &str =
    "select seq, id from rowcast.events where seq > $1 and seq <= $2 order by seq desc limit 1";

const TRIMMED_SQL: &str = "select trimmed_through from rowcast.journal_state";

/// Between which seqs the journal can be read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The seq of the newest event that retention took; 0 if none.
    pub trimmed_through: i64,
    /// The safe head.
    pub head: i64,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Events after the cursor were trimmed.
    #[error("the cursor has expired: events after it were trimmed, through seq {trimmed_through}")]
    Expired {
        /// The cursor to read on from.
        trimmed_through: i64,
    },
    /// The database could not be asked.
    #[error("reading failed: {}", crate::db::Trouble::from(.0))]
    Postgres(#[from] Error),
}

/// The statement of [`read_range`].
pub fn range_sql() -> String {
    let columns = StoredEvent::COLUMNS;
    format!("select {columns} from rowcast.events where seq > $1 and seq <= $2 order by seq limit $3")
}

/// The events with `after < seq <= upto`, in order, at most `limit` (and never more than [`MAX_ROWS`]).
pub async fn read_range(client: &Client, after: i64, upto: i64, limit: i64) -> Result<Vec<StoredEvent>, Error> {
    let limit = limit.min(MAX_ROWS);
    let values = [(&after as _, Type::INT8), (&upto as _, Type::INT8), (&limit as _, Type::INT8)];
    let rows = client.query_typed(&range_sql(), &values).await?;
    rows.iter().map(StoredEvent::from_row).collect()
}

/// The events of a filter with `after < seq <= upto`, in order, at most `limit` (and never more than [`MAX_ROWS`]).
///
/// The next page begins after the last event of this one. What was trimmed is looked up after the rows were read, in
/// the same round trip: so a page is never short of events without an error.
pub async fn query(
    client: &Client,
    filter: &Filter,
    after: i64,
    upto: i64,
    limit: i64,
) -> Result<Vec<StoredEvent>, QueryError> {
    let (sql, values) = query_sql(filter, after, upto, limit.min(MAX_ROWS));
    let values = values.all();
    let (rows, trimmed_through) = tokio::try_join!(biased; client.query_typed(&sql, &values), trimmed_through(client))?;
    if after < trimmed_through {
        return Err(QueryError::Expired { trimmed_through });
    }
    Ok(rows.iter().map(StoredEvent::from_row).collect::<Result<_, _>>()?)
}

fn query_sql(filter: &Filter, after: i64, upto: i64, limit: i64) -> (String, Values) {
    let columns = StoredEvent::COLUMNS;
    let mut values = Values::default();
    let (from, to) = (values.push(after, Type::INT8), values.push(upto, Type::INT8));
    let count = values.push(limit, Type::INT8);
    let conditions = filter.conditions(&mut values);
    let sql = format!(
        "select {columns} from rowcast.events where seq > {from} and seq <= {to}{conditions} order by seq limit {count}"
    );
    (sql, values)
}

/// How Postgres would answer [`query`], as `EXPLAIN (FORMAT JSON)` tells it.
pub async fn explain_query(
    client: &Client,
    filter: &Filter,
    after: i64,
    upto: i64,
    limit: i64,
) -> Result<serde_json::Value, Error> {
    let (sql, values) = query_sql(filter, after, upto, limit);
    let rows = client.query_typed(&format!("explain (format json) {sql}"), &values.all()).await?;
    rows.first().map_or(Ok(serde_json::Value::Null), |row| row.try_get(0))
}

/// The seq of the first event with `after < seq <= upto`.
pub async fn next(client: &Client, after: i64, upto: i64) -> Result<Option<i64>, Error> {
    let rows = client.query_typed(NEXT_SQL, &[(&after, Type::INT8), (&upto, Type::INT8)]).await?;
    rows.first().map(|row| row.try_get(0)).transpose()
}

/// The cursor of the last event with `after < seq <= upto`. The lower bound keeps the search out of what was trimmed.
pub async fn newest(client: &Client, after: i64, upto: i64) -> Result<Option<Cursor>, Error> {
    let rows = client.query_typed(NEWEST_SQL, &[(&after, Type::INT8), (&upto, Type::INT8)]).await?;
    rows.first().map(|row| Ok(Cursor::of(row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// The newest events of a filter in a range, at most as many as were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// How many they are.
    pub count: i64,
    /// The seq of the oldest of them.
    pub oldest: Option<i64>,
}

/// Where the newest `n` events of a filter with `after < seq <= upto` begin.
pub async fn nth_newest(client: &Client, filter: &Filter, after: i64, upto: i64, n: i64) -> Result<Newest, Error> {
    let (sql, values) = nth_newest_sql(filter, after, upto, n);
    let row = client.query_typed_one(&sql, &values.all()).await?;
    Ok(Newest { oldest: row.try_get(0)?, count: row.try_get(1)? })
}

fn nth_newest_sql(filter: &Filter, after: i64, upto: i64, n: i64) -> (String, Values) {
    let mut values = Values::default();
    let (from, to) = (values.push(after, Type::INT8), values.push(upto, Type::INT8));
    let count = values.push(n, Type::INT8);
    let conditions = filter.conditions(&mut values);
    let newest = format!(
        "select seq from rowcast.events where seq > {from} and seq <= {to}{conditions} order by seq desc limit {count}"
    );
    (format!("select min(seq), count(*) from ({newest}) as newest"), values)
}

/// How Postgres would answer [`nth_newest`], as `EXPLAIN (FORMAT JSON)` tells it.
pub async fn explain_nth_newest(
    client: &Client,
    filter: &Filter,
    after: i64,
    upto: i64,
    n: i64,
) -> Result<serde_json::Value, Error> {
    let (sql, values) = nth_newest_sql(filter, after, upto, n);
    client.query_typed_one(&format!("explain (format json) {sql}"), &values.all()).await?.try_get(0)
}

/// What there is beyond a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beyond {
    /// How far the sequence has been drawn.
    pub drawn: i64,
    /// The event that was asked for, if it is committed.
    pub event: Option<Cursor>,
}

/// Looks for an event that a node may not have decided yet.
pub async fn beyond(client: &Client, seq: i64) -> Result<Beyond, Error> {
    let sql = "select coalesce(pg_catalog.pg_sequence_last_value('rowcast.events_seq_seq'::pg_catalog.regclass), 0), \
                      (select id from rowcast.events where seq = $1)";
    let row = client.query_typed_one(sql, &[(&seq, Type::INT8)]).await?;
    let id: Option<uuid::Uuid> = row.try_get(1)?;
    Ok(Beyond { drawn: row.try_get(0)?, event: id.map(|id| Cursor::of(seq, id)) })
}

/// The newest seq that retention took; 0 if none.
pub async fn trimmed_through(client: &Client) -> Result<i64, Error> {
    client.query_typed_one(TRIMMED_SQL, &[]).await?.try_get(0)
}

/// Between which seqs the journal can be read now.
pub async fn bounds(client: &Client) -> Result<Bounds, Error> {
    // The head first: it is looked up while the statement runs, and what was trimmed never lies above it.
    let sql = "select rowcast.safe_head(), trimmed_through from rowcast.journal_state";
    let row = client.query_typed_one(sql, &[]).await?;
    let (head, trimmed_through): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Bounds { trimmed_through, head: head.max(trimmed_through) })
}

/// The seq of the oldest event that is kept; the head and one if there is none.
pub async fn oldest(client: &Client) -> Result<i64, Error> {
    let Bounds { trimmed_through, head } = bounds(client).await?;
    // A statement of its own: its snapshot is newer than the look that found everything up to the head decided.
    Ok(next(client, trimmed_through, head).await?.unwrap_or(head + 1))
}
