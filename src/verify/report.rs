//! The result of a comparison, its progress and its errors.

use super::difference::Difference;
use crate::db::DatabaseError;
use crate::journal::Cursor;
use crate::session::ReadError;
use crate::snapshot::SnapshotError;
use crate::tail::pages::PageError;

/// The result of a comparison.
#[derive(Debug)]
pub struct Report {
    /// How many events were compared.
    pub count: u64,
    /// The seq after which the comparison began.
    pub after: i64,
    /// The seq up to which everything was compared.
    pub upto: i64,
    /// The SHA-256 over all events of the stream.
    pub stream_digest: String,
    /// The SHA-256 over all rows of the table.
    pub table_digest: String,
    /// The first difference, if there is one.
    pub difference: Option<Difference>,
    /// A description of the rows whose seq lies beyond the sequence's last number, if there are any. An insert that draws such a number
    /// later will fail.
    pub rows_beyond_sequence: Option<String>,
}

impl Report {
    /// True if stream and table are equal.
    pub fn is_equal(&self) -> bool {
        self.difference.is_none() && self.rows_beyond_sequence.is_none() && self.stream_digest == self.table_digest
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
        /// The seq up to which this round compares.
        bound: i64,
    },
    /// Everything up to this seq is the same, and new events are followed from here on.
    CaughtUp(i64),
    /// An open transaction holds the head back, so only events up to the head that was reached are compared at first.
    HeldBack {
        /// The head that was reached.
        head: i64,
        /// The last number of the sequence when the comparison began.
        wanted: i64,
    },
}

/// The reason for which the comparison could not begin, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Retention has trimmed events after the cursor.
    #[error("the cursor has expired: events through seq {0} were trimmed")]
    Expired(i64),
    /// The tag of the cursor is not that of the event at its seq.
    #[error("the cursor {0} is of another history than this database's")]
    OtherHistory(Cursor),
    /// Nobody has drawn the cursor's seq yet.
    #[error("the cursor {0} is ahead of the journal")]
    Ahead(Cursor),
    /// The tail could not connect in time.
    #[error("the tail cannot follow the journal here; the log above says why")]
    CannotFollow,
    /// The tail has stopped.
    #[error("the tail has ended")]
    TailEnded,
    /// A failover or a restore took place meanwhile.
    #[error("the database became another one (restored, promoted) while it was compared")]
    HistoryChanged,
    /// A live table was published with another key or prefix meanwhile.
    #[error("a table was published anew while it was compared")]
    PublishedAnew,
    /// A snapshot lacks its end.
    #[error("a snapshot broke off before its end; the log above says why")]
    SnapshotBrokeOff,
    /// The tables are larger than what is compared: rows, and GiB.
    #[error("the tables have more than {0} rows, or more than {1} GiB: compare fewer at a time")]
    TooManyRows(usize, usize),
    /// There is no snapshot of the tables.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The stream of the tables cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A page of the stream could not be read.
    #[error(transparent)]
    Page(PageError),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
