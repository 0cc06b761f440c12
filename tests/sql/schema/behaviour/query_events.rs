//! `rowcast.query_events`: its filters, its limits, and the safe head that it never passes.

use super::{number, numbers, refused_with, run, until_somebody_waits};
use crate::support;

const ALL: &str = "select seq from rowcast.query_events(0)";

#[tokio::test]
async fn filters_take_what_they_say_and_combine() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    run(
        &client,
        "insert into rowcast.events (type, level, symbol, trade_id, subject, owner) values
         ('trade', 'debug', null, null, null, null),
         ('trade.opened', 'info', 'A', '00000000-0000-0000-0000-000000000001', '1', 'o'),
         ('trade.opened', 'warn', 'B', '00000000-0000-0000-0000-000000000002', '2', null),
         ('trade.closed.late', 'error', 'A', '00000000-0000-0000-0000-000000000001', '1', 'p'),
         ('trades.opened', 'critical', null, null, '1', 'o'),
         ('trade_x.opened', 'info', 'A', null, null, null)",
    )
    .await;
    let cases: &[(&str, &[i64])] = &[
        ("", &[1, 2, 3, 4, 5, 6]),
        ("cursor => 0", &[1, 2, 3, 4, 5, 6]),
        ("cursor => 4", &[5, 6]),
        ("cursor => 6", &[]),
        ("cursor => 9223372036854775807", &[]),
        ("cursor => 1, max_rows => 2", &[2, 3]),
        ("types => '{trade.opened}'", &[2, 3]),
        ("types => '{trade}'", &[1]),
        ("types => '{trade.*}'", &[2, 3, 4]),
        ("types => '{trade.*,trades.opened}'", &[2, 3, 4, 5]),
        ("types => '{trade.closed.*}'", &[4]),
        ("types => '{trade.opened,trade.*,trade.opened}'", &[2, 3, 4]),
        ("types => '{}'", &[]),
        ("types => '{nothing}'", &[]),
        ("min_level => 'debug'", &[1, 2, 3, 4, 5, 6]),
        ("min_level => 'info'", &[2, 3, 4, 5, 6]),
        ("min_level => 'error'", &[4, 5]),
        ("min_level => 'critical'", &[5]),
        ("symbol => 'A'", &[2, 4, 6]),
        ("trade_id => '00000000-0000-0000-0000-000000000001'", &[2, 4]),
        ("subject => '1'", &[2, 4, 5]),
        ("owner => 'o'", &[2, 5]),
        ("symbol => 'A', owner => 'o', types => '{trade.*}', min_level => 'info', subject => '1'", &[2]),
        ("symbol => 'A', cursor => 2, max_rows => 1", &[4]),
        ("owner => ''' or true --'", &[]),
    ];
    for (arguments, expected) in cases {
        let sql = format!("select seq from rowcast.query_events({arguments})");
        assert_eq!(numbers(&client, &sql).await, *expected, "{arguments}");
    }
}

#[tokio::test]
async fn arguments_out_of_their_limits_are_named() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    for (arguments, message) in [
        ("-1", "cursor must not be negative: -1"),
        ("max_rows => 0", "max_rows must be 1 to 10000: 0"),
        ("max_rows => 10001", "max_rows must be 1 to 10000: 10001"),
        ("max_rows => null", "max_rows must be 1 to 10000"),
        ("min_level => 'fatal'", "min_level must be debug, info, warn, error or critical: fatal"),
        ("min_level => ''", "min_level must be"),
        ("types => array_fill('a'::text, array[65])", "types must be at most 64: 65"),
        ("types => '{Trade}'", "types must hold dotted lower-case words or prefix.*: Trade"),
        ("types => '{trade*}'", "types must hold"),
        ("types => '{*}'", "types must hold"),
        ("types => '{trade.*.x}'", "types must hold"),
        ("types => '{a,null}'", "types must hold"),
        ("types => '{\"a'' or true\"}'", "types must hold"),
    ] {
        refused_with(&client, &format!("select * from rowcast.query_events({arguments})"), "22023", message).await;
    }
    for fits in ["max_rows => 1", "max_rows => 10000", "types => array_fill('a'::text, array[64])"] {
        run(&client, &format!("select * from rowcast.query_events({fits})")).await;
    }
}

#[tokio::test]
async fn a_cursor_below_what_was_trimmed_is_refused_and_never_a_gap() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    run(&client, "insert into rowcast.events (type) select 'a' from generate_series(1, 5); update rowcast.journal_state set head = 5, trimmed_through = 3").await;
    for expired in [0, 1, 2] {
        let message = format!("cursor {expired} has expired: events after it were trimmed, through seq 3");
        refused_with(&client, &format!("select * from rowcast.query_events({expired})"), "22023", &message).await;
    }
    assert_eq!(numbers(&client, "select seq from rowcast.query_events(3)").await, [4, 5]);
    assert_eq!(numbers(&client, "select seq from rowcast.query_events()").await, [4, 5]);
    assert_eq!(numbers(&client, "select seq from rowcast.query_events(null, 1)").await, [4]);
}

