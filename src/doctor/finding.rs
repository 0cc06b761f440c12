//! A check: the things that it looks at, and its result.

use tokio_postgres::Client;

use crate::config::Source;
use crate::db::{Connector, DatabaseError};

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, less well than it could, or will not for ever.
    Warn,
    /// A server would not start, or not do what it is for.
    Fail,
}

impl Verdict {
    /// The verdict as the report shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its severity.
    pub verdict: Verdict,
    /// The finding in a sentence.
    pub detail: String,
}

pub(super) fn ok(detail: impl Into<String>) -> Finding {
    Finding { verdict: Verdict::Ok, detail: detail.into() }
}

pub(super) fn warn(detail: impl Into<String>) -> Finding {
    Finding { verdict: Verdict::Warn, detail: detail.into() }
}

pub(super) fn fail(detail: impl Into<String>) -> Finding {
    Finding { verdict: Verdict::Fail, detail: detail.into() }
}

/// The things that a check may look at.
pub(super) struct Patient<'a> {
    pub(super) source: &'a Source,
    pub(super) connector: Option<&'a Connector>,
    pub(super) client: Option<&'a Client>,
}

impl<'a> Patient<'a> {
    /// The connection. The table asks for it before it calls a check that needs one.
    pub(super) fn client(&self) -> Result<&'a Client, DatabaseError> {
        self.client.ok_or_else(|| DatabaseError::Unreachable("there is no connection".to_owned()))
    }
}
