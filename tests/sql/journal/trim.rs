//! Retention: what goes, at once for every reader; whom it waits for, and that nobody waits for it.

use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use rowcast::journal;
use tokio_postgres::Client;

use super::{append_keyed, database_of, fill, number, partitions, write_head};
use crate::support::{TestDb, binary, connect, in_time, migrated_database, run, text, until};
use crate::tail::TailNode;

async fn trim(db: &TestDb, args: &[&str]) -> Output {
    let args: Vec<_> = ["trim"].iter().chain(args).copied().collect();
    run(&args, &[("DATABASE_URL", &db.url)]).await
}

fn begin_trim(db: &TestDb, args: &[&str]) -> Child {
    let args: Vec<_> = ["trim"].iter().chain(args).copied().collect();
    binary(&args, &[("DATABASE_URL", &db.url)]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

async fn end(child: Child) -> Output {
    tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap()
}

fn succeeded(answer: &Output) -> String {
    assert_eq!(answer.status.code(), Some(0), "{}", text(&answer.stderr));
    text(&answer.stdout)
}

async fn trimmed(client: &Client) -> i64 {
    number(client, "select trimmed_through from rowcast.journal_state").await
}

/// Makes events of another time, as only the owner can.
async fn fill_at(client: &Client, events: i64, at: &str) {
    let sql = format!(
        "insert into rowcast.events (type, at) select 'fill.made', {at} from generate_series(1, {events});
         select rowcast.ensure_partitions()"
    );
    client.batch_execute(&sql).await.unwrap();
}

async fn detach_pending(client: &Client) -> bool {
    number(client, "select count(*) from pg_inherits where inhdetachpending").await > 0
}

/// How many tables of the journal a trim still has locks on.
async fn left_locks(client: &Client) -> i64 {
    let sql = "select count(*) from pg_locks l join pg_stat_activity a using (pid)
                where a.application_name = 'rowcast trim' and l.database = (select oid from pg_database where datname = current_database())";
    number(client, sql).await
}

#[tokio::test]
async fn before_a_cursor_everything_goes_and_the_space_with_it() {
    let db = database_of(1000, 5).await;
    let client = db.client().await;
    fill(&client, 3500).await;
    let keys = "insert into rowcast.dedupe_keys (key, seq, digest) select i::text, i, sha256('') from generate_series(1, 3500) i";
    client.batch_execute(keys).await.unwrap();
    let cursor: String = client
        .query_one("select seq || '.' || right(id::text, 8) from rowcast.events where seq = 2501", &[])
        .await
        .unwrap()
        .get(0);

    let dry = succeeded(&trim(&db, &["--before", &cursor, "--dry-run"]).await);
    assert!(dry.starts_with("would trim through 2500\nwould drop rowcast.events_p1 "), "{dry}");
    assert_eq!((trimmed(&client).await, dry.lines().count()), (0, 3));

    // The tag with which readers know the event who may not see it.
    let hidden =
        "select seq || '.' || left(encode(sha256(uuid_send(id)), 'hex'), 8) from rowcast.events where seq = 2501";
    let hidden: String = client.query_one(hidden, &[]).await.unwrap().get(0);
    assert_eq!(succeeded(&trim(&db, &["--before", &hidden, "--dry-run"]).await), dry);

    let said = succeeded(&trim(&db, &["--before", &cursor]).await);
    assert!(said.starts_with("trimmed through 2500\ndropped rowcast.events_p1 "), "{said}");
    assert_eq!(trimmed(&client).await, 2500);
    assert_eq!(&partitions(&client).await[..2], ["rowcast.events_p2001", "rowcast.events_p3001"]);
    assert_eq!(number(&client, "select min(seq) from rowcast.dedupe_keys").await, 2501);
    assert_eq!(journal::oldest(&client).await.unwrap(), 2501);
    assert_eq!(number(&client, "select count(*) from pg_class where relname ~ '^events_p(1|1001)$'").await, 0);

    let again = succeeded(&trim(&db, &["--before", "2501"]).await);
    assert_eq!(again, "nothing to trim: events through 2500 are gone already\n");
    let again = succeeded(&trim(&db, &["--before", "17.00000000"]).await);
    assert!(again.starts_with("nothing to trim"), "{again}");
}

#[tokio::test]
async fn no_node_serves_what_is_gone_once_the_trim_has_returned() {
    let db = migrated_database().await;
    let client = db.client().await;
    fill(&client, 100).await;
    let mut node = TailNode::start(&db.url);
    node.hears().await;
    node.reader().read_to(100).await;
    for before in [21, 41, 61] {
        succeeded(&trim(&db, &["--before", &before.to_string()]).await);
        assert_eq!(node.pages.position().trimmed, before - 1, "what this node has in memory is served on");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_stranger_who_takes_the_lock_of_a_trim_stops_none() {
    let db = migrated_database().await;
    let client = db.client().await;
    fill(&client, 100).await;
    let stranger = db.stranger().await;
    stranger.batch_execute("select pg_advisory_lock(hashtextextended('rowcast.trim', 0))").await.unwrap();
    succeeded(&trim(&db, &["--before", "21"]).await);
    assert_eq!(trimmed(&client).await, 20);
}

#[tokio::test]
async fn a_cursor_of_another_history_or_of_the_future_trims_nothing() {
    let db = database_of(1000, 3).await;
    let client = db.client().await;
    fill(&client, 100).await;
    for cursor in ["50.00000000", "102", "9000000000000000000", "200.00000000"] {
        let answer = trim(&db, &["--before", cursor]).await;
        assert_eq!(answer.status.code(), Some(1));
        assert!(text(&answer.stderr).contains("names no event of this journal"), "{}", text(&answer.stderr));
    }
    for wrong in
        [&["--before", "x"][..], &["--before", "-1"], &["--keep", "1 month"], &[], &["--keep", "1d", "--before", "1"]]
    {
        assert_eq!(trim(&db, wrong).await.status.code(), Some(2), "{wrong:?}");
    }
    assert_eq!(trimmed(&client).await, 0);
    // One after the last is everything; the partition that the sequence is in stays, and so do those ahead.
    assert!(succeeded(&trim(&db, &["--before", "101"]).await).starts_with("trimmed through 100\n"));
    assert_eq!(partitions(&client).await.len(), 4);
    fill(&client, 1).await;
    assert_eq!(journal::oldest(&client).await.unwrap(), 101);
}

#[tokio::test]
async fn a_journal_that_ends_with_its_partition_goes_on() {
    let db = database_of(1000, 2).await;
    let client = db.client().await;
    fill(&client, 2000).await;
    assert!(succeeded(&trim(&db, &["--before", "2001"]).await).starts_with("trimmed through 2000\n"));
    assert_eq!(partitions(&client).await[0], "rowcast.events_p1001");
    fill(&client, 1500).await;
    assert_eq!(number(&client, "select max(seq) from rowcast.events").await, 3500);
}

#[tokio::test]
async fn keep_ends_before_the_first_event_that_is_too_young() {
    let db = database_of(1000, 3).await;
    let client = db.client().await;
    let answer = succeeded(&trim(&db, &["--keep", "1h"]).await);
    assert_eq!(answer, "nothing to trim: events through 0 are gone already\n");
    fill_at(&client, 1200, "now() - interval '40 days'").await;
    client.batch_execute("select setval('rowcast.events_seq_seq', 1300)").await.unwrap();
    fill_at(&client, 300, "now() - interval '31 days'").await;
    fill_at(&client, 500, "now() - interval '29 days'").await;
    fill_at(&client, 100, "now()").await;
    for (keep, last) in [("90d", 0), ("35d", 1200), ("30d", 1600), ("30d", 1600)] {
        let said = succeeded(&trim(&db, &["--keep", keep]).await);
        assert!(said.contains(&format!("through {last}")), "{keep}: {said}");
        assert_eq!(trimmed(&client).await, last, "{keep}");
    }
    assert_eq!(partitions(&client).await[0], "rowcast.events_p1001");
    assert!(succeeded(&trim(&db, &["--keep", "99999999999d"]).await).starts_with("nothing"));
}

#[tokio::test]
async fn an_event_that_is_out_of_its_time_keeps_all_after_it() {
    let db = database_of(1000, 3).await;
    let client = db.client().await;
    fill_at(&client, 300, "now() - interval '40 days'").await;
    fill_at(&client, 1, "now()").await;
    fill_at(&client, 900, "now() - interval '40 days'").await;
    let answer = trim(&db, &["--keep", "30d"]).await;
    assert_eq!(succeeded(&answer), "trimmed through 300\n");
    assert!(text(&answer.stderr).contains("event 301 is of"), "{}", text(&answer.stderr));
}

#[tokio::test]
async fn nothing_beyond_the_safe_head_goes() {
    let db = database_of(1000, 3).await;
    let (client, mut open) = (db.client().await, db.client().await);
    fill_at(&client, 100, "now() - interval '40 days'").await;
    write_head(&client).await;
    let transaction = open.transaction().await.unwrap();
    transaction.batch_execute("insert into rowcast.events (type) values ('held.back')").await.unwrap();
    fill_at(&client, 100, "now() - interval '40 days'").await;
    // The open transaction does not keep a trim from ending, as long as no partition is to go.
    for args in [&["--keep", "30d"][..], &["--before", "150"]] {
        let answer = trim(&db, args).await;
        succeeded(&answer);
        assert_eq!(trimmed(&client).await, 100, "{args:?}");
        assert!(text(&answer.stderr).contains("nothing after 100 can be judged yet"), "{}", text(&answer.stderr));
    }
    transaction.commit().await.unwrap();
    succeeded(&trim(&db, &["--before", "150"]).await);
    assert_eq!(trimmed(&client).await, 149);
}

#[tokio::test]
async fn writers_and_partitions_go_on_while_a_trim_waits_for_an_open_transaction() {
    let db = database_of(1000, 3).await;
    let (client, mut open) = (db.client().await, db.client().await);
    fill(&client, 2500).await;
    write_head(&client).await;
    open.batch_execute("set application_name = 'the long one'").await.unwrap();
    let transaction = open.transaction().await.unwrap();
    transaction.batch_execute("insert into rowcast.events (type) values ('held.back')").await.unwrap();

    let waiting = begin_trim(&db, &["--before", "2400"]);
    until("the detach waits", || detach_pending(&client)).await;
    // Gone for every reader, before any space is freed.
    assert_eq!(trimmed(&client).await, 2399);
    client.batch_execute("set lock_timeout = '1s'").await.unwrap();
    client.batch_execute("update rowcast.journal_state set partitions_ahead = 9").await.unwrap();
    assert!(journal::ensure_partitions(&client).await.unwrap() > 0);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        let one = Instant::now();
        fill(&client, 10).await;
        append_keyed(&client, "a", "one").await;
        journal::query(&client, &Default::default(), 2399, 5000, journal::Budget::of_rows(100)).await.unwrap();
        in_time(one, Duration::from_millis(900));
    }
    assert!(detach_pending(&client).await, "the trim did not wait");

    transaction.commit().await.unwrap();
    let answer = end(waiting).await;
    let said = succeeded(&answer);
    assert!(said.contains("dropped rowcast.events_p1 ") && said.contains("dropped rowcast.events_p1001 "), "{said}");
    let told = text(&answer.stderr);
    assert!(told.contains("waiting for pid") && told.contains("the long one, idle in transaction"), "{told}");
    assert_eq!(partitions(&client).await[0], "rowcast.events_p2001");
}

#[tokio::test]
async fn a_trim_that_waited_long_enough_leaves_no_lock_and_the_next_one_finishes() {
    let db = database_of(1000, 3).await;
    let (client, mut open) = (db.client().await, db.client().await);
    fill(&client, 2500).await;
    let transaction = open.transaction().await.unwrap();
    transaction.query("select from rowcast.events limit 1", &[]).await.unwrap();

    let begun = Instant::now();
    let answer = trim(&db, &["--before", "2400", "--wait", "1200ms"]).await;
    in_time(begun, Duration::from_secs(10));
    let told = text(&answer.stderr);
    assert_eq!(answer.status.code(), Some(1), "{told}");
    assert!(told.contains("gave up after waiting 1.2s for pid") && told.contains("through 2399 are gone"), "{told}");
    assert_eq!(text(&answer.stdout), "trimmed through 2399\n");
    until("no lock is left", || async { left_locks(&client).await == 0 }).await;
    assert!(detach_pending(&client).await);
    fill(&client, 2000).await;
    assert_eq!(journal::oldest(&client).await.unwrap(), 2400);

    transaction.commit().await.unwrap();
    let answer = trim(&db, &["--before", "2400"]).await;
    let said = succeeded(&answer);
    assert!(text(&answer.stderr).contains("finishing the detach of rowcast.events_p1,"), "{}", text(&answer.stderr));
    assert!(said.contains("dropped rowcast.events_p1 ") && said.contains("dropped rowcast.events_p1001 "), "{said}");
    assert_eq!(partitions(&client).await[0], "rowcast.events_p2001");
}

#[tokio::test]
async fn a_trim_that_is_told_to_end_ends_its_statement_too_and_two_do_not_run_at_once() {
    let db = database_of(1000, 3).await;
    let (client, mut open) = (db.client().await, db.client().await);
    fill(&client, 2500).await;
    let transaction = open.transaction().await.unwrap();
    transaction.query("select from rowcast.events limit 1", &[]).await.unwrap();
    let waiting = begin_trim(&db, &["--before", "2400"]);
    until("the detach waits", || detach_pending(&client)).await;
    let second = trim(&db, &["--before", "2450"]).await;
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("another rowcast trim is running (pid "), "{}", text(&second.stderr));
    assert_eq!(trimmed(&client).await, 2399);

    let pid = nix::unistd::Pid::from_raw(i32::try_from(waiting.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let answer = end(waiting).await;
    assert_eq!(answer.status.code(), Some(1));
    assert!(text(&answer.stderr).contains("stopped: what is left undone"), "{}", text(&answer.stderr));
    until("no lock is left", || async { left_locks(&client).await == 0 }).await;
    transaction.commit().await.unwrap();
    succeeded(&trim(&db, &["--before", "2450"]).await);
    assert_eq!(partitions(&client).await[0], "rowcast.events_p2001");
}

#[tokio::test]
async fn only_what_is_surely_ours_is_dropped() {
    let db = database_of(1000, 8).await;
    let client = db.client().await;
    fill(&client, 6500).await;
    client
        .batch_execute(
            // Left by a crash between detach and drop.
            "alter table rowcast.events detach partition rowcast.events_p1;
             -- Detached by hand, and partly beyond what is trimmed.
             alter table rowcast.events detach partition rowcast.events_p4001;
             -- Renamed while attached; renamed to be kept.
             alter table rowcast.events_p1001 rename to archive_2025;
             alter table rowcast.events detach partition rowcast.events_p2001;
             alter table rowcast.events_p2001 rename to keep_me;
             -- Made by somebody, with a name like ours.
             create table rowcast.events_p77 (seq bigint);
             -- Something hangs on it.
             create view rowcast.recent as select * from rowcast.events_p3001;",
        )
        .await
        .unwrap();
    let answer = trim(&db, &["--before", "4500"]).await;
    let (said, told) = (succeeded(&answer), text(&answer.stderr));
    assert!(said.contains("dropped rowcast.events_p1 ") && said.lines().count() == 2, "{said}");
    assert!(told.contains("rowcast.archive_2025 stays: it was not made by"), "{told}");
    assert!(told.contains("rowcast.events_p4001 stays: it holds events that are not trimmed"), "{told}");
    assert!(told.contains("rowcast.events_p3001 stays: cannot drop table"), "{told}");
    let there = "select count(*) from pg_class where relkind = 'r' and relname in
                 ('events_p4001', 'archive_2025', 'keep_me', 'events_p77', 'events_p3001')";
    assert_eq!(number(&client, there).await, 5);
    client.batch_execute("drop view rowcast.recent").await.unwrap();
    let said = succeeded(&trim(&db, &["--before", "4500"]).await);
    assert!(said.contains("dropped rowcast.events_p3001 "), "{said}");
}

#[tokio::test]
async fn a_default_partition_is_named_and_only_the_owner_may_trim() {
    let db = database_of(1000, 3).await;
    let client = db.client().await;
    fill(&client, 2500).await;
    client.batch_execute("create table rowcast.rest partition of rowcast.events default").await.unwrap();
    let answer = trim(&db, &["--before", "1500"]).await;
    assert_eq!(answer.status.code(), Some(1));
    assert!(text(&answer.stderr).contains("rowcast.rest is a DEFAULT partition"), "{}", text(&answer.stderr));
    assert_eq!(trimmed(&client).await, 1499);

    let server = format!("{}_t", db.name);
    let make = format!("create role {server} login password 'x' in role rowcast_server");
    client.batch_execute(&make).await.unwrap();
    let url = db.url_of(&server, "x");
    drop(connect(&url).await);
    let answer = run(&["trim", "--keep", "1h"], &[("DATABASE_URL", &url)]).await;
    assert_eq!(answer.status.code(), Some(1));
    assert!(
        text(&answer.stderr).contains("only the owner of rowcast.events may trim: that is "),
        "{}",
        text(&answer.stderr)
    );
    client.batch_execute(&format!("drop role {server}")).await.unwrap();
}
