//! The SQL statements of the tail. No transaction stays open between polls: it would hold back vacuum and the queue of
//! notifications. Statements are unnamed, so that they work through a pooler that gives each transaction another server
//! connection. Those of the look and the bell are prepared once the session is proven to be ours alone.

use std::collections::BTreeSet;

use postgres_types::Type;
use tokio::sync::Notify;
use tokio_postgres::{Client, Error, Row, Statement};
use uuid::Uuid;

use super::fence::Holder;
use crate::db::DatabaseError;
use crate::journal::{BEGIN, Batch, Budget, JournalIdentity, SILENCE, collect, range_sql, read_range};

/// The server as it was when the connection began. Every look finds out whether it still is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// The journal that is followed.
    pub(super) identity: JournalIdentity,
    /// The backend that answered last. Behind a pooler it may change.
    pub(super) backend_pid: i32,
    /// The pids of the server's auxiliary processes. A crash that the postmaster survives starts all of them anew. Virtual
    /// transactions begin anew then too, and nothing else shows it.
    auxiliary_pids: Vec<i32>,
}

/// One reading of the sequence: its last number, and the server that it was read from.
#[derive(Debug)]
pub(super) struct SequenceReading {
    identity: JournalIdentity,
    /// How far the sequence was drawn.
    pub(super) drawn: i64,
    backend_pid: i32,
    /// Asked for only when the backend has changed, since the query takes time for each session of the server.
    auxiliary_pids: Option<Vec<i32>>,
}

impl Server {
    /// True if a reading came from this server, not restarted since, so that what is known of its transactions still holds. A session
    /// that is ours alone is served by one process for as long as it lasts.
    pub(super) fn is_source_of(&mut self, reading: &SequenceReading, session_is_ours: bool) -> bool {
        let is_same_process = reading.backend_pid == self.backend_pid;
        let is_same_start =
            is_same_process || (!session_is_ours && reading.auxiliary_pids.as_ref() == Some(&self.auxiliary_pids));
        if reading.identity != self.identity || !is_same_start {
            return false;
        }
        self.backend_pid = reading.backend_pid;
        true
    }
}

/// One look: first at the sequence, then at the lock table.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) reading: SequenceReading,
    pub(super) holders: BTreeSet<Holder>,
    /// Whether the whole look was answered by one table. If not, the rows must not be used.
    pub(super) is_one_table: bool,
    /// The newest seq that retention had taken when the rows had been read: rows up to it may be missing.
    pub(super) trimmed: i64,
}

const AUXILIARY_PIDS: &str = "array(select pid from pg_catalog.pg_stat_get_activity(null) \
     where datid is null and usesysid is null order by pid)";

/// The beginning of a look: where the sequence is, and whose it is. `$1` is the process that answered last.
fn look_sql(more: &str) -> String {
    format!(
        "select {}, pg_catalog.pg_backend_pid(), case when pg_catalog.pg_backend_pid() = $1 then null \
           else {AUXILIARY_PIDS} end{more} \
           from {}",
        JournalIdentity::COLUMNS,
        JournalIdentity::FROM,
    )
}

impl SequenceReading {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let (identity, drawn) = JournalIdentity::from_row(row)?;
        let (backend_pid, auxiliary_pids) = (row.try_get(AFTER_IDENTITY)?, row.try_get(AFTER_IDENTITY + 1)?);
        Ok(Self { identity, drawn, backend_pid, auxiliary_pids })
    }
}

const AFTER_IDENTITY: usize = JournalIdentity::WIDTH;

/// The end of a look: asks whether backend and table are still the same, and what retention has taken.
const IS_SAME: &str = "select pg_catalog.pg_backend_pid() = $1 and pg_catalog.to_regclass('rowcast.events')::oid = $2, \
     (select trimmed_through from rowcast.journal_state)";

/// The view names those who hold the lock that an insert takes before it draws a number and keeps until its commit is visible.
const HOLDERS: &str = "select virtualtransaction from rowcast.writers";

/// Any login can fill the queue of notifications, and a statement that notifies fails then. So nobody rings while half of it is full.
pub(super) const QUEUE_HAS_ROOM: &str = "pg_catalog.pg_notification_queue_usage() < 0.5";

