//! How fast a client of a session is heard. Whatever it sends costs the server something (a ping is answered), so beyond
//! a rate reading pauses: the rest waits in the kernel, and then with the client.

use std::time::Duration;

use tokio::time::Instant;

/// How many messages and control frames may come at once.
const BURST: u32 = 100;
/// How long one of them takes to be forgotten: 20 a second.
const EACH: Duration = Duration::from_millis(50);

/// What a client has said lately.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hearing {
    /// When all that it said is forgotten.
    forgotten: Instant,
}

impl Hearing {
    pub(super) fn new(now: Instant) -> Self {
        Self { forgotten: now }
    }

    /// Something was heard.
    pub(super) fn count(&mut self, now: Instant) {
        self.forgotten = self.forgotten.max(now) + EACH;
    }

    /// When the client is listened to again; none if it is now.
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
        let mut hearing = Hearing::new(Instant::now());
        tokio::time::advance(Duration::from_secs(60)).await;
        let now = Instant::now();
        for _ in 0..BURST {
            assert_eq!(hearing.next(now), None);
            hearing.count(now);
        }
        assert_eq!(hearing.next(now), Some(now + EACH));
        assert_eq!(hearing.next(now + EACH), None);
        hearing.count(now + EACH);
        assert_eq!(hearing.next(now + EACH), Some(now + 2 * EACH));
    }
}
