//! The snapshots of one node: who may have which, how many are read at once, and which are shared.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::block::RowBlock;
use super::error::SnapshotError;
use super::reading::{Part, Reading};
use super::shared::Shared;
use super::table::{self, Description, LiveTable};
use crate::db::{Lane, Requester};
use crate::journal::{Cursor, Owners};
use crate::session::{Announcer, ReadError};
use crate::tail::pages::View;
use crate::view::Fingerprint;

/// How old a shared reading, or the list of published tables, may be.
const SHARED_FOR: Duration = Duration::from_secs(1);
/// The most bytes of one shared reading. A larger one is read by each client for itself.
const SHARED_BYTES: usize = 16 << 20;
/// The most bytes of all shared readings that are kept.
const KEPT_BYTES: usize = 64 << 20;
/// The parts that wait between a reading and its client.
const PARTS: usize = 4;
/// No owner has this name, so whoever sees the events of nobody, or of this owner, sees those of nobody.
const NO_OWNER: &str = "";

/// A request for a snapshot.
#[derive(Debug, Clone)]
pub struct SnapshotRequest {
    /// The names of the tables.
    pub tables: Vec<String>,
    /// The owners whose rows the viewer may see.
    pub owners: Owners,
    /// The view in which rows are shown.
    pub view: View,
    /// True if the answer must hold everything that was committed before the request.
    pub sync: bool,
    /// The requester whose share of the database is used.
    pub requester: Requester,
}

/// A snapshot, or the beginning of one.
#[derive(Debug)]
pub struct Snapshot {
    /// The cursor from which the events go on.
    pub cursor: Cursor,
    /// The tables, in the order of the request.
    pub tables: Vec<Description>,
    /// Their rows.
    pub rows: Rows,
}

/// The rows of a snapshot.
#[derive(Debug)]
pub enum Rows {
    /// All of them.
    Whole(Arc<KeptRows>),
    /// They are still being read.
    Streamed(RowStream),
}

/// Rows that are read as they are taken.
#[derive(Debug)]
pub struct RowStream {
    first: std::vec::IntoIter<RowBlock>,
    rest: mpsc::Receiver<Part>,
    complete: bool,
}

impl RowStream {
    /// The next rows; none at the end.
    pub async fn next(&mut self) -> Option<RowBlock> {
        if let Some(block) = self.first.next() {
            return Some(block);
        }
        match self.rest.recv().await {
            Some(Part::Rows(block)) => Some(block),
            Some(Part::End) => {
                self.complete = true;
                None
            }
            Some(Part::Begin(_) | Part::Failed(_)) | None => None,
        }
    }

    /// True once all rows were taken. False at the end means that the rest is missing.
    pub fn is_complete(&self) -> bool {
        self.complete
    }
}

/// What those who ask for the same at the same moment share.
#[derive(Debug, Clone)]
enum Outcome {
    /// A whole reading.
    Whole(Cursor, Arc<KeptRows>),
    /// The tables are too large to be shared. The first who asked streams them.
    TooLarge,
    Failed(SnapshotError),
}

/// The rows of one reading, as long as they are shared or a client has not taken all of them.
#[derive(Debug)]
pub struct KeptRows {
    blocks: Vec<RowBlock>,
    weight: usize,
    kept_bytes: Arc<AtomicUsize>,
}

impl KeptRows {
    /// The rows.
    pub fn blocks(&self) -> &[RowBlock] {
        &self.blocks
    }
}

impl Drop for KeptRows {
    fn drop(&mut self) {
        self.kept_bytes.fetch_sub(self.weight, Ordering::Relaxed);
    }
}

/// What is the same for all who share a reading.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SharedKey {
    tables: Vec<String>,
    view: View,
    owners: Owners,
}

type Readings = HashMap<SharedKey, Arc<Shared<Outcome>>>;

/// Counts since the start, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SnapshotCounts {
    /// Snapshots that were answered.
    pub answered: u64,
    /// Readings of tables.
    pub readings: u64,
    /// Bytes of the shared readings that are kept.
    pub kept_bytes: usize,
}

/// The snapshots of one node.
#[derive(Debug)]
pub struct Snapshots {
    announcer: Arc<Announcer>,
    tables: Shared<Result<Arc<[LiveTable]>, SnapshotError>>,
    readings: Arc<Mutex<Readings>>,
    client_limit: Duration,
    kept_bytes: Arc<AtomicUsize>,
    answered: AtomicU64,
    begun: AtomicU64,
}

