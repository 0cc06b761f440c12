//! The journal: appending, querying, retention, partitions, and the commands for them.

mod append_events;
mod partition_upkeep;
mod plans;
mod query;
mod trim;
mod trimmed_keys;

use rowcast::journal::{self, NewEvent, SQL_SCOPE};
use tokio_postgres::Client;

use crate::support::{TestDb, migrated_database};

/// A database whose journal is cut into partitions of so many rows.
pub(crate) async fn database_of(partition_rows: i64, ahead: i32) -> TestDb {
    let db = migrated_database().await;
    let client = db.client().await;
    let sql = format!(
        "do $$
         declare name text;
         begin
             for name in select inhrelid::regclass::text from pg_inherits where inhparent = 'rowcast.events'::regclass loop
                 execute 'drop table ' || name;
             end loop;
             update rowcast.journal_state set partition_rows = {partition_rows}, partitions_ahead = {ahead};
             perform rowcast.ensure_partitions();
         end $$"
    );
    client.batch_execute(&sql).await.unwrap();
    db
}

/// Fills the journal with so many events in one statement; they are of now, and decided.
pub(crate) async fn fill(client: &Client, events: i64) {
    let sql = format!(
        "insert into rowcast.events (type, symbol) select 'fill.made', 's' || i % 10 from generate_series(1, {events}) i"
    );
    client.batch_execute(&sql).await.unwrap();
    client.execute("select rowcast.ensure_partitions()", &[]).await.unwrap();
}

/// What the server writes once a second.
pub(crate) async fn write_head(client: &Client) {
    let sql = "update rowcast.journal_state set head = greatest(head, (select last_value from rowcast.events_seq_seq))";
    client.batch_execute(sql).await.unwrap();
}

/// The names of the attached partitions, by their bounds.
pub(crate) async fn partitions(client: &Client) -> Vec<String> {
    let all = journal::partitions::attached(client).await.unwrap();
    all.into_iter().map(|p| p.name).collect()
}

/// One number.
pub(crate) async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Appends an event with a dedupe key.
pub(crate) async fn append_keyed(client: &Client, kind: &str, key: &str) -> journal::Appended {
    let mut event = NewEvent::new(kind);
    event.dedupe_key = Some(key.to_owned());
    journal::append(client, SQL_SCOPE, &event).await.unwrap()
}
