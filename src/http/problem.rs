//! Errors as clients see them: RFC 9457 problem documents with a stable code. What went wrong inside goes to the log,
//! under the same request id, and never here.

use std::time::Duration;

use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::request_id::RequestId;
use super::respond::{Outgoing, whole};
use crate::db::Trouble;

/// The media type of a problem document.
pub(super) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An error for a client: what it may know, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    oldest: Option<i64>,
    index: Option<usize>,
    state: Option<Box<str>>,
}

/// The document as it is sent.
#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a str>,
}

impl Problem {
    /// A problem with a stable code and one sentence for a person.
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), headers: Vec::new(), oldest: None, index: None, state: None }
    }

    /// 404: there is no such thing here.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address.")
    }

    /// 405, with what may be done instead.
    pub(super) fn method_not_allowed(allow: &HeaderValue) -> Self {
        let detail = format!("This address allows {}.", allow.to_str().unwrap_or_default());
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).with(ALLOW, allow.clone())
    }

    /// 413, with the limit.
    pub(super) fn body_too_large(limit: u64) -> Self {
        let detail = format!("A body may be at most {limit} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    }

    /// 500. The log has the rest.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong here. The log knows more.")
    }

    /// 400: the request makes no sense.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// 401: who asks is not known.
    pub(super) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
            .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 403: who asks may not.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 410: what comes next is gone.
    pub(super) fn cursor_expired(oldest: i64) -> Self {
        let detail = "Events after this cursor were trimmed.";
        Self { oldest: Some(oldest), ..Self::new(StatusCode::GONE, "cursor_expired", detail) }
    }

    /// 400: a cursor that this history does not hold.
    pub(super) fn cursor_invalid() -> Self {
        let detail = "The cursor is ahead of the stream or of another history.";
        Self::new(StatusCode::BAD_REQUEST, "cursor_invalid", detail)
    }

    /// 429: too much of it; the visit says when to come back.
    pub(super) fn rate_limited(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
    }

    /// 503: as many sessions as this server may have.
    pub(super) fn too_many_sessions() -> Self {
        Self::unavailable("too_many_sessions", "This server has no room for another session.")
            .retry_after(Duration::from_secs(1))
    }

    /// 415: the body is of another kind.
    pub(super) fn unsupported(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// 422: understood, and not possible. With the place in the list of what was sent, from 0.
    pub(super) fn unprocessable(code: &'static str, detail: impl Into<String>, index: Option<usize>) -> Self {
        Self { index, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail) }
    }

    /// The same, with a place in the list of what was sent, from 0.
    pub(super) fn at(self, index: Option<usize>) -> Self {
        Self { index, ..self }
    }

    /// 409: not in the state that it is in.
    pub(super) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 409: what it is about is in a state that does not allow it.
    pub(super) fn state_conflict(detail: impl Into<String>, state: &str) -> Self {
        Self { state: Some(state.into()), ..Self::new(StatusCode::CONFLICT, "state_conflict", detail) }
    }

    /// 426: this address speaks WebSocket.
    pub(super) fn upgrade_required() -> Self {
        let detail = "This address speaks WebSocket, version 13.";
        Self::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", detail)
            .with(UPGRADE, HeaderValue::from_static("websocket"))
            .with(HeaderName::from_static("sec-websocket-version"), HeaderValue::from_static("13"))
    }

    /// The same with a header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same, and when to try again.
    pub(super) fn retry_after(self, wait: Duration) -> Self {
        self.with(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)))
    }

    /// The seconds of [`Self::retry_after`], if they were said.
    pub(super) fn retry_seconds(&self) -> Option<u64> {
        let (_, value) = self.headers.iter().find(|(name, _)| name == RETRY_AFTER)?;
        value.to_str().ok()?.parse().ok()
    }

    /// The stable word.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// The sentence.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether it is a matter of rights, and not of who it is.
    pub(super) fn is_forbidden(&self) -> bool {
        self.status == StatusCode::FORBIDDEN
    }

    /// Whether it is the server that cannot now.
    pub(super) fn is_unavailable(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// Whether it is a matter of how often.
    pub(super) fn is_rate_limited(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
    }

    /// 503: too many wait for the database.
    pub(super) fn database_busy() -> Self {
        let detail = "Too many requests wait for the database, or too many of this subject or address.";
        Self::unavailable("database_busy", detail).retry_after(Duration::from_secs(1))
    }

    /// 503: the database cannot be reached. The log is told what was not done, and why.
    pub(super) fn database_away(undone: &str, trouble: &Trouble) -> Self {
        if let Trouble::Busy(_) = trouble {
            tracing::debug!("{undone}: {trouble}");
            return Self::database_busy();
        }
        tracing::warn!(reason = trouble.kind(), "{undone}: {trouble}");
        if let Trouble::ReadOnly(_) = trouble {
            return Self::unavailable("database_read_only", "The database takes no writes.")
                .retry_after(Duration::from_secs(1));
        }
        Self::unavailable("database_unavailable", "The database does not answer.").retry_after(Duration::from_secs(1))
    }

    /// 503, with a code that says what is missing.
    pub(super) fn unavailable(code: &'static str, detail: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
    }

    /// The response that carries this problem.
    pub(super) fn into_response(self, id: &RequestId) -> Response<Outgoing> {
        let document = Document {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            request_id: id.as_str(),
            oldest: self.oldest,
            index: self.index,
            state: self.state.as_deref(),
        };
        // A struct of strings and a number always serializes.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::new(whole(body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
        response.headers_mut().extend(self.headers);
        response
    }
}

/// A reason as the other details are written, with a full stop.
pub(super) fn sentence(text: &str) -> String {
    format!("{text}.")
}
