//! A decision as a client sees it: the fields of draft-ietf-httpapi-ratelimit-headers.

use std::time::Duration;

use super::decision::{Class, Decision};
use crate::config::Rate;

/// The values of header fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// `RateLimit`: the requests that are left (`r`) and a time in seconds (`t`). After an allowed request `t` is the time until
    /// the whole quota is back; after a refused one it is `Retry-After`, as the draft demands.
    pub rate_limit: String,
    /// `RateLimit-Policy`: the quota (`q`) and its window in seconds (`w`).
    pub policy: String,
    /// `Retry-After`, for a refused request: whole seconds, rounded up, at least one.
    pub retry_after: Option<String>,
}

impl Decision {
    /// The time for which the client should stay away, in whole seconds, at least one.
    pub fn wait(&self) -> Duration {
        Duration::from_secs(seconds(self.retry_after).max(1))
    }

    /// This decision as header fields.
    pub fn headers(&self, class: Class, rate: Rate) -> Headers {
        let name = class.name();
        let wait = self.wait().as_secs();
        let time = if self.allowed { seconds(self.reset) } else { wait };
        Headers {
            rate_limit: format!("\"{name}\";r={};t={time}", self.remaining),
            policy: format!("\"{name}\";q={};w={}", rate.count, seconds(rate.per)),
            retry_after: (!self.allowed).then(|| wait.to_string()),
        }
    }
}

/// Whole seconds, rounded up, so that a client which waits that long has waited long enough.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { count: 1200, per: Duration::from_secs(60) };

    #[test]
    fn what_passes_is_told_what_is_left() {
        let (reset, retry_after) = (Duration::from_millis(2050), Duration::ZERO);
        let decision = Decision { allowed: true, limit: 1200, remaining: 1159, reset, retry_after };
        let headers = decision.headers(Class::Private, RATE);
        assert_eq!(headers.rate_limit, "\"private\";r=1159;t=3");
        assert_eq!(headers.policy, "\"private\";q=1200;w=60");
        assert_eq!(headers.retry_after, None);
    }

    #[test]
    fn what_is_refused_is_told_when_to_come_back() {
        let reset = Duration::from_secs(60);
        for (micros, said) in [(1, "1"), (1_000_000, "1"), (1_000_001, "2"), (0, "1")] {
            let retry_after = Duration::from_micros(micros);
            let decision = Decision { allowed: false, limit: 1200, remaining: 0, reset, retry_after };
            let headers = decision.headers(Class::Append, RATE);
            assert_eq!(headers.retry_after.as_deref(), Some(said));
            assert_eq!(headers.rate_limit, format!("\"append\";r=0;t={said}"));
        }
    }
}
