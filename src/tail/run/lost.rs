//! The reasons for which a connection of the tail ends, and the limits within which it must answer.

use std::time::Duration;

use tokio::sync::Notify;
use tokio_postgres::Client;

use super::super::pages::HeadMoveError;
use super::super::relay::RelayError;
use crate::db::DatabaseError;
use crate::journal::{JournalIdentity, read_identified};

/// How long one statement may take before the connection counts as dead. A read of events may take longer as a whole: there
/// [`crate::journal::SILENCE`] bounds the wait for each row.
const POLL_LIMIT: Duration = Duration::from_secs(5);

/// The reason for which a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum LostConnection {
    #[error("{0}")]
    Database(#[from] DatabaseError),
    #[error("a statement took longer than {POLL_LIMIT:?}")]
    Slow,
    #[error("the connection was closed")]
    Closed,
    /// The copy in Redis cannot be read.
    #[error("{0}")]
    Relay(#[from] RelayError),
    /// The tail has asked for a wrong move of the head. That is our own fault, so the pages in memory are dropped and nothing wrong is
    /// handed out.
    #[error("the pages refuse what was read: {0}")]
    HeadMove(#[from] HeadMoveError),
    #[error("this is a standby, and its lock table is not the primary's: the tail needs the primary")]
    Standby,
    /// A pooler or proxy led to another server, or the server was restarted or restored: the fences are void.
    #[error("another server or another journal answers on this connection")]
    OtherServer,
    #[error(
        "the sequence was drawn to {drawn}, and {decided} was handed out: the database was restored, or lost commits"
    )]
    SequenceBehind { drawn: i64, decided: i64 },
    #[error(
        "the head that was written down is {written}, and the sequence was drawn to {drawn} only: a restore that is not over, \
         or one that left the sequence out"
    )]
    RestoreUnfinished { written: i64, drawn: i64 },
    /// A crash took back numbers that were decided, and they were drawn again.
    #[error("events have taken numbers that were handed out as empty: the database lost them in a crash")]
    Redrawn,
}

impl LostConnection {
    /// True if Postgres did not answer, or not with what was asked for.
    pub(super) fn is_of_postgres(&self) -> bool {
        matches!(self, Self::Database(_) | Self::Slow | Self::Closed)
    }
}

impl From<tokio_postgres::Error> for LostConnection {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Awaits statements that are quick. [`LostConnection::Slow`] after [`POLL_LIMIT`].
pub(super) async fn within_limit<T, E>(asked: impl Future<Output = Result<T, E>>) -> Result<T, LostConnection>
where
    LostConnection: From<E>,
{
    Ok(tokio::time::timeout(POLL_LIMIT, asked).await.map_err(|_| LostConnection::Slow)??)
}

/// Reads, and returns with the result the identity of the journal it came from and the last number drawn. `read` limits its
/// own time; the statements after it must end within [`POLL_LIMIT`].
pub(super) async fn read_identified_within<T>(
    client: &Client,
    read: impl Future<Output = Result<T, LostConnection>>,
) -> Result<(T, JournalIdentity, i64), LostConnection> {
    let read_ended = Notify::new();
    let read = async {
        let found = read.await;
        read_ended.notify_one();
        found
    };
    let too_late = async {
        read_ended.notified().await;
        tokio::time::sleep(POLL_LIMIT).await;
    };
    tokio::select! {
        found = read_identified(client, read) => found,
        () = too_late => Err(LostConnection::Slow),
    }
}
