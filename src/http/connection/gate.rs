//! Which connections get in, and for what: so many in all, so many of one address, and beyond that a few that are good for
//! probes alone. Nobody is asked who a probe comes from: a connection beyond the limits is served, but everything except a
//! probe is refused, and those that have said nothing yet are closed for newcomers, the oldest first.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::limit::{ConnectionSlot, ConnectionSlots, address_key, is_trusted};
use crate::telemetry::LogThrottle;

/// How many connections beyond the limits may be open at once.
pub(in crate::http) const PROBE_CONNECTIONS: usize = 64;

/// The limits on connections.
#[derive(Debug)]
pub(in crate::http) struct Gate {
    all: Arc<Semaphore>,
    addresses: ConnectionSlots,
    trusted: Vec<IpNet>,
    probes: Arc<Probes>,
    crowded: LogThrottle,
}

/// The limit that a connection is beyond. It is good for probes alone then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Crowd {
    /// The server has as many as it may.
    Server,
    /// Its address has.
    Address,
}

/// The right to one connection, given back when it is dropped.
#[derive(Debug)]
pub(in crate::http) enum Pass {
    /// For everything. Connections of a proxy count for no address: those that it speaks for do, request by request.
    Full(OwnedSemaphorePermit, Option<ConnectionSlot>),
    /// For probes alone.
    Probe(Crowd, ProbePlace),
}

impl Gate {
    pub(in crate::http) fn new(most: usize, addresses: ConnectionSlots, trusted: Vec<IpNet>) -> Self {
        let crowded = LogThrottle::default();
        Self { all: Arc::new(Semaphore::new(most)), addresses, trusted, probes: Arc::default(), crowded }
    }

    /// Lets a connection in, unless there is not even room for a probe.
    pub(in crate::http) fn enter(&self, from: IpAddr) -> Option<Pass> {
        let from = from.to_canonical();
        let slot = if is_trusted(from, &self.trusted) {
            Ok(None)
        } else {
            self.addresses.take(&address_key(from)).map(Some).ok_or(Crowd::Address)
        };
        let entered = slot.and_then(|slot| {
            let permit = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Crowd::Server)?;
            Ok(Pass::Full(permit, slot))
        });
        entered.map_or_else(|crowd| self.crowd(crowd, from), Some)
    }

    fn crowd(&self, crowd: Crowd, from: IpAddr) -> Option<Pass> {
        if let Some(count) = self.crowded.due() {
            let of = if crowd == Crowd::Address { "one address" } else { "all" };
            tracing::warn!(count, %from, of, "too many connections: those beyond the limit are answered probes alone");
        }
        Probes::enter(&self.probes).map(|place| Pass::Probe(crowd, place))
    }
}

/// The connections that are for probes alone, the oldest first.
#[derive(Debug, Default)]
struct Probes {
    inside: Mutex<VecDeque<Inside>>,
    numbers: AtomicU64,
}

#[derive(Debug)]
struct Inside {
    number: u64,
    /// Set once a request has come, which is answered.
    heard: Arc<AtomicBool>,
    out: CancellationToken,
}

/// The right to one connection for a probe.
#[derive(Debug)]
pub(in crate::http) struct ProbePlace {
    probes: Arc<Probes>,
    number: u64,
    heard: Arc<AtomicBool>,
    out: CancellationToken,
}

impl Probes {
    fn enter(probes: &Arc<Self>) -> Option<ProbePlace> {
        let mut inside = probes.inside();
        if inside.len() >= PROBE_CONNECTIONS {
            let silent = inside.iter().position(|one| !one.heard.load(Ordering::Acquire))?;
            inside.remove(silent)?.out.cancel();
        }
        let number = probes.numbers.fetch_add(1, Ordering::Relaxed);
        let (heard, out) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
        inside.push_back(Inside { number, heard: Arc::clone(&heard), out: out.clone() });
        drop(inside);
        Some(ProbePlace { probes: Arc::clone(probes), number, heard, out })
    }

    fn inside(&self) -> MutexGuard<'_, VecDeque<Inside>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProbePlace {
    /// Set when a request has come.
    pub(in crate::http) fn heard(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.heard)
    }

    /// Waits until the place is wanted by another.
    pub(in crate::http) async fn wanted(&self) {
        self.out.cancelled().await;
    }
}

impl Drop for ProbePlace {
    fn drop(&mut self) {
        self.probes.inside().retain(|one| one.number != self.number);
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
    fn an_address_has_so_many_and_proxies_as_many_as_there_are() {
        let gate = Gate::new(5, ConnectionSlots::new(2), vec!["198.51.100.9/32".parse().unwrap()]);
        let full = |last| matches!(gate.enter(ip(last)), Some(Pass::Full(..)));
        let held: Vec<Pass> = [1, 1, 9, 9].into_iter().map(|last| gate.enter(ip(last)).unwrap()).collect();
        assert!(held.iter().all(|pass| matches!(pass, Pass::Full(..))));
        assert!(matches!(gate.enter(ip(1)), Some(Pass::Probe(Crowd::Address, _))));
        let last = gate.enter(ip(2)).unwrap();
        assert!(matches!(last, Pass::Full(..)));
        assert!(matches!(gate.enter(ip(3)), Some(Pass::Probe(Crowd::Server, _))));
        drop(last);
        assert!(!full(1) && full(3), "what was refused holds no slot");
    }

    #[tokio::test]
    async fn silent_ones_make_room_for_newcomers_and_those_that_are_answered_do_not() {
        let probes = Arc::new(Probes::default());
        let mut places: VecDeque<_> = (0..PROBE_CONNECTIONS).map(|_| Probes::enter(&probes).unwrap()).collect();
        places[0].heard().store(true, Ordering::Release);
        let newcomer = Probes::enter(&probes).unwrap();
        places[1].wanted().await;
        assert!(!places[0].out.is_cancelled() && !places[2].out.is_cancelled());
        places.push_back(newcomer);
        for place in &places {
            place.heard().store(true, Ordering::Release);
        }
        assert!(Probes::enter(&probes).is_none());
        drop(places.pop_front());
        assert!(Probes::enter(&probes).is_some());
    }
}
