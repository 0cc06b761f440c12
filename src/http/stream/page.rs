//! `GET /v1/events`: one page of the stream, and the wait for its first event if there is none yet.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use tokio::time::Instant;

use crate::http::request::authenticate::TokenChecks;
use crate::http::request::query::Query;
use crate::http::request::quota::RequestQuota;
use crate::http::request::viewer::Viewer;
use crate::http::response::json::{Outgoing, json_text};
use crate::http::response::problem::Problem;
use crate::http::response::refusals;
use crate::http::stream::token_watch;
use crate::journal::{Cursor, Filter};
use crate::session::{Announcer, EventRun, NotReached, SendBudget, Start, Step, StreamReader};
use crate::shutdown::Shutdown;
use crate::tail::pages::Position;

/// The most events of one answer.
const MAX_LIMIT: u16 = 1000;
/// The most events of one answer if the request has no `limit`.
const DEFAULT_LIMIT: u16 = 100;
/// The longest wait for a first event, in seconds.
const MAX_WAIT: u16 = 30;
/// The longest that one request reads on while it finds few events for its viewer. Then the answer has the cursor that was reached
/// and says that there is more, so that no single request reads a whole journal.
const READ_LIMIT: Duration = Duration::from_secs(2);
/// The bytes at which an answer ends, though one event may exceed them. Large events may be fewer than were parameters for.
const MAX_BYTES: usize = 2 << 20;
/// The longest wait of a request with `sync` for everything that was committed before it.
const SYNC_LIMIT: Duration = Duration::from_secs(10);
/// The pause after which a request whose sync took too long may come again.
const SYNC_RETRY: Duration = Duration::from_secs(1);
/// The sentence for a request whose sync took too long.
const NOT_SYNCED: &str = "The stream did not reach in time what was committed before the request: a transaction that writes is open, or \
     the database does not answer.";

/// The parameters of a request for a page.
struct PageParameters {
    start: Start,
    filter: Arc<Filter>,
    limit: usize,
    wait: Duration,
    /// True if the answer is to hold everything that was committed before the request.
    sync: bool,
}

impl PageParameters {
    fn parse(query: Option<&str>, viewer: &Viewer) -> Result<Self, Problem> {
        let bad_request = |error: &dyn std::fmt::Display| Problem::bad_request(error.to_string());
        let mut query = Query::parse(query)?;
        let limit = query.limit(DEFAULT_LIMIT, MAX_LIMIT)?;
        let wait = query.number("wait", "whole number of seconds", 0..=MAX_WAIT)?;
        let sync = query.one_of("sync", &["true", "false"])?.is_some_and(|sync| sync == "true");
        let start = Start::parse(query.take("cursor").as_deref(), None).map_err(|error| bad_request(&error))?;
        let filter = viewer.filter(query.rest()).map_err(|error| bad_request(&error))?;
        Ok(Self {
            start,
            filter: Arc::new(filter),
            limit: limit.into(),
            wait: Duration::from_secs(wait.unwrap_or(0).into()),
            sync,
        })
    }
}

