//! The lease of copying: one node at a time, another within two seconds, and never two copies of one event.

use std::time::{Duration, Instant};

use rowcast::client::Start;

use super::{Fleet, copying, follow, is_live, live_from};
use crate::support::redis::TestRedis;
use crate::support::{in_time, migrated_database, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_takes_over_within_two_seconds() {
    let Some((mut first, fleet)) = Fleet::behind_a_process().await else { return };
    let mut follower = follow(&fleet.edge, Start::Earliest);
    is_live(&mut follower).await;
    let mut got = Vec::new();
    fleet.write().await;
    fleet.follow_to_the_end(&mut follower, &mut got).await;
    assert_eq!(fleet.node.metric("rowcast_relay_holds").await, 0, "one node at a time");
    first.kill();
    let killed = Instant::now();
    until("another node copies", || async { fleet.node.metric("rowcast_relay_holds").await == 1 }).await;
    in_time(killed, Duration::from_secs(2));
    for _ in 0..3 {
        fleet.write().await;
        fleet.follow_to_the_end(&mut follower, &mut got).await;
    }
    assert_eq!(got, fleet.committed().await);
    assert_eq!(fleet.node.metric("rowcast_relay_begun_total").await, 0, "it went on where the first one ended");
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_hands_the_copying_over_at_once() {
    let Some(fleet) = Fleet::start(&[]).await else { return };
    let second = copying(&fleet.db, &fleet.redis, &[]).await;
    assert_eq!(second.metric("rowcast_relay_holds").await, 0);
    let Fleet { writer, redis, node, edge, db } = fleet;
    node.stop().await.unwrap();
    until("the other one copies", || async { second.metric("rowcast_relay_holds").await == 1 }).await;
    let fleet = Fleet { writer, redis, node: second, edge, db };
    let mut follower = follow(&fleet.edge, Start::Earliest);
    let mut got = Vec::new();
    fleet.write().await;
    fleet.follow_to_the_end(&mut follower, &mut got).await;
    assert_eq!(got, fleet.committed().await);
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_another_history_are_dropped() {
    let Some(redis) = TestRedis::start(&[]).await else { return };
    // What another journal left behind, far ahead of ours.
    let mut connection = redis.connect().await;
    let _: String = redis::cmd("XADD")
        .arg("rowcast:{relay}:events")
        .arg("900000-0")
        .arg("e")
        .arg("0{}\n{}")
        .query_async(&mut connection)
        .await
        .unwrap();
    let db = migrated_database().await;
    let node = copying(&db, &redis, &[]).await;
    let fleet = Fleet::around(db, redis, node, &[]).await;
    let mut follower = follow(&fleet.edge, Start::Earliest);
    is_live(&mut follower).await;
    let mut got = Vec::new();
    fleet.write().await;
    fleet.follow_to_the_end(&mut follower, &mut got).await;
    assert_eq!(got, fleet.committed().await);
    assert_eq!(fleet.node.metric("rowcast_relay_begun_total").await, 1);
    assert_eq!(fleet.edge.metric("rowcast_tail_gaps_total").await, 0);
    // Somebody else appends in between: the node that copies notices, and mends it.
    let _: String = redis::cmd("XADD")
        .arg("rowcast:{relay}:events")
        .arg("800000-0")
        .arg("e")
        .arg("0{}\n{}")
        .query_async(&mut connection)
        .await
        .unwrap();
    for _ in 0..3 {
        fleet.write().await;
        fleet.follow_to_the_end(&mut follower, &mut got).await;
    }
    assert_eq!(got, fleet.committed().await);
    until("the copy is begun anew", || async { fleet.node.metric("rowcast_relay_begun_total").await == 2 }).await;
    live_from(&fleet.edge, "redis").await;
    fleet.end().await;
}
