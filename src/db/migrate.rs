//! Brings the schema up to date, and tells whether it is.
//!
//! The migrations under `sql/migrations` are embedded; the refinery CLI runs the same files and leaves the same
//! history. refinery takes no lock of its own, so this does: any number of nodes may start at once.
//!
//! [`status`] uses unnamed statements, since a pooler in transaction mode may prepare a named one on one server connection and
//! run it on another. [`run`] holds a session lock, and needs a direct connection.

use std::time::{Duration, Instant};

use refinery::Migration;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

mod embedded {
    refinery::embed_migrations!("sql/migrations");
}

/// The advisory lock that a migrating session holds. The number is arbitrary, and must not change.
const LOCK_KEY: i64 = 0x726f_7763_6173_7401;
/// How long to wait for another node that migrates, and how often to look.
const LOCK_LIMIT: Duration = Duration::from_secs(600);
const LOCK_POLL: Duration = Duration::from_millis(200);
/// How often to retry, and after which delay, when another node may be migrating at the same time. A migration and its line in
/// the history are one transaction, so of two nodes one fails, and finds the migration applied when it retries.
const ATTEMPTS: u32 = 10;
const ATTEMPT_DELAY: Duration = Duration::from_millis(500);

/// How long a reader of the history waits for a lock.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// The checksum of version 1 in databases that were migrated before the first release, whose 23 migrations were replaced by the
/// present ones.
const PRERELEASE_FIRST: &str = "15130496798690391359";

/// How the database's history compares with the migrations of this binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Exactly the migrations of this binary are applied.
    Current,
    /// These migrations are still to be applied.
    Behind(Vec<String>),
    /// The database has newer migrations, up to this version, and allows this binary to serve it.
    Ahead(u32),
}

/// Why a schema cannot be used or brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database could not be asked.
    #[error("the migration history cannot be read: {0}")]
    Postgres(#[from] Error),
    /// refinery or one of the migrations failed.
    #[error("migrating failed: {0}")]
    Refinery(String),
    /// The server is a standby.
    #[error("this server is a standby and takes no changes: let DATABASE_URL name its primary, and migrate there")]
    Standby,
    /// The database takes no changes.
    #[error(
        "this database takes no changes, since default_transaction_read_only is on: switch it off for this login \
         (alter role … set default_transaction_read_only = off), then migrate"
    )]
    ReadOnly,
    /// Somebody holds the tables that tell what is applied, or waits for a lock that keeps readers out. Any login can: Postgres takes the
    /// lock of a table before it looks at rights.
    #[error("the history of migrations is locked, by {0}; end that session, then try again")]
    HistoryLocked(String),
    /// Somebody else held the lock all the time.
    #[error("another node has been migrating this database for {0:?} ({1}); try again when it is done")]
    Locked(Duration, String),
    /// A migration was changed after it was applied.
    #[error("V{version}__{name} was applied with another content than this binary's: {advice}")]
    Divergent {
        /// Its version.
        version: u32,
        /// Its name, as this binary knows it.
        name: String,
        /// What to do.
        advice: &'static str,
    },
    /// The database has the migrations of before the first release.
    #[error(
        "this database was migrated by a Rowcast before 0.1.0, whose migrations were replaced: \
         nothing was changed in it, and `rowcast migrate` needs an empty database to begin anew"
    )]
    Prerelease,
    /// The database needs a newer binary.
    #[error(
        "the database is at V{database} and needs a binary that knows V{needed}; this one knows V{binary}: \
         use a newer rowcast"
    )]
    TooOld {
        /// The newest migration of the database.
        database: u32,
        /// The newest migration that a binary must know.
        needed: u32,
        /// The newest migration of this binary.
        binary: u32,
    },
}

/// One line of `refinery_schema_history`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Applied {
    version: u32,
    checksum: String,
}

/// The migrations of this binary, in order.
pub fn embedded() -> Vec<Migration> {
    let mut all = embedded::migrations::runner().get_migrations().clone();
    all.sort();
    all
}

/// Reads the history without changing anything, and without any right beyond reading. Does not wait long for a lock.
pub async fn status(client: &Client) -> Result<Status, MigrateError> {
    client.batch_execute(&format!("begin read only; set local lock_timeout = '{}s'", READ_LIMIT.as_secs())).await?;
    let read = async { Ok::<_, Error>((history(client).await?, min_version(client).await?)) }.await;
    client.batch_execute("rollback").await?;
    match read {
        Ok((applied, needed)) => compare(&applied, &embedded(), needed),
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            Err(MigrateError::HistoryLocked(client.query_typed_one(READERS_KEPT_OUT_BY, &[]).await?.try_get(0)?))
        }
        Err(error) => Err(MigrateError::Postgres(error)),
    }
}

