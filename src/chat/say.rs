//! A message from its arrival to its answer.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::{Client, Error};

use super::answer::ask;
use super::responder::{Echo, Question, Responder};
use super::store::{self, StoreOutcome};
use super::{Exchange, Message, Status};
use crate::db::{Database, DatabaseError, Lane, Requester};

/// The time that a responder may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The reason for which a message was not stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChatError {
    /// The user has no such conversation.
    #[error("there is no such conversation")]
    NotFound,
    /// The conversation is closed.
    #[error("the conversation is closed")]
    Closed,
    /// The idempotency key was used for another message.
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

/// The chat with its responder. Cheap to clone.
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
    /// A chat with this responder, which may take `limit` for each answer.
    pub fn new(responder: Arc<dyn Responder>, limit: Duration) -> Self {
        Self { responder, limit }
    }

    /// Stores a message with its answer, or alone if there is no answer in time.
    pub(super) async fn say(&self, database: &Database, message: &Message) -> Result<Exchange, ChatError> {
        let question = match self.prepare(database, message).await? {
            Prepared::Stored(exchange) => return Ok(*exchange),
            Prepared::Question(question) => question,
        };
        // No connection is held here: a slow responder must not keep others from the database.
        let answer = ask(&self.responder, question, self.limit).await;
        let keep = async |client: &mut Client| {
            match store::store_exchange(client, message, self.responder.name(), &answer).await? {
                StoreOutcome::Stored(exchange) => Ok(*exchange),
                StoreOutcome::Missing => Err(ChatError::NotFound),
                StoreOutcome::Closed => Err(ChatError::Closed),
                // Another request of the same key was quicker.
                StoreOutcome::Repeated => match &message.key {
                    Some(key) => self.said(client, message, key).await?.ok_or(ChatError::KeyReused),
                    None => Err(ChatError::KeyReused),
                },
            }
        };
        database.run_for(Lane::Write, &Requester::subject(&message.subject), keep).await?
    }

    /// Looks up what the responder needs, or finds that an earlier request has stored the message.
    async fn prepare(&self, database: &Database, message: &Message) -> Result<Prepared, ChatError> {
        let look = async |client: &mut Client| {
            if let Some(key) = &message.key
                && let Some(exchange) = self.said(client, message, key).await?
            {
                return Ok(Prepared::Stored(Box::new(exchange)));
            }
            let history = match store::find_conversation(client, message).await? {
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

    /// The exchange that was stored under this key; an error if its message was another.
    async fn said(&self, client: &Client, message: &Message, key: &str) -> Result<Option<Exchange>, ChatError> {
        let Some(exchange) = store::find_exchange(client, &message.subject, key).await? else { return Ok(None) };
        let same_place = message.conversation.is_none_or(|id| id == exchange.conversation.id);
        if exchange.said.text == message.text.as_str() && same_place {
            return Ok(Some(exchange));
        }
        Err(ChatError::KeyReused)
    }
}

/// A message before it is answered.
enum Prepared {
    /// An earlier request with this key has stored it.
    Stored(Box<Exchange>),
    /// The question for the responder.
    Question(Question),
}
