//! Whether this server lives, may be sent traffic, and reaches its database.

use std::time::{Duration, SystemTime};

use hyper::Response;
use serde_json::{Value, json};

use crate::db::{Database, PingReply};
use crate::http::request::readiness::{Readiness, TailView};
use crate::http::response::json::{Outgoing, json_response};
use crate::http::response::problem::Problem;
use crate::http::response::refusals;
use crate::tail::{Blocker, Hearing, LiveFrom, StallReason, Stalled};
use crate::view::Redaction;

/// The tail asks at least once a second who answers it; a server that has not proven for this long which history it follows
/// is not ready.
const PROOF_AGE: Duration = Duration::from_millis(1900);

/// The process answers, whatever else is broken.
pub(in crate::http) async fn live() -> Result<Response<Outgoing>, Problem> {
    Ok(json_response(&json!({ "status": "live" })))
}

/// The schema is known to be right, the database answers, the tail follows the journal, and nobody has asked for a
/// shutdown. What slows the stream without stopping it (a tail that hears no bells and polls, a transaction that is
/// open) is told and does not make the server unready: sending its traffic elsewhere would change nothing.
pub(in crate::http) async fn ready(
    readiness: &Readiness,
    database: &Database,
    tail: &TailView,
) -> Result<Response<Outgoing>, Problem> {
    readiness.check()?;
    if ping(database).await?.read_only {
        return Err(Problem::of(refusals::DATABASE_READ_ONLY));
    }
    let status = tail.status.borrow().clone();
    // A connection on which nothing comes any more may lead to a server that is gone, and another server may serve another history.
    let is_proven = tail.proven_at.borrow().is_some_and(|proven_at| proven_at.elapsed() <= PROOF_AGE);
    if !status.connected || !is_proven {
        return Err(Problem::of(refusals::TAIL_UNAVAILABLE));
    }
    let stalled = status.stalled.as_ref().map(tell_stalled);
    let hearing = hearing(status.hearing);
    Ok(json_response(
        &json!({ "status": "ready", "tail": { "hearing": hearing, "live_from": live_from(status.live_from), "stalled": stalled } }),
    ))
}

/// A word for whether bells reach the tail.
pub(in crate::http) fn hearing(hearing: Hearing) -> &'static str {
    match hearing {
        Hearing::Unproven => "unproven",
        Hearing::Proven => "proven",
        Hearing::Deaf => "deaf",
    }
}

/// A word for where live events come from.
pub(in crate::http) fn live_from(live_from: LiveFrom) -> &'static str {
    match live_from {
        LiveFrom::Postgres => "postgres",
        LiveFrom::Redis => "redis",
    }
}

fn tell_stalled(stalled: &Stalled) -> Value {
    let seconds = SystemTime::now().duration_since(stalled.since).unwrap_or_default().as_secs();
    match &stalled.reason {
        StallReason::Database => json!({ "reason": "database", "seconds": seconds }),
        StallReason::Transaction(blockers) => {
            let blockers: Vec<Value> = blockers.iter().map(tell_blocker).collect();
            json!({ "reason": "transaction", "seconds": seconds, "blockers": blockers })
        }
    }
}

fn tell_blocker(blocker: &Blocker) -> Value {
    // Whoever opened the transaction chose these names.
    let shown = |name: &Option<String>| name.as_deref().map(|name| Redaction::built_in().text(name).into_owned());
    let (gid, application) = (shown(&blocker.gid), shown(&blocker.application));
    json!({ "pid": blocker.pid, "gid": gid, "application": application, "state": blocker.state })
}

/// The database answers a simple query, in this time.
pub(in crate::http) async fn db(database: &Database) -> Result<Response<Outgoing>, Problem> {
    let PingReply { took, read_only } = ping(database).await?;
    let latency_ms = took.as_secs_f64() * 1000.0;
    Ok(json_response(&json!({ "status": "ok", "latency_ms": latency_ms, "read_only": read_only })))
}

/// Pings the database. An error is for the log alone, since it may name hosts and users.
async fn ping(database: &Database) -> Result<PingReply, Problem> {
    match database.ping().await {
        Ok(pong) => Ok(pong),
        Err(_) => Err(Problem::of(refusals::DATABASE_UNAVAILABLE)),
    }
}
