//! The fence: up to which seq everything is decided, from what the lock table says. Pure; the statements are elsewhere.
//!
//! A writer holds a lock, that of the view `rowcast.writers`, from before its first `nextval` until after its commit is visible.
//! So of two looks, first at the sequence (`M`) and then at the lock table (`L`), the second sees everyone who may
//! still own a seq up to `M`. As soon as none of them holds the lock any more, every seq up to `M` is visible or dead
//! for good. Nobody is asked to wait for anything.

use std::collections::{BTreeSet, VecDeque};

/// A transaction, as the lock table names it. Never a process: a prepared transaction has none.
pub(super) type Holder = String;

/// The fences that are still closed, and how far the stream is decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Fences {
    decided: i64,
    closed: VecDeque<Fence>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Fence {
    upto: i64,
    holders: BTreeSet<Holder>,
}

impl Fences {
    /// No fence is closed, and everything up to `decided` is known to be decided.
    pub(super) fn new(decided: i64) -> Self {
        Self { decided, closed: VecDeque::new() }
    }

    /// Takes a fence from a look: `upto` was the sequence's last value, and *then* `holders` held the lock. Returns the seq up to which
    /// everything is decided. What a snapshot taken after this look shows up to that seq is final.
    ///
    /// Each fence has fewer holders than the next: its own have been taken from the holders of some earlier look, and
    /// only those that are left count. One with the same holders as the next opens no earlier, and is dropped. So
    /// there are never more fences than transactions that write.
    pub(super) fn take_fence(&mut self, upto: i64, holders: BTreeSet<Holder>) -> i64 {
        for fence in &mut self.closed {
            fence.holders.retain(|holder| holders.contains(holder));
        }
        self.closed.push_back(Fence { upto, holders });
        while self.closed.front().is_some_and(|fence| fence.holders.is_empty()) {
            if let Some(open) = self.closed.pop_front() {
                self.decided = self.decided.max(open.upto);
            }
        }
        let mut kept: VecDeque<Fence> = VecDeque::with_capacity(self.closed.len());
        for fence in self.closed.drain(..) {
            if kept.back().is_some_and(|last| last.holders == fence.holders) {
                kept.pop_back();
            }
            kept.push_back(fence);
        }
        self.closed = kept;
        self.decided
    }

    /// The seq up to which everything is decided.
    pub(super) fn decided(&self) -> i64 {
        self.decided
    }

    /// The transactions that hold the oldest fence; none when all fences are open.
    pub(super) fn blockers(&self) -> Option<&BTreeSet<Holder>> {
        self.closed.front().map(|fence| &fence.holders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holders(names: &[&str]) -> BTreeSet<Holder> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn without_writers_everything_is_decided_at_once() {
        let mut fences = Fences::new(3);
        assert_eq!(fences.decided(), 3);
        assert_eq!(fences.take_fence(7, holders(&[])), 7);
        assert_eq!(fences.blockers(), None);
        assert_eq!(fences.take_fence(5, holders(&[])), 7, "a look never takes back what was decided");
    }

    #[test]
    fn a_fence_opens_when_its_own_holders_are_gone_whoever_came_since() {
        let mut fences = Fences::new(0);
        assert_eq!(fences.take_fence(10, holders(&["a", "b"])), 0);
        assert_eq!(fences.take_fence(20, holders(&["b", "c"])), 0);
        assert_eq!(fences.blockers(), Some(&holders(&["b"])));
        assert_eq!(fences.take_fence(30, holders(&["c", "d"])), 10);
        assert_eq!(fences.take_fence(40, holders(&["d"])), 20);
        assert_eq!(fences.take_fence(50, holders(&["e"])), 40);
        assert_eq!(fences.take_fence(60, holders(&[])), 60);
    }

    #[test]
    fn one_slow_writer_leaves_one_fence_however_often_one_looks() {
        let mut fences = Fences::new(0);
        for upto in 1..1000 {
            assert_eq!(fences.take_fence(upto, holders(&["slow"])), 0);
            assert_eq!(fences.closed.len(), 1);
        }
        assert_eq!(fences.take_fence(1000, holders(&["other"])), 999);
    }
}
