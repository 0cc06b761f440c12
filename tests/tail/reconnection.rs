//! A tail whose connection or history is gone: it connects anew, proves what it has handed out, and loses nothing.

use std::time::Duration;

use super::{INSERT, delivers_the_table};
use crate::support::{PATIENCE, TestDb, connect, migrated_database, until};
use crate::tail::TailNode;

#[tokio::test]
async fn a_lost_connection_loses_nothing_and_is_shown() {
    let db = migrated_database().await;
    let mut node = TailNode::start(&db.url);
    let client = db.client().await;
    node.hears().await;
    for n in 1..=3 {
        client.batch_execute(INSERT).await.unwrap();
        let kill = "select pg_terminate_backend(pid) from pg_stat_activity
                     where pid <> pg_backend_pid() and datname = current_database()";
        client.batch_execute(&format!("{INSERT}; {kill}; {INSERT}")).await.unwrap();
        until("it has connected anew", || async { node.counts.borrow().connections > n }).await;
        delivers_the_table(&node, &client).await;
    }
    assert_eq!(node.counts.borrow().resets, 0);
    node.stop().await;
}

#[tokio::test]
async fn a_new_node_begins_at_the_head_written_down_while_a_writer_is_in_flight() {
    let db = migrated_database().await;
    let client = db.client().await;
    client.batch_execute(&format!("{INSERT}; {INSERT}")).await.unwrap();
    let first = TailNode::start(&db.url);
    delivers_the_table(&first, &client).await;
    first.stop().await;
    let head = "select head from rowcast.journal_state";
    assert_eq!(client.query_one(head, &[]).await.unwrap().get::<_, i64>(0), 2);

    let holder = db.client().await;
    holder.batch_execute(&format!("begin; {INSERT}")).await.unwrap();
    let mut second = TailNode::start(&db.url);
    second.connected().await;
    let mut reader = second.reader();
    reader.read_to(2).await;
    assert_eq!(reader.seen, [1, 2]);
    holder.batch_execute("rollback").await.unwrap();
    delivers_the_table(&second, &client).await;
    second.stop().await;
}

#[tokio::test]
async fn a_shutdown_in_the_middle_of_a_reading_writes_the_head_down_all_the_same() {
    let db = migrated_database().await;
    let client = db.client().await;
    let insert = "insert into rowcast.events (type, payload)
                  select 'a.b', jsonb_build_object('text', repeat('x', 100000)) from generate_series(1, 20)";
    for round in 1..=6 {
        let mut node = TailNode::start(&db.url);
        node.connected().await;
        let writer = db.client().await;
        let writing = tokio::spawn(async move { while writer.batch_execute(insert).await.is_ok() {} });
        let mut position = node.pages.subscribe();
        let begun_at = position.borrow().head;
        tokio::time::timeout(PATIENCE, position.wait_for(|position| position.head > begun_at)).await.unwrap().unwrap();
        let head = node.pages.position().head;
        node.stop().await;
        writing.abort();
        let written: i64 = client.query_one("select head from rowcast.journal_state", &[]).await.unwrap().get(0);
        assert!(written >= head, "round {round}: {written} is written down, and {head} was handed out");
    }
}

