//! The rows of one table on their way from Postgres to the client: what the viewer may see of each, with the changes of an overlay.

use std::ops::RangeInclusive;
use std::sync::Arc;

use serde_json::value::RawValue;
use tokio_postgres::SimpleQueryRow;

use super::block::BlockWriter;
use super::error::SnapshotError;
use super::overlay::{Overlay, Passed};
use super::table::LiveTable;
use crate::journal::Owners;
use crate::tail::pages::View;
use crate::view::{Views, write_row};

/// The fewest and the most rows of a batch, but for the first.
const BATCH_ROWS: RangeInclusive<usize> = 8..=2000;
/// The bytes of a batch that are aimed at. While the rows of one batch are written here, Postgres makes those of the next: it can do so
/// only if the buffers of the connection hold the first one whole.
const BATCH_BYTES: usize = 64 << 10;

/// Writes the rows of one table as the viewer may see them.
pub(super) struct RowWriter<'a> {
    table: &'a LiveTable,
    owners: &'a Owners,
    view: View,
    views: Arc<Views>,
    pub(super) overlay: &'a mut Overlay,
    /// The type by which a row without one of its own is shown.
    inserted: String,
    pub(super) block: BlockWriter,
    buffer: Vec<u8>,
    /// How many rows were read, and how many bytes they had.
    rows: usize,
    bytes: usize,
}

impl<'a> RowWriter<'a> {
    pub(super) fn new(
        table: &'a LiveTable,
        owners: &'a Owners,
        view: View,
        views: Arc<Views>,
        overlay: &'a mut Overlay,
    ) -> Self {
        let (inserted, block) = (table.type_of("inserted"), BlockWriter::default());
        Self { table, owners, view, views, overlay, inserted, block, buffer: Vec::new(), rows: 0, bytes: 0 }
    }

    /// How many rows the next batch should have, from the mean size of a row.
    pub(super) fn batch_size(&self, before: usize) -> usize {
        match self.bytes / self.rows.max(1) {
            0 => before,
            bytes_per_row => (BATCH_BYTES / bytes_per_row).clamp(*BATCH_ROWS.start(), *BATCH_ROWS.end()),
        }
    }

    /// Adds a row, whose columns are subject, owner, type and payload.
    pub(super) fn add(&mut self, row: &SimpleQueryRow) -> Result<(), SnapshotError> {
        let (subject, owner, kind) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let Some(payload) = row.try_get(3)? else { return Ok(()) };
        self.rows += 1;
        self.bytes += payload.len() + subject.map_or(0, str::len);
        // The database was asked for these rows alone. Should the table have been published otherwise since, nobody sees more.
        if !self.owners.include(owner) {
            return Ok(());
        }
        let kind = kind.unwrap_or(&self.inserted);
        // The function of an owner may say anything. What is no JSON object would break the answer for all who read it.
        // A line break would end a line of NDJSON; no jsonb has one.
        if !payload.starts_with('{')
            || payload.contains(['\n', '\r'])
            || serde_json::from_str::<&RawValue>(payload).is_err()
        {
            return Err(SnapshotError::NotSnapshottable(Arc::from(format!(
                "A row of {} is no JSON object.",
                self.table.name
            ))));
        }
        let Some(shown) = self.views.row(self.view, kind, subject, payload) else { return Ok(()) };
        let is_changed = |shown: Option<&str>, before: Option<&str>| shown.is_some() && shown != before;
        if (is_changed(shown.subject.as_deref(), subject) || is_changed(Some(&*shown.payload), Some(payload)))
            && self.table.name_row(shown.subject.as_deref(), &shown.payload) != self.table.name_row(subject, payload)
        {
            return Err(SnapshotError::NotSnapshottable(Arc::from(format!(
                "What names a row of {} looks like a secret and is hidden, so that its rows cannot be told apart.",
                self.table.name
            ))));
        }
        if !self.overlay.is_empty() {
            match self.overlay.pass(self.table.name_row(shown.subject.as_deref(), &shown.payload).as_deref()) {
                Passed::Unchanged => {}
                Passed::Changed(row) => {
                    self.block.add(&row);
                    return Ok(());
                }
                Passed::Removed => return Ok(()),
            }
        }
        self.buffer.clear();
        write_row(&mut self.buffer, shown.subject.as_deref(), &shown.payload);
        self.block.add(&self.buffer);
        Ok(())
    }
}
