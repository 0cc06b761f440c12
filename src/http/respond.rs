//! Responses: JSON that nobody caches, and the headers that every response carries.

use std::convert::Infallible;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{HeaderMap, Response};
use serde::Serialize;

use super::request_id::{RequestId, X_REQUEST_ID};

/// The body of an answer: whole, or a stream.
pub(super) type Outgoing = UnsyncBoxBody<Bytes, Infallible>;

/// A body that is all there.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Outgoing {
    Full::new(bytes.into()).boxed_unsync()
}

/// 200 with a JSON body.
pub(super) fn json_response(value: &impl Serialize) -> Response<Outgoing> {
    // What is sent here are plain structs and maps with string keys; those always serialize.
    let body = serde_json::to_vec(value).unwrap_or_default();
    json_text(body)
}

/// 200 with a body that is JSON already.
pub(super) fn json_text(body: impl Into<Bytes>) -> Response<Outgoing> {
    let mut response = Response::new(whole(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// What every response carries; a header that the handler has set stays.
pub(super) fn finish(headers: &mut HeaderMap, id: &RequestId) {
    headers.insert(&X_REQUEST_ID, id.header());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // Data is no page: should a browser ever show it as one, nothing in it runs. A page sets its own.
    let data = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(data);
    let same = HeaderValue::from_static("same-origin");
    headers.entry(HeaderName::from_static("cross-origin-resource-policy")).or_insert(same);
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
