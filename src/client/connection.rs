//! One connection: frames in, each of them checked against what the server promises.

use std::fmt;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error as WireError, Message};

use super::frame::{Frame, Hello};
use super::ledger::Ledger;
use super::socket::{CONNECT_LIMIT, Socket};
use super::{Error, Told};
use crate::config::Secret;

/// The time in which a close must be answered.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// Heartbeats are not expected more often than this, whatever the server says.
const LEAST_HEARTBEAT: Duration = Duration::from_millis(100);
/// The code that a close without a code counts as.
const NO_CODE: u16 = 1005;

/// A stream of frames from one session of the server.
pub struct Connection {
    socket: WebSocketStream<Box<dyn Socket>>,
    hello: Hello,
    ledger: Ledger,
    /// The moment at which something was last heard.
    heard: Instant,
    /// The time after which silence counts as a loss.
    patience: Duration,
    /// True if a pong must be sent as a sign of life. The server closes a session that sends nothing for two heartbeats.
    owes_sign: bool,
    /// The content of the last `error` frame.
    told: Told,
    close_code: Option<u16>,
    unknown: u64,
}

impl Connection {
    /// Waits for the `hello` on an open socket.
    pub(super) async fn begin(
        socket: WebSocketStream<Box<dyn Socket>>,
        resumed_after: Option<i64>,
    ) -> Result<Self, Error> {
        let none = Hello {
            session: String::new(),
            cursor: crate::journal::Cursor { seq: 0, tag: None },
            head: 0,
            oldest: 0,
            heartbeat_ms: 0,
            view: String::new(),
        };
        let mut connection = Self {
            socket,
            hello: none,
            ledger: Ledger::new(resumed_after),
            heard: Instant::now(),
            patience: CONNECT_LIMIT,
            owes_sign: false,
            told: Told::default(),
            close_code: None,
            unknown: 0,
        };
        let deadline = Instant::now() + CONNECT_LIMIT;
        let hello = async {
            loop {
                match connection.next().await? {
                    Frame::Hello(_) => return Ok(()),
                    // An error tells the reason of the close that follows. An unknown frame may be of a later version.
                    Frame::Error(_) | Frame::Unknown(_) => {}
                    other => return Err(Error::BadFrame(format!("before the hello came {}", name(&other)))),
                }
            }
        };
        timeout_at(deadline, hello).await.map_err(|_| Error::Timeout(CONNECT_LIMIT))??;
        Ok(connection)
    }

    /// The first frame of the server.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The number of frames that this version does not know.
    pub fn unknown_frames(&self) -> u64 {
        self.unknown
    }

    /// The next frame. No frame is lost if the future is dropped. After an error there is no other frame.
    pub async fn next(&mut self) -> Result<Frame, Error> {
        loop {
            if let Some(code) = self.close_code {
                return Err(Error::of_close(code, self.told.clone()));
            }
            let deadline = self.heard + self.patience;
            let message = timeout_at(deadline, self.read()).await.map_err(|_| Error::Silent(self.patience))??;
            self.heard = Instant::now();
            match message {
                Message::Text(text) => {
                    let frame = Frame::read(&text).map_err(|bad| Error::BadFrame(bad.to_string()))?;
                    self.check(&frame)?;
                    return Ok(frame);
                }
                Message::Close(frame) => {
                    self.close_code = Some(frame.map_or(NO_CODE, |frame| frame.code.into()));
                    // The answer to the close is on its way out; whether it arrives changes nothing.
                    let _gone = timeout(CLOSE_LIMIT, self.socket.flush()).await;
                }
                Message::Binary(_) => return Err(Error::BadFrame("a binary message".to_owned())),
                // The socket answers pings itself, and the answer is a sign of life.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    async fn read(&mut self) -> Result<Message, Error> {
        if self.owes_sign {
            // A pong needs no answer. If it cannot be sent, the frames that are still to be read tell the reason.
            let _unsent = self.socket.feed(Message::Pong(Bytes::new())).await;
            self.owes_sign = false;
        }
        match self.socket.next().await {
            Some(message) => message.map_err(socket_error),
            None => Err(Error::Lost("it ended".to_owned())),
        }
    }

    /// Checks a frame against those before it, and takes notice of its content.
    fn check(&mut self, frame: &Frame) -> Result<(), Error> {
        match frame {
            Frame::Event(event) => self.ledger.take(event.seq)?,
            Frame::Hello(hello) => {
                self.ledger.begin();
                self.patience = Duration::from_millis(hello.heartbeat_ms).max(LEAST_HEARTBEAT).mul_f64(2.5);
                self.hello = hello.clone();
            }
            Frame::Heartbeat(heartbeat) => {
                self.owes_sign = true;
                self.ledger.compare(heartbeat.events, heartbeat.check)?;
                self.ledger.pass(heartbeat.cursor.seq);
            }
            Frame::Live(cursor) | Frame::Drain { cursor, .. } => self.ledger.pass(cursor.seq),
            Frame::Error(told) => self.told = told.clone(),
            Frame::Unknown(_) => self.unknown += 1,
            Frame::AuthExpiring(_) | Frame::AuthOk(_) | Frame::Pong => {}
        }
        Ok(())
    }

    /// Sends a `ping`, which the server answers with [`Frame::Pong`].
    pub async fn ping(&mut self) -> Result<(), Error> {
        self.send(&json!({"op": "ping"})).await
    }

    /// Gives the session another token, before the first one expires; [`Frame::AuthOk`] is the answer.
    pub async fn authenticate(&mut self, token: &Secret) -> Result<(), Error> {
        self.send(&json!({"op": "auth", "token": token.expose()})).await
    }

    async fn send(&mut self, message: &serde_json::Value) -> Result<(), Error> {
        let sent = self.socket.send(Message::text(message.to_string()));
        timeout(CONNECT_LIMIT, sent).await.map_err(|_| Error::Timeout(CONNECT_LIMIT))?.map_err(socket_error)
    }

    /// Says goodbye and waits a moment for the answer.
    pub async fn close(mut self) {
        let goodbye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let _either_way = timeout(CLOSE_LIMIT, async {
            self.socket.close(Some(goodbye)).await.map_err(socket_error)?;
            while let Some(Ok(message)) = self.socket.next().await {
                if message.is_close() {
                    break;
                }
            }
            Ok::<_, Error>(())
        })
        .await;
    }
}

/// The error that a failure of the socket means.
fn socket_error(error: WireError) -> Error {
    match error {
        WireError::Io(error) => Error::Lost(error.to_string()),
        WireError::ConnectionClosed | WireError::AlreadyClosed => Error::Lost("it ended".to_owned()),
        WireError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Error::Lost("it ended".to_owned()),
        WireError::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            Error::BadFrame(format!("a message of {size} bytes, over {max_size}"))
        }
        other => Error::BadFrame(other.to_string()),
    }
}

fn name(frame: &Frame) -> &str {
    match frame {
        Frame::Hello(_) => "hello",
        Frame::Event(_) => "event",
        Frame::Live(_) => "live",
        Frame::Heartbeat(_) => "heartbeat",
        Frame::AuthExpiring(_) => "auth_expiring",
        Frame::AuthOk(_) => "auth_ok",
        Frame::Drain { .. } => "drain",
        Frame::Error(_) => "error",
        Frame::Pong => "pong",
        Frame::Unknown(op) => op,
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("hello", &self.hello).field("ledger", &self.ledger).finish_non_exhaustive()
    }
}
