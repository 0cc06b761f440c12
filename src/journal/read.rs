//! Reading the journal by seq. These statements do not look at the safe head: the caller must not ask for more.
//!
//! Every statement is unnamed, so that Postgres plans it for its actual bounds, which prunes the other partitions, and so that it
//! works through a pooler that hands every transaction to another server connection. A test checks the plan of each at a million
//! rows.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use postgres_types::Type;
use tokio_postgres::{Client, Error, RowStream};

use super::values::Values;
use super::{EventHeader, Filter, StoredEvent};
use crate::db::DatabaseError;

/// The most rows that one statement returns.
pub const MAX_ROWS: i64 = 4096;
/// The longest time between two rows of one answer. A slow link that still delivers is alive, however long the whole answer
/// takes.
pub const SILENCE: Duration = Duration::from_secs(5);

/// Asks for the seq of the next event in a range. It skips a burnt range, in which no event exists.
pub const NEXT_SQL: &str = "select seq from rowcast.events where seq > $1 and seq <= $2 order by seq limit 1";
/// Asks for the header of the newest event in a range.
pub const NEWEST_SQL: &str = "select seq, id, type, public_safe, owner from rowcast.events \
     where seq > $1 and seq <= $2 order by seq desc limit 1";

/// Asks for the seqs of a range and the length of each payload as it is sent.
pub const SIZES_SQL: &str = "select seq, pg_catalog.octet_length(payload::text) from \
     (select seq, payload from rowcast.events where seq > $1 and seq <= $2 order by seq limit $3) as limited order by seq";

const TRIMMED_SQL: &str = "select trimmed_through from rowcast.journal_state";

/// The seqs between which the journal can be read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The seq of the newest event that retention took; 0 if none.
    pub trimmed_through: i64,
    /// The safe head.
    pub head: i64,
}

/// The reason for which a query fails.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Events after the cursor were trimmed.
    #[error("the cursor has expired: events after it were trimmed, through seq {trimmed_through}")]
    Expired {
        /// The cursor to read on from.
        trimmed_through: i64,
    },
    /// The database could not be asked.
    #[error("reading failed: {}", crate::db::DatabaseError::from(.0))]
    Postgres(#[from] Error),
}

/// The limits on one statement. The result ends with the event that reaches either limit, so at least one event comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Rows; never more than [`MAX_ROWS`].
    pub rows: i64,
    /// Bytes of payloads as they are sent, all together.
    pub bytes: i64,
}

impl Budget {
    /// A limit on rows alone.
    pub const fn of_rows(rows: i64) -> Self {
        Self { rows, bytes: i64::MAX }
    }

    fn row_limit(self) -> i64 {
        self.rows.min(MAX_ROWS)
    }
}

/// A run of events in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The events.
    pub events: Vec<StoredEvent>,
    /// The seq up to which the batch is complete: the end of the range that was asked for, or the last event if a limit cut it.
    pub reached: i64,
}

impl Batch {
    fn new(events: Vec<StoredEvent>, upto: i64, budget: Budget) -> Self {
        let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
        let is_cut = count >= budget.row_limit() || bytes_of(&events) >= budget.bytes;
        let reached = events.last().filter(|_| is_cut).map_or(upto, |last| last.seq);
        Self { events, reached }
    }

    /// Bytes of the payloads, all together.
    pub fn bytes(&self) -> i64 {
        bytes_of(&self.events)
    }
}

/// The average size of a payload in the last read. Postgres measures every row that a statement asks for, so the next statement
/// asks for few more rows than it will get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AveragePayload {
    bytes: i64,
}

impl AveragePayload {
    /// The fewest rows that are asked for, since the next payloads may be smaller.
    const FEWEST: i64 = 8;

    /// Takes the average from this batch.
    pub fn learn(&mut self, batch: &Batch) {
        if let Ok(count @ 1..) = i64::try_from(batch.events.len()) {
            self.bytes = batch.bytes() / count;
        }
    }

    /// This budget, with rows limited to twice the number that its bytes are likely to hold.
    #[must_use]
    pub fn fit(self, budget: Budget) -> Budget {
        let likely = budget.bytes.saturating_mul(2) / self.bytes.max(1);
        Budget { rows: budget.rows.min(likely.max(Self::FEWEST)), ..budget }
    }
}

fn bytes_of(events: &[StoredEvent]) -> i64 {
    events.iter().map(|event| i64::try_from(event.payload.len()).unwrap_or(i64::MAX)).sum()
}

