//! The checks of Postgres and of this login, whatever is in the database.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Row};

use super::finding::{Finding, Patient, fail, ok, warn};
use crate::db::{Connector, DatabaseError, DatabaseUrl};

/// How long a bell from one connection to another may take.
const BELL_LIMIT: Duration = Duration::from_secs(2);
/// A difference of the clocks that shows in times, and one that makes tokens wrong.
const CLOCK_WARN: f64 = 2.0;
const CLOCK_FAIL: f64 = 30.0;
/// A prepared transaction this old was forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3600);

pub(super) async fn one(client: &Client, sql: &str) -> Result<Row, DatabaseError> {
    Ok(client.query_typed_one(sql, &[]).await?)
}

/// Whether Postgres can be reached, as whom, and how the way is protected.
pub(super) async fn connection(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    let url = match patient.source.database_url().map(|url| DatabaseUrl::parse(&url)) {
        Err(error) => return Ok(fail(error.to_string())),
        Ok(Err(error)) => return Ok(fail(error.to_string())),
        Ok(Ok(url)) => url,
    };
    let over_network = url.config.get_hosts().iter().any(is_remote) || !url.config.get_hostaddrs().is_empty();
    let connector = match Connector::new(url) {
        Err(error) => return Ok(fail(error.to_string())),
        Ok(connector) => connector,
    };
    let Some(client) = patient.client else {
        let tried = connector.connect().await;
        return Ok(match tried {
            Err(error) => fail(DatabaseError::from(error).to_string()),
            Ok(_) => warn("Postgres refused a connection and then took one: is max_connections reached?"),
        });
    };
    let row = one(
        client,
        "select current_user::text, current_database()::text, s.version, s.cipher \
           from (select) x left join pg_catalog.pg_stat_ssl s on s.pid = pg_backend_pid() and s.ssl",
    )
    .await?;
    let (user, database): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let (version, cipher): (Option<String>, Option<String>) = (row.try_get(2)?, row.try_get(3)?);
    let who = format!("as {user} to {database}");
    Ok(match (version, over_network) {
        (Some(version), _) => ok(format!("{who}, {version} {}", cipher.unwrap_or_default())),
        (None, true) => warn(format!("{who}, without TLS over the network: use sslmode=verify-full")),
        (None, false) => ok(format!("{who}, without TLS, on this machine")),
    })
}

fn is_remote(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => name != "localhost" && !name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        Host::Unix(_) => false,
    }
}

/// Postgres 14 has what the journal needs.
pub(super) async fn version(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    let sql = "select current_setting('server_version_num')::int, current_setting('server_version')";
    let row = one(patient.client()?, sql).await?;
    Ok(judge_version(row.try_get(0)?, row.try_get(1)?))
}

fn judge_version(number: i32, name: &str) -> Finding {
    if number >= 140_000 {
        ok(format!("Postgres {name}"))
    } else {
        fail(format!("Postgres {name}: at least 14 is needed"))
    }
}

/// The tail needs the primary.
pub(super) async fn standby(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    let row = one(patient.client()?, "select pg_catalog.pg_is_in_recovery()").await?;
    Ok(judge_standby(row.try_get(0)?))
}

fn judge_standby(is_standby: bool) -> Finding {
    if is_standby {
        fail("this is a standby, and its lock table is not the primary's: point DATABASE_URL at the primary")
    } else {
        ok("this is a primary")
    }
}

/// JSON is UTF-8.
pub(super) async fn encoding(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    let row = one(patient.client()?, "select current_setting('server_encoding')").await?;
    let encoding: &str = row.try_get(0)?;
    Ok(if encoding == "UTF8" {
        ok("UTF8")
    } else {
        fail(format!("{encoding}: make the database with encoding UTF8, or text beyond ASCII will be refused or wrong"))
    })
}

/// Whether a bell from one connection reaches another. The channel is one that nobody rings for an event.
pub(super) async fn listen(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    let Some(connector) = patient.connector else { return Ok(fail("there is no way to connect")) };
    let channel = format!("rowcast_doctor_{:x}", getrandom::u64().unwrap_or(1));
    let heard = Arc::new(Notify::new());
    let (ear, wanted) = (Arc::clone(&heard), channel.clone());
    let hear = move |bell: tokio_postgres::Notification| {
        if bell.channel() == wanted {
            ear.notify_one();
        }
    };
    let (listener, _carrier) = connector.connect_listening(hear).await?;
    listener.batch_execute(&format!("listen {channel}")).await?;
    let rung = format!("select pg_catalog.pg_notify('{channel}', '')");
    patient.client()?.simple_query(&rung).await?;
    let reached = tokio::time::timeout(BELL_LIMIT, heard.notified()).await.is_ok();
    // Through a pooler this server connection goes on to serve others, so the channel should not stay with it.
    listener.batch_execute(&format!("unlisten {channel}")).await?;
    Ok(if reached {
        ok("a bell from one connection reaches another")
    } else {
        warn(
            "bells do not reach a listening connection: a pooler in transaction mode is in the way. Rowcast then polls; \
             give it a direct connection, or a pool in session mode",
        )
    })
}

