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

use super::access::{self, Reader};
use super::problem::Problem;
use super::query::Query;
use super::respond::Outgoing;
use super::router::Context;
use super::visit::Visit;
use crate::auth::{Identity, Presence};
use crate::clock::jitter;
use crate::journal::{self, QueryError};
use crate::limit::Place;
use crate::session::{Interest, Next, Refused, Room, Run, SEARCH_LIMIT, Start, Walk};
use crate::tail::pages::PageError;
use crate::view::{Control, Fault};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How much is put together for one write.
const ROOM: Room = Room { events: 1024, bytes: 64 << 10 };
/// The longest wait before a page that could not be loaded is asked for again.
const RETRY: Duration = Duration::from_secs(1);

/// Begins a stream. What is wrong with the request is answered before it begins.
pub(super) async fn stream(
    context: &Arc<Context>,
    reader: Reader,
    visit: &Visit,
    request: &Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    let bad = |why: &dyn std::fmt::Display| Problem::bad_request(why.to_string());
    let mut query = Query::parse(request.uri().query())?;
    let (cursor, last) = (query.take("cursor"), query.take("last"));
    let asked = Start::parse(cursor.as_deref(), last.as_deref()).map_err(|why| bad(&why))?;
    // A browser comes back to the same address: what it has read since goes before what that says.
    let start = resumed(request.headers())?.unwrap_or(asked);
    let filter = Arc::new(reader.filter(query.rest()).map_err(|why| bad(&why))?);
    let place = Arc::clone(&context.sessions).try_acquire_owned();
    let place = place.map_err(|_| Problem::too_many_sessions())?;
    let seat = visit.enter(context, reader.identity().map(|identity| &**identity.subject()))?;
    let presence = access::enter(context, &reader)?;
    let walk = Walk::new(context.live.place(start, &filter).await?, Arc::clone(&filter), reader.view());
    let left = access::until(reader.identity().map_or(u64::MAX, Identity::ends_at));
    let session = Session {
        interest: context.live.interest(&filter),
        context: Arc::clone(context),
        walk,
        heartbeat: Instant::now() + context.streams.heartbeat,
        ends: Instant::now() + left,
        begun: false,
        over: None,
        presence,
        _place: (place, seat),
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
    walk: Walk,
    interest: Interest,
    heartbeat: Instant,
    ends: Instant,
    /// The first chunk was handed out.
    begun: bool,
    /// The last chunk was handed out, and this is why.
    over: Option<u16>,
    /// Where a revocation finds it; none for everybody's stream.
    presence: Option<Presence>,
    _place: (OwnedSemaphorePermit, Place),
}

impl Drop for Session {
    fn drop(&mut self) {
        // A client that goes, or takes nothing any more, is not heard of here: its connection is dropped.
        self.context.counts.session_ended(self.over.unwrap_or(1000));
    }
}

impl Session {
    async fn next(&mut self) -> Option<Bytes> {
        if self.over.is_some() {
            return None;
        }
        // Who loses the connection before the first event must not come back without knowing where it was.
        if !std::mem::replace(&mut self.begun, true) {
            return Some(self.note("hello"));
        }
        loop {
            let position = self.interest.look(&mut self.walk);
            let next = self.walk.next(&position);
            match next {
                Next::Live => return Some(self.note("live")),
                Next::Rest => {
                    let context = Arc::clone(&self.context);
                    tokio::select! {
                        () = self.interest.woken() => {}
                        () = tokio::time::sleep_until(self.heartbeat.min(self.ends)) => return Some(self.beat()),
                        () = context.shutdown.cancelled() => return Some(self.leave()),
                        () = access::revoked(self.presence.as_ref()) => return Some(self.shown_out()),
                    }
                }
                _ if self.context.shutdown.is_cancelled() => return Some(self.leave()),
                _ if self.presence.as_ref().is_some_and(Presence::is_revoked) => return Some(self.shown_out()),
                // Also on the way through much that is not for this reader.
                _ if Instant::now() >= self.heartbeat.min(self.ends) => return Some(self.beat()),
                next => {
                    let context = Arc::clone(&self.context);
                    let step = tokio::select! {
                        biased;
                        step = self.step(next) => step,
                        () = context.shutdown.cancelled() => return Some(self.leave()),
                    };
                    match step {
                        Ok(Some(chunk)) => return Some(chunk),
                        Ok(None) => {}
                        Err(Refused::Unavailable(_)) => self.pause().await,
                        Err(refused) => return Some(self.refuse(refused)),
                    }
                }
            }
        }
    }

    /// Before the journal is asked again.
    async fn pause(&self) {
        let again = Instant::now() + RETRY.mul_f64(jitter());
        tokio::select! {
            () = tokio::time::sleep_until(again.min(self.heartbeat).min(self.ends)) => {}
            () = self.context.shutdown.cancelled() => {}
        }
    }

    async fn step(&mut self, next: Next) -> Result<Option<Bytes>, Refused> {
        let live = Arc::clone(&self.context.live);
        let runs: Vec<Run> = match next {
            Next::Page(after) => {
                let page = match live.pages().page_after(after).await {
                    Err(PageError::Reset) => return Ok(None),
                    page => page?,
                };
                self.walk.take(live.pages(), &page, &mut { ROOM })
            }
            Next::Search(after, position) => {
                let client = live.database().get().await?;
                match journal::query(&client, self.walk.filter(), after, position.head, SEARCH_LIMIT).await {
                    Ok(events) => self.walk.found(live.pages(), events, SEARCH_LIMIT, &position).into_iter().collect(),
                    Err(QueryError::Expired { .. }) => return Err(Refused::Expired { oldest: live.oldest().await? }),
                    Err(QueryError::Postgres(error)) => return Err(crate::db::Trouble::from(error).into()),
                }
            }
            Next::Expired => return Err(Refused::Expired { oldest: live.oldest().await? }),
            Next::Prove => {
                let place = live.place(Start::After(self.walk.cursor()), self.walk.filter()).await?;
                self.walk.proven(place);
                return Ok(None);
            }
            Next::Live | Next::Rest => Vec::new(),
        };
        let mut out = BytesMut::new();
        let mut count = 0;
        for (cursor, object) in runs.iter().flat_map(Run::each) {
            out.put_slice(format!("id: {cursor}\ndata: ").as_bytes());
            out.put_slice(&object);
            out.put_slice(b"\n\n");
            count += 1;
        }
        self.context.counts.events_sent(count);
        Ok((!out.is_empty()).then(|| out.freeze()))
    }

    /// A comment that shows that the stream lives, with the cursor, which moves while filtered events pass by too.
    fn beat(&mut self) -> Bytes {
        let now = Instant::now();
        if now >= self.ends {
            return self.end(4401, "token_expired", "The token has expired.", None);
        }
        self.heartbeat = now + self.context.streams.heartbeat;
        self.note("heartbeat")
    }

    /// A comment with the cursor. A browser dispatches no event for it, and remembers the id.
    fn note(&self, word: &str) -> Bytes {
        Bytes::from(format!("id: {}\n: {word}\n\n", self.walk.cursor()))
    }

    /// The server shuts down: the browser comes back after a pause of its own.
    fn leave(&mut self) -> Bytes {
        self.over = Some(1012);
        let pause = self.context.drain.mul_f64((jitter() - 0.5) * 1.6).as_millis();
        Bytes::from(format!("retry: {pause}\nid: {}\n: drain\n\n", self.walk.cursor()))
    }

    fn shown_out(&mut self) -> Bytes {
        self.end(4403, "revoked", "The tokens of this subject were revoked.", None)
    }

    fn refuse(&mut self, refused: Refused) -> Bytes {
        match refused {
            Refused::Expired { oldest } => {
                self.end(4410, "cursor_expired", "Events after this cursor were trimmed.", Some(oldest))
            }
            _ => self.end(4411, "cursor_invalid", "The cursor is ahead of the stream or of another history.", None),
        }
    }

    fn end(&mut self, number: u16, code: &'static str, message: &str, oldest: Option<i64>) -> Bytes {
        self.over = Some(number);
        let error = Control::Error(Fault { code, message: message.to_owned(), oldest }).json();
        let mut out = BytesMut::from(&b"event: error\ndata: "[..]);
        out.put_slice(&error);
        out.put_slice(b"\n\n");
        out.freeze()
    }
}
