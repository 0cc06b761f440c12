//! The report of the relay: how far its node's stream is decided, and of which history.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::error::RelayError;
use crate::journal::JournalIdentity;
use crate::tail::blocker::Blocker;
use crate::tail::status::{StallReason, Stalled};

/// What the holder of the lease says of its node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    #[serde(with = "identity_text")]
    pub(crate) journal: JournalIdentity,
    /// Every seq up to here is decided.
    pub(crate) head: i64,
    /// The newest event up to the head; 0 if there is none. Up to here the events were copied before the report.
    pub(crate) newest: i64,
    /// What retention has taken.
    pub(crate) trimmed: i64,
    /// How long ago the statement began by which the node proved its history.
    pub(crate) proof_age: Duration,
    /// The transactions that hold the stream back, if any do.
    stalled: Option<StalledByTransaction>,
    /// The digests of the lists that are current, in the order of [`super::redis_link::LISTS`].
    pub(super) lists: Vec<String>,
}

/// A stall because of open transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StalledByTransaction {
    /// In milliseconds since 1970.
    since: u64,
    blockers: Vec<BlockerText>,
}

/// A [`Blocker`], as an edge is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct BlockerText {
    transaction: String,
    pid: Option<i32>,
    gid: Option<String>,
    application: Option<String>,
    user: Option<String>,
    address: Option<String>,
    state: Option<String>,
    idle_for: Option<Duration>,
    since: Option<OffsetDateTime>,
}

impl From<Blocker> for BlockerText {
    fn from(blocker: Blocker) -> Self {
        let Blocker { transaction, pid, gid, application, user, address, state, idle_for, since } = blocker;
        Self { transaction, pid, gid, application, user, address, state, idle_for, since }
    }
}

impl From<BlockerText> for Blocker {
    fn from(text: BlockerText) -> Self {
        let BlockerText { transaction, pid, gid, application, user, address, state, idle_for, since } = text;
        Self { transaction, pid, gid, application, user, address, state, idle_for, since }
    }
}

/// The identity of a journal as its words.
mod identity_text {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::journal::JournalIdentity;

    pub(super) fn serialize<S: Serializer>(identity: &JournalIdentity, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(identity)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<JournalIdentity, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Report {
    pub(super) fn new(
        journal: JournalIdentity,
        position: &crate::tail::pages::Position,
        proof_age: Duration,
        stalled: Option<&Stalled>,
        lists: Vec<String>,
    ) -> Self {
        let stalled = stalled.and_then(|stalled| match &stalled.reason {
            StallReason::Transaction(blockers) => {
                let since = stalled.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
                Some(StalledByTransaction {
                    since: u64::try_from(since).unwrap_or(u64::MAX),
                    blockers: blockers.iter().cloned().map(BlockerText::from).collect(),
                })
            }
            StallReason::Database => None,
        });
        let (head, newest, trimmed) = (position.head, position.newest_seq(), position.trimmed);
        Self { journal, head, newest, trimmed, proof_age, stalled, lists }
    }

    /// The stall of the stream, as readers are told of it.
    pub(crate) fn stalled(&self) -> Option<Stalled> {
        self.stalled.as_ref().map(|stalled| Stalled {
            since: UNIX_EPOCH.checked_add(Duration::from_millis(stalled.since)).unwrap_or_else(SystemTime::now),
            reason: StallReason::Transaction(stalled.blockers.iter().cloned().map(Blocker::from).collect()),
        })
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, RelayError> {
        serde_json::to_vec(self).map_err(|_| RelayError::Garbled("a report"))
    }

    pub(super) fn decode(text: &[u8]) -> Result<Self, RelayError> {
        serde_json::from_slice(text).map_err(|_| RelayError::Garbled("a report"))
    }
}
