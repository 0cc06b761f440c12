//! Pings between events. A slow client is seen to read by the pongs that come back, also while its kernel has no room for more:
//! what lies there unread may be a hundred kilobytes and more, and it says that there is room only in steps of that size.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::http::connection::socket::numbered_ping;

/// How many bytes of events lie between two pings at first, and again once a client is slow.
pub(super) const CLOSE: usize = 16 << 10;
/// How many for a client that is quick.
const FAR: usize = 1 << 20;
/// How often a client is asked that has shown that it is quick.
const RARELY: Duration = Duration::from_millis(250);
/// Whoever answers within this time is quick: the next pings are further apart.
const QUICK: Duration = Duration::from_secs(1);
/// How many pings may wait for their answer.
const MOST: usize = 64;

/// The pings of one session, besides those of its heartbeats.
#[derive(Debug)]
pub(super) struct Pings {
    every: usize,
    since: usize,
    number: u8,
    /// Those that are not answered.
    asked: VecDeque<(u8, Instant)>,
    last: Option<Instant>,
}

impl Pings {
    pub(super) fn new() -> Self {
        Self { every: CLOSE, since: 0, number: 0, asked: VecDeque::new(), last: None }
    }

    /// How many bytes of events to send before the next ping. A client that answers none is asked no more.
    pub(super) fn room(&self) -> usize {
        if self.asked.len() >= MOST { FAR } else { self.every }
    }

    /// So many bytes of events were sent: the ping that is to follow them, if one is.
    pub(super) fn after(&mut self, bytes: usize, now: Instant) -> Option<Bytes> {
        self.since += bytes;
        let too_soon = self.every > CLOSE && self.last.is_some_and(|last| now < last + RARELY);
        if self.since < self.every || too_soon || self.asked.len() >= MOST {
            return None;
        }
        (self.since, self.last) = (0, Some(now));
        self.number = self.number.wrapping_add(1);
        self.asked.push_back((self.number, now));
        Some(numbered_ping(self.number))
    }

    /// A pong came, with what stood in its ping. It answers those before it too: clients may leave some out.
    pub(super) fn answered(&mut self, payload: &[u8], now: Instant) {
        let [number] = payload else { return };
        let Some(at) = self.asked.iter().position(|(asked, _)| asked == number) else { return };
        let mut asked = now;
        for (_, at) in self.asked.drain(..=at) {
            asked = at;
        }
        self.every = match now.duration_since(asked) {
            quick if quick < QUICK => (self.every * 2).min(FAR),
            slow if slow > 2 * QUICK => CLOSE,
            _ => self.every,
        };
        // An idle session keeps no room for what a busy moment needed.
        if self.asked.is_empty() {
            self.asked = VecDeque::new();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    #[test]
    fn a_slow_client_is_asked_often_and_a_quick_one_rarely() {
        let begun = Instant::now();
        let (mut slow, mut quick) = (Pings::new(), Pings::new());
        let mut counts = [0, 0];
        for step in 0..100_u32 {
            let now = begun + step * Duration::from_millis(10);
            for (index, pings) in [&mut slow, &mut quick].into_iter().enumerate() {
                let room = pings.room();
                if let Some(ping) = pings.after(room, now) {
                    counts[index] += 1;
                    if index == 1 {
                        pings.answered(&ping[2..], now + Duration::from_millis(5));
                    }
                }
            }
        }
        assert!(counts[0] == i32::try_from(MOST).unwrap() && counts[1] <= 6, "{counts:?}");
        assert_eq!((slow.room(), quick.room()), (FAR, CLOSE << counts[1]));
        // The next answers come late.
        let now = begun + Duration::from_secs(1);
        let ping = quick.after(FAR, now + RARELY).unwrap();
        quick.answered(&ping[2..], now + Duration::from_secs(4));
        assert_eq!(quick.room(), CLOSE);
        // Nonsense changes nothing.
        for payload in [&b""[..], b"12", &[200]] {
            slow.answered(payload, now);
        }
        assert!(slow.after(CLOSE, now).is_none());
        slow.answered(&[1], now + Duration::from_secs(3));
        assert_eq!(slow.room(), CLOSE);
        assert!(slow.after(CLOSE, now).is_some());
    }
}
