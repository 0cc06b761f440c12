//! What there is: conversations and what was said in them.

use tokio_postgres::{Error, Row};
use uuid::Uuid;

use super::text::Text;
use crate::db::Timestamp;

/// The columns of a conversation, in the order in which [`Conversation::read`] takes them.
pub(super) const CONVERSATION: &str = "c.id, c.owner, c.status, c.opened_at, c.closed_at";
/// The same of an utterance `u` and its speaker `s`.
pub(super) const UTTERANCE: &str =
    "u.id, u.conversation_id, u.position, s.kind, s.name, u.text, u.said_at, u.answers, u.final, u.outcome";

/// Something that a user says.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// The subject of the user.
    pub(super) subject: String,
    /// The words.
    pub(super) text: Text,
    /// Where it is to be said; if nothing is named, in the open conversation, which is made if there is none.
    pub(super) conversation: Option<Uuid>,
    /// The name of this message for retries.
    pub(super) key: Option<String>,
}

/// Whether something may still be said in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// The one in which a user's next message goes.
    Open,
    /// Over.
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
    /// Its name.
    pub(super) id: Uuid,
    /// The subject of the user.
    pub(super) owner: String,
    /// Whether it is over.
    pub(super) status: Status,
    /// When it began.
    pub(super) opened_at: Timestamp,
    /// When it ended.
    pub(super) closed_at: Option<Timestamp>,
}

impl Conversation {
    pub(super) fn read(row: &Row) -> Result<Self, Error> {
        Self::read_after(row, 0)
    }

    /// The same from a row in which so many other columns come first.
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

/// What a speaker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The one whose conversation it is.
    User,
    /// Whoever answers.
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

/// What became of something that a user said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The answer stands behind it.
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

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Utterance {
    /// Its name.
    pub(super) id: Uuid,
    /// Where it was said.
    pub(super) conversation_id: Uuid,
    /// Its place there, from 1.
    pub(super) position: i32,
    /// What said it.
    pub(super) speaker: Kind,
    /// What the speaker is called, if anything.
    pub(super) name: Option<String>,
    /// The words.
    pub(super) text: String,
    /// When.
    pub(super) said_at: Timestamp,
    /// What this answers.
    pub(super) answers: Option<Uuid>,
    /// Whether no other part of the same answer follows.
    pub(super) is_final: bool,
    /// Of what a user says: what became of it.
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

/// A message and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exchange {
    /// Where it was said, as it is now.
    pub(super) conversation: Conversation,
    /// What the user said.
    pub(super) said: Utterance,
    /// The parts of the answer, none if there is no answer.
    pub(super) answer: Vec<Utterance>,
    /// Whether it was said by an earlier request of the same key.
    pub(super) repeated: bool,
}
