//! The body of a request: its format, its limits, and which bytes can be stored.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::HeaderMap;
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::http::response::problem::Problem;
use crate::http::response::refusals;

/// The largest body of any request.
pub const MAX_BODY_BYTES: u64 = 1 << 20;
/// How long a client may take to send its body.
pub const BODY_LIMIT: Duration = Duration::from_secs(30);

/// The format of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Format {
    Json,
    Lines,
}

impl Format {
    /// The format that the headers state.
    pub(in crate::http) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        // A compressed body may unpack to a thousand times the limit.
        if headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(Problem::because(
                refusals::UNSUPPORTED_MEDIA_TYPE,
                "A body must come without Content-Encoding.",
            ));
        }
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/json" => Ok(Self::Json),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Self::Lines),
            _ => Err(Problem::because(
                refusals::UNSUPPORTED_MEDIA_TYPE,
                "Content-Type must be application/json or application/x-ndjson.",
            )),
        }
    }
}

/// Refuses a body that is not stated to be JSON.
pub(in crate::http) fn needs_json(headers: &HeaderMap) -> Result<(), Problem> {
    match Format::of(headers) {
        Ok(Format::Json) => Ok(()),
        _ => Err(Problem::because(refusals::UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json.")),
    }
}

/// Refuses a body that has an escape for NUL or for half a surrogate pair, which no text of Postgres can hold.
fn check_escapes(body: &[u8]) -> Result<(), Problem> {
    let mut at = 0;
    while let Some(to_escape) = body.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\\')) {
        at += to_escape;
        let error = match code_unit(body, at) {
            Some(0) => Some("holds a NUL character"),
            Some(0xD800..=0xDBFF) if matches!(code_unit(body, at + 6), Some(0xDC00..=0xDFFF)) => {
                at += 6;
                None
            }
            Some(0xD800..=0xDFFF) => Some("holds an unpaired surrogate"),
            _ => None,
        };
        if let Some(error) = error {
            let (line, column) = line_and_column(body, at);
            let detail = format!("The body {error} at line {line}, column {column}.");
            return Err(Problem::because(refusals::BAD_JSON, detail));
        }
        at += 2;
    }
    Ok(())
}

/// The UTF-16 code unit of the escape `\uXXXX` at this index, if there is one.
fn code_unit(body: &[u8], at: usize) -> Option<u16> {
    let digits = body.get(at..at + 6)?.strip_prefix(br"\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The line and column of a byte, counted from 1.
pub(in crate::http) fn line_and_column(body: &[u8], at: usize) -> (usize, usize) {
    let before = body.get(..at).unwrap_or_default();
    let last_line = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    (1 + before.iter().filter(|byte| **byte == b'\n').count(), last_line.len() + 1)
}

/// Reads the body to its end.
pub(in crate::http) async fn read_body(body: Incoming) -> Result<Bytes, Problem> {
    let limit = usize::try_from(MAX_BODY_BYTES).unwrap_or(usize::MAX);
    match tokio::time::timeout(BODY_LIMIT, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => {
            let body = body.to_bytes();
            check_escapes(&body).map(|()| body)
        }
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Problem::body_too_large(MAX_BODY_BYTES))
        }
        Ok(Err(_)) => Err(Problem::bad_request("The body ended early.")),
        Err(_) => Err(Problem::because(refusals::TIMEOUT, "The body took too long to come.")),
    }
}

/// 400, with the line and column of the error.
pub(in crate::http) fn bad_json(line: usize, column: usize) -> Problem {
    Problem::because(refusals::BAD_JSON, refusals::not_json(line, column))
}
