//! The messages of a session besides events.

use std::time::SystemTime;

use bytes::Bytes;
use serde::Serialize;
use time::OffsetDateTime;

use super::Redaction;
use super::event::instant_text;
use super::frames::{Tally, message};
use crate::tail::{StallReason, TailStatus};

/// A message of a session that is not an event. Cursors and times are texts already.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Control {
    /// The first message to a client whose upgrade had no token.
    AuthRequired {
        /// The time in which the client must send a token.
        within_ms: u64,
        /// A sentence for a person that says how.
        message: &'static str,
    },
    /// The first message after authentication and after every `subscribe`.
    Hello {
        /// The name of the session in the log.
        session: String,
        /// The cursor at which the session begins.
        cursor: String,
        /// The seq of the newest event.
        head: i64,
        /// The seq of the oldest event.
        oldest: i64,
        /// The interval at which server and client each give a sign of life.
        heartbeat_ms: u64,
        /// `private` or `public`.
        view: &'static str,
    },
    /// The backlog has been sent.
    Live {
        /// The cursor at the end of the backlog.
        cursor: String,
    },
    /// A sign of life.
    Heartbeat {
        /// The cursor after everything that was sent or filtered out.
        cursor: String,
        /// The seq of the newest event.
        head: i64,
        /// The time of the heartbeat.
        at: String,
        /// The count and sum of the events sent since the last `hello`.
        #[serde(flatten)]
        tally: Tally,
        /// The reason for which the stream stands still, if it does.
        stalled: Option<Stall>,
    },
    /// The token is about to expire.
    AuthExpiring {
        /// The time at which it expires.
        at: String,
    },
    /// Another token was accepted for this session.
    AuthOk {
        /// The time at which the new token expires.
        expires: String,
    },
    /// The server is about to close.
    Drain {
        /// The time for which the client should stay away.
        retry_ms: u64,
        /// The cursor to come back with.
        cursor: String,
    },
    /// The reason of the close that follows.
    Error(Fault),
    /// The answer to `ping`.
    Pong,
    /// The answer to `sync`: everything was sent that was committed before the question.
    Synced {
        /// The name that the client gave its question; none if it gave none.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The cursor after everything that was sent or filtered out.
        cursor: String,
    },
}

/// The reason for which a session ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// A stable word.
    pub code: &'static str,
    /// A sentence for a person.
    pub message: String,
    /// The seq of the oldest event, when the cursor has expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest: Option<i64>,
    /// The seconds after which the request would be allowed, when a rate limit was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

/// The reason for which the stream stands still, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stall {
    since: String,
    reason: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    blocker: Option<BlockerObject>,
}

/// The transaction that holds the stream back. Only administrators may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct BlockerObject {
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<String>,
}

impl Stall {
    /// The database has not answered since then.
    pub fn database(since: SystemTime) -> Self {
        Self { since: time_text(since), reason: "database", blocker: None }
    }

    /// The stall that the tail reports, if there is one, with its blocker if `name_blocker` is set.
    pub fn of(status: &TailStatus, name_blocker: bool) -> Option<Self> {
        let stalled = status.stalled.as_ref()?;
        let (reason, oldest) = match &stalled.reason {
            StallReason::Database => ("database", None),
            StallReason::Transaction(blockers) => ("transaction", blockers.first()),
        };
        let blocker = oldest.filter(|_| name_blocker).map(|blocker| BlockerObject {
            pid: blocker.pid,
            gid: blocker.gid.as_deref().map(without_secrets),
            application: blocker.application.as_deref().map(without_secrets),
        });
        Some(Self { since: time_text(stalled.since), reason, blocker })
    }
}

/// A name without secrets. Whoever opened the transaction chose it.
fn without_secrets(name: &str) -> String {
    Redaction::built_in().text(name).into_owned()
}

impl Control {
    /// The JSON of this message.
    pub fn json(&self) -> Vec<u8> {
        // Texts and numbers always serialize.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// This message as a WebSocket frame.
    pub fn message(&self) -> Bytes {
        Bytes::from(message(&self.json()))
    }
}

/// A time of the system's clock, as every object that is sent shows it.
pub fn time_text(at: SystemTime) -> String {
    instant_text(OffsetDateTime::from(at))
}
