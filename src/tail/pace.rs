//! Decides when the tail looks again and when it hushes the bell. As in network drivers, each row rings while there are few, and
//! the tail polls while there are many. Pure. Nothing that must be true depends on it: that stands in `duty`.

use std::time::Duration;

/// The longest time between two polls. It finds what was written with the bell off, and bells that a fault swallowed.
pub(super) const IDLE_POLL: Duration = Duration::from_secs(1);
/// The shortest rest between two polls while the bell is hushed.
const BUSY_MIN: Duration = Duration::from_millis(3);
/// The longest rest between two polls while the bell is hushed.
const BUSY_MAX: Duration = Duration::from_millis(20);
/// The time between two polls on a connection that bells do not reach.
pub(super) const DEAF_POLL: Duration = Duration::from_millis(50);
/// The first and the longest wait while a fence is closed. The wait doubles in between.
const CLOSED_MIN: Duration = Duration::from_millis(1);
const CLOSED_MAX: Duration = Duration::from_millis(25);
/// A bell that comes sooner than this after a poll is a quick bell.
const BUSY_GAP: Duration = Duration::from_millis(5);
/// The number of quick bells in a row after which the bell is hushed.
const BUSY_BELLS: u32 = 4;
/// The number of polls in a row without a new seq after which the bell may ring again.
const QUIET_POLLS: u32 = 20;
/// The time before the next attempt to hush, after another node was found to hush.
const HUSH_RETRY: Duration = Duration::from_secs(1);

/// The recent bells and polls, from which the pace follows.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    quick_bells: u32,
    quiet_polls: u32,
    closed_wait: Duration,
    hush_not_before: Duration,
    last_turn: Duration,
}

impl Pace {
    /// Notes a bell, and how long after the last poll it came.
    pub(super) fn note_bell(&mut self, after_poll: Duration) {
        self.quick_bells = if after_poll < BUSY_GAP { self.quick_bells + 1 } else { 0 };
    }

    /// Notes the end of a poll: whether the sequence had moved, and whether the head has moved.
    pub(super) fn note_poll(&mut self, sequence_moved: bool, head_moved: bool) {
        self.quiet_polls = if sequence_moved { 0 } else { self.quiet_polls + 1 };
        self.closed_wait = if head_moved { CLOSED_MIN } else { (self.closed_wait * 2).clamp(CLOSED_MIN, CLOSED_MAX) };
    }

    /// Notes how long a turn took, from its first statement to its last answer.
    pub(super) fn note_turn(&mut self, took: Duration) {
        self.last_turn = took;
    }

    /// How long to rest while the bell is hushed: as long as the last turn took. On an idle server a turn is short, and so is the
    /// rest. On a busy one the turn is long, and the rest leaves the time to writers.
    pub(super) fn busy_rest(&self) -> Duration {
        self.last_turn.clamp(BUSY_MIN, BUSY_MAX)
    }

    /// Whether bells come faster than polls would.
    pub(super) fn wants_hush(&self, now: Duration) -> bool {
        self.quick_bells >= BUSY_BELLS && now >= self.hush_not_before
    }

    /// Notes that another node hushes the bell.
    pub(super) fn note_refused_hush(&mut self, now: Duration) {
        self.quick_bells = 0;
        self.hush_not_before = now + HUSH_RETRY;
    }

    /// Notes that this node has hushed the bell.
    pub(super) fn note_hush(&mut self) {
        (self.quick_bells, self.quiet_polls) = (0, 0);
    }

    /// Whether it has been quiet for long enough to let the bell ring again.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet_polls >= QUIET_POLLS
    }

    /// How long to wait while a fence is closed.
    pub(super) fn closed_wait(&self) -> Duration {
        self.closed_wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn only_a_run_of_quick_bells_is_hushed() {
        let mut pace = Pace::default();
        for _ in 0..100 {
            pace.note_bell(6 * MS);
        }
        assert!(!pace.wants_hush(Duration::ZERO));
        for _ in 0..3 {
            pace.note_bell(MS);
        }
        assert!(!pace.wants_hush(Duration::ZERO));
        pace.note_bell(MS);
        assert!(pace.wants_hush(Duration::ZERO));
        pace.note_bell(6 * MS);
        assert!(!pace.wants_hush(Duration::ZERO), "one slow bell ends the run");
    }

    #[test]
    fn a_refused_hush_is_tried_again_later() {
        let mut pace = Pace::default();
        pace.note_refused_hush(MS);
        for _ in 0..10 {
            pace.note_bell(MS);
        }
        assert!(!pace.wants_hush(900 * MS));
        assert!(pace.wants_hush(1001 * MS));
    }

    #[test]
    fn the_bell_rings_again_after_a_run_of_quiet_polls() {
        let mut pace = Pace::default();
        pace.note_hush();
        for _ in 0..19 {
            pace.note_poll(false, false);
        }
        assert!(!pace.is_quiet());
        pace.note_poll(true, true);
        for _ in 0..20 {
            assert!(!pace.is_quiet());
            pace.note_poll(false, false);
        }
        assert!(pace.is_quiet());
    }

    #[test]
    fn a_busy_tail_rests_as_long_as_its_turns_take() {
        let mut pace = Pace::default();
        let rests = [Duration::ZERO, MS, 4 * MS, 20 * MS, 21 * MS, Duration::MAX].map(|took| {
            pace.note_turn(took);
            pace.busy_rest()
        });
        assert_eq!(rests, [3 * MS, 3 * MS, 4 * MS, 20 * MS, 20 * MS, 20 * MS]);
    }

    #[test]
    fn a_closed_fence_is_looked_at_less_often_the_longer_it_stays_closed() {
        let mut pace = Pace::default();
        pace.note_poll(true, true);
        let mut waits = vec![pace.closed_wait()];
        for _ in 0..6 {
            pace.note_poll(false, false);
            waits.push(pace.closed_wait());
        }
        assert_eq!(waits, [MS, 2 * MS, 4 * MS, 8 * MS, 16 * MS, 25 * MS, 25 * MS]);
    }
}
