//! The endpoints of the chat: sending a message, reading conversations, closing one. Nobody learns that a conversation of somebody
//! else exists.

use serde::Deserialize;
use serde_json::error::Category;
use tokio_postgres::Client;
use uuid::Uuid;

use super::list::{self, ListCursor};
use super::model::{Message, Status};
use super::say::{Chat, ChatError};
use super::text::Text;
use super::view;
use crate::application::Verb::{Get, Post};
use crate::application::{Answer, Answered, Application, ApplicationError, Endpoint, Rate, Tables, known, right};
use crate::auth::{Action, Extent, Identity};
use crate::db::{DatabaseError, Lane};
use crate::limit::Class;
use crate::query::{BadQuery, Query};
use crate::refusals::{self, sentence};

/// The chat as an application, with its responder.
pub static APPLICATION: Application<(Chat, Tables)> =
    Application { types: &["chat."], endpoints: ENDPOINTS, unavailable_message: "the chat cannot reach its tables" };

const MESSAGES: Rate = Rate::Body(Class::Chat, cost);
const PRIVATE: Rate = Rate::Subject(Class::Private);

/// `r` is the request, `who` the identity of its token.
#[rustfmt::skip]
static ENDPOINTS: &[Endpoint<(Chat, Tables)>] = &[
    right(Action::Chat, Post, "/v1/chat", MESSAGES, known!((chat, tables), who, r => say(chat, &tables, who.subject(), r.idempotency_key, &r.body))).json_with_key(refuse_parameters),
    right(Action::Chat, Get, "/v1/conversations", PRIVATE, known!((_, tables), who, r => conversations(&tables, &who, r.query()))),
    right(Action::Chat, Get, "/v1/conversations/{id}/utterances", PRIVATE, known!((_, tables), who, r => utterances(&tables, &who, r.id()?, r.query()))),
    right(Action::Chat, Post, "/v1/conversations/{id}/close", PRIVATE, known!((_, tables), who, r => close(&tables, &who, r.id()?, r.query()))),
];

/// The most items of one page, and the number of items if no limit is given.
const MAX_LIMIT: u16 = 200;
const USUAL_LIMIT: u16 = 50;
/// The bytes of text that the rate limit counts as one message.
const COUNTED_BYTES: usize = 4096;

/// The only owner whose conversations this identity may see; `None` for an administrator, who may see all.
fn seen_by(identity: &Identity) -> Option<&str> {
    (identity.role().extent(Action::Chat) < Extent::All).then(|| identity.subject().as_ref())
}

fn refuse_parameters(query: Option<&str>) -> Result<(), BadQuery> {
    Query::parse(query)?.none()
}

/// The body of a message.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageBody {
    text: String,
    #[serde(default)]
    conversation: Option<Uuid>,
}

/// The number of messages that a body counts as. A malformed body counts as one, since reading it costs something too.
fn cost(body: &[u8]) -> u32 {
    let cost = parse_message(body).map_or(1, |said| said.text.len().div_ceil(COUNTED_BYTES).max(1));
    u32::try_from(cost).unwrap_or(u32::MAX)
}

/// `POST /v1/chat`: stores a message of a client, and answers it.
async fn say(chat: Chat, tables: &Tables, subject: &str, key: Option<String>, body: &[u8]) -> Answered {
    let said = parse_message(body)?;
    let text = Text::parse(&said.text)
        .map_err(|bad| ApplicationError::because(refusals::INVALID_TEXT, sentence(&bad.to_string())))?;
    let message = Message { subject: subject.to_owned(), text, conversation: said.conversation, key };
    let database = tables.database().clone();
    // A task of its own, so that the message is stored and answered even if the client goes away.
    let saying = tokio::spawn(async move { chat.say(&database, &message).await });
    let exchange = saying.await.map_err(|_| ApplicationError::of(refusals::INTERNAL))??;
    Ok(Answer::created(view::exchange(&exchange, tables.redaction())))
}

/// The message of a body, which must be an object; the derived function would take a list of its values too.
fn parse_message(body: &[u8]) -> Result<MessageBody, ApplicationError> {
    let invalid = || ApplicationError::of(refusals::INVALID_MESSAGE);
    let said = serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => invalid(),
        _ => ApplicationError::bad_json(&error),
    })?;
    if body.trim_ascii_start().first() == Some(&b'{') { Ok(said) } else { Err(invalid()) }
}

