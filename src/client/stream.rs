//! A stream that resumes: after every loss it connects again and goes on behind the last cursor.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Error;
use super::backoff::Backoff;
use super::connection::Connection;
use super::connector::Connector;
use super::endpoint::{Selection, Start};
use super::frame::{Event, Frame, Heartbeat, Hello};
use crate::config::Secret;
use crate::journal::Cursor;

/// A connection that lasted this long has worked, even if no event came: the waits begin anew after it.
const HEALTHY: Duration = Duration::from_secs(5);
/// The longest pause that a server which shuts down may ask for.
const MAX_DRAIN_WAIT: Duration = Duration::from_secs(600);

/// The source of tokens: asked before each connect, and when the server says that the present one expires.
#[derive(Clone)]
pub struct Tokens(Arc<dyn Fn() -> Option<Secret> + Send + Sync>);

impl Tokens {
    /// No token: the public stream.
    pub fn none() -> Self {
        Self::from_source(|| None)
    }

    /// Always the same token. The stream ends when it expires.
    pub fn fixed(token: Secret) -> Self {
        Self::from_source(move || Some(token.clone()))
    }

    /// The token that this function returns. It must not block.
    pub fn from_source(source: impl Fn() -> Option<Secret> + Send + Sync + 'static) -> Self {
        Self(Arc::new(source))
    }

    pub(super) fn get(&self) -> Option<Secret> {
        (self.0)()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

/// The settings of a stream.
#[derive(Debug, Clone)]
pub struct Options {
    /// The place at which to begin. Only the first connection begins there, the later ones go on.
    pub start: Start,
    /// Which events are wanted.
    pub selection: Selection,
    /// The source of tokens.
    pub tokens: Tokens,
    /// True if the stream comes back after a loss; if not, a loss is an error.
    pub reconnect: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { start: Start::Latest, selection: Selection::default(), tokens: Tokens::none(), reconnect: true }
    }
}

/// An item of a stream.
#[derive(Debug)]
#[non_exhaustive]
pub enum Item {
    /// The first connection is open.
    Connected(Hello),
    /// Another connection is open, and goes on behind the cursor.
    Resumed(Hello),
    /// The next event.
    Event(Event),
    /// The backlog was read; what comes now is new.
    Live(Cursor),
    /// A sign of life, whose count and sum were right.
    Heartbeat(Heartbeat),
    /// The server shuts down and asks to come back after this time.
    Draining {
        /// The pause that was asked for.
        retry_in: Duration,
    },
    /// The connection is gone, or could not be made; the next try comes by itself.
    Lost {
        /// The error that ended the connection.
        why: Error,
        /// The wait before the next try.
        retry_in: Duration,
    },
}

enum State {
    /// Not connected; the next connect is due at this moment, or at once.
    Waiting(Option<Instant>),
    /// Connected, since this moment.
    Open(Box<Connection>, Instant),
    /// A final error was returned.
    Ended,
}

/// Follows a stream over any number of connections.
pub struct Stream {
    connector: Connector,
    options: Options,
    state: State,
    cursor: Option<Cursor>,
    backoff: Backoff,
    /// The token of the last connect.
    token: Option<Secret>,
    /// True if a token was refused since the last `hello`.
    token_refused: bool,
    /// The moment before which a server that shuts down does not want to be asked again.
    retry_not_before: Option<Instant>,
    connections: u64,
    /// True if the present connection has brought an event.
    has_event: bool,
    /// Unknown frames of the connections before the present one.
    unknown: u64,
}

impl Stream {
    /// A stream that connects when it is first asked for something.
    pub fn new(connector: Connector, options: Options) -> Self {
        let cursor = if let Start::After(cursor) = options.start { Some(cursor) } else { None };
        Self {
            connector,
            options,
            state: State::Waiting(None),
            cursor,
            backoff: Backoff::default(),
            token: None,
            token_refused: false,
            retry_not_before: None,
            connections: 0,
            has_event: false,
            unknown: 0,
        }
    }

    /// The cursor with which another stream can go on after this one; `None` before the first `hello`.
    pub fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// The number of connections so far that got a `hello`.
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// The number of frames that this version does not know.
    pub fn unknown_frames(&self) -> u64 {
        self.unknown + if let State::Open(connection, _) = &self.state { connection.unknown_frames() } else { 0 }
    }

