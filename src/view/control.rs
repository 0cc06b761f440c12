//! What a session says besides events.

use std::time::SystemTime;

use bytes::Bytes;
use serde::Serialize;
use time::OffsetDateTime;

use super::Redaction;
use super::event::instant_text;
use super::frames::{Tally, message};
use crate::tail::{Reason, Status};

/// One object that is not an event. Cursors and times are texts already.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Control {
    /// Before anything else, to a client whose upgrade had no token.
    AuthRequired {
        /// How long it may take.
        within_ms: u64,
        /// What to do, for a person.
        message: &'static str,
    },
    /// The first after authentication, and again after every `subscribe`.
    Hello {
        /// A name for the log.
        session: String,
        /// Where it begins.
        cursor: String,
        /// The seq of the newest event.
        head: i64,
        /// The seq of the oldest event.
        oldest: i64,
        /// How often to expect a sign of life, and to give one.
        heartbeat_ms: u64,
        /// `private` or `public`.
        view: &'static str,
    },
    /// The backlog has been sent.
    Live {
        /// Where that is.
        cursor: String,
    },
    /// The session lives.
    Heartbeat {
        /// Past everything that was sent or passed by.
        cursor: String,
        /// The seq of the newest event.
        head: i64,
        /// When.
        at: String,
        /// What was sent since the last `hello`.
        #[serde(flatten)]
        tally: Tally,
        /// What holds the stream back.
        stalled: Option<Stall>,
    },
    /// The token is about to end.
    AuthExpiring {
        /// When.
        at: String,
    },
    /// Another token has taken its place.
    AuthOk {
        /// Until when.
        expires: String,
    },
    /// The server is about to close.
    Drain {
        /// How long to stay away.
        retry_ms: u64,
        /// What to come back with.
        cursor: String,
    },
    /// Why the session is about to be closed.
    Error(Fault),
    /// The answer to `ping`.
    Pong,
}

/// Why a session ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// A stable word.
    pub code: &'static str,
    /// A sentence for a person.
    pub message: String,
    /// The seq of the oldest event, when the cursor has expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest: Option<i64>,
    /// After how many seconds the same would be allowed, when a rate limit was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

/// What holds the stream back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stall {
    since: String,
    reason: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    blocker: Option<Blocker>,
}

/// Whose transaction it is. For administrators alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Blocker {
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<String>,
}

impl Stall {
    /// That the database has not answered since then.
    pub fn database(since: SystemTime) -> Self {
        Self { since: time_text(since), reason: "database", blocker: None }
    }

    /// What the tail knows, for somebody who may know the blocker or may not.
    pub fn of(status: &Status, name_blocker: bool) -> Option<Self> {
        let stalled = status.stalled.as_ref()?;
        let (reason, oldest) = match &stalled.reason {
            Reason::Database => ("database", None),
            Reason::Transaction(blockers) => ("transaction", blockers.first()),
        };
        let blocker = oldest.filter(|_| name_blocker).map(|blocker| Blocker {
            pid: blocker.pid,
            gid: blocker.gid.as_deref().map(shown),
            application: blocker.application.as_deref().map(shown),
        });
        Some(Self { since: time_text(stalled.since), reason, blocker })
    }
}

/// Whoever opened the transaction chose these.
fn shown(name: &str) -> String {
    Redaction::built_in().text(name).into_owned()
}

impl Control {
    /// As JSON.
    pub fn json(&self) -> Vec<u8> {
        // Texts and numbers always serialize.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// As a message on the wire of a WebSocket.
    pub fn message(&self) -> Bytes {
        Bytes::from(message(&self.json()))
    }
}

/// A time of the system's clock, as every object that is sent shows it.
pub fn time_text(at: SystemTime) -> String {
    instant_text(OffsetDateTime::from(at))
}
