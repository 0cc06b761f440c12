//! Compares the events that the stream delivers with the rows of the table, one by one.
//!
//! The stream is read through a tail and pages, by the same code that a server runs. The table is read on another connection, by plain
//! SQL that shares no code with them. Writers may go on meanwhile, so only seqs up to a safe head are compared: the table must never
//! change there again.
//!
//! [`verify_tables`] compares snapshots of live tables with the fold of an earlier one.

mod comparison;
mod difference;
mod fingerprint;
mod fold_reader;
mod live_tables;
mod recent_events;
mod report;
mod table;
mod table_report;

use std::time::Duration;

use postgres_types::Type;
use tokio_postgres::Client;
use uuid::Uuid;

pub use self::difference::Difference;
pub use self::live_tables::verify_tables;
pub use self::report::{Progress, Report, VerifyError};
pub use self::table_report::{TableDifference, TableProgress, TableReport};

use self::comparison::{CATCH_UP_LIMIT, Comparison};
use self::table::{LAST_VALUE_SQL, TRIMMED_SQL, query_number};
use crate::db::{Connector, Database, DatabaseError};
use crate::journal::Cursor;
use crate::shutdown::{Shutdown, Tasks};
use crate::tail::Tail;
use crate::tail::pages::{Limits, Pages, PostgresLoad, Seqs};

/// Memory for the pages of the stream.
const PAGE_CACHE_BYTES: u64 = 64 << 20;
/// How long the tail may take to end.
const DRAIN_LIMIT: Duration = Duration::from_secs(6);

/// Compares stream and table from a cursor (or the earliest event) up to a safe head, and then new events for the time `follow`.
pub async fn verify(
    connector: Connector,
    cursor: Option<Cursor>,
    follow: Duration,
    on_progress: impl FnMut(Progress),
) -> Result<Report, VerifyError> {
    let (client, _connection_task) = connector.connect().await.map_err(DatabaseError::from)?;
    let after = start_after(&client, cursor).await?;

    let database = Database::new(connector.clone(), 2)?;
    let (pages, writer) = Pages::new(PostgresLoad::new(database.clone()), Seqs, Limits::within(PAGE_CACHE_BYTES));
    let tail = Tail::new(connector, database.clone(), writer, None);
    let (shutdown, mut tasks) = (Shutdown::new(), Tasks::default());
    let mut status = tail.status();
    tasks.spawn("tail", tail.run(shutdown.clone()));

    // The result borrows the status, which the tail cannot change meanwhile, so it becomes a bool within the statement.
    let connected =
        tokio::time::timeout(CATCH_UP_LIMIT, status.wait_for(|s| s.connected)).await.is_ok_and(|s| s.is_ok());
    let compared = if connected {
        Comparison::new(client, pages, after, on_progress).run(follow).await
    } else {
        Err(VerifyError::CannotFollow)
    };
    shutdown.cancel();
    tasks.drain(DRAIN_LIMIT).await;
    database.close();
    compared
}

/// The seq after which to begin. It is the seq of the cursor, which must belong to this history. Without a cursor it is the newest
/// trimmed seq.
async fn start_after(client: &Client, cursor: Option<Cursor>) -> Result<i64, VerifyError> {
    let trimmed = query_number(client, TRIMMED_SQL).await?;
    let Some(cursor) = cursor else { return Ok(trimmed) };
    let seq = cursor.seq;
    if seq < trimmed {
        return Err(VerifyError::Expired(trimmed));
    }
    if cursor.tag.is_some() && seq > trimmed {
        let sql = "select id from rowcast.events where seq = $1";
        let row = client.query_typed(sql, &[(&seq, Type::INT8)]).await.map_err(DatabaseError::from)?;
        let id: Option<Uuid> = row.first().map(|row| row.try_get(0)).transpose().map_err(DatabaseError::from)?;
        if !id.is_some_and(|id| cursor.agrees_with(id)) {
            return Err(VerifyError::OtherHistory(cursor));
        }
    } else if seq > query_number(client, LAST_VALUE_SQL).await? {
        return Err(VerifyError::Ahead(cursor));
    }
    Ok(seq)
}
