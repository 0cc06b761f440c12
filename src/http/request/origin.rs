//! Browsers: which pages may connect, and what their browser is told of it (CORS).
//!
//! Nothing here lets a page use what a browser keeps for the user, since there is no such thing: a token is sent by hand.
//! So no answer allows credentials, and a foreign page that may not read an answer has lost nothing by asking.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderValue, ORIGIN,
    VARY,
};
use hyper::{HeaderMap, Method, Response, StatusCode};

use crate::http::response::json::{Outgoing, whole};
use crate::http::response::problem::Problem;
use crate::telemetry::LogThrottle;

/// The headers that a page may send.
const SENT: &str = "authorization, content-type, idempotency-key, last-event-id, x-request-id";
/// Those of an answer that it may read, beside the few that every page may.
const READ: &str = "ratelimit, ratelimit-policy, retry-after, x-request-id";
/// For how many seconds a browser need not ask again.
const MEMORY: &str = "600";
/// How many characters of an origin the log shows.
const MAX_SHOWN: usize = 256;

/// The origin of the page that makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum Origin {
    /// It comes from no page, or from one of the server's own.
    Own,
    /// From a page of an origin that the configuration names.
    Welcome(HeaderValue),
    /// From any other; the text that the browser sent, for the log.
    Foreign(String),
}

impl Origin {
    /// Reads the head of a request. A program sends no `Origin`.
    pub(in crate::http) fn of(allowed: &[String], headers: &HeaderMap) -> Self {
        let mut all = headers.get_all(ORIGIN).iter();
        let Some(origin) = all.next() else { return Self::Own };
        let lower = |value: &HeaderValue| value.to_str().ok().map(str::to_ascii_lowercase);
        let foreign = || Self::Foreign(String::from_utf8_lossy(origin.as_bytes()).into_owned());
        let Some(text) = lower(origin).filter(|_| all.next().is_none()) else { return foreign() };
        let host = text.strip_prefix("https://").or(text.strip_prefix("http://"));
        if host.is_some() && host == headers.get(HOST).and_then(lower).as_deref() {
            return Self::Own;
        }
        if allowed.iter().any(|allowed| matches(allowed, &text)) { Self::Welcome(origin.clone()) } else { foreign() }
    }

    /// For what a browser does not ask about beforehand: a WebSocket.
    /// A browser tells its page neither status nor reason, so the log says who was refused and what would let them in.
    pub(in crate::http) fn check(&self, refused: &LogThrottle) -> Result<(), Problem> {
        let Self::Foreign(origin) = self else { return Ok(()) };
        if let Some(count) = refused.due() {
            let shown: String = origin.chars().take(MAX_SHOWN).collect();
            tracing::warn!(
                origin = ?shown,
                count,
                "a page was refused: to let pages of this origin connect, name it in ROWCAST_ALLOWED_ORIGINS"
            );
        }
        Err(Problem::forbidden("Pages of this origin may not connect; ROWCAST_ALLOWED_ORIGINS names those that may."))
    }

    /// Tells the browser who may read the answer. Caches are told that it depends on who asked.
    pub(in crate::http) fn write(&self, into: &mut HeaderMap) {
        into.append(VARY, HeaderValue::from_static("origin"));
        if let Self::Welcome(origin) = self {
            into.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            into.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(READ));
        }
    }

    /// The answer to a browser that asks before it sends a page's request.
    pub(in crate::http) fn preflight(
        &self,
        refused: &LogThrottle,
        allow: &HeaderValue,
    ) -> Result<Response<Outgoing>, Problem> {
        self.check(refused)?;
        let mut response = Response::new(whole(""));
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, allow.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(SENT));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MEMORY));
        headers.append(VARY, HeaderValue::from_static("access-control-request-method, access-control-request-headers"));
        Ok(response)
    }
}

/// True if the origin is the one that the configuration names. `:*` stands for any port.
fn matches(allowed: &str, origin: &str) -> bool {
    let Some(host) = allowed.strip_suffix(":*") else { return allowed == origin };
    match origin.strip_prefix(host) {
        Some("") => true,
        Some(port) => port.strip_prefix(':').is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit())),
        None => false,
    }
}

/// True for a preflight: a browser asks before it sends the request of a page.
pub(in crate::http) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_port_that_may_be_any_is_a_port() {
        for origin in ["http://localhost", "http://localhost:5173", "http://localhost:80"] {
            assert!(matches("http://localhost:*", origin), "{origin}");
        }
        for origin in [
            "https://localhost:5173",
            "http://localhost:",
            "http://localhost:5173.evil.example",
            "http://localhost.evil.example",
            "http://localhost@evil.example",
            "http://localhosts:1",
        ] {
            assert!(!matches("http://localhost:*", origin), "{origin}");
        }
        assert!(matches("https://a.example", "https://a.example"));
        assert!(!matches("https://a.example", "https://a.example:8443"));
    }
}
