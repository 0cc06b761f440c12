//! The limits on connections, in all and of one address. A few connections beyond the limits are accepted for probes, and every other
//! request on them is refused, since only its request tells a probe. Those that have sent no request yet are closed for newcomers,
//! the oldest first.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::limit::{ConnectionSlot, ConnectionSlots, address_key, is_trusted};
use crate::telemetry::LogThrottle;

/// The most connections beyond the limits that may be open at once.
pub(in crate::http) const PROBE_CONNECTIONS: usize = 64;

/// The limits on connections.
#[derive(Debug)]
pub(in crate::http) struct Gate {
    all: Arc<Semaphore>,
    addresses: ConnectionSlots,
    trusted: Vec<IpNet>,
    probes: Arc<ProbeConnections>,
    refused_log: LogThrottle,
}

/// The limit that a connection is beyond, so that it is served probes only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum ExceededLimit {
    /// The limit of the server.
    Server,
    /// The limit of one address.
    Address,
}

/// The right to one connection, given back when it is dropped.
#[derive(Debug)]
pub(in crate::http) enum Pass {
    /// For everything. A connection of a trusted proxy has no slot of an address, since each of its requests takes one.
    Full(OwnedSemaphorePermit, Option<ConnectionSlot>),
    /// For probes only.
    Probe(ExceededLimit, ProbeSlot),
}

impl Gate {
    pub(in crate::http) fn new(most: usize, addresses: ConnectionSlots, trusted: Vec<IpNet>) -> Self {
        let refused_log = LogThrottle::default();
        Self { all: Arc::new(Semaphore::new(most)), addresses, trusted, probes: Arc::default(), refused_log }
    }

    /// Lets a connection in, unless there is not even room for a probe.
    pub(in crate::http) fn enter(&self, from: IpAddr) -> Option<Pass> {
        let from = from.to_canonical();
        let slot = if is_trusted(from, &self.trusted) {
            Ok(None)
        } else {
            self.addresses.take(&address_key(from)).map(Some).ok_or(ExceededLimit::Address)
        };
        let entered = slot.and_then(|slot| {
            let permit = Arc::clone(&self.all).try_acquire_owned().map_err(|_| ExceededLimit::Server)?;
            Ok(Pass::Full(permit, slot))
        });
        entered.map_or_else(|limit| self.enter_for_probes(limit, from), Some)
    }

    fn enter_for_probes(&self, limit: ExceededLimit, from: IpAddr) -> Option<Pass> {
        if let Some(count) = self.refused_log.due() {
            let of = if limit == ExceededLimit::Address { "one address" } else { "all" };
            tracing::warn!(count, %from, of, "too many connections: those beyond the limit are answered probes alone");
        }
        ProbeConnections::enter(&self.probes).map(|slot| Pass::Probe(limit, slot))
    }
}

/// The connections that are served probes only.
#[derive(Debug, Default)]
struct ProbeConnections {
    /// The oldest comes first.
    connections: Mutex<VecDeque<ProbeConnection>>,
    next_number: AtomicU64,
}

#[derive(Debug)]
struct ProbeConnection {
    number: u64,
    /// Set once a request has come.
    has_request: Arc<AtomicBool>,
    close: CancellationToken,
}

/// The right to one connection for a probe.
#[derive(Debug)]
pub(in crate::http) struct ProbeSlot {
    probes: Arc<ProbeConnections>,
    number: u64,
    has_request: Arc<AtomicBool>,
    close: CancellationToken,
}

impl ProbeConnections {
    /// Takes a slot. If all are taken, the oldest connection without a request is closed; if there is none, there is no slot.
    fn enter(probes: &Arc<Self>) -> Option<ProbeSlot> {
        let mut connections = probes.connections();
        if connections.len() >= PROBE_CONNECTIONS {
            let silent = connections.iter().position(|one| !one.has_request.load(Ordering::Acquire))?;
            connections.remove(silent)?.close.cancel();
        }
        let number = probes.next_number.fetch_add(1, Ordering::Relaxed);
        let (has_request, close) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
        connections.push_back(ProbeConnection { number, has_request: Arc::clone(&has_request), close: close.clone() });
        drop(connections);
        Some(ProbeSlot { probes: Arc::clone(probes), number, has_request, close })
    }

    fn connections(&self) -> MutexGuard<'_, VecDeque<ProbeConnection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProbeSlot {
    /// The flag that is set once a request has come.
    pub(in crate::http) fn has_request(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.has_request)
    }

    /// Waits until the connection is to be closed in favour of a newcomer.
    pub(in crate::http) async fn must_close(&self) {
        self.close.cancelled().await;
    }
}

impl Drop for ProbeSlot {
    fn drop(&mut self) {
        self.probes.connections().retain(|one| one.number != self.number);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([198, 51, 100, last])
    }

    #[test]
    fn an_address_has_a_limit_and_a_trusted_proxy_has_only_that_of_the_server() {
        let gate = Gate::new(5, ConnectionSlots::new(2), vec!["198.51.100.9/32".parse().unwrap()]);
        let full = |last| matches!(gate.enter(ip(last)), Some(Pass::Full(..)));
        let held: Vec<Pass> = [1, 1, 9, 9].into_iter().map(|last| gate.enter(ip(last)).unwrap()).collect();
        assert!(held.iter().all(|pass| matches!(pass, Pass::Full(..))));
        assert!(matches!(gate.enter(ip(1)), Some(Pass::Probe(ExceededLimit::Address, _))));
        let last = gate.enter(ip(2)).unwrap();
        assert!(matches!(last, Pass::Full(..)));
        assert!(matches!(gate.enter(ip(3)), Some(Pass::Probe(ExceededLimit::Server, _))));
        drop(last);
        assert!(!full(1) && full(3), "what was refused holds no slot");
    }

    #[tokio::test]
    async fn probe_connections_without_a_request_are_closed_for_newcomers_and_others_are_not() {
        let probes = Arc::new(ProbeConnections::default());
        let mut slots: VecDeque<_> =
            (0..PROBE_CONNECTIONS).map(|_| ProbeConnections::enter(&probes).unwrap()).collect();
        slots[0].has_request().store(true, Ordering::Release);
        let newcomer = ProbeConnections::enter(&probes).unwrap();
        slots[1].must_close().await;
        assert!(!slots[0].close.is_cancelled() && !slots[2].close.is_cancelled());
        slots.push_back(newcomer);
        for slot in &slots {
            slot.has_request().store(true, Ordering::Release);
        }
        assert!(ProbeConnections::enter(&probes).is_none());
        drop(slots.pop_front());
        assert!(ProbeConnections::enter(&probes).is_some());
    }
}
