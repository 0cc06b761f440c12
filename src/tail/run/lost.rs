//! The reasons for which a connection of the tail ends, and the limits within which it must answer.

use std::time::Duration;

use tokio::sync::Notify;
use tokio_postgres::Client;

use super::super::pages::Misstep;
use crate::db::DatabaseError;
use crate::journal::{JournalIdentity, read_identified};

/// How long one statement may take before the connection is taken for dead. Rows of events may take longer together, and each
/// must come this soon ([`crate::journal::SILENCE`]): a slow link is no dead one.
const POLL_LIMIT: Duration = Duration::from_secs(5);

/// The reason for which a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("{0}")]
    Database(#[from] DatabaseError),
    #[error("a statement took longer than {POLL_LIMIT:?}")]
    Slow,
    #[error("the connection was closed")]
    Closed,
    /// A fault of ours: what is in memory is dropped, so that nothing wrong is handed out.
    #[error("the pages refuse what was read: {0}")]
    Misstep(#[from] Misstep),
    #[error("this is a standby, and its lock table is not the primary's: the tail needs the primary")]
    Standby,
    /// A pooler, a proxy, a restart of the server or a restore: what is known of its transactions is void.
    #[error("another server or another journal answers on this connection")]
    Moved,
    #[error(
        "the sequence was drawn to {drawn}, and {decided} was handed out: the database was restored, or lost commits"
    )]
    Behind { drawn: i64, decided: i64 },
    #[error(
        "the head that was written down is {written}, and the sequence was drawn to {drawn} only: a restore that is not over, \
         or one that left the sequence out"
    )]
    Unfinished { written: i64, drawn: i64 },
    /// A crash took back numbers that were decided, and they were drawn again.
    #[error("events have taken numbers that were handed out as empty: the database lost them in a crash")]
    Redrawn,
}

impl From<tokio_postgres::Error> for Lost {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

/// The answer to statements that are quick, or the end of the connection.
pub(super) async fn within<T, E>(asked: impl Future<Output = Result<T, E>>) -> Result<T, Lost>
where
    Lost: From<E>,
{
    Ok(tokio::time::timeout(POLL_LIMIT, asked).await.map_err(|_| Lost::Slow)??)
}

/// Reads with the identity of the journal that was read. What is read limits itself; what stands around it is quick.
pub(super) async fn identified<T>(
    client: &Client,
    read: impl Future<Output = Result<T, Lost>>,
) -> Result<(T, JournalIdentity, i64), Lost> {
    let over = Notify::new();
    let read = async {
        let found = read.await;
        over.notify_one();
        found
    };
    let late = async {
        over.notified().await;
        tokio::time::sleep(POLL_LIMIT).await;
    };
    tokio::select! {
        found = read_identified(client, read) => found,
        () = late => Err(Lost::Slow),
    }
}
