//! The header that names a request, so that it may be sent again.

use hyper::HeaderMap;
use hyper::header::HeaderName;

use crate::http::response::problem::Problem;
use crate::journal::MAX_REQUEST_KEY;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The key of a request, if it carries one.
pub(in crate::http) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut all = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (Some(key), second) = (all.next(), all.next()) else { return Ok(None) };
    let fits = (1..=MAX_REQUEST_KEY).contains(&key.len()) && key.as_bytes().iter().all(u8::is_ascii_graphic);
    match (key.to_str(), second) {
        (Ok(key), None) if fits => Ok(Some(key.to_owned())),
        _ => Err(Problem::bad_request(format!(
            "Idempotency-Key must be given once, with 1 to {MAX_REQUEST_KEY} visible ASCII characters."
        ))),
    }
}
