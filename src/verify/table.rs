//! The table's side, in plain SQL that shares no code with the stream.

use postgres_types::Type;
use tokio_postgres::Client;

use crate::db::DatabaseError;
use crate::journal::{Level, StoredEvent};

const ROWS: &str = "\
    select seq, id, at, type, level, public_safe, symbol, trade_id, subject, owner, payload::text \
      from rowcast.events where seq > $1 and seq <= $2 order by seq limit $3";
pub(super) const TRIMMED: &str = "select trimmed_through from rowcast.journal_state";
/// Not by reading the sequence's table, which every 32 numbers shows for a moment a number that nobody has drawn yet.
pub(super) const LAST_VALUE: &str = "select coalesce(pg_sequence_last_value('rowcast.events_seq_seq'::regclass), 0)";
/// The sequence is read after the snapshot is taken, so a row that is being inserted meanwhile is no row beyond it.
pub(super) const ROWS_BEYOND_SEQUENCE: &str = "\
    select count(*), min(seq), (select coalesce(pg_sequence_last_value('rowcast.events_seq_seq'::regclass), 0)) \
      from rowcast.events \
     where seq > (select coalesce(pg_sequence_last_value('rowcast.events_seq_seq'::regclass), 0))";

/// The one number that a statement answers with.
pub(super) async fn number(client: &Client, sql: &str) -> Result<i64, DatabaseError> {
    Ok(client.query_typed_one(sql, &[]).await?.try_get(0)?)
}

/// The rows of the table in a range. Not by the statement that the pages are read by: a fault in that must show.
pub(super) async fn rows(client: &Client, after: i64, upto: i64, most: i64) -> Result<Vec<StoredEvent>, DatabaseError> {
    let rows = client.query_typed(ROWS, &[(&after, Type::INT8), (&upto, Type::INT8), (&most, Type::INT8)]).await?;
    let event = |row: &tokio_postgres::Row| {
        let level: &str = row.try_get("level")?;
        Ok(StoredEvent {
            seq: row.try_get("seq")?,
            id: row.try_get("id")?,
            at: row.try_get("at")?,
            kind: row.try_get("type")?,
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
