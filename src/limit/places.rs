//! How many sessions one subject may have at once, so that one token cannot take all of a node's places.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The sessions of each subject on this node. Cloning gives another handle to the same count. It holds one entry for each
/// subject that has a session now, and so never more than there are sessions.
#[derive(Debug, Clone)]
pub struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    taken: Mutex<HashMap<Arc<str>, usize>>,
}

/// The right to one session, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    of: Places,
    subject: Arc<str>,
}

impl Places {
    /// So many for each subject.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Inner { most, taken: Mutex::default() }))
    }

    /// A place for one more session of this subject, unless it has as many as it may.
    pub fn enter(&self, subject: &str) -> Option<Place> {
        let mut taken = self.taken();
        // The text is kept once for each subject.
        let known = taken.get_key_value(subject).map(|(name, count)| (Arc::clone(name), *count));
        let (name, count) = known.unwrap_or_else(|| (Arc::from(subject), 0));
        if count >= self.0.most {
            return None;
        }
        taken.insert(Arc::clone(&name), count + 1);
        drop(taken);
        Some(Place { of: self.clone(), subject: name })
    }

    /// How many sessions a subject has.
    pub fn count(&self, subject: &str) -> usize {
        self.taken().get(subject).copied().unwrap_or(0)
    }

    /// How many subjects have a session.
    pub fn subjects(&self) -> usize {
        self.taken().len()
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.of.taken();
        match taken.get_mut(&self.subject) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                taken.remove(&self.subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_so_many_places_and_gets_them_back() {
        let places = Places::new(2);
        let first = places.enter("a");
        let second = places.enter("a");
        assert!(first.is_some() && second.is_some() && places.enter("a").is_none());
        assert!(places.enter("b").is_some(), "others have places of their own");
        assert_eq!((places.count("a"), places.count("b"), places.subjects()), (2, 0, 1));
        drop(first);
        let third = places.enter("a");
        assert!(third.is_some() && places.enter("a").is_none());
        drop((second, third));
        assert_eq!((places.count("a"), places.subjects()), (0, 0));
    }

    #[test]
    fn many_at_once_never_get_more_than_there_are() {
        let places = Places::new(10);
        let hold = |places: &Places| (0..100).filter_map(|_| places.enter("a")).collect::<Vec<_>>();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let places = places.clone();
                scope.spawn(move || {
                    for _ in 0..200 {
                        assert!(hold(&places).len() <= 10);
                    }
                });
            }
        });
        assert_eq!(places.subjects(), 0);
    }
}
