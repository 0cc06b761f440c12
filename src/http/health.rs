//! Whether this server lives, may be sent traffic, and reaches its database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use serde_json::json;

use super::problem::Problem;
use super::respond::json_response;
use crate::db::Database;

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
            STARTING => Err(Problem::unavailable("starting", "The server is still starting.")),
            _ => Err(Problem::unavailable("draining", "The server is shutting down.")),
        }
    }
}

/// The process answers, whatever else is broken.
pub(super) fn live() -> Response<Full<Bytes>> {
    json_response(&json!({ "status": "live" }))
}

/// The schema is known to be right, the database answers, and nobody has asked for a shutdown.
pub(super) async fn ready(readiness: &Readiness, database: &Database) -> Result<Response<Full<Bytes>>, Problem> {
    readiness.check()?;
    ping(database).await?;
    Ok(json_response(&json!({ "status": "ready" })))
}

/// The database answers a simple query, in this time.
pub(super) async fn db(database: &Database) -> Result<Response<Full<Bytes>>, Problem> {
    let took = ping(database).await?;
    Ok(json_response(&json!({ "status": "ok", "latency_ms": took * 1000.0 })))
}

/// How long the database took, in seconds. Why it does not answer is for the log: it may name hosts and users.
async fn ping(database: &Database) -> Result<f64, Problem> {
    match database.ping().await {
        Ok(took) => Ok(took.as_secs_f64()),
        Err(_) => Err(Problem::unavailable("database_unavailable", "The database does not answer.")),
    }
}
