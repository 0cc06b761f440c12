//! The wall clock, as a thing that is passed in: what depends on time takes a `Clock`, so that a test can hold it still.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the time of day. Monotonic waits use `tokio::time` instead.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Self {
        Self(Arc::new(SystemTime::now))
    }

    /// A clock that stands still.
    pub fn fixed(at: SystemTime) -> Self {
        Self(Arc::new(move || at))
    }

    /// Seconds since 1970, as tokens count them. A clock before 1970 reads as 0.
    pub fn unix_seconds(&self) -> u64 {
        (self.0)().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// What a wait between two tries is multiplied by: between 0.5 and 1.0, so that nodes that lost the database together do
/// not come back together.
pub fn jitter() -> f64 {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    0.5 + f64::from(random) / f64::from(u32::MAX) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_shortens_a_wait_by_at_most_half() {
        assert!((0..1000).all(|_| (0.5..=1.0).contains(&jitter())));
    }

    #[test]
    fn a_fixed_clock_stands_still_and_before_1970_is_zero() {
        let clock = Clock::fixed(UNIX_EPOCH + Duration::from_secs(7));
        assert_eq!((clock.unix_seconds(), clock.unix_seconds()), (7, 7));
        assert_eq!(Clock::fixed(UNIX_EPOCH - Duration::from_secs(1)).unix_seconds(), 0);
        assert_eq!(format!("{clock:?}"), "Clock");
    }

    #[test]
    fn the_system_clock_is_past_2020() {
        assert!(Clock::system().unix_seconds() > 1_577_836_800);
    }
}
