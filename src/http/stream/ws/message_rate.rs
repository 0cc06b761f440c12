//! How fast a client of a session is heard. Whatever it sends costs the server something (a ping is answered), so beyond
//! a rate reading pauses: the rest waits in the kernel, and then with the client.

use std::time::Duration;

use tokio::time::Instant;

/// How many messages and control frames may come at once.
const BURST: u32 = 100;
/// How long one of them takes to be forgotten: 20 a second.
const EACH: Duration = Duration::from_millis(50);

/// The messages that a client has sent lately.
#[derive(Debug, Clone, Copy)]
pub(super) struct MessageRate {
    /// The time at which all of them are forgotten.
    forgotten: Instant,
}

impl MessageRate {
    pub(super) fn new(now: Instant) -> Self {
        Self { forgotten: now }
    }

    /// Counts a message.
    pub(super) fn count(&mut self, now: Instant) {
        self.forgotten = self.forgotten.max(now) + EACH;
    }

    /// The time from which the client is read again; none if it is read now.
    pub(super) fn next(self, now: Instant) -> Option<Instant> {
        let next = self.forgotten.checked_sub(EACH * (BURST - 1))?;
        (next > now).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_heard_at_once_and_then_twenty_a_second() {
        let mut rate = MessageRate::new(Instant::now());
        tokio::time::advance(Duration::from_secs(60)).await;
        let now = Instant::now();
        for _ in 0..BURST {
            assert_eq!(rate.next(now), None);
            rate.count(now);
        }
        assert_eq!(rate.next(now), Some(now + EACH));
        assert_eq!(rate.next(now + EACH), None);
        rate.count(now + EACH);
        assert_eq!(rate.next(now + EACH), Some(now + 2 * EACH));
    }
}
