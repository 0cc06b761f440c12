//! The quotas that a request uses: those of its address and of its subject, and the headers with the quota that is left.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue, RETRY_AFTER};
use ipnet::IpNet;

use crate::config::ServerConfig;
use crate::db::Requester;
use crate::http::connection::gate::ExceededLimit;
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
    /// The sessions of each subject, and the public sessions of each address.
    pub(in crate::http) session_slots: ConnectionSlots,
    /// The connections of each address. A request that a trusted proxy forwards counts as a connection.
    pub(in crate::http) addresses: ConnectionSlots,
    pub(in crate::http) trusted_proxies: Vec<IpNet>,
    /// Limits the log lines about addresses that send too many badly signed tokens.
    guesses_log: LogThrottle,
    refused_sessions: AtomicU64,
}

impl Quotas {
    pub(in crate::http) fn new(config: &ServerConfig, limits: Limits) -> Self {
        Self {
            limits,
            session_slots: ConnectionSlots::new(config.limits.sessions_per_subject),
            addresses: ConnectionSlots::new(config.http.connections_per_address),
            trusted_proxies: config.http.trusted_proxies.clone(),
            guesses_log: LogThrottle::default(),
            refused_sessions: AtomicU64::new(0),
        }
    }

    /// The number of sessions that were refused because their subject had as many as it may.
    pub(in crate::http) fn refused_sessions(&self) -> u64 {
        self.refused_sessions.load(Ordering::Relaxed)
    }
}

/// The quotas that one request uses. The session of an upgraded connection goes on to use them.
#[derive(Debug)]
pub(in crate::http) struct RequestQuota {
    quotas: Arc<Quotas>,
    address: String,
    /// True if a trusted proxy forwards the request. Then the request takes a slot of the address, since the connection took none.
    forwarded: bool,
    /// The slot of a forwarded request.
    address_slot: Mutex<Option<ConnectionSlot>>,
    /// The headers of the quota that was used last.
    headers: Mutex<Option<Headers>>,
}

impl RequestQuota {
    /// The quotas of a request from this peer; behind a trusted proxy, those of the client that the proxy names.
    pub(in crate::http) fn new(quotas: &Arc<Quotas>, peer: SocketAddr, headers: &HeaderMap) -> Self {
        let fields = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let client = client_address(peer.ip(), fields, &quotas.trusted_proxies);
        let forwarded = client != peer.ip().to_canonical();
        let (quotas, address) = (Arc::clone(quotas), address_key(client));
        Self { quotas, address, forwarded, address_slot: Mutex::default(), headers: Mutex::default() }
    }

    /// Takes a slot among the connections of the address if the request is forwarded, until the request or its session is over.
    pub(in crate::http) fn take_address_slot(&self) -> Result<(), Problem> {
        if self.forwarded {
            let slot = self.quotas.addresses.take(&self.address).ok_or(ExceededLimit::Address)?;
            *self.address_slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(slot);
        }
        Ok(())
    }

    /// The requester whose share of the database is used by a request without a token: the address.
    pub(in crate::http) fn requester(&self) -> Requester {
        Requester::address(&self.address)
    }

    /// The requester whose share of the database a viewer uses: its subject, or the address.
    pub(in crate::http) fn requester_of(&self, viewer: &Viewer) -> Requester {
        viewer.identity().map_or_else(|| self.requester(), requester)
    }

    /// Uses the quota of this request's address.
    pub(in crate::http) async fn spend(&self, class: Class) -> Result<(), Problem> {
        self.spend_of(class, &self.address, 1).await
    }

    /// Uses the quota of a key, such as a subject. The response tells what is left of it.
    pub(in crate::http) async fn spend_of(&self, class: Class, key: &str, cost: u32) -> Result<(), Problem> {
        let decision = self.quotas.limits.check(class, key, cost).await;
        self.apply(class, &decision)
    }

    /// Uses the quota of a viewer for a message of a session that costs as much as requests: the quota of the subject, or the public
    /// quota of this address.
    pub(in crate::http) async fn spend_of_viewer(&self, viewer: &Viewer, cost: u32) -> Result<(), Problem> {
        match viewer.identity() {
            Some(identity) => self.spend_of(Class::Private, identity.subject(), cost).await,
            None => self.spend_of(Class::Public, &self.address, cost).await,
        }
    }

    /// Counts a token from this address that no known key has signed. Such tokens have the rate of opened streams, but are counted apart
    /// from them. Beyond the rate the answer is 429.
    pub(in crate::http) async fn count_guess(&self) -> Result<(), Problem> {
        let decision = self.quotas.limits.check(Class::Connect, &self.guess_key(), 1).await;
        if decision.allowed {
            return Ok(());
        }
        if let Some(count) = self.quotas.guesses_log.due() {
            tracing::warn!(address = %self.address, count, "an address sends tokens that nobody known has signed");
        }
        self.apply(Class::Connect, &decision)
    }

    fn guess_key(&self) -> String {
        format!("{} refused", self.address)
    }

    /// Takes a slot for one more session: of a subject, or of the public at this address. No subject begins with `rowcast:public:`.
    pub(in crate::http) fn take_session_slot(&self, subject: Option<&str>) -> Result<ConnectionSlot, Problem> {
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

    /// Keeps the headers for the response, and refuses the request if the quota is used up.
    fn apply(&self, class: Class, decision: &Decision) -> Result<(), Problem> {
        let headers = decision.headers(class, self.quotas.limits.rate(class));
        *self.headers.lock().unwrap_or_else(PoisonError::into_inner) = Some(headers);
        if decision.allowed {
            return Ok(());
        }
        let name = class.name();
        Err(Problem::rate_limited(format!("The rate limit {name} is reached; Retry-After says when to come back."))
            .retry_after(decision.wait()))
    }

    /// Writes the headers of the quota that was used last into the head of the response.
    pub(in crate::http) fn write(&self, into: &mut HeaderMap) {
        let headers = self.headers.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Headers { rate_limit, policy, retry_after }) = headers else { return };
        let all = [(RATE_LIMIT, Some(rate_limit)), (RATE_LIMIT_POLICY, Some(policy)), (RETRY_AFTER, retry_after)];
        for (name, value) in all {
            // The values are made here of words, numbers and punctuation, so they are valid.
            if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
                into.insert(name, value);
            }
        }
    }
}
