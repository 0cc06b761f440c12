//! The connection below HTTP and WebSocket: how much the kernel may hold for a client, and an end for a client that takes
//! nothing of an answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

/// How many bytes may lie in the kernel that it has not even sent: beyond it a session waits, and reads on from its page
/// when there is room. So a slow client holds no memory, and what it gets when it is back is not old.
const UNSENT: u32 = 128 << 10;
/// What the kernel may take when a session that stalled is to be told so.
const ROOM_TO_SAY_SO: usize = 4 << 20;
/// Where it takes so much already it is not asked for more: the most that a program may ask for is often less than what
/// the kernel grants by itself.
const ROOM_ENOUGH: usize = 400 << 10;

/// A connection of a client, in clear or within TLS.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The socket below.
    fn tcp(&self) -> &TcpStream;

    /// The kernel shall hold little that is not sent.
    fn hold_back(&self) {
        // Where the system has no such option, a slow client costs more memory of the kernel, and nothing else.
        let _not_everywhere = SockRef::from(self.tcp()).set_tcp_notsent_lowat(UNSENT);
    }

    /// The kernel shall take a little more than it has held so far.
    fn let_go(&self) {
        let socket = SockRef::from(self.tcp());
        let _not_everywhere = socket.set_tcp_notsent_lowat(u32::MAX);
        if socket.send_buffer_size().is_ok_and(|size| size < ROOM_ENOUGH) {
            let _bounded_by_the_system = socket.set_send_buffer_size(ROOM_TO_SAY_SO);
        }
    }
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// A connection whose writes fail when nothing could be written for too long: answers, and streams over HTTP.
#[derive(Debug)]
pub(super) struct Guarded<S> {
    inner: S,
    limit: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Guarded<S> {
    pub(super) fn new(inner: S, limit: Duration) -> Self {
        Self { inner, limit, waiting: None }
    }

    pub(super) fn into_inner(self) -> S {
        self.inner
    }

    fn guard<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        match waiting.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.guard(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.guard(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.guard(cx, ended)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.guard(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
