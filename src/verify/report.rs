//! The result of a comparison, and what happens on the way to it.

use super::difference::Difference;
use crate::db::DatabaseError;
use crate::journal::Cursor;
use crate::tail::pages::PageError;

/// The result of a comparison.
#[derive(Debug)]
pub struct Report {
    /// How many events were compared.
    pub count: u64,
    /// The seq after which the comparison began.
    pub from: i64,
    /// The seq up to which everything was compared.
    pub upto: i64,
    /// The SHA-256 over all events of the stream.
    pub stream: String,
    /// The SHA-256 over all rows of the table.
    pub table: String,
    /// The first difference.
    pub difference: Option<Difference>,
    /// The rows that no draw from the sequence accounts for, if there are any: the sequence will come to their numbers, and that
    /// insert will fail.
    pub beyond: Option<String>,
}

impl Report {
    /// True if stream and table hold the same.
    pub fn is_equal(&self) -> bool {
        self.difference.is_none() && self.beyond.is_none() && self.stream == self.table
    }
}

/// The progress of a comparison.
#[derive(Debug, Clone, Copy)]
pub enum Progress {
    /// All events up to a seq are the same.
    Compared {
        /// How many events were compared.
        count: u64,
        /// The seq that was reached.
        seq: i64,
        /// The seq up to which to compare.
        bound: i64,
    },
    /// Everything up to this seq is the same, and new events are followed from here on.
    CaughtUp(i64),
    /// A transaction holds the stream back at the head; only what is below it is compared.
    HeldBack {
        /// Where the stream is.
        head: i64,
        /// Where the sequence is.
        wanted: i64,
    },
}

/// The reason for which nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Retention took what the cursor asks for.
    #[error("the cursor has expired: events through seq {0} were trimmed")]
    Expired(i64),
    /// The tag of the cursor is not that of the event at its seq.
    #[error("the cursor {0} is of another history than this database's")]
    OtherHistory(Cursor),
    /// Nobody has drawn the cursor's seq yet.
    #[error("the cursor {0} is ahead of the journal")]
    Ahead(Cursor),
    /// The tail found no way to follow.
    #[error("the tail cannot follow the journal here; the log above says why")]
    CannotFollow,
    /// The tail has stopped.
    #[error("the tail has ended")]
    TailEnded,
    /// A failover or a restore took place meanwhile.
    #[error("the database became another one (restored, promoted) while it was compared")]
    HistoryChanged,
    /// A page of the stream did not come.
    #[error(transparent)]
    Page(PageError),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
