//! The reasons for which there is no snapshot.

use std::sync::Arc;

use tokio_postgres::error::SqlState;

use crate::db::DatabaseError;
use crate::session::ReadError;

/// The reason for which there is no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// No table of this name is published, or the viewer may not know of it.
    #[error("no table {0} is published for this viewer")]
    NoTable(Arc<str>),
    /// The table is published, but its rows cannot be read; with the sentence that says what to do.
    #[error("{0}")]
    NotSnapshottable(Arc<str>),
    /// A writer holds the journal, or something else the table, for too long.
    #[error("{0}")]
    Stalled(&'static str),
    /// As many snapshots are read as may be at once.
    #[error("too many snapshots are read at this moment")]
    Busy,
    /// The stream or the database cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The client went away, or took nothing for too long. Nobody is left to be told.
    #[error("the client takes nothing")]
    ClientStalled,
}

impl From<DatabaseError> for SnapshotError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Busy(_) => Self::Busy,
            error => Self::Read(error.into()),
        }
    }
}

impl From<tokio_postgres::Error> for SnapshotError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else { return DatabaseError::from(error).into() };
        // A map may say anything in its errors, so the words are for the log alone.
        let class = &db.code().code()[..2];
        if *db.code() == SqlState::LOCK_NOT_AVAILABLE {
            Self::Stalled("A table is locked by something that wants all of it.")
        } else if matches!(class, "22" | "3F" | "42" | "P0") {
            tracing::warn!(code = db.code().code(), "the rows of a table cannot be read: {}", db.message());
            Self::NotSnapshottable(Arc::from(
                "The rows cannot be read as they were published: a column, a map or a right has changed. The log of the server says \
                 more. Publish the table again.",
            ))
        } else {
            DatabaseError::from(error).into()
        }
    }
}
