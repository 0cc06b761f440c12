//! `rowcast speaker`: makes bots and users of the chat without SQL.

use clap::ArgMatches;

use super::{Failure, output};
use crate::chat;
use crate::config::Source;
use crate::db::{Connector, DatabaseError, DatabaseUrl};

/// Makes the speaker and prints its id. Repeated, it prints the same one.
pub(super) async fn run(source: &Source, args: &ArgMatches) -> Result<(), Failure> {
    let text = |name: &str| args.get_one::<String>(name).map(String::as_str);
    let connector = Connector::new(DatabaseUrl::parse(&source.database_url()?)?)?;
    let (client, _carrier) = connector.connect().await.map_err(DatabaseError::from)?;
    let made = match (text("bot"), text("sub")) {
        (Some(name), _) => chat::make_bot(&client, name).await,
        (None, Some(subject)) => chat::make_user(&client, subject, text("name")).await,
        (None, None) => return Err(Failure::Usage("one of --bot and --sub is needed".to_owned())),
    };
    output::print(&made.map_err(refused)?.to_string());
    Ok(())
}

/// A value that the table refuses is the caller's to mend, in the words of the constraint's name.
fn refused(error: tokio_postgres::Error) -> Failure {
    let constraint = error.as_db_error().and_then(|refusal| refusal.constraint());
    match constraint {
        Some("speakers_name_check") => Failure::Usage("a name has 1 to 200 characters, and not only blanks".to_owned()),
        Some("speakers_subject_check") => Failure::Usage("--sub has 1 to 256 bytes".to_owned()),
        _ => Failure::Database(error.into()),
    }
}
