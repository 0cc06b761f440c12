//! Who has come: by the upgrade or in a first message.

use std::sync::Arc;
use std::time::Duration;

use super::end::End;
use super::said::{Said, Subscription};
use crate::auth::{Identity, Presence};
use crate::http::access::{self, Reader};
use crate::http::context::Context;
use crate::http::refusals::{self, BAD_REQUEST};
use crate::http::socket::{Input, Socket};
use crate::http::visit::Visit;
use crate::http::wire::Wire;
use crate::journal::Filter;
use crate::limit::Place;
use crate::session::Start;
use crate::view::Control;

/// How long a client may take to say who it is, if its upgrade did not.
const AUTH_LIMIT: Duration = Duration::from_secs(5);
/// How long a client is heard beyond that whose word has come in time and lies unread.
const AUTH_GRACE: Duration = Duration::from_secs(1);
/// What is said to a client that has not said who it is.
const AUTH_REQUIRED: &str = "No token came with the upgrade. Send {\"op\":\"auth\",\"token\":\"…\"} within 5 seconds, or open the \
     WebSocket with the header Authorization: Bearer <token>, or with the sub-protocols rowcast.v1, bearer.<token>.";

/// Who has come, as far as it is known, and the place that is taken for it.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) reader: Option<Reader>,
    pub(super) visit: Arc<Visit>,
    pub(super) seat: Option<Place>,
}

impl Guest {
    /// Takes a token that came in a message.
    pub(super) async fn identify(&mut self, context: &Context, token: &str) -> Result<Identity, End> {
        let identity = access::upgrade_identity(context, &self.visit, token).await?;
        let same = self.reader.as_ref().and_then(Reader::identity).is_some_and(|i| i.subject() == identity.subject());
        if !same {
            let seat = self.visit.enter(context, Some(identity.subject()))?;
            self.seat = Some(seat);
        }
        self.reader = Some(Reader::Known(identity.clone()));
        Ok(identity)
    }
}

/// What has to be right before a session begins.
pub(super) async fn begin<S: Wire>(
    context: &Arc<Context>,
    socket: &mut Socket<S>,
    guest: &mut Guest,
    query: Option<&str>,
) -> Result<(Reader, Option<Presence>, Start, Filter), End> {
    // Before anybody is waited for: a token in the address, say, is told at once that this is not the place.
    let subscription = Subscription::parse(query).map_err(|bad| End::because(BAD_REQUEST, bad))?;
    let reader = match &guest.reader {
        Some(reader) => reader.clone(),
        None => Reader::Known(introduce(context, socket, guest).await?),
    };
    let (start, filter) = subscription.read(&reader).map_err(|bad| End::because(BAD_REQUEST, bad))?;
    let presence = access::enter(context, &reader)?;
    Ok((reader, presence, start, filter))
}

/// Waits for the first message, which must say who it is; says at once that it is waited for.
async fn introduce<S: Wire>(
    context: &Arc<Context>,
    socket: &mut Socket<S>,
    guest: &mut Guest,
) -> Result<Identity, End> {
    let within_ms = u64::try_from(AUTH_LIMIT.as_millis()).unwrap_or(u64::MAX);
    socket.put(Control::AuthRequired { within_ms, message: AUTH_REQUIRED }.message());
    let known = tokio::select! {
        known = tokio::time::timeout(AUTH_LIMIT, introduction(context, socket, guest)) => known,
        () = context.shutdown.cancelled() => return Err(End::Drained),
    };
    let known = match known {
        // It was in time if this process did not run meanwhile.
        Err(_) if socket.stream().unread() > 0 => {
            tokio::time::timeout(AUTH_GRACE, introduction(context, socket, guest)).await
        }
        known => known,
    };
    known.unwrap_or_else(|_| Err(End::because(refusals::TIMEOUT, format!("No auth came in time. {AUTH_REQUIRED}"))))
}

/// Hears the first message.
async fn introduction<S: Wire>(
    context: &Arc<Context>,
    socket: &mut Socket<S>,
    guest: &mut Guest,
) -> Result<Identity, End> {
    socket.flush().await?;
    loop {
        match socket.receive().await? {
            Input::Text(text) => match Said::parse(&text) {
                Ok(Said::Auth { token }) => return guest.identify(context, &token).await,
                Ok(_) => {
                    let message = format!("The first message must be auth. {AUTH_REQUIRED}");
                    return Err(End::because(refusals::UNAUTHORIZED, message));
                }
                Err(complaint) => {
                    return Err(End::because(
                        BAD_REQUEST,
                        format!("The first message must be auth with a token. {complaint}"),
                    ));
                }
            },
            Input::Binary(_) => return Err(End::because(BAD_REQUEST, "Messages must be text.")),
            Input::Close => return Err(End::Left),
            Input::Alive | Input::Pong(_) => {}
        }
    }
}
