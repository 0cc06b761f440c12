//! The one row about the journal.

use super::{number, refused_with, run};
use crate::support;

#[tokio::test]
async fn the_state_is_one_row_that_never_goes_backwards() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    run(&client, "update rowcast.journal_state set head = 10, trimmed_through = 5").await;
    let backwards = "rowcast.journal_state never goes backwards";
    for change in ["head = 9", "trimmed_through = 4", "head = 11, trimmed_through = 4", "head = 9, trimmed_through = 6"]
    {
        refused_with(&client, &format!("update rowcast.journal_state set {change}"), "55000", backwards).await;
    }
    for (change, constraint) in [
        ("trimmed_through = 11", "journal_state_head_covers_what_was_trimmed"),
        ("min_version = 0", "journal_state_min_version_check"),
        ("partition_rows = 999", "journal_state_partition_rows_check"),
        ("partition_rows = 1099511627777", "journal_state_partition_rows_check"),
        ("partitions_ahead = 1", "journal_state_partitions_ahead_check"),
        ("partitions_ahead = 257", "journal_state_partitions_ahead_check"),
        ("singleton = false", "journal_state_is_one_row"),
    ] {
        refused_with(&client, &format!("update rowcast.journal_state set {change}"), "23514", constraint).await;
    }
    for sql in [
        "delete from rowcast.journal_state",
        "delete from rowcast.journal_state where false",
        "truncate rowcast.journal_state",
    ] {
        refused_with(&client, sql, "55000", "one row that stays").await;
    }
    refused_with(&client, "insert into rowcast.journal_state default values", "23505", "journal_state_pkey").await;
    run(
        &client,
        "update rowcast.journal_state set head = 10, trimmed_through = 10, partition_rows = 1000, partitions_ahead = 2",
    )
    .await;
    assert_eq!(number(&client, "select head + trimmed_through from rowcast.journal_state").await, 20);
}

#[tokio::test]
async fn a_change_of_the_state_carries_its_time() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    run(&client, "update rowcast.journal_state set head = 1, updated_at = '2000-01-01'").await;
    let recent =
        "select count(*) from rowcast.journal_state where updated_at > clock_timestamp() - interval '1 minute'";
    assert_eq!(number(&client, recent).await, 1);
}