/// Answers with the page after a cursor. If the page has no event and the client waits, answers with the first events that come.
pub(in crate::http) async fn get(
    announcer: &Arc<Announcer>,
    tokens: &TokenChecks,
    shutdown: &Shutdown,
    viewer: &Viewer,
    quota: &RequestQuota,
    query: Option<&str>,
) -> Result<Response<Outgoing>, Problem> {
    let parameters = PageParameters::parse(query, viewer)?;
    let presence = token_watch::register(&tokens.revoked, viewer)?;
    let requester = quota.requester_of(viewer);
    let mut access_lost = pin!(token_watch::access_lost(&tokens.clock, viewer, presence.as_ref()));
    let synced = if parameters.sync {
        Some(tokio::select! {
            synced = sync(announcer) => synced?,
            () = shutdown.cancelled() => return Err(Problem::of(refusals::DRAINING)),
            problem = &mut access_lost => return Err(problem),
        })
    } else {
        None
    };
    let start = announcer.start_point(&requester, parameters.start, &parameters.filter).await?;
    let reader = StreamReader::new(announcer, start, Arc::clone(&parameters.filter), viewer.view());
    let mut reader = reader.on_behalf_of(requester);
    let begun = Instant::now();
    let until = begun + parameters.wait;
    let mut found = FoundEvents::new(parameters.limit);
    let mut wait_is_over = parameters.wait.is_zero();
    let position = loop {
        match reader.step(found.budget()) {
            Step::Advanced(runs) => {
                runs.iter().for_each(|run| found.extend(run));
                if found.more || begun.elapsed() >= READ_LIMIT.max(parameters.wait) {
                    break reader.look();
                }
            }
            Step::CaughtUp => {}
            Step::Idle(position) if wait_is_over || !found.events.is_empty() => break position,
            // After the wait the reader takes one more step: events that are not for this viewer still move the cursor.
            Step::Idle(_) => tokio::select! {
                () = reader.ready() => {}
                () = tokio::time::sleep_until(until) => wait_is_over = true,
                () = shutdown.cancelled() => wait_is_over = true,
                problem = &mut access_lost => return Err(problem),
            },
            Step::Loading => reader.ready().await,
            // The events found so far are answered, and the client comes back for the rest.
            Step::Unavailable(_) if reader.cursor().seq != start.cursor.seq => break reader.look(),
            Step::Unavailable(error) | Step::Failed(error) => return Err(error.into()),
        }
    };
    if synced.is_some_and(|synced| synced.epoch != position.epoch) {
        // Another history has begun since, whose head may lie anywhere.
        return Err(not_synced());
    }
    let cursor = match found.events.last() {
        Some((cursor, _)) if found.more => *cursor,
        _ => reader.cursor(),
    };
    // A request that has reached its limits before the head tells the client to go on.
    found.more |= !reader.has_passed(position.head);
    Ok(json_text(body(&found, cursor, &position)))
}

/// Waits until the stream holds everything that was committed before this call.
async fn sync(announcer: &Announcer) -> Result<Position, Problem> {
    let point = announcer.sync_point().await?;
    announcer.reach(point, SYNC_LIMIT).await.map_err(|NotReached| not_synced())
}

fn not_synced() -> Problem {
    Problem::because(refusals::STALLED, NOT_SYNCED).retry_after(SYNC_RETRY)
}

/// The events of an answer. The reader looks for one event beyond them, so that `more` is never a guess.
struct FoundEvents {
    events: Vec<(Cursor, Bytes)>,
    limit: usize,
    bytes: usize,
    /// True if there are more events.
    more: bool,
}

impl FoundEvents {
    fn new(limit: usize) -> Self {
        Self { events: Vec::new(), limit, bytes: 0, more: false }
    }

    /// The budget of the next step.
    fn budget(&self) -> SendBudget {
        match (self.limit - self.events.len(), MAX_BYTES.saturating_sub(self.bytes)) {
            (0, _) | (_, 0) => SendBudget { events: 1, bytes: 1 },
            (events, bytes) => SendBudget { events: events + 1, bytes },
        }
    }

    fn extend(&mut self, run: &EventRun) {
        for (cursor, object) in run.objects() {
            if self.events.len() >= self.limit || self.bytes >= MAX_BYTES {
                self.more = true;
                return;
            }
            self.bytes += object.len() + 1;
            self.events.push((cursor, object));
        }
    }
}

fn body(found: &FoundEvents, cursor: Cursor, position: &Position) -> Vec<u8> {
    let mut out = Vec::with_capacity(found.bytes + 96);
    out.extend_from_slice(br#"{"events":["#);
    for (index, (_, object)) in found.events.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(object);
    }
    let (head, more) = (position.newest_seq(), found.more);
    out.extend_from_slice(format!(r#"],"cursor":"{cursor}","head":{head},"more":{more}}}"#).as_bytes());
    out
}
