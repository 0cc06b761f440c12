//! `sql/schema.sql` loads into an empty database and makes what the migrations make.

use super::catalog;
use super::facts::differences;
use super::read_in_repository;
use crate::support;

const DUMP: &str = "sql/schema.sql";

#[tokio::test]
async fn the_committed_dump_makes_what_the_migrations_make() {
    let (loaded, migrated) = tokio::join!(support::empty_database(), support::migrated_database());
    let client = loaded.client().await;
    client.batch_execute(&read_in_repository(DUMP)).await.unwrap();
    let in_dump = catalog::read(&client).await;
    let in_database = catalog::read(&migrated.client().await).await;
    let lines = differences((DUMP, &in_dump), ("the migrated database", &in_database));
    assert!(lines.is_empty(), "run scripts/schema-dump; {} differences:\n{}", lines.len(), lines.join("\n"));
}

#[test]
fn the_dump_holds_no_commands_of_psql_and_no_history() {
    let text = read_in_repository(DUMP);
    for line in text.lines() {
        assert!(!line.starts_with('\\'), "{line}");
        assert!(!line.contains("refinery_schema_history"), "{line}");
    }
}
