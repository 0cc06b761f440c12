//! A stream as server-sent events: `data` with an array of messages, and `control` with the offset behind them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Request, Response};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::catch_up::read_problem;
use super::offset::Offset;
use super::page::array;
use super::poll_cursor::next_cursor;
use super::request::{From, StreamRequest};
use super::table_snapshot::SnapshotArray;
use crate::auth::Presence;
use crate::db::Requester;
use crate::http::connection::guarded::StalledFlag;
use crate::http::request::context::Context;
use crate::http::request::quota::RequestQuota;
use crate::http::response::json::Outgoing;
use crate::http::response::problem::Problem;
use crate::http::response::refusals;
use crate::http::response::request_id::RequestId;
use crate::http::stream::ended::note_end;
use crate::http::stream::token_watch::{self, TokenExpiry};
use crate::limit::ConnectionSlot;
use crate::session::{EventRun, SendBudget, Start, StartPoint, Step, StreamReader};

/// How long a stream lasts before its client is to come back, so that streams spread over the nodes there are.
const STREAM_LIFE: Duration = Duration::from_secs(60);
/// The budget of one `data` event.
const CHUNK_BUDGET: SendBudget = SendBudget { events: 1024, bytes: 64 << 10 };
/// A line break within the array of a `data` event.
const LINE_SEPARATOR: &[u8] = b"\ndata:,";

/// The content of a `control` event.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Control {
    stream_next_offset: String,
    stream_cursor: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    up_to_date: bool,
}

