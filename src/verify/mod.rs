//! Holds what the stream delivers against what the table holds, event by event.
//!
//! The stream comes through the tail's own code and its pages, on connections of its own; the table by plain SQL that
//! shares no code with it. Writers go on meanwhile: only what is at or below a safe head is compared, and there the table must never
//! change again.

mod comparison;
mod difference;
mod fingerprint;
mod ledger;
mod report;
mod table;

use std::time::Duration;

use postgres_types::Type;
use tokio_postgres::Client;
use uuid::Uuid;

pub use self::difference::Difference;
pub use self::report::{Progress, Report, VerifyError};

use self::comparison::{CATCH_UP, Comparison};
use self::table::{LAST_VALUE, TRIMMED, number};
use crate::db::{Connector, Database, DatabaseError};
use crate::journal::Cursor;
use crate::shutdown::{Shutdown, Tasks};
use crate::tail::Tail;
use crate::tail::pages::{Limits, Pages, PostgresLoad, Seqs};

/// Memory for the pages of the stream.
const PAGE_BYTES: u64 = 64 << 20;
/// How long the tail may take to end.
const DRAIN: Duration = Duration::from_secs(6);

/// Compares stream and table after a cursor, or all of them: up to a safe head, and then what comes within so long a time.
pub async fn verify(
    connector: Connector,
    cursor: Option<Cursor>,
    follow: Duration,
    watch: impl FnMut(Progress),
) -> Result<Report, VerifyError> {
    let (client, _carrier) = connector.connect().await.map_err(DatabaseError::from)?;
    let from = begin_after(&client, cursor).await?;

    let database = Database::new(connector.clone(), 2)?;
    let (pages, writer) = Pages::new(PostgresLoad::new(database.clone()), Seqs, Limits::within(PAGE_BYTES));
    let tail = Tail::new(connector, database.clone(), writer, None);
    let (shutdown, mut tasks) = (Shutdown::new(), Tasks::default());
    let mut status = tail.status();
    tasks.spawn("tail", tail.run(shutdown.clone()));

    // Not kept as it is: what it answers borrows the status, and the tail could not write there any more.
    let connected = tokio::time::timeout(CATCH_UP, status.wait_for(|s| s.connected)).await.is_ok_and(|s| s.is_ok());
    let compared = if connected {
        Comparison::new(client, pages, from, watch).run(follow).await
    } else {
        Err(VerifyError::CannotFollow)
    };
    shutdown.cancel();
    tasks.drain(DRAIN).await;
    database.close();
    compared
}

/// The seq after which to begin: that of the cursor, if this history holds it; none is the earliest.
async fn begin_after(client: &Client, cursor: Option<Cursor>) -> Result<i64, VerifyError> {
    let trimmed = number(client, TRIMMED).await?;
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
    } else if seq > number(client, LAST_VALUE).await? {
        return Err(VerifyError::Ahead(cursor));
    }
    Ok(seq)
}
