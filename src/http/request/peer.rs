//! The client of a connection, and the session that the connection becomes after an upgrade.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::upgrade::OnUpgrade;
use tokio::sync::OwnedSemaphorePermit;

use crate::http::connection::gate::ExceededLimit;
use crate::http::connection::guarded::StalledFlag;
use crate::http::request::context::Context;
use crate::http::request::quota::RequestQuota;
use crate::http::request::viewer::Viewer;
use crate::http::response::close_reason::CloseReason;
use crate::http::response::problem::Problem;
use crate::http::response::request_id::RequestId;
use crate::limit::ConnectionSlot;

/// A session whose upgrade is granted. It begins once the response is sent and hyper hands the connection over.
#[derive(Debug)]
pub(in crate::http) struct PendingSession {
    pub(in crate::http) upgrade: OnUpgrade,
    pub(in crate::http) context: Arc<Context>,
    /// The viewer; none if the client has yet to send its token. An error is sent over the WebSocket, which is then closed.
    pub(in crate::http) viewer: Result<Option<Viewer>, CloseReason>,
    pub(in crate::http) request_id: Option<RequestId>,
    pub(in crate::http) query: Option<String>,
    pub(in crate::http) quota: Arc<RequestQuota>,
    pub(in crate::http) permit: OwnedSemaphorePermit,
    /// The slot among the sessions of its subject, once that is known.
    pub(in crate::http) slot: Option<ConnectionSlot>,
}

/// The client of a connection, and the session that the connection becomes after an upgrade.
#[derive(Debug)]
pub(in crate::http) struct Peer {
    pub(in crate::http) address: SocketAddr,
    /// The limit that the connection is beyond, if it is served probes only.
    exceeded_limit: Option<ExceededLimit>,
    /// Set once a request has come.
    has_request: Arc<AtomicBool>,
    /// Set once the connection was given up because the client took nothing.
    pub(in crate::http) stalled: StalledFlag,
    pending: Mutex<Option<PendingSession>>,
}

impl Peer {
    pub(in crate::http) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stalled: StalledFlag::default(),
            exceeded_limit: None,
            has_request: Arc::default(),
            pending: Mutex::new(None),
        }
    }

    /// The client of a connection beyond a limit.
    pub(in crate::http) fn beyond_limit(
        address: SocketAddr,
        limit: ExceededLimit,
        has_request: Arc<AtomicBool>,
    ) -> Self {
        Self { exceeded_limit: Some(limit), has_request, ..Self::new(address) }
    }

    /// Notes that a request has come, so that the connection is no longer closed in favour of a newcomer.
    pub(in crate::http) fn request_has_come(&self) {
        self.has_request.store(true, Ordering::Release);
    }

    /// Refuses the request if the connection is beyond a limit. Not called for probes.
    pub(in crate::http) fn check(&self) -> Result<(), Problem> {
        self.exceeded_limit.map_or(Ok(()), |limit| Err(limit.into()))
    }

    /// Sets the session that the connection becomes once the response is sent.
    pub(in crate::http) fn hand_over(&self, pending: PendingSession) {
        *self.pending.lock().unwrap_or_else(PoisonError::into_inner) = Some(pending);
    }

    /// Takes the session that the connection becomes, if an upgrade was granted.
    pub(in crate::http) fn take_pending(&self) -> Option<PendingSession> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
