//! Why a reader cannot begin, or cannot go on.

use crate::db::DatabaseError;
use crate::tail::pages::PageError;

/// Why a reader cannot begin, or cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Events after the cursor were trimmed.
    #[error("events after this cursor were trimmed; the oldest that is kept is {oldest}")]
    Expired {
        /// The seq of the oldest event that is kept.
        oldest: i64,
    },
    /// The cursor lies beyond the stream, or belongs to another history.
    #[error("the cursor is ahead of the stream or belongs to another history of it")]
    Invalid,
    /// The journal cannot be read at this moment.
    #[error("the journal cannot be read at this moment: {0}")]
    Unavailable(String),
    /// Too many wait for the database, or this requester waits too often.
    #[error("too many requests wait for the database")]
    Busy,
}

impl From<PageError> for Refused {
    fn from(error: PageError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<DatabaseError> for Refused {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Busy(_) => Self::Busy,
            error => Self::Unavailable(error.to_string()),
        }
    }
}
