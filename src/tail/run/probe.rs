//! The probe: a bell of our own that goes round through Postgres, to know whether bells reach this connection.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::SimpleQueryMessage;

use super::super::bell::{BellListener, probe_payload};
use super::super::statements;
use super::super::status::Hearing;
use super::lost::LostConnection;
use crate::db::{Database, DatabaseError, Lane};

/// How often a probe goes round, how soon it must come back, and how soon a deaf connection is tried again.
const PROBE_EVERY: Duration = Duration::from_secs(15);
const PROBE_LIMIT: Duration = Duration::from_secs(2);
/// The number of probes in a row that prove that the session is ours alone. A single probe may come through a pooler by
/// chance, when the pooled connection that once got our LISTEN is lent to us at that moment.
const PROOFS_NEEDED: u32 = 3;

/// The probe that proves that bells reach this connection.
pub(super) struct Probe {
    number: u64,
    state: ProbeState,
    pub(super) hearing: Hearing,
    proofs: u32,
    next: Instant,
}

/// Where the probe is.
enum ProbeState {
    Idle,
    /// A task sends it over a connection of the pool, and says whether there was room. The tail does not wait for that task.
    Sending(JoinHandle<Result<bool, DatabaseError>>),
    Sent(Instant),
}

impl Probe {
    /// A probe that is sent at once.
    pub(super) fn new(now: Instant) -> Self {
        let number = getrandom::u64().unwrap_or(1).max(1);
        Self { number, state: ProbeState::Idle, hearing: Hearing::Unproven, proofs: 0, next: now }
    }

    /// The time until the probe is to be sent, or given up.
    pub(super) fn due_in(&self) -> Duration {
        let now = Instant::now();
        match self.state {
            ProbeState::Idle => self.next.saturating_duration_since(now),
            ProbeState::Sending(_) => PROBE_LIMIT,
            ProbeState::Sent(sent) => (sent + PROBE_LIMIT).saturating_duration_since(now),
        }
    }

    /// Sends the probe when it is due, and updates `hearing` by whether it came back. True at the moment when the session is
    /// first proven to be ours alone.
    pub(super) async fn update(&mut self, bells: &BellListener, database: &Database) -> Result<bool, LostConnection> {
        match std::mem::replace(&mut self.state, ProbeState::Idle) {
            ProbeState::Idle if Instant::now() >= self.next => self.send(database),
            ProbeState::Idle => {}
            _ if bells.has_heard(self.number) => {
                self.proofs += 1;
                if self.proofs < PROOFS_NEEDED {
                    self.next = Instant::now();
                    return Ok(false);
                }
                self.next = Instant::now() + PROBE_EVERY;
                return Ok(std::mem::replace(&mut self.hearing, Hearing::Proven) != Hearing::Proven);
            }
            ProbeState::Sending(sending) if sending.is_finished() => match sending.await {
                Ok(Ok(true)) => self.state = ProbeState::Sent(Instant::now()),
                Ok(Ok(false)) => {
                    self.next = Instant::now() + PROBE_LIMIT;
                    self.queue_is_full();
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the probe could not be sent");
                    self.next = Instant::now() + PROBE_LIMIT;
                }
                Err(_) => self.next = Instant::now() + PROBE_LIMIT,
            },
            ProbeState::Sent(sent) if sent.elapsed() >= PROBE_LIMIT => {
                self.next = Instant::now() + PROBE_LIMIT;
                self.proofs = 0;
                match std::mem::replace(&mut self.hearing, Hearing::Deaf) {
                    // Probes came back before, so the connection is likely half-open: it is replaced.
                    Hearing::Proven => return Err(LostConnection::Closed),
                    Hearing::Unproven => tracing::warn!(
                        "bells do not reach the tail (is a transaction-mode pooler in the way of LISTEN?): polling"
                    ),
                    Hearing::Deaf => {}
                }
            }
            waiting => self.state = waiting,
        }
        Ok(false)
    }

    /// No bell is rung, for anybody, while the queue of notifications is half full.
    fn queue_is_full(&mut self) {
        self.proofs = 0;
        if std::mem::replace(&mut self.hearing, Hearing::Deaf) != Hearing::Deaf {
            tracing::warn!(
                "the queue of notifications is half full (a session listens and stays in a transaction): no bells, polling"
            );
        }
    }

    fn send(&mut self, database: &Database) {
        self.number = self.number.wrapping_add(1).max(1);
        let sql = format!(
            "select pg_catalog.pg_notify('rowcast', '{}') where {}",
            probe_payload(self.number),
            statements::QUEUE_HAS_ROOM
        );
        let database = database.clone();
        self.state = ProbeState::Sending(tokio::spawn(async move {
            let is_row = |message: &SimpleQueryMessage| matches!(message, SimpleQueryMessage::Row(_));
            let sent = database.run(Lane::Housekeeping, async |client| client.simple_query(&sql).await).await??;
            Ok(sent.iter().any(is_row))
        }));
    }
}
