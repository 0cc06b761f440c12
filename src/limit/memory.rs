//! The quotas as one node counts them in its own memory: for each class a bounded table of debts. A debt is the used part of a quota
//! (see `gcra.rs`). A key names whose quota it is: a client address or a subject.
//!
//! Without Redis these tables decide. With Redis they decide only while Redis is lost, and are emptied when it is back.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::decision::{Class, Decision};
use super::gcra::{Quota, micros};
use crate::config::Rate;

/// The most keys that the table of one class holds, which takes some 4 MB. Beyond that, the keys with the least debt are forgotten.
pub(super) const MOST_KEYS: usize = 65_536;
/// The number of shards, each with a lock of its own. The first byte of a digest says in which shard its key is.
const SHARDS: usize = 16;
const SHARD_KEYS: usize = MOST_KEYS / SHARDS;
/// The number of keys that a full shard forgets at once, so that the search for them is rare.
const KEYS_PER_SWEEP: usize = SHARD_KEYS / 8;

/// The hash under which a key is kept, here and in Redis. All hashes have one length, and none reveals the address or subject. The rate
/// is hashed too, so that a changed rate begins with new debts.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct KeyDigest([u8; 16]);

impl KeyDigest {
    pub(super) fn of(class: Class, rate: Rate, key: &str) -> Self {
        let text = format!("{}\0{}\0{}\0{key}", class.name(), rate.count, rate.per.as_secs());
        let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&sha256.as_ref()[..16]);
        Self(bytes)
    }

    /// The name of the key in Redis.
    pub(super) fn name_in_redis(&self, class: Class) -> String {
        let mut name = format!("rowcast:limit:{}:", class.name());
        for byte in self.0 {
            // Writing to a String cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        name
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest")
    }
}

/// The debt of one key.
#[derive(Debug, Clone, Copy)]
struct Entry {
    debt: u64,
    /// The moment at which the key had this debt, in microseconds since the table was created.
    at: u64,
}

/// The debts of one class.
pub(super) struct DebtTable {
    quota: Quota,
    created: Instant,
    shards: [Mutex<Shard>; SHARDS],
}

type Shard = HashMap<KeyDigest, Entry>;

impl DebtTable {
    pub(super) fn new(quota: Quota) -> Self {
        Self { quota, created: Instant::now(), shards: Default::default() }
    }

    pub(super) fn quota(&self) -> Quota {
        self.quota
    }

    /// Takes `cost` from the quota of a key, or refuses if less is left.
    pub(super) fn take(&self, key: &KeyDigest, cost: u32) -> Decision {
        let (mut shard, now) = (self.shard(key), self.now());
        let debt = shard.get(key).map_or(0, |entry| self.debt_at(entry, now));
        let taken = self.quota.take(debt, cost);
        // A refusal changes nothing, and a key without a debt needs no entry.
        if taken.allowed && taken.debt > 0 {
            if shard.len() >= SHARD_KEYS && !shard.contains_key(key) {
                self.sweep(&mut shard, now);
            }
            shard.insert(*key, Entry { debt: taken.debt, at: now });
        }
        self.quota.decision(taken, cost)
    }

    /// Forgets all debts.
    pub(super) fn clear(&self) {
        self.shards.iter().for_each(|shard| *lock(shard) = Shard::default());
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Forgets the keys that owe nothing any more. If those are too few, it also forgets the keys whose debt is paid back soonest. So the
    /// many keys of a flood, which owe one request each, cannot make the table forget a key that has used its whole quota.
    fn sweep(&self, shard: &mut Shard, now: u64) {
        shard.retain(|_, entry| self.debt_at(entry, now) > 0);
        let mut too_many = (shard.len() + KEYS_PER_SWEEP).saturating_sub(SHARD_KEYS);
        if too_many == 0 {
            return;
        }
        let paid_at = |entry: &Entry| entry.at.saturating_add(self.quota.paid_in(entry.debt));
        let mut paid_moments: Vec<u64> = shard.values().map(paid_at).collect();
        let (_, last_to_forget, _) = paid_moments.select_nth_unstable(too_many - 1);
        let last_to_forget = *last_to_forget;
        shard.retain(|_, entry| {
            let is_forgotten = too_many > 0 && paid_at(entry) <= last_to_forget;
            too_many -= usize::from(is_forgotten);
            !is_forgotten
        });
    }

    fn debt_at(&self, entry: &Entry, now: u64) -> u64 {
        self.quota.debt_after(entry.debt, now.saturating_sub(entry.at))
    }

    fn now(&self) -> u64 {
        micros(self.created.elapsed())
    }

    fn shard(&self, key: &KeyDigest) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(key.0[0]) % SHARDS])
    }
}

impl fmt::Debug for DebtTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebtTable").field("quota", &self.quota).field("keys", &self.len()).finish_non_exhaustive()
    }
}

/// Locks a shard. A poisoned lock is taken too: a panic leaves a shard consistent, since each change is one insert or retain.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RATE: Rate = Rate { count: 60, per: Duration::from_secs(60) };

    fn digest(key: &str) -> KeyDigest {
        KeyDigest::of(Class::Public, RATE, key)
    }

    #[test]
    fn a_key_says_nothing_of_what_it_was_made_of() {
        let name = digest("hunter2").name_in_redis(Class::Public);
        assert_eq!(name.len(), "rowcast:limit:public:".len() + 32);
        assert!(!name.contains("hunter2") && !format!("{:?}", digest("hunter2")).contains("hunter2"));
        assert_ne!(digest("a"), digest("b"));
        assert_ne!(digest("a"), KeyDigest::of(Class::Connect, RATE, "a"));
        assert_ne!(digest("a"), KeyDigest::of(Class::Public, Rate { count: 61, ..RATE }, "a"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_without_a_debt_has_no_entry_and_a_cleared_table_none_at_all() {
        let table = DebtTable::new(Quota::new(RATE));
        assert!(table.take(&digest("a"), 0).allowed);
        assert_eq!(table.len(), 0);
        assert!(table.take(&digest("a"), 60).allowed && !table.take(&digest("a"), 1).allowed);
        assert_eq!(table.len(), 1);
        table.clear();
        assert_eq!(table.len(), 0);
        assert!(table.take(&digest("a"), 60).allowed);
    }
}
