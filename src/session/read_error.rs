//! The error of a reader that cannot begin, or cannot go on.

use crate::db::DatabaseError;
use crate::tail::pages::PageError;

/// The reason for which a reader cannot begin, or cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Events after the cursor were trimmed.
    #[error("events after this cursor were trimmed; the oldest that is kept is {oldest}")]
    CursorExpired {
        /// The seq of the oldest event that is kept.
        oldest: i64,
    },
    /// The cursor lies beyond the stream, or belongs to another history.
    #[error("the cursor is ahead of the stream or belongs to another history of it")]
    CursorInvalid,
    /// The journal cannot be read at this moment.
    #[error("the journal cannot be read at this moment: {0}")]
    Unavailable(String),
    /// Too many requests wait for the database, or too many of this requester's.
    #[error("too many requests wait for the database")]
    Busy,
}

impl From<PageError> for ReadError {
    fn from(error: PageError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<DatabaseError> for ReadError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Busy(_) => Self::Busy,
            error => Self::Unavailable(error.to_string()),
        }
    }
}
