//! A WebSocket on a connection that was upgraded: tungstenite reads and keeps the protocol; what is already framed goes
//! out beside it, as it lies in memory.
//!
//! The two share the wire by turns: whole frames are written without a read in between, and tungstenite's own (pongs, the
//! closing handshake) go out before them.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// The bytes that are read at once. Clients send little, and there may be many of them.
const READ_BUFFER: usize = 1024;
/// How many slices go out in one write.
const SLICES: usize = 64;
/// A ping without anything in it.
pub const PING: Bytes = Bytes::from_static(&[0x89, 0x00]);

/// A ping with a number in it.
pub(in crate::http) fn numbered_ping(number: u8) -> Bytes {
    Bytes::copy_from_slice(&[0x89, 0x01, number])
}

/// The longest message of a client.
pub const MAX_MESSAGE: usize = 64 << 10;
/// The longest reason in a close frame.
const MAX_REASON: usize = 123;

/// A frame of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A text.
    Text(Utf8Bytes),
    /// Something that is no text.
    Binary(Bytes),
    /// A ping, which is answered.
    Alive,
    /// A pong, with what stood in the ping that it answers.
    Pong(Bytes),
    /// It wants to close; the answer is on its way.
    Close,
}

/// The reason for which nothing more comes from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketError {
    /// The connection is broken or closed.
    Away,
    /// A message over the limit.
    TooBig,
    /// Text that is not UTF-8.
    Utf8,
    /// Something that the protocol does not allow.
    Protocol,
}

impl SocketError {
    /// The close code of RFC 6455; `None` where nobody would receive it.
    pub fn code(self) -> Option<u16> {
        match self {
            Self::Away => None,
            Self::TooBig => Some(1009),
            Self::Utf8 => Some(1007),
            Self::Protocol => Some(1002),
        }
    }
}

impl From<Error> for SocketError {
    fn from(error: Error) -> Self {
        match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => Self::TooBig,
            Error::Utf8(_) => Self::Utf8,
            // The other side has ended the connection without a word; nobody is there to be told.
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Away,
            Error::Protocol(why) => {
                tracing::debug!(%why, "a client breaks the protocol");
                Self::Protocol
            }
            _ => Self::Away,
        }
    }
}

/// A WebSocket of the server.
pub struct Socket<S> {
    ws: Box<WebSocketStream<S>>,
    out: VecDeque<Bytes>,
    /// How much of the first of them is written.
    written: usize,
    /// The input is no longer understood, since the beginning of the next frame is not known.
    broken: bool,
}

