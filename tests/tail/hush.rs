//! The hush of the bell: a tail that polls finds every row, and ends the hush that it or another has begun.

use tokio_postgres::Client;

use super::{INSERT, delivers_the_table};
use crate::support::{migrated_database, until};
use crate::tail::TailNode;

#[tokio::test]
async fn whoever_writes_with_the_bell_off_is_found_within_a_second_or_so() {
    let db = migrated_database().await;
    let mut node = TailNode::start(&db.url);
    let client = db.client().await;
    node.hears().await;
    client.batch_execute(&format!("set rowcast.bell = 'off'; {INSERT}")).await.unwrap();
    delivers_the_table(&node, &client).await;
    node.stop().await;
}

#[tokio::test]
async fn many_bells_are_hushed_and_no_row_is_forgotten_when_it_is_given_back() {
    let db = migrated_database().await;
    let mut nodes = [TailNode::start(&db.url), TailNode::start(&db.url)];
    let client = db.client().await;
    for node in &mut nodes {
        node.hears().await;
    }
    for _ in 0..3 {
        let hushed = |nodes: &[TailNode; 2]| nodes.iter().map(|n| n.counts.borrow().hushes).sum::<u64>();
        let before = hushed(&nodes);
        until("the bell is hushed", || async {
            for _ in 0..20 {
                client.batch_execute(INSERT).await.unwrap();
            }
            hushed(&nodes) > before
        })
        .await;
        for _ in 0..100 {
            client.batch_execute(INSERT).await.unwrap();
        }
        for node in &mut nodes {
            node.is("the hush is given back", |s| !s.hushed).await;
        }
        client.batch_execute(INSERT).await.unwrap();
        for node in &nodes {
            delivers_the_table(node, &client).await;
        }
    }
    assert_eq!(deadline(&client).await, 0, "the last hush was ended, and did not only run out");
    for node in nodes {
        node.stop().await;
    }
}

/// Until when the bell is hushed; 0 when a tail has ended the hush.
async fn deadline(client: &Client) -> i64 {
    client.query_one("select last_value from rowcast.hush_deadline", &[]).await.unwrap().get(0)
}

/// Hushes the bell for almost as long as can be, as a node does that dies then.
const HUSH: &str =
    "select setval('rowcast.hush_deadline', (extract(epoch from clock_timestamp()) * 1000)::bigint + 990)";

#[tokio::test]
async fn a_new_node_ends_the_hush_of_one_that_died_and_tells_the_others() {
    let db = migrated_database().await;
    let client = db.client().await;
    let mut first = TailNode::start(&db.url);
    first.hears().await;
    client.batch_execute(&format!("{HUSH}; {INSERT}")).await.unwrap();
    assert!(deadline(&client).await > 0);
    let before = first.counts.borrow().polls;
    let second = TailNode::start(&db.url);
    until("the hush that it found is ended", || async { deadline(&client).await == 0 }).await;
    delivers_the_table(&second, &client).await;
    delivers_the_table(&first, &client).await;
    assert!(first.counts.borrow().polls > before);
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_deadline_that_is_no_tails_is_ended_by_a_tail_that_looks() {
    let db = migrated_database().await;
    let mut node = TailNode::start(&db.url);
    let client = db.client().await;
    node.hears().await;
    // As a clock that is set back leaves it, or a dump.
    let too_far =
        "select setval('rowcast.hush_deadline', (extract(epoch from clock_timestamp()) * 1000)::bigint + 3600000)";
    client.batch_execute(&format!("{too_far}; {INSERT}")).await.unwrap();
    until("the deadline is ended", || async { deadline(&client).await == 0 }).await;
    delivers_the_table(&node, &client).await;
    // A deadline that a tail may have set is left to it.
    client.batch_execute(HUSH).await.unwrap();
    let polls = node.counts.borrow().polls;
    until("the node has looked", || async { node.counts.borrow().polls > polls + 1 }).await;
    assert!(deadline(&client).await > 0);
    node.stop().await;
}

#[tokio::test]
async fn a_node_polls_on_while_its_hush_runs_out_again_and_again() {
    let db = migrated_database().await;
    let mut node = TailNode::start(&db.url);
    let client = db.client().await;
    node.hears().await;
    until("the bell is hushed", || async {
        for _ in 0..20 {
            client.batch_execute(INSERT).await.unwrap();
        }
        node.counts.borrow().hushes > 0
    })
    .await;
    // What a tail that is held up looks like from outside: its deadline passes, and it does not know.
    for _ in 0..50 {
        client.batch_execute(&format!("select setval('rowcast.hush_deadline', 1); {INSERT}")).await.unwrap();
    }
    // 0 is what a node sets. A bell that was on its way may let it hush once more before that.
    until("the node has ended the hush", || async { deadline(&client).await == 0 }).await;
    node.is("the hush is ended", |s| !s.hushed).await;
    client.batch_execute(INSERT).await.unwrap();
    delivers_the_table(&node, &client).await;
    node.stop().await;
}
