//! The handshake of a session, after the upgrade: its token came with the upgrade, or comes in a first message.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::{Identity, Presence};
use crate::http::connection::socket::{Input, Socket};
use crate::http::connection::wire::Wire;
use crate::http::request::authenticate::TokenChecks;
use crate::http::request::context::Context;
use crate::http::request::quota::RequestQuota;
use crate::http::request::viewer::Viewer;
use crate::http::response::close_reason::CloseReason;
use crate::http::response::refusals::{self, BAD_REQUEST};
use crate::http::stream::subscription::Subscription;
use crate::http::stream::token_watch;
use crate::http::stream::ws::client_message::ClientMessage;
use crate::journal::Filter;
use crate::limit::ConnectionSlot;
use crate::session::Start;
use crate::view::Control;

/// How long a client may take to send its token, if none came with the upgrade.
const AUTH_LIMIT: Duration = Duration::from_secs(5);
/// How much longer a client is waited for if it has sent something in time that is not read yet.
const AUTH_GRACE: Duration = Duration::from_secs(1);
/// The sentence for a client that has sent no token.
const AUTH_REQUIRED: &str = "No token came with the upgrade. Send {\"op\":\"auth\",\"token\":\"…\"} within 5 seconds, or open the \
     WebSocket with the header Authorization: Bearer <token>, or with the sub-protocols rowcast.v1, bearer.<token>.";

/// The results of the handshake: the viewer, its quotas, and its slot among the sessions of its subject. A session keeps them, and
/// an `auth` message changes them.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) viewer: Option<Viewer>,
    pub(super) quota: Arc<RequestQuota>,
    pub(super) slot: Option<ConnectionSlot>,
}

impl Handshake {
    /// Checks a token that came in a message, and makes its subject the viewer.
    pub(super) async fn identify(&mut self, tokens: &TokenChecks, token: &str) -> Result<Identity, CloseReason> {
        let identity = tokens.identify_upgrade(&self.quota, token).await?;
        let is_same_subject =
            self.viewer.as_ref().and_then(Viewer::identity).is_some_and(|i| i.subject() == identity.subject());
        if !is_same_subject {
            let slot = self.quota.take_session_slot(Some(identity.subject()))?;
            self.slot = Some(slot);
        }
        self.viewer = Some(Viewer::Known(identity.clone()));
        Ok(identity)
    }
}

/// Checks the token and the subscription before a session begins.
pub(super) async fn begin<S: Wire>(
    context: &Arc<Context>,
    socket: &mut Socket<S>,
    handshake: &mut Handshake,
    query: Option<&str>,
) -> Result<(Viewer, Option<Presence>, Start, Filter), CloseReason> {
    // Before the client is waited for, so that a token in the address, for example, is refused at once.
    let subscription = Subscription::parse(query).map_err(|error| CloseReason::because(BAD_REQUEST, error))?;
    let viewer = match &handshake.viewer {
        Some(viewer) => viewer.clone(),
        None => Viewer::Known(wait_for_auth(context, socket, handshake).await?),
    };
    let (start, filter) = subscription.resolve(&viewer).map_err(|error| CloseReason::because(BAD_REQUEST, error))?;
    let presence = token_watch::register(&context.tokens.revoked, &viewer)?;
    Ok((viewer, presence, start, filter))
}

/// Asks the client for its token, and waits for the first message, which must be `auth`.
async fn wait_for_auth<S: Wire>(
    context: &Arc<Context>,
    socket: &mut Socket<S>,
    handshake: &mut Handshake,
) -> Result<Identity, CloseReason> {
    let within_ms = u64::try_from(AUTH_LIMIT.as_millis()).unwrap_or(u64::MAX);
    socket.put(Control::AuthRequired { within_ms, message: AUTH_REQUIRED }.message());
    let identity = tokio::select! {
        identity = tokio::time::timeout(AUTH_LIMIT, receive_auth(context, socket, handshake)) => identity,
        () = context.shutdown.cancelled() => return Err(CloseReason::Drained),
    };
    let identity = match identity {
        // This process may not have run for a while, so something that lies unread may have come in time.
        Err(_) if socket.stream().unread() > 0 => {
            tokio::time::timeout(AUTH_GRACE, receive_auth(context, socket, handshake)).await
        }
        identity => identity,
    };
    identity.unwrap_or_else(|_| {
        Err(CloseReason::because(refusals::TIMEOUT, format!("No auth came in time. {AUTH_REQUIRED}")))
    })
}

/// Reads the first message, which must be `auth`.
async fn receive_auth<S: Wire>(
    context: &Arc<Context>,
    socket: &mut Socket<S>,
    handshake: &mut Handshake,
) -> Result<Identity, CloseReason> {
    socket.flush().await?;
    loop {
        match socket.receive().await? {
            Input::Text(text) => match ClientMessage::parse(&text) {
                Ok(ClientMessage::Auth { token }) => return handshake.identify(&context.tokens, &token).await,
                Ok(_) => {
                    let message = format!("The first message must be auth. {AUTH_REQUIRED}");
                    return Err(CloseReason::because(refusals::UNAUTHORIZED, message));
                }
                Err(complaint) => {
                    return Err(CloseReason::because(
                        BAD_REQUEST,
                        format!("The first message must be auth with a token. {complaint}"),
                    ));
                }
            },
            Input::Binary(_) => return Err(CloseReason::because(BAD_REQUEST, "Messages must be text.")),
            Input::Close => return Err(CloseReason::Left),
            Input::Ping | Input::Pong(_) => {}
        }
    }
}
