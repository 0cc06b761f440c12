//! The quotas that a request uses: those of its address and of its subject, and the headers that tell what is left.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue, RETRY_AFTER};
use ipnet::IpNet;

use crate::config::ServerConfig;
use crate::db::Requester;
use crate::http::connection::gate::Crowd;
use crate::http::request::viewer::{Viewer, requester};
use crate::http::response::problem::Problem;
use crate::limit::{Class, ConnectionSlot, ConnectionSlots, Decision, Headers, Limits, address_key, client_address};
use crate::telemetry::LogThrottle;

pub(in crate::http) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(in crate::http) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The quotas of this server: rates of requests, and slots of connections and of sessions.
#[derive(Debug)]
pub(in crate::http) struct Quotas {
    pub(in crate::http) limits: Limits,
    /// Sessions by subject; those of the public by address.
    pub(in crate::http) session_slots: ConnectionSlots,
    /// Connections by address; requests too, where a proxy brings them.
    pub(in crate::http) addresses: ConnectionSlots,
    pub(in crate::http) trusted_proxies: Vec<IpNet>,
    /// Addresses that send too many tokens of nobody, in the log.
    guesses: LogThrottle,
    refused_sessions: AtomicU64,
}

impl Quotas {
    pub(in crate::http) fn new(config: &ServerConfig, limits: Limits) -> Self {
        Self {
            limits,
            session_slots: ConnectionSlots::new(config.limits.sessions_per_subject),
            addresses: ConnectionSlots::new(config.http.connections_per_address),
            trusted_proxies: config.http.trusted_proxies.clone(),
            guesses: LogThrottle::default(),
            refused_sessions: AtomicU64::new(0),
        }
    }

    /// The number of sessions that were refused because their subject had as many as it may.
    pub(in crate::http) fn refused_sessions(&self) -> u64 {
        self.refused_sessions.load(Ordering::Relaxed)
    }
}

/// The quotas that one request uses. An upgraded connection goes on to count by them.
#[derive(Debug)]
pub(in crate::http) struct RequestQuota {
    quotas: Arc<Quotas>,
    address: String,
    /// A trusted proxy sent the request. Its connection counts for no address then, so the request does.
    forwarded: bool,
    slot: Mutex<Option<ConnectionSlot>>,
    told: Mutex<Option<Headers>>,
}

impl RequestQuota {
    /// A request from this peer: behind a proxy that is trusted, from whom the proxy says.
    pub(in crate::http) fn new(quotas: &Arc<Quotas>, peer: SocketAddr, headers: &HeaderMap) -> Self {
        let fields = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let client = client_address(peer.ip(), fields, &quotas.trusted_proxies);
        let forwarded = client != peer.ip().to_canonical();
        let (quotas, address) = (Arc::clone(quotas), address_key(client));
        Self { quotas, address, forwarded, slot: Mutex::default(), told: Mutex::default() }
    }

    /// Takes a slot of the connections of an address that a proxy speaks for, until the request is over: for a session, with
    /// the session.
    pub(in crate::http) fn enter_address(&self) -> Result<(), Problem> {
        if self.forwarded {
            let slot = self.quotas.addresses.take(&self.address).ok_or(Crowd::Address)?;
            *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(slot);
        }
        Ok(())
    }

    /// Whose share of the database its statements count against, where there is no token.
    pub(in crate::http) fn requester(&self) -> Requester {
        Requester::address(&self.address)
    }

    /// The requester whose share of the database the statements of a viewer count against: its subject, or the address.
    pub(in crate::http) fn requester_of(&self, viewer: &Viewer) -> Requester {
        viewer.identity().map_or_else(|| self.requester(), requester)
    }

    /// Uses the quota of this request's address.
    pub(in crate::http) async fn spend(&self, class: Class) -> Result<(), Problem> {
        self.spend_of(class, &self.address, 1).await
    }

    /// Uses the quota of a subject, or another key. What is left goes into the answer, whatever that is.
    pub(in crate::http) async fn spend_of(&self, class: Class, key: &str, cost: u32) -> Result<(), Problem> {
        let decision = self.quotas.limits.check(class, key, cost).await;
        self.tell(class, &decision)
    }

    /// Uses the quota of a viewer for what stands for a request in a session: the subject's own, or that of the public at
    /// this address.
    pub(in crate::http) async fn spend_by(&self, viewer: &Viewer, cost: u32) -> Result<(), Problem> {
        match viewer.identity() {
            Some(identity) => self.spend_of(Class::Private, identity.subject(), cost).await,
            None => self.spend_of(Class::Public, &self.address, cost).await,
        }
    }

    /// A token from this address was signed by nobody who is known. Such tokens are counted apart from opened streams, at the
    /// same rate; beyond it the answer is 429.
    pub(in crate::http) async fn guessed(&self) -> Result<(), Problem> {
        let decision = self.quotas.limits.check(Class::Connect, &self.refused_key(), 1).await;
        if decision.allowed {
            return Ok(());
        }
        if let Some(count) = self.quotas.guesses.due() {
            tracing::warn!(address = %self.address, count, "an address sends tokens that nobody known has signed");
        }
        self.tell(Class::Connect, &decision)
    }

    fn refused_key(&self) -> String {
        format!("{} refused", self.address)
    }

    /// A slot for one more session: of a subject, or of everybody at this address. Subjects do not begin like that.
    pub(in crate::http) fn enter(&self, subject: Option<&str>) -> Result<ConnectionSlot, Problem> {
        let anonymous = || format!("rowcast:public:{}", self.address);
        let slot = match subject {
            Some(subject) => self.quotas.session_slots.take(subject),
            None => self.quotas.session_slots.take(&anonymous()),
        };
        slot.ok_or_else(|| {
            self.quotas.refused_sessions.fetch_add(1, Ordering::Relaxed);
            Problem::rate_limited("There are too many sessions of this subject already.")
                .with(RETRY_AFTER, HeaderValue::from_static("1"))
        })
    }

    fn tell(&self, class: Class, decision: &Decision) -> Result<(), Problem> {
        let headers = decision.headers(class, self.quotas.limits.rate(class));
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(headers);
        if decision.allowed {
            return Ok(());
        }
        let name = class.name();
        Err(Problem::rate_limited(format!("The rate limit {name} is reached; Retry-After says when to come back."))
            .retry_after(decision.wait()))
    }

    /// Writes what was used into the head of the answer.
    pub(in crate::http) fn write(&self, into: &mut HeaderMap) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Headers { rate_limit, policy, retry_after }) = told else { return };
        let all = [(RATE_LIMIT, Some(rate_limit)), (RATE_LIMIT_POLICY, Some(policy)), (RETRY_AFTER, retry_after)];
        for (name, value) in all {
            // Words, numbers and punctuation of our own.
            if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
                into.insert(name, value);
            }
        }
    }
}
