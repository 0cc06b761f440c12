//! Handling of the messages that a client sends during its session.

use tokio::time::Instant;

use crate::http::connection::socket::{Input, Socket};
use crate::http::connection::wire::Wire;
use crate::http::request::viewer::Viewer;
use crate::http::response::close_reason::CloseReason;
use crate::http::response::refusals::{self, BAD_REQUEST};
use crate::http::stream::token_watch::{self, TokenExpiry};
use crate::http::stream::ws::client_message::ClientMessage;
use crate::http::stream::ws::syncs::{MAX_UNANSWERED_SYNCS, TooManySyncs};
use crate::view::Control;

use super::{Session, expiry_notice_at};

impl Session<'_> {
    /// Handles a frame of the client.
    pub(super) async fn handle_input<S: Wire>(
        &mut self,
        input: Input,
        socket: &mut Socket<S>,
    ) -> Result<(), CloseReason> {
        let now = Instant::now();
        self.last_heard = self.context.awake.elapsed();
        self.message_rate.count(now);
        let text = match input {
            Input::Text(text) => text,
            Input::Binary(_) => return Err(CloseReason::because(BAD_REQUEST, "Messages must be text.")),
            Input::Ping => return Ok(()),
            Input::Pong(payload) => {
                self.pings.receive_pong(&payload, now);
                return Ok(());
            }
            Input::Close => return Err(CloseReason::Left),
        };
        match ClientMessage::parse(&text).map_err(|error| CloseReason::because(BAD_REQUEST, error))? {
            ClientMessage::Ping {} => socket.put(Control::Pong.message()),
            ClientMessage::Auth { token } => self.renew_token(&token, socket).await?,
            ClientMessage::Sync { id } => {
                let asked = self.syncs.ask(id, &self.context.announcer);
                asked.map_err(|TooManySyncs| {
                    let message =
                        format!("More than {MAX_UNANSWERED_SYNCS} syncs of this session wait for their answers.");
                    CloseReason::because(refusals::RATE_LIMITED, message)
                })?;
            }
            ClientMessage::Subscribe(subscription) => {
                let (start, filter) =
                    subscription.resolve(&self.viewer).map_err(|error| CloseReason::because(BAD_REQUEST, error))?;
                self.handshake.quota.spend_of_viewer(&self.viewer, start.request_cost()).await?;
                self.subscribe(start, filter);
            }
        }
        Ok(())
    }

    /// Replaces the token of the session by another one of the same subject. On a public stream the first token makes the session
    /// that of its subject: the stream goes on behind the same cursor, with the events that the subject may see.
    async fn renew_token<S: Wire>(&mut self, token: &str, socket: &mut Socket<S>) -> Result<(), CloseReason> {
        let before = self.viewer.clone();
        let identity = self.handshake.identify(&self.context.tokens, token).await?;
        if before.identity().is_some_and(|before| before.subject() != identity.subject()) {
            return Err(CloseReason::because(refusals::FORBIDDEN, "The token is of another subject."));
        }
        self.viewer = Viewer::Known(identity);
        self.handshake.quota.spend_of_viewer(&self.viewer, 1).await?;
        self.presence = token_watch::register(&self.context.tokens.revoked, &self.viewer)?;
        (self.expiry, self.expiry_notice_at) =
            (TokenExpiry::of(&self.context.tokens.clock, &self.viewer), expiry_notice_at(&self.viewer));
        if self.viewer.owners() != before.owners()
            && let Some(reader) = self.stream.reader()
        {
            reader.see_as(self.viewer.owners(), self.viewer.view());
        }
        socket.put(Control::AuthOk { expires: self.token_expiry_text() }.message());
        Ok(())
    }
}
