//! The messages that a client sends during its session, and what each changes.

use tokio::time::Instant;

use crate::http::connection::socket::{Input, Socket};
use crate::http::connection::wire::Wire;
use crate::http::request::viewer::Viewer;
use crate::http::response::close_reason::CloseReason;
use crate::http::response::refusals::{self, BAD_REQUEST};
use crate::http::stream::token_watch::{self, TokenExpiry};
use crate::http::stream::ws::client_message::ClientMessage;
use crate::view::Control;

use super::{Session, notice_of};

impl Session<'_> {
    /// Handles a message of the client.
    pub(super) async fn hear<S: Wire>(&mut self, input: Input, socket: &mut Socket<S>) -> Result<(), CloseReason> {
        let now = Instant::now();
        self.heard = self.context.awake.elapsed();
        self.message_rate.count(now);
        let text = match input {
            Input::Text(text) => text,
            Input::Binary(_) => return Err(CloseReason::because(BAD_REQUEST, "Messages must be text.")),
            Input::Alive => return Ok(()),
            Input::Pong(payload) => {
                self.pings.answered(&payload, now);
                return Ok(());
            }
            Input::Close => return Err(CloseReason::Left),
        };
        match ClientMessage::parse(&text).map_err(|bad| CloseReason::because(BAD_REQUEST, bad))? {
            ClientMessage::Ping {} => socket.put(Control::Pong.message()),
            ClientMessage::Auth { token } => self.renew(&token, socket).await?,
            ClientMessage::Subscribe(subscription) => {
                let (start, filter) =
                    subscription.read(&self.viewer).map_err(|bad| CloseReason::because(BAD_REQUEST, bad))?;
                self.handshake.quota.spend_by(&self.viewer, start.pages()).await?;
                self.begin(start, filter);
            }
        }
        Ok(())
    }

    /// Another token takes the place of the one there was, and must be the same person's. On everybody's stream the first
    /// one makes it that person's: what comes from here on is what they may see, behind the same cursor.
    async fn renew<S: Wire>(&mut self, token: &str, socket: &mut Socket<S>) -> Result<(), CloseReason> {
        let before = self.viewer.clone();
        let identity = self.handshake.identify(&self.context.tokens, token).await?;
        if before.identity().is_some_and(|before| before.subject() != identity.subject()) {
            return Err(CloseReason::because(refusals::FORBIDDEN, "The token is of another subject."));
        }
        self.viewer = Viewer::Known(identity);
        self.handshake.quota.spend_by(&self.viewer, 1).await?;
        self.presence = token_watch::enter(&self.context.tokens.revoked, &self.viewer)?;
        (self.expiry, self.notice) =
            (TokenExpiry::of(&self.context.tokens.clock, &self.viewer), notice_of(&self.viewer));
        if self.viewer.owners() != before.owners()
            && let Some(reader) = self.stream.reader()
        {
            reader.see_as(self.viewer.owners(), self.viewer.view());
        }
        socket.put(Control::AuthOk { expires: self.expires() }.message());
        Ok(())
    }
}