/// A statement for the first events that `rows` selects, as many as the limit on bytes allows. `rows` must be ordered and limited.
///
/// Payloads become text after the rows are sorted and limited, once each: a planner without statistics may choose to sort,
/// and would sort the texts of everything in the range, on disk. `order by` in every step says that the order is the same
/// one, so that only the innermost can sort. The sum needs one row at a time, so rows are sent as they are read.
fn within_bytes(rows: &str, bytes: &str) -> String {
    let columns = StoredEvent::COLUMNS;
    let sent = columns.replace("payload", "payload::text as payload");
    format!(
        "select {columns} from (\
           select *, pg_catalog.sum(pg_catalog.octet_length(payload)) over (order by seq rows unbounded preceding) \
                     - pg_catalog.octet_length(payload) as bytes_before \
             from (select {sent} from ({rows}) as limited order by seq offset 0) as sent) as summed \
          where bytes_before < {bytes} order by seq"
    )
}

/// The statement of [`read_range`].
pub fn range_sql() -> String {
    let columns = StoredEvent::COLUMNS;
    let rows = format!("select {columns} from rowcast.events where seq > $1 and seq <= $2 order by seq limit $3");
    within_bytes(&rows, "$4")
}

/// The events with `after < seq <= upto`, in order, as many as the budget allows. Fails if a row takes longer than [`SILENCE`].
pub async fn read_range(client: &Client, after: i64, upto: i64, budget: Budget) -> Result<Batch, DatabaseError> {
    let Budget { bytes, .. } = budget;
    let rows = budget.row_limit();
    let values =
        [(&after as _, Type::INT8), (&upto as _, Type::INT8), (&rows as _, Type::INT8), (&bytes as _, Type::INT8)];
    let values: [(&(dyn postgres_types::ToSql + Sync), Type); 4] = values;
    Box::pin(collect(client.query_typed_raw(&range_sql(), values), upto, budget)).await
}

/// Takes the rows of a range as they come, each within [`SILENCE`] of the one before it.
pub async fn collect(
    asked: impl Future<Output = Result<RowStream, Error>>,
    upto: i64,
    budget: Budget,
) -> Result<Batch, DatabaseError> {
    let slow = |_| DatabaseError::Slow(SILENCE);
    let mut rows = pin!(tokio::time::timeout(SILENCE, asked).await.map_err(slow)??);
    let mut events = Vec::new();
    while let Some(row) = tokio::time::timeout(SILENCE, rows.next()).await.map_err(slow)? {
        events.push(StoredEvent::from_row(&row?)?);
    }
    Ok(Batch::new(events, upto, budget))
}

/// The last seq before each cut, if the events with `after < seq <= upto` are cut whenever their payloads reach this many bytes.
/// Postgres measures the payloads and does not send them.
pub async fn cuts(client: &Client, after: i64, upto: i64, bytes: i64) -> Result<Vec<i64>, Error> {
    let values = [(&after as _, Type::INT8), (&upto as _, Type::INT8), (&MAX_ROWS as _, Type::INT8)];
    let (mut cuts, mut sum) = (Vec::new(), 0);
    for row in client.query_typed(SIZES_SQL, &values).await? {
        sum += i64::from(row.try_get::<_, i32>(1)?);
        if sum >= bytes {
            cuts.push(row.try_get(0)?);
            sum = 0;
        }
    }
    Ok(cuts)
}

/// The events of a filter with `after < seq <= upto`, in order, as many as the budget allows.
///
/// The next page begins after the last event of this one. The trimmed seq is read after the rows, in the same round trip, so that a
/// page which lacks trimmed events is an error.
pub async fn query(
    client: &Client,
    filter: &Filter,
    after: i64,
    upto: i64,
    budget: Budget,
) -> Result<Batch, QueryError> {
    let (sql, values) = query_sql(filter, after, upto, budget);
    let values = values.all();
    let (rows, trimmed_through) = tokio::try_join!(biased; client.query_typed(&sql, &values), trimmed_through(client))?;
    if after < trimmed_through {
        return Err(QueryError::Expired { trimmed_through });
    }
    let events = rows.iter().map(StoredEvent::from_row).collect::<Result<_, _>>()?;
    Ok(Batch::new(events, upto, budget))
}

