//! Ends the connection of a client that takes nothing of a response. Streams over HTTP are responses too.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::clock::Awake;
use crate::http::connection::wire::{Wire, WriteStall};

/// A flag that is set once a connection was given up because its client took nothing. Clones share the flag.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct StalledFlag(Arc<AtomicBool>);

impl StalledFlag {
    pub(in crate::http) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection whose writes fail when nothing could be written for too long.
#[derive(Debug)]
pub(in crate::http) struct Guarded<S> {
    inner: S,
    limit: Duration,
    awake: Awake,
    stalled: StalledFlag,
    /// The next look and the measurement, while a write waits.
    waiting: Option<(Pin<Box<Sleep>>, WriteStall)>,
}

impl<S: Wire> Guarded<S> {
    pub(in crate::http) fn new(inner: S, limit: Duration, awake: Awake, stalled: StalledFlag) -> Self {
        Self { inner, limit, awake, stalled, waiting: None }
    }

    pub(in crate::http) fn into_inner(self) -> S {
        self.inner
    }

    /// Passes on the outcome of a write, or fails if writes have waited for too long.
    fn guard<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let Self { inner, limit, awake, stalled, waiting } = self;
        let (timer, stall) = waiting.get_or_insert_with(|| {
            let stall = WriteStall::new(*limit, awake, inner);
            (Box::pin(tokio::time::sleep(stall.pause())), stall)
        });
        loop {
            ready!(timer.as_mut().poll(cx));
            if stall.has_lasted(awake, inner) {
                stalled.0.store(true, Ordering::Relaxed);
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            timer.as_mut().reset(tokio::time::Instant::now() + stall.pause());
        }
    }
}

impl<S: Wire> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: Wire> AsyncWrite for Guarded<S> {
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
