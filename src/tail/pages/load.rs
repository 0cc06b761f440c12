//! Loads older pages from Postgres.

use futures_util::future::BoxFuture;
use tokio_postgres::Client;

use crate::db::{Database, DatabaseError, Lane, MisroutedConnections, Requester};
use crate::journal::{self, Budget, CurrentJournal, MAX_ROWS, StoredEvent, read_from, read_range, trimmed_through};

use super::PAGE_SPAN;

// A page is read by one statement, so one statement must be able to return as many rows.
const _: () = assert!(PAGE_SPAN <= MAX_ROWS);

/// The events that a load brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The events, in order.
    pub events: Vec<StoredEvent>,
    /// Up to which seq they are all; less than was asked for if they weigh too much for one page.
    pub reached: i64,
    /// The newest seq that retention had taken when the events had been read: those up to it may be missing.
    pub trimmed: i64,
}

/// Where older pages come from. Dropping a future gives its load up.
pub trait Load: Send + Sync + 'static {
    /// Hands over the journal that the tail follows. Later loads may read from that journal alone.
    fn follow(&mut self, _journal: CurrentJournal) {}

    /// The events with `after < seq <= upto`, in order, to the one with which their payloads reach these bytes; never asked
    /// for more seqs than a page has.
    fn range(&self, after: i64, upto: i64, bytes: i64) -> BoxFuture<'_, Result<Loaded, DatabaseError>>;

    /// Where the rest of a heavy range is to be cut: the last seq of each run of events whose payloads reach these
    /// bytes.
    fn cuts(&self, after: i64, upto: i64, bytes: i64) -> BoxFuture<'_, Result<Vec<i64>, DatabaseError>>;

    /// The first event with `seq < its seq <= upto`, if there is one.
    fn next_after(&self, seq: i64, upto: i64) -> BoxFuture<'_, Result<Loaded, DatabaseError>>;
}

/// Loads from Postgres, over the connections that requests use. Each load proves that its connection leads to the journal that
/// the tail follows.
#[derive(Debug, Clone)]
pub struct PostgresLoad {
    database: Database,
    journal: CurrentJournal,
}

impl PostgresLoad {
    /// A loader over this database.
    pub fn new(database: Database) -> Self {
        Self { database, journal: CurrentJournal::default() }
    }
}

impl Load for PostgresLoad {
    fn follow(&mut self, journal: CurrentJournal) {
        self.journal = journal;
    }

    fn range(&self, after: i64, upto: i64, bytes: i64) -> BoxFuture<'_, Result<Loaded, DatabaseError>> {
        self.load(after, upto, Budget { rows: PAGE_SPAN, bytes })
    }

    fn cuts(&self, after: i64, upto: i64, bytes: i64) -> BoxFuture<'_, Result<Vec<i64>, DatabaseError>> {
        Box::pin(async move {
            let journal = self.journal.known()?;
            let mut misrouted = MisroutedConnections::default();
            loop {
                let read = async |client: &mut Client| {
                    let client = &*client;
                    read_from(client, &journal, upto, journal::cuts(client, after, upto, bytes)).await
                };
                let found = self.database.run_proven(Lane::Read, &Requester::SERVER, &mut misrouted, read).await?;
                if let Some(cuts) = found.transpose()? {
                    return Ok(cuts);
                }
            }
        })
    }

    fn next_after(&self, seq: i64, upto: i64) -> BoxFuture<'_, Result<Loaded, DatabaseError>> {
        // In one round trip and in this order, as in `range`: else retention could take the partition that held the first
        // event just before, and what follows would pass for it. The event comes along with its seq: once per burnt
        // range, which is rarer than another statement is worth.
        self.load(seq, upto, Budget { rows: 1, bytes: 1 })
    }
}

impl PostgresLoad {
    /// The events of a range within a budget, and then what retention had taken.
    fn load(&self, after: i64, upto: i64, budget: Budget) -> BoxFuture<'_, Result<Loaded, DatabaseError>> {
        Box::pin(async move {
            let journal = self.journal.known()?;
            let mut misrouted = MisroutedConnections::default();
            loop {
                let read = async |client: &mut Client| {
                    let client = &*client;
                    // In one round trip and in this order: retention says what it takes before it takes it.
                    let rows = read_range(client, after, upto, budget);
                    let trimmed = async { Ok(trimmed_through(client).await?) };
                    let both = async { tokio::try_join!(biased; rows, trimmed) };
                    read_from(client, &journal, upto, both).await
                };
                let found = self.database.run_proven(Lane::Read, &Requester::SERVER, &mut misrouted, read).await?;
                if let Some((batch, trimmed)) = found.transpose()? {
                    return Ok(Loaded { events: batch.events, reached: batch.reached, trimmed });
                }
            }
        })
    }
}