/// `GET /v1/conversations`: a page of the conversations, the newest first.
async fn conversations(tables: &Tables, identity: &Identity, query: Option<&str>) -> Answered {
    let mut query = Query::parse(query)?;
    let limit = query.limit(USUAL_LIMIT, MAX_LIMIT)?;
    let bad_status = || ApplicationError::bad_request("status must be open or closed");
    let status = query.take("status").map(|word| Status::parse(&word).ok_or_else(bad_status)).transpose()?;
    let bad_cursor = |()| ApplicationError::bad_request("cursor must be one that this list has given");
    let after: Option<ListCursor> = match query.take("cursor").as_deref() {
        None | Some("0") => None,
        Some(cursor) => Some(cursor.parse().map_err(bad_cursor)?),
    };
    // Only those who may see all conversations may choose an owner.
    let asked = if identity.role().may(Action::OthersRows) { query.take("owner") } else { None };
    if asked.as_ref().is_some_and(|owner| owner.contains('\0')) {
        return Err(ApplicationError::bad_request("owner must not hold a NUL character"));
    }
    query.none()?;
    let owner = seen_by(identity).or(asked.as_deref());
    let look = async |client: &mut Client| list::conversations(client, owner, status, after, limit).await;
    let found = tables.run(Lane::Search, failed, look).await?;
    Ok(Answer::ok(view::conversations(&found, after, tables.redaction())))
}

/// `GET /v1/conversations/{id}/utterances`: a page of the utterances of one conversation.
async fn utterances(tables: &Tables, identity: &Identity, id: Uuid, query: Option<&str>) -> Answered {
    let mut query = Query::parse(query)?;
    let limit = query.limit(USUAL_LIMIT, MAX_LIMIT)?;
    let digits = |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let after: Option<i32> = match query.take("cursor") {
        None => Some(0),
        Some(cursor) => Some(cursor).filter(digits).and_then(|cursor| cursor.parse().ok()),
    };
    let after = after.ok_or_else(|| ApplicationError::bad_request("cursor must be one that this list has given"))?;
    query.none()?;
    let look = async |client: &mut Client| list::utterances(client, seen_by(identity), id, after, limit).await;
    let found = tables.run(Lane::Search, failed, look).await?;
    let found = found.ok_or_else(ApplicationError::not_found)?;
    Ok(Answer::ok(view::utterances(&found, after, tables.redaction())))
}

/// `POST /v1/conversations/{id}/close`: ends a conversation.
async fn close(tables: &Tables, identity: &Identity, id: Uuid, query: Option<&str>) -> Answered {
    refuse_parameters(query)?;
    let close = async |client: &mut Client| list::close(client, seen_by(identity), id).await;
    let closed = tables.run(Lane::Write, failed, close).await?;
    let closed = closed.ok_or_else(ApplicationError::not_found)?;
    Ok(Answer::ok(view::conversation(&closed, tables.redaction())))
}

impl From<ChatError> for ApplicationError {
    fn from(error: ChatError) -> Self {
        match error {
            ChatError::NotFound => Self::not_found(),
            ChatError::Closed => Self::of(refusals::CONVERSATION_CLOSED),
            ChatError::KeyReused => Self::of(refusals::IDEMPOTENCY_CONFLICT),
            ChatError::Database(error) => error.into(),
        }
    }
}

fn failed(error: tokio_postgres::Error) -> ApplicationError {
    DatabaseError::from(error).into()
}

#[cfg(test)]
mod tests {
    use super::cost;

    #[test]
    fn a_long_message_counts_as_several_and_a_malformed_one_as_one() {
        for (length, messages) in [(0, 1), (1, 1), (4096, 1), (4097, 2), (10_000, 3)] {
            assert_eq!(cost(format!(r#"{{"text":"{}"}}"#, "x".repeat(length)).as_bytes()), messages, "{length}");
        }
        for malformed in ["", "{", "[]", r#"["x"]"#, r#"{"text":1}"#, r#"{"words":"x"}"#] {
            assert_eq!(cost(malformed.as_bytes()), 1, "{malformed}");
        }
    }
}
