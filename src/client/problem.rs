//! The useful parts of a refusal over HTTP: the problem document, and the pause that the server asks for.

use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::RETRY_AFTER;
use serde::Deserialize;

use super::Told;

/// The longest pause that is believed.
const MAX_RETRY_AFTER: u64 = 600;

#[derive(Deserialize)]
struct Problem {
    code: Option<String>,
    detail: Option<String>,
    oldest: Option<i64>,
}

/// Reads a problem document. Any other body gives no reason.
pub(super) fn told(body: &[u8]) -> Told {
    serde_json::from_slice::<Problem>(body).map_or_else(
        |_| Told::default(),
        |problem| Told { code: problem.code, message: problem.detail, oldest: problem.oldest },
    )
}

/// The pause that `Retry-After` asks for.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds.min(MAX_RETRY_AFTER)))
}
