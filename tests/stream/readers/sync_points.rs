//! The point of a sync, with the test in the place of the tail: who shares a reading, and what happens when the head does not come
//! or another history begins.

use std::time::Duration;

use futures_util::future::join_all;
use rowcast::db::Lane;
use rowcast::session::NotReached;

use super::{ReaderNode, burn, fill};
use crate::support::{PATIENCE, migrated_database};

/// The number of runs of the lane for reading.
fn readings(node: &ReaderNode) -> u64 {
    node.live.database().lanes().into_iter().find(|status| status.lane == Lane::Read).unwrap().runs
}

#[tokio::test]
async fn a_point_covers_what_is_committed_and_the_head_comes_to_it() {
    let db = migrated_database().await;
    let mut node = ReaderNode::over(&db, 4).await;
    fill(&node.client, 10).await;
    node.jump(10).await;
    let point = node.live.sync_point().await.unwrap();
    assert_eq!((point.seq, node.live.reach(point, Duration::ZERO).await.unwrap().head), (10, 10));
    fill(&node.client, 5).await;
    burn(&node.client, 3).await;
    let point = node.live.sync_point().await.unwrap();
    assert_eq!(point.seq, 18);
    node.advance(17).await;
    assert_eq!(node.live.reach(point, Duration::from_millis(20)).await, Err(NotReached));
    // The reading has asked the tail for a look, as it found numbers beyond the head.
    node.writer.look_wanted().await;
    node.advance(18).await;
    assert_eq!(node.live.reach(point, PATIENCE).await.unwrap().head, 18);
}

#[tokio::test]
async fn two_hundred_who_ask_at_once_share_two_readings() {
    let db = migrated_database().await;
    let mut node = ReaderNode::over(&db, 4).await;
    node.jump(0).await;
    let before = readings(&node);
    let points = join_all((0..200).map(|_| node.live.sync_point())).await;
    assert!(points.iter().all(|point| point == &points[0]), "{points:?}");
    assert!((1..=2).contains(&(readings(&node) - before)), "{} readings", readings(&node) - before);
}

#[tokio::test]
async fn another_history_and_another_connection_of_the_tail_make_the_point_be_read_again() {
    let db = migrated_database().await;
    let mut node = ReaderNode::over(&db, 4).await;
    fill(&node.client, 10).await;
    node.jump(10).await;
    burn(&node.client, 5).await;
    let lost = node.live.sync_point().await.unwrap();
    assert_eq!(lost.seq, 15);
    // As after a crash that the numbers beyond 12 did not outlive: the tail connects again, and the history is the same.
    node.client.execute("select setval('rowcast.events_seq_seq', 12)", &[]).await.unwrap();
    let live = node.live.clone();
    let waits = tokio::spawn(async move { live.reach(lost, PATIENCE).await });
    node.jump(12).await;
    assert_eq!(waits.await.unwrap().unwrap().head, 12);
    // As after a restore: the numbers begin anew, and the head of the former history is beyond them.
    burn(&node.client, 20).await;
    let former = node.live.sync_point().await.unwrap();
    let live = node.live.clone();
    let waits = tokio::spawn(async move { live.reach(former, PATIENCE).await });
    node.writer.reset();
    node.client.execute("select setval('rowcast.events_seq_seq', 11)", &[]).await.unwrap();
    node.jump(11).await;
    let reached = waits.await.unwrap().unwrap();
    assert_eq!((reached.head, reached.epoch), (11, former.epoch + 1));
}

#[tokio::test]
async fn a_sequence_behind_the_head_is_not_believed() {
    let db = migrated_database().await;
    let mut node = ReaderNode::over(&db, 4).await;
    fill(&node.client, 10).await;
    node.jump(10).await;
    node.client.execute("select setval('rowcast.events_seq_seq', 9)", &[]).await.unwrap();
    assert!(node.live.sync_point().await.is_err());
    node.client.execute("select setval('rowcast.events_seq_seq', 10)", &[]).await.unwrap();
    assert_eq!(node.live.sync_point().await.unwrap().seq, 10);
}