impl<S> fmt::Debug for Socket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("pending", &self.out.len()).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Over a connection after its handshake; `read` is what the client has sent since.
    pub async fn new(stream: S, read: Bytes, max_message: usize) -> Self {
        let mut config = WebSocketConfig::default();
        config.read_buffer_size = READ_BUFFER;
        config.write_buffer_size = 0;
        config.max_write_buffer_size = max_message.saturating_mul(2).max(64 << 10);
        config.max_message_size = Some(max_message);
        config.max_frame_size = Some(max_message);
        let ws = WebSocketStream::from_partially_read(stream, read.to_vec(), Role::Server, Some(config)).await;
        Self { ws: Box::new(ws), out: VecDeque::new(), written: 0, broken: false }
    }

    /// The connection.
    pub fn stream(&self) -> &S {
        self.ws.get_ref()
    }

    /// The next that the client sends. Not to be asked while something is pending. Can be dropped and asked again.
    pub async fn receive(&mut self) -> Result<Input, SocketError> {
        poll_fn(|cx| {
            // Frames are put together by tungstenite; it returns `Frame` only to those who ask for frames.
            let message = match ready!(Pin::new(&mut *self.ws).poll_next(cx)) {
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    self.broken = true;
                    return Poll::Ready(Err(error.into()));
                }
                None => return Poll::Ready(Err(SocketError::Away)),
            };
            Poll::Ready(Ok(match message {
                Message::Text(text) => Input::Text(text),
                Message::Binary(bytes) => Input::Binary(bytes),
                Message::Close(_) => Input::Close,
                Message::Pong(bytes) => Input::Pong(bytes),
                Message::Ping(_) | Message::Frame(_) => Input::Alive,
            }))
        })
        .await
    }

    /// Puts whole frames behind what is pending.
    pub fn put(&mut self, frames: Bytes) {
        if !frames.is_empty() {
            self.out.push_back(frames);
        }
    }

    /// True while something is still to be written.
    pub fn is_pending(&self) -> bool {
        !self.out.is_empty()
    }

    /// Writes as much as goes at once, and waits until something does. Can be dropped and asked again.
    pub async fn write_some(&mut self) -> Result<(), SocketError> {
        poll_fn(|cx| self.poll_write(cx)).await
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        ready!(Pin::new(&mut *self.ws).poll_flush(cx))?;
        if self.out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        let mut from = self.written;
        for (slice, bytes) in slices.iter_mut().zip(&self.out) {
            *slice = IoSlice::new(bytes.get(std::mem::take(&mut from)..).unwrap_or_default());
            count += 1;
        }
        let slices = slices.get(..count).unwrap_or_default();
        let written = match ready!(Pin::new(self.ws.get_mut()).poll_write_vectored(cx, slices)) {
            Ok(written) if written > 0 => written,
            Ok(_) | Err(_) => return Poll::Ready(Err(SocketError::Away)),
        };
        self.forget(written);
        Poll::Ready(Ok(()))
    }

    /// Drops what was written.
    fn forget(&mut self, written: usize) {
        self.written += written;
        while let Some(first) = self.out.front() {
            if self.written < first.len() {
                return;
            }
            self.written -= first.len();
            self.out.pop_front();
        }
        // An idle session keeps no room for what a busy moment needed.
        if self.out.capacity() > SLICES {
            self.out = VecDeque::new();
        }
    }

    /// Drops what is pending but for the rest of the frame that is under way.
    pub fn cut(&mut self) {
        let first = self.out.pop_front().filter(|_| self.written > 0);
        self.out.clear();
        let Some(mut frames) = first else { return };
        let mut end = 0;
        while end < self.written {
            match frame_length(frames.get(end..).unwrap_or_default()) {
                Some(length) => end += length,
                None => return,
            }
        }
        frames.truncate(end);
        if self.written < end {
            self.out.push_back(frames);
        } else {
            self.written = 0;
        }
    }

    /// Writes all that is pending, and what lies in a buffer below.
    pub async fn flush(&mut self) -> Result<(), SocketError> {
        while self.is_pending() {
            self.write_some().await?;
        }
        self.ws.get_mut().flush().await.map_err(|_| SocketError::Away)
    }

    /// Sends a text.
    pub async fn send(&mut self, message: Message) -> Result<(), SocketError> {
        self.flush().await?;
        futures_util::SinkExt::send(&mut *self.ws, message).await.map_err(SocketError::from)
    }

    /// Writes what is pending, closes with this code, and waits for the other side to do the same: all within the limit.
    /// Whoever could not be understood is not listened to any more, and so cannot answer.
    pub async fn close(mut self, code: u16, reason: &str, limit: Duration) {
        let reason = reason.chars().take(MAX_REASON / 4).collect::<String>();
        let goodbye = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        let farewell = async {
            self.send(Message::Close(Some(goodbye))).await?;
            while !self.broken && self.receive().await? != Input::Close {}
            Ok::<_, SocketError>(())
        };
        let _whether_it_answers = tokio::time::timeout(limit, farewell).await;
        self.end(limit).await;
    }

    /// Lets what tungstenite still has to say go out (the answer to the other side's close), and ends the connection.
    ///
    /// What the other side still sends is read and dropped until it ends too: a connection that is given up with something
    /// unread is reset by the kernel, and what was said last would be lost on its way.
    pub async fn end(mut self, limit: Duration) {
        let last = async {
            let _flushed = poll_fn(|cx| Pin::new(&mut *self.ws).poll_flush(cx)).await;
            let stream = self.ws.get_mut();
            stream.shutdown().await?;
            let mut rest = [0; READ_BUFFER];
            while stream.read(&mut rest).await? > 0 {}
            Ok(())
        };
        let _: Result<io::Result<()>, _> = tokio::time::timeout(limit, last).await;
    }
}

/// The length of the frame that begins here, as the server writes them: without a mask.
fn frame_length(frames: &[u8]) -> Option<usize> {
    let (header, length) = match frames.get(1)? & 0x7f {
        126 => (4, u64::from(u16::from_be_bytes(frames.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(frames.get(2..10)?.try_into().ok()?)),
        short => (2, u64::from(short)),
    };
    Some(header + usize::try_from(length).ok()?)
}