fn query_sql(filter: &Filter, after: i64, upto: i64, budget: Budget) -> (String, Values) {
    let columns = StoredEvent::COLUMNS;
    let mut values = Values::default();
    let (from, to) = (values.push(after, Type::INT8), values.push(upto, Type::INT8));
    let (count, bytes) = (values.push(budget.row_limit(), Type::INT8), values.push(budget.bytes, Type::INT8));
    let conditions = filter.conditions(&mut values);
    let rows = format!(
        "select {columns} from rowcast.events where seq > {from} and seq <= {to}{conditions} order by seq limit {count}"
    );
    (within_bytes(&rows, &bytes), values)
}

/// The plan of [`query`] as `EXPLAIN (FORMAT JSON)` shows it.
pub async fn explain_query(
    client: &Client,
    filter: &Filter,
    after: i64,
    upto: i64,
    budget: Budget,
) -> Result<serde_json::Value, Error> {
    let (sql, values) = query_sql(filter, after, upto, budget);
    let rows = client.query_typed(&format!("explain (format json) {sql}"), &values.all()).await?;
    rows.first().map_or(Ok(serde_json::Value::Null), |row| row.try_get(0))
}

/// The seq of the first event with `after < seq <= upto`.
pub async fn next(client: &Client, after: i64, upto: i64) -> Result<Option<i64>, Error> {
    let rows = client.query_typed(NEXT_SQL, &[(&after, Type::INT8), (&upto, Type::INT8)]).await?;
    rows.first().map(|row| row.try_get(0)).transpose()
}

/// The last event with `after < seq <= upto`. The lower bound keeps the search out of what was trimmed.
pub async fn newest(client: &Client, after: i64, upto: i64) -> Result<Option<EventHeader<'static>>, Error> {
    let rows = client.query_typed(NEWEST_SQL, &[(&after, Type::INT8), (&upto, Type::INT8)]).await?;
    rows.first().map(EventHeader::from_row).transpose()
}

/// The newest events of a filter in a range, at most as many as were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// The number of events that were found.
    pub count: i64,
    /// The seq of the oldest event that was found.
    pub oldest: Option<i64>,
}

/// Counts the newest events of a filter with `after < seq <= upto`, up to `n`, and finds the oldest of them.
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

/// The plan of [`nth_newest`] as `EXPLAIN (FORMAT JSON)` shows it.
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

/// The answer to [`beyond_head`]: the event, and the last value of the sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeyondHead {
    /// The last value of the sequence.
    pub drawn: i64,
    /// The event that was asked for, if it is committed.
    pub event: Option<EventHeader<'static>>,
}

/// Looks for an event beyond a node's head, which that node has not decided yet.
pub async fn beyond_head(client: &Client, seq: i64) -> Result<BeyondHead, Error> {
    let columns = EventHeader::COLUMNS;
    let sql = format!(
        "select {columns}, drawn \
         from (select coalesce(pg_catalog.pg_sequence_last_value('rowcast.events_seq_seq'::pg_catalog.regclass), 0) as drawn) as sequence \
         left join rowcast.events on seq = $1"
    );
    let row = client.query_typed_one(&sql, &[(&seq, Type::INT8)]).await?;
    let is_there = row.try_get::<_, Option<i64>>(0)?.is_some();
    let event = is_there.then(|| EventHeader::from_row(&row)).transpose()?;
    Ok(BeyondHead { drawn: row.try_get(5)?, event })
}

/// The newest seq that retention took; 0 if none.
pub async fn trimmed_through(client: &Client) -> Result<i64, Error> {
    client.query_typed_one(TRIMMED_SQL, &[]).await?.try_get(0)
}

/// The seqs between which the journal can be read now.
pub async fn bounds(client: &Client) -> Result<Bounds, Error> {
    // `trimmed_through` comes from the snapshot of the statement. The head is found later, while the statement runs, so it is not
    // below.
    let sql = "select rowcast.safe_head(), trimmed_through from rowcast.journal_state";
    let row = client.query_typed_one(sql, &[]).await?;
    let (head, trimmed_through): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Bounds { trimmed_through, head: head.max(trimmed_through) })
}

/// The seq of the oldest event that is kept; the seq after the head if there is none.
pub async fn oldest(client: &Client) -> Result<i64, Error> {
    let Bounds { trimmed_through, head } = bounds(client).await?;
    // A statement of its own: its snapshot is newer than the look that found everything up to the head decided.
    Ok(next(client, trimmed_through, head).await?.unwrap_or(head + 1))
}
