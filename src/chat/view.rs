//! The documents of the chat: the only types here that serialize. Their objects have the fields of the chat's events, and pass
//! through the same redaction, so that a page shows the same whether it reads a list or follows the stream.

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::list::{ListCursor, ListPage};
use super::model::{Conversation, Exchange, Kind, Outcome, Status, Utterance};
use crate::view::{Document, Redaction, instant_text};

/// A conversation.
#[derive(Debug, Serialize)]
struct ConversationObject<'a> {
    id: Uuid,
    owner: &'a str,
    status: &'static str,
    opened_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_at: Option<String>,
}

impl<'a> From<&'a Conversation> for ConversationObject<'a> {
    fn from(of: &'a Conversation) -> Self {
        Self {
            id: of.id,
            owner: &of.owner,
            status: Status::as_str(of.status),
            opened_at: instant_text(of.opened_at.shown()),
            closed_at: of.closed_at.map(|at| instant_text(at.shown())),
        }
    }
}

/// Something that was said.
#[derive(Debug, Serialize)]
struct UtteranceObject<'a> {
    id: Uuid,
    conversation_id: Uuid,
    position: i32,
    speaker: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    text: &'a str,
    #[serde(serialize_with = "crate::view::instant")]
    said_at: OffsetDateTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<Uuid>,
    r#final: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
}

impl<'a> From<&'a Utterance> for UtteranceObject<'a> {
    fn from(of: &'a Utterance) -> Self {
        Self {
            id: of.id,
            conversation_id: of.conversation_id,
            position: of.position,
            speaker: Kind::as_str(of.speaker),
            name: of.name.as_deref(),
            text: &of.text,
            said_at: of.said_at.shown(),
            answers: of.answers,
            r#final: of.is_final,
            outcome: of.outcome.map(Outcome::as_str),
        }
    }
}

/// A message and its answer.
#[derive(Debug, Serialize)]
struct ExchangeObject<'a> {
    conversation: ConversationObject<'a>,
    utterance: UtteranceObject<'a>,
    answer: Vec<UtteranceObject<'a>>,
    outcome: &'static str,
}

/// A page of a list.
#[derive(Debug, Serialize)]
struct Page<T> {
    items: Vec<T>,
    cursor: String,
    more: bool,
}

/// A conversation as a document.
pub(super) fn conversation(of: &Conversation, redaction: &Redaction) -> Document {
    Document::of(&ConversationObject::from(of), redaction)
}

/// A message and its answer as a document.
pub(super) fn exchange(of: &Exchange, redaction: &Redaction) -> Document {
    let object = ExchangeObject {
        conversation: (&of.conversation).into(),
        utterance: (&of.said).into(),
        answer: of.answer.iter().map(Into::into).collect(),
        outcome: of.said.outcome.unwrap_or(Outcome::Failed).as_str(),
    };
    Document::of(&object, redaction)
}

/// A page of conversations as a document. The cursor of one without items is that of the request.
pub(super) fn conversations(of: &ListPage<Conversation>, after: Option<ListCursor>, redaction: &Redaction) -> Document {
    let cursor = of.items.last().map(ListCursor::of).or(after).map_or_else(|| "0".to_owned(), |c| c.to_string());
    let items = of.items.iter().map(ConversationObject::from).collect();
    Document::of(&Page { items, cursor, more: of.more }, redaction)
}

/// A page of utterances as a document. The cursor of one without items is that of the request.
pub(super) fn utterances(of: &ListPage<Utterance>, after: i32, redaction: &Redaction) -> Document {
    let cursor = of.items.last().map_or(after, |last| last.position).to_string();
    let items = of.items.iter().map(UtteranceObject::from).collect();
    Document::of(&Page { items, cursor, more: of.more }, redaction)
}
