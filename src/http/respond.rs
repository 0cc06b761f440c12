//! Responses: JSON that nobody caches, and the headers that every response carries.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{HeaderMap, Response};
use serde::Serialize;

use super::request_id::{RequestId, X_REQUEST_ID};

/// 200 with a JSON body.
pub(super) fn json_response(value: &impl Serialize) -> Response<Full<Bytes>> {
    // What is sent here are plain structs and maps with string keys; those always serialize.
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// What every response carries; a header that the handler has set stays.
pub(super) fn finish(headers: &mut HeaderMap, id: &RequestId) {
    headers.insert(&X_REQUEST_ID, id.header());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
