//! The end of a session: the client is told the reason, and the connection is closed.

use std::time::Duration;

use tokio::time::Instant;

use crate::http::connection::socket::Socket;
use crate::http::connection::wire::Wire;
use crate::http::request::context::Context;
use crate::http::response::close_reason::{CloseReason, close_code, fault};
use crate::http::response::refusals;
use crate::view::Control;

/// How long a client may take to answer a close.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// How long a client that has stalled may take to read the reason and the close.
const STALLED_CLOSE_LIMIT: Duration = Duration::from_secs(30);

/// Tells the client the reason, and closes the connection.
pub(super) async fn close<S: Wire>(context: &Context, mut socket: Socket<S>, reason: CloseReason) {
    let limit = if context.shutdown.is_cancelled() { CLOSE_LIMIT.min(context.drain / 10) } else { CLOSE_LIMIT };
    match reason {
        CloseReason::Left | CloseReason::Lost => socket.end(limit).await,
        CloseReason::Drained => {
            // A slow client gets the rest of the frame under way, and then the close. The frames behind it are dropped; the client gets
            // them again when it resumes. It has the rest of the drain to read that far: whatever it sends to a connection that is
            // gone makes the kernel drop what is not sent yet.
            socket.cut();
            socket.stream().raise_write_limit();
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
            // The frame under way must be completed before the close; the kernel is asked to take that much more. A client that reads
            // on answers the frames before the close, pings for example. Its answers must find an open connection, or the kernel
            // would reply with a reset and drop the rest.
            socket.cut();
            socket.stream().raise_write_limit();
            let refusal = refusals::STALLED;
            socket.put(Control::Error(fault(refusal, refusal.sentence)).message());
            tokio::select! {
                () = socket.close(close_code(refusal), refusal.code, STALLED_CLOSE_LIMIT) => {}
                () = context.shutdown.cancelled() => {}
            }
        }
    }
}
