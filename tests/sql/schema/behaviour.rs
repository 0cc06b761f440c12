//! What the constraints, triggers, grants and functions do, shown against a migrated database.

mod append_event;
mod append_only;
mod conversations;
mod event_limits;
mod event_times;
mod event_values;
mod journal_state;
mod partitions;
mod privileges;
mod query_events;
mod trades_and_orders;

use tokio_postgres::Client;
use tokio_postgres::error::DbError;

use crate::support::until;

/// Why Postgres refuses this. Panics if it does not.
async fn refused(client: &Client, sql: &str) -> DbError {
    match client.simple_query(sql).await {
        Ok(_) => panic!("not refused: {sql}"),
        Err(error) => error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error}")).clone(),
    }
}

async fn refused_with(client: &Client, sql: &str, code: &str, message: &str) {
    let error = refused(client, sql).await;
    assert_eq!(error.code().code(), code, "{sql}: {error}");
    assert!(error.message().contains(message), "{sql}: {error}");
}

async fn run(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// The first column of every row, as numbers.
async fn numbers(client: &Client, sql: &str) -> Vec<i64> {
    let rows = client.query(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

async fn number(client: &Client, sql: &str) -> i64 {
    let numbers = numbers(client, sql).await;
    assert_eq!(numbers.len(), 1, "{sql}");
    numbers[0]
}

/// Waits until some session is blocked by another's lock, so that a test knows which of two came first.
async fn until_somebody_waits(client: &Client) {
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    until("somebody waits for a lock", || async { number(client, waiting).await > 0 }).await;
}
