//! The journal for the rest of the program: events as they are stored, and the statements that read and write them. Views decide
//! who may see what, so a stored event does not serialize. `docs/JOURNAL.md` specifies the journal.

mod append;
mod cursor;
mod event;
mod filter;
mod identity;
mod new_event;
pub mod partitions;
mod read;
pub mod trim;
mod type_pattern;
mod values;
mod weight;

pub use append::{
    AppendError, AppendRefusal, Appended, MAX_BATCH, MAX_REQUEST_KEY, SQL_SCOPE, append, append_batch, append_once,
};
pub use cursor::{BadCursor, Cursor};
pub use event::{EventHeader, Level, StoredEvent};
pub use filter::{Filter, FilterError, FilterKey, MAX_TYPES, Owners, tellable};
pub use identity::{BEGIN, CurrentJournal, JournalIdentity, drawn_from, read_from, read_identified};
pub use new_event::{BadEvent, NewEvent, names_a_field};
pub use partitions::ensure_partitions;
pub use read::{
    AveragePayload, Batch, BeyondHead, Bounds, Budget, MAX_ROWS, NEWEST_SQL, NEXT_SQL, Newest, QueryError, SILENCE,
    SIZES_SQL, beyond_head, bounds, collect, cuts, explain_nth_newest, explain_query, newest, next, nth_newest, oldest,
    query, range_sql, read_range, trimmed_through,
};
pub use weight::{MAX_PAYLOAD, weight};
