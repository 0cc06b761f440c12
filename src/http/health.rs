//! Whether this server lives, may be sent traffic, and reaches its database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant, SystemTime};

use hyper::Response;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::problem::Problem;
use super::refusals;
use super::respond::{Outgoing, json_response};
use crate::db::{Database, Pong};
use crate::tail::pages::Pages;
use crate::tail::{Blocker, Counts, Hearing, Reason, Stalled, Status};
use crate::view::{Redaction, Views};

/// Whether traffic is welcome, apart from the database. A cheap handle; the owner of the server turns it.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicU8>);

const STARTING: u8 = 0;
const SERVING: u8 = 1;
const DRAINING: u8 = 2;

impl Readiness {
    /// The start is complete. Has no effect on a server that drains already.
    pub fn serving(&self) {
        let _was_draining = self.0.compare_exchange(STARTING, SERVING, Ordering::AcqRel, Ordering::Acquire);
    }

    /// No new traffic, please.
    pub fn draining(&self) {
        self.0.store(DRAINING, Ordering::Release);
    }

    fn check(&self) -> Result<(), Problem> {
        match self.0.load(Ordering::Acquire) {
            SERVING => Ok(()),
            STARTING => Err(Problem::of(refusals::STARTING)),
            _ => Err(Problem::of(refusals::DRAINING)),
        }
    }
}

/// What the doors may see of the tail.
#[derive(Debug, Clone)]
pub struct TailView {
    /// How it is doing.
    pub status: watch::Receiver<Status>,
    /// What it has done.
    pub counts: watch::Receiver<Counts>,
    /// When the newest question began that the journal which it follows has answered.
    pub answered: watch::Receiver<Option<Instant>>,
    /// Where it hands out.
    pub pages: Pages<Views>,
}

/// The tail asks at least once a second who answers it; a server that has not proven for this long which history it follows
/// is not ready.
const PROOF_AGE: Duration = Duration::from_millis(1900);

/// The process answers, whatever else is broken.
pub(super) async fn live() -> Result<Response<Outgoing>, Problem> {
    Ok(json_response(&json!({ "status": "live" })))
}

/// The schema is known to be right, the database answers, the tail follows the journal, and nobody has asked for a
/// shutdown. What slows the stream without stopping it (a tail that hears no bells and polls, a transaction that is
/// open) is told and does not make the server unready: sending its traffic elsewhere would change nothing.
pub(super) async fn ready(
    readiness: &Readiness,
    database: &Database,
    tail: &TailView,
) -> Result<Response<Outgoing>, Problem> {
    readiness.check()?;
    if ping(database).await?.read_only {
        return Err(Problem::of(refusals::DATABASE_READ_ONLY));
    }
    let status = tail.status.borrow().clone();
    // A connection that says nothing any more may lead to a server that is gone, and the history with it.
    let is_proven = tail.answered.borrow().is_some_and(|asked| asked.elapsed() <= PROOF_AGE);
    if !status.connected || !is_proven {
        return Err(Problem::of(refusals::TAIL_UNAVAILABLE));
    }
    let stalled = status.stalled.as_ref().map(tell_stalled);
    let hearing = hearing(status.hearing);
    Ok(json_response(&json!({ "status": "ready", "tail": { "hearing": hearing, "stalled": stalled } })))
}

/// A word for whether bells reach the tail.
pub(super) fn hearing(hearing: Hearing) -> &'static str {
    match hearing {
        Hearing::Unproven => "unproven",
        Hearing::Proven => "proven",
        Hearing::Deaf => "deaf",
    }
}

fn tell_stalled(stalled: &Stalled) -> Value {
    let seconds = SystemTime::now().duration_since(stalled.since).unwrap_or_default().as_secs();
    match &stalled.reason {
        Reason::Database => json!({ "reason": "database", "seconds": seconds }),
        Reason::Transaction(blockers) => {
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
pub(super) async fn db(database: &Database) -> Result<Response<Outgoing>, Problem> {
    let Pong { took, read_only } = ping(database).await?;
    let latency_ms = took.as_secs_f64() * 1000.0;
    Ok(json_response(&json!({ "status": "ok", "latency_ms": latency_ms, "read_only": read_only })))
}

/// What the database answers. Why it does not is for the log: it may name hosts and users.
async fn ping(database: &Database) -> Result<Pong, Problem> {
    match database.ping().await {
        Ok(pong) => Ok(pong),
        Err(_) => Err(Problem::of(refusals::DATABASE_UNAVAILABLE)),
    }
}
