//! Limits log lines that anybody outside can cause to one a second, which says how many occasions it stands for.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The shortest time between two lines.
const INTERVAL: Duration = Duration::from_secs(1);

/// Limits one kind of log line to one a second.
#[derive(Debug, Default)]
pub struct LogThrottle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    held_back: u64,
}

impl LogThrottle {
    /// Counts an occasion. If a line is due, returns the number of occasions since the last line, this one included.
    pub fn due(&self) -> Option<u64> {
        self.due_at(Instant::now())
    }

    fn due_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.held_back += 1;
        if state.last.is_some_and(|last| now.saturating_duration_since(last) < INTERVAL) {
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_second_stands_for_all_that_happened_meanwhile() {
        let (throttle, begun) = (LogThrottle::default(), Instant::now());
        assert_eq!(throttle.due_at(begun), Some(1));
        assert_eq!(throttle.due_at(begun + INTERVAL / 2), None);
        assert_eq!(throttle.due_at(begun + INTERVAL / 2), None);
        assert_eq!(throttle.due_at(begun + INTERVAL), Some(3));
        assert_eq!(throttle.due_at(begun + 3 * INTERVAL), Some(1));
    }
}
