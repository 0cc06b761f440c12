//! The database as an application reaches it for one request.

use tokio_postgres::Client;

use super::ApplicationError;
use crate::db::{Database, Lane, Requester};
use crate::view::Redaction;

/// The database, the requester whose share of it is used, and the rules by which answers hide secrets. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tables {
    database: Database,
    requester: Requester,
    redaction: Redaction,
}

impl Tables {
    /// The tables for the request of this requester.
    pub fn new(database: Database, requester: Requester, redaction: Redaction) -> Self {
        Self { database, requester, redaction }
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The rules by which answers hide secrets.
    pub fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    /// Runs statements on a connection of a lane. `to_answer` makes the answer of an error of theirs.
    pub async fn run<T, E>(
        &self,
        lane: Lane,
        to_answer: impl FnOnce(E) -> ApplicationError,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, E>,
    ) -> Result<T, ApplicationError> {
        self.database.run_for(lane, &self.requester, work).await?.map_err(to_answer)
    }
}