/// Begins a stream. A request that is refused is answered with a problem instead.
pub(super) async fn begin(
    context: &Arc<Context>,
    quota: &Arc<RequestQuota>,
    request: &Request<Incoming>,
    asked: StreamRequest,
    presence: Option<Presence>,
) -> Result<Response<Outgoing>, Problem> {
    let permit = Arc::clone(&context.sessions).try_acquire_owned();
    let permit = permit.map_err(|_| Problem::too_many_sessions())?;
    let slot = quota.take_session_slot(asked.viewer.identity().map(|identity| &**identity.subject()))?;
    let requester = quota.requester_of(&asked.viewer);
    let source = if asked.from == From::Beginning && asked.table.is_some() {
        let array = SnapshotArray::take(context, &asked, requester.clone(), presence.as_ref(), LINE_SEPARATOR).await?;
        Source::Snapshot(Box::new(array))
    } else {
        let start =
            context.announcer.start_point(&requester, asked.start(), &asked.filter).await.map_err(read_problem)?;
        Source::Journal(Box::new(reader(context, &asked, start, requester.clone())))
    };
    let now = Instant::now();
    let session = StreamSession {
        source,
        requester,
        next_heartbeat: now + context.streams.heartbeat,
        ends_at: now + STREAM_LIFE,
        expiry: TokenExpiry::of(&context.tokens.clock, &asked.viewer),
        begun: false,
        told_up_to_date: false,
        close_code: None,
        poll_cursor: asked.poll_cursor,
        asked,
        presence,
        stalled: request.extensions().get::<StalledFlag>().cloned().unwrap_or_default(),
        request_id: request.extensions().get::<RequestId>().cloned(),
        since: now,
        context: Arc::clone(context),
        _slots: (permit, slot, Arc::clone(quota)),
    };
    context.counts.session_begun();
    let chunks = stream::unfold(session, |mut session| async move {
        let chunk = session.next().await?;
        Some((chunk.map(Frame::data), session))
    });
    let mut response = Response::new(StreamBody::new(chunks).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

fn reader(context: &Context, asked: &StreamRequest, start: StartPoint, requester: Requester) -> StreamReader {
    StreamReader::new(&context.announcer, start, Arc::clone(&asked.filter), asked.viewer.view()).on_behalf_of(requester)
}

/// Where the next messages come from.
enum Source {
    /// The rows with which the stream of a table begins.
    Snapshot(Box<SnapshotArray>),
    Journal(Box<StreamReader>),
}

/// One stream. The connection asks for its next chunk when it has room for it.
struct StreamSession {
    context: Arc<Context>,
    asked: StreamRequest,
    source: Source,
    requester: Requester,
    next_heartbeat: Instant,
    ends_at: Instant,
    expiry: TokenExpiry,
    /// True once the first chunk was handed out.
    begun: bool,
    /// True if the last `control` event said that the client has everything.
    told_up_to_date: bool,
    /// The close code, once the stream is to end.
    close_code: Option<u16>,
    poll_cursor: Option<u64>,
    /// The registration by which a revocation ends the session; none for the public.
    presence: Option<Presence>,
    /// Set once the connection was given up because its client took nothing.
    stalled: StalledFlag,
    request_id: Option<RequestId>,
    since: Instant,
    _slots: (OwnedSemaphorePermit, ConnectionSlot, Arc<RequestQuota>),
}

impl Drop for StreamSession {
    fn drop(&mut self) {
        note_end(&self.context, self.close_code, &self.stalled, self.request_id.as_ref(), self.since);
    }
}

impl StreamSession {
    /// The next chunk; none after the last one. The protocol has no event for an error: the stream ends, and the client is told why when
    /// it comes back.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.close_code.is_some() {
            return None;
        }
        loop {
            self.close_code = self.end_due();
            if self.close_code.is_some() {
                // Half an array must not look like the end of one.
                let is_within = self.begun && matches!(self.source, Source::Snapshot(_));
                return is_within.then(|| Err(io::ErrorKind::ConnectionAborted.into()));
            }
            if let Source::Snapshot(_) = self.source {
                return self.next_rows().await;
            }
            if !std::mem::replace(&mut self.begun, true) {
                // The head of the answer goes out with it, and a proxy sees that the stream has begun.
                return Some(Ok(Bytes::from_static(b": stream\n\n")));
            }
            if Instant::now() >= self.next_heartbeat {
                return self.heartbeat().await.map(Ok);
            }
            let Source::Journal(reader) = &mut self.source else { continue };
            match reader.step(CHUNK_BUDGET) {
                Step::Advanced(runs) => {
                    if let Some(chunk) = self.data(&runs) {
                        return Some(Ok(chunk));
                    }
                }
                Step::CaughtUp if self.told_up_to_date => {}
                Step::CaughtUp => return Some(Ok(self.control().into())),
                Step::Idle(_) | Step::Loading | Step::Unavailable(_) => self.wait().await,
                Step::Failed(error) => {
                    self.close_code = read_problem(error).refusal().close.or(refusals::CURSOR_INVALID.close);
                    return None;
                }
            }
        }
    }

    /// The next piece of the rows of a table. After the last one the stream goes on with the changes.
    async fn next_rows(&mut self) -> Option<io::Result<Bytes>> {
        let Source::Snapshot(array) = &mut self.source else { return None };
        let piece = tokio::select! {
            piece = array.next() => piece,
            () = token_watch::revoked(self.presence.as_ref()) => Some(Err(io::ErrorKind::PermissionDenied.into())),
        };
        let is_first = !std::mem::replace(&mut self.begun, true);
        match piece {
            Some(Ok(piece)) if is_first => Some(Ok([b"event: data\ndata:", &*piece].concat().into())),
            Some(Ok(piece)) => Some(Ok(piece)),
            Some(Err(error)) => {
                self.close_code = Some(1000);
                Some(Err(error))
            }
            None => {
                let offset = array.offset;
                let start = Start::After(offset.cursor);
                let begun = self.context.announcer.start_point(&self.requester, start, &self.asked.filter).await;
                match begun {
                    Ok(start) => {
                        let reader = reader(&self.context, &self.asked, start, self.requester.clone());
                        self.source = Source::Journal(Box::new(reader));
                    }
                    Err(error) => self.close_code = read_problem(error).refusal().close.or(Some(1000)),
                }
                let control = self.control_at(offset, false);
                Some(Ok([b"\n\n", &*control].concat().into()))
            }
        }
    }

    /// Waits until the next step may be of use, or something else is due.
    async fn wait(&mut self) {
        let due = self.next_heartbeat.min(self.expiry.check_at()).min(self.ends_at);
        let Source::Journal(reader) = &mut self.source else { return };
        tokio::select! {
            () = reader.ready() => {}
            () = tokio::time::sleep_until(due) => {}
            () = self.context.shutdown.cancelled() => {}
            () = token_watch::revoked(self.presence.as_ref()) => {}
        }
    }

    /// The close code of a stream that is to end now.
    fn end_due(&mut self) -> Option<u16> {
        if self.context.shutdown.is_cancelled() {
            return refusals::RESTART.close;
        }
        if self.presence.as_ref().is_some_and(Presence::is_revoked) {
            return refusals::REVOKED.close;
        }
        let now = Instant::now();
        if now >= self.expiry.check_at() && self.expiry.has_come() {
            return refusals::TOKEN_EXPIRED.close;
        }
        // The rows with which a table begins come whole, however long they take.
        let is_over = now >= self.ends_at && matches!(self.source, Source::Journal(_));
        is_over.then_some(1000)
    }

    /// The chunk of these events, if there are messages among them, with the offset behind them.
    fn data(&mut self, runs: &[EventRun]) -> Option<Bytes> {
        let messages: Vec<Bytes> =
            runs.iter().flat_map(|run| self.asked.messages(run)).map(|(_, message)| message).collect();
        if messages.is_empty() {
            return None;
        }
        self.context.counts.events_sent(messages.len());
        let mut out = b"event: data\ndata:".to_vec();
        out.extend_from_slice(&array(messages.iter()));
        out.extend_from_slice(b"\n\n");
        out.extend_from_slice(&self.control());
        Some(out.into())
    }

    /// A `control` event with the offset of the reader, which events that are not for this viewer move too. The stream of a table that
    /// shows other rows by now ends: its client is told so when it comes back.
    async fn heartbeat(&mut self) -> Option<Bytes> {
        self.next_heartbeat = Instant::now() + self.context.streams.heartbeat;
        if let Some(table) = &self.asked.table {
            let (owners, view) = (self.asked.viewer.owners(), self.asked.viewer.view());
            let now = self.context.snapshots.versioned_table(&table.table, &owners, view).await;
            if now.is_ok_and(|(_, version)| version != self.asked.version) {
                self.close_code = Some(1000);
                return None;
            }
        }
        Some(self.control().into())
    }

    fn control(&mut self) -> Vec<u8> {
        let Source::Journal(reader) = &mut self.source else { return Vec::new() };
        let head = reader.look().head;
        let (cursor, up_to_date) = (reader.cursor(), reader.has_passed(head));
        self.told_up_to_date = up_to_date;
        self.control_at(self.asked.offset(cursor), up_to_date)
    }

    fn control_at(&mut self, offset: Offset, up_to_date: bool) -> Vec<u8> {
        let cursor = next_cursor(self.context.tokens.clock.now(), self.poll_cursor);
        let control = Control { stream_next_offset: offset.to_string(), stream_cursor: cursor.to_string(), up_to_date };
        // Two texts and a boolean always serialize.
        let control = serde_json::to_vec(&control).unwrap_or_default();
        [b"event: control\ndata:", &*control, b"\n\n"].concat()
    }
}
