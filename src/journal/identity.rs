//! The identity of the journal behind a connection: the server, the start of its process, the database and the table.
//!
//! Behind a pooler, a proxy or several hosts a connection may lead to a standby, to a server that lost commits in a failover, or
//! to a table that a restore has made anew. So every read that decides what a reader gets proves its journal: the tail publishes
//! the identity that it follows ([`CurrentJournal`]), and [`read_from`] accepts an answer from no other.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_postgres::{Client, Error, Row};

use crate::db::DatabaseError;

/// One journal on one running server. Reads with equal identities see the same commits, since one postmaster has answered them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalIdentity {
    system: i64,
    timeline: i32,
    /// The start of the postmaster. It differs after a restore, a promotion by restart, and a crash of the postmaster.
    started: OffsetDateTime,
    database: u32,
    /// The oid of the table; 0 if there is none.
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
    /// The oids of table and sequence. The names are looked up when the statement runs, since a table that a restore has made anew
    /// has another oid.
    pub const FROM: &str = "(select pg_catalog.to_regclass('rowcast.events') as journal, \
                                    pg_catalog.to_regclass('rowcast.events_seq_seq') as sequence) named";
    /// The number of columns in [`Self::COLUMNS`].
    pub const WIDTH: usize = 8;

    /// Reads the identity and the last value of the sequence from a row that begins with [`Self::COLUMNS`].
    ///
    /// The sequence is read with `pg_sequence_last_value`, never with `select last_value from` it. That reads without the
    /// buffer's lock, and every 32 numbers `nextval` writes there for a moment the value that it logs, which is 32 more than
    /// anybody has drawn.
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

    /// Asks a connection for its identity, and for the last value of the sequence.
    pub async fn of(client: &Client) -> Result<(Self, i64), Error> {
        let sql = format!("select {} from {}", Self::COLUMNS, Self::FROM);
        Self::from_row(&client.query_typed_one(&sql, &[]).await?)
    }

    /// The oid of the journal's table, as in `pg_locks`; 0 if there is no journal.
    pub fn journal(&self) -> u32 {
        self.journal
    }

    /// The oid of the database, as in `pg_locks`.
    pub fn database(&self) -> u32 {
        self.database
    }

    /// The time at which the server was started.
    pub fn started(&self) -> OffsetDateTime {
        self.started
    }

    /// True if both have the same system, timeline, database, table and sequence. The server may have been restarted between them,
    /// and may have lost commits in doing so.
    pub fn is_same_history(&self, other: &Self) -> bool {
        let history = |of: &Self| (of.system, of.timeline, of.database, of.journal, of.sequence);
        history(self) == history(other)
    }

    /// True for a standby whose journal is a copy of this one. Its history may be another one all the same.
    pub fn is_copy_of(&self, primary: &Self) -> bool {
        let journal = |of: &Self| (of.system, of.database, of.journal, of.sequence);
        self.is_standby && journal(self) == journal(primary)
    }

    /// True if an answer with this identity is one of the journal, and its sequence has come as far as `upto`.
    fn answers_for(&self, journal: &Self, drawn: i64, upto: i64) -> bool {
        self == journal && !self.is_standby && drawn >= upto
    }

    /// The parts that [`Self::is_same_history`] compares, as bytes. They are the same on every node that follows this journal.
    pub fn history_bytes(&self) -> Vec<u8> {
        let parts = [self.database, self.journal, self.sequence].map(u32::to_be_bytes).concat();
        [&self.system.to_be_bytes()[..], &self.timeline.to_be_bytes(), &parts].concat()
    }

    /// True for a standby. Its sequence runs ahead of its rows, and its lock table is not the primary's, so it cannot be followed.
    pub fn is_standby(&self) -> bool {
        self.is_standby
    }
}

/// The identity as words, for another node: those that [`JournalIdentity::from_str`] reads.
impl fmt::Display for JournalIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { system, timeline, started, database, journal, sequence, is_standby } = self;
        let started = started.unix_timestamp_nanos();
        write!(f, "{system} {timeline} {started} {database} {journal} {sequence} {is_standby}")
    }
}

/// A text that is no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not the identity of a journal")]
pub struct NoIdentity;

impl FromStr for JournalIdentity {
    type Err = NoIdentity;

