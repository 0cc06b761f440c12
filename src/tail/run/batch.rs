//! How much the tail reads at once: as much as comes within a moment, so that events are handed out and a shutdown is heard
//! while a slow link delivers a lot.

use std::time::Duration;

use crate::journal::{AveragePayload, Batch, Budget, MAX_ROWS};

/// The bounds between which the payload bytes of one read move.
const MAX_BYTES: i64 = 4 << 20;
const MIN_BYTES: i64 = 128 << 10;
/// A read that took longer than this halves the next one; a read that took less than a quarter of this doubles it.
const SLOW_READ: Duration = Duration::from_millis(500);
/// The budget of the rows that travel with a look. It is small, because rows that are not decided yet are read again.
const LOOK_BUDGET: Budget = Budget { rows: 512, bytes: 256 << 10 };

/// Learns from each read how large the next one may be.
#[derive(Debug)]
pub(super) struct BatchSize {
    bytes: i64,
    average_payload: AveragePayload,
}

impl Default for BatchSize {
    fn default() -> Self {
        Self { bytes: MAX_BYTES, average_payload: AveragePayload::default() }
    }
}

impl BatchSize {
    /// The budget of the rows that travel with a look. Further rows are fetched after the look.
    pub(super) fn look_budget(&self) -> Budget {
        self.average_payload.fit(LOOK_BUDGET)
    }

    /// The budget of a read that follows a look.
    pub(super) fn read_budget(&self) -> Budget {
        self.average_payload.fit(Budget { rows: MAX_ROWS, bytes: self.bytes })
    }

    /// Learns the usual size of an event from the rows that travelled with a look.
    pub(super) fn learn_from_look(&mut self, batch: &Batch) {
        self.average_payload.learn(batch);
    }

    /// Learns from the rows of a read by [`Self::read_budget`], and from the time that it took.
    pub(super) fn learn_from_read(&mut self, batch: &Batch, took: Duration) {
        self.average_payload.learn(batch);
        if took > SLOW_READ {
            self.bytes = (self.bytes / 2).max(MIN_BYTES);
        } else if took < SLOW_READ / 4 {
            self.bytes = (self.bytes * 2).min(MAX_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tail::pages::tests::event;

    fn batch(count: i64, bytes: usize) -> Batch {
        let payload = "x".repeat(bytes);
        let events = (1..=count).map(|seq| crate::journal::StoredEvent { payload: payload.clone(), ..event(seq) });
        Batch { events: events.collect(), reached: count }
    }

    #[test]
    fn a_slow_read_halves_the_next_one_and_quick_ones_double_it_again() {
        let mut size = BatchSize::default();
        assert_eq!(size.read_budget(), Budget { rows: MAX_ROWS, bytes: MAX_BYTES });
        let bytes = |size: &mut BatchSize, took: u64| {
            size.learn_from_read(&Batch::default(), Duration::from_millis(took));
            size.read_budget().bytes
        };
        assert_eq!([800, 800, 300, 100, 100, 100].map(|took| bytes(&mut size, took) >> 20), [2, 1, 1, 2, 4, 4]);
        assert_eq!((0..20).map(|_| bytes(&mut size, 4000)).last(), Some(MIN_BYTES));
    }

    #[test]
    fn rows_are_asked_for_as_they_are_likely_to_fit() {
        let mut size = BatchSize::default();
        assert_eq!(size.look_budget(), LOOK_BUDGET);
        size.learn_from_look(&batch(2, 200 << 10));
        assert_eq!((size.look_budget().rows, size.read_budget().rows), (8, 40));
        // An empty batch changes no budget.
        size.learn_from_look(&Batch::default());
        assert_eq!(size.look_budget().rows, 8);
        size.learn_from_read(&batch(8, 300), Duration::ZERO);
        assert_eq!((size.look_budget().rows, size.read_budget().rows), (512, MAX_ROWS));
    }
}
