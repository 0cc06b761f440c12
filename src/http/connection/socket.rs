//! A WebSocket on a connection that was upgraded. Tungstenite reads the frames of the client and keeps the protocol. Frames of the
//! server that lie ready in memory are written past it.
//!
//! The two take turns on the wire: ready frames are written whole, without a read in between, and tungstenite's own frames (pongs, the
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

/// The bytes that are read at once. Clients send little, and there may be many clients.
const READ_BUFFER: usize = 1024;
/// The most slices in one write.
const SLICES: usize = 64;
/// A ping with an empty payload.
pub const PING: Bytes = Bytes::from_static(&[0x89, 0x00]);

/// A ping with a number as its payload.
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
    /// A text message.
    Text(Utf8Bytes),
    /// A binary message.
    Binary(Bytes),
    /// A ping. Tungstenite answers it.
    Ping,
    /// A pong, with the payload of the ping that it answers.
    Pong(Bytes),
    /// A close frame. Tungstenite answers it.
    Close,
}

/// The reason for which nothing more comes from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketError {
    /// The connection is broken or closed.
    Disconnected,
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
            Self::Disconnected => None,
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
            // The client has ended the connection without a close frame, so nobody is there to be told.
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Disconnected,
            Error::Protocol(why) => {
                tracing::debug!(%why, "a client breaks the protocol");
                Self::Protocol
            }
            _ => Self::Disconnected,
        }
    }
}

/// The server's side of a WebSocket.
pub struct Socket<S> {
    ws: Box<WebSocketStream<S>>,
    /// The frames that are still to be written.
    pending: VecDeque<Bytes>,
    /// The bytes of the first pending item that are written already.
    written: usize,
    /// True once the input could not be parsed, so that nothing more can be read.
    broken: bool,
}

impl<S> fmt::Debug for Socket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("pending", &self.pending.len()).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// A WebSocket on a connection after the handshake; `read` has the bytes that were read beyond the handshake.
    pub async fn new(stream: S, read: Bytes, max_message: usize) -> Self {
        let mut config = WebSocketConfig::default();
        config.read_buffer_size = READ_BUFFER;
        config.write_buffer_size = 0;
        config.max_write_buffer_size = max_message.saturating_mul(2).max(64 << 10);
        config.max_message_size = Some(max_message);
        config.max_frame_size = Some(max_message);
        let ws = WebSocketStream::from_partially_read(stream, read.to_vec(), Role::Server, Some(config)).await;
        Self { ws: Box::new(ws), pending: VecDeque::new(), written: 0, broken: false }
    }

    /// The connection.
    pub fn stream(&self) -> &S {
        self.ws.get_ref()
    }

    /// Waits for the next frame of the client. Must not be called while something is pending. The future can be dropped and made
    /// again.
    pub async fn receive(&mut self) -> Result<Input, SocketError> {
        poll_fn(|cx| {
            // Tungstenite puts the frames of a message together, and never returns `Frame` here.
            let message = match ready!(Pin::new(&mut *self.ws).poll_next(cx)) {
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    self.broken = true;
                    return Poll::Ready(Err(error.into()));
                }
                None => return Poll::Ready(Err(SocketError::Disconnected)),
            };
            Poll::Ready(Ok(match message {
                Message::Text(text) => Input::Text(text),
                Message::Binary(bytes) => Input::Binary(bytes),
                Message::Close(_) => Input::Close,
                Message::Pong(bytes) => Input::Pong(bytes),
                Message::Ping(_) | Message::Frame(_) => Input::Ping,
            }))
        })
        .await
    }

    /// Appends whole frames to what is pending.
    pub fn put(&mut self, frames: Bytes) {
        if !frames.is_empty() {
            self.pending.push_back(frames);
        }
    }

    /// True while something is still to be written.
    pub fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Waits until something can be written, and writes as much as the connection takes. The future can be dropped and made again.
    pub async fn write_some(&mut self) -> Result<(), SocketError> {
        poll_fn(|cx| self.poll_write(cx)).await
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        ready!(Pin::new(&mut *self.ws).poll_flush(cx))?;
        if self.pending.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        let mut from = self.written;
        for (slice, bytes) in slices.iter_mut().zip(&self.pending) {
            *slice = IoSlice::new(bytes.get(std::mem::take(&mut from)..).unwrap_or_default());
            count += 1;
        }
        let slices = slices.get(..count).unwrap_or_default();
        let written = match ready!(Pin::new(self.ws.get_mut()).poll_write_vectored(cx, slices)) {
            Ok(written) if written > 0 => written,
            Ok(_) | Err(_) => return Poll::Ready(Err(SocketError::Disconnected)),
        };
        self.drop_written(written);
        Poll::Ready(Ok(()))
    }

    /// Drops the frames that are written.
    fn drop_written(&mut self, written: usize) {
        self.written += written;
        while let Some(first) = self.pending.front() {
            if self.written < first.len() {
                return;
            }
            self.written -= first.len();
            self.pending.pop_front();
        }
        // An idle session gives back the memory of a busy moment.
        if self.pending.capacity() > SLICES {
            self.pending = VecDeque::new();
        }
    }

    /// Drops everything that is pending, except for the rest of the frame that is half written.
    pub fn cut(&mut self) {
        let first = self.pending.pop_front().filter(|_| self.written > 0);
        self.pending.clear();
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
            self.pending.push_back(frames);
        } else {
            self.written = 0;
        }
    }

    /// Writes everything that is pending, and the buffers of the connection.
    pub async fn flush(&mut self) -> Result<(), SocketError> {
        while self.is_pending() {
            self.write_some().await?;
        }
        self.ws.get_mut().flush().await.map_err(|_| SocketError::Disconnected)
    }

    /// Sends a message behind everything that is pending.
    pub async fn send(&mut self, message: Message) -> Result<(), SocketError> {
        self.flush().await?;
        futures_util::SinkExt::send(&mut *self.ws, message).await.map_err(SocketError::from)
    }

    /// Writes everything that is pending, sends a close frame with this code, and waits for the close frame of the client, all within
    /// the limit. If the input could not be parsed, the answer is not waited for. Then ends the connection, within the limit again.
    pub async fn close(mut self, code: u16, reason: &str, limit: Duration) {
        let reason = reason.chars().take(MAX_REASON / 4).collect::<String>();
        let close_frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        let handshake = async {
            self.send(Message::Close(Some(close_frame))).await?;
            while !self.broken && self.receive().await? != Input::Close {}
            Ok::<_, SocketError>(())
        };
        let _answered_or_not = tokio::time::timeout(limit, handshake).await;
        self.end(limit).await;
    }

    /// Writes the frames that tungstenite still holds (the answer to a close of the client), and ends the connection.
    ///
    /// Reads and drops what the client still sends, until it ends the connection too. The kernel resets a connection that is dropped
    /// with unread input, and then the last frames would be lost.
    pub async fn end(mut self, limit: Duration) {
        let ending = async {
            let _flushed = poll_fn(|cx| Pin::new(&mut *self.ws).poll_flush(cx)).await;
            let stream = self.ws.get_mut();
            stream.shutdown().await?;
            let mut rest = [0; READ_BUFFER];
            while stream.read(&mut rest).await? > 0 {}
            Ok(())
        };
        let _: Result<io::Result<()>, _> = tokio::time::timeout(limit, ending).await;
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
