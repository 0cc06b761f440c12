//! The probe: a bell of our own that goes round through Postgres, to know whether bells reach this connection.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::super::bell::{BellListener, probe_payload};
use super::super::status::Hearing;
use super::lost::Lost;
use crate::db::{Database, DatabaseError, Lane};

/// How often a probe goes round, how soon it must come back, and how soon a deaf connection is tried again.
const PROBE_EVERY: Duration = Duration::from_secs(15);
const PROBE_LIMIT: Duration = Duration::from_secs(2);
/// So many probes in a row prove that the session is ours: one alone may come through a pooler by chance, when the pooled
/// connection that once got our LISTEN happens to be lent to us at that moment.
const PROOFS: u32 = 3;

/// The probe that proves that bells reach this connection.
pub(super) struct Probe {
    number: u64,
    errand: Errand,
    pub(super) hearing: Hearing,
    in_a_row: u32,
    next: Instant,
}

/// Where it is.
enum Errand {
    None,
    /// It waits for a connection of the pool, which may take a while when requests want them all: the tail goes on meanwhile.
    Sending(JoinHandle<Result<(), DatabaseError>>),
    Sent(Instant),
}

impl Probe {
    /// To be sent at once.
    pub(super) fn new(now: Instant) -> Self {
        let number = getrandom::u64().unwrap_or(1).max(1);
        Self { number, errand: Errand::None, hearing: Hearing::Unproven, in_a_row: 0, next: now }
    }

    /// The time until the probe is to be sent, or given up.
    pub(super) fn due_in(&self) -> Duration {
        let now = Instant::now();
        match self.errand {
            Errand::None => self.next.saturating_duration_since(now),
            Errand::Sending(_) => PROBE_LIMIT,
            Errand::Sent(sent) => (sent + PROBE_LIMIT).saturating_duration_since(now),
        }
    }

    /// Sends the probe when it is due, and draws its conclusion from what comes back. True when the last proof has come that nobody
    /// stands between the tail and the server.
    pub(super) async fn follow(&mut self, bells: &BellListener, database: &Database) -> Result<bool, Lost> {
        match std::mem::replace(&mut self.errand, Errand::None) {
            Errand::None if Instant::now() >= self.next => self.send(database),
            Errand::None => {}
            _ if bells.has_heard(self.number) => {
                self.in_a_row += 1;
                if self.in_a_row < PROOFS {
                    self.next = Instant::now();
                    return Ok(false);
                }
                self.next = Instant::now() + PROBE_EVERY;
                return Ok(std::mem::replace(&mut self.hearing, Hearing::Proven) != Hearing::Proven);
            }
            Errand::Sending(sending) if sending.is_finished() => match sending.await {
                Ok(Ok(())) => self.errand = Errand::Sent(Instant::now()),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the probe could not be sent");
                    self.next = Instant::now() + PROBE_LIMIT;
                }
                Err(_) => self.next = Instant::now() + PROBE_LIMIT,
            },
            Errand::Sent(sent) if sent.elapsed() >= PROBE_LIMIT => {
                self.next = Instant::now() + PROBE_LIMIT;
                self.in_a_row = 0;
                match std::mem::replace(&mut self.hearing, Hearing::Deaf) {
                    // It was not deaf before: a half-open connection, best replaced.
                    Hearing::Proven => return Err(Lost::Closed),
                    Hearing::Unproven => tracing::warn!(
                        "bells do not reach the tail (is a transaction-mode pooler in the way of LISTEN?): polling"
                    ),
                    Hearing::Deaf => {}
                }
            }
            waiting => self.errand = waiting,
        }
        Ok(false)
    }

    fn send(&mut self, database: &Database) {
        self.number = self.number.wrapping_add(1).max(1);
        let sql = format!("select pg_catalog.pg_notify('rowcast', '{}')", probe_payload(self.number));
        let database = database.clone();
        self.errand = Errand::Sending(tokio::spawn(async move {
            database.run(Lane::Housekeeping, async |client| client.simple_query(&sql).await.map(drop)).await??;
            Ok(())
        }));
    }
}