/// What a restore from a backup looks like from outside: the same address, another history.
async fn restore_empty(db: &TestDb) {
    let template = migrated_database().await;
    let admin = connect(&db.url.replace(&db.name, "postgres")).await;
    admin.batch_execute(&format!("alter database {} allow_connections false", db.name)).await.unwrap();
    admin.batch_execute(&format!("drop database {} with (force)", db.name)).await.unwrap();
    until("the copy is made", || async {
        let sql = format!("create database {} template {}", db.name, template.name);
        admin.batch_execute(&sql).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_restored_database_is_noticed_and_followed() {
    let db = migrated_database().await;
    let mut node = TailNode::start(&db.url);
    let client = db.client().await;
    client.batch_execute(&format!("{INSERT}; {INSERT}; {INSERT}")).await.unwrap();
    delivers_the_table(&node, &client).await;
    drop(client);
    let before = node.pages.position();
    restore_empty(&db).await;
    until("it is noticed", || async { node.pages.position().epoch > before.epoch }).await;
    node.connected().await;
    let client = db.client().await;
    client.batch_execute(INSERT).await.unwrap();
    delivers_the_table(&node, &client).await;
    assert_eq!((node.counts.borrow().resets, node.pages.position().newest_seq()), (1, 1));
    node.stop().await;
}

/// Ends every other session of the database.
const CUT: &str = "select pg_terminate_backend(pid) from pg_stat_activity \
     where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";

#[tokio::test]
async fn numbers_that_a_crash_took_back_and_others_drew_again_are_found() {
    let db = migrated_database().await;
    let mut node = TailNode::start(&db.url);
    node.connected().await;
    let client = db.client().await;
    client.batch_execute(&format!("{INSERT}; begin; {}; rollback", [INSERT; 14].join("; "))).await.unwrap();
    delivers_the_table(&node, &client).await;
    // What a crash does, while the tail waits at the state: the sequence is back, and ahead again when it looks.
    let redraw = [INSERT; 20].join("; ");
    let crash = format!(
        "begin; lock table rowcast.journal_state; {CUT}; select setval('rowcast.events_seq_seq', 1); {redraw}; commit"
    );
    client.batch_execute(&crash).await.unwrap();
    let resets = node.counts.wait_for(|c| c.resets == 1);
    tokio::time::timeout(PATIENCE, resets).await.unwrap().unwrap();
    delivers_the_table(&node, &client).await;
    node.stop().await;
}

#[tokio::test]
async fn a_reset_that_fails_halfway_begins_anew() {
    let db = migrated_database().await;
    let mut node = TailNode::start(&db.url);
    node.connected().await;
    let client = db.client().await;
    client.batch_execute(&format!("begin; {}; rollback", [INSERT; 10].join("; "))).await.unwrap();
    delivers_the_table(&node, &client).await;
    // Another history, whose rows cannot be read just now.
    let other = format!("begin; lock table rowcast.events; {CUT}; select setval('rowcast.events_seq_seq', 3)");
    client.batch_execute(&other).await.unwrap();
    let resets = node.counts.wait_for(|c| c.resets == 1);
    tokio::time::timeout(PATIENCE, resets).await.unwrap().unwrap();
    client.batch_execute(&format!("select setval('rowcast.events_seq_seq', 10); {CUT}; commit")).await.unwrap();
    let mut position = node.pages.subscribe();
    tokio::time::timeout(PATIENCE, position.wait_for(|p| p.head == 10)).await.unwrap().unwrap();
    node.stop().await;
}

#[tokio::test]
async fn a_connection_that_fails_at_once_again_and_again_is_waited_for_ever_longer() {
    let db = migrated_database().await;
    let mut node = TailNode::start(&db.url);
    node.hears().await;
    let client = db.client().await;
    client.batch_execute(INSERT).await.unwrap();
    delivers_the_table(&node, &client).await;
    // It connects and finds its history, and then cannot read what is new.
    client.batch_execute("alter table rowcast.events alter column trade_id type text").await.unwrap();
    client.batch_execute(INSERT).await.unwrap();
    let connections = |node: &TailNode| node.counts.borrow().connections;
    let before = connections(&node);
    let begun = std::time::Instant::now();
    until("it tries five times", || async { connections(&node) >= before + 5 }).await;
    // 50, 100, 200, 400 and 800 ms, each at least halved by chance; without the doubling it was 250 at most.
    assert!(begun.elapsed() > Duration::from_millis(600), "{:?}", begun.elapsed());
    client
        .batch_execute("alter table rowcast.events alter column trade_id type uuid using trade_id::uuid")
        .await
        .unwrap();
    delivers_the_table(&node, &client).await;
    node.stop().await;
}
