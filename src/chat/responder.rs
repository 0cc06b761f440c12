//! Whoever answers. The built-in one is a stand-in: a model or a desk of people takes its place behind the same trait.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use super::Kind;

/// An answer that is under way.
pub type Answering = Pin<Box<dyn Future<Output = Result<String, Unanswered>> + Send>>;

/// Answers what users say.
///
/// It is asked before anything is stored, and has a few seconds: what it has not said by then it need not say. Its answer
/// is text as a user's is, though it may be longer; what cannot be stored counts as a failure.
pub trait Responder: fmt::Debug + Send + Sync + 'static {
    /// What the bot is called in the conversation. Not blank, and at most 200 characters.
    fn name(&self) -> &str;

    /// Begins to answer.
    fn answer(&self, question: Question) -> Answering;
}

/// What is to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The subject of the user.
    pub subject: String,
    /// What the user says now.
    pub text: String,
    /// What was said last in the same conversation, oldest first; none of it if the conversation is new.
    pub history: Vec<Turn>,
}

/// Something said before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Who said it.
    pub speaker: Kind,
    /// The words.
    pub text: String,
}

/// There is no answer. The reason goes to the log and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unanswered(pub String);

/// The stand-in: says again what it hears. The same words get the same answer, always.
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
