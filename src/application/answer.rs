//! The answers of an endpoint: a document that has passed redaction, or an error whose code stands in the table of refusals.

use std::borrow::Cow;

use crate::db::DatabaseError;
use crate::query::BadQuery;
use crate::refusals::{self, Refusal, sentence};
use crate::view::Document;

/// The outcome of an endpoint.
pub type Answered = Result<Answer, ApplicationError>;

/// A document with its status.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: Status,
    /// Its body.
    pub document: Document,
}

/// The status of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 200
    Ok,
    /// 201: the request has created something.
    Created,
}

impl Answer {
    /// 200 with this document.
    pub fn ok(document: Document) -> Self {
        Self { status: Status::Ok, document }
    }

    /// 201 with this document.
    pub fn created(document: Document) -> Self {
        Self { status: Status::Created, document }
    }
}

/// The error of an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    /// The request is refused.
    #[error("{}: {detail}", refusal.code)]
    Refused {
        /// The row of the table of refusals.
        refusal: &'static Refusal,
        /// The sentence for a person.
        detail: Cow<'static, str>,
        /// The present state, where that is why the request is refused.
        state: Option<String>,
    },
    /// The database could not be asked, or failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl ApplicationError {
    /// A refusal, with the sentence of the table.
    pub fn of(refusal: &'static Refusal) -> Self {
        Self::because(refusal, refusal.sentence)
    }

    /// A refusal, with a sentence that says more than the table's.
    pub fn because(refusal: &'static Refusal, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Refused { refusal, detail: detail.into(), state: None }
    }

    /// 400
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::because(refusals::BAD_REQUEST, detail)
    }

    /// 400 for a body that is not JSON, with the place of the error.
    pub fn bad_json(error: &serde_json::Error) -> Self {
        Self::because(refusals::BAD_JSON, refusals::not_json(error.line(), error.column()))
    }

    /// 404
    pub fn not_found() -> Self {
        Self::of(refusals::NOT_FOUND)
    }

    /// 409, with the present state and the reason for which it does not allow the request.
    pub fn state_conflict(reason: &str, state: String) -> Self {
        Self::Refused { refusal: refusals::STATE_CONFLICT, detail: sentence(reason).into(), state: Some(state) }
    }
}

impl From<BadQuery> for ApplicationError {
    fn from(bad: BadQuery) -> Self {
        Self::bad_request(bad.to_string())
    }
}
