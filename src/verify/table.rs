//! Reads the table, in plain SQL that shares no code with the stream.

use postgres_types::Type;
use tokio_postgres::Client;

use crate::db::DatabaseError;
use crate::journal::{Level, StoredEvent};

const ROWS_SQL: &str = "\
    select seq, id, at, type, level, public_safe, symbol, trade_id, subject, owner, payload::text \
      from rowcast.events where seq > $1 and seq <= $2 order by seq limit $3";
pub(super) const TRIMMED_SQL: &str = "select trimmed_through from rowcast.journal_state";
/// The last number drawn. It is not read from the sequence's relation, whose `last_value` may run ahead for a moment, every 32 numbers.
pub(super) const LAST_VALUE_SQL: &str =
    "select coalesce(pg_sequence_last_value('rowcast.events_seq_seq'::regclass), 0)";
/// Postgres reads the sequence after the snapshot for the rows, so no row that is inserted meanwhile seems to lie beyond the sequence.
pub(super) const ROWS_BEYOND_SEQUENCE_SQL: &str = "\
    select count(*), min(seq), (select coalesce(pg_sequence_last_value('rowcast.events_seq_seq'::regclass), 0)) \
      from rowcast.events \
     where seq > (select coalesce(pg_sequence_last_value('rowcast.events_seq_seq'::regclass), 0))";

/// Runs a statement that returns one number.
pub(super) async fn query_number(client: &Client, sql: &str) -> Result<i64, DatabaseError> {
    Ok(client.query_typed_one(sql, &[]).await?.try_get(0)?)
}

/// Reads the rows with seqs in `(after, upto]`, at most `limit`. Pages are read by another statement, so that a fault in that one shows.
pub(super) async fn read_rows(
    client: &Client,
    after: i64,
    upto: i64,
    limit: i64,
) -> Result<Vec<StoredEvent>, DatabaseError> {
    let rows = client.query_typed(ROWS_SQL, &[(&after, Type::INT8), (&upto, Type::INT8), (&limit, Type::INT8)]).await?;
    let event = |row: &tokio_postgres::Row| {
        let level: &str = row.try_get("level")?;
        Ok(StoredEvent {
            seq: row.try_get("seq")?,
            id: row.try_get("id")?,
            at: row.try_get("at")?,
            kind: row.try_get("type")?,
            // A check of the table admits these levels alone, so the default is never taken.
            level: Level::ALL.into_iter().find(|known| known.as_str() == level).unwrap_or(Level::Critical),
            public_safe: row.try_get("public_safe")?,
            symbol: row.try_get("symbol")?,
            trade_id: row.try_get("trade_id")?,
            subject: row.try_get("subject")?,
            owner: row.try_get("owner")?,
            payload: row.try_get("payload")?,
        })
    };
    Ok(rows.iter().map(event).collect::<Result<_, tokio_postgres::Error>>()?)
}
