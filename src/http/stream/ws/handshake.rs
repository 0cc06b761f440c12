//! The handshake of a session: its token comes with the upgrade or in a first message.

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

/// How long a client may take to say who it is, if its upgrade did not.
const AUTH_LIMIT: Duration = Duration::from_secs(5);
/// How long a client is heard beyond that whose word has come in time and lies unread.
const AUTH_GRACE: Duration = Duration::from_secs(1);
/// The sentence for a client that has sent no token.
const AUTH_REQUIRED: &str = "No token came with the upgrade. Send {\"op\":\"auth\",\"token\":\"…\"} within 5 seconds, or open the \
     WebSocket with the header Authorization: Bearer <token>, or with the sub-protocols rowcast.v1, bearer.<token>.";

/// The viewer of a session, as far as it is known, with its quotas and its slot among the sessions of its subject.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) viewer: Option<Viewer>,
    pub(super) quota: Arc<RequestQuota>,
    pub(super) seat: Option<ConnectionSlot>,
}

impl Handshake {
    /// Takes a token that came in a message.
    pub(super) async fn identify(&mut self, tokens: &TokenChecks, token: &str) -> Result<Identity, CloseReason> {
        let identity = tokens.identify_upgrade(&self.quota, token).await?;
        let same = self.viewer.as_ref().and_then(Viewer::identity).is_some_and(|i| i.subject() == identity.subject());
        if !same {
            let seat = self.quota.enter(Some(identity.subject()))?;
            self.seat = Some(seat);
        }
        self.viewer = Some(Viewer::Known(identity.clone()));
        Ok(identity)
    }
}

/// Checks everything that has to be right before a session begins.
pub(super) async fn begin<S: Wire>(
    context: &Arc<Context>,
    socket: &mut Socket<S>,
    handshake: &mut Handshake,
    query: Option<&str>,
) -> Result<(Viewer, Option<Presence>, Start, Filter), CloseReason> {
    // Before anybody is waited for: a token in the address, say, is told at once that this is not the place.
    let subscription = Subscription::parse(query).map_err(|bad| CloseReason::because(BAD_REQUEST, bad))?;
    let viewer = match &handshake.viewer {
        Some(viewer) => viewer.clone(),
        None => Viewer::Known(introduce(context, socket, handshake).await?),
    };
    let (start, filter) = subscription.read(&viewer).map_err(|bad| CloseReason::because(BAD_REQUEST, bad))?;
    let presence = token_watch::enter(&context.tokens.revoked, &viewer)?;
    Ok((viewer, presence, start, filter))
}

/// Waits for the first message, which must say who it is; says at once that it is waited for.
async fn introduce<S: Wire>(
    context: &Arc<Context>,
    socket: &mut Socket<S>,
    handshake: &mut Handshake,
) -> Result<Identity, CloseReason> {
    let within_ms = u64::try_from(AUTH_LIMIT.as_millis()).unwrap_or(u64::MAX);
    socket.put(Control::AuthRequired { within_ms, message: AUTH_REQUIRED }.message());
    let known = tokio::select! {
        known = tokio::time::timeout(AUTH_LIMIT, introduction(context, socket, handshake)) => known,
        () = context.shutdown.cancelled() => return Err(CloseReason::Drained),
    };
    let known = match known {
        // It was in time if this process did not run meanwhile.
        Err(_) if socket.stream().unread() > 0 => {
            tokio::time::timeout(AUTH_GRACE, introduction(context, socket, handshake)).await
        }
        known => known,
    };
    known.unwrap_or_else(|_| {
        Err(CloseReason::because(refusals::TIMEOUT, format!("No auth came in time. {AUTH_REQUIRED}")))
    })
}

/// Hears the first message.
async fn introduction<S: Wire>(
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
            Input::Alive | Input::Pong(_) => {}
        }
    }
}
