//! One session over a WebSocket, from the granted upgrade to the close.

use std::sync::Arc;

use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use crate::http::connection::guarded::Guarded;
use crate::http::connection::paced::Paced;
use crate::http::connection::socket::{MAX_MESSAGE, Socket};
use crate::http::connection::wire::Wire;
use crate::http::request::context::Context;
use crate::http::request::peer::PendingSession;
use crate::http::response::close_reason::CloseReason;
use crate::http::response::request_id::RequestId;
use crate::http::stream::ws::close::close;
use crate::http::stream::ws::handshake::{self, Handshake};
use crate::http::stream::ws::session::Session;

/// Serves the session on the connection that the upgrade hands over, to its end.
pub(in crate::http) async fn serve<S: Wire>(pending: PendingSession) {
    let Ok(upgraded) = pending.upgrade.await else { return };
    let Ok(parts) = upgraded.downcast::<TokioIo<Guarded<S>>>() else { return };
    let stream = Paced::new(parts.io.into_inner().into_inner());
    let socket = Socket::new(stream, parts.read_buf, MAX_MESSAGE).await;
    socket.stream().limit_unsent();
    let _permit = pending.permit;
    let context = pending.context;
    context.counts.session_begun();
    let id = uuid::Uuid::new_v4().simple().to_string();
    let begun = Instant::now();
    let mut socket = socket;
    let reason = match pending.viewer {
        Ok(viewer) => {
            let handshake = Handshake { viewer, quota: pending.quota, slot: pending.slot };
            Box::pin(run_session(&context, &mut socket, handshake, pending.query, &id)).await
        }
        Err(reason) => reason,
    };
    context.counts.session_ended(reason.code());
    let request_id = pending.request_id.as_ref().map(RequestId::as_str);
    let (code, seconds) = (reason.code(), begun.elapsed().as_secs());
    tracing::info!(request_id, session = id, code, reason = reason.reason(), seconds, "a session has ended");
    Box::pin(close(&context, socket, reason)).await;
}

/// Finds the viewer and the subscription, and runs the session until it ends.
async fn run_session<S: Wire>(
    context: &Arc<Context>,
    socket: &mut Socket<S>,
    mut handshake: Handshake,
    query: Option<String>,
    id: &str,
) -> CloseReason {
    match handshake::begin(context, socket, &mut handshake, query.as_deref()).await {
        Ok((viewer, presence, start, filter)) => {
            let (subject, role) = viewer.identity().map(|i| (&**i.subject(), i.role().as_str())).unzip();
            tracing::debug!(session = id, subject, role, "a session begins");
            let mut session = Session::new(context, handshake, viewer, presence, id);
            session.subscribe(start, filter);
            session.run(socket).await
        }
        Err(reason) => reason,
    }
}
