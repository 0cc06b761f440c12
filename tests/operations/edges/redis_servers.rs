//! Edges beside more than one Redis: a replica of their own, and Redis Cluster, where one server alone has the copy.

use std::time::Duration;

use redis::AsyncCommands;
use rowcast::client::{Item, Start};

use super::{committed, follow, follow_to_the_end, is_live, live_from, write};
use crate::operations::failover::postgres::free_port;
use crate::support::redis::TestRedis;
use crate::support::{TestDb, TestServer, migrated_database, until};

/// The slots of Redis Cluster, of which every key has one.
const SLOTS: u16 = 16_384;

/// Two servers that reach each other by TCP.
async fn two_redis(options: &[&str]) -> Option<([TestRedis; 2], [u16; 2])> {
    // In Redis Cluster, servers talk to each other on a port that is 10,000 higher.
    let port = || std::iter::repeat_with(free_port).find(|port| *port < 55_000).unwrap();
    let ports = [port(), port()];
    let start = async |port: u16| {
        let port = port.to_string();
        TestRedis::start(&[&["--port", port.as_str(), "--bind", "127.0.0.1"], options].concat()).await
    };
    Some(([start(ports[0]).await?, start(ports[1]).await?], ports))
}

async fn tell(redis: &TestRedis, words: &[&str]) {
    let (command, rest) = words.split_first().unwrap();
    let mut connection = redis.connect().await;
    let _: redis::Value = redis::cmd(command).arg(rest).query_async(&mut connection).await.unwrap();
}

async fn server(db: &TestDb, urls: &str, setting: (&str, &str)) -> TestServer {
    TestServer::ready(&db.url, &[setting, ("ROWCAST_RELAY_URL", urls), ("ROWCAST_HEARTBEAT", "500ms")]).await
}

/// Writes, and compares what a client of the edge gets with the table.
async fn follows_exactly(db: &TestDb, edge: &TestServer) {
    let writer = db.client().await;
    let mut follower = follow(edge, Start::Earliest);
    let mut got = Vec::new();
    for _ in 0..3 {
        write(&writer).await;
        follow_to_the_end(&writer, &mut follower, &mut got).await;
        assert_eq!(got, committed(&writer).await);
    }
    assert_eq!(edge.metric("rowcast_tail_gaps_total").await, 0);
    live_from(edge, "redis").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_reads_a_replica_of_its_own_and_nobody_writes_there() {
    let Some((servers, ports)) = two_redis(&[]).await else { return };
    tell(&servers[1], &["REPLICAOF", "127.0.0.1", &ports[0].to_string()]).await;
    let db = migrated_database().await;
    let node = server(&db, &servers[0].url(), ("ROWCAST_RELAY", "on")).await;
    let replica = servers[1].url();
    let edge = server(&db, &replica, ("ROWCAST_LIVE_FROM", "redis")).await;
    // This one has only a server that takes no writes.
    let idle = server(&db, &replica, ("ROWCAST_RELAY", "on")).await;
    live_from(&edge, "redis").await;
    follows_exactly(&db, &edge).await;
    assert_eq!(idle.metric("rowcast_relay_events_total").await, 0);

    // A replica that hears nothing of its primary is left for Postgres, and used again when it does.
    tell(&servers[1], &["REPLICAOF", "127.0.0.1", "1"]).await;
    live_from(&edge, "postgres").await;
    let mut follower = follow(&edge, Start::Latest);
    is_live(&mut follower).await;
    write(&db.client().await).await;
    while !matches!(follower.next().await.unwrap(), Item::Event(_)) {}
    tell(&servers[1], &["REPLICAOF", "127.0.0.1", &ports[0].to_string()]).await;
    live_from(&edge, "redis").await;
    for server in [edge, idle, node] {
        server.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_redis_cluster_the_server_that_has_the_copy_is_found() {
    let Some((servers, ports)) = two_redis(&["--cluster-enabled", "yes"]).await else { return };
    for (redis, slots) in servers.iter().zip([0..SLOTS / 2, SLOTS / 2..SLOTS]) {
        let slots: Vec<String> = slots.map(|slot| slot.to_string()).collect();
        let words: Vec<&str> = ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str)).collect();
        tell(redis, &words).await;
    }
    tell(&servers[0], &["CLUSTER", "MEET", "127.0.0.1", &ports[1].to_string()]).await;
    let mut connections = [servers[0].connect().await, servers[1].connect().await];
    for connection in &mut connections {
        until("the cluster serves all slots", || {
            let mut connection = connection.clone();
            async move {
                let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(&mut connection).await.unwrap();
                info.contains("cluster_state:ok")
            }
        })
        .await;
    }
    let db = migrated_database().await;
    let urls = servers.each_ref().map(TestRedis::url);
    for order in [[0, 1], [1, 0]] {
        let urls = order.map(|at| urls[at].as_str()).join(",");
        let node = server(&db, &urls, ("ROWCAST_RELAY", "on")).await;
        let edge = server(&db, &urls, ("ROWCAST_LIVE_FROM", "redis")).await;
        live_from(&edge, "redis").await;
        follows_exactly(&db, &edge).await;
        edge.stop().await.unwrap();
        node.stop().await.unwrap();
    }
    // One server has the copy, and the other one sends whoever asks for it there.
    let mut having = 0;
    for connection in &mut connections {
        let asked = tokio::time::timeout(Duration::from_secs(5), connection.exists("rowcast:{relay}:events"));
        let found: Result<bool, _> = asked.await.unwrap();
        having += usize::from(found == Ok(true));
    }
    assert_eq!(having, 1);
}
