//! What one node knows: a bounded table of debts for each class.
//!
//! It decides alone where there is no Redis, and otherwise is told what Redis has answered, so that it can go on from there.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::decision::{Class, Decision};
use super::gcra::{Quota, Taken, micros};
use crate::config::Rate;

/// How many keys of one class are held at most: some 4 MB. Beyond it, those go that owe least.
pub(super) const MOST_KEYS: usize = 65_536;
/// A key is in the shard of its first byte; each has a lock of its own.
const SHARDS: usize = 16;
const SHARD_KEYS: usize = MOST_KEYS / SHARDS;
/// A full shard loses this part at once, so that the search for them is rare.
const SWEPT: usize = SHARD_KEYS / 8;

/// A key as it is kept, here and in Redis: of one length, and without the text it was made of. The rate is part of it: a
/// debt under another rate means something else.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Digest([u8; 16]);

impl Digest {
    pub(super) fn of(class: Class, rate: Rate, key: &str) -> Self {
        let named = format!("{}\0{}\0{}\0{key}", class.name(), rate.count, rate.per.as_secs());
        let whole = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, named.as_bytes());
        let mut half = [0; 16];
        half.copy_from_slice(&whole.as_ref()[..16]);
        Self(half)
    }

    /// Its name in Redis.
    pub(super) fn redis_key(&self, class: Class) -> String {
        let mut name = format!("rowcast:limit:{}:", class.name());
        for byte in self.0 {
            // Writing to a String cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        name
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest")
    }
}

/// What is known of one key.
#[derive(Debug, Clone, Copy)]
struct Entry {
    debt: u64,
    /// When the debt was that, in microseconds since the table was made.
    at: u64,
    /// The connection to Redis that has told this debt; 0 if none: then Redis may not know it.
    told_by: u64,
}

/// The debts of one class.
pub(super) struct Table {
    quota: Quota,
    born: Instant,
    shards: [Mutex<Shard>; SHARDS],
}

type Shard = HashMap<Digest, Entry>;

impl Table {
    pub(super) fn new(quota: Quota) -> Self {
        Self { quota, born: Instant::now(), shards: Default::default() }
    }

    pub(super) fn quota(&self) -> Quota {
        self.quota
    }

    /// Decides here.
    pub(super) fn take(&self, key: &Digest, cost: u32) -> Decision {
        let (mut shard, now) = (self.shard(key), self.now());
        let taken = self.quota.take(self.debt(&shard, key, now), cost);
        // What was refused has changed nothing.
        if taken.allowed {
            self.put(&mut shard, key, Entry { debt: taken.debt, at: now, told_by: 0 });
        }
        self.quota.decide(taken, cost)
    }

    /// What this connection to Redis was not told yet: what was taken here while it was away, or what a Redis that has
    /// lost its memory once knew.
    pub(super) fn untold(&self, key: &Digest, connection: u64) -> u64 {
        let (shard, now) = (self.shard(key), self.now());
        match shard.get(key) {
            Some(entry) if entry.told_by != connection => self.aged(entry, now),
            _ => 0,
        }
    }

