//! The tables of the trading application, as a handler reaches them.

use tokio_postgres::Client;

use crate::auth::Identity;
use crate::db::{Database, Lane, Requester, Trouble};
use crate::http::request::context::Context;
use crate::http::request::viewer::requester;
use crate::http::response::problem::{Problem, sentence};
use crate::http::response::refusals::{IDEMPOTENCY_CONFLICT, Refusal};
use crate::trading::Error;
use crate::view::Redaction;

/// The database, the requester whose share of it is used, and the words that answers hide.
pub(super) struct Tables<'a> {
    database: &'a Database,
    requester: Requester,
    pub(super) redaction: &'a Redaction,
}

impl<'a> Tables<'a> {
    /// For the subject of a token.
    pub(super) fn of(context: &'a Context, identity: &Identity) -> Self {
        Self::for_requester(context, requester(identity))
    }

    /// For a requester who needs no token.
    pub(super) fn for_requester(context: &'a Context, requester: Requester) -> Self {
        Self { database: &context.database, requester, redaction: &context.redaction }
    }

    /// Runs statements on the trading tables. `problem` says how a client is told of their errors.
    pub(super) async fn run<T>(
        &self,
        lane: Lane,
        problem: impl FnOnce(Error) -> Problem,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Problem> {
        let outcome = self.database.run_for(lane, &self.requester, work).await;
        outcome.map_err(|trouble| unavailable(&trouble))?.map_err(problem)
    }
}

/// The problem that a client is told, with this refusal for a value that cannot be stored.
pub(super) fn problem(error: Error, invalid: &'static Refusal) -> Problem {
    match error {
        Error::NotFound => Problem::not_found(),
        Error::State { state, reason } => Problem::state_conflict(sentence(&reason), &state),
        Error::Reused => Problem::because(IDEMPOTENCY_CONFLICT, sentence(&error.to_string())),
        Error::Invalid(reason) => Problem::because(invalid, sentence(&reason)),
        Error::Postgres(error) => unavailable(&Trouble::from(error)),
    }
}

fn unavailable(trouble: &Trouble) -> Problem {
    Problem::database_away("the trading tables cannot be reached", trouble)
}
