//! What the writers know. Every piece of work has a number, and every row that it inserts carries it in its payload.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

/// How a piece of work ended, as far as its writer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing of it may be in the table.
    RolledBack,
    /// All of it or nothing is in the table: the answer to the commit was lost.
    Unknown(u32),
    /// So many rows of it are in the table.
    Committed(u32),
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    inner: Mutex<Inner>,
    pub(crate) commits: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) prepared: AtomicU64,
    pub(crate) truncated: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    fates: Vec<Fate>,
    /// The seqs that writers were told.
    seqs: Vec<(i64, u32)>,
    kinds: HashMap<&'static str, u64>,
}

impl Ledger {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// A new piece of work, of which nothing can be in the table yet.
    pub(crate) fn open(&self, kind: &'static str) -> u32 {
        let mut inner = self.inner();
        inner.fates.push(Fate::RolledBack);
        *inner.kinds.entry(kind).or_default() += 1;
        u32::try_from(inner.fates.len() - 1).unwrap()
    }

    pub(crate) fn set(&self, work: u32, fate: Fate) {
        self.inner().fates[work as usize] = fate;
    }

    /// The commit of so many rows was acknowledged.
    pub(crate) fn committed(&self, work: u32, rows: u32, seqs: &[i64]) {
        let mut inner = self.inner();
        inner.fates[work as usize] = Fate::Committed(rows);
        inner.seqs.extend(seqs.iter().map(|seq| (*seq, work)));
        drop(inner);
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    /// Compares what the writers know with the rows: `(seq, work)`, in seq order. Returns what does not fit.
    pub(crate) fn audit(&self, rows: &[(i64, Option<u32>)]) -> Vec<String> {
        let inner = self.inner();
        let mut found = vec![0u32; inner.fates.len()];
        for work in rows.iter().filter_map(|(_, work)| *work) {
            found[work as usize] += 1;
        }
        let mut faults = Vec::new();
        for (work, (fate, found)) in inner.fates.iter().zip(&found).enumerate() {
            let fits = match fate {
                Fate::RolledBack => *found == 0,
                Fate::Unknown(rows) => *found == 0 || found == rows,
                Fate::Committed(rows) => found == rows,
            };
            if !fits {
                faults.push(format!("work {work} is {fate:?}, and the table has {found} rows of it"));
            }
        }
        for (seq, work) in &inner.seqs {
            if rows.binary_search_by_key(seq, |row| row.0).map(|at| rows[at].1) != Ok(Some(*work)) {
                faults
                    .push(format!("work {work} was told that it wrote seq {seq}, which the table does not have of it"));
            }
        }
        faults
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner();
        let (mut committed, mut rolled_back, mut unknown, mut rows) = (0u64, 0u64, 0u64, 0u64);
        for fate in &inner.fates {
            match fate {
                Fate::Committed(n) => (committed, rows) = (committed + 1, rows + u64::from(*n)),
                Fate::RolledBack => rolled_back += 1,
                Fate::Unknown(_) => unknown += 1,
            }
        }
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        writeln!(
            f,
            "transactions: {committed} committed ({rows} rows, {} with their seq known), {rolled_back} rolled back or failed, \
             {unknown} unknown, {} prepared, {} truncates",
            inner.seqs.len(),
            count(&self.prepared),
            count(&self.truncated),
        )?;
        writeln!(f, "writers' errors: {}, of which {} took too long", count(&self.errors), count(&self.timeouts))?;
        let mut kinds: Vec<_> = inner.kinds.iter().collect();
        kinds.sort_unstable();
        let kinds: Vec<_> = kinds.iter().map(|(kind, times)| format!("{kind} {times}")).collect();
        write!(f, "kinds: {}", kinds.join(", "))
    }
}
