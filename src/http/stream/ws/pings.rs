//! Pings between events. The pongs show that a slow client reads, even while its kernel accepts nothing more: a hundred kilobytes and
//! more may lie there unread, and the kernel reports room only in steps of that size.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::http::connection::socket::numbered_ping;

/// The bytes of events between two pings to a slow client, and to every client at first.
pub(super) const MIN_DISTANCE: usize = 16 << 10;
/// The most bytes of events between two pings, for a quick client.
const MAX_DISTANCE: usize = 1 << 20;
/// The least time between two pings to a client that has answered quickly.
const MIN_INTERVAL: Duration = Duration::from_millis(250);
/// A client that answers within this time is quick, and its next pings are further apart.
const QUICK_ANSWER: Duration = Duration::from_secs(1);
/// The most pings that may be unanswered at one time.
const MAX_UNANSWERED: usize = 64;

/// The pings of one session, besides those of its heartbeats.
#[derive(Debug)]
pub(super) struct Pings {
    /// The bytes of events between two pings.
    distance: usize,
    /// The bytes of events since the last ping.
    bytes_since: usize,
    /// The number in the last ping.
    number: u8,
    /// The pings that are not answered, by number, with the time of each.
    unanswered: VecDeque<(u8, Instant)>,
    last_at: Option<Instant>,
}

impl Pings {
    pub(super) fn new() -> Self {
        Self { distance: MIN_DISTANCE, bytes_since: 0, number: 0, unanswered: VecDeque::new(), last_at: None }
    }

    /// The bytes of events to send before the next ping. A client that leaves many pings unanswered is sent no more.
    pub(super) fn bytes_to_next(&self) -> usize {
        if self.unanswered.len() >= MAX_UNANSWERED { MAX_DISTANCE } else { self.distance }
    }

    /// Counts events that were put together for a write. Returns the ping to send behind them, if one is due.
    pub(super) fn after_events(&mut self, bytes: usize, now: Instant) -> Option<Bytes> {
        self.bytes_since += bytes;
        let too_soon = self.distance > MIN_DISTANCE && self.last_at.is_some_and(|last| now < last + MIN_INTERVAL);
        if self.bytes_since < self.distance || too_soon || self.unanswered.len() >= MAX_UNANSWERED {
            return None;
        }
        (self.bytes_since, self.last_at) = (0, Some(now));
        self.number = self.number.wrapping_add(1);
        self.unanswered.push_back((self.number, now));
        Some(numbered_ping(self.number))
    }

    /// Handles a pong with the payload of its ping. It answers earlier pings too, since clients may leave some out.
    pub(super) fn receive_pong(&mut self, payload: &[u8], now: Instant) {
        let [number] = payload else { return };
        let Some(index) = self.unanswered.iter().position(|(unanswered, _)| unanswered == number) else { return };
        let mut sent_at = now;
        for (_, at) in self.unanswered.drain(..=index) {
            sent_at = at;
        }
        self.distance = match now.duration_since(sent_at) {
            quick if quick < QUICK_ANSWER => (self.distance * 2).min(MAX_DISTANCE),
            slow if slow > 2 * QUICK_ANSWER => MIN_DISTANCE,
            _ => self.distance,
        };
        // An idle session gives back the memory of a busy moment.
        if self.unanswered.is_empty() {
            self.unanswered = VecDeque::new();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    #[test]
    fn a_slow_client_is_sent_many_pings_and_a_quick_one_few() {
        let begun = Instant::now();
        let (mut slow, mut quick) = (Pings::new(), Pings::new());
        let mut counts = [0, 0];
        for step in 0..100_u32 {
            let now = begun + step * Duration::from_millis(10);
            for (index, pings) in [&mut slow, &mut quick].into_iter().enumerate() {
                let bytes = pings.bytes_to_next();
                if let Some(ping) = pings.after_events(bytes, now) {
                    counts[index] += 1;
                    if index == 1 {
                        pings.receive_pong(&ping[2..], now + Duration::from_millis(5));
                    }
                }
            }
        }
        assert!(counts[0] == i32::try_from(MAX_UNANSWERED).unwrap() && counts[1] <= 6, "{counts:?}");
        assert_eq!((slow.bytes_to_next(), quick.bytes_to_next()), (MAX_DISTANCE, MIN_DISTANCE << counts[1]));
        // The next answers come late.
        let now = begun + Duration::from_secs(1);
        let ping = quick.after_events(MAX_DISTANCE, now + MIN_INTERVAL).unwrap();
        quick.receive_pong(&ping[2..], now + Duration::from_secs(4));
        assert_eq!(quick.bytes_to_next(), MIN_DISTANCE);
        // A pong that answers no ping changes nothing.
        for payload in [&b""[..], b"12", &[200]] {
            slow.receive_pong(payload, now);
        }
        assert!(slow.after_events(MIN_DISTANCE, now).is_none());
        slow.receive_pong(&[1], now + Duration::from_secs(3));
        assert_eq!(slow.bytes_to_next(), MIN_DISTANCE);
        assert!(slow.after_events(MIN_DISTANCE, now).is_some());
    }
}