/// Who keeps readers of the history out, or waits to.
const READERS_KEPT_OUT_BY: &str = "\
    select coalesce(pg_catalog.string_agg(distinct pg_catalog.format('pid %s, user %s, application %s', l.pid, a.usename, a.application_name), '; '), \
                    'a session that has ended') \
      from pg_catalog.pg_locks l \
      left join pg_catalog.pg_stat_activity a on a.pid = l.pid \
     where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' \
       and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()) \
       and l.relation in (pg_catalog.to_regclass('public.refinery_schema_history'), pg_catalog.to_regclass('rowcast.journal_state'))";

/// Applies the missing migrations, and returns their names. Waits for another node that migrates.
pub async fn run(client: &mut Client) -> Result<Vec<String>, MigrateError> {
    check_writable(client).await?;
    let locked = lock(client).await?;
    let mut result = run_locked(client).await;
    for _ in 1..ATTEMPTS {
        if locked || !matches!(result, Err(MigrateError::Refinery(_))) {
            break;
        }
        tokio::time::sleep(ATTEMPT_DELAY).await;
        result = run_locked(client).await;
    }
    // If the connection is broken, the lock has gone with its session.
    if locked {
        let _unlocked = client.execute("select pg_advisory_unlock($1)", &[&LOCK_KEY]).await;
    }
    result
}

/// Fails with a clear message where the database takes no writes, before a migration fails with an unclear one.
async fn check_writable(client: &Client) -> Result<(), MigrateError> {
    let sql = "select pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only') = 'on'";
    let row = client.query_typed_one(sql, &[]).await?;
    match (row.try_get(0)?, row.try_get(1)?) {
        (true, _) => Err(MigrateError::Standby),
        (false, true) => Err(MigrateError::ReadOnly),
        (false, false) => Ok(()),
    }
}

async fn run_locked(client: &mut Client) -> Result<Vec<String>, MigrateError> {
    match status(client).await? {
        Status::Behind(_) => {}
        Status::Current | Status::Ahead(_) => {
            ensure_partitions(client).await?;
            return Ok(Vec::new());
        }
    }
    // refinery looks for its history along the search path, and a user named `rowcast` has the schema of that name first.
    // Whoever may log in can lock a table by its oid (nextval does, before it looks at rights): a migration that meets such
    // a lock fails, and does not hang.
    client.batch_execute("set search_path = public; set lock_timeout = '60s'").await?;
    let report = embedded::migrations::runner().run_async(client).await.map_err(|e| refinery_error(&e))?;
    ensure_partitions(client).await?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// Makes the partitions ahead. A role that may not make them gets a warning and no error, since the server makes them too.
async fn ensure_partitions(client: &Client) -> Result<(), MigrateError> {
    match client.execute("select rowcast.ensure_partitions()", &[]).await {
        Err(e) if e.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            tracing::warn!("this role may not make partitions ahead: the server does, or the owner of the journal");
            Ok(())
        }
        other => Ok(other.map(drop)?),
    }
}

/// Who holds the lock, and whether any of them could migrate. Any login can take an advisory lock.
const LOCK_HOLDERS: &str = "\
    select coalesce(string_agg(format('pid %s, user %s, application %s', l.pid, a.usename, a.application_name), '; '), ''), \
           coalesce(bool_or(coalesce(has_database_privilege(a.usesysid, l.database, 'create') \
                                     or coalesce(pg_has_role(a.usesysid, n.nspowner, 'usage'), false), true)), true) \
      from pg_catalog.pg_locks l \
      left join pg_catalog.pg_stat_activity a on a.pid = l.pid \
      left join pg_catalog.pg_namespace n on n.nspname = 'rowcast' \
     where l.locktype = 'advisory' and l.granted and l.objsubid = 1 \
       and l.database = (select oid from pg_catalog.pg_database where datname = current_database()) \
       and (l.classid::bigint << 32) | l.objid::bigint = $1";

/// Takes the lock. Waits for a holder that could migrate. Returns `false` and warns if no holder could.
async fn lock(client: &Client) -> Result<bool, MigrateError> {
    let begun = Instant::now();
    loop {
        if client.query_one("select pg_try_advisory_lock($1)", &[&LOCK_KEY]).await?.get(0) {
            return Ok(true);
        }
        let row = client.query_one(LOCK_HOLDERS, &[&LOCK_KEY]).await?;
        let (holders, may_migrate): (String, bool) = (row.get(0), row.get(1));
        if !may_migrate {
            tracing::warn!(%holders, "the lock of migrations is held by somebody who cannot migrate: going on without it");
            return Ok(false);
        }
        if begun.elapsed() >= LOCK_LIMIT {
            return Err(MigrateError::Locked(LOCK_LIMIT, holders));
        }
        if begun.elapsed() < LOCK_POLL {
            tracing::info!(at_most = ?LOCK_LIMIT, %holders, "another node migrates this database: waiting for it");
        }
        tokio::time::sleep(LOCK_POLL).await;
    }
}

