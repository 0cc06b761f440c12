//! The wait before the next try: twice as long each time, never all clients at the same moment.

use std::time::Duration;

use crate::clock::jitter;

/// The first wait lies between this and its double.
pub(super) const MIN_WAIT: Duration = Duration::from_millis(100);
/// The longest wait, unless the server asks for a longer one.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(10);

/// The waits between tries.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// The next wait.
    pub(super) fn wait(&mut self) -> Duration {
        // Jitter takes up to half away, so the first wait is at least the least.
        let wait = MIN_WAIT.saturating_mul(2_u32.saturating_pow(self.tries.saturating_add(1))).min(MAX_WAIT);
        self.tries = self.tries.saturating_add(1);
        wait.mul_f64(jitter())
    }

    /// Begins anew with the shortest wait, after a connection that worked.
    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_begin_anew_after_a_reset() {
        let mut backoff = Backoff::default();
        for tenths in [2, 4, 8, 16, 32, 64, 100, 100] {
            let (wait, whole) = (backoff.wait(), Duration::from_millis(100 * tenths));
            assert!(wait >= whole / 2 && wait <= whole, "{wait:?} of {whole:?}");
        }
        backoff.tries = u32::MAX;
        assert!(backoff.wait() <= MAX_WAIT);
        backoff.reset();
        assert!(backoff.wait() <= MIN_WAIT * 2);
    }
}
