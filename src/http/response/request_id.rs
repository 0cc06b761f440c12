//! The id by which a response, an error and the log speak of the same request.

use std::fmt;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use uuid::Uuid;

use crate::view::Redaction;

/// Where the id travels, both ways.
pub(in crate::http) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const MAX_BYTES: usize = 64;

/// A request's id: the caller's own if it is a plain word, else a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct RequestId(HeaderValue);

impl RequestId {
    /// Takes the caller's id where it is 1 to 64 letters, digits, `-`, `_` or `.` and no secret, so that nobody writes our
    /// log.
    pub(in crate::http) fn of(headers: &HeaderMap) -> Self {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
        match headers.get(&X_REQUEST_ID) {
            Some(id) if (1..=MAX_BYTES).contains(&id.len()) && id.as_bytes().iter().all(plain) && !is_secret(id) => {
                Self(id.clone())
            }
            _ => Self::fresh(),
        }
    }

    fn fresh() -> Self {
        let text = Uuid::new_v4().simple().to_string();
        Self(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("none")))
    }

    /// As text.
    pub(in crate::http) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or("none")
    }

    /// As a header's value.
    pub(in crate::http) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

fn is_secret(id: &HeaderValue) -> bool {
    id.to_str().is_ok_and(|id| Redaction::built_in().text(id) != id)
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &'static str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(&X_REQUEST_ID, HeaderValue::from_static(value));
        RequestId::of(&headers).to_string()
    }

    #[test]
    fn a_plain_id_is_kept_and_anything_else_replaced() {
        assert_eq!(of("order-7_a.b"), "order-7_a.b");
        for odd in [
            "",
            "two words",
            "hf_abcdefghijABCDEFGHIJabcdefghijABCD",
            "a\"b",
            "0123456789012345678901234567890123456789012345678901234567890123X",
        ] {
            assert_ne!(of(odd), odd);
            assert_eq!(of(odd).len(), 32);
        }
        assert_ne!(RequestId::of(&HeaderMap::new()), RequestId::of(&HeaderMap::new()));
    }
}
