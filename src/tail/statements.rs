//! What the tail says to Postgres. Every statement is a transaction of its own, so that nothing stays open between polls:
//! an open transaction would hold back vacuum and the queue of notifications. Every statement is unnamed too, so that it
//! works through a pooler that gives each transaction another server connection; only once the session is proven to be
//! ours alone are those of the look prepared.

use std::collections::BTreeSet;

use postgres_types::Type;
use tokio_postgres::{Client, Error, Row, Statement};
use uuid::Uuid;

use super::fence::Holder;
use crate::journal::{StoredEvent, range_sql, read_range};

/// What does not change while a connection lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// The process that serves this connection.
    pub(super) process: i32,
    /// The table's and the database's numbers in the lock table.
    journal: u32,
    database: u32,
    /// The advisory lock that silences the bell.
    hush_key: i64,
    /// A standby's sequence runs ahead of its rows and its lock table is not the primary's.
    pub(super) is_standby: bool,
    /// Which history this is, so that another one is noticed.
    pub(super) history: History,
}

/// A cluster and its timeline: a restored or promoted database has another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct History {
    system: String,
    timeline: String,
}

/// One look: first at the sequence, then at the lock table.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) upto: i64,
    pub(super) holders: BTreeSet<Holder>,
}

/// Never `select last_value from` the sequence: that reads without the buffer's lock, and every 32 numbers `nextval` writes
/// there for a moment what it logs, which is 32 more than anybody has drawn. This reads under the lock.
const SEQUENCE: &str =
    "select coalesce(pg_catalog.pg_sequence_last_value('rowcast.events_seq_seq'::pg_catalog.regclass), 0)";

const HOLDERS: &str = "select distinct virtualtransaction from pg_catalog.pg_locks \
     where locktype = 'relation' and relation = $1 and database = $2 and mode = 'RowExclusiveLock' and granted";

const RING: &str = "select pg_catalog.pg_notify('rowcast', $1::text)";

/// The statements of the look and the bell, prepared. They took two thirds of the server's time for a look to plan
/// (0.25 ms against 0.1), which is what one row waits for, and what writers lack under load.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    sequence: Statement,
    holders: Statement,
    rows: Statement,
    ring: Statement,
}

async fn one(client: &Client, sql: &str) -> Result<Row, Error> {
    // Statements without parameters that return one row each: an empty answer would be a fault of Postgres itself.
    client.query_typed_one(sql, &[]).await
}

pub(super) async fn server(client: &Client) -> Result<Server, Error> {
    let row = one(
        client,
        "select pg_backend_pid(), 'rowcast.events'::regclass::oid, d.oid, rowcast.hush_key(), pg_is_in_recovery(), \
                c.system_identifier::text, \
                case when pg_is_in_recovery() then '' else left(pg_walfile_name(pg_current_wal_lsn()), 8) end \
           from pg_catalog.pg_database d, pg_catalog.pg_control_system() c where d.datname = current_database()",
    )
    .await?;
    Ok(Server {
        process: row.try_get(0)?,
        journal: row.try_get(1)?,
        database: row.try_get(2)?,
        hush_key: row.try_get(3)?,
        is_standby: row.try_get(4)?,
        history: History { system: row.try_get(5)?, timeline: row.try_get(6)? },
    })
}

/// Reads the sequence alone.
pub(super) async fn sequence(client: &Client) -> Result<i64, Error> {
    one(client, SEQUENCE).await?.try_get(0)
}

