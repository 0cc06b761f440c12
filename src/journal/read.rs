//! Reading the journal by seq. What lies beyond the safe head is the caller's to leave out: these statements read what
//! they are asked for.

use postgres_types::Type;
use tokio_postgres::{Client, Error};

use super::StoredEvent;

/// The most rows that one statement returns.
pub const MAX_ROWS: i64 = 4096;

/// The events with `after < seq <= upto`, in order, at most `limit` (and never more than [`MAX_ROWS`]).
///
/// The statement is unnamed, so that it is planned for these very bounds (which prunes the partitions) and works
/// through a pooler that hands every transaction to another server connection.
pub async fn read_range(client: &Client, after: i64, upto: i64, limit: i64) -> Result<Vec<StoredEvent>, Error> {
    let columns = StoredEvent::COLUMNS;
    let sql = format!("select {columns} from rowcast.events where seq > $1 and seq <= $2 order by seq limit $3");
    let limit = limit.min(MAX_ROWS);
    let rows = client.query_typed(&sql, &[(&after, Type::INT8), (&upto, Type::INT8), (&limit, Type::INT8)]).await?;
    rows.iter().map(StoredEvent::from_row).collect()
}
