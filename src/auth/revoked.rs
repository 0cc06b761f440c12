//! The revoked subjects, as this node knows them, and the open sessions that a revocation ends.
//!
//! A session registers under its subject, and a revocation wakes the sessions of that subject and no others. Sessions do not
//! poll, and a revocation costs nothing for the sessions of other subjects.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::Identity;

/// The revoked subjects of a node. Cloning gives another handle to the same ones.
#[derive(Debug, Clone, Default)]
pub struct RevokedSubjects(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Subjects, and the second (since 1970) through which their tokens are refused.
    refused_through: RwLock<HashMap<Box<str>, i64>>,
    registrations: Mutex<Registrations>,
    /// For each subject the latest `iat` of its tokens that were accepted while that lay ahead of this node's clock.
    ahead: Mutex<HashMap<Box<str>, i64>>,
    next_number: AtomicU64,
    /// The number of lists that were read.
    reads: watch::Sender<u64>,
    closed: AtomicU64,
    hurry: Notify,
}

/// The most subjects that are remembered for an `iat` ahead of the clock. They are forgotten once the clock has passed it, which
/// takes a minute at most.
const MOST_AHEAD: usize = 65_536;

/// The registered sessions of each subject, by a number.
type Registrations = HashMap<Arc<str>, HashMap<u64, Arc<Registration>>>;

/// A registered session or waiting request.
#[derive(Debug)]
struct Registration {
    issued_at: u64,
    is_revoked: AtomicBool,
    wake: Notify,
}

/// The registration of one session or waiting request under its subject, until it is dropped. A revocation of the subject wakes it.
#[derive(Debug)]
pub struct Presence {
    of: RevokedSubjects,
    subject: Arc<str>,
    number: u64,
    registration: Arc<Registration>,
}

impl RevokedSubjects {
    /// True if this identity is revoked: its subject is on the list, and its token was issued no later than the second of the
    /// revocation. A token issued within that second is refused too, since `iat` has no fractions.
    pub fn contains(&self, identity: &Identity) -> bool {
        self.refuses(identity.subject(), identity.issued_at())
    }

    fn refuses(&self, subject: &str, issued_at: u64) -> bool {
        let list = self.0.refused_through.read().unwrap_or_else(PoisonError::into_inner);
        list.get(subject).is_some_and(|second| i64::try_from(issued_at).is_ok_and(|issued| issued <= *second))
    }

    /// Registers a session or a waiting request; `None` if its subject is revoked already.
    pub fn enter(&self, identity: &Identity) -> Option<Presence> {
        let registration = Arc::new(Registration {
            issued_at: identity.issued_at(),
            is_revoked: AtomicBool::new(false),
            wake: Notify::new(),
        });
        let number = self.0.next_number.fetch_add(1, Ordering::Relaxed);
        let subject = Arc::clone(identity.subject());
        self.registrations().entry(Arc::clone(&subject)).or_default().insert(number, Arc::clone(&registration));
        let presence = Presence { of: self.clone(), subject, number, registration };
        // After the registration: a revocation that comes between the two finds the session registered.
        (!self.contains(identity)).then_some(presence)
    }

    /// Notes that a token was accepted. If its `iat` lies ahead of the clock, it is remembered, so that a later revocation covers it.
    pub fn note_accepted(&self, identity: &Identity, now: u64) {
        if identity.issued_at() <= now {
            return;
        }
        let second = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
        let mut ahead = self.0.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if ahead.len() >= MOST_AHEAD {
            ahead.retain(|_, issued| *issued > second(now));
        }
        if ahead.len() < MOST_AHEAD {
            let latest = ahead.entry(Box::from(&**identity.subject())).or_default();
            *latest = (*latest).max(second(identity.issued_at()));
        }
    }

    /// Moves each new revocation of a list to the latest `iat` that was accepted for its subject. Returns the moved ones, which
    /// the caller must write to the database, for the other nodes and for a restart.
    fn move_behind_early_tokens(&self, list: &mut HashMap<Box<str>, i64>) -> Vec<(Box<str>, i64)> {
        let known = self.0.refused_through.read().unwrap_or_else(PoisonError::into_inner);
        let ahead = self.0.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let mut moved = Vec::new();
        for (subject, latest) in ahead.iter() {
            if let Some(second) = list.get_mut(subject)
                && known.get(subject) != Some(second)
                && *second < *latest
            {
                *second = *latest;
                moved.push((subject.clone(), *latest));
            }
        }
        moved
    }

