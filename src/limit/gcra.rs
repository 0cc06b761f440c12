//! The arithmetic of a quota, the same in memory and in Redis: GCRA as a leaky bucket, in whole numbers.
//!
//! The used part of a quota is a debt, and the whole quota is the most that it can be. One request costs one period of
//! debt, and each microsecond pays back as much as the quota has requests; so no division rounds anything, whatever the
//! rate. The largest rate, a million an hour, makes a debt of 3.6e15, which a double of Lua still holds exactly, twice over.

use std::time::Duration;

use super::decision::Decision;
use crate::config::Rate;

/// A number of requests in a period, which may come all at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quota {
    /// The number of requests.
    pub(super) count: u32,
    /// The period, in microseconds.
    pub(super) period: u64,
}

/// The result of asking for a part of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) allowed: bool,
    /// The debt afterwards.
    pub(super) debt: u64,
}

impl Quota {
    pub(super) fn new(rate: Rate) -> Self {
        Self { count: rate.count, period: micros(rate.per) }
    }

    /// The debt when all is used.
    pub(super) fn most(self) -> u64 {
        u64::from(self.count).saturating_mul(self.period)
    }

    /// The debt that a cost makes: never more than the whole quota.
    pub(super) fn price(self, cost: u32) -> u64 {
        u64::from(cost.min(self.count)).saturating_mul(self.period)
    }

    /// The rest of a debt after `elapsed` microseconds.
    pub(super) fn debt_after(self, debt: u64, elapsed: u64) -> u64 {
        debt.saturating_sub(elapsed.saturating_mul(u64::from(self.count)))
    }

    /// The microseconds after which a debt is paid back, rounded up.
    pub(super) fn paid_in(self, debt: u64) -> u64 {
        debt.div_ceil(u64::from(self.count).max(1))
    }

    /// Adds a cost to a debt, if the quota allows it.
    pub(super) fn take(self, debt: u64, cost: u32) -> Taken {
        let wanted = debt.saturating_add(self.price(cost));
        let allowed = wanted <= self.most();
        Taken { allowed, debt: if allowed { wanted } else { debt } }
    }

    /// The decision for this result, with the numbers that a client is told.
    pub(super) fn decision(self, taken: Taken, cost: u32) -> Decision {
        let left = self.most().saturating_sub(taken.debt);
        let missing = self.price(cost).saturating_sub(left);
        Decision {
            allowed: taken.allowed,
            limit: self.count,
            remaining: u32::try_from(left / self.period.max(1)).unwrap_or(self.count),
            reset: Duration::from_micros(self.paid_in(taken.debt)),
            retry_after: Duration::from_micros(if taken.allowed { 0 } else { self.paid_in(missing) }),
        }
    }
}

/// Whole microseconds.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_rates_fit_and_nothing_is_rounded_away() {
        let quota = |count, seconds| Quota::new(Rate { count, per: Duration::from_secs(seconds) });
        // A script adds a price to a debt, and both may be the whole.
        assert!(quota(1_000_000, 3600).most() * 2 < 1 << 53);
        for (count, seconds) in [(7, 1), (999_999, 1), (1_000_000, 1), (7, 3600), (999_983, 3600)] {
            let quota = quota(count, seconds);
            let mut debt = 0;
            for _ in 0..count {
                let taken = quota.take(debt, 1);
                assert!(taken.allowed);
                debt = taken.debt;
            }
            assert!(!quota.take(debt, 1).allowed);
            assert_eq!(quota.debt_after(debt, quota.period), 0);
            assert!(quota.debt_after(debt, quota.period - 1) > 0);
        }
    }
}
