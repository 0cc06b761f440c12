//! The sessions or connections that one subject or address may have at once, so that one alone cannot take all of a node's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The connection slots of each subject or address on this node. Cloning gives another handle to the same slots. There is one
/// entry for each key that has a slot now, and so never more than there are connections.
#[derive(Debug, Clone)]
pub struct ConnectionSlots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The most slots of one key.
    most: usize,
    taken: Mutex<HashMap<Arc<str>, usize>>,
}

/// The right to one session or connection, given back when it is dropped.
#[derive(Debug)]
pub struct ConnectionSlot {
    slots: ConnectionSlots,
    key: Arc<str>,
}

impl ConnectionSlots {
    /// Gives each subject or address at most `most` slots.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Inner { most, taken: Mutex::default() }))
    }

    /// Takes a slot of this subject or address, unless all of them are taken.
    pub fn take(&self, key: &str) -> Option<ConnectionSlot> {
        let mut taken = self.taken();
        // The text is kept once for each key.
        let known = taken.get_key_value(key).map(|(name, count)| (Arc::clone(name), *count));
        let (name, count) = known.unwrap_or_else(|| (Arc::from(key), 0));
        if count >= self.0.most {
            return None;
        }
        taken.insert(Arc::clone(&name), count + 1);
        drop(taken);
        Some(ConnectionSlot { slots: self.clone(), key: name })
    }

    /// The number of slots that a subject or address has taken.
    pub fn count(&self, key: &str) -> usize {
        self.taken().get(key).copied().unwrap_or(0)
    }

    /// The number of subjects or addresses that have taken a slot.
    pub fn keys(&self) -> usize {
        self.taken().len()
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken();
        match taken.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                taken.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_so_many_slots_and_gets_them_back() {
        let slots = ConnectionSlots::new(2);
        let first = slots.take("a");
        let second = slots.take("a");
        assert!(first.is_some() && second.is_some() && slots.take("a").is_none());
        assert!(slots.take("b").is_some(), "others have slots of their own");
        assert_eq!((slots.count("a"), slots.count("b"), slots.keys()), (2, 0, 1));
        drop(first);
        let third = slots.take("a");
        assert!(third.is_some() && slots.take("a").is_none());
        drop((second, third));
        assert_eq!((slots.count("a"), slots.keys()), (0, 0));
    }

    #[test]
    fn many_at_once_never_get_more_than_there_are() {
        let slots = ConnectionSlots::new(10);
        let hold = |slots: &ConnectionSlots| (0..100).filter_map(|_| slots.take("a")).collect::<Vec<_>>();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let slots = slots.clone();
                scope.spawn(move || {
                    for _ in 0..200 {
                        assert!(hold(&slots).len() <= 10);
                    }
                });
            }
        });
        assert_eq!(slots.keys(), 0);
    }
}
