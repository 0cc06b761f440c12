//! The origin of a page: which pages may connect, and what their browser is told about it (CORS).
//!
//! A browser keeps no credentials for this server: the page itself sends the token. So no response allows credentials, and a page of
//! a foreign origin gains nothing by a request whose response it may not read.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderValue, ORIGIN,
    VARY,
};
use hyper::{HeaderMap, Method, Response, StatusCode};

use crate::http::response::json::{Outgoing, whole};
use crate::http::response::problem::Problem;
use crate::telemetry::LogThrottle;

/// The request headers that a page may send.
const ALLOWED_HEADERS: &str =
    "authorization, content-type, idempotency-key, if-none-match, last-event-id, x-request-id";
/// The response headers that a page may read, beside the few that every page may read.
const EXPOSED_HEADERS: &str = "etag, ratelimit, ratelimit-policy, retry-after, stream-cursor, stream-next-offset, stream-up-to-date, x-request-id";
/// The seconds for which a browser remembers a preflight.
const PREFLIGHT_MAX_AGE: &str = "600";
/// How many characters of an origin the log shows.
const MAX_SHOWN: usize = 256;

/// The origin of the page that makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum Origin {
    /// The request comes from no page, or from a page of the server itself.
    Own,
    /// The request comes from a page of an origin that the configuration names.
    Allowed(HeaderValue),
    /// The request comes from any other page. Has the `Origin` that the browser sent, for the log.
    Foreign(String),
}

impl Origin {
    /// Reads the origin from the head of a request. A program sends no `Origin`.
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
        if allowed.iter().any(|allowed| matches(allowed, &text)) { Self::Allowed(origin.clone()) } else { foreign() }
    }

    /// Refuses a foreign origin: for an upgrade, which has no preflight, and for a preflight. A browser tells its page neither status nor
    /// reason, so the log names the origin and the setting that would allow it.
    pub(in crate::http) fn check(&self, refused: &LogThrottle) -> Result<(), Problem> {
        let Self::Foreign(origin) = self else { return Ok(()) };
        if let Some(count) = refused.due() {
            let origin: String = origin.chars().take(MAX_SHOWN).collect();
            tracing::warn!(
                ?origin,
                count,
                "a page was refused: to let pages of this origin connect, name it in ROWCAST_ALLOWED_ORIGINS"
            );
        }
        Err(Problem::forbidden("Pages of this origin may not connect; ROWCAST_ALLOWED_ORIGINS names those that may."))
    }

    /// Writes the headers that tell the browser whether the page may read the response, and caches that it depends on the origin.
    pub(in crate::http) fn write(&self, into: &mut HeaderMap) {
        into.append(VARY, HeaderValue::from_static("origin"));
        if let Self::Allowed(origin) = self {
            into.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            into.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
        }
    }

    /// The response to a preflight.
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
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_MAX_AGE));
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
    fn a_star_stands_for_any_port_and_nothing_else() {
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
