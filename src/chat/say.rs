//! A message from its arrival to its answer.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::{Client, Error};

use super::answer::ask;
use super::responder::{Echo, Question, Responder};
use super::store::{self, Kept};
use super::{Exchange, Message, Status};
use crate::db::{Database, DatabaseError, Lane, Requester};

/// How long a responder may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Why nothing was said.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChatError {
    /// The user has no such conversation.
    #[error("there is no such conversation")]
    NotFound,
    /// The conversation is over.
    #[error("the conversation is closed")]
    Closed,
    /// The key was used for something else.
    #[error("the key was used before with another content")]
    KeyReused,
    /// The database could not be asked. Whether the message is stored is unknown if the connection broke.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl From<Error> for ChatError {
    fn from(error: Error) -> Self {
        Self::Database(error.into())
    }
}

/// The chat with whoever answers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Chat {
    responder: Arc<dyn Responder>,
    limit: Duration,
}

impl Default for Chat {
    fn default() -> Self {
        Self::new(Arc::new(Echo), ANSWER_LIMIT)
    }
}

impl Chat {
    /// A chat in which this responder has so long for each answer.
    pub fn new(responder: Arc<dyn Responder>, limit: Duration) -> Self {
        Self { responder, limit }
    }

    /// Says something. It is kept with its answer, or alone if there is none in time.
    pub(super) async fn say(&self, database: &Database, message: &Message) -> Result<Exchange, ChatError> {
        let question = match self.prepare(database, message).await? {
            Prepared::Said(exchange) => return Ok(*exchange),
            Prepared::Question(question) => question,
        };
        // No connection is held here: a slow responder must not keep others from the database.
        let answer = ask(&self.responder, question, self.limit).await;
        let keep = async |client: &mut Client| {
            match store::keep(client, message, self.responder.name(), &answer).await? {
                Kept::Yes(exchange) => Ok(*exchange),
                Kept::Missing => Err(ChatError::NotFound),
                Kept::Closed => Err(ChatError::Closed),
                // Another request of the same key was quicker.
                Kept::Repeated => match &message.key {
                    Some(key) => self.said(client, message, key).await?.ok_or(ChatError::KeyReused),
                    None => Err(ChatError::KeyReused),
                },
            }
        };
        database.run_for(Lane::Write, &Requester::subject(&message.subject), keep).await?
    }

    /// What can be known before anybody is asked.
    async fn prepare(&self, database: &Database, message: &Message) -> Result<Prepared, ChatError> {
        let look = async |client: &mut Client| {
            if let Some(key) = &message.key
                && let Some(exchange) = self.said(client, message, key).await?
            {
                return Ok(Prepared::Said(Box::new(exchange)));
            }
            let history = match store::place(client, message).await? {
                None if message.conversation.is_some() => return Err(ChatError::NotFound),
                Some(place) if place.status == Status::Closed => return Err(ChatError::Closed),
                Some(place) => store::history(client, place.id).await?,
                None => Vec::new(),
            };
            let text = message.text.as_str().to_owned();
            Ok(Prepared::Question(Question { subject: message.subject.clone(), text, history }))
        };
        database.run_for(Lane::Read, &Requester::subject(&message.subject), look).await?
    }

    /// What was said under this key, if it was this.
    async fn said(&self, client: &Client, message: &Message, key: &str) -> Result<Option<Exchange>, ChatError> {
        let Some(exchange) = store::said_before(client, &message.subject, key).await? else { return Ok(None) };
        let same_place = message.conversation.is_none_or(|id| id == exchange.conversation.id);
        if exchange.said.text == message.text.as_str() && same_place {
            return Ok(Some(exchange));
        }
        Err(ChatError::KeyReused)
    }
}

/// A message before it is answered.
enum Prepared {
    /// It was said before.
    Said(Box<Exchange>),
    /// What to ask.
    Question(Question),
}
