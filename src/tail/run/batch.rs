//! How much the tail reads at once: as much as comes within a moment, so that events are handed out and a shutdown is heard
//! while a slow link delivers a lot.

use std::time::Duration;

use crate::journal::{Batch, Budget, MAX_ROWS, Typical};

/// The most bytes of payloads of one read, and how few it may come to.
const MOST: i64 = 4 << 20;
const LEAST: i64 = 128 << 10;
/// A read that took longer halves the next one; one that took less than a quarter of it doubles it.
const SLOW: Duration = Duration::from_millis(500);
/// What travels with a look is read again if it is not decided yet, so it is little.
const FIRST: Budget = Budget { rows: 512, bytes: 256 << 10 };

/// Learns from each read how large the next one may be.
#[derive(Debug)]
pub(super) struct BatchSize {
    bytes: i64,
    typical: Typical,
}

impl Default for BatchSize {
    fn default() -> Self {
        Self { bytes: MOST, typical: Typical::default() }
    }
}

impl BatchSize {
    /// For the rows that travel with a look; more are fetched after it.
    pub(super) fn first(&self) -> Budget {
        self.typical.fit(FIRST)
    }

    /// For a read that has nothing else to wait for.
    pub(super) fn next(&self) -> Budget {
        self.typical.fit(Budget { rows: MAX_ROWS, bytes: self.bytes })
    }

    /// Takes notice of the rows that travelled with a look.
    pub(super) fn looked(&mut self, batch: &Batch) {
        self.typical.learn(batch);
    }

    /// Takes notice of a read by [`Self::next`] and how long it took.
    pub(super) fn read(&mut self, batch: &Batch, took: Duration) {
        self.typical.learn(batch);
        if took > SLOW {
            self.bytes = (self.bytes / 2).max(LEAST);
        } else if took < SLOW / 4 {
            self.bytes = (self.bytes * 2).min(MOST);
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
        assert_eq!(size.next(), Budget { rows: MAX_ROWS, bytes: MOST });
        let bytes = |size: &mut BatchSize, took: u64| {
            size.read(&Batch::default(), Duration::from_millis(took));
            size.next().bytes
        };
        assert_eq!([800, 800, 300, 100, 100, 100].map(|took| bytes(&mut size, took) >> 20), [2, 1, 1, 2, 4, 4]);
        assert_eq!((0..20).map(|_| bytes(&mut size, 4000)).last(), Some(LEAST));
    }

    #[test]
    fn rows_are_asked_for_as_they_are_likely_to_fit() {
        let mut size = BatchSize::default();
        assert_eq!(size.first(), FIRST);
        size.looked(&batch(2, 200 << 10));
        assert_eq!((size.first().rows, size.next().rows), (8, 40));
        // Nothing new is nothing learnt.
        size.looked(&Batch::default());
        assert_eq!(size.first().rows, 8);
        size.read(&batch(8, 300), Duration::ZERO);
        assert_eq!((size.first().rows, size.next().rows), (512, MAX_ROWS));
    }
}
