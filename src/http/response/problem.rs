//! Errors as clients see them: RFC 9457 problem documents with a stable code. What went wrong inside goes to the log,
//! under the same request id, and never here.

use std::borrow::Cow;
use std::time::Duration;

use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::db::DatabaseError;
use crate::http::connection::gate::ExceededLimit;
use crate::http::response::json::{Outgoing, whole};
use crate::http::response::refusals::{self, Refusal};
use crate::http::response::request_id::RequestId;
use crate::query::BadQuery;
use crate::session::ReadError;

/// The media type of a problem document.
pub(in crate::http) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An error for a client: what it may know, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct Problem {
    refusal: &'static Refusal,
    detail: Cow<'static, str>,
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
    /// A refusal, with the sentence of the table.
    pub(in crate::http) fn of(refusal: &'static Refusal) -> Self {
        Self::because(refusal, refusal.sentence)
    }

    /// A refusal, with a sentence that says more than the table's.
    pub(in crate::http) fn because(refusal: &'static Refusal, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { refusal, detail: detail.into(), headers: Vec::new(), oldest: None, index: None, state: None }
    }

    /// 404
    pub(in crate::http) fn not_found() -> Self {
        Self::of(refusals::NOT_FOUND)
    }

    /// 405, with the methods that are allowed.
    pub(in crate::http) fn method_not_allowed(allow: &HeaderValue) -> Self {
        let detail = format!("This address allows {}.", allow.to_str().unwrap_or_default());
        Self::because(refusals::METHOD_NOT_ALLOWED, detail).with(ALLOW, allow.clone())
    }

    /// 413, with the limit.
    pub(in crate::http) fn body_too_large(limit: u64) -> Self {
        Self::because(refusals::BODY_TOO_LARGE, format!("A body may be at most {limit} bytes."))
    }

    /// 500. The log has the rest.
    pub(in crate::http) fn internal() -> Self {
        Self::of(refusals::INTERNAL)
    }

    /// 400
    pub(in crate::http) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::because(refusals::BAD_REQUEST, detail)
    }

    /// 401
    pub(in crate::http) fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::because(refusals::UNAUTHORIZED, detail).with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 401 for a token that is not believed, whatever is wrong with it.
    pub(in crate::http) fn token_not_accepted() -> Self {
        Self::unauthorized(refusals::UNAUTHORIZED.sentence)
    }

    /// 403
    pub(in crate::http) fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::because(refusals::FORBIDDEN, detail)
    }

    /// 429. The request quota adds when to come back.
    pub(in crate::http) fn rate_limited(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::because(refusals::RATE_LIMITED, detail)
    }

    /// 503
    pub(in crate::http) fn too_many_sessions() -> Self {
        Self::of(refusals::TOO_MANY_SESSIONS).retry_after(Duration::from_secs(1))
    }

    /// Adds the index of the item in the list that was sent, from 0.
    pub(in crate::http) fn at(self, index: Option<usize>) -> Self {
        Self { index, ..self }
    }

    /// Adds the state that does not allow the request.
    pub(in crate::http) fn in_state(self, state: Option<String>) -> Self {
        Self { state: state.map(String::into_boxed_str), ..self }
    }

    /// 426
    pub(in crate::http) fn upgrade_required() -> Self {
        Self::of(refusals::UPGRADE_REQUIRED)
            .with(UPGRADE, HeaderValue::from_static("websocket"))
            .with(HeaderName::from_static("sec-websocket-version"), HeaderValue::from_static("13"))
    }

    /// Adds a header to the response.
    pub(in crate::http) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds when to try again.
    pub(in crate::http) fn retry_after(self, wait: Duration) -> Self {
        self.with(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)))
    }

    /// The seconds of [`Self::retry_after`], if they were said.
    pub(in crate::http) fn retry_seconds(&self) -> Option<u64> {
        let (_, value) = self.headers.iter().find(|(name, _)| name == RETRY_AFTER)?;
        value.to_str().ok()?.parse().ok()
    }

    /// The row of the table of refusals.
    pub(in crate::http) fn refusal(&self) -> &'static Refusal {
        self.refusal
    }

    /// The sentence for a person.
    pub(in crate::http) fn detail(&self) -> &str {
        &self.detail
    }

    /// 503: the database cannot be reached. The log is told what was not done, and why.
    pub(in crate::http) fn database_away(undone: &str, error: &DatabaseError) -> Self {
        if let DatabaseError::Busy(_) = error {
            tracing::debug!("{undone}: {error}");
            return Self::of(refusals::DATABASE_BUSY).retry_after(Duration::from_secs(1));
        }
        tracing::warn!(reason = error.kind(), "{undone}: {error}");
        let refusal = match error {
            DatabaseError::ReadOnly(_) => refusals::DATABASE_READ_ONLY,
            _ => refusals::DATABASE_UNAVAILABLE,
        };
        Self::of(refusal).retry_after(Duration::from_secs(1))
    }

    /// The response that carries this problem.
    pub(in crate::http) fn into_response(self, id: &RequestId) -> Response<Outgoing> {
        // A request cannot come upon what only happens to a stream; if one did, that is a fault of the server.
        let status = self.refusal.status.and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let document = Document {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code: self.refusal.code,
            detail: &self.detail,
            request_id: id.as_str(),
            oldest: self.oldest,
            index: self.index,
            state: self.state.as_deref(),
        };
        // A struct of strings and a number always serializes.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::new(whole(body));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
        response.headers_mut().extend(self.headers);
        response
    }
}

impl From<ReadError> for Problem {
    fn from(refused: ReadError) -> Self {
        match refused {
            ReadError::CursorExpired { oldest } => Self { oldest: Some(oldest), ..Self::of(refusals::CURSOR_EXPIRED) },
            ReadError::CursorInvalid => Self::of(refusals::CURSOR_INVALID),
            ReadError::Busy => Self::of(refusals::DATABASE_BUSY).retry_after(Duration::from_secs(1)),
            ReadError::Unavailable(why) => {
                tracing::warn!(why, "the journal cannot be read");
                Self::because(refusals::DATABASE_UNAVAILABLE, JOURNAL_AWAY).retry_after(Duration::from_secs(1))
            }
        }
    }
}

impl From<BadQuery> for Problem {
    fn from(bad: BadQuery) -> Self {
        Self::bad_request(bad.to_string())
    }
}

/// The answer to everything but a probe on a connection beyond a limit.
impl From<ExceededLimit> for Problem {
    fn from(limit: ExceededLimit) -> Self {
        let problem = match limit {
            ExceededLimit::Server => Self::of(refusals::TOO_MANY_CONNECTIONS),
            ExceededLimit::Address => Self::rate_limited("There are too many connections from this address already."),
        };
        problem.retry_after(Duration::from_secs(1))
    }
}

/// The sentence for a viewer of a journal that cannot be read.
pub(in crate::http) const JOURNAL_AWAY: &str = "The journal cannot be read at this moment.";
