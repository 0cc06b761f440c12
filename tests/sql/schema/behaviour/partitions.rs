//! Partitions lie ahead of the sequence, so that an insert never lacks one.

use super::{number, numbers, refused_with, run};
use crate::support;
use tokio_postgres::Client;

/// Lower and upper bound of each partition, in order.
const BOUNDS: &str = "select bound[1]::bigint as lower, bound[2]::bigint as upper
      from pg_inherits i join pg_class c on c.oid = i.inhrelid,
           regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \\(''(\\d+)''\\) TO \\(''(\\d+)''\\)') bound
     where i.inhparent = 'rowcast.events'::regclass order by 1";

async fn ensure(client: &Client) -> i64 {
    number(client, "select rowcast.ensure_partitions()::bigint").await
}

/// How many rows fit into the partitions that lie wholly ahead of the sequence.
async fn rows_ahead(client: &Client) -> i64 {
    number(
        client,
        &format!(
            "select sum(upper - lower)::bigint from ({BOUNDS}) b
              where lower > (select case when is_called then last_value else 0 end from rowcast.events_seq_seq)"
        ),
    )
    .await
}

async fn without_a_gap(client: &Client) {
    let gaps = format!(
        "select count(*) from (select lower, lag(upper) over (order by lower) as before from ({BOUNDS}) b) g where before <> lower"
    );
    assert_eq!(number(client, &gaps).await, 0);
}

/// A fresh journal cut into partitions of 1000 rows.
async fn cut_small(client: &Client) {
    run(
        client,
        "do $$ declare p regclass; begin
             for p in select inhrelid::regclass from pg_inherits where inhparent = 'rowcast.events'::regclass loop
                 execute format('drop table %s', p);
             end loop;
         end $$;
         update rowcast.journal_state set partition_rows = 1000, partitions_ahead = 3;",
    )
    .await;
    assert_eq!(ensure(client).await, 3);
}

#[tokio::test]
async fn a_year_without_a_server_fits_at_100_rows_a_second() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    let year = 100 * 365 * 24 * 3600;
    assert!(rows_ahead(&client).await >= year);
    run(&client, "insert into rowcast.events (type) values ('a')").await;
    assert_eq!(ensure(&client).await, 1);
    assert!(rows_ahead(&client).await >= year);
    without_a_gap(&client).await;
}

#[tokio::test]
async fn ensuring_partitions_again_makes_none() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    assert_eq!([ensure(&client).await, ensure(&client).await], [0, 0]);
    assert_eq!(numbers(&client, BOUNDS).await.len(), 25);
}

#[tokio::test]
async fn ten_sessions_ensure_partitions_at_once_while_others_write() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    run(&client, "update rowcast.journal_state set partitions_ahead = 40").await;
    let mut sessions = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let session = db.client().await;
        sessions.spawn(async move {
            run(&session, "insert into rowcast.events (type) values ('a')").await;
            ensure(&session).await
        });
    }
    let made: i64 = sessions.join_all().await.into_iter().sum();
    // 15 more than there were, and one for the partition that is now in use.
    assert_eq!(made, 16);
    assert_eq!(ensure(&client).await, 0);
    assert_eq!(number(&client, "select count(*) from rowcast.events").await, 10);
    without_a_gap(&client).await;
}

#[tokio::test]
async fn inserts_cross_from_one_partition_into_the_next() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    cut_small(&client).await;
    run(&client, "insert into rowcast.events (type) select 'a' from generate_series(1, 2500)").await;
    let filled = "select count(*) from rowcast.events group by tableoid order by min(seq)";
    assert_eq!(numbers(&client, filled).await, [1000, 1000, 500]);
    assert_eq!(ensure(&client).await, 3);
    run(&client, "insert into rowcast.events (type) select 'a' from generate_series(1, 1600)").await;
    assert_eq!(numbers(&client, filled).await, [1000, 1000, 1000, 1000, 100]);
    assert_eq!(
        numbers(&client, "select seq from rowcast.query_events(max_rows => 10000)").await,
        (1..=4100).collect::<Vec<_>>()
    );
    without_a_gap(&client).await;
}

#[tokio::test]
async fn a_sequence_that_ran_past_every_partition_is_caught_up_with() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    cut_small(&client).await;
    for last in [2999, 3000, 3001, 10_500] {
        run(&client, &format!("select setval('rowcast.events_seq_seq', {last})")).await;
        ensure(&client).await;
        assert_eq!(rows_ahead(&client).await, 3000, "{last}");
        run(&client, "insert into rowcast.events (type) values ('a')").await;
        without_a_gap(&client).await;
    }
    run(&client, "select setval('rowcast.events_seq_seq', 50000)").await;
    refused_with(&client, "insert into rowcast.events (type) values ('a')", "23514", "no partition of relation").await;
}

#[tokio::test]
async fn a_partition_made_later_is_like_the_others() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    run(&client, "insert into rowcast.events (type) values ('a'); select rowcast.ensure_partitions()").await;
    let facts = super::super::catalog::read(&client).await;
    let of = |name: &str| -> Vec<(String, String)> {
        let own = format!("table rowcast.{name}");
        let mine = facts.iter().filter(|(fact, _)| **fact == own || fact.starts_with(&format!("{own}: ")));
        mine.filter(|(fact, _)| !fact.ends_with(": bound"))
            .map(|(fact, is)| (fact.replace(name, "events_p"), is.replace(name, "events_p")))
            .collect()
    };
    let later = of("events_p3355443201");
    assert_eq!(later, of("events_p1"));
    assert!(later.len() > 50);
}