impl Snapshots {
    /// The transaction of each reading may wait so long for its client.
    pub fn new(announcer: Arc<Announcer>, client_limit: Duration) -> Self {
        Self {
            announcer,
            tables: Shared::default(),
            readings: Arc::default(),
            client_limit,
            kept_bytes: Arc::default(),
            answered: AtomicU64::new(0),
            begun: AtomicU64::new(0),
        }
    }

    /// The counts.
    pub fn counts(&self) -> SnapshotCounts {
        SnapshotCounts {
            answered: self.answered.load(Ordering::Relaxed),
            readings: self.begun.load(Ordering::Relaxed),
            kept_bytes: self.kept_bytes.load(Ordering::Relaxed),
        }
    }

    /// The published tables that this viewer may know of.
    pub async fn describe(&self, owners: &Owners, view: View) -> Result<Vec<Description>, SnapshotError> {
        let tables = self.tables_since(Instant::now() - SHARED_FOR).await?;
        let views = self.announcer.pages().renderer();
        let visible = tables.iter().filter(|table| table.is_visible(owners, view));
        Ok(visible.map(|table| table.describe(view, views.taxonomy())).collect())
    }

    async fn tables_since(&self, not_before: Instant) -> Result<Arc<[LiveTable]>, SnapshotError> {
        let read = async {
            let database = self.announcer.database();
            let read = database.run(Lane::Read, async |client: &mut Client| table::all(client).await).await;
            Ok(Arc::from(read.map_err(SnapshotError::from)??))
        };
        self.tables.get(not_before, read).await
    }

    /// The tables of these names, in this order, if the viewer may know of all of them.
    async fn find(
        &self,
        names: &[String],
        owners: &Owners,
        view: View,
        mut not_before: Instant,
    ) -> Result<Vec<LiveTable>, SnapshotError> {
        let arrived = Instant::now();
        loop {
            let all = self.tables_since(not_before).await?;
            let visible = |name: &String| {
                let found = all.iter().find(|table| table.name == *name);
                found.filter(|table| table.is_visible(owners, view)).cloned()
            };
            let found: Vec<_> = names.iter().map(visible).collect();
            match found.iter().position(Option::is_none) {
                None => return Ok(found.into_iter().flatten().collect()),
                // It may just have been published.
                Some(_) if not_before < arrived => not_before = arrived,
                Some(missing) => return Err(SnapshotError::NoTable(Arc::from(names[missing].as_str()))),
            }
        }
    }

    /// The table of this name, if the viewer may read its rows, and the version of the rows that the viewer sees. The version changes
    /// when rows may look otherwise though no event says so: the table was published again, other fields are public, or the viewer
    /// may see the rows of other owners. It is the same on every node.
    pub async fn versioned_table(
        &self,
        name: &str,
        owners: &Owners,
        view: View,
    ) -> Result<(Description, u32), SnapshotError> {
        let names = [name.to_owned()];
        let found = self.find(&names, owners, view, Instant::now() - SHARED_FOR).await?;
        let table = found.into_iter().next().ok_or_else(|| SnapshotError::NoTable(Arc::from(name)))?;
        let views = self.announcer.pages().renderer();
        table.check_readable(view, views.taxonomy())?;
        let description = table.describe(view, views.taxonomy());
        let mut version = Fingerprint::default();
        // A description is made of texts, which always serialize.
        version.add(serde_json::to_vec(&description).unwrap_or_default());
        version.add(format!("{:?}", rows_seen(owners, [&table])));
        views.add_rules_of_table(view, &description.prefix, &mut version);
        Ok((description, version.finish()))
    }

    /// The snapshot that is asked for. Those who ask for the same at the same moment share one reading, where it is small enough.
    pub async fn take(&self, request: SnapshotRequest) -> Result<Snapshot, SnapshotError> {
        let arrived = Instant::now();
        let not_before = if request.sync { arrived } else { arrived - SHARED_FOR };
        let tables = self.find(&request.tables, &request.owners, request.view, not_before).await?;
        let views = self.announcer.pages().renderer();
        tables.iter().try_for_each(|table| table.check_readable(request.view, views.taxonomy()))?;
        let descriptions = tables.iter().map(|table| table.describe(request.view, views.taxonomy())).collect();
        let owners = rows_seen(&request.owners, &tables);
        let key = SharedKey { tables: request.tables, view: request.view, owners: owners.clone() };
        let reading = Reading {
            announcer: Arc::clone(&self.announcer),
            tables,
            owners,
            view: request.view,
            requester: request.requester,
            client_limit: self.client_limit,
        };
        // A failure is shared by those alone who waited for it.
        let accept = |outcome: &Outcome, begun: Instant| match outcome {
            Outcome::Failed(_) => begun >= arrived,
            Outcome::Whole(..) | Outcome::TooLarge => {
                begun >= arrived || !request.sync && begun >= arrived - SHARED_FOR
            }
        };
        let (cursor, rows) = self.rows_of(key, reading, accept).await?;
        self.answered.fetch_add(1, Ordering::Relaxed);
        Ok(Snapshot { cursor, tables: descriptions, rows })
    }

