//! `GET /v1/events/stream`: a session as server-sent events. The id of each event is its cursor, so that a browser resumes by
//! itself.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Request, Response};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::auth::Presence;
use crate::clock::jitter;
use crate::http::connection::guarded::StalledFlag;
use crate::http::request::context::Context;
use crate::http::request::query::Query;
use crate::http::request::quota::RequestQuota;
use crate::http::request::viewer::Viewer;
use crate::http::response::json::Outgoing;
use crate::http::response::problem::Problem;
use crate::http::response::refusals::{self, Refusal};
use crate::http::response::request_id::RequestId;
use crate::http::stream::ended::note_end;
use crate::http::stream::token_watch::{self, TokenExpiry};
use crate::limit::ConnectionSlot;
use crate::session::{EventRun, ReadError, SendBudget, Start, Step, StreamReader};
use crate::view::{Control, Fault};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The longest pause after which a client whose stream broke off comes back; the shortest is half of it.
const RETRY: Duration = Duration::from_secs(3);
/// The budget of one chunk.
const CHUNK_BUDGET: SendBudget = SendBudget { events: 1024, bytes: 64 << 10 };

/// Begins a stream. A request that is refused is answered with a problem instead.
pub(in crate::http) async fn stream(
    context: &Arc<Context>,
    viewer: Viewer,
    quota: &Arc<RequestQuota>,
    request: &Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    let bad_request = |error: &dyn std::fmt::Display| Problem::bad_request(error.to_string());
    let mut query = Query::parse(request.uri().query())?;
    let (cursor, last) = (query.take("cursor"), query.take("last"));
    let asked = Start::parse(cursor.as_deref(), last.as_deref()).map_err(|error| bad_request(&error))?;
    // A browser comes back to the same address. The cursor in its `Last-Event-ID` is newer than the one in the address.
    let start = last_event_id(request.headers())?.unwrap_or(asked);
    let filter = Arc::new(viewer.filter(query.rest()).map_err(|error| bad_request(&error))?);
    let permit = Arc::clone(&context.sessions).try_acquire_owned();
    let permit = permit.map_err(|_| Problem::too_many_sessions())?;
    let slot = quota.take_session_slot(viewer.identity().map(|identity| &**identity.subject()))?;
    let presence = token_watch::register(&context.tokens.revoked, &viewer)?;
    let requester = quota.requester_of(&viewer);
    let start_point = context.announcer.start_point(&requester, start, &filter).await?;
    let session = SseSession {
        reader: StreamReader::new(&context.announcer, start_point, filter, viewer.view()).on_behalf_of(requester),
        context: Arc::clone(context),
        next_heartbeat: Instant::now() + context.streams.heartbeat,
        expiry: TokenExpiry::of(&context.tokens.clock, &viewer),
        hello_sent: false,
        close_code: None,
        presence,
        stalled: request.extensions().get::<StalledFlag>().cloned().unwrap_or_default(),
        request_id: request.extensions().get::<RequestId>().cloned(),
        since: Instant::now(),
        _slots: (permit, slot, Arc::clone(quota)),
    };
    context.counts.session_begun();
    let chunks = stream::unfold(session, |mut session| async move {
        let chunk = session.next().await?;
        Some((Ok::<_, io::Error>(Frame::data(chunk)), session))
    });
    let mut response = Response::new(StreamBody::new(chunks).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// The start in the `Last-Event-ID` of a client that comes back.
fn last_event_id(headers: &HeaderMap) -> Result<Option<Start>, Problem> {
    let mut all = headers.get_all(LAST_EVENT_ID).iter();
    let (Some(id), second) = (all.next(), all.next()) else { return Ok(None) };
    if id.is_empty() && second.is_none() {
        return Ok(None);
    }
    match (id.to_str().ok().and_then(|id| id.parse().ok()), second) {
        (Some(cursor), None) => Ok(Some(Start::After(cursor))),
        _ => Err(Problem::bad_request("Last-Event-ID must be given once, with an id of this stream")),
    }
}

/// One stream. The connection asks for its next chunk when it has room for it.
struct SseSession {
    context: Arc<Context>,
    reader: StreamReader,
    next_heartbeat: Instant,
    expiry: TokenExpiry,
    /// True once the first chunk was handed out.
    hello_sent: bool,
    /// The close code, once the last chunk was handed out.
    close_code: Option<u16>,
    /// The registration by which a revocation ends the session; none for the public.
    presence: Option<Presence>,
    /// Set once the connection was given up because its client took nothing.
    stalled: StalledFlag,
    request_id: Option<RequestId>,
    since: Instant,
    _slots: (OwnedSemaphorePermit, ConnectionSlot, Arc<RequestQuota>),
}

impl Drop for SseSession {
    fn drop(&mut self) {
        note_end(&self.context, self.close_code, &self.stalled, self.request_id.as_ref(), self.since);
    }
}

impl SseSession {
    /// The next chunk; none after the last one.
    async fn next(&mut self) -> Option<Bytes> {
        if self.close_code.is_some() {
            return None;
        }
        // A client that loses the connection before the first event needs a cursor to come back with.
        if !std::mem::replace(&mut self.hello_sent, true) {
            return Some(self.hello());
        }
        loop {
            // Asked before each step: a long backlog may have no event for this viewer.
            if let Some(chunk) = self.due() {
                return Some(chunk);
            }
            match self.reader.step(CHUNK_BUDGET) {
                Step::Advanced(runs) => {
                    if let Some(chunk) = self.chunk(&runs) {
                        return Some(chunk);
                    }
                }
                Step::CaughtUp => return Some(self.comment("live")),
                Step::Idle(_) | Step::Loading | Step::Unavailable(_) => self.wait().await,
                Step::Failed(error) => return Some(self.fail(&error)),
            }
        }
    }

    /// Waits until the next step may be of use, or something else is due.
    async fn wait(&mut self) {
        tokio::select! {
            () = self.reader.ready() => {}
            () = tokio::time::sleep_until(self.next_heartbeat.min(self.expiry.check_at())) => {}
            () = self.context.shutdown.cancelled() => {}
            () = token_watch::revoked(self.presence.as_ref()) => {}
        }
    }

    /// The chunk that goes before the next events, if one is due: a heartbeat, or the end of the stream.
    fn due(&mut self) -> Option<Bytes> {
        if self.context.shutdown.is_cancelled() {
            return Some(self.drain());
        }
        if self.presence.as_ref().is_some_and(Presence::is_revoked) {
            return Some(self.end(refusals::REVOKED, None));
        }
        let now = Instant::now();
        if now >= self.next_heartbeat.min(self.expiry.check_at()) && self.expiry.has_come() {
            return Some(self.end(refusals::TOKEN_EXPIRED, None));
        }
        (now >= self.next_heartbeat).then(|| self.heartbeat(now))
    }

    /// The chunk of these events, if there are any.
    fn chunk(&self, runs: &[EventRun]) -> Option<Bytes> {
        let mut out = BytesMut::new();
        for (cursor, object) in runs.iter().flat_map(EventRun::objects) {
            out.put_slice(b"data: ");
            out.put_slice(&object);
            // The id comes last. Clients that apply it as the line arrives have the event's data by then.
            out.put_slice(format!("\nid: {cursor}\n\n").as_bytes());
        }
        self.context.counts.events_sent(runs.iter().map(EventRun::count).sum());
        (!out.is_empty()).then(|| out.freeze())
    }

    /// The chunk of a heartbeat, with the cursor, which events that the filter leaves out move too.
    fn heartbeat(&mut self, now: Instant) -> Bytes {
        self.next_heartbeat = now + self.context.streams.heartbeat;
        self.reader.look();
        self.comment("heartbeat")
    }

    /// The first chunk: the pause before the client comes back, and its cursor. The pause differs between clients, so that those of a
    /// node that died do not all come back at once. It also replaces the pause that a `drain` has left in the client.
    fn hello(&self) -> Bytes {
        let pause = RETRY.mul_f64(jitter()).as_millis();
        Bytes::from(format!("retry: {pause}\nid: {}\n: hello\n\n", self.reader.cursor()))
    }

    /// A comment with the cursor. A browser dispatches no event for it, and remembers the id.
    fn comment(&self, word: &str) -> Bytes {
        Bytes::from(format!("id: {}\n: {word}\n\n", self.reader.cursor()))
    }

    /// The last chunk at a shutdown, with a pause that differs between clients.
    fn drain(&mut self) -> Bytes {
        self.close_code = refusals::RESTART.close;
        let pause = self.context.drain.mul_f64((jitter() - 0.5) * 1.6).as_millis();
        Bytes::from(format!("retry: {pause}\nid: {}\n: drain\n\n", self.reader.cursor()))
    }

    fn fail(&mut self, error: &ReadError) -> Bytes {
        match error {
            ReadError::CursorExpired { oldest } => self.end(refusals::CURSOR_EXPIRED, Some(*oldest)),
            _ => self.end(refusals::CURSOR_INVALID, None),
        }
    }

    /// The last chunk of a stream that the server refuses to continue.
    fn end(&mut self, refusal: &'static Refusal, oldest: Option<i64>) -> Bytes {
        self.close_code = refusal.close;
        let message = refusal.sentence.to_owned();
        let error = Control::Error(Fault { code: refusal.code, message, oldest, retry_after: None }).json();
        let mut out = BytesMut::from(&b"event: error\ndata: "[..]);
        out.put_slice(&error);
        out.put_slice(b"\n\n");
        out.freeze()
    }
}
