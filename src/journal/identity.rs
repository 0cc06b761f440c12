//! Which journal a connection stands on: which server, since when it runs, and which table of which database.
//!
//! A connection says nothing of that by itself. Behind a pooler, a proxy or several hosts it may lead to a standby, to a server
//! that lost commits in a failover, or to a table that a restore has made anew, and each of them answers. So whoever decides
//! what a reader gets proves it with every read: the tail publishes the identity that it follows ([`CurrentJournal`]), and
//! [`read_from`] accepts an answer from no other.

use std::sync::{Arc, PoisonError, RwLock};

use time::OffsetDateTime;
use tokio_postgres::{Client, Error, Row};

use crate::db::DatabaseError;

/// One journal on one running server. Two that are equal share all that was ever committed: it is the same process that
/// answers, or one that it has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalIdentity {
    system: i64,
    timeline: i32,
    /// A restored or promoted server was started again, and so was one that crashed with its postmaster.
    started: OffsetDateTime,
    database: u32,
    /// 0 if there is none.
    journal: u32,
    sequence: u32,
    is_standby: bool,
}

impl JournalIdentity {
    /// The columns that identify a journal, to stand at the beginning of a statement with [`Self::FROM`].
    pub const COLUMNS: &str = "\
        (select system_identifier from pg_catalog.pg_control_system()), \
        case when pg_catalog.pg_is_in_recovery() then 0 else \
            ('x' || pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8))::bit(32)::int4 end, \
        pg_catalog.pg_postmaster_start_time(), \
        (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()), \
        coalesce(named.journal::oid, 0), coalesce(named.sequence::oid, 0), pg_catalog.pg_is_in_recovery(), \
        coalesce(pg_catalog.pg_sequence_last_value(named.sequence), 0)";
    /// Names are looked up when the statement runs: a table that a restore has made anew has another number.
    pub const FROM: &str = "(select pg_catalog.to_regclass('rowcast.events') as journal, \
                                    pg_catalog.to_regclass('rowcast.events_seq_seq') as sequence) named";
    /// How many columns they are.
    pub const WIDTH: usize = 8;

    /// From the row of a statement that begins with [`Self::COLUMNS`]: the identity, and how far its sequence was drawn.
    ///
    /// The sequence is read with `pg_sequence_last_value`, never with `select last_value from` it: that reads without the
    /// buffer's lock, and every 32 numbers `nextval` writes there for a moment what it logs, which is 32 more than anybody
    /// has drawn.
    pub fn from_row(row: &Row) -> Result<(Self, i64), Error> {
        let identity = Self {
            system: row.try_get(0)?,
            timeline: row.try_get(1)?,
            started: row.try_get(2)?,
            database: row.try_get(3)?,
            journal: row.try_get(4)?,
            sequence: row.try_get(5)?,
            is_standby: row.try_get(6)?,
        };
        Ok((identity, row.try_get(7)?))
    }

    /// Asks a connection.
    pub async fn of(client: &Client) -> Result<(Self, i64), Error> {
        let sql = format!("select {} from {}", Self::COLUMNS, Self::FROM);
        Self::from_row(&client.query_typed_one(&sql, &[]).await?)
    }

    /// The number of the journal's table in the lock table; 0 if there is no journal.
    pub fn journal(&self) -> u32 {
        self.journal
    }

    /// The number of the database in the lock table.
    pub fn database(&self) -> u32 {
        self.database
    }

    /// When the server was started.
    pub fn started(&self) -> OffsetDateTime {
        self.started
    }

    /// Whether both are of one history as far as a server can tell: the same journal, though the server may have been started
    /// again, and may have lost commits in doing so.
    pub fn is_same_history(&self, other: &Self) -> bool {
        let history = |of: &Self| (of.system, of.timeline, of.database, of.journal, of.sequence);
        history(self) == history(other)
    }

    /// A standby's sequence runs ahead of its rows and its lock table is not the primary's.
    pub fn is_standby(&self) -> bool {
        self.is_standby
    }
}

/// The journal that the tail of this node follows, as everyone who reads may ask. None before the tail has found it.
#[derive(Debug, Clone, Default)]
pub struct CurrentJournal(Arc<RwLock<Option<JournalIdentity>>>);

impl CurrentJournal {
    /// The journal at this moment.
    pub fn get(&self) -> Option<JournalIdentity> {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The journal at this moment, without which nothing can be read.
    pub fn known(&self) -> Result<JournalIdentity, DatabaseError> {
        self.get().ok_or(DatabaseError::Elsewhere)
    }

    /// The tail has found this one.
    pub fn set(&self, identity: Option<JournalIdentity>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = identity;
    }
}

/// Begins a transaction in which each statement has a snapshot of its own, whatever the database's defaults are. A pooler in
/// transaction mode gives all of it to one server connection.
pub const BEGIN: &str = "begin isolation level read committed read only";

/// Reads in one transaction, and returns what was read with the identity of the journal that it was read from.
///
/// The identity is asked for after the reading, while its locks on the tables are still held: so it is that of the very tables
/// that were read, and nobody can have replaced them in between. `read` uses this client. If this
/// fails or is dropped halfway, the connection is to be given up: its transaction is open.
pub async fn read_identified<T, E: From<Error>>(
    client: &Client,
    read: impl Future<Output = Result<T, E>>,
) -> Result<(T, JournalIdentity, i64), E> {
    let (begun, read) = tokio::join!(biased; client.batch_execute(BEGIN), read);
    begun?;
    let read = match read {
        Ok(read) => read,
        Err(error) => {
            // The connection may be used again; one on which this fails is closed.
            client.batch_execute("rollback").await?;
            return Err(error);
        }
    };
    let (identity, drawn) = identity_at_end(client).await?;
    Ok((read, identity, drawn))
}

/// Asks for the identity and ends the transaction, in one round trip.
async fn identity_at_end(client: &Client) -> Result<(JournalIdentity, i64), Error> {
    let (identity, ended) = tokio::join!(biased; JournalIdentity::of(client), client.batch_execute("commit"));
    let identity = identity?;
    ended?;
    Ok(identity)
}

/// Reads from one journal, and answers `None` if it was another one that answered, or it has not come as far as `upto`.
pub async fn read_from<T, E: From<Error>>(
    client: &Client,
    journal: &JournalIdentity,
    upto: i64,
    read: impl Future<Output = Result<T, E>>,
) -> Result<Option<T>, E> {
    let (found, identity, drawn) = read_identified(client, read).await?;
    let is_there = identity == *journal && !identity.is_standby && drawn >= upto;
    Ok(is_there.then_some(found))
}