    /// Notes what Redis has answered over a connection; 0 if that is lost meanwhile. Answers may overtake each other, so the
    /// larger debt is kept. Where requests were counted here while Redis was asked, its answer does not include them, so the price of
    /// this request is added to the debt that is known here.
    pub(super) fn learn(&self, key: &Digest, taken: Taken, cost: u32, connection: u64) {
        let (mut shard, now) = (self.shard(key), self.now());
        let own = self.debt(&shard, key, now);
        let mixed = taken.allowed && shard.get(key).is_some_and(|entry| entry.told_by == 0);
        let added = if mixed { self.quota.price(cost) } else { 0 };
        let debt = taken.debt.max(own.saturating_add(added)).min(self.quota.most());
        self.put(&mut shard, key, Entry { debt, at: now, told_by: connection });
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Puts an entry, and keeps the shard within its bounds.
    fn put(&self, shard: &mut Shard, key: &Digest, entry: Entry) {
        if entry.debt == 0 {
            // Who owes nothing need not be known.
            shard.remove(key);
            return;
        }
        if shard.len() >= SHARD_KEYS && !shard.contains_key(key) {
            self.sweep(shard, entry.at);
        }
        shard.insert(*key, entry);
    }

    /// Forgets those who owe nothing any more; where that is not enough, those whose debt is paid back soonest. So the many
    /// that a flood brings, which owe one request each, cannot make the table forget somebody who has used all.
    fn sweep(&self, shard: &mut Shard, now: u64) {
        shard.retain(|_, entry| self.aged(entry, now) > 0);
        let mut too_many = (shard.len() + SWEPT).saturating_sub(SHARD_KEYS);
        if too_many == 0 {
            return;
        }
        let paid_at = |entry: &Entry| entry.at.saturating_add(self.quota.paid_in(entry.debt));
        let mut moments: Vec<u64> = shard.values().map(paid_at).collect();
        let (_, bound, _) = moments.select_nth_unstable(too_many - 1);
        let bound = *bound;
        shard.retain(|_, entry| {
            let goes = too_many > 0 && paid_at(entry) <= bound;
            too_many -= usize::from(goes);
            !goes
        });
    }

    fn debt(&self, shard: &Shard, key: &Digest, now: u64) -> u64 {
        shard.get(key).map_or(0, |entry| self.aged(entry, now))
    }

    fn aged(&self, entry: &Entry, now: u64) -> u64 {
        self.quota.after(entry.debt, now.saturating_sub(entry.at))
    }

    fn now(&self) -> u64 {
        micros(self.born.elapsed())
    }

    fn shard(&self, key: &Digest) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(key.0[0]) % SHARDS])
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("quota", &self.quota).field("keys", &self.len()).finish_non_exhaustive()
    }
}

/// A panic elsewhere leaves a shard as it was between two changes.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RATE: Rate = Rate { count: 60, per: Duration::from_secs(60) };

    fn digest(key: &str) -> Digest {
        Digest::of(Class::Public, RATE, key)
    }

    #[test]
    fn a_key_says_nothing_of_what_it_was_made_of() {
        let name = digest("hunter2").redis_key(Class::Public);
        assert_eq!(name.len(), "rowcast:limit:public:".len() + 32);
        assert!(!name.contains("hunter2") && !format!("{:?}", digest("hunter2")).contains("hunter2"));
        assert_ne!(digest("a"), digest("b"));
        assert_ne!(digest("a"), Digest::of(Class::Connect, RATE, "a"));
        assert_ne!(digest("a"), Digest::of(Class::Public, Rate { count: 61, ..RATE }, "a"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_redis_was_not_told_is_what_another_connection_or_memory_knew() {
        let (table, key) = (Table::new(Quota::new(RATE)), digest("a"));
        let one = table.quota().price(1);
        assert_eq!(table.untold(&key, 1), 0);
        assert!(table.take(&key, 1).allowed);
        assert_eq!(table.untold(&key, 1), one);
        let answer = |debt| Taken { allowed: true, debt: one * debt };
        table.learn(&key, answer(3), 1, 1);
        assert_eq!((table.untold(&key, 1), table.untold(&key, 2)), (0, one * 3));
        // An answer that comes late does not lessen a debt.
        table.learn(&key, answer(2), 1, 1);
        assert_eq!(table.untold(&key, 2), one * 3);
        // One that comes after something was taken here does not know of it.
        assert!(table.take(&key, 1).allowed);
        table.learn(&key, answer(4), 1, 0);
        assert_eq!(table.untold(&key, 2), one * 5);
        table.learn(&key, Taken { allowed: false, debt: one * 4 }, 1, 2);
        assert_eq!((table.untold(&key, 2), table.untold(&key, 3)), (0, one * 5));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(table.untold(&key, 3), 0);
        table.learn(&key, Taken { allowed: true, debt: 0 }, 0, 3);
        assert_eq!(table.len(), 0);
    }
}
