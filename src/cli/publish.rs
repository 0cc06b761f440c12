//! `rowcast publish` and `rowcast unpublish`: the SQL functions of that name, from a shell.

use clap::ArgMatches;
use postgres_types::Type;
use tokio_postgres::{Client, Row};

use super::{Failure, output};
use crate::config::Source;
use crate::db::{Connector, DatabaseError, DatabaseUrl};

/// Left out means null, which is the default of each of these arguments.
const PUBLISH: &str = "\
    select rowcast.publish($1::text::regclass, columns => $2, owner_column => $3, public_safe => $4, type_prefix => $5, \
                           subject_column => $6, symbol_column => $7, trade_id_column => $8, map => $9, force => $10, \
                           state_key => $11, removed_types => $12)";

const UNPUBLISH: &str = "select rowcast.unpublish($1::text::regclass)";

const LIST: &str = "\
    select format('%I.%I', n.nspname, c.relname), type_prefix, array_to_string(columns, ','), \
           concat_ws(' ', 'subject_column=' || subject_column, 'owner_column=' || owner_column, \
                     'symbol_column=' || symbol_column, 'trade_id_column=' || trade_id_column, 'map=' || map, \
                     'state_key=' || array_to_string(state_key, ','), \
                     case when public_safe then 'public_safe' end) \
      from rowcast.published \
      join pg_catalog.pg_class c on c.oid = table_name \
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
     order by 1";

/// Whether anything of these types may reach a public view; a mapping function names types that are not known here.
const LISTED: &str = "select exists (select from rowcast.event_types where type = $1 || '.inserted')";

/// Publishes a table and prints the prefix of its events' types, or lists what is published.
pub(super) async fn publish(source: &Source, args: &ArgMatches) -> Result<(), Failure> {
    let client = connect(source).await?;
    if args.get_flag("list") {
        for row in client.query_typed(LIST, &[]).await.map_err(said)? {
            output::print(&line_of(&row).map_err(said)?);
        }
        return Ok(());
    }
    let text = |name: &str| args.get_one::<String>(name).cloned();
    let list = |name: &str| args.get_many::<String>(name).map(|all| all.cloned().collect::<Vec<_>>());
    let (columns, state_key, removed_types) = (list("columns"), list("state-key"), list("removed-types"));
    let (public_safe, map) = (args.get_flag("public-safe"), text("map"));
    let row = client
        .query_typed_one(
            PUBLISH,
            &[
                (&text("table"), Type::TEXT),
                (&columns, Type::TEXT_ARRAY),
                (&text("owner-column"), Type::TEXT),
                (&public_safe, Type::BOOL),
                (&text("type-prefix"), Type::TEXT),
                (&text("subject-column"), Type::TEXT),
                (&text("symbol-column"), Type::TEXT),
                (&text("trade-id-column"), Type::TEXT),
                (&map, Type::TEXT),
                (&args.get_flag("force"), Type::BOOL),
                (&state_key, Type::TEXT_ARRAY),
                (&removed_types, Type::TEXT_ARRAY),
            ],
        )
        .await
        .map_err(said)?;
    let prefix: String = row.try_get(0).map_err(said)?;
    if public_safe && map.is_none() {
        let listed = client.query_typed_one(LISTED, &[(&prefix, Type::TEXT)]).await.map_err(said)?;
        if !listed.try_get::<_, bool>(0).map_err(said)? {
            output::tell(&format!(
                "nothing reaches a public view until {prefix}.inserted (updated, deleted) and its public fields are \
                 listed in rowcast.event_types"
            ));
        }
    }
    output::print(&prefix);
    Ok(())
}

/// Stops publishing a table. That it was not published is no failure: afterwards it is not.
pub(super) async fn unpublish(source: &Source, args: &ArgMatches) -> Result<(), Failure> {
    let client = connect(source).await?;
    let table = args.get_one::<String>("table").cloned().unwrap_or_default();
    let row = client.query_typed_one(UNPUBLISH, &[(&table, Type::TEXT)]).await.map_err(said)?;
    let was: bool = row.try_get(0).map_err(said)?;
    output::print(&if was { format!("unpublished {table}") } else { format!("{table} was not published") });
    Ok(())
}

/// Table, prefix, columns and options, with tabs between them.
fn line_of(row: &Row) -> Result<String, tokio_postgres::Error> {
    let mut line = row.try_get::<_, String>(0)?;
    for at in 1..4 {
        line.push('\t');
        line.push_str(row.try_get::<_, Option<&str>>(at)?.unwrap_or_default());
    }
    Ok(line)
}

async fn connect(source: &Source) -> Result<Client, Failure> {
    let connector = Connector::new(DatabaseUrl::parse(&source.database_url()?)?)?;
    let (client, _carrier) = connector.connect().await.map_err(DatabaseError::from)?;
    Ok(client)
}

/// The message of Postgres in its own words: it knows the table and the rights better than this command.
fn said(error: tokio_postgres::Error) -> Failure {
    let Some(db) = error.as_db_error() else { return DatabaseError::from(error).into() };
    let hint = db.hint().map_or_else(String::new, |hint| format!(" ({hint})"));
    // One line, whatever a name in it holds.
    Failure::Said(format!("{}{hint}", db.message()).replace(['\n', '\r'], " "))
}
