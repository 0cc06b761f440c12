//! The end of a session: the client is told the reason, and the connection is closed.

use std::time::Duration;

use tokio::time::Instant;

use crate::http::connection::socket::Socket;
use crate::http::connection::wire::Wire;
use crate::http::request::context::Context;
use crate::http::response::close_reason::{CloseReason, close_code, fault};
use crate::http::response::refusals;
use crate::view::Control;

/// How long the other side may take to answer a close.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// How long a client that had stalled may take to read that it was closed, and why.
const STALL_PATIENCE: Duration = Duration::from_secs(30);

/// Tells the client the reason, and closes.
pub(super) async fn close<S: Wire>(context: &Context, mut socket: Socket<S>, end: CloseReason) {
    let limit = if context.shutdown.is_cancelled() { CLOSE_LIMIT.min(context.drain / 10) } else { CLOSE_LIMIT };
    match end {
        CloseReason::Left | CloseReason::Lost => socket.end(limit).await,
        CloseReason::Drained => {
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
        CloseReason::Closed(refusal, fault) => {
            socket.put(Control::Error(fault).message());
            socket.close(close_code(refusal), refusal.code, limit).await;
        }
        CloseReason::Stalled => {
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
