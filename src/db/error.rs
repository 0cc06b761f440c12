//! Reasons for which the database does not answer.

use std::time::Duration;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// The most characters of a message of Postgres that are kept: functions of users may raise any.
const MESSAGE_CHARS: usize = 1000;

/// A reason for which the database does not answer, in words for the operator. Clients never see this text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// Nothing listens there, or the way is cut.
    #[error("Postgres cannot be reached: {0}")]
    Unreachable(String),
    /// Postgres refuses this user.
    #[error("Postgres refuses the login, check user and password in DATABASE_URL: {0}")]
    Login(String),
    /// Postgres has no database of this name.
    #[error("Postgres has no such database, check DATABASE_URL: {0}")]
    NoDatabase(String),
    /// Postgres starts, stops or recovers.
    #[error("Postgres is not ready: {0}")]
    NotReady(String),
    /// Postgres did not answer in time.
    #[error("Postgres did not answer within {0:?}")]
    Slow(Duration),
    /// Postgres answers and takes no writes.
    #[error("Postgres takes no writes: {0}")]
    ReadOnly(String),
    /// Too many others wait for a connection of this lane, or the same requester waits too often.
    #[error("no connection for a {0} was free in time: too many wait")]
    Busy(&'static str),
    /// The connection leads to another server or history than the one that the tail follows.
    #[error(
        "this is not the server and history that the stream follows: a standby, or one after a failover or restore"
    )]
    Elsewhere,
    /// Anything else.
    #[error("Postgres answered with an error: {0}")]
    Other(String),
}

impl DatabaseError {
    /// A stable word for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Login(_) => "login",
            Self::NoDatabase(_) => "no_database",
            Self::NotReady(_) => "not_ready",
            Self::Slow(_) => "slow",
            Self::ReadOnly(_) => "read_only",
            Self::Busy(_) => "busy",
            Self::Elsewhere => "elsewhere",
            Self::Other(_) => "other",
        }
    }
}

impl From<&Error> for DatabaseError {
    fn from(error: &Error) -> Self {
        let Some(db) = error.as_db_error() else {
            let why = std::error::Error::source(error).map_or_else(|| error.to_string(), |s| format!("{error}: {s}"));
            return Self::Unreachable(why);
        };
        let message: String = db.message().chars().take(MESSAGE_CHARS).collect();
        let says = format!("{message} (SQLSTATE {})", db.code().code());
        match *db.code() {
            SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => Self::Login(says),
            SqlState::INVALID_CATALOG_NAME => Self::NoDatabase(says),
            SqlState::CANNOT_CONNECT_NOW | SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN => Self::NotReady(says),
            SqlState::READ_ONLY_SQL_TRANSACTION => Self::ReadOnly(says),
            _ => Self::Other(says),
        }
    }
}

impl From<Error> for DatabaseError {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}
