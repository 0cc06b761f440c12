//! Responders, which answer the messages of users. The built-in [`Echo`] is a stand-in for a model or a desk of people.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use super::Kind;

/// An answer that is under way.
pub type Answering = Pin<Box<dyn Future<Output = Result<String, Unanswered>> + Send>>;

/// Answers what users say.
///
/// A responder is asked before anything is stored, and has a few seconds; a later answer is dropped. The rules for its text are
/// those for a user's, but it may be longer. An answer that cannot be stored counts as a failure.
pub trait Responder: fmt::Debug + Send + Sync + 'static {
    /// The name of the bot in the conversation: not blank, and at most 200 characters.
    fn name(&self) -> &str;

    /// Begins to answer.
    fn answer(&self, question: Question) -> Answering;
}

/// A message to answer, with the conversation before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The subject of the user.
    pub subject: String,
    /// The message of the user.
    pub text: String,
    /// The last utterances of the conversation, oldest first; empty in a new conversation.
    pub history: Vec<Turn>,
}

/// An earlier utterance of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The kind of its speaker.
    pub speaker: Kind,
    /// The words.
    pub text: String,
}

/// The reason for which there is no answer. It goes to the log alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unanswered(pub String);

/// A stand-in that repeats the message of the user.
#[derive(Debug, Clone, Copy, Default)]
pub struct Echo;

impl Responder for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn answer(&self, question: Question) -> Answering {
        Box::pin(std::future::ready(Ok(format!("You said: {}", question.text))))
    }
}
