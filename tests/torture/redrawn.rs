//! The one thing that a crash takes back although nothing that was committed is lost: numbers of the sequence.

use std::time::{Duration, Instant};

use super::crashing_postgres::{CrashingPostgres, StopMode};
use crate::support::{connect, connector, migrate, until};
use crate::tail::TailNode;

const INSERT: &str = "insert into rowcast.events (type) values ('torture.redrawn')";

/// A transaction that rolled back has drawn numbers, the tail has found them decided, and the server crashes before its
/// log has them. It draws them again, for rows that commit, before the tail is back.
#[tokio::test]
async fn rows_under_numbers_that_a_crash_gave_back_are_delivered() {
    let mut server = tokio::task::spawn_blocking(CrashingPostgres::start).await.unwrap();
    let url = server.url.clone();
    migrate(&url).await;
    let mut node = TailNode::start(&url);
    node.connected().await;
    let client = connect(&url).await;
    let state = "select last_value, log_cnt from rowcast.events_seq_seq";
    // Until the next number needs a record of its own in the log.
    until("the numbers in the log are used up", || async {
        client.batch_execute(INSERT).await.unwrap();
        client.query_one(state, &[]).await.unwrap().get::<_, i64>(1) == 0
    })
    .await;
    let drawn: i64 = client.query_one(state, &[]).await.unwrap().get(0);
    client.batch_execute(&format!("begin; {INSERT}; {INSERT}; {INSERT}; rollback")).await.unwrap();
    until("the numbers that were rolled back are decided", || async { node.pages.position().head == drawn + 3 }).await;
    drop(client);
    let restarted = tokio::task::spawn_blocking(move || {
        server.restart(StopMode::Immediate);
        server
    });
    let begun = Instant::now();
    let client = loop {
        if let Ok((client, _)) = connector(&url).connect().await {
            break client;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "no server");
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    for _ in 0..5 {
        client.batch_execute(INSERT).await.unwrap();
    }
    let first: i64 =
        client.query_one("select min(seq) from rowcast.events where seq > $1", &[&drawn]).await.unwrap().get(0);
    eprintln!("handed out up to {}, drawn again from {first} on", drawn + 3);
    let server = restarted.await.unwrap();
    let rows = client.query("select seq from rowcast.events order by seq", &[]).await.unwrap();
    let table: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    let newest = *table.last().unwrap();
    until("the tail is at the end", || async { node.pages.position().newest_seq() == newest }).await;
    let epoch = node.pages.position().epoch;
    let mut reader = node.reader();
    reader.read_to(newest).await;
    assert_eq!(reader.seen, table);
    assert!(epoch > 0 || first > drawn + 3, "whoever has a cursor at {} is not told to prove it", drawn + 3);
    node.stop().await;
    drop(client);
    tokio::task::spawn_blocking(|| server.end()).await.unwrap();
}

/// A crash takes asynchronous commits by when they were made, not by seq: the newest event may be there and one before it
/// not.
#[tokio::test]
async fn an_asynchronous_commit_that_a_crash_took_is_noticed_below_the_newest_event() {
    let mut server = tokio::task::spawn_blocking(CrashingPostgres::start).await.unwrap();
    let url = server.url.clone();
    migrate(&url).await;
    let (early, late) = (connect(&url).await, connect(&url).await);
    // The log is written when somebody waits for it, and not before.
    early.batch_execute("alter system set wal_writer_delay = '10s'").await.unwrap();
    early.batch_execute(&format!("select pg_reload_conf(); {INSERT}")).await.unwrap();
    let node = TailNode::start(&url);
    until("the first is handed out", || async { node.pages.position().newest_seq() == 1 }).await;
    late.batch_execute(&format!("set synchronous_commit = off; begin; {INSERT}")).await.unwrap();
    early.batch_execute(INSERT).await.unwrap();
    late.batch_execute("commit").await.unwrap();
    until("all are handed out", || async { node.pages.position().newest_seq() == 3 }).await;
    drop((early, late));
    let server = tokio::task::spawn_blocking(move || {
        server.restart(StopMode::Immediate);
        server
    });
    let server = server.await.unwrap();
    let client = connect(&url).await;
    let lost = "select count(*) = 0 from rowcast.events where seq = 2";
    let lost: bool = client.query_one(lost, &[]).await.unwrap().get(0);
    let connections = node.counts.borrow().connections;
    until("the tail is back", || async {
        node.counts.borrow().connections > connections || node.counts.borrow().resets > 0
    })
    .await;
    // Where the commit happened to survive there is nothing to notice.
    until("what was lost is noticed", || async { node.counts.borrow().resets == u64::from(lost) }).await;
    drop(client);
    node.stop().await;
    tokio::task::spawn_blocking(|| server.end()).await.unwrap();
}
