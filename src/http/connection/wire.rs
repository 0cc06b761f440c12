//! The connection below TLS, HTTP and WebSocket: it limits what the kernel holds for a client, and tells a slow client from one that
//! takes nothing at all.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::clock::Awake;

/// The most bytes of a connection that lie unsent in the kernel. The kernel reports room when half of them are left, so a slow client
/// must read that much before it is seen to read. Without a limit the kernel takes megabytes.
const MAX_UNSENT: u32 = 32 << 10;
/// The most bytes of a WebSocket session that lie unsent in the kernel. It may be more, since pongs show that the client reads. Beyond
/// it the session waits, and reads on from its page when there is room, so that a slow client holds no memory.
const MAX_UNSENT_OF_SESSION: u32 = 128 << 10;
/// The send buffer that the kernel is asked for when a slow or stalled session is closed.
const CLOSING_BUFFER: usize = 4 << 20;
/// A send buffer of this size is left as it is. A program may often ask for less than the kernel grants by itself.
const SUFFICIENT_BUFFER: usize = 400 << 10;
/// The most unread bytes of a client that are counted.
const MAX_UNREAD_COUNTED: usize = 4 << 10;

/// A connection of a client, in clear or within TLS.
pub(in crate::http) trait Wire: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The connection below.
    fn metered(&self) -> &Metered;

    /// Limits the unsent bytes in the kernel to those of a WebSocket session.
    fn limit_unsent(&self) {
        self.metered().set_max_unsent(MAX_UNSENT_OF_SESSION);
    }

    /// Lifts the limit on unsent bytes and enlarges the send buffer, so that the kernel takes the last frames of a slow client.
    fn raise_write_limit(&self) {
        let metered = self.metered();
        metered.set_max_unsent(u32::MAX);
        let socket = SockRef::from(&metered.tcp);
        if socket.send_buffer_size().is_ok_and(|size| size < SUFFICIENT_BUFFER) {
            let _bounded_by_the_system = socket.set_send_buffer_size(CLOSING_BUFFER);
        }
    }

    /// The number of bytes that have come and are not read yet, up to a limit. Asks the kernel, since the runtime may not have noticed
    /// them yet if this process did not run for a moment.
    fn unread(&self) -> usize {
        let mut buffer = [MaybeUninit::uninit(); MAX_UNREAD_COUNTED];
        SockRef::from(&self.metered().tcp).peek(&mut buffer).unwrap_or(0)
    }
}

/// A TCP connection that counts the bytes that the kernel has taken to send.
#[derive(Debug)]
pub(in crate::http) struct Metered {
    tcp: TcpStream,
    taken: u64,
}

impl Metered {
    pub(in crate::http) fn new(tcp: TcpStream) -> Self {
        // Frames are small and written whole, so waiting to fill a packet would only delay them.
        let _failed_if_closed = tcp.set_nodelay(true);
        let metered = Self { tcp, taken: 0 };
        metered.set_max_unsent(MAX_UNSENT);
        metered
    }

    /// The number of bytes that the kernel has taken so far.
    pub(in crate::http) fn taken(&self) -> u64 {
        self.taken
    }

    fn set_max_unsent(&self, bytes: u32) {
        // On a system without this option a slow client costs more memory of the kernel.
        let _unsupported_on_some_systems = SockRef::from(&self.tcp).set_tcp_notsent_lowat(bytes);
    }

    fn count(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.taken += u64::try_from(*bytes).unwrap_or_default();
        }
        written
    }
}

impl Wire for Metered {
    fn metered(&self) -> &Metered {
        self
    }
}

impl Wire for TlsStream<Metered> {
    fn metered(&self) -> &Metered {
        self.get_ref().0
    }
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.count(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, slices);
        self.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}

/// Measures for how long nothing could be written, by the clock of the time in which this process ran.
#[derive(Debug)]
pub(in crate::http) struct WriteStall {
    limit: Duration,
    since: Duration,
    taken: u64,
    /// The number of unread bytes of the client at the last look.
    unread: Option<usize>,
}

impl WriteStall {
    /// A measurement that begins now.
    pub(in crate::http) fn new(limit: Duration, awake: &Awake, wire: &impl Wire) -> Self {
        Self { limit, since: awake.elapsed(), taken: wire.metered().taken(), unread: None }
    }

    /// The time to wait before the next look.
    pub(in crate::http) fn pause(&self) -> Duration {
        self.limit / 4
    }

    /// Looks again. Returns true if the kernel has taken nothing for the whole limit.
    pub(in crate::http) fn has_lasted(&mut self, awake: &Awake, wire: &impl Wire) -> bool {
        let taken = wire.metered().taken();
        if taken != self.taken {
            (self.taken, self.since) = (taken, awake.elapsed());
        }
        awake.elapsed().saturating_sub(self.since) >= self.limit
    }

    /// Looks again at a client that answers pings. New unread bytes are its pongs: they show that the client reads, even while its
    /// kernel has no room for more. They stay unread, since a frame is half written.
    pub(in crate::http) fn has_lasted_in_silence(&mut self, awake: &Awake, wire: &impl Wire) -> bool {
        let unread = wire.unread();
        if self.unread.replace(unread).is_some_and(|before| unread > before) {
            self.since = awake.elapsed();
        }
        self.has_lasted(awake, wire)
    }
}
