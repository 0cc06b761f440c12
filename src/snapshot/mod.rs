//! Snapshots: the rows of published tables as of one moment, and the cursor from which their events go on. `docs/LIVE_TABLES.md` is the
//! specification, and says why it is exact.
//!
//! - `table`: the published tables as the database describes them, and what a viewer may read of each.
//! - `reading`: one reading of the tables, in one transaction; `overlay` folds in the events that were committed behind the rows,
//!   and `row_writer` shows what the viewer may see of each row.
//! - `block`: rows on their way to a client, in the form that every answer is made of.
//! - `shared`: one result for all who ask at the same moment. `service` puts them together.

mod block;
mod error;
mod overlay;
mod reading;
mod row_writer;
mod service;
mod shared;
mod table;

pub use block::RowBlock;
pub use error::SnapshotError;
pub use service::{KeptRows, RowStream, Rows, Snapshot, SnapshotCounts, SnapshotRequest, Snapshots};
pub use table::{Column, Description, RowKey};