fn ring_sql() -> String {
    format!("select pg_catalog.pg_notify('rowcast', $1::text) where {QUEUE_HAS_ROOM}")
}

/// The statements of the look and the bell, prepared. They took two thirds of the server's time for a look to plan
/// (0.25 ms against 0.1), which is what one row waits for, and what writers lack under load.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    look: Statement,
    holders: Statement,
    rows: Statement,
    is_same: Statement,
    ring: Statement,
}

async fn query_one_row(client: &Client, sql: &str) -> Result<Row, Error> {
    // Statements without parameters that return one row each: an empty answer would be a fault of Postgres itself.
    client.query_typed_one(sql, &[]).await
}

/// Reads the identity of the server, when a connection begins.
pub(super) async fn server(client: &Client) -> Result<Server, Error> {
    let sql = format!(
        "select {}, pg_catalog.pg_backend_pid(), {AUXILIARY_PIDS} from {}",
        JournalIdentity::COLUMNS,
        JournalIdentity::FROM
    );
    let row = query_one_row(client, &sql).await?;
    let SequenceReading { identity, backend_pid, auxiliary_pids, .. } = SequenceReading::from_row(&row)?;
    Ok(Server { identity, backend_pid, auxiliary_pids: auxiliary_pids.unwrap_or_default() })
}

/// What a tail that rests asks once a second.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) reading: SequenceReading,
    /// The newest seq that retention has taken.
    pub(super) trimmed: i64,
    /// Whether the bell is hushed for longer than any tail hushes it.
    pub(super) is_hushed_too_long: bool,
}

/// The statement that is run once a second while no bell comes. If the sequence has not moved, there is nothing to do.
pub(super) async fn idle(client: &Client, server: &Server) -> Result<Idle, Error> {
    let sql = look_sql(&format!(", (select trimmed_through from rowcast.journal_state), {HUSH_LEFT} > $2"));
    let row =
        client.query_typed_one(&sql, &[(&server.backend_pid, Type::INT4), (&LONGEST_HUSH_MS, Type::INT4)]).await?;
    Ok(Idle {
        reading: SequenceReading::from_row(&row)?,
        trimmed: row.try_get(AFTER_IDENTITY + 2)?,
        is_hushed_too_long: row.try_get(AFTER_IDENTITY + 3)?,
    })
}

async fn look(client: &Client, server: &Server) -> Result<SequenceReading, Error> {
    SequenceReading::from_row(&client.query_typed_one(&look_sql(""), &[(&server.backend_pid, Type::INT4)]).await?)
}

async fn holders(client: &Client) -> Result<BTreeSet<Holder>, Error> {
    holders_of(&client.query_typed(HOLDERS, &[]).await?)
}

