//! The transactions that a statement waits for.

use std::fmt;

/// A transaction that must end first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// The pid of its server process; `None` for a prepared transaction.
    pub pid: Option<i32>,
    /// Its application name and the state of its session; for a prepared transaction, its gid.
    pub application: String,
    /// The start of the transaction as text, if this role may see it.
    pub since: Option<String>,
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "pid {pid}")?,
            None => f.write_str("a prepared transaction")?,
        }
        if !self.application.is_empty() {
            write!(f, " ({})", self.application)?;
        }
        self.since.as_ref().map_or(Ok(()), |since| write!(f, " since {since}"))
    }
}

/// All blockers in one line.
pub(super) fn list(blockers: &[Blocker]) -> String {
    if blockers.is_empty() {
        return "other transactions".to_owned();
    }
    blockers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
