//! Retention. A trim moves `journal_state.trimmed_through` and rings the bell. With that the older events are gone: for SQL at
//! once, and for every node that reaches the database before the trim ends. Then the trim deletes their dedupe keys and frees the
//! space by dropping whole partitions.
//!
//! Only the dropping may wait, for transactions that were open before it, and it blocks no writer meanwhile. Every step can be
//! repeated: the next trim does what this one leaves undone.

mod blocker;
mod decide;
mod wait;

use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use super::partitions::{self, Partition};
use super::{BadCursor, Cursor};
use crate::db::{Connector, DatabaseError};

pub use blocker::Blocker;

/// The time after the update of `trimmed_through` within which every node has seen it: at once by the bell, or by the poll once a
/// second, which takes a moment.
const NOTICED_WITHIN: Duration = Duration::from_millis(1200);
/// The number of dedupe keys that one statement deletes.
const KEYS_AT_ONCE: i64 = 10_000;
/// How long to wait for another trim to end, and how often to look.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_POLL: Duration = Duration::from_millis(100);

/// The events to trim.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// All events that are older than this, up to the first that is not.
    Keep(Duration),
    /// All events before this cursor, whose event stays.
    Before(Cursor),
}

/// The options of a trim.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The events to trim.
    pub until: Until,
    /// True to report what a trim would do, and change nothing.
    pub dry_run: bool,
    /// The time that all waits for open transactions may take together.
    pub wait: Duration,
}

/// The progress of a trim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The number of events looked at so far.
    Looked(i64),
    /// The event at this seq is too young. It and all after it stay, even those that are old enough.
    Young(i64, OffsetDateTime),
    /// The safe head. Open transactions hold it back, so nothing after it can be trimmed yet.
    HeldBack(i64),
    /// Events through this seq are gone for every reader, or would be in a dry run.
    Trimmed(i64),
    /// There was nothing to trim. Events through this seq were gone already.
    Nothing(i64),
    /// The number of dedupe keys that were deleted with their events.
    Keys(u64),
    /// The detach of this partition, which an earlier trim began, is being finished.
    Finishing(String),
    /// The trim waits for these transactions.
    Waiting(Vec<Blocker>),
    /// A partition was dropped, or would be in a dry run; with its size in bytes.
    Dropped(String, i64),
    /// A table was not dropped, and the reason.
    Left(String, String),
}

/// The reason for which a trim failed.
#[derive(Debug, thiserror::Error)]
pub enum TrimError {
    /// The database could not be asked.
    #[error("{}", DatabaseError::from(.0))]
    Postgres(#[from] Error),
    /// The role is not the owner of the journal.
    #[error("only the owner of rowcast.events may trim: that is {owner}, and this login is {user}")]
    NotOwner {
        /// The owner of the journal.
        owner: String,
        /// The role of this login.
        user: String,
    },
    /// Another trim is running, with this pid if it is known.
    #[error("another rowcast trim is running{}", .0.map_or_else(String::new, |pid| format!(" (pid {pid} of the server)")))]
    Running(Option<i32>),
    /// The cursor's event is not in this history, or not yet.
    #[error("cursor {0} names no event of this journal")]
    Unknown(Cursor),
    /// The cursor is malformed.
    #[error(transparent)]
    Cursor(#[from] BadCursor),
    /// Open transactions of others took too long.
    #[error(
        "gave up after waiting {limit:?} for {}: events through {trimmed_through} are gone for every reader, their \
         space follows with the next rowcast trim",
        blocker::list(blockers)
    )]
    Waited {
        /// The time that the trim was allowed to wait.
        limit: Duration,
        /// The transactions that it waited for.
        blockers: Vec<Blocker>,
        /// The seq through which events are gone in any case.
        trimmed_through: i64,
    },
    /// A signal has ended the trim.
    #[error("stopped: what is left undone is done by the next rowcast trim")]
    Stopped,
    /// There is a DEFAULT partition, beside which Postgres refuses to detach concurrently.
    #[error(
        "{0} is a DEFAULT partition, beside which Postgres cannot detach without blocking writers: detach it, then \
         trim again for the space"
    )]
    DefaultPartition(String),
}

/// A trim under way: a session that works, and a session that looks which transactions the first one waits for.
struct Trim<'a> {
    client: Client,
    watcher: Client,
    pid: i32,
    limit: Duration,
    deadline: Instant,
    trimmed_through: i64,
    tell: &'a mut (dyn FnMut(Note) + Send),
}

