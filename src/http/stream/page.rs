//! `GET /v1/events`: a page of the stream, and the wait for one that is not there yet.

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
use crate::http::stream::token_watch;
use crate::journal::{Cursor, Filter};
use crate::session::{Announcer, EventRun, SendBudget, Start, Step, StreamReader};
use crate::shutdown::Shutdown;
use crate::tail::pages::Position;

/// The most events of one answer, and how many there are if nothing is said.
const MAX_LIMIT: u16 = 1000;
const USUAL_LIMIT: u16 = 100;
/// The longest wait for something new.
const MAX_WAIT: u16 = 30;
/// How long one answer may look for events among those that are not for this viewer. Then it says how far it came, and that
/// there is more: so nobody has a whole journal gone through at one stroke.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// The bytes of one answer, which one event may exceed: events that are large may be fewer than were asked for.
const MAX_BYTES: usize = 2 << 20;

/// The parameters of a page.
struct Asked {
    start: Start,
    filter: Arc<Filter>,
    limit: usize,
    wait: Duration,
}

impl Asked {
    fn parse(query: Option<&str>, viewer: &Viewer) -> Result<Self, Problem> {
        let bad = |why: &dyn std::fmt::Display| Problem::bad_request(why.to_string());
        let mut query = Query::parse(query)?;
        let limit = query.limit(USUAL_LIMIT, MAX_LIMIT)?;
        let wait = query.number("wait", "whole number of seconds", 0..=MAX_WAIT)?;
        let start = Start::parse(query.take("cursor").as_deref(), None).map_err(|why| bad(&why))?;
        let filter = viewer.filter(query.rest()).map_err(|why| bad(&why))?;
        Ok(Self {
            start,
            filter: Arc::new(filter),
            limit: limit.into(),
            wait: Duration::from_secs(wait.unwrap_or(0).into()),
        })
    }
}

/// A page after a cursor; if there is nothing, and the client waits, the first that comes.
pub(in crate::http) async fn get(
    announcer: &Arc<Announcer>,
    tokens: &TokenChecks,
    shutdown: &Shutdown,
    viewer: &Viewer,
    quota: &RequestQuota,
    query: Option<&str>,
) -> Result<Response<Outgoing>, Problem> {
    let asked = Asked::parse(query, viewer)?;
    let presence = token_watch::enter(&tokens.revoked, viewer)?;
    let requester = quota.requester_of(viewer);
    let place = announcer.start_point(&requester, asked.start, &asked.filter).await?;
    let reader = StreamReader::new(announcer, place, Arc::clone(&asked.filter), viewer.view());
    let mut reader = reader.on_behalf_of(requester);
    let mut no_longer = pin!(token_watch::no_longer(&tokens.clock, viewer, presence.as_ref()));
    let begun = Instant::now();
    let until = begun + asked.wait;
    let mut found = Found::new(asked.limit);
    let mut over = asked.wait.is_zero();
    let position = loop {
        match reader.step(found.room()) {
            Step::Advanced(runs) => {
                runs.iter().for_each(|run| found.extend(run));
                if found.more || begun.elapsed() >= LOOK_LIMIT.max(asked.wait) {
                    break reader.look();
                }
            }
            Step::CaughtUp => {}
            Step::Idle(position) if over || !found.list.is_empty() => break position,
            // When the wait is over it looks once more: what was not for it has moved the head, and moves its cursor.
            Step::Idle(_) => tokio::select! {
                () = reader.ready() => {}
                () = tokio::time::sleep_until(until) => over = true,
                () = shutdown.cancelled() => over = true,
                problem = &mut no_longer => return Err(problem),
            },
            Step::Loading => reader.ready().await,
            // What was found until here is good, and the client comes back for the rest.
            Step::Unavailable(_) if reader.cursor().seq != place.cursor.seq => break reader.look(),
            Step::Unavailable(refused) => return Err(refused.into()),
            Step::Refused(refused) => return Err(refused.into()),
        }
    };
    let cursor = match found.list.last() {
        Some((cursor, _)) if found.more => *cursor,
        _ => reader.cursor(),
    };
    // Whoever looked long enough goes on from where that was.
    found.more |= !reader.has_passed(position.head);
    Ok(json_text(body(&found, cursor, &position)))
}

/// The events of an answer, and whether there are more. One event beyond it is looked for, so that `more` is never
/// a guess.
struct Found {
    list: Vec<(Cursor, Bytes)>,
    limit: usize,
    bytes: usize,
    more: bool,
}

impl Found {
    fn new(limit: usize) -> Self {
        Self { list: Vec::new(), limit, bytes: 0, more: false }
    }

    /// How much to look for.
    fn room(&self) -> SendBudget {
        match (self.limit - self.list.len(), MAX_BYTES.saturating_sub(self.bytes)) {
            (0, _) | (_, 0) => SendBudget { events: 1, bytes: 1 },
            (events, bytes) => SendBudget { events: events + 1, bytes },
        }
    }

    fn extend(&mut self, run: &EventRun) {
        for (cursor, object) in run.each() {
            if self.list.len() >= self.limit || self.bytes >= MAX_BYTES {
                self.more = true;
                return;
            }
            self.bytes += object.len() + 1;
            self.list.push((cursor, object));
        }
    }
}

fn body(found: &Found, cursor: Cursor, position: &Position) -> Vec<u8> {
    let mut out = Vec::with_capacity(found.bytes + 96);
    out.extend_from_slice(br#"{"events":["#);
    for (index, (_, object)) in found.list.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(object);
    }
    let (head, more) = (position.newest_seq(), found.more);
    out.extend_from_slice(format!(r#"],"cursor":"{cursor}","head":{head},"more":{more}}}"#).as_bytes());
    out
}