/// What is asked once a second when nothing rings: where the sequence is (when it has not moved and nothing is pending, there
/// is nothing to do), and what retention took.
pub(super) async fn idle(client: &Client) -> Result<(i64, i64), Error> {
    let row = one(client, &format!("{SEQUENCE}, trimmed_through from rowcast.journal_state")).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

async fn holders(client: &Client, server: &Server) -> Result<BTreeSet<Holder>, Error> {
    let parameters: [(&(dyn postgres_types::ToSql + Sync), Type); 2] =
        [(&server.journal, Type::OID), (&server.database, Type::OID)];
    names(&client.query_typed(HOLDERS, &parameters).await?)
}

fn names(rows: &[Row]) -> Result<BTreeSet<Holder>, Error> {
    rows.iter().map(|row| row.try_get(0)).collect()
}

impl Prepared {
    /// On a session that is ours alone, after [`settle`].
    pub(super) async fn new(client: &Client) -> Result<Self, Error> {
        Ok(Self {
            sequence: client.prepare(SEQUENCE).await?,
            holders: client.prepare(HOLDERS).await?,
            rows: client.prepare(&range_sql()).await?,
            ring: client.prepare(RING).await?,
        })
    }

    async fn sequence(&self, client: &Client) -> Result<i64, Error> {
        client.query_one(&self.sequence, &[]).await?.try_get(0)
    }

    async fn holders(&self, client: &Client, server: &Server) -> Result<BTreeSet<Holder>, Error> {
        names(&client.query(&self.holders, &[&server.journal, &server.database]).await?)
    }

    async fn rows(&self, client: &Client, after: i64, upto: i64, limit: i64) -> Result<Vec<StoredEvent>, Error> {
        client.query(&self.rows, &[&after, &upto, &limit]).await?.iter().map(StoredEvent::from_row).collect()
    }
}

/// A look, and in the same round trip the rows that follow `after`, up to `window`: the three statements go out in this
/// order and the server runs them in it, each with a snapshot of its own. What the rows show up to where the look
/// decides is final. The order of the three is the whole point: `biased` holds it.
pub(super) async fn look_and_read(
    client: &Client,
    prepared: Option<&Prepared>,
    server: &Server,
    after: i64,
    window: i64,
    limit: i64,
) -> Result<(Look, Vec<StoredEvent>), Error> {
    let (upto, holders, rows) = match prepared {
        Some(prepared) => tokio::join!(
            biased;
            prepared.sequence(client),
            prepared.holders(client, server),
            prepared.rows(client, after, window, limit),
        ),
        None => tokio::join!(
            biased;
            sequence(client),
            holders(client, server),
            read_range(client, after, window, limit),
        ),
    };
    Ok((Look { upto: upto?, holders: holders? }, rows?))
}

/// The newest event at or below a seq: its seq and its id.
pub(super) async fn newest(client: &Client, upto: i64) -> Result<Option<(i64, Uuid)>, Error> {
    let sql = "select seq, id from rowcast.events where seq <= $1 order by seq desc limit 1";
    let rows = client.query_typed(sql, &[(&upto, Type::INT8)]).await?;
    rows.first().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// The events between two seqs, both included: their seqs and ids.
pub(super) async fn ids(client: &Client, first: i64, last: i64) -> Result<Vec<(i64, Uuid)>, Error> {
    let sql = "select seq, id from rowcast.events where seq >= $1 and seq <= $2 order by seq";
    let rows = client.query_typed(sql, &[(&first, Type::INT8), (&last, Type::INT8)]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// The head last written and what retention took.
pub(super) async fn state(client: &Client) -> Result<(i64, i64), Error> {
    let row = one(client, "select head, trimmed_through from rowcast.journal_state").await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Writes the head down, unless another node was faster.
pub(super) async fn write_head(client: &Client, head: i64) -> Result<(), Error> {
    let sql = "update rowcast.journal_state set head = $1 where head < $1";
    client.execute_typed(sql, &[(&head, Type::INT8)]).await.map(drop)
}

/// Begins to listen.
pub(super) async fn listen(client: &Client) -> Result<(), Error> {
    client.batch_execute("listen rowcast").await
}

/// Settings of a session that is known to be ours alone. A cut-off node must not keep the hush, and a bell that the
/// tail rings for the other nodes need not wait for the disk. What is prepared is planned once for whatever seqs, so it
/// must not be planned for the size that a partition has at that moment: everything goes by the primary key, in order.
pub(super) async fn settle(client: &Client) -> Result<(), Error> {
    client
        .batch_execute(
            "set tcp_keepalives_idle = 5; set tcp_keepalives_interval = 2; set tcp_keepalives_count = 3; \
             set tcp_user_timeout = 10000; set synchronous_commit = off; set plan_cache_mode = force_generic_plan; \
             set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off; set jit = off",
        )
        .await
}

/// Tries to silence the bell. While this node holds the hush its session ends when it says nothing for a second.
pub(super) async fn hush(client: &Client, server: &Server) -> Result<bool, Error> {
    client.batch_execute("set idle_session_timeout = '1s'").await?;
    let sql = "select pg_catalog.pg_try_advisory_lock($1)";
    let row = client.query_typed_one(sql, &[(&server.hush_key, Type::INT8)]).await?;
    let hushed: bool = row.try_get(0)?;
    if !hushed {
        client.batch_execute("reset idle_session_timeout").await?;
    }
    Ok(hushed)
}

/// Gives the hush back.
pub(super) async fn unhush(client: &Client, server: &Server) -> Result<(), Error> {
    let sql = "select pg_catalog.pg_advisory_unlock($1)";
    client.query_typed_one(sql, &[(&server.hush_key, Type::INT8)]).await?;
    client.batch_execute("reset idle_session_timeout").await
}

/// Rings for the other nodes.
pub(super) async fn ring(client: &Client, prepared: Option<&Prepared>, seq: i64) -> Result<(), Error> {
    let seq = seq.to_string();
    match prepared {
        Some(prepared) => client.query_one(&prepared.ring, &[&seq]).await.map(drop),
        None => client.query_typed_one(RING, &[(&seq, Type::TEXT)]).await.map(drop),
    }
}