/// Trims, or reports what it would do. Returns the seq through which events are gone, or would be.
pub async fn trim(
    connector: &Connector,
    options: Options,
    stop: impl Future<Output = &'static str>,
    tell: &mut (dyn FnMut(Note) + Send),
) -> Result<i64, TrimError> {
    let mut trim = Trim::begin(connector, options.wait, tell).await?;
    tokio::select! {
        done = Box::pin(trim.run(options)) => return done,
        _ = stop => {}
    }
    // The statement under way may wait for long; a detach that is cancelled is finished by the next trim.
    trim.cancel().await?;
    Err(TrimError::Stopped)
}

impl<'a> Trim<'a> {
    async fn begin(
        connector: &Connector,
        limit: Duration,
        tell: &'a mut (dyn FnMut(Note) + Send),
    ) -> Result<Self, TrimError> {
        let (client, _carrier) = connector.connect().await?;
        let (watcher, _carrier) = connector.connect().await?;
        client
            .batch_execute(
                "set application_name = 'rowcast trim'; set statement_timeout = 0; set lock_timeout = 0; \
                 set default_transaction_isolation = 'read committed'",
            )
            .await?;
        // The server then notices that a trim was killed, and stops waiting for it. Not every platform supports this.
        let _unsupported = client.batch_execute("set client_connection_check_interval = '2s'").await;
        let sql =
            "select pg_backend_pid(), pg_has_role(c.relowner, 'usage'), c.relowner::regrole::text, current_user::text
                     from pg_class c where c.oid = 'rowcast.events'::regclass";
        let row = client.query_typed_one(sql, &[]).await?;
        let (owner, user) = (row.try_get(2)?, row.try_get(3)?);
        if !row.try_get::<_, bool>(1)? {
            return Err(TrimError::NotOwner { owner, user });
        }
        let pid = row.try_get(0)?;
        let deadline = Instant::now() + limit;
        let trim = Self { client, watcher, pid, limit, deadline, trimmed_through: 0, tell };
        trim.lock().await?;
        Ok(trim)
    }

    /// Takes the advisory lock that keeps trims from running at once, for the life of this session. Any login can take it, so a
    /// holder that may not trim is ignored; every step is correct with another trim beside it.
    ///
    /// The session of a trim that has just ended may still be there for a moment.
    async fn lock(&self) -> Result<(), TrimError> {
        let sql = "select pg_try_advisory_lock(hashtextextended('rowcast.trim', 0))";
        let begun = Instant::now();
        loop {
            if self.client.query_typed_one(sql, &[]).await?.try_get(0)? {
                return Ok(());
            }
            if begun.elapsed() >= LOCK_WAIT {
                break;
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
        let sql = "select l.pid, coalesce(pg_has_role(a.usesysid, c.relowner, 'usage'), true)
                     from pg_locks l
                     join pg_class c on c.oid = 'rowcast.events'::regclass
                     left join pg_stat_activity a on a.pid = l.pid
                    where l.locktype = 'advisory' and l.granted and l.objsubid = 1
                      and l.database = (select oid from pg_database where datname = current_database())
                      and (l.classid::bigint << 32) | l.objid::bigint = hashtextextended('rowcast.trim', 0)
                    order by 2 desc";
        let holders = self.client.query_typed(sql, &[]).await?;
        let Some(holder) = holders.first() else { return Err(TrimError::Running(None)) };
        if holder.try_get(1)? { Err(TrimError::Running(holder.try_get(0)?)) } else { Ok(()) }
    }

    async fn run(&mut self, options: Options) -> Result<i64, TrimError> {
        // Before anything is dropped, since new events need a partition.
        if !options.dry_run {
            partitions::ensure_partitions(&self.client).await?;
        }
        let (before, last) = self.decide(options.until).await?;
        self.trimmed_through = last;
        if last > before && !options.dry_run {
            self.move_to(last).await?;
        }
        (self.tell)(if last > before { Note::Trimmed(last) } else { Note::Nothing(last) });
        if options.dry_run {
            for (name, bytes) in self.would_drop().await? {
                (self.tell)(Note::Dropped(name, bytes));
            }
            return Ok(last);
        }
        let noticed = Instant::now() + NOTICED_WITHIN;
        self.take_keys().await?;
        let freed = self.free_space().await;
        if last > before {
            tokio::time::sleep_until(noticed).await;
        }
        freed?;
        Ok(last)
    }

    /// Moves `trimmed_through` and rings the bell. From this commit on the events are gone: for the functions of SQL at once, for
    /// a node as soon as it has looked.
    async fn move_to(&self, last: i64) -> Result<(), TrimError> {
        let sql = "update rowcast.journal_state set trimmed_through = $1, head = greatest(head, $1)
                    where trimmed_through < $1";
        self.client.execute_typed(sql, &[(&last, postgres_types::Type::INT8)]).await?;
        // Nodes still have the events in memory, so the bell tells them to look.
        self.client.batch_execute("select pg_catalog.pg_notify('rowcast', '')").await?;
        Ok(())
    }

    /// Deletes the dedupe keys of trimmed events, in short transactions, so that no append waits long for one.
    async fn take_keys(&mut self) -> Result<(), TrimError> {
        let sql = "delete from rowcast.dedupe_keys where ctid = any (array(
                       select ctid from rowcast.dedupe_keys where seq <= $1 order by seq limit $2))";
        let mut taken = 0;
        loop {
            let values = [
                (&self.trimmed_through as _, postgres_types::Type::INT8),
                (&KEYS_AT_ONCE as _, postgres_types::Type::INT8),
            ];
            match self.client.execute_typed(sql, &values).await? {
                0 => break,
                some => taken += some,
            }
        }
        if taken > 0 {
            (self.tell)(Note::Keys(taken));
        }
        Ok(())
    }