async fn history(client: &Client) -> Result<Vec<Applied>, Error> {
    let exists =
        client.query_typed_one("select to_regclass('public.refinery_schema_history') is not null", &[]).await?;
    if !exists.get::<_, bool>(0) {
        return Ok(Vec::new());
    }
    let rows = client
        .query_typed("select version, checksum from public.refinery_schema_history order by version", &[])
        .await?;
    let read = |row: &tokio_postgres::Row| Applied {
        version: u32::try_from(row.get::<_, i32>(0)).unwrap_or(0),
        checksum: row.get(1),
    };
    Ok(rows.iter().map(read).collect())
}

/// The newest migration that the database requires a binary to know; 0 before the first migration.
async fn min_version(client: &Client) -> Result<u32, Error> {
    let exists = client.query_typed_one("select to_regclass('rowcast.journal_state') is not null", &[]).await?;
    if !exists.get::<_, bool>(0) {
        return Ok(0);
    }
    let row = client.query_typed_one("select min_version from rowcast.journal_state", &[]).await?;
    Ok(u32::try_from(row.get::<_, i32>(0)).unwrap_or(0))
}

fn compare(applied: &[Applied], embedded: &[Migration], needed: u32) -> Result<Status, MigrateError> {
    // Checked first, since the `min_version` of such a database would also ask for a newer binary.
    if applied.first().is_some_and(|a| a.version == 1 && a.checksum == PRERELEASE_FIRST) {
        return Err(MigrateError::Prerelease);
    }
    let newest = embedded.last().map_or(0, version);
    let database = applied.last().map_or(0, |a| a.version);
    if needed > newest {
        return Err(MigrateError::TooOld { database, needed, binary: newest });
    }
    let mut missing = Vec::new();
    for migration in embedded {
        match applied.iter().find(|a| a.version == version(migration)) {
            None => missing.push(migration.to_string()),
            Some(a) if a.checksum != migration.checksum().to_string() => {
                return Err(MigrateError::Divergent {
                    version: a.version,
                    name: migration.name().to_owned(),
                    advice: "use the binary that it was migrated with, or a fresh database",
                });
            }
            Some(_) => {}
        }
    }
    Ok(match (missing.is_empty(), database > newest) {
        (false, _) => Status::Behind(missing),
        (true, true) => Status::Ahead(database),
        (true, false) => Status::Current,
    })
}

fn version(migration: &Migration) -> u32 {
    u32::try_from(migration.version()).unwrap_or(0)
}

/// refinery's message names the migration; what Postgres said of it is below, in the sources.
fn refinery_error(error: &refinery::Error) -> MigrateError {
    let mut line = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        line = match cause.downcast_ref::<Error>().and_then(Error::as_db_error) {
            Some(db) => format!("{line}: {} (SQLSTATE {})", db.message(), db.code().code()),
            None => line,
        };
        source = cause.source();
    }
    MigrateError::Refinery(line)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    fn applied(upto: usize) -> Vec<Applied> {
        let line = |m: &Migration| Applied { version: version(m), checksum: m.checksum().to_string() };
        embedded().iter().take(upto).map(line).collect()
    }

    #[test]
    fn a_history_is_current_behind_or_ahead() {
        let all = embedded();
        let newest = version(all.last().unwrap());
        assert_eq!(compare(&applied(all.len()), &all, 1).unwrap(), Status::Current);
        let Status::Behind(missing) = compare(&[], &all, 0).unwrap() else { unreachable!() };
        assert_eq!((missing.len(), missing[0].as_str()), (all.len(), "V1__roles_and_schemas"));
        let mut newer = applied(all.len());
        newer.push(Applied { version: newest + 3, checksum: "1".to_owned() });
        assert_eq!(compare(&newer, &all, newest).unwrap(), Status::Ahead(newest + 3));
        let refused = compare(&newer, &all, newest + 1).unwrap_err().to_string();
        assert!(refused.contains("use a newer rowcast"), "{refused}");
    }

    #[test]
    fn the_history_of_before_the_first_release_is_recognised_whatever_the_database_asks_for() {
        let mut old = applied(3);
        old[0].checksum = PRERELEASE_FIRST.to_owned();
        for needed in [1, 20] {
            let error = compare(&old, &embedded(), needed).unwrap_err();
            assert!(matches!(error, MigrateError::Prerelease), "{error}");
        }
    }

    #[test]
    fn a_changed_migration_is_named() {
        let mut changed = applied(2);
        changed[1].checksum = "7".to_owned();
        let error = compare(&changed, &embedded(), 1).unwrap_err().to_string();
        assert!(error.starts_with("V2__checks was applied with another content"), "{error}");
    }
}