    /// The rows of a shared reading that is accepted, or else of one that begins now.
    async fn rows_of(
        &self,
        key: SharedKey,
        reading: Reading,
        accept: impl FnOnce(&Outcome, Instant) -> bool,
    ) -> Result<(Cursor, Rows), SnapshotError> {
        let shared = Arc::clone(lock(&self.readings).entry(key.clone()).or_default());
        let mut own = None;
        let read = async {
            forget_later(&self.readings, key);
            match self.read(reading.clone()).await {
                Ok((cursor, Rows::Whole(kept))) => Outcome::Whole(cursor, kept),
                Ok(rows) => {
                    own = Some(rows);
                    Outcome::TooLarge
                }
                Err(error) => Outcome::Failed(error),
            }
        };
        let outcome = shared.get_if(accept, read).await;
        match (outcome, own) {
            (_, Some(rows)) => Ok(rows),
            (Outcome::Whole(cursor, kept), None) => Ok((cursor, Rows::Whole(kept))),
            (Outcome::TooLarge, None) => self.read(reading).await,
            (Outcome::Failed(error), None) => Err(error),
        }
    }

    /// One reading: all rows, or as many as may be shared and the stream of the others.
    async fn read(&self, reading: Reading) -> Result<(Cursor, Rows), SnapshotError> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let (parts, mut taken) = mpsc::channel(PARTS);
        tokio::spawn(reading.run(parts));
        let (mut cursor, mut blocks, mut bytes) = (None, Vec::<RowBlock>::new(), 0);
        loop {
            match taken.recv().await {
                Some(Part::Begin(begin)) => cursor = Some(begin),
                Some(Part::Rows(block)) => {
                    bytes += block.weight();
                    blocks.push(block);
                }
                Some(Part::Failed(error)) => return Err(error),
                Some(Part::End) => {
                    let cursor = cursor.ok_or_else(broken)?;
                    return Ok((cursor, Rows::Whole(self.keep(blocks)?)));
                }
                None => return Err(broken()),
            }
            if bytes > SHARED_BYTES {
                let cursor = cursor.ok_or_else(broken)?;
                let (first, rest) = (blocks.into_iter(), taken);
                return Ok((cursor, Rows::Streamed(RowStream { first, rest, complete: false })));
            }
        }
    }

    /// Keeps the rows of a whole reading, if there is room: clients that are slow to take theirs may hold all of it.
    fn keep(&self, blocks: Vec<RowBlock>) -> Result<Arc<KeptRows>, SnapshotError> {
        let weight = blocks.iter().map(RowBlock::weight).sum();
        let kept_bytes = Arc::clone(&self.kept_bytes);
        let held = kept_bytes.fetch_add(weight, Ordering::Relaxed) + weight;
        let kept = Arc::new(KeptRows { blocks, weight, kept_bytes });
        if held <= KEPT_BYTES { Ok(kept) } else { Err(SnapshotError::Busy) }
    }
}

/// The owners whose rows a viewer sees in these tables. Where no row has an owner, all see the same.
fn rows_seen<'a>(owners: &Owners, tables: impl IntoIterator<Item = &'a LiveTable>) -> Owners {
    let all_alike = tables.into_iter().all(|table| !table.has_owner);
    match owners {
        Owners::Any | Owners::NobodyOr(_) if all_alike => Owners::NobodyOr(NO_OWNER.to_owned()),
        owners => owners.clone(),
    }
}

fn lock(readings: &Mutex<Readings>) -> MutexGuard<'_, Readings> {
    readings.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets a shared reading once it is too old for everybody.
fn forget_later(readings: &Arc<Mutex<Readings>>, key: SharedKey) {
    let readings = Arc::downgrade(readings);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(SHARED_FOR).await;
            let Some(readings) = readings.upgrade() else { return };
            let mut readings = lock(&readings);
            match readings.get(&key) {
                Some(shared) if !shared.is_older_than(Instant::now() - SHARED_FOR) => {}
                _ => {
                    readings.remove(&key);
                    return;
                }
            }
        }
    });
}

fn broken() -> SnapshotError {
    ReadError::Unavailable("the reading of the tables ended without an answer".to_owned()).into()
}