    async fn free_space(&mut self) -> Result<(), TrimError> {
        // No other detach can begin before a pending one is finished.
        for pending in partitions::attached(&self.client).await?.into_iter().filter(|p| p.detach_pending) {
            (self.tell)(Note::Finishing(pending.name.clone()));
            self.run_waiting(&format!("alter table rowcast.events detach partition {} finalize", pending.name)).await?;
        }
        for name in partitions::detached(&self.client).await? {
            self.drop_table(&name, None).await?;
        }
        let attached = partitions::attached(&self.client).await?;
        let (used, last) = (self.sequence_value().await?, self.trimmed_through);
        let mut default = attached.iter().filter(|p| p.is_default);
        for partition in attached.iter().filter(|p| may_drop(p, last, used)) {
            if let Some(default) = default.next() {
                return Err(TrimError::DefaultPartition(default.name.clone()));
            }
            if !partition.ours {
                let why = "it was not made by rowcast.ensure_partitions(), or was altered since: detach it by hand";
                (self.tell)(Note::Left(partition.name.clone(), why.to_owned()));
                continue;
            }
            self.run_waiting(&format!("alter table rowcast.events detach partition {} concurrently", partition.name))
                .await?;
            self.drop_table(&partition.name, Some(partition.bytes)).await?;
        }
        Ok(())
    }

    async fn would_drop(&self) -> Result<Vec<(String, i64)>, TrimError> {
        let used = self.sequence_value().await?;
        let mut all: Vec<_> = partitions::detached(&self.client).await?.into_iter().map(|name| (name, 0)).collect();
        let attached = partitions::attached(&self.client).await?;
        let going = attached.into_iter().filter(|p| p.ours && may_drop(p, self.trimmed_through, used));
        all.extend(going.map(|p| (p.name, p.bytes)));
        Ok(all)
    }

    /// The last value of the sequence. Partitions below it take no new events.
    async fn sequence_value(&self) -> Result<i64, TrimError> {
        let sql = "select coalesce(pg_sequence_last_value('rowcast.events_seq_seq'::regclass), 0)";
        Ok(self.client.query_typed_one(sql, &[]).await?.try_get(0)?)
    }

    /// Drops a table that is detached and surely ours. Once the table is locked, the statement checks again that it is not
    /// attached, since dropping a partition would lock the whole journal, and that it holds no event that is kept.
    async fn drop_table(&mut self, name: &str, bytes: Option<i64>) -> Result<(), TrimError> {
        let sql = format!(
            "do $do$ begin
                lock table {name} in access exclusive mode;
                if (select relispartition from pg_class where oid = '{name}'::regclass) then
                    raise exception 'it is attached again' using errcode = 'object_not_in_prerequisite_state';
                end if;
                if exists (select from {name} where seq > (select trimmed_through from rowcast.journal_state)) then
                    raise exception 'it holds events that are not trimmed'
                        using errcode = 'object_not_in_prerequisite_state';
                end if;
                drop table {name};
            end $do$"
        );
        match self.run_waiting(&sql).await {
            Ok(()) => (self.tell)(Note::Dropped(name.to_owned(), bytes.unwrap_or(0))),
            Err(TrimError::Postgres(error)) if must_stay(&error) => {
                let why = error.as_db_error().map_or_else(String::new, |db| db.message().to_owned());
                (self.tell)(Note::Left(name.to_owned(), why));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// True if all of a partition is trimmed, and the sequence has left it.
fn may_drop(partition: &Partition, trimmed_through: i64, used: i64) -> bool {
    partition.upper.is_some_and(|upper| upper <= trimmed_through.saturating_add(1) && upper <= used)
}

/// True if an error means that the table must stay: a check of [`Trim::drop_table`] failed, or another object depends on it.
fn must_stay(error: &Error) -> bool {
    let code = error.code();
    code == Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE) || code == Some(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST)
}
