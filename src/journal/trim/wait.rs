//! Statements that wait for the transactions of others, with one limit for all waits, and notes on whom they wait for.

use std::time::Duration;

use postgres_types::Type;
use tokio::time::Instant;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use super::blocker::Blocker;
use super::{Note, Trim, TrimError};

/// The interval at which the watcher looks whom the statement waits for.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

impl Trim<'_> {
    /// Runs one statement that may wait, until it is done or the limit on all waits is reached. The server itself then ends the
    /// statement, so no lock stays behind even if this process is gone.
    pub(super) async fn run_waiting(&mut self, sql: &str) -> Result<(), TrimError> {
        let left = self.deadline.saturating_duration_since(Instant::now()).as_millis().clamp(1, 2_147_483_647);
        self.client.batch_execute(&format!("set statement_timeout = {left}")).await?;
        let mut seen = Vec::new();
        let mut work = std::pin::pin!(self.client.batch_execute(sql));
        let done = loop {
            tokio::select! {
                done = &mut work => break done,
                () = tokio::time::sleep(LOOK_INTERVAL) => {
                    // A look that fails must not end the statement.
                    let blockers = blockers(&self.watcher, self.pid).await.unwrap_or_default();
                    if !blockers.is_empty() && blockers != seen {
                        (self.tell)(Note::Waiting(blockers.clone()));
                        seen = blockers;
                    }
                }
            }
        };
        match done {
            Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => {
                Err(TrimError::Waited { limit: self.limit, blockers: seen, trimmed_through: self.trimmed_through })
            }
            other => Ok(other?),
        }
    }

    /// Cancels the statement of the working session.
    pub(super) async fn cancel(&self) -> Result<(), TrimError> {
        self.watcher.query_typed("select pg_cancel_backend($1)", &[(&self.pid, Type::INT4)]).await?;
        Ok(())
    }
}

async fn blockers(watcher: &tokio_postgres::Client, pid: i32) -> Result<Vec<Blocker>, Error> {
    let sql = "select nullif(b.pid, 0), coalesce(a.application_name, p.gid, ''), a.state,
                      to_char(coalesce(a.xact_start, p.prepared) at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
                 from unnest(pg_blocking_pids($1)) b (pid)
                 left join pg_stat_activity a on a.pid = b.pid
                 left join lateral (select gid, prepared from pg_prepared_xacts
                                     where database = current_database() order by prepared limit 1) p on b.pid = 0
                order by 1 limit 16";
    let rows = watcher.query_typed(sql, &[(&pid, Type::INT4)]).await?;
    let read = |row: &tokio_postgres::Row| {
        let (application, state): (String, Option<String>) = (row.try_get(1)?, row.try_get(2)?);
        let said: Vec<String> = [Some(application), state].into_iter().flatten().filter(|s| !s.is_empty()).collect();
        Ok(Blocker { pid: row.try_get(0)?, application: said.join(", "), since: row.try_get(3)? })
    };
    rows.iter().map(read).collect()
}
