//! The errors of the client, typed by what can be done about them.

use std::fmt;
use std::time::Duration;

/// The reason that the server gave, in a problem document or an `error` frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// The stable code, for programs.
    pub code: Option<String>,
    /// The sentence, for people.
    pub message: Option<String>,
    /// The oldest seq that is kept, when a cursor has expired.
    pub oldest: Option<i64>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.code, &self.message) {
            (Some(code), Some(message)) => write!(f, "{code}: {message}"),
            (Some(one), None) | (None, Some(one)) => f.write_str(one),
            (None, None) => f.write_str("no reason given"),
        }
    }
}

/// The reason for which a connection, a stream or a request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server does not answer, or its name is unknown.
    #[error("cannot connect: {0}")]
    Connect(#[source] std::io::Error),
    /// The certificate is not believed.
    #[error("TLS: {0}")]
    Tls(#[source] std::io::Error),
    /// Connecting, or the `hello` after it, took too long.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The token cannot stand in a header.
    #[error("the token holds characters that no token has")]
    BadToken,
    /// The server there is no WebSocket server.
    #[error("this is no WebSocket server: {0}")]
    NotWebSocket(&'static str),
    /// 401 or 4401: there is no token, or it is bad or has expired.
    #[error("not authorized ({0})")]
    Unauthorized(Told),
    /// 403 or 4403: the role does not allow it, or the subject was revoked.
    #[error("forbidden ({0})")]
    Forbidden(Told),
    /// 400 or 4400: cursor or filters make no sense.
    #[error("bad request ({0})")]
    BadRequest(Told),
    /// 410 or 4410: retention has taken what comes next.
    #[error("the cursor has expired{}", oldest_kept(*oldest))]
    CursorExpired {
        /// The oldest seq that is kept.
        oldest: Option<i64>,
    },
    /// 4411: the cursor is ahead of the head, or of another history.
    #[error("the cursor is not of this history ({0})")]
    CursorInvalid(Told),
    /// 429 or 4429: a rate limit is reached.
    #[error("too many connections ({told})")]
    RateLimited {
        /// In the server's words.
        told: Told,
        /// The pause that the server asks for.
        retry_after: Option<Duration>,
    },
    /// Any 5xx: not available now.
    #[error("not available, status {status} ({told})")]
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// In the server's words.
        told: Told,
        /// The pause that the server asks for.
        retry_after: Option<Duration>,
    },
    /// Any other answer than the upgrade.
    #[error("refused with status {status} ({told})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// In the server's words.
        told: Told,
    },
    /// The server closed with 1000, 1011, 1012, 4408, 4409 or another code after which a client may come back.
    #[error("the server closed with {code} ({told})")]
    Closed {
        /// The close code; 1005 if none was given.
        code: u16,
        /// In the server's words.
        told: Told,
    },
    /// The connection broke without a close, which is what 1006 means.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// Not even a heartbeat came.
    #[error("nothing was heard for {0:?}")]
    Silent(Duration),
    /// Count and sum of the events that came differ from those of the server.
    #[error(
        "events are missing: the server has sent {sent} with the sum {check}, and {received} with the sum {sum} came"
    )]
    Missed {
        /// The number of events that the server has sent.
        sent: u64,
        /// The number of events that came.
        received: u64,
        /// The sum of the seqs sent.
        check: u64,
        /// The sum of those that came.
        sum: u64,
    },
    /// An event came after one that it should have come before.
    #[error("out of order: seq {seq} came after {after} had passed")]
    Misordered {
        /// The seq of the event.
        seq: i64,
        /// The seq that had passed.
        after: i64,
    },
    /// An event came although the cursor stood on it or beyond.
    #[error("repeated: seq {seq} came after the cursor {cursor}")]
    Repeated {
        /// The seq of the event.
        seq: i64,
        /// The cursor at which the connection began.
        cursor: i64,
    },
    /// A message is malformed, or longer than 1 MiB.
    #[error("not a frame of the interface: {0}")]
    BadFrame(String),
    /// The stream has ended with an error before.
    #[error("the stream has ended")]
    Ended,
}

fn oldest_kept(oldest: Option<i64>) -> String {
    oldest.map_or_else(String::new, |seq| format!(": the oldest event that is kept is seq {seq}"))
}

impl Error {
    /// The error that an answer other than the upgrade means.
    pub(super) fn of_status(status: u16, told: Told, retry_after: Option<Duration>) -> Self {
        match status {
            400 if told.code.as_deref() == Some("cursor_invalid") => Self::CursorInvalid(told),
            400 => Self::BadRequest(told),
            401 => Self::Unauthorized(told),
            403 => Self::Forbidden(told),
            410 => Self::CursorExpired { oldest: told.oldest },
            429 => Self::RateLimited { told, retry_after },
            500..=599 => Self::Unavailable { status, told, retry_after },
            _ => Self::Refused { status, told },
        }
    }

    /// The error that a close means.
    pub(super) fn of_close(code: u16, told: Told) -> Self {
        match code {
            4400 => Self::BadRequest(told),
            4401 => Self::Unauthorized(told),
            4403 => Self::Forbidden(told),
            4410 => Self::CursorExpired { oldest: told.oldest },
            4411 => Self::CursorInvalid(told),
            4429 => Self::RateLimited { told, retry_after: None },
            _ => Self::Closed { code, told },
        }
    }

    /// True if the same request may well succeed later.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Connect(_)
                | Self::Timeout(_)
                | Self::RateLimited { .. }
                | Self::Unavailable { .. }
                | Self::Closed { .. }
                | Self::Lost(_)
                | Self::Silent(_)
        )
    }

    /// The pause that the server asks for.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_of_another_history_is_told_from_a_bad_request_over_http_too() {
        let told = |code: &str| Told { code: Some(code.to_owned()), message: None, oldest: None };
        let invalid = Error::of_status(400, told("cursor_invalid"), None);
        assert!(matches!(invalid, Error::CursorInvalid(_)), "{invalid:?}");
        let bad = Error::of_status(400, told("bad_request"), None);
        assert!(matches!(bad, Error::BadRequest(_)), "{bad:?}");
    }
}
