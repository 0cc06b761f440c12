//! The reasons for which a session ends, and the close code of each.

use crate::http::connection::socket::{MAX_MESSAGE, SocketError};
use crate::http::response::problem::{JOURNAL_AWAY, Problem};
use crate::http::response::refusals::{self, BAD_REQUEST, CLOSE_INTERNAL, Refusal};
use crate::session::ReadError;
use crate::view::Fault;

/// A reason for which a session ends.
#[derive(Debug)]
pub(in crate::http) enum CloseReason {
    /// The other side has closed.
    Left,
    /// The connection broke, or the other side has ended it without a word.
    Lost,
    /// Nothing could be written for too long.
    Stalled,
    /// The server shuts down.
    Drained,
    /// The server refuses to go on: the refusal, and what the client is told of it.
    Closed(&'static Refusal, Fault),
}

impl CloseReason {
    /// A refusal, with the sentence of the table.
    pub(in crate::http) fn of(refusal: &'static Refusal) -> Self {
        Self::because(refusal, refusal.sentence)
    }

    /// A refusal, with a sentence that says more than the table's.
    pub(in crate::http) fn because(refusal: &'static Refusal, message: impl Into<String>) -> Self {
        Self::Closed(refusal, fault(refusal, message))
    }

    /// The word for the log.
    pub(in crate::http) fn reason(&self) -> &'static str {
        match self {
            Self::Left => "closed by the client",
            Self::Lost => "connection lost",
            Self::Stalled => refusals::STALLED.code,
            Self::Drained => refusals::RESTART.code,
            Self::Closed(_, fault) => fault.code,
        }
    }

    /// The code under which it is counted.
    pub(in crate::http) fn code(&self) -> u16 {
        match self {
            Self::Left => 1000,
            Self::Lost => 1006,
            Self::Stalled => close_code(refusals::STALLED),
            Self::Drained => close_code(refusals::RESTART),
            Self::Closed(refusal, _) => close_code(refusal),
        }
    }
}

pub(in crate::http) fn close_code(refusal: &'static Refusal) -> u16 {
    refusal.close.unwrap_or(CLOSE_INTERNAL)
}

pub(in crate::http) fn fault(refusal: &'static Refusal, message: impl Into<String>) -> Fault {
    Fault { code: refusal.code, message: message.into(), oldest: None, retry_after: None }
}

impl From<SocketError> for CloseReason {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::Disconnected => Self::Lost,
            SocketError::TooBig => {
                Self::because(refusals::MESSAGE_TOO_BIG, format!("A message may be at most {MAX_MESSAGE} bytes."))
            }
            SocketError::Utf8 => Self::because(BAD_REQUEST, "A text message must be UTF-8."),
            SocketError::Protocol => Self::because(BAD_REQUEST, "The client breaks the WebSocket protocol."),
        }
    }
}

impl From<ReadError> for CloseReason {
    fn from(refused: ReadError) -> Self {
        match refused {
            ReadError::CursorExpired { oldest } => {
                let refusal = refusals::CURSOR_EXPIRED;
                Self::Closed(refusal, Fault { oldest: Some(oldest), ..fault(refusal, refusal.sentence) })
            }
            ReadError::CursorInvalid => Self::of(refusals::CURSOR_INVALID),
            ReadError::Busy => Self::of(refusals::DATABASE_BUSY),
            ReadError::Unavailable(why) => {
                tracing::debug!(why, "a session cannot begin");
                Self::because(refusals::DATABASE_UNAVAILABLE, JOURNAL_AWAY)
            }
        }
    }
}

impl From<Problem> for CloseReason {
    fn from(problem: Problem) -> Self {
        let fault = fault(problem.refusal(), problem.detail());
        Self::Closed(problem.refusal(), Fault { retry_after: problem.retry_seconds(), ..fault })
    }
}
