//! The journal as the rest of the program sees it: events as they are stored, and the statements that read and write
//! them. Who may see what is not known here; a stored event cannot be sent to anyone. `docs/JOURNAL.md` specifies it.

mod append;
mod cursor;
mod event;
mod filter;
mod new_event;
pub mod partitions;
mod read;
pub mod trim;

pub use append::{AppendError, Appended, MAX_BATCH, Refusal, SQL_SCOPE, append, append_batch};
pub use cursor::{BadCursor, Cursor};
pub use event::{Level, StoredEvent};
pub use filter::{Filter, FilterError, MAX_TYPES};
pub use new_event::{BadEvent, NewEvent};
pub use partitions::ensure_partitions;
pub use read::{
    Bounds, MAX_ROWS, NEWEST_SQL, NEXT_SQL, QueryError, bounds, explain_query, newest, next, oldest, query, range_sql,
    read_range,
};
