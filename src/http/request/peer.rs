//! The other side of a connection, and the session that the connection becomes after an upgrade.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::upgrade::OnUpgrade;
use tokio::sync::OwnedSemaphorePermit;

use crate::http::connection::gate::Crowd;
use crate::http::connection::guarded::StalledFlag;
use crate::http::request::context::Context;
use crate::http::request::quota::RequestQuota;
use crate::http::request::viewer::Viewer;
use crate::http::response::close_reason::CloseReason;
use crate::http::response::problem::Problem;
use crate::http::response::request_id::RequestId;
use crate::limit::ConnectionSlot;

/// A session whose upgrade is granted and whose connection is not there yet.
#[derive(Debug)]
pub(in crate::http) struct PendingSession {
    pub(in crate::http) upgrade: OnUpgrade,
    pub(in crate::http) context: Arc<Context>,
    /// The viewer; none if the client has yet to send its token. Or the reason to close, which is sent over the connection.
    pub(in crate::http) viewer: Result<Option<Viewer>, CloseReason>,
    pub(in crate::http) request_id: Option<RequestId>,
    pub(in crate::http) query: Option<String>,
    pub(in crate::http) quota: Arc<RequestQuota>,
    pub(in crate::http) place: OwnedSemaphorePermit,
    /// The slot among the sessions of its subject, once that is known.
    pub(in crate::http) seat: Option<ConnectionSlot>,
}

/// The other side of a connection, and the session that the connection becomes when its requests are over.
#[derive(Debug)]
pub(in crate::http) struct Peer {
    pub(in crate::http) address: SocketAddr,
    /// The limit that the connection is beyond; it is good for probes alone then.
    crowd: Option<Crowd>,
    /// Set once a request has come.
    heard: Arc<AtomicBool>,
    /// Set once the connection was given up because the client took nothing.
    pub(in crate::http) stalled: StalledFlag,
    upgrade: Mutex<Option<PendingSession>>,
}

impl Peer {
    pub(in crate::http) fn new(address: SocketAddr) -> Self {
        Self { address, stalled: StalledFlag::default(), crowd: None, heard: Arc::default(), upgrade: Mutex::new(None) }
    }

    /// One of a connection beyond the limits.
    pub(in crate::http) fn crowded(address: SocketAddr, crowd: Crowd, heard: Arc<AtomicBool>) -> Self {
        Self { crowd: Some(crowd), heard, ..Self::new(address) }
    }

    /// A request has come, so the connection is no longer closed in favour of a newcomer.
    pub(in crate::http) fn request_has_come(&self) {
        self.heard.store(true, Ordering::Release);
    }

    /// Refuses everything but probes on a connection beyond the limits.
    pub(in crate::http) fn check(&self) -> Result<(), Problem> {
        self.crowd.map_or(Ok(()), |crowd| Err(crowd.into()))
    }

    /// The connection shall become this session, once the answer is sent.
    pub(in crate::http) fn hand_over(&self, pending: PendingSession) {
        *self.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(pending);
    }

    /// The session that the connection shall become.
    pub(in crate::http) fn take_upgrade(&self) -> Option<PendingSession> {
        self.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
