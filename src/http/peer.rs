//! The other side of a connection.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::gate::Crowd;
use super::guarded::Stalled;
use super::problem::Problem;
use super::ws::Opening;

/// The other side of a connection, and what becomes of the connection when its requests are over.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// For probes alone, and why.
    crowd: Option<Crowd>,
    /// Whether a request has come.
    heard: Arc<AtomicBool>,
    /// Whether the connection was given up because nothing was taken.
    pub(super) stalled: Stalled,
    upgrade: Mutex<Option<Opening>>,
}

impl Peer {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, stalled: Stalled::default(), crowd: None, heard: Arc::default(), upgrade: Mutex::new(None) }
    }

    /// One of a connection beyond the limits.
    pub(super) fn crowded(address: SocketAddr, crowd: Crowd, heard: Arc<AtomicBool>) -> Self {
        Self { crowd: Some(crowd), heard, ..Self::new(address) }
    }

    /// A request has come, so the connection is no longer closed in favour of a newcomer.
    pub(super) fn request_has_come(&self) {
        self.heard.store(true, Ordering::Release);
    }

    /// Refuses everything but probes on a connection beyond the limits.
    pub(super) fn check(&self) -> Result<(), Problem> {
        self.crowd.map_or(Ok(()), |crowd| Err(crowd.problem()))
    }

    /// The connection shall become this session, once the answer is sent.
    pub(super) fn hand_over(&self, opening: Opening) {
        *self.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(opening);
    }

    /// What the connection shall become.
    pub(super) fn take_upgrade(&self) -> Option<Opening> {
        self.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