#[tokio::test]
async fn a_partition_that_goes_while_a_reader_waits_for_it_is_no_silent_gap() {
    let db = support::migrated_database().await;
    let (owner, reader, watcher) = (db.client().await, db.client().await, db.client().await);
    run(&owner, "insert into rowcast.events (type) values ('a'), ('b')").await;
    // Once warm, a session takes no lock on the journal before it reads from it.
    assert_eq!(numbers(&reader, ALL).await, [1, 2]);
    // The reader looks at what was trimmed, finds nothing, and then waits for the lock.
    run(&owner, "begin; update rowcast.journal_state set head = 2, trimmed_through = 2; drop table rowcast.events_p1")
        .await;
    let expired = refused_with(&reader, "select * from rowcast.query_events(0)", "22023", "cursor 0 has expired");
    tokio::join!(expired, async {
        until_somebody_waits(&watcher).await;
        run(&owner, "commit").await;
    });
}

#[tokio::test]
async fn nothing_is_read_beyond_an_insert_that_is_still_open() {
    let db = support::migrated_database().await;
    let (holder, other, reader) = (db.client().await, db.client().await, db.client().await);
    run(&other, "insert into rowcast.events (type) values ('a'), ('a'); update rowcast.journal_state set head = 2")
        .await;
    run(&holder, "begin; insert into rowcast.events (type) values ('held')").await;
    run(&other, "insert into rowcast.events (type) values ('after')").await;
    assert_eq!(number(&reader, "select max(seq) from rowcast.events").await, 4);
    assert_eq!(numbers(&reader, ALL).await, [1, 2]);
    assert_eq!(numbers(&other, ALL).await, [1, 2]);
    // The caller's own insert is not decided either.
    assert_eq!(numbers(&holder, ALL).await, [1, 2]);
    run(&holder, "savepoint s; insert into rowcast.events (type) values ('gone'); rollback to s").await;
    assert_eq!(numbers(&reader, ALL).await, [1, 2]);
    run(&holder, "commit").await;
    assert_eq!(numbers(&reader, ALL).await, [1, 2, 3, 4]);
    assert_eq!(number(&reader, "select rowcast.safe_head()").await, 5);
}

#[tokio::test]
async fn a_prepared_insert_holds_the_head_too() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    if number(&client, "select current_setting('max_prepared_transactions')::bigint").await == 0 {
        return;
    }
    run(&client, "begin; set local rowcast.bell = 'off'; insert into rowcast.events (type) values ('a')").await;
    run(&client, "prepare transaction 'rowcast_reading'").await;
    run(&client, "insert into rowcast.events (type) values ('b')").await;
    let before = numbers(&client, ALL).await;
    run(&client, "commit prepared 'rowcast_reading'").await;
    assert_eq!(before, [0_i64; 0]);
    assert_eq!(numbers(&client, ALL).await, [1, 2]);
}

#[tokio::test]
async fn where_one_snapshot_is_kept_the_head_written_last_counts() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    run(&client, "insert into rowcast.events (type) select 'a' from generate_series(1, 5); update rowcast.journal_state set head = 2").await;
    for isolation in ["repeatable read", "serializable"] {
        run(&client, &format!("begin isolation level {isolation}")).await;
        assert_eq!(numbers(&client, ALL).await, [1, 2], "{isolation}");
        run(&client, "commit").await;
    }
    for isolation in ["read committed", "read uncommitted", "read committed, read only"] {
        run(&client, &format!("begin isolation level {isolation}")).await;
        assert_eq!(numbers(&client, ALL).await, [1, 2, 3, 4, 5], "{isolation}");
        run(&client, "commit").await;
    }
}

#[tokio::test]
async fn readers_that_follow_their_cursor_among_busy_writers_miss_nothing() {
    let db = support::migrated_database().await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..6 {
        let client = db.client().await;
        writers.spawn(async move {
            for n in 0..40 {
                let end = if (n + writer) % 5 == 0 { "rollback" } else { "commit" };
                let held = format!(
                    "begin; insert into rowcast.events (type) values ('a'), ('b'); select pg_sleep({})",
                    f64::from(n % 3) / 500.0
                );
                run(&client, &held).await;
                run(&client, end).await;
            }
        });
    }
    let reader = db.client().await;
    let (mut cursor, mut seen) = (0, Vec::new());
    while !writers.is_empty() {
        while writers.try_join_next().is_some_and(|done| done.is_ok()) {}
        seen.extend(numbers(&reader, &format!("select seq from rowcast.query_events({cursor}, 50)")).await);
        cursor = seen.last().copied().unwrap_or(0);
    }
    seen.extend(numbers(&reader, &format!("select seq from rowcast.query_events({cursor}, 10000)")).await);
    assert_eq!(seen, numbers(&reader, "select seq from rowcast.events order by seq").await);
    assert_eq!(seen.len(), 6 * 32 * 2);
}
