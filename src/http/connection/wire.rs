//! The connection below TLS, HTTP and WebSocket: how much the kernel may hold for a client, and how it is told apart whether a
//! client is slow or takes nothing at all.

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

/// How many bytes of HTTP may lie in the kernel that it has not even sent. It says that there is room when half of them are left,
/// so this is also by how much a slow client must read on to be seen to. Without a bound the kernel takes megabytes.
const UNSENT: u32 = 32 << 10;
/// How many of a session over a WebSocket, whose client is seen to read by its pongs: beyond it a session waits, and reads on from
/// its page when there is room. So a slow client holds no memory, and what it gets when it is back is not old.
const UNSENT_OF_SESSION: u32 = 128 << 10;
/// The bytes that the kernel may take when a stalled session is closed.
const ROOM_TO_SAY_SO: usize = 4 << 20;
/// Where it takes so much already it is not asked for more: the most that a program may ask for is often less than what
/// the kernel grants by itself.
const ROOM_ENOUGH: usize = 400 << 10;
/// How much of what a client has sent is counted before it is read.
const UNREAD: usize = 4 << 10;

/// A connection of a client, in clear or within TLS.
pub(in crate::http) trait Wire: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The connection below.
    fn metered(&self) -> &Metered;

    /// The kernel shall hold little that is not sent.
    fn hold_back(&self) {
        self.metered().bound_unsent(UNSENT_OF_SESSION);
    }

    /// The kernel shall take a little more than it has held so far.
    fn let_go(&self) {
        let metered = self.metered();
        metered.bound_unsent(u32::MAX);
        let socket = SockRef::from(&metered.tcp);
        if socket.send_buffer_size().is_ok_and(|size| size < ROOM_ENOUGH) {
            let _bounded_by_the_system = socket.set_send_buffer_size(ROOM_TO_SAY_SO);
        }
    }

    /// How many bytes have come that are not read yet, as far as they are counted. The kernel is asked itself: whether the runtime
    /// has noticed them is another question, after a moment in which nothing ran.
    fn unread(&self) -> usize {
        let mut room = [MaybeUninit::uninit(); UNREAD];
        SockRef::from(&self.metered().tcp).peek(&mut room).unwrap_or(0)
    }
}

/// A TCP connection that counts what the kernel takes to be sent.
#[derive(Debug)]
pub(in crate::http) struct Metered {
    tcp: TcpStream,
    taken: u64,
}

impl Metered {
    pub(in crate::http) fn new(tcp: TcpStream) -> Self {
        // Frames are small and written whole: waiting to fill a packet would only delay them.
        let _not_a_socket_any_more = tcp.set_nodelay(true);
        let metered = Self { tcp, taken: 0 };
        metered.bound_unsent(UNSENT);
        metered
    }

    /// How many bytes the kernel has taken so far.
    pub(in crate::http) fn taken(&self) -> u64 {
        self.taken
    }

    fn bound_unsent(&self, bytes: u32) {
        // Where the system has no such option, a slow client costs more memory of the kernel.
        let _not_everywhere = SockRef::from(&self.tcp).set_tcp_notsent_lowat(bytes);
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

/// How long nothing has gone on while something waits to be written, counted in time in which this process ran.
#[derive(Debug)]
pub(in crate::http) struct WriteStall {
    limit: Duration,
    since: Duration,
    taken: u64,
    /// The bytes of the client that lay unread at the last look.
    unread: Option<usize>,
}

impl WriteStall {
    /// Begins now.
    pub(in crate::http) fn new(limit: Duration, awake: &Awake, wire: &impl Wire) -> Self {
        Self { limit, since: awake.elapsed(), taken: wire.metered().taken(), unread: None }
    }

    /// How long to wait before the next look.
    pub(in crate::http) fn pause(&self) -> Duration {
        self.limit / 4
    }

    /// Looks again: whether the kernel has taken nothing for the whole limit.
    pub(in crate::http) fn has_lasted(&mut self, awake: &Awake, wire: &impl Wire) -> bool {
        let taken = wire.metered().taken();
        if taken != self.taken {
            (self.taken, self.since) = (taken, awake.elapsed());
        }
        awake.elapsed().saturating_sub(self.since) >= self.limit
    }

    /// Looks again at a client that answers pings. Its pongs show that it reads, while the kernel on its side still has no room
    /// for more. Its pongs are not read here, since a frame is half written.
    pub(in crate::http) fn has_lasted_in_silence(&mut self, awake: &Awake, wire: &impl Wire) -> bool {
        let unread = wire.unread();
        if self.unread.replace(unread).is_some_and(|before| unread > before) {
            self.since = awake.elapsed();
        }
        self.has_lasted(awake, wire)
    }
}
