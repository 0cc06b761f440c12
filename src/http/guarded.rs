//! An end for a client that takes nothing of an answer: answers, and streams over HTTP.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::wire::{Stall, Wire};
use crate::clock::Awake;

/// Set once a connection was given up because its client took nothing. Clones are handles to the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Stalled(Arc<AtomicBool>);

impl Stalled {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection whose writes fail when nothing could be written for too long.
#[derive(Debug)]
pub(super) struct Guarded<S> {
    inner: S,
    limit: Duration,
    awake: Awake,
    stalled: Stalled,
    waiting: Option<(Pin<Box<Sleep>>, Stall)>,
}

impl<S: Wire> Guarded<S> {
    pub(super) fn new(inner: S, limit: Duration, awake: Awake, stalled: Stalled) -> Self {
        Self { inner, limit, awake, stalled, waiting: None }
    }

    pub(super) fn into_inner(self) -> S {
        self.inner
    }

    fn guard<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let Self { inner, limit, awake, stalled, waiting } = self;
        let (timer, stall) = waiting.get_or_insert_with(|| {
            let stall = Stall::new(*limit, awake, inner);
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