    /// Takes a new list, and ends the sessions of its subjects. Returns how many sessions those were, and the subjects whose
    /// tokens are refused through a later second than the list says.
    pub(super) fn replace(&self, mut list: HashMap<Box<str>, i64>) -> (usize, Vec<(Box<str>, i64)>) {
        let moved = self.move_behind_early_tokens(&mut list);
        *self.0.refused_through.write().unwrap_or_else(PoisonError::into_inner) = list;
        let mut ended = 0;
        for (subject, registrations) in self.registrations().iter() {
            for registration in
                registrations.values().filter(|registration| self.refuses(subject, registration.issued_at))
            {
                if !registration.is_revoked.swap(true, Ordering::AcqRel) {
                    registration.wake.notify_one();
                    ended += 1;
                }
            }
        }
        self.0.closed.fetch_add(u64::try_from(ended).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.0.reads.send_modify(|reads| *reads += 1);
        (ended, moved)
    }

    /// Waits until a first list was read: before that nobody can be accepted. Returns false if it was not read within the limit.
    pub async fn wait_until_known(&self, limit: Duration) -> bool {
        if *self.0.reads.borrow() > 0 {
            return true;
        }
        let mut reads = self.0.reads.subscribe();
        tokio::time::timeout(limit, reads.wait_for(|reads| *reads > 0)).await.is_ok_and(|known| known.is_ok())
    }

    /// Has the list read at once, after a revocation on this node, and waits for that, but no longer than the limit.
    pub async fn hurry(&self, subject: &str, second: i64, limit: Duration) {
        let mut reads = self.0.reads.subscribe();
        self.0.hurry.notify_one();
        let refuses = |_: &u64| {
            let list = self.0.refused_through.read().unwrap_or_else(PoisonError::into_inner);
            list.get(subject).is_some_and(|known| *known >= second)
        };
        // Beyond the limit the revocation is known a little later, as on every other node.
        let _in_time = tokio::time::timeout(limit, reads.wait_for(refuses)).await;
    }

    pub(super) async fn hurried(&self) {
        self.0.hurry.notified().await;
    }

    /// The number of subjects on the list.
    pub fn len(&self) -> usize {
        self.0.refused_through.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// True if no subject is on the list.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of sessions and waiting requests that a revocation has ended.
    pub fn closed_total(&self) -> u64 {
        self.0.closed.load(Ordering::Relaxed)
    }

    fn registrations(&self) -> MutexGuard<'_, Registrations> {
        self.0.registrations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Presence {
    /// Waits until the subject is revoked. Can be dropped and called again.
    pub async fn revoked(&self) {
        while !self.is_revoked() {
            self.registration.wake.notified().await;
        }
    }

    /// True if the subject is revoked.
    pub fn is_revoked(&self) -> bool {
        self.registration.is_revoked.load(Ordering::Acquire)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut all = self.of.registrations();
        if let Some(registrations) = all.get_mut(&self.subject) {
            registrations.remove(&self.number);
            if registrations.is_empty() {
                all.remove(&self.subject);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::auth::Role;

    fn who(subject: &str, issued_at: u64) -> Identity {
        Identity::new(subject, Role::Viewer, issued_at, u64::MAX)
    }

    #[test]
    fn tokens_through_the_second_of_the_revocation_are_out_and_later_ones_are_not() {
        let revoked = RevokedSubjects::default();
        revoked.replace(HashMap::from([("a".into(), 100)]));
        assert!(revoked.contains(&who("a", 99)) && revoked.contains(&who("a", 100)));
        assert!(!revoked.contains(&who("a", 101)) && !revoked.contains(&who("b", 1)));
        assert!(revoked.enter(&who("a", 100)).is_none() && revoked.registrations().is_empty());
        assert!(!revoked.contains(&who("a", u64::MAX)));
    }

    #[test]
    fn a_token_from_ahead_of_the_clock_is_out_when_it_was_let_in_before_the_revocation() {
        let revoked = RevokedSubjects::default();
        revoked.note_accepted(&who("a", 150), 100);
        revoked.note_accepted(&who("a", 140), 100);
        revoked.note_accepted(&who("b", 100), 100);
        let session = revoked.enter(&who("a", 150)).unwrap();
        let list = HashMap::from([("a".into(), 101), ("b".into(), 99)]);
        assert_eq!(revoked.replace(list.clone()), (1, vec![("a".into(), 150)]));
        assert!(session.is_revoked() && revoked.contains(&who("a", 150)) && !revoked.contains(&who("b", 100)));
        // One that is first seen after the revocation was issued after it, as far as anybody can tell.
        assert!(!revoked.contains(&who("a", 151)));
        revoked.note_accepted(&who("a", 155), 110);
        let written = HashMap::from([("a".into(), 150), ("b".into(), 99)]);
        assert_eq!(revoked.replace(written), (0, vec![]));
        assert!(!revoked.contains(&who("a", 155)));
    }

    #[test]
    fn only_those_on_the_list_are_woken_and_all_are_forgotten_when_they_go() {
        let revoked = RevokedSubjects::default();
        let [old, new, other] = [who("a", 5), who("a", 50), who("b", 5)].map(|who| revoked.enter(&who).unwrap());
        assert_eq!(revoked.replace(HashMap::from([("a".into(), 10)])).0, 1);
        assert!(old.revoked().now_or_never().is_some() && old.revoked().now_or_never().is_some());
        assert!(new.revoked().now_or_never().is_none() && other.revoked().now_or_never().is_none());
        assert_eq!((revoked.replace(HashMap::from([("a".into(), 10)])).0, revoked.closed_total()), (0, 1));
        drop((old, new, other));
        assert!(revoked.registrations().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_let_in_before_the_first_list() {
        let revoked = RevokedSubjects::default();
        assert!(!revoked.wait_until_known(Duration::from_secs(5)).await);
        revoked.replace(HashMap::new());
        assert!(revoked.wait_until_known(Duration::from_secs(5)).await && revoked.is_empty());
    }
}