/// Times in tokens and times in the journal are compared, so the clocks must agree.
pub(super) async fn clock(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    let before = unix_seconds();
    let row = one(patient.client()?, "select extract(epoch from clock_timestamp())::float8").await?;
    let database: f64 = row.try_get(0)?;
    Ok(judge_clock(database - (before + unix_seconds()) / 2.0))
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn judge_clock(ahead: f64) -> Finding {
    let which = if ahead < 0.0 { "behind" } else { "ahead of" };
    let detail = format!("the database is {:.3} s {which} this machine", ahead.abs());
    match ahead.abs() {
        apart if apart > CLOCK_FAIL => fail(format!("{detail}: tokens would be refused; let both keep time (NTP)")),
        apart if apart > CLOCK_WARN => warn(format!("{detail}: let both keep time (NTP)")),
        _ => ok(detail),
    }
}

/// Settings of this login's sessions that would hurt a server. They come from the role, the database or the URL.
pub(super) async fn session(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    let milliseconds = |name| format!("extract(epoch from current_setting('{name}')::interval)::float8 * 1000");
    let sql = format!(
        "select {}, {}, {}, current_setting('default_transaction_read_only') = 'on', \
                current_setting('default_transaction_isolation'), coalesce(current_setting('rowcast.bell', true), ''), \
                current_setting('synchronous_commit')",
        milliseconds("idle_session_timeout"),
        milliseconds("statement_timeout"),
        milliseconds("lock_timeout"),
    );
    let row = one(patient.client()?, &sql).await?;
    let (idle, statement, lock): (f64, f64, f64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let (isolation, bell, commit): (String, String, String) = (row.try_get(4)?, row.try_get(5)?, row.try_get(6)?);
    if row.try_get(3)? {
        return Ok(fail("default_transaction_read_only is on for this login: a server must write"));
    }
    let complaints = [
        (idle > 0.0 && idle < 5_000.0, "idle_session_timeout is under 5 s: idle connections end all the time"),
        (statement > 0.0 && statement < 10_000.0, "statement_timeout is under 10 s: reading old pages may fail"),
        (lock > 0.0 && lock < 1_000.0, "lock_timeout is under 1 s: writing the head may fail"),
        (
            isolation.starts_with("repeatable") || isolation.starts_with("serializable"),
            "default_transaction_isolation is above read committed: query_events falls back to the head written down",
        ),
        (bell == "off", "rowcast.bell is off: what this login inserts arrives within a second, not at once"),
        (commit == "off", "synchronous_commit is off: a crash may take back what was answered and streamed"),
    ];
    let told: Vec<_> = complaints.iter().filter(|(applies, _)| *applies).map(|(_, complaint)| *complaint).collect();
    Ok(if told.is_empty() { ok("no setting of this login hurts") } else { warn(told.join("; ")) })
}

/// Without this right, who holds the stream back is named by its process alone.
pub(super) async fn statistics(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    let has = member(patient, "pg_read_all_stats").await?;
    Ok(if has {
        ok("this login sees what others do")
    } else {
        warn("not a member of pg_read_all_stats: transactions that hold the stream back are named by their pid alone")
    })
}

/// Without this right, who holds the stream back cannot be ended.
pub(super) async fn signal(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    let has = member(patient, "pg_signal_backend").await?;
    Ok(if has {
        ok("this login may end transactions that hold the stream back")
    } else {
        warn("not a member of pg_signal_backend: idle transactions that hold the stream back cannot be ended")
    })
}

async fn member(patient: &Patient<'_>, role: &str) -> Result<bool, DatabaseError> {
    let sql = format!("select pg_catalog.pg_has_role(current_user, '{role}', 'usage')");
    Ok(one(patient.client()?, &sql).await?.try_get(0)?)
}

/// A prepared transaction that nobody ends holds back vacuum, and the stream if it has inserted.
pub(super) async fn prepared(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    let sql = "select count(*), min(gid), extract(epoch from clock_timestamp() - min(prepared))::float8 \
                 from (select gid, prepared from pg_catalog.pg_prepared_xacts \
                        where database = current_database() order by prepared) x";
    let row = one(patient.client()?, sql).await?;
    Ok(judge_prepared(row.try_get(0)?, row.try_get(2)?))
}

fn judge_prepared(count: i64, oldest: Option<f64>) -> Finding {
    let age = oldest.and_then(|age| Duration::try_from_secs_f64(age.round()).ok()).unwrap_or_default();
    if age > FORGOTTEN {
        warn(format!(
            "{count} prepared transactions, the oldest for {age:?}: commit or roll back what was forgotten \
             (pg_prepared_xacts)"
        ))
    } else if count > 0 {
        ok(format!("{count} prepared transactions, the oldest for {age:?}"))
    } else {
        ok("no prepared transactions")
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn clocks_may_differ_a_little() {
        for (ahead, verdict) in [
            (0.0, Verdict::Ok),
            (-2.0, Verdict::Ok),
            (2.1, Verdict::Warn),
            (-30.0, Verdict::Warn),
            (30.1, Verdict::Fail),
            (-3600.0, Verdict::Fail),
        ] {
            assert_eq!(judge_clock(ahead).verdict, verdict, "{ahead}");
        }
        assert!(judge_clock(-3.0).detail.contains("3.000 s behind"));
    }

    #[test]
    fn a_prepared_transaction_is_forgotten_after_an_hour() {
        assert_eq!(judge_prepared(0, None).verdict, Verdict::Ok);
        assert_eq!(judge_prepared(1, Some(3599.0)).verdict, Verdict::Ok);
        assert_eq!(judge_prepared(2, Some(3601.0)).verdict, Verdict::Warn);
    }

    #[test]
    fn postgres_is_at_least_14_and_a_primary() {
        assert_eq!(judge_version(130_022, "13.22").verdict, Verdict::Fail);
        assert_eq!(judge_version(140_000, "14.0").verdict, Verdict::Ok);
        assert_eq!(judge_standby(true).verdict, Verdict::Fail);
        assert_eq!(judge_standby(false).verdict, Verdict::Ok);
    }
}
