//! The rate at which the messages of a client are read. Each message costs the server something (a ping is answered), so beyond the
//! rate reading pauses, and further messages wait in the kernel and then with the client.

use std::time::Duration;

use tokio::time::Instant;

/// The number of messages and control frames that are read without a pause.
const BURST: u32 = 100;
/// One message counts for this long, so 20 are read in a second.
const TIME_PER_MESSAGE: Duration = Duration::from_millis(50);

/// The rate of the messages of one client.
#[derive(Debug, Clone, Copy)]
pub(super) struct MessageRate {
    /// The time from which none of the messages so far count any more.
    idle_at: Instant,
}

impl MessageRate {
    pub(super) fn new(now: Instant) -> Self {
        Self { idle_at: now }
    }

    /// Counts a message.
    pub(super) fn count(&mut self, now: Instant) {
        self.idle_at = self.idle_at.max(now) + TIME_PER_MESSAGE;
    }

    /// The time from which the client may be read again; none if it may be read now.
    pub(super) fn next_read_at(self, now: Instant) -> Option<Instant> {
        let next = self.idle_at.checked_sub(TIME_PER_MESSAGE * (BURST - 1))?;
        (next > now).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_read_at_once_and_then_twenty_messages_a_second() {
        let mut rate = MessageRate::new(Instant::now());
        tokio::time::advance(Duration::from_secs(60)).await;
        let now = Instant::now();
        for _ in 0..BURST {
            assert_eq!(rate.next_read_at(now), None);
            rate.count(now);
        }
        assert_eq!(rate.next_read_at(now), Some(now + TIME_PER_MESSAGE));
        assert_eq!(rate.next_read_at(now + TIME_PER_MESSAGE), None);
        rate.count(now + TIME_PER_MESSAGE);
        assert_eq!(rate.next_read_at(now + TIME_PER_MESSAGE), Some(now + 2 * TIME_PER_MESSAGE));
    }
}
