//! The counters that handlers raise. `/metrics` shows them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::telemetry::Histogram;

/// Counters of answers, connections and sessions.
#[derive(Debug, Default)]
pub(in crate::http) struct HttpCounters {
    /// Answers by the first digit of their status.
    pub(in crate::http) answers: [AtomicU64; 6],
    /// The times from the head of a request to the head of its answer, except for probes.
    pub(in crate::http) request_times: Histogram,
    pub(in crate::http) accepted: AtomicU64,
    pub(in crate::http) turned_away: AtomicU64,
    pub(in crate::http) events: AtomicU64,
    pub(in crate::http) begun: AtomicU64,
    /// The sessions that have ended, by the index of their close code in [`CLOSE_CODES`].
    pub(in crate::http) ended: [AtomicU64; CLOSE_CODES.len()],
}

/// The close codes of sessions. Any other code is counted as the last one.
pub(in crate::http) const CLOSE_CODES: [u16; 13] =
    [1000, 1006, 1009, 1012, 4400, 4401, 4403, 4408, 4409, 4410, 4411, 4429, 1011];

impl HttpCounters {
    pub(in crate::http) fn request_took(&self, time: Duration) {
        self.request_times.observe(time);
    }

    pub(in crate::http) fn answered(&self, status: u16) {
        if let Some(class) = self.answers.get(usize::from(status / 100)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(in crate::http) fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// Events that were given to sessions to be written.
    pub(in crate::http) fn events_sent(&self, count: usize) {
        self.events.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(in crate::http) fn session_begun(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::http) fn session_ended(&self, code: u16) {
        let at = CLOSE_CODES.iter().position(|known| *known == code).unwrap_or(CLOSE_CODES.len() - 1);
        if let Some(ended) = self.ended.get(at) {
            ended.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(in crate::http) fn turned_away(&self) {
        self.turned_away.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::CLOSE_CODES;
    use crate::http::response::refusals::REFUSALS;

    #[test]
    fn every_close_code_is_counted_by_itself() {
        for close in REFUSALS.iter().filter_map(|refusal| refusal.close) {
            assert!(CLOSE_CODES.contains(&close), "{close} is not among the codes by which sessions are counted");
        }
    }
}
