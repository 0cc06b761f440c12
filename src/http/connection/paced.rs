//! The rate at which the bytes of a session's client are read. It also holds for frames that never make a message, such as endless empty
//! fragments, which the rate of messages (`stream::ws::message_rate`) does not see.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::http::connection::wire::{Metered, Wire};

/// The bytes that are read without a pause: four of the longest messages.
const BURST: u64 = 256 << 10;
/// The bytes that are read in a second after that: one of the longest messages.
const BYTES_PER_SECOND: u64 = 64 << 10;

/// A connection that is read no faster than the limit, and written to without one.
#[derive(Debug)]
pub(in crate::http) struct Paced<S> {
    inner: S,
    /// The time from which none of the bytes so far count any more.
    idle_at: Instant,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    pub(in crate::http) fn new(inner: S) -> Self {
        Self { inner, idle_at: Instant::now(), pause: None }
    }

    /// Waits until the rate allows a read.
    fn poll_may_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            let from = self.idle_at.checked_sub(time_of(BURST));
            match from.filter(|from| *from > Instant::now()) {
                Some(from) => self.pause = Some(Box::pin(tokio::time::sleep_until(from))),
                None => return Poll::Ready(()),
            }
        }
    }
}

/// The time that these bytes take at the lasting rate.
fn time_of(bytes: u64) -> Duration {
    Duration::from_nanos(bytes * (1_000_000_000 / BYTES_PER_SECOND))
}

impl<S: Wire> Wire for Paced<S> {
    fn metered(&self) -> &Metered {
        self.inner.metered()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_may_read(cx));
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let read = u64::try_from(buf.filled().len() - before).unwrap_or(BURST);
        self.idle_at = self.idle_at.max(Instant::now()) + time_of(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
