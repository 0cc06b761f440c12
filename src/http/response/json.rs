//! The bodies of responses.

use std::io;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;

/// The body of an answer: whole, or a stream. An error in it ends the connection, so that nobody takes an answer without its end for
/// a whole one.
pub(in crate::http) type Outgoing = UnsyncBoxBody<Bytes, io::Error>;

/// A body that is all there.
pub(in crate::http) fn whole(bytes: impl Into<Bytes>) -> Outgoing {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// 200 with a JSON body.
pub(in crate::http) fn json_response(value: &impl Serialize) -> Response<Outgoing> {
    // What is sent here are plain structs and maps with string keys; those always serialize.
    let body = serde_json::to_vec(value).unwrap_or_default();
    json_text(body)
}

/// 200 with a body that is JSON already.
pub(in crate::http) fn json_text(body: impl Into<Bytes>) -> Response<Outgoing> {
    let mut response = Response::new(whole(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
