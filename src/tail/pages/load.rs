//! Reading what is not in memory.

use futures_util::future::BoxFuture;
use tokio_postgres::Client;

use crate::db::{Database, Lane, Requester, Strangers, Trouble};
use crate::journal::{CurrentJournal, MAX_ROWS, StoredEvent, read_from, read_range, trimmed_through};

use super::PAGE_SPAN;

// A page is read by one statement, so one statement must be able to return it whole.
const _: () = assert!(PAGE_SPAN <= MAX_ROWS);

/// What a load brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The events, in order.
    pub events: Vec<StoredEvent>,
    /// The newest seq that retention had taken when the events had been read: those up to it may be missing.
    pub trimmed: i64,
}

/// Where older pages come from. Dropping a future gives its load up.
pub trait Load: Send + Sync + 'static {
    /// The journal that the tail follows, from here on: only from there may be read.
    fn follow(&mut self, _journal: CurrentJournal) {}

    /// All events with `after < seq <= upto`, in order; never asked for more than a page.
    fn range(&self, after: i64, upto: i64) -> BoxFuture<'_, Result<Loaded, Trouble>>;

    /// The first event with `seq < its seq <= upto`, if there is one.
    fn next_after(&self, seq: i64, upto: i64) -> BoxFuture<'_, Result<Loaded, Trouble>>;
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

    fn range(&self, after: i64, upto: i64) -> BoxFuture<'_, Result<Loaded, Trouble>> {
        Box::pin(async move {
            let journal = self.journal.known()?;
            let mut strangers = Strangers::default();
            loop {
                let read = async |client: &mut Client| {
                    let client = &*client;
                    // In one round trip and in this order: retention says what it takes before it takes it.
                    let rows = read_range(client, after, upto, PAGE_SPAN);
                    let both = async { tokio::try_join!(biased; rows, trimmed_through(client)) };
                    read_from(client, &journal, upto, both).await
                };
                let found = self.database.run_proven(Lane::Read, &Requester::SERVER, &mut strangers, read).await?;
                if let Some((events, trimmed)) = found.transpose()? {
                    return Ok(Loaded { events, trimmed });
                }
            }
        })
    }

    fn next_after(&self, seq: i64, upto: i64) -> BoxFuture<'_, Result<Loaded, Trouble>> {
        // The event comes along with its seq: once per burnt range, which is rarer than another statement is worth.
        Box::pin(async move {
            let journal = self.journal.known()?;
            let mut strangers = Strangers::default();
            loop {
                let read = async |client: &mut Client| {
                    let client = &*client;
                    // In one round trip and in this order, as in `range`: else retention could take the partition that held the
                    // first event just before, and what follows would pass for it.
                    let read =
                        async { tokio::try_join!(biased; read_range(client, seq, upto, 1), trimmed_through(client)) };
                    read_from(client, &journal, upto, read).await
                };
                let found = self.database.run_proven(Lane::Read, &Requester::SERVER, &mut strangers, read).await?;
                if let Some((events, trimmed)) = found.transpose()? {
                    return Ok(Loaded { events, trimmed });
                }
            }
        })
    }
}
