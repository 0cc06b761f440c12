//! The errors of the trading tables as a client is told of them.

use crate::application::ApplicationError;
use crate::db::DatabaseError;
use crate::refusals::{IDEMPOTENCY_CONFLICT, Refusal, sentence};
use crate::trading::error::Error;

/// The error that a client is told, with this refusal for a value that cannot be stored.
pub(super) fn refused(error: Error, invalid: &'static Refusal) -> ApplicationError {
    match error {
        Error::NotFound => ApplicationError::not_found(),
        Error::State { state, reason } => ApplicationError::state_conflict(&reason, state),
        Error::Reused => ApplicationError::because(IDEMPOTENCY_CONFLICT, sentence(&error.to_string())),
        Error::Invalid(reason) => ApplicationError::because(invalid, sentence(&reason)),
        Error::Postgres(error) => DatabaseError::from(error).into(),
    }
}
