//! `rowcast tail --table`: the rows of published tables, and then each change of them.

use std::pin::{Pin, pin};

use futures_util::future::poll_immediate;

use super::batch::{Batch, End};
use super::line::{json_line, safe, short_time};
use super::row_line::RowLine;
use super::teller::Teller;
use crate::cli::{Failure, output};
use crate::client::{Change, Event, Fold, FoldLimits, Item, LiveItem, LiveTable, LiveTables, SnapshotRow};

/// The most rows that are kept, and the most memory, to tell what a row was before.
const KEPT: FoldLimits = FoldLimits { rows: 1_000_000, bytes: 512 << 20 };

/// Follows tables.
pub(super) struct FollowTables {
    live: LiveTables,
    batch: Batch,
    teller: Teller,
    once: bool,
    picture: Picture,
}

/// What is known of the tables.
enum Picture {
    /// With `--json` nothing is kept: the program that reads the lines keeps what it wants.
    Json(Vec<LiveTable>),
    /// The rows, to tell what changed.
    Rows(Option<RowPicture>),
}

struct RowPicture {
    fold: Fold,
    /// True once a snapshot was complete: from then on another one tells only what differs.
    is_whole: bool,
    /// True if it was said that the rows are too many.
    is_exceeded_told: bool,
    rows: u64,
    differing: u64,
}

impl FollowTables {
    pub(super) fn new(live: LiveTables, batch: Batch, json: bool, once: bool) -> Self {
        let picture = if json { Picture::Json(Vec::new()) } else { Picture::Rows(None) };
        Self { live, batch, teller: Teller::default(), once, picture }
    }

    /// Follows until the end, a signal, or the end of whoever reads.
    pub(super) async fn run(mut self, mut stop: Pin<&mut impl Future<Output = &'static str>>) -> Result<(), Failure> {
        let end = loop {
            let item = {
                let mut next = pin!(self.live.next());
                match poll_immediate(next.as_mut()).await {
                    Some(item) => Some(item),
                    // Nothing more for now: what is gathered goes out before the wait.
                    None if !self.batch.is_empty() => None,
                    None => tokio::select! {
                        item = next => Some(item),
                        _signal = stop.as_mut() => break End::Stopped,
                    },
                }
            };
            if let Some(Ok(item)) = &item {
                self.print(item);
                let is_line = matches!(item, LiveItem::Row(_) | LiveItem::Stream(Item::Event(_)));
                if is_line && !self.batch.is_full() {
                    continue;
                }
            }
            match self.batch.flush(stop.as_mut()).await {
                Ok(false) => {}
                Ok(true) => break End::Stopped,
                Err(end) => break end,
            }
            match item {
                Some(Ok(LiveItem::Stream(Item::Live(_)))) if self.once => break End::Read,
                Some(Ok(item)) => self.tell(&item),
                Some(Err(error)) => break End::Failed(error),
                None => {}
            }
        };
        self.end(end).await
    }

