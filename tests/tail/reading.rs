//! What a tail reads whatever the journal holds, and what it needs for that: a connection of its own.

use rowcast::db::{Database, Lane};

use super::{INSERT, delivers_the_table};
use crate::support::{PATIENCE, connector, migrated_database, until};
use crate::tail::TailNode;

#[tokio::test]
async fn a_long_way_is_jumped_and_every_row_on_it_can_be_read() {
    let db = migrated_database().await;
    let node = TailNode::start(&db.url);
    let client = db.client().await;
    let rows = "insert into rowcast.events (type) select 'bulk.row' from generate_series(1, 60000)";
    client.batch_execute(&format!("begin; {rows}; rollback; {rows}; {INSERT}")).await.unwrap();
    delivers_the_table(&node, &client).await;
    node.stop().await;
}

#[tokio::test]
async fn requests_that_want_every_connection_of_the_pool_do_not_hold_the_stream_up() {
    let db = migrated_database().await;
    let pool = Database::new(connector(&db.url), 1).unwrap();
    let busy = |pool: &Database| pool.lanes().iter().map(|lane| lane.in_use).sum::<usize>();
    let mut taken = tokio::task::JoinSet::new();
    for lane in [Lane::Write, Lane::Housekeeping, Lane::Housekeeping] {
        let pool = pool.clone();
        taken.spawn(
            async move { pool.run(lane, async |client| client.batch_execute("select pg_sleep(600)").await).await },
        );
    }
    until("every connection is in use", || async { busy(&pool) == 3 }).await;
    let mut node = TailNode::start_beside(pool, &db.url, None);
    node.connected().await;
    let client = db.client().await;
    client.batch_execute(INSERT).await.unwrap();
    let mut position = node.pages.subscribe();
    tokio::time::timeout(PATIENCE, position.wait_for(|p| p.head == 1)).await.unwrap().unwrap();
    assert_eq!(node.counts.borrow().connections, 1, "the tail waited for the pool and lost its own connection");
    drop(taken);
    node.hears().await;
    delivers_the_table(&node, &client).await;
    node.stop().await;
}

/// A test that panics drops its runtime, which waits for the tail's thread: it must end without having been told to.
#[tokio::test]
async fn whoever_drops_a_tail_ends_it() {
    let db = migrated_database().await;
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { TailNode::start(&db.url).connected().await });
        drop(runtime);
        ended.send(()).unwrap();
    });
    tokio::time::timeout(PATIENCE, end).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_row_whose_time_nobody_can_write_does_not_stop_the_stream() {
    let db = migrated_database().await;
    let mut node = TailNode::start(&db.url);
    node.connected().await;
    let client = db.client().await;
    // Such as may be there from before the constraint was.
    client.batch_execute("alter table rowcast.events drop constraint events_values_check").await.unwrap();
    for at in ["12345-01-01", "infinity", "-infinity", "4713-01-01 BC", "2026-01-27"] {
        let sql = format!("insert into rowcast.events (type, at) values ('tail.test', '{at}')");
        client.batch_execute(&sql).await.unwrap();
    }
    delivers_the_table(&node, &client).await;
    assert_eq!(node.counts.borrow().connections, 1);
    let rows = rowcast::journal::read_range(&client, 0, 5, rowcast::journal::Budget::of_rows(5)).await.unwrap().events;
    let years: Vec<i32> = rows.iter().map(|row| row.at.year()).collect();
    assert_eq!(years, [9999, 9999, 1, 1, 2026]);
    node.stop().await;
}
