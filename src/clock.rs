//! The wall clock as a value: code that depends on the time of day takes a [`Clock`], so that a test can fix it.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

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

    /// The time of day.
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }

    /// A clock that asks this function.
    pub fn reading(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
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

/// Counts the time in which this process was able to run. While the process is stopped or starved, nobody can reach it, so that
/// time must not count as silence of a client.
#[derive(Debug, Clone)]
pub struct Awake {
    nanos: Arc<AtomicU64>,
    step: Duration,
}

impl Awake {
    /// A clock that [`Self::keep`] moves on about every `step`.
    pub fn new(step: Duration) -> Self {
        Self { nanos: Arc::default(), step }
    }

    /// The time counted so far, exact to a step.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    /// The interval at which the clock moves.
    pub fn step(&self) -> Duration {
        self.step
    }

    /// Moves the clock on. A tick that comes late counts as two steps at most: nobody knows what happened between.
    pub async fn keep(&self) -> Infallible {
        let mut last = Instant::now();
        loop {
            tokio::time::sleep(self.step).await;
            let now = Instant::now();
            let counted = (now - last).min(2 * self.step);
            self.nanos.fetch_add(u64::try_from(counted.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
            last = now;
        }
    }
}

/// A random factor for the wait between two tries, between 0.5 and 1.0: nodes that lost the database together must not all come
/// back at once.
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

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nothing_ran_does_not_count() {
        let awake = Awake::new(Duration::from_millis(100));
        let kept = awake.clone();
        tokio::spawn(async move { kept.keep().await });
        tokio::time::sleep(Duration::from_secs(2)).await;
        let before = awake.elapsed();
        assert!(before > Duration::from_millis(1_800) && before <= Duration::from_secs(2), "{before:?}");
        tokio::time::advance(Duration::from_secs(3600)).await;
        tokio::task::yield_now().await;
        let frozen = awake.elapsed() - before;
        assert!(frozen <= 2 * awake.step(), "{frozen:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(awake.elapsed() - before > Duration::from_millis(800));
    }

    #[test]
    fn the_system_clock_is_past_2020() {
        assert!(Clock::system().unix_seconds() > 1_577_836_800);
    }
}
