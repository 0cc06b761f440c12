//! `GET /v1/events/stream`: the same session as server-sent events. The id of each is the cursor, so that a browser resumes
//! by itself.

use std::convert::Infallible;
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
use crate::http::stream::token_watch::{self, TokenExpiry};
use crate::limit::ConnectionSlot;
use crate::session::{EventRun, Refused, SendBudget, Start, Step, StreamReader};
use crate::view::{Control, Fault};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The longest pause before a client comes back whose stream broke off; the shortest is half of it.
const RETRY: Duration = Duration::from_secs(3);
/// How much is put together for one write.
const ROOM: SendBudget = SendBudget { events: 1024, bytes: 64 << 10 };

/// Begins a stream. What is wrong with the request is answered before it begins.
pub(in crate::http) async fn stream(
    context: &Arc<Context>,
    viewer: Viewer,
    quota: &Arc<RequestQuota>,
    request: &Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    let bad = |why: &dyn std::fmt::Display| Problem::bad_request(why.to_string());
    let mut query = Query::parse(request.uri().query())?;
    let (cursor, last) = (query.take("cursor"), query.take("last"));
    let asked = Start::parse(cursor.as_deref(), last.as_deref()).map_err(|why| bad(&why))?;
    // A browser comes back to the same address: what it has read since goes before what that says.
    let start = resumed(request.headers())?.unwrap_or(asked);
    let filter = Arc::new(viewer.filter(query.rest()).map_err(|why| bad(&why))?);
    let permit = Arc::clone(&context.sessions).try_acquire_owned();
    let permit = permit.map_err(|_| Problem::too_many_sessions())?;
    let seat = quota.enter(viewer.identity().map(|identity| &**identity.subject()))?;
    let presence = token_watch::enter(&context.tokens.revoked, &viewer)?;
    let requester = quota.requester_of(&viewer);
    let place = context.announcer.start_point(&requester, start, &filter).await?;
    let session = Session {
        reader: StreamReader::new(&context.announcer, place, filter, viewer.view()).on_behalf_of(requester),
        context: Arc::clone(context),
        heartbeat: Instant::now() + context.streams.heartbeat,
        expiry: TokenExpiry::of(&context.tokens.clock, &viewer),
        begun: false,
        over: None,
        presence,
        connection: request.extensions().get::<StalledFlag>().cloned().unwrap_or_default(),
        request_id: request.extensions().get::<RequestId>().cloned(),
        since: Instant::now(),
        _place: (permit, seat, Arc::clone(quota)),
    };
    context.counts.session_begun();
    let chunks = stream::unfold(session, |mut session| async move {
        let chunk = session.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(chunk)), session))
    });
    let mut response = Response::new(StreamBody::new(chunks).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// Where a client says that it was.
fn resumed(headers: &HeaderMap) -> Result<Option<Start>, Problem> {
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

/// One stream, which is asked for its next chunk when the connection has room for it.
struct Session {
    context: Arc<Context>,
    reader: StreamReader,
    heartbeat: Instant,
    expiry: TokenExpiry,
    /// The first chunk was handed out.
    begun: bool,
    /// The last chunk was handed out, and this is why.
    over: Option<u16>,
    /// Where a revocation finds it; none for everybody's stream.
    presence: Option<Presence>,
    /// Set once the connection was given up because its client took nothing.
    connection: StalledFlag,
    request_id: Option<RequestId>,
    since: Instant,
    _place: (OwnedSemaphorePermit, ConnectionSlot, Arc<RequestQuota>),
}

impl Drop for Session {
    fn drop(&mut self) {
        // A client that goes, or takes nothing any more, is not heard of here: its connection is dropped. Server-sent events know
        // no goodbye of a client, so that leaving is always as good as 1000.
        let left = if self.connection.is_set() { refusals::STALLED.close } else { None };
        let code = self.over.or(left).unwrap_or(1000);
        self.context.counts.session_ended(code);
        let request_id = self.request_id.as_ref().map(RequestId::as_str);
        tracing::info!(request_id, code, seconds = self.since.elapsed().as_secs(), "a stream has ended");
    }
}

impl Session {
    async fn next(&mut self) -> Option<Bytes> {
        if self.over.is_some() {
            return None;
        }
        // Who loses the connection before the first event must not come back without knowing where it was.
        if !std::mem::replace(&mut self.begun, true) {
            return Some(self.hello());
        }
        loop {
            // Also on the way through much that is not for this viewer.
            if let Some(chunk) = self.due() {
                return Some(chunk);
            }
            match self.reader.step(ROOM) {
                Step::Advanced(runs) => {
                    if let Some(chunk) = self.chunk(&runs) {
                        return Some(chunk);
                    }
                }
                Step::CaughtUp => return Some(self.note("live")),
                Step::Idle(_) | Step::Loading | Step::Unavailable(_) => self.wait().await,
                Step::Refused(refused) => return Some(self.refuse(refused)),
            }
        }
    }

    /// Until the next step may come to something, or something else is due.
    async fn wait(&mut self) {
        tokio::select! {
            () = self.reader.ready() => {}
            () = tokio::time::sleep_until(self.heartbeat.min(self.expiry.look())) => {}
            () = self.context.shutdown.cancelled() => {}
            () = token_watch::revoked(self.presence.as_ref()) => {}
        }
    }

    /// The chunk that goes before events, if one is due.
    fn due(&mut self) -> Option<Bytes> {
        if self.context.shutdown.is_cancelled() {
            return Some(self.leave());
        }
        if self.presence.as_ref().is_some_and(Presence::is_revoked) {
            return Some(self.end(refusals::REVOKED, None));
        }
        let now = Instant::now();
        if now >= self.heartbeat.min(self.expiry.look()) && self.expiry.has_come() {
            return Some(self.end(refusals::TOKEN_EXPIRED, None));
        }
        (now >= self.heartbeat).then(|| self.beat(now))
    }

    /// The events, if there are any.
    fn chunk(&self, runs: &[EventRun]) -> Option<Bytes> {
        let mut out = BytesMut::new();
        for (cursor, object) in runs.iter().flat_map(EventRun::each) {
            out.put_slice(b"data: ");
            out.put_slice(&object);
            // The id comes last. Clients that apply it as the line arrives have the event's data by then.
            out.put_slice(format!("\nid: {cursor}\n\n").as_bytes());
        }
        self.context.counts.events_sent(runs.iter().map(EventRun::count).sum());
        (!out.is_empty()).then(|| out.freeze())
    }

    /// A comment that shows that the stream lives, with the cursor, which moves while filtered events pass by too.
    fn beat(&mut self, now: Instant) -> Bytes {
        self.heartbeat = now + self.context.streams.heartbeat;
        self.reader.look();
        self.note("heartbeat")
    }

    /// The first block: how long to wait before coming back, and from where. The pause differs between clients, so that those of
    /// a node that died do not all come back at once; it also ends the pause that a `drain` has left in the client.
    fn hello(&self) -> Bytes {
        let pause = RETRY.mul_f64(jitter()).as_millis();
        Bytes::from(format!("retry: {pause}\nid: {}\n: hello\n\n", self.reader.cursor()))
    }

    /// A comment with the cursor. A browser dispatches no event for it, and remembers the id.
    fn note(&self, word: &str) -> Bytes {
        Bytes::from(format!("id: {}\n: {word}\n\n", self.reader.cursor()))
    }

    /// The server shuts down: the browser comes back after a pause of its own.
    fn leave(&mut self) -> Bytes {
        self.over = refusals::RESTART.close;
        let pause = self.context.drain.mul_f64((jitter() - 0.5) * 1.6).as_millis();
        Bytes::from(format!("retry: {pause}\nid: {}\n: drain\n\n", self.reader.cursor()))
    }

    fn refuse(&mut self, refused: Refused) -> Bytes {
        match refused {
            Refused::Expired { oldest } => self.end(refusals::CURSOR_EXPIRED, Some(oldest)),
            _ => self.end(refusals::CURSOR_INVALID, None),
        }
    }

    fn end(&mut self, refusal: &'static Refusal, oldest: Option<i64>) -> Bytes {
        self.over = refusal.close;
        let message = refusal.sentence.to_owned();
        let error = Control::Error(Fault { code: refusal.code, message, oldest, retry_after: None }).json();
        let mut out = BytesMut::from(&b"event: error\ndata: "[..]);
        out.put_slice(&error);
        out.put_slice(b"\n\n");
        out.freeze()
    }
}