    /// The next item. An error ends the stream: another try would not help, or [`Options::reconnect`] is off. If the future is
    /// dropped, no item is lost, but a connect that was under way begins anew.
    pub async fn next(&mut self) -> Result<Item, Error> {
        loop {
            let outcome = match &mut self.state {
                State::Ended => return Err(Error::Ended),
                State::Waiting(until) => {
                    if let Some(until) = *until {
                        sleep_until(until).await;
                    }
                    self.connect().await.map(Some)
                }
                State::Open(connection, _) => match connection.next().await {
                    Ok(frame) => Ok(self.handle(frame).await),
                    Err(error) => Err(error),
                },
            };
            match outcome {
                Ok(Some(item)) => return Ok(item),
                Ok(None) => {}
                Err(error) => return self.end_connection(error),
            }
        }
    }

    /// Ends the session, if there is one, with a clean close.
    pub async fn close(self) {
        if let State::Open(connection, _) = self.state {
            connection.close().await;
        }
    }

    async fn connect(&mut self) -> Result<Item, Error> {
        self.token = self.options.tokens.get();
        let start = match self.cursor {
            Some(cursor) => Start::After(cursor),
            None => self.options.start,
        };
        let connection = self.connector.connect(&start, &self.options.selection, self.token.as_ref()).await?;
        let hello = connection.hello().clone();
        // Until an event comes, the stream stands at the cursor of the first `hello`.
        self.cursor.get_or_insert(hello.cursor);
        self.state = State::Open(Box::new(connection), Instant::now());
        (self.token_refused, self.has_event, self.retry_not_before) = (false, false, None);
        self.connections += 1;
        Ok(if self.connections == 1 { Item::Connected(hello) } else { Item::Resumed(hello) })
    }

    async fn handle(&mut self, frame: Frame) -> Option<Item> {
        match frame {
            Frame::Event(event) => {
                self.has_event = true;
                self.cursor = Some(event.cursor());
                Some(Item::Event(event))
            }
            Frame::Live(cursor) => {
                self.advance(cursor);
                Some(Item::Live(cursor))
            }
            Frame::Heartbeat(heartbeat) => {
                self.advance(heartbeat.cursor);
                Some(Item::Heartbeat(heartbeat))
            }
            Frame::Drain { retry, cursor } => {
                self.advance(cursor);
                let retry_in = retry.min(MAX_DRAIN_WAIT);
                self.retry_not_before = Some(Instant::now() + retry_in);
                Some(Item::Draining { retry_in })
            }
            Frame::AuthExpiring(_) => {
                self.renew().await;
                None
            }
            // The connection has taken notice of these itself.
            Frame::Hello(_) | Frame::AuthOk(_) | Frame::Error(_) | Frame::Pong | Frame::Unknown(_) => None,
        }
    }

    /// Moves the cursor on, and never back: resuming from an earlier cursor would repeat events.
    fn advance(&mut self, to: Cursor) {
        let stands = self.cursor.is_some_and(|at| at.seq > to.seq || (at.seq == to.seq && at.tag.is_some()));
        if !stands {
            self.cursor = Some(to);
        }
    }

    /// Gives the session a new token, if there is one. If that fails, the session ends and the next begins with it.
    async fn renew(&mut self) {
        let token = self.options.tokens.get();
        if token == self.token {
            return;
        }
        if let (State::Open(connection, _), Some(fresh)) = (&mut self.state, token)
            && connection.authenticate(&fresh).await.is_ok()
        {
            self.token = Some(fresh);
        }
    }

    fn end_connection(&mut self, why: Error) -> Result<Item, Error> {
        if let State::Open(connection, since) = &self.state {
            self.unknown += connection.unknown_frames();
            if self.has_event || since.elapsed() >= HEALTHY {
                self.backoff.reset();
            }
        }
        self.state = State::Ended;
        if !self.options.reconnect || !(why.is_passing() || self.may_try_another_token(&why)) {
            return Err(why);
        }
        let now = Instant::now();
        let until = match self.retry_not_before.take() {
            // The server gives each client a wait of its own, so no jitter is needed.
            Some(then) => then.max(now),
            None => now + self.backoff.wait() + why.retry_after().unwrap_or_default(),
        };
        self.state = State::Waiting(Some(until));
        Ok(Item::Lost { why, retry_in: until - now })
    }

    /// True if the token was refused and the source has another one, once per `hello`: a source that makes a new token each time
    /// must not try for ever.
    fn may_try_another_token(&mut self, why: &Error) -> bool {
        if !matches!(why, Error::Unauthorized(_)) || self.token_refused {
            return false;
        }
        self.token_refused = true;
        self.options.tokens.get().is_some_and(|fresh| self.token.as_ref() != Some(&fresh))
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("endpoint", self.connector.endpoint())
            .field("cursor", &self.cursor)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}
