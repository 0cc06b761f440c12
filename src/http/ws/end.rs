//! Why a session ends, under which code, and what is said last.

use std::time::Duration;

use tokio::time::Instant;

use super::MAX_MESSAGE;
use crate::http::access::NotIn;
use crate::http::context::Context;
use crate::http::problem::{JOURNAL_AWAY, Problem};
use crate::http::refusals::{self, BAD_REQUEST, CLOSE_INTERNAL, Refusal};
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
    /// The server refuses to go on: the refusal, and what the client is told of it.
    Closed(Refusal, Fault),
}

impl End {
    /// A refusal, with the sentence of the table.
    pub(super) fn of(refusal: Refusal) -> Self {
        Self::because(refusal, refusal.sentence)
    }

    /// A refusal, with a sentence that says more than the table's.
    pub(super) fn because(refusal: Refusal, message: impl Into<String>) -> Self {
        Self::Closed(refusal, fault(refusal, message))
    }

    /// The word that says why, for the log.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Left => "closed by the client",
            Self::Lost => "connection lost",
            Self::Stalled => refusals::STALLED.code,
            Self::Drained => refusals::RESTART.code,
            Self::Closed(_, fault) => fault.code,
        }
    }

    /// The code under which it is counted.
    pub(super) fn code(&self) -> u16 {
        match self {
            Self::Left => 1000,
            Self::Lost => 1006,
            Self::Stalled => close_code(refusals::STALLED),
            Self::Drained => close_code(refusals::RESTART),
            Self::Closed(refusal, _) => close_code(*refusal),
        }
    }
}

fn close_code(refusal: Refusal) -> u16 {
    refusal.close.unwrap_or(CLOSE_INTERNAL)
}

fn fault(refusal: Refusal, message: impl Into<String>) -> Fault {
    Fault { code: refusal.code, message: message.into(), oldest: None, retry_after: None }
}

impl From<Gone> for End {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Away => Self::Lost,
            Gone::TooBig => {
                Self::because(refusals::MESSAGE_TOO_BIG, format!("A message may be at most {MAX_MESSAGE} bytes."))
            }
            Gone::Utf8 => Self::because(BAD_REQUEST, "A text message must be UTF-8."),
            Gone::Protocol => Self::because(BAD_REQUEST, "The client breaks the WebSocket protocol."),
        }
    }
}

impl From<Refused> for End {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Expired { oldest } => {
                let refusal = refusals::CURSOR_EXPIRED;
                Self::Closed(refusal, Fault { oldest: Some(oldest), ..fault(refusal, refusal.sentence) })
            }
            Refused::Invalid => Self::of(refusals::CURSOR_INVALID),
            Refused::Busy => Self::of(refusals::DATABASE_BUSY),
            Refused::Unavailable(why) => {
                tracing::debug!(why, "a session cannot begin");
                Self::because(refusals::DATABASE_UNAVAILABLE, JOURNAL_AWAY)
            }
        }
    }
}

impl From<Problem> for End {
    fn from(problem: Problem) -> Self {
        let fault = fault(problem.refusal(), problem.detail());
        Self::Closed(problem.refusal(), Fault { retry_after: problem.retry_seconds(), ..fault })
    }
}

impl From<NotIn> for End {
    fn from(not_in: NotIn) -> Self {
        match not_in {
            NotIn::Refused(problem) => problem.into(),
            NotIn::Revoked => Self::of(refusals::REVOKED),
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
            let _cut_off =
                tokio::time::timeout(left, socket.close(close_code(refusals::RESTART), refusals::RESTART.code, left))
                    .await;
        }
        End::Closed(refusal, fault) => {
            socket.put(Control::Error(fault).message());
            socket.close(close_code(refusal), refusal.code, limit).await;
        }
        End::Stalled => {
            // What is under way must be whole before anything else can be said; the kernel is asked to take that little.
            // Whoever reads on answers what lies before the close, pings for example: that must find an open connection,
            // or the kernel would answer with a reset and drop the rest.
            socket.cut();
            socket.stream().let_go();
            let refusal = refusals::STALLED;
            socket.put(Control::Error(fault(refusal, refusal.sentence)).message());
            tokio::select! {
                () = socket.close(close_code(refusal), refusal.code, STALL_PATIENCE) => {}
                () = context.shutdown.cancelled() => {}
            }
        }
    }
}