/// The end of a look within a transaction, which one backend runs: asks for the table alone.
async fn is_same(client: &Client, server: &Server) -> Result<(Option<bool>, i64), Error> {
    let sql = "select pg_catalog.to_regclass('rowcast.events')::oid = $1, \
                      (select trimmed_through from rowcast.journal_state)";
    let row = client.query_typed_one(sql, &[(&server.identity.journal(), Type::OID)]).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

fn holders_of(rows: &[Row]) -> Result<BTreeSet<Holder>, Error> {
    rows.iter().map(|row| row.try_get(0)).collect()
}

impl Prepared {
    /// On a session that is ours alone, after [`configure_session`].
    pub(super) async fn new(client: &Client) -> Result<Self, Error> {
        Ok(Self {
            look: client.prepare_typed(&look_sql(""), &[Type::INT4]).await?,
            holders: client.prepare(HOLDERS).await?,
            rows: client.prepare(&range_sql()).await?,
            is_same: client.prepare_typed(IS_SAME, &[Type::INT4, Type::OID]).await?,
            ring: client.prepare(&ring_sql()).await?,
        })
    }

    async fn look(&self, client: &Client, server: &Server) -> Result<SequenceReading, Error> {
        SequenceReading::from_row(&client.query_one(&self.look, &[&server.backend_pid]).await?)
    }

    async fn holders(&self, client: &Client) -> Result<BTreeSet<Holder>, Error> {
        holders_of(&client.query(&self.holders, &[]).await?)
    }

    async fn is_same(&self, client: &Client, server: &Server) -> Result<(Option<bool>, i64), Error> {
        let row = client.query_one(&self.is_same, &[&server.backend_pid, &server.identity.journal()]).await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }

    async fn rows(&self, client: &Client, after: i64, upto: i64, budget: Budget) -> Result<Batch, DatabaseError> {
        collect(client.query_raw(&self.rows, [after, upto, budget.rows, budget.bytes]), upto, budget).await
    }
}

/// A look, and in the same round trip the rows that follow `after`, up to `window`: the three statements go out in this
/// order and the server runs them in this order, each with a snapshot of its own: sequence, locks, rows. So the rows up to the
/// seq that the look decides are final. `biased` keeps the order. A fourth statement reads after the rows what retention has
/// taken, which retention writes before it takes anything.
///
/// All of them must be answered by one server and one table. A session that is ours alone is asked at the end who it is; any
/// other does all of it in one transaction, which no pooler divides, and is asked for the table alone, whose lock the rows hold.
///
/// The rows may take long as a whole: each must come within [`SILENCE`] of the one before, and the last answer within it of the
/// last row.
pub(super) async fn look_and_read(
    client: &Client,
    prepared: Option<&Prepared>,
    server: &Server,
    after: i64,
    window: i64,
    budget: Budget,
) -> Result<(Look, Batch), DatabaseError> {
    let rows_ended = Notify::new();
    let rows = async {
        let rows = match prepared {
            Some(prepared) => prepared.rows(client, after, window, budget).await,
            None => read_range(client, after, window, budget).await,
        };
        rows_ended.notify_one();
        rows
    };
    let all = async {
        match prepared {
            Some(prepared) => tokio::try_join!(
                biased;
                async { Ok(prepared.look(client, server).await?) },
                async { Ok(prepared.holders(client).await?) },
                rows,
                async { Ok(prepared.is_same(client, server).await?) },
            ),
            None => {
                let (_, reading, holders, rows, is_same, _) = tokio::try_join!(
                    biased;
                    async { Ok(client.batch_execute(BEGIN).await?) },
                    async { Ok(look(client, server).await?) },
                    async { Ok(holders(client).await?) },
                    rows,
                    async { Ok(is_same(client, server).await?) },
                    async { Ok(client.batch_execute("commit").await?) },
                )?;
                Ok((reading, holders, rows, is_same))
            }
        }
    };
    let late = async {
        rows_ended.notified().await;
        tokio::time::sleep(SILENCE).await;
    };
    let (reading, holders, rows, (is_same, trimmed)) = tokio::select! {
        all = Box::pin(all) => all?,
        () = late => return Err(DatabaseError::Slow(SILENCE)),
    };
    Ok((Look { reading, holders, is_one_table: is_same == Some(true), trimmed }, rows))
}

/// The events between two seqs, both included: their seqs and ids.
pub(super) async fn ids(client: &Client, first: i64, last: i64) -> Result<Vec<(i64, Uuid)>, Error> {
    let sql = "select seq, id from rowcast.events where seq >= $1 and seq <= $2 order by seq";
    let rows = client.query_typed(sql, &[(&first, Type::INT8), (&last, Type::INT8)]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// The head last written and what retention took.
pub(super) async fn state(client: &Client) -> Result<(i64, i64), Error> {
    let row = query_one_row(client, "select head, trimmed_through from rowcast.journal_state").await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Writes the head down, unless another node was faster. Not into another journal, where it might be a head that was never
/// decided and would stand for ever.
pub(super) async fn write_head(client: &Client, server: &Server, head: i64) -> Result<(), Error> {
    let sql = "update rowcast.journal_state set head = $1 \
                where head < $1 and $1 <= pg_catalog.pg_sequence_last_value('rowcast.events_seq_seq'::pg_catalog.regclass) \
                  and pg_catalog.pg_postmaster_start_time() = $2 \
                  and pg_catalog.to_regclass('rowcast.events')::oid = $3 \
                  and $4 = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())";
    let identity = &server.identity;
    let (started, journal, database) = (identity.started(), identity.journal(), identity.database());
    let values: [(&(dyn postgres_types::ToSql + Sync), Type); 4] =
        [(&head, Type::INT8), (&started, Type::TIMESTAMPTZ), (&journal, Type::OID), (&database, Type::OID)];
    client.execute_typed(sql, &values).await.map(drop)
}

/// Ends the transaction of a reading that was given up halfway, if there is one.
pub(super) async fn end_transaction(client: &Client) -> Result<(), Error> {
    client.batch_execute("rollback").await
}

/// Begins to listen.
pub(super) async fn listen(client: &Client) -> Result<(), Error> {
    client.batch_execute("listen rowcast").await
}

/// Changes the settings of a session that is known to be ours alone. The keepalives let the server notice soon that a node is cut
/// off. Commits are asynchronous, since neither a bell nor the deadline of a hush need wait for the disk. A prepared statement is
/// planned once for all seqs, so the plan must not follow the present size of a partition: it goes by the primary key, in order.
pub(super) async fn configure_session(client: &Client) -> Result<(), Error> {
    client
        .batch_execute(
            "set tcp_keepalives_idle = 5; set tcp_keepalives_interval = 2; set tcp_keepalives_count = 3; \
             set tcp_user_timeout = 10000; set synchronous_commit = off; set plan_cache_mode = force_generic_plan; \
             set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off; set jit = off",
        )
        .await
}

/// How long one hush lasts by the database's clock, in milliseconds, unless it is put off again. No longer than the longest sleep of
/// a tail: a node that dies while it hushes keeps the bell from the others for no longer than they sleep without one.
const HUSH_MS: i32 = 1000;

/// A deadline that lies further ahead than this, in milliseconds, is no tail's: the clock was set back, or it comes from a dump.
const LONGEST_HUSH_MS: i32 = 2 * HUSH_MS;

/// The deadline of a hush that begins now.
const NEXT_DEADLINE: &str =
    "pg_catalog.floor(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000)::int8 + $1";

/// How far ahead the deadline lies, in milliseconds. Writers ring no bell while that is more than nothing.
const HUSH_LEFT: &str = "coalesce(\
     pg_catalog.pg_sequence_last_value('rowcast.hush_deadline'::pg_catalog.regclass) \
     - pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000, 0)";

/// Hushes the bell until a deadline, unless another node has done so: that one rings a bell for each batch.
pub(super) async fn hush(client: &Client) -> Result<bool, Error> {
    let sql = format!("select pg_catalog.setval('rowcast.hush_deadline', {NEXT_DEADLINE}) where {HUSH_LEFT} <= 0");
    Ok(!client.query_typed(&sql, &[(&HUSH_MS, Type::INT4)]).await?.is_empty())
}

/// Puts off the deadline of a hush that this node has begun.
pub(super) async fn prolong_hush(client: &Client) -> Result<(), Error> {
    let sql = format!("select pg_catalog.setval('rowcast.hush_deadline', {NEXT_DEADLINE})");
    client.query_typed(&sql, &[(&HUSH_MS, Type::INT4)]).await.map(drop)
}

/// Ends the hush of any node, and then rings. A writer that skipped the bell until now holds the lock of writers, so the fence
/// that each node takes after this bell waits for it.
pub(super) async fn end_hush(client: &Client) -> Result<(), Error> {
    client.batch_execute("select pg_catalog.setval('rowcast.hush_deadline', 0)").await?;
    ring(client, None, None).await
}

/// Ends a hush that a node left behind which died, or whose connection was lost. A node that does hush at the moment puts its deadline off again, and hears bells until then.
pub(super) async fn end_leftover_hush(client: &Client) -> Result<(), Error> {
    let sql = format!("select 1 where {HUSH_LEFT} > 0");
    if client.query_typed(&sql, &[]).await?.is_empty() { Ok(()) } else { end_hush(client).await }
}

/// Rings for the other nodes, with the newest seq that this one has handed out, if it has.
pub(super) async fn ring(client: &Client, prepared: Option<&Prepared>, seq: Option<i64>) -> Result<(), Error> {
    let seq = seq.map_or_else(String::new, |seq| seq.to_string());
    match prepared {
        Some(prepared) => client.query(&prepared.ring, &[&seq]).await.map(drop),
        None => client.query_typed(&ring_sql(), &[(&seq, Type::TEXT)]).await.map(drop),
    }
}
