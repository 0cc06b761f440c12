//! Rate limits in memory: the arithmetic against a table made by hand and a reference, and the bounds of memory.

use std::time::Duration;

use rowcast::limit::{Class, Decision};
use tokio::time::{Instant, advance};

use super::{MILLI, in_memory};

#[tokio::test(start_paused = true)]
async fn a_quota_is_had_at_once_and_comes_back_one_by_one() {
    // 4 in a second: one comes back every 250 ms. By hand: when, how many are asked for, whether they pass, how many are
    // left, in how many ms all are back, and in how many the same would pass.
    let table: &[(u64, u32, bool, u32, u64, u64)] = &[
        (0, 1, true, 3, 250, 0),
        (0, 1, true, 2, 500, 0),
        (0, 1, true, 1, 750, 0),
        (0, 1, true, 0, 1000, 0),
        (0, 1, false, 0, 1000, 250),
        (100, 1, false, 0, 900, 150),
        (249, 1, false, 0, 751, 1),
        (250, 1, true, 0, 1000, 0),
        (250, 2, false, 0, 1000, 500),
        (1000, 3, true, 0, 1000, 0),
        (1300, 0, true, 1, 700, 0),
        (1300, 2, false, 1, 700, 200),
        (1300, 1, true, 0, 950, 0),
        (2250, 4, true, 0, 1000, 0),
        // More than the whole is the whole.
        (3249, 9, false, 3, 1, 1),
        (3250, 9, true, 0, 1000, 0),
        (9999, 1, true, 3, 250, 0),
    ];
    let limits = in_memory("public=4/s");
    let begun = Instant::now();
    for &(at, cost, allowed, remaining, reset, retry) in table {
        advance(MILLI * u32::try_from(at).unwrap() - begun.elapsed()).await;
        let millis = |n: u64| Duration::from_millis(n);
        let expected = Decision { allowed, limit: 4, remaining, reset: millis(reset), retry_after: millis(retry) };
        assert_eq!(limits.check(Class::Public, "a", cost).await, expected, "at {at} ms, {cost}");
    }
    let status = limits.status();
    assert_eq!((status.configured, status.shared, status.lost_total), (false, false, 0));
    assert_eq!((status.denied(Class::Public), status.denied), (6, [6, 0, 0, 0, 0, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn keys_and_classes_do_not_share() {
    let limits = in_memory("public=1/m,private=1/m");
    assert!(limits.check(Class::Public, "a", 1).await.allowed);
    assert!(limits.check(Class::Public, "b", 1).await.allowed);
    assert!(limits.check(Class::Private, "a", 1).await.allowed);
    assert!(!limits.check(Class::Public, "a", 1).await.allowed);
    assert_eq!(limits.rate(Class::Public).count, 1);
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// GCRA as its definition has it: by the theoretical arrival time, here in fractions of a microsecond, `1/count` each.
struct ReferenceQuota {
    count: u128,
    period: u128,
    arrival: u128,
}

impl ReferenceQuota {
    fn ask(&mut self, now: u128, cost: u128) -> bool {
        let now = now * self.count;
        let next = self.arrival.max(now) + cost.min(self.count) * self.period;
        let allowed = next - now <= self.count * self.period;
        if allowed {
            self.arrival = next;
        }
        allowed
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_is_asked_the_answer_is_that_of_the_reference() {
    let mut dice = Dice(0x5eed);
    for round in 0..60 {
        let (count, unit, seconds) =
            [(1 + dice.roll(9), "s", 1), (1 + dice.roll(1000), "m", 60), (1 + dice.roll(999_999), "h", 3600)]
                [usize::try_from(dice.roll(3)).unwrap()];
        let limits = in_memory(&format!("append={count}/{unit}"));
        let period = seconds * 1_000_000;
        let mut reference = ReferenceQuota { count: count.into(), period, arrival: 0 };
        let begun = Instant::now();
        let mut passed_of = [0; 2];
        for step in 0..400 {
            let cost = if dice.roll(4) == 0 { dice.roll(count * 2) } else { 1 };
            let now = begun.elapsed().as_micros();
            let decision = limits.check(Class::Append, "a", u32::try_from(cost).unwrap()).await;
            let expected = reference.ask(now, cost.into());
            let what = format!("round {round}, step {step}: {cost} of {count}/{unit} at {now}");
            assert_eq!(decision.allowed, expected, "{what}");
            passed_of[usize::from(expected)] += 1;
            if !expected {
                // Not a microsecond too early, and none too late.
                let wait = u128::from(u64::try_from(decision.retry_after.as_micros()).unwrap());
                let mut later = ReferenceQuota { ..reference };
                assert!(!later.ask(now + wait - 1, cost.into()) && later.ask(now + wait, cost.into()), "{what}");
            }
            let most = u64::try_from(period).unwrap() * 3 / count;
            advance(Duration::from_micros(dice.roll(most.max(2)))).await;
        }
        assert!(passed_of[1] > 0, "{passed_of:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_million_keys_do_not_fill_the_memory_nor_free_who_is_exhausted() {
    let limits = in_memory("public=100/m");
    assert!(limits.check(Class::Public, "attacker", 100).await.allowed);
    for key in 0..1_000_000_u32 {
        limits.check(Class::Public, &format!("2001:db8:{key:x}::/64"), 1).await;
        if key % 10_000 == 0 {
            advance(MILLI).await;
            assert!(!limits.check(Class::Public, "attacker", 1).await.allowed, "after {key} others");
        }
    }
    let held = limits.keys_in_memory();
    assert!((10_000..=65_536).contains(&held), "{held}");
    // Who is whole again goes first.
    advance(Duration::from_secs(61)).await;
    for key in 0..100_000_u32 {
        limits.check(Class::Public, &format!("other {key}"), 1).await;
    }
    assert!(limits.keys_in_memory() <= 65_536);
}
