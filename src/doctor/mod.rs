//! What a server would find here: one finding for each thing that it depends on. Each check is a small function in the one table of
//! checks; none changes anything, and none repeats a secret.

mod database;
mod finding;
mod journal;
mod published;
mod settings;

use futures_util::future::BoxFuture;

pub use self::finding::{Finding, Verdict};

use self::finding::{Patient, fail};
use crate::config::{ConfigError, Source};
use crate::db::{Connector, DatabaseError, DatabaseUrl};

/// The condition under which a check makes sense. Another check tells that it is not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Needs {
    Nothing,
    Connection,
    Journal,
}

type Outcome<'a> = BoxFuture<'a, Result<Finding, DatabaseError>>;

/// One row of the table.
struct Check {
    what: &'static str,
    needs: Needs,
    look: for<'a> fn(&'a Patient<'a>) -> Outcome<'a>,
}

/// Every check, in the order of the report.
const CHECKS: &[Check] = &[
    Check { what: "configuration", needs: Needs::Nothing, look: |p| Box::pin(settings::configuration(p)) },
    Check { what: "keys", needs: Needs::Nothing, look: |p| Box::pin(settings::keys(p)) },
    Check { what: "redis", needs: Needs::Nothing, look: |p| Box::pin(settings::redis(p)) },
    Check { what: "connection", needs: Needs::Nothing, look: |p| Box::pin(database::connection(p)) },
    Check { what: "version", needs: Needs::Connection, look: |p| Box::pin(database::version(p)) },
    Check { what: "standby", needs: Needs::Connection, look: |p| Box::pin(database::standby(p)) },
    Check { what: "encoding", needs: Needs::Connection, look: |p| Box::pin(database::encoding(p)) },
    Check { what: "listen", needs: Needs::Connection, look: |p| Box::pin(database::listen(p)) },
    Check { what: "clock", needs: Needs::Connection, look: |p| Box::pin(database::clock(p)) },
    Check { what: "session", needs: Needs::Connection, look: |p| Box::pin(database::session(p)) },
    Check { what: "statistics", needs: Needs::Connection, look: |p| Box::pin(database::statistics(p)) },
    Check { what: "signal", needs: Needs::Connection, look: |p| Box::pin(database::signal(p)) },
    Check { what: "prepared", needs: Needs::Connection, look: |p| Box::pin(database::prepared(p)) },
    Check { what: "migrations", needs: Needs::Connection, look: |p| Box::pin(journal::migrations(p)) },
    Check { what: "privileges", needs: Needs::Journal, look: |p| Box::pin(journal::privileges(p)) },
    Check { what: "partitions", needs: Needs::Journal, look: |p| Box::pin(journal::partitions(p)) },
    Check { what: "sequence", needs: Needs::Journal, look: |p| Box::pin(journal::sequence(p)) },
    Check { what: "beyond", needs: Needs::Journal, look: |p| Box::pin(journal::beyond(p)) },
    Check { what: "triggers", needs: Needs::Journal, look: |p| Box::pin(journal::triggers(p)) },
    Check { what: "published", needs: Needs::Journal, look: |p| Box::pin(published::tables(p)) },
    Check { what: "blockers", needs: Needs::Journal, look: |p| Box::pin(journal::blockers(p)) },
];

/// Goes through the table, and reports each finding with its name as soon as it is there. Returns the worst verdict.
pub async fn examine(source: &Source, mut report: impl FnMut(&'static str, Finding)) -> Verdict {
    let connector = source.database_url().ok().and_then(|url| Connector::new(DatabaseUrl::parse(&url).ok()?).ok());
    let client = match &connector {
        // The check of the connection finds out the reason for itself.
        Some(connector) => connector.connect().await.ok().map(|(client, _carrier)| client),
        None => None,
    };
    let journal = match &client {
        Some(client) => journal::is_there(client).await,
        None => false,
    };
    let patient = Patient { source, connector: connector.as_ref(), client: client.as_ref() };
    let has = match (patient.client, journal) {
        (Some(_), true) => Needs::Journal,
        (Some(_), false) => Needs::Connection,
        (None, _) => Needs::Nothing,
    };
    let mut worst = Verdict::Ok;
    for check in CHECKS.iter().filter(|check| check.needs <= has) {
        let finding = (check.look)(&patient).await.unwrap_or_else(|error| fail(error.to_string()));
        worst = worst.max(finding.verdict);
        report(check.what, finding);
    }
    worst
}

/// The one finding when not even the settings can be read, and its name.
pub fn unreadable(error: &ConfigError) -> (&'static str, Finding) {
    ("configuration", fail(error.to_string()))
}
