//! The errors of the trading tables as a client is told of them.

use crate::application::ApplicationError;
use crate::db::DatabaseError;
use crate::refusals::{IDEMPOTENCY_CONFLICT, Refusal, sentence};
use crate::trading::error::TradingError;

/// The error that a client is told, with this refusal for a value that cannot be stored.
pub(super) fn refused(error: TradingError, invalid: &'static Refusal) -> ApplicationError {
    match error {
        TradingError::NotFound => ApplicationError::not_found(),
        TradingError::State { state, reason } => ApplicationError::state_conflict(&reason, state),
        TradingError::Reused => ApplicationError::because(IDEMPOTENCY_CONFLICT, sentence(&error.to_string())),
        TradingError::Invalid(reason) => ApplicationError::because(invalid, sentence(&reason)),
        TradingError::Postgres(error) => DatabaseError::from(error).into(),
    }
}
