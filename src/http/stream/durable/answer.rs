//! The answers: their headers, their tags, and what a cache may keep of them.

use std::time::SystemTime;

use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};
use hyper::{HeaderMap, Response, StatusCode};

use super::offset::Offset;
use super::poll_cursor::next_cursor;
use super::request::{Live, StreamRequest};
use crate::http::request::headers::listed;
use crate::http::request::viewer::Viewer;
use crate::http::response::json::{Outgoing, whole};
use crate::view::Fingerprint;

pub(super) const NEXT_OFFSET: HeaderName = HeaderName::from_static("stream-next-offset");
const UP_TO_DATE: HeaderName = HeaderName::from_static("stream-up-to-date");
const CURSOR: HeaderName = HeaderName::from_static("stream-cursor");

/// A full page of the public view at its own address. Its events never change, and when the rules of the view or the journal do, new
/// readers are led to other addresses. So the time only bounds for how long somebody with an old address is answered from a cache.
const KEPT_PAGE: &str = "public, max-age=86400, immutable";
/// Everything else of the public view. A cache may answer for all who ask within so long: they go on from there all the same.
const KEPT_BRIEFLY: &str = "public, max-age=5";
/// What is for one reader. Its own cache asks each time, so that a token that is revoked or expired opens nothing.
const REVALIDATED: &str = "private, no-cache";
/// What is true at this moment only.
const NOT_KEPT: &str = "no-store";

/// The end of an answer's content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    pub(super) next: Offset,
    /// True if the answer holds everything that there was.
    pub(super) up_to_date: bool,
    /// True if the answer will be the same whoever asks, and whenever.
    pub(super) is_final: bool,
}

/// The answer to HEAD.
pub(super) fn metadata(tail: Offset) -> Response<Outgoing> {
    let mut response = Response::new(whole(""));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(NEXT_OFFSET, text(&tail));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(NOT_KEPT));
    response
}

/// The answer to `offset=now` without a wait: no message, and the tail.
pub(super) fn at_tail(tail: Offset) -> Response<Outgoing> {
    let mut response = metadata(tail);
    *response.body_mut() = whole("[]");
    response.headers_mut().insert(UP_TO_DATE, HeaderValue::from_static("true"));
    response
}

/// The answer to a long poll during which nothing came.
pub(super) fn nothing_came(asked: &StreamRequest, tail: Offset, now: SystemTime) -> Response<Outgoing> {
    let mut response = metadata(tail);
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    headers.insert(UP_TO_DATE, HeaderValue::from_static("true"));
    headers.insert(CURSOR, HeaderValue::from(next_cursor(now, asked.poll_cursor)));
    response
}

/// An answer with messages, or 304 if the client has it. Without a tag nobody may keep it, or take it for another one.
pub(super) fn messages(
    asked: &StreamRequest,
    request: &HeaderMap,
    tag: Option<&str>,
    ending: Ending,
    now: SystemTime,
    body: impl FnOnce() -> Outgoing,
) -> Response<Outgoing> {
    let is_known =
        tag.is_some_and(|tag| listed(request, &IF_NONE_MATCH).any(|known| known == "*" || weak(known) == weak(tag)));
    let mut response = if is_known { Response::new(whole("")) } else { Response::new(body()) };
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    if !is_known {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers.insert(NEXT_OFFSET, text(&ending.next));
    if let Some(tag) = tag {
        headers.insert(ETAG, text(&tag));
    }
    let kept = if tag.is_some() { kept(asked, ending) } else { NOT_KEPT };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    if ending.up_to_date {
        headers.insert(UP_TO_DATE, HeaderValue::from_static("true"));
    }
    if asked.live == Some(Live::LongPoll) {
        headers.insert(CURSOR, HeaderValue::from(next_cursor(now, asked.poll_cursor)));
    }
    response
}

fn kept(asked: &StreamRequest, ending: Ending) -> &'static str {
    match asked.viewer {
        Viewer::Known(_) => REVALIDATED,
        Viewer::Public if ending.is_final && asked.live.is_none() && asked.is_canonical() => KEPT_PAGE,
        Viewer::Public => KEPT_BRIEFLY,
    }
}

/// The tag of an answer: the version of the stream, who sees it, and which part of it this is.
pub(super) fn tag(asked: &StreamRequest, after: i64, ending: Ending) -> String {
    let mut viewer = Fingerprint::default();
    viewer.add(format!("{:?}", asked.viewer.owners()));
    let (version, viewer, end) = (asked.version, viewer.finish(), if ending.up_to_date { "tail" } else { "page" });
    format!("\"{version:08x}-{viewer:08x}-{after}-{}-{end}\"", ending.next)
}

/// A tag without the mark that says that it is weak.
fn weak(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// Offsets and tags are made of digits, letters and a few signs, so they always make a header.
fn text(value: &impl ToString) -> HeaderValue {
    HeaderValue::try_from(value.to_string()).unwrap_or(HeaderValue::from_static(""))
}
