//! Names the transactions that hold the stream back: each has inserted into the journal and is still open. A blocker blocks no
//! writer, but its seqs stay undecided.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use postgres_types::Type;
use time::OffsetDateTime;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use super::fence::Holder;

/// A transaction that holds the stream back, as far as this login may know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// The transaction, as the lock table names it.
    pub transaction: String,
    /// The server process; none when it is prepared.
    pub pid: Option<i32>,
    /// The name of a prepared transaction.
    pub gid: Option<String>,
    /// Its `application_name`.
    pub application: Option<String>,
    /// Its user.
    pub user: Option<String>,
    /// Where it comes from; none for a socket, or where rights to see it are missing.
    pub address: Option<String>,
    /// The state of its session: `idle in transaction`, `active`, …
    pub state: Option<String>,
    /// How long it has been idle within its transaction.
    pub idle_for: Option<Duration>,
    /// When its transaction began; none where rights to see it are missing.
    pub since: Option<OffsetDateTime>,
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.gid, self.pid) {
            (Some(gid), _) => write!(f, "prepared transaction {gid:?}")?,
            (None, Some(pid)) => write!(f, "pid {pid}")?,
            (None, None) => write!(f, "transaction {}", self.transaction)?,
        }
        for (label, value) in [("application", &self.application), ("user", &self.user), ("from", &self.address)] {
            if let Some(value) = value.as_deref().filter(|v| !v.is_empty()) {
                write!(f, ", {label} {value:?}")?;
            }
        }
        if let Some(state) = &self.state {
            write!(f, ", {state}")?;
        }
        Ok(())
    }
}

/// A prepared transaction keeps the virtual transaction of the session that prepared it, and shows as `-1/xid` after a
/// restart; its own transaction id is in the lock table too, and leads to its name.
const BLOCKERS: &str = "\
    select l.virtualtransaction, l.pid, x.gid, a.application_name, a.usename::text, host(a.client_addr), a.state, \
           extract(epoch from clock_timestamp() - a.state_change)::float8, \
           coalesce(x.prepared, a.xact_start) \
      from (select virtualtransaction, pid from rowcast.writers \
             where virtualtransaction = any ($1) and pg_catalog.pg_postmaster_start_time() = $2) l \
      left join pg_catalog.pg_stat_activity a on a.pid = l.pid \
      left join pg_catalog.pg_locks t on l.pid is null and t.locktype = 'transactionid' and t.granted \
            and t.mode = 'ExclusiveLock' and t.virtualtransaction = l.virtualtransaction \
      left join pg_catalog.pg_prepared_xacts x on x.transaction = t.transactionid \
     order by 9 nulls last limit 16";

/// Describes the holders, the oldest first. Answers with none if the server was not started at `started`: there the same virtual
/// transactions belong to others.
pub(super) async fn name(
    client: &Client,
    holders: &BTreeSet<Holder>,
    started: OffsetDateTime,
) -> Result<Vec<Blocker>, Error> {
    let holders: Vec<&str> = holders.iter().map(String::as_str).collect();
    let rows = client.query_typed(BLOCKERS, &[(&holders, Type::TEXT_ARRAY), (&started, Type::TIMESTAMPTZ)]).await?;
    rows.iter()
        .map(|row| {
            let state: Option<String> = row.try_get(6)?;
            let idle: Option<f64> = row.try_get(7)?;
            let is_idle = state.as_deref().is_some_and(|s| s.starts_with("idle in transaction"));
            Ok(Blocker {
                transaction: row.try_get(0)?,
                pid: row.try_get(1)?,
                gid: row.try_get(2)?,
                application: row.try_get(3)?,
                user: row.try_get(4)?,
                address: row.try_get(5)?,
                idle_for: idle.filter(|_| is_idle).and_then(|s| Duration::try_from_secs_f64(s).ok()),
                since: row.try_get(8)?,
                state,
            })
        })
        .collect()
}

/// Ends the session of a blocker, if the server was started at `started`. False if the session has gone already, the server is
/// another, or this login may not end it.
pub(super) async fn terminate(client: &Client, pid: i32, started: OffsetDateTime) -> Result<bool, Error> {
    let sql = "select pg_catalog.pg_terminate_backend($1) where pg_catalog.pg_postmaster_start_time() = $2";
    match client.query_typed(sql, &[(&pid, Type::INT4), (&started, Type::TIMESTAMPTZ)]).await {
        Ok(rows) => rows.first().map_or(Ok(false), |row| row.try_get(0)),
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            // The connection is as good as before; the stream goes on waiting.
            tracing::warn!(pid, %error, "this login may not end the session: grant it pg_signal_backend, and let no superuser insert");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
