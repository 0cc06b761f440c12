//! `rowcast migrate`.

use clap::ArgMatches;

use super::{Failure, output};
use crate::config::Source;
use crate::db::migrate::{self, Status};
use crate::db::{Connector, DatabaseError, DatabaseUrl};

/// Applies what is missing, or with `--check` only says what that is.
pub(super) async fn run(source: &Source, args: &ArgMatches) -> Result<(), Failure> {
    let connector = Connector::new(DatabaseUrl::parse(&source.database_url()?)?)?;
    let (mut client, _carrier) = connector.connect().await.map_err(DatabaseError::from)?;
    if args.get_flag("check") {
        return match migrate::status(&client).await? {
            Status::Behind(missing) => {
                missing.iter().for_each(|name| output::print(&format!("missing {name}")));
                Err(Failure::Told)
            }
            Status::Current => tell_done("the schema is up to date"),
            Status::Ahead(version) => tell_done(&format!("the schema is ahead, at V{version}, and allows this binary")),
        };
    }
    let applied = migrate::run(&mut client).await?;
    if applied.is_empty() {
        return tell_done("nothing to do: the schema is up to date");
    }
    applied.iter().for_each(|name| output::print(&format!("applied {name}")));
    Ok(())
}

fn tell_done(line: &str) -> Result<(), Failure> {
    output::print(line);
    Ok(())
}
