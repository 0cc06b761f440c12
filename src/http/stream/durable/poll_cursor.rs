//! The cursor of live answers, as the protocol counts it: the number of an interval of time. A client sends it back, so that the address
//! of its next request is another one, and a cache between cannot answer with the same old answer for ever.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The beginning of the first interval in Unix time: 9 October 2024, as the protocol has it.
const EPOCH: Duration = Duration::from_secs(1_728_432_000);
/// The length of an interval.
const INTERVAL: Duration = Duration::from_secs(20);
/// The longest step ahead of a client whose cursor is not behind the clock.
const LONGEST_STEP: Duration = Duration::from_secs(3600);

/// The cursor of an answer. It is always greater than that of the client.
pub(super) fn next_cursor(now: SystemTime, of_client: Option<u64>) -> u64 {
    let since = now.duration_since(UNIX_EPOCH + EPOCH).unwrap_or_default();
    let current = since.as_secs() / INTERVAL.as_secs();
    match of_client {
        Some(of_client) if of_client >= current => of_client.saturating_add(step()),
        _ => current,
    }
}

/// A random number of intervals, at least one.
fn step() -> u64 {
    let most = LONGEST_STEP.as_secs() / INTERVAL.as_secs();
    1 + u64::from(getrandom::u32().unwrap_or(0)) % most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_the_number_of_the_interval_and_never_goes_back() {
        let at = |seconds| UNIX_EPOCH + EPOCH + Duration::from_secs(seconds);
        assert_eq!(next_cursor(at(0), None), 0);
        assert_eq!(next_cursor(at(199), None), 9);
        assert_eq!(next_cursor(at(200), Some(3)), 10);
        for of_client in [10, 11, 1 << 40] {
            let next = next_cursor(at(200), Some(of_client));
            assert!(next > of_client && next <= of_client + 180, "{next}");
        }
        assert_eq!(next_cursor(UNIX_EPOCH, None), 0, "a clock before the epoch");
        assert_eq!(next_cursor(at(0), Some(u64::MAX)), u64::MAX);
    }
}
