//! The chat over HTTP: saying something, reading what was said, closing a conversation. Nobody learns here that another's
//! conversation exists.

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::error::Category;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::auth::{Action, Extent, Identity};
use crate::chat::{self, ChatError, ListCursor, Message, Status, Text};
use crate::db::{Lane, Trouble};
use crate::http::request::body::{bad_json, needs_json, read_body};
use crate::http::request::context::Context;
use crate::http::request::idempotency;
use crate::http::request::query::Query;
use crate::http::request::quota::RequestQuota;
use crate::http::request::viewer::requester;
use crate::http::response::json::{Outgoing, json_text};
use crate::http::response::problem::{Problem, sentence};
use crate::http::response::refusals;
use crate::limit::Class;
use crate::view;

/// The most items of one answer, and how many there are if nothing is said.
const MAX_LIMIT: u16 = 200;
const USUAL_LIMIT: u16 = 50;
/// How many bytes of text the rate limit counts as one message.
const COUNTED_BYTES: usize = 4096;

/// Whose conversations one may see: one's own, or as an administrator everybody's.
fn seen_by(identity: &Identity) -> Option<&str> {
    (identity.role().extent(Action::Chat) < Extent::All).then(|| identity.subject().as_ref())
}

/// The body of a message.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageBody {
    text: String,
    #[serde(default)]
    conversation: Option<Uuid>,
}

/// `POST /v1/chat`: keeps a message of a client, and answers it.
pub(in crate::http) async fn say(
    context: &Context,
    identity: &Identity,
    quota: &RequestQuota,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    Query::parse(request.uri().query())?.none()?;
    let key = idempotency::key(request.headers())?;
    needs_json(request.headers())?;
    let said = parse_message(&read_body(request.into_body()).await?);
    // A message that makes no sense costs as a short one: reading it cost something too.
    let cost = said.as_ref().map_or(1, |said| said.text.len().div_ceil(COUNTED_BYTES).max(1));
    quota.spend_of(context, Class::Chat, identity.subject(), u32::try_from(cost).unwrap_or(u32::MAX)).await?;
    let said = said?;
    let text =
        Text::parse(&said.text).map_err(|bad| Problem::because(refusals::INVALID_TEXT, sentence(&bad.to_string())))?;
    let message = Message { subject: identity.subject().to_string(), text, conversation: said.conversation, key };
    let (chat, database) = (context.chat.clone(), context.database.clone());
    // A task of its own: what was said is kept, and answered, also when the one who said it is gone meanwhile.
    let saying = tokio::spawn(async move { chat.say(&database, &message).await });
    let exchange = saying.await.map_err(|_| Problem::internal())??;
    let mut response = json_text(view::chat::exchange(&exchange, &context.redaction));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// The message of a body. An object and nothing else: left to itself serde would take a list of its values too.
fn parse_message(body: &[u8]) -> Result<MessageBody, Problem> {
    let invalid = || Problem::of(refusals::INVALID_MESSAGE);
    let said = serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => invalid(),
        _ => bad_json(error.line(), error.column()),
    })?;
    if body.trim_ascii_start().first() == Some(&b'{') { Ok(said) } else { Err(invalid()) }
}

/// `GET /v1/conversations`: a page of the conversations, the newest first.
pub(in crate::http) async fn conversations(
    context: &Context,
    identity: &Identity,
    query: Option<&str>,
) -> Result<Response<Outgoing>, Problem> {
    let mut query = Query::parse(query)?;
    let limit = query.limit(USUAL_LIMIT, MAX_LIMIT)?;
    let bad_status = || Problem::bad_request("status must be open or closed");
    let status = query.take("status").map(|word| Status::parse(&word).ok_or_else(bad_status)).transpose()?;
    let bad_cursor = |()| Problem::bad_request("cursor must be one that this list has given");
    let after: Option<ListCursor> = match query.take("cursor").as_deref() {
        None | Some("0") => None,
        Some(cursor) => Some(cursor.parse().map_err(bad_cursor)?),
    };
    // Only who may see everybody's can ask for somebody's.
    let asked = if identity.role().may(Action::OthersRows) { query.take("owner") } else { None };
    if asked.as_ref().is_some_and(|owner| owner.contains('\0')) {
        return Err(Problem::bad_request("owner must not hold a NUL character"));
    }
    query.none()?;
    let owner = seen_by(identity).or(asked.as_deref());
    let look = async |client: &mut Client| chat::conversations(client, owner, status, after, limit).await;
    let found = context.database.run_for(Lane::Search, &requester(identity), look).await;
    let found = found.map_err(|trouble| unavailable(&trouble))?.map_err(failed)?;
    Ok(json_text(view::chat::conversations(&found, after, &context.redaction)))
}

/// `GET /v1/conversations/{id}/utterances`: a page of what was said in one conversation.
pub(in crate::http) async fn utterances(
    context: &Context,
    identity: &Identity,
    id: Uuid,
    query: Option<&str>,
) -> Result<Response<Outgoing>, Problem> {
    let mut query = Query::parse(query)?;
    let limit = query.limit(USUAL_LIMIT, MAX_LIMIT)?;
    let digits = |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let after: Option<i32> = match query.take("cursor") {
        None => Some(0),
        Some(cursor) => Some(cursor).filter(digits).and_then(|cursor| cursor.parse().ok()),
    };
    let after = after.ok_or_else(|| Problem::bad_request("cursor must be one that this list has given"))?;
    query.none()?;
    let look = async |client: &mut Client| chat::utterances(client, seen_by(identity), id, after, limit).await;
    let found = context.database.run_for(Lane::Search, &requester(identity), look).await;
    let found = found.map_err(|trouble| unavailable(&trouble))?.map_err(failed)?;
    let found = found.ok_or_else(Problem::not_found)?;
    Ok(json_text(view::chat::utterances(&found, after, &context.redaction)))
}

/// `POST /v1/conversations/{id}/close`: ends a conversation.
pub(in crate::http) async fn close(
    context: &Context,
    identity: &Identity,
    id: Uuid,
    query: Option<&str>,
) -> Result<Response<Outgoing>, Problem> {
    Query::parse(query)?.none()?;
    let close = async |client: &mut Client| chat::close(client, seen_by(identity), id).await;
    let closed = context.database.run_for(Lane::Write, &requester(identity), close).await;
    let closed = closed.map_err(|trouble| unavailable(&trouble))?.map_err(failed)?;
    let closed = closed.ok_or_else(Problem::not_found)?;
    Ok(json_text(view::chat::conversation(&closed, &context.redaction)))
}

impl From<ChatError> for Problem {
    fn from(error: ChatError) -> Self {
        match error {
            ChatError::NotFound => Self::not_found(),
            ChatError::Closed => Self::of(refusals::CONVERSATION_CLOSED),
            ChatError::KeyReused => Self::of(refusals::IDEMPOTENCY_CONFLICT),
            ChatError::Database(trouble) => unavailable(&trouble),
        }
    }
}

fn failed(error: tokio_postgres::Error) -> Problem {
    unavailable(&Trouble::from(error))
}

fn unavailable(trouble: &Trouble) -> Problem {
    Problem::database_away("the chat cannot reach its tables", trouble)
}
