//! Who has come: by the upgrade or in a first message.

use std::sync::Arc;
use std::time::Duration;

use super::end::End;
use super::said::{Said, Subscription};
use crate::auth::{Action, Identity, Presence};
use crate::http::access::{self, Reader};
use crate::http::guarded::Wire;
use crate::http::router::Context;
use crate::http::socket::{Input, Socket};
use crate::http::visit::Visit;
use crate::journal::Filter;
use crate::limit::Place;
use crate::session::Start;

/// How long a client may take to say who it is, if its upgrade did not.
const AUTH_LIMIT: Duration = Duration::from_secs(5);

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
        let identity = access::verify(context, &self.visit, token).await?;
        access::permit(&identity, Action::Read)?;
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
    let subscription = Subscription::parse(query).map_err(End::bad_request)?;
    let reader = match &guest.reader {
        Some(reader) => reader.clone(),
        None => Reader::Known(introduce(context, socket, guest).await?),
    };
    let (start, filter) = subscription.read(&reader).map_err(End::bad_request)?;
    let presence = access::enter(context, &reader)?;
    Ok((reader, presence, start, filter))
}

/// Waits for the first message, which must say who it is.
async fn introduce<S: Wire>(
    context: &Arc<Context>,
    socket: &mut Socket<S>,
    guest: &mut Guest,
) -> Result<Identity, End> {
    let first = async {
        loop {
            match socket.receive().await? {
                Input::Text(text) => match Said::parse(&text) {
                    Some(Said::Auth { token }) => {
                        return guest.identify(context, &token).await;
                    }
                    Some(_) => return Err(End::closed(4401, "unauthorized", "The first message must be auth.")),
                    None => return Err(End::bad_request("The first message must be auth with a token.")),
                },
                Input::Binary(_) => return Err(End::bad_request("Messages must be text.")),
                Input::Close => return Err(End::Left),
                Input::Alive => {}
            }
        }
    };
    tokio::select! {
        known = tokio::time::timeout(AUTH_LIMIT, first) => {
            known.unwrap_or_else(|_| Err(End::closed(4408, "timeout", "No auth came in time.")))
        }
        () = context.shutdown.cancelled() => Err(End::Drained),
    }
}