    /// Adds the lines of an item.
    fn print(&mut self, item: &LiveItem) {
        let batch = &mut self.batch;
        match (&mut self.picture, item) {
            (Picture::Json(known), LiveItem::Begun(tables)) => {
                if !known.is_empty() {
                    batch.push(r#"{"snapshot":"again"}"#);
                }
                known.clone_from(tables);
            }
            (Picture::Json(_), LiveItem::Row(row)) => batch.push(&json_line(&row.json)),
            (Picture::Json(_), LiveItem::Complete(cursor)) => batch.push(&format!(r#"{{"cursor":"{cursor}"}}"#)),
            (Picture::Json(tables), LiveItem::Stream(Item::Event(event)))
                if tables.iter().any(|table| table.word_of(&event.kind).is_some()) =>
            {
                batch.push(&json_line(event.json()));
            }
            (Picture::Rows(rows), LiveItem::Begun(tables)) => RowPicture::begin(rows, tables),
            (Picture::Rows(Some(rows)), LiveItem::Row(row)) => rows.print_row(row, batch),
            (Picture::Rows(Some(rows)), LiveItem::Complete(_)) => rows.print_vanished(batch),
            (Picture::Rows(Some(rows)), LiveItem::Stream(Item::Event(event))) => rows.print_event(event, batch),
            _ => {}
        }
    }

    /// Says what happens to the snapshot and to the connection.
    fn tell(&mut self, item: &LiveItem) {
        match item {
            LiveItem::Begun(_) | LiveItem::Row(_) => {}
            LiveItem::Complete(cursor) => {
                let counted = match &mut self.picture {
                    Picture::Rows(Some(rows)) => rows.counted(),
                    _ => "the snapshot is complete".to_owned(),
                };
                output::tell(&safe(&format!("{counted}, at cursor {cursor}")));
            }
            LiveItem::Stream(item) => self.teller.tell(item),
            LiveItem::Waiting { why, retry_in } => {
                let wait = retry_in.as_secs_f64();
                output::tell(&safe(&format!("no snapshot: {why}; asking again in {wait:.1} s")));
            }
            LiveItem::Outdated(why) => output::tell(&safe(&format!("{why}; taking a new snapshot"))),
        }
        if let Picture::Rows(Some(rows)) = &mut self.picture {
            rows.tell_if_exceeded();
        }
    }

    async fn end(self, end: End) -> Result<(), Failure> {
        let upto = self.live.cursor();
        self.live.close().await;
        match end {
            End::ReaderGone => Ok(()),
            End::Read | End::Stopped => {
                if let Some(cursor) = upto {
                    output::tell(&format!("read up to cursor {cursor}"));
                }
                Ok(())
            }
            End::Unwritten(error) => Err(error.into()),
            End::Failed(error) => Err(Failure::Said(safe(&error.to_string()).into_owned())),
        }
    }
}

impl RowPicture {
    /// Begins a snapshot. Rows that are known are kept, so that it tells what differs.
    fn begin(known: &mut Option<Self>, tables: &[LiveTable]) {
        let is_known = |rows: &Self| rows.fold.tables() == tables && !rows.fold.is_exceeded();
        if !known.as_ref().is_some_and(is_known) {
            if known.take().is_some() {
                output::tell("nothing is known that a new snapshot could be compared with: all rows follow");
            }
            let fold = Fold::new(tables.to_vec(), KEPT);
            *known = Some(Self { fold, is_whole: false, is_exceeded_told: false, rows: 0, differing: 0 });
        }
        if let Some(rows) = known {
            rows.fold.begin_snapshot();
            (rows.rows, rows.differing) = (0, 0);
        }
    }

    fn print_row(&mut self, row: &SnapshotRow, batch: &mut Batch) {
        let (name, change) = self.fold.add_row(row.table, row.subject.as_deref(), &row.payload);
        self.rows += 1;
        if change == Change::Same {
            return;
        }
        self.differing += 1;
        let Some(table) = self.fold.tables().get(row.table) else { return };
        let line = RowLine { table, name: name.as_deref(), payload: &row.payload };
        let is_new = change == Change::Appeared && !self.is_whole;
        batch.push(&if is_new { line.row() } else { line.change(&change) });
    }

    fn print_vanished(&mut self, batch: &mut Batch) {
        for (table, name, payload) in self.fold.end_snapshot() {
            self.differing += 1;
            if let Some(table) = self.fold.tables().get(table) {
                let line = RowLine { table, name: Some(&name), payload: &payload };
                batch.push(&line.change(&Change::Removed(None)));
            }
        }
    }

    fn print_event(&mut self, event: &Event, batch: &mut Batch) {
        let Ok(details) = event.details() else { return };
        for index in 0..self.fold.tables().len() {
            let (subject, payload) = (details.subject.as_deref(), details.payload.get());
            let Some((name, change)) = self.fold.apply(index, &event.kind, subject, payload) else { continue };
            let Some(table) = self.fold.tables().get(index) else { continue };
            let line = RowLine { table, name: name.as_deref(), payload };
            batch.push(&format!("{} {}", short_time(&details.at), line.change(&change)));
        }
    }

    /// How the snapshot that is complete now compares with what was known.
    fn counted(&mut self) -> String {
        let (rows, differing) = (self.rows, self.differing);
        match std::mem::replace(&mut self.is_whole, true) {
            false => format!("{rows} rows"),
            true => format!("{rows} rows, of which {differing} differ, came or went"),
        }
    }

    fn tell_if_exceeded(&mut self) {
        if self.fold.is_exceeded() && !std::mem::replace(&mut self.is_exceeded_told, true) {
            let FoldLimits { rows, bytes } = KEPT;
            output::tell(&format!(
                "more than {rows} rows or {} MiB: changes are shown without what was before",
                bytes >> 20
            ));
        }
    }
}