    fn from_str(text: &str) -> Result<Self, NoIdentity> {
        fn word<T: FromStr>(words: &mut std::str::Split<'_, char>) -> Result<T, NoIdentity> {
            words.next().and_then(|word| word.parse().ok()).ok_or(NoIdentity)
        }
        let words = &mut text.split(' ');
        let (system, timeline) = (word(words)?, word(words)?);
        let started = OffsetDateTime::from_unix_timestamp_nanos(word(words)?).map_err(|_| NoIdentity)?;
        let (database, journal, sequence, is_standby) = (word(words)?, word(words)?, word(words)?, word(words)?);
        let identity = Self { system, timeline, started, database, journal, sequence, is_standby };
        words.next().map_or(Ok(identity), |_| Err(NoIdentity))
    }
}

/// The journal that the tail of this node follows, shared with all readers. `None` until the tail has found it.
#[derive(Debug, Clone, Default)]
pub struct CurrentJournal(Arc<watch::Sender<Followed>>);

/// What the tail has published last.
#[derive(Debug, Default)]
struct Followed {
    journal: Option<JournalIdentity>,
    /// How often the tail has published something.
    publications: u64,
}

impl CurrentJournal {
    /// The journal at this moment.
    pub fn get(&self) -> Option<JournalIdentity> {
        self.0.borrow().journal
    }

    /// The journal at this moment, or an error if there is none.
    pub fn known(&self) -> Result<JournalIdentity, DatabaseError> {
        self.get().ok_or(DatabaseError::Elsewhere)
    }

    /// Publishes the journal that the tail has found, or that it has lost it.
    pub fn set(&self, identity: Option<JournalIdentity>) {
        self.0.send_modify(|followed| {
            followed.journal = identity;
            followed.publications += 1;
        });
    }

    /// How often the tail has published a journal, or its loss. Each new connection of the tail publishes, even if the journal is the
    /// same: the server may have crashed between two connections.
    pub fn publications(&self) -> u64 {
        self.0.borrow().publications
    }

    /// Waits until the tail has published something beyond this number of publications.
    pub async fn published_after(&self, publications: u64) {
        let mut followed = self.0.subscribe();
        // The sender lives as long as `self`, so the wait cannot fail.
        let _always_ok = followed.wait_for(|followed| followed.publications > publications).await;
    }
}

/// Begins a transaction in which each statement has a snapshot of its own, whatever the database's defaults are. A pooler in
/// transaction mode gives all of it to one server connection.
pub const BEGIN: &str = "begin isolation level read committed read only";

/// Reads in one transaction, and returns what was read with the identity of the journal that it was read from.
///
/// The identity is asked for after `read`, while the locks on its tables are still held, so nobody can have replaced the tables
/// in between. `read` must use this client. If `read` fails, the transaction is rolled back. If anything else fails, or the
/// future is dropped halfway, give up the connection: its transaction may be open.
pub async fn read_identified<T, E: From<Error>>(
    client: &Client,
    read: impl Future<Output = Result<T, E>>,
) -> Result<(T, JournalIdentity, i64), E> {
    let (begun, read) = tokio::join!(biased; client.batch_execute(BEGIN), read);
    begun?;
    let read = match read {
        Ok(read) => read,
        Err(error) => {
            // The connection may be used again. If the rollback fails, the connection is closed.
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

/// Reads from one journal. Returns `None` if another journal has answered, or a standby, or a sequence that is below `upto`.
pub async fn read_from<T, E: From<Error>>(
    client: &Client,
    journal: &JournalIdentity,
    upto: i64,
    read: impl Future<Output = Result<T, E>>,
) -> Result<Option<T>, E> {
    let (found, identity, drawn) = read_identified(client, read).await?;
    Ok(identity.answers_for(journal, drawn, upto).then_some(found))
}

/// Reads the last value of the sequence of one journal, in one statement. Returns `None` where [`read_from`] does.
pub async fn drawn_from(client: &Client, journal: &JournalIdentity, upto: i64) -> Result<Option<i64>, Error> {
    let (identity, drawn) = JournalIdentity::of(client).await?;
    Ok(identity.answers_for(journal, drawn, upto).then_some(drawn))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_as_it_was_written() {
        let identity = JournalIdentity {
            system: -7_312_345_678_901_234_567,
            timeline: 3,
            started: OffsetDateTime::from_unix_timestamp_nanos(1_790_000_000_123_456_000).unwrap(),
            database: u32::MAX,
            journal: 16_500,
            sequence: 16_499,
            is_standby: false,
        };
        let text = identity.to_string();
        assert_eq!(text.parse(), Ok(identity));
        for wrong in ["", "1 2 3", &format!("{text} more"), &text.replace("false", "no"), &text.replace("16500", "x")] {
            assert_eq!(wrong.parse::<JournalIdentity>(), Err(NoIdentity), "{wrong}");
        }
    }
}
