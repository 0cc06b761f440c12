//! The model of the chat: conversations, and the utterances in them.

use tokio_postgres::{Error, Row};
use uuid::Uuid;

use super::text::Text;
use crate::db::Timestamp;

/// The columns of a conversation, in the order in which [`Conversation::read`] takes them.
pub(super) const CONVERSATION: &str = "c.id, c.owner, c.status, c.opened_at, c.closed_at";
/// The columns of an utterance `u` and its speaker `s`, in the order in which [`Utterance::read`] takes them.
pub(super) const UTTERANCE: &str =
    "u.id, u.conversation_id, u.position, s.kind, s.name, u.text, u.said_at, u.answers, u.final, u.outcome";

/// A message that a user sends.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// The subject of the user.
    pub(super) subject: String,
    /// The words.
    pub(super) text: Text,
    /// The conversation that the message goes into. If `None`, the user's open conversation, which is made if there is none.
    pub(super) conversation: Option<Uuid>,
    /// The idempotency key of this message.
    pub(super) key: Option<String>,
}

/// The status of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Takes messages. A user has at most one open conversation.
    Open,
    /// Takes no messages any more.
    Closed,
}

impl Status {
    /// The word in the table.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }

    /// The status of a word.
    pub(super) fn parse(word: &str) -> Option<Self> {
        [Self::Open, Self::Closed].into_iter().find(|status| status.as_str() == word)
    }
}

/// A conversation of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conversation {
    /// The id of the conversation.
    pub(super) id: Uuid,
    /// The subject of the user.
    pub(super) owner: String,
    /// Open or closed.
    pub(super) status: Status,
    /// The time at which it was opened.
    pub(super) opened_at: Timestamp,
    /// The time at which it was closed.
    pub(super) closed_at: Option<Timestamp>,
}

impl Conversation {
    pub(super) fn read(row: &Row) -> Result<Self, Error> {
        Self::read_after(row, 0)
    }

    /// Reads a conversation from a row in which `others` other columns come first.
    pub(super) fn read_after(row: &Row, others: usize) -> Result<Self, Error> {
        let status: &str = row.try_get(others + 2)?;
        Ok(Self {
            id: row.try_get(others)?,
            owner: row.try_get(others + 1)?,
            // The table allows these two words.
            status: Status::parse(status).unwrap_or(Status::Closed),
            opened_at: row.try_get(others + 3)?,
            closed_at: row.try_get(others + 4)?,
        })
    }
}

/// The kind of a speaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The owner of the conversation.
    User,
    /// A responder.
    Bot,
}

impl Kind {
    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Bot => "bot",
        }
    }
}

/// The outcome of a message of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// An answer follows the message.
    Answered,
    /// The responder took too long.
    Timeout,
    /// The responder failed.
    Failed,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Answered, Self::Timeout, Self::Failed];

    /// The word in the table.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
        }
    }
}

/// A message, or a part of an answer, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Utterance {
    /// The id of the utterance.
    pub(super) id: Uuid,
    /// The conversation that it belongs to.
    pub(super) conversation_id: Uuid,
    /// Its position in the conversation, from 1.
    pub(super) position: i32,
    /// The kind of its speaker.
    pub(super) speaker: Kind,
    /// The name of the speaker, if there is one.
    pub(super) name: Option<String>,
    /// The words.
    pub(super) text: String,
    /// The time at which it was stored.
    pub(super) said_at: Timestamp,
    /// The id of the message that this is an answer to.
    pub(super) answers: Option<Uuid>,
    /// True if no other part of this answer follows.
    pub(super) is_final: bool,
    /// For a message of a user, its outcome.
    pub(super) outcome: Option<Outcome>,
}

impl Utterance {
    pub(super) fn read(row: &Row) -> Result<Self, Error> {
        let kind: &str = row.try_get(3)?;
        let outcome: Option<&str> = row.try_get(9)?;
        Ok(Self {
            id: row.try_get(0)?,
            conversation_id: row.try_get(1)?,
            position: row.try_get(2)?,
            speaker: if kind == Kind::Bot.as_str() { Kind::Bot } else { Kind::User },
            name: row.try_get(4)?,
            text: row.try_get(5)?,
            said_at: row.try_get(6)?,
            answers: row.try_get(7)?,
            is_final: row.try_get(8)?,
            outcome: outcome.and_then(|word| Outcome::ALL.into_iter().find(|o| o.as_str() == word)),
        })
    }
}

/// A message and its answer, as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exchange {
    /// The conversation of the message.
    pub(super) conversation: Conversation,
    /// The message of the user.
    pub(super) said: Utterance,
    /// The parts of the answer; empty if there is no answer.
    pub(super) answer: Vec<Utterance>,
    /// True if an earlier request with this key has stored it.
    pub(super) repeated: bool,
}
