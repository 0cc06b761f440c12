//! What Postgres does by itself: the schema and its migrations, the journal's functions, the bell, published tables, the public taxonomy.

mod bell;
pub(crate) mod journal;
mod migrations;
mod public_taxonomy;
mod publish;
mod refinery_cli;
mod schema;
