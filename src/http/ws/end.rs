//! Why a session ends, under which code, and what is said last.

use std::time::Duration;

use tokio::time::Instant;

use super::MAX_MESSAGE;
use crate::http::access::NotIn;
use crate::http::context::Context;
use crate::http::problem::Problem;
use crate::http::socket::{Gone, Socket};
use crate::http::wire::Wire;
use crate::session::Refused;
use crate::view::{Control, Fault};

/// How long the other side may take to answer a close.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// How long a client that had stalled may take to read that it was closed, and why.
const STALL_PATIENCE: Duration = Duration::from_secs(30);

/// Why a session ends.
#[derive(Debug)]
pub(super) enum End {
    /// The other side has closed.
    Left,
    /// The connection broke, or the other side has ended it without a word.
    Lost,
    /// Nothing could be written for too long.
    Stalled,
    /// The server shuts down.
    Drained,
    /// For this reason, under this code.
    Closed(u16, Fault),
}

impl End {
    pub(super) fn closed(close: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self::Closed(close, Fault { code, message: message.into(), oldest: None, retry_after: None })
    }

    pub(super) fn revoked() -> Self {
        Self::closed(4403, "revoked", "The tokens of this subject were revoked.")
    }

    pub(super) fn expired() -> Self {
        Self::closed(4401, "token_expired", "The token has expired.")
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::closed(4400, "bad_request", message)
    }

    /// The word that says why, for the log.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Left => "closed by the client",
            Self::Lost => "connection lost",
            Self::Stalled => "stalled",
            Self::Drained => "restart",
            Self::Closed(_, fault) => fault.code,
        }
    }

    /// The code under which it is counted.
    pub(super) fn code(&self) -> u16 {
        match self {
            Self::Left => 1000,
            Self::Lost => 1006,
            Self::Stalled => 4409,
            Self::Drained => 1012,
            Self::Closed(code, _) => *code,
        }
    }
}

impl From<Gone> for End {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Away => Self::Lost,
            Gone::TooBig => {
                Self::closed(1009, "message_too_big", format!("A message may be at most {MAX_MESSAGE} bytes."))
            }
            Gone::Utf8 => Self::bad_request("A text message must be UTF-8."),
            Gone::Protocol => Self::bad_request("The client breaks the WebSocket protocol."),
        }
    }
}

impl From<Refused> for End {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Expired { oldest } => {
                let message = "Events after this cursor were trimmed.".to_owned();
                Self::Closed(4410, Fault { code: "cursor_expired", message, oldest: Some(oldest), retry_after: None })
            }
            Refused::Invalid => {
                Self::closed(4411, "cursor_invalid", "The cursor is ahead of the stream or of another history.")
            }
            Refused::Busy => Self::closed(1011, "database_busy", "Too many requests wait for the database."),
            Refused::Unavailable(why) => {
                tracing::debug!(why, "a session cannot begin");
                Self::closed(1011, "database_unavailable", "The journal cannot be read at this moment.")
            }
        }
    }
}

impl From<Problem> for End {
    /// What a problem with who it is, or with how often, means for a session.
    fn from(problem: Problem) -> Self {
        let close = match &problem {
            problem if problem.is_forbidden() => 4403,
            problem if problem.is_rate_limited() => 4429,
            problem if problem.is_unavailable() => 1011,
            _ => 4401,
        };
        let (message, retry_after) = (problem.detail().to_owned(), problem.retry_seconds());
        Self::Closed(close, Fault { code: problem.code(), message, oldest: None, retry_after })
    }
}

impl From<NotIn> for End {
    fn from(not_in: NotIn) -> Self {
        match not_in {
            NotIn::Refused(problem) => problem.into(),
            NotIn::Revoked => Self::revoked(),
        }
    }
}

/// Says why, and closes.
pub(super) async fn finish<S: Wire>(context: &Context, mut socket: Socket<S>, end: End) {
    let limit = if context.shutdown.is_cancelled() { CLOSE_LIMIT.min(context.drain / 10) } else { CLOSE_LIMIT };
    match end {
        End::Left | End::Lost => socket.end(limit).await,
        End::Drained => {
            // A slow client has the frame that is under way whole, and then the close; what is behind it is dropped, and comes again
            // when it resumes. It has the rest of the window to read so far: whatever it says to a connection that is gone makes
            // the kernel drop what it has not sent.
            socket.cut();
            socket.stream().let_go();
            let ends = context.drain_ends().checked_sub(context.drain / 20).unwrap_or_else(Instant::now);
            let left = ends.saturating_duration_since(Instant::now());
            let _cut_off = tokio::time::timeout(left, socket.close(1012, "restart", left)).await;
        }
        End::Closed(code, fault) => {
            let reason = fault.code;
            socket.put(Control::Error(fault).message());
            socket.close(code, reason, limit).await;
        }
        End::Stalled => {
            // What is under way must be whole before anything else can be said; the kernel is asked to take that little.
            // Whoever reads on answers what lies before the close, pings for example: that must find an open connection,
            // or the kernel would answer with a reset and drop the rest.
            socket.cut();
            socket.stream().let_go();
            let message = "Nothing could be written for too long; come back with the cursor.".to_owned();
            socket.put(Control::Error(Fault { code: "stalled", message, oldest: None, retry_after: None }).message());
            tokio::select! {
                () = socket.close(4409, "stalled", STALL_PATIENCE) => {}
                () = context.shutdown.cancelled() => {}
            }
        }
    }
}
