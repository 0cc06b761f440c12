//! The copy with holes, lost, frozen, garbled, or of another history: an edge gives exactly what was committed all the same.

use nix::sys::signal::Signal;
use rowcast::auth::Role;
use rowcast::client::Start;

use super::{Fleet, edge, follow, is_live, live_from};
use crate::stream::ws::raw_websocket::Client;
use crate::stream::ws::token;
use crate::support::restarted_server::RestartedServer;
use crate::support::slow_link::{FAST, Link};
use crate::support::{TestServer, run, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_in_redis_comes_from_postgres() {
    let Some(fleet) = Fleet::start(&[]).await else { return };
    let url = fleet.redis.url();
    let settings =
        [("ROWCAST_LIVE_FROM", "redis"), ("ROWCAST_RELAY_URL", url.as_str()), ("ROWCAST_HEARTBEAT", "500ms")];
    let held_up = RestartedServer::with(&fleet.db.url, &settings);
    held_up.ready().await;
    let view = TestServer::at(&format!("http://{}", held_up.place));
    live_from(&view, "redis").await;
    let mut follower = follow(&view, Start::Earliest);
    is_live(&mut follower).await;
    let mut got = Vec::new();
    fleet.write().await;
    fleet.follow_to_the_end(&mut follower, &mut got).await;
    let mut redis = fleet.redis.connect().await;
    for (round, kept) in (1..).zip(["0", "3", "0"]) {
        live_from(&view, "redis").await;
        // While the edge cannot read, entries come and go. The first ones may be on their way to it already.
        held_up.signal(Signal::SIGSTOP);
        for _ in 0..2 {
            fleet.write().await;
            let newest = fleet.committed().await.last().copied().unwrap();
            until("the entries are in Redis", || async { relayed_upto(&fleet).await >= newest }).await;
        }
        let _: i64 = redis::cmd("XTRIM")
            .arg("rowcast:{relay}:events")
            .arg("MAXLEN")
            .arg(kept)
            .query_async(&mut redis)
            .await
            .unwrap();
        held_up.signal(Signal::SIGCONT);
        fleet.follow_to_the_end(&mut follower, &mut got).await;
        fleet.write().await;
        fleet.follow_to_the_end(&mut follower, &mut got).await;
        assert!(holes(&view).await >= round, "each round leaves a hole");
    }
    assert_eq!(got, fleet.committed().await);
    fleet.end().await;
}

/// How often an edge has read from Postgres what was missing. One that was held up for seconds goes there as a whole.
async fn holes(edge: &TestServer) -> i64 {
    edge.metric("rowcast_tail_gaps_total").await + edge.metric("rowcast_tail_fallbacks_total").await
}

/// The seq up to which the other edge has everything from Redis.
async fn relayed_upto(fleet: &Fleet) -> i64 {
    fleet.edge.metric("rowcast_tail_head").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_may_be_emptied_killed_and_frozen() {
    let Some(mut fleet) = Fleet::start(&[]).await else { return };
    let mut follower = follow(&fleet.edge, Start::Earliest);
    is_live(&mut follower).await;
    let mut got = Vec::new();
    for _ in 0..3 {
        let mut redis = fleet.redis.connect().await;
        let _: String = redis::cmd("FLUSHALL").query_async(&mut redis).await.unwrap();
        fleet.write().await;
        fleet.follow_to_the_end(&mut follower, &mut got).await;
    }
    live_from(&fleet.edge, "redis").await;
    // Killed: the edge reads Postgres, and Redis again once it is back, empty.
    fleet.redis.kill();
    fleet.write().await;
    fleet.follow_to_the_end(&mut follower, &mut got).await;
    live_from(&fleet.edge, "postgres").await;
    fleet.redis.revive().await;
    live_from(&fleet.edge, "redis").await;
    fleet.write().await;
    fleet.follow_to_the_end(&mut follower, &mut got).await;
    // Frozen: its connections stay, and nothing comes.
    fleet.redis.freeze();
    fleet.write().await;
    fleet.follow_to_the_end(&mut follower, &mut got).await;
    live_from(&fleet.edge, "postgres").await;
    fleet.redis.thaw();
    live_from(&fleet.edge, "redis").await;
    fleet.write().await;
    fleet.follow_to_the_end(&mut follower, &mut got).await;
    assert_eq!(got, fleet.committed().await);
    assert!(fleet.edge.metric("rowcast_tail_fallbacks_total").await >= 2);
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_without_redis_or_relay_reads_postgres() {
    let Some(mut fleet) = Fleet::start(&[]).await else { return };
    fleet.redis.kill();
    let alone = edge(&fleet.db, &fleet.redis, &[]).await;
    live_from(&alone, "postgres").await;
    let mut follower = follow(&alone, Start::Earliest);
    is_live(&mut follower).await;
    let mut got = Vec::new();
    fleet.write().await;
    fleet.follow_to_the_end(&mut follower, &mut got).await;
    fleet.redis.revive().await;
    live_from(&alone, "redis").await;
    fleet.write().await;
    fleet.follow_to_the_end(&mut follower, &mut got).await;
    // The node that copies ends: nobody reports any more.
    let Fleet { writer, redis, node, edge, db } = fleet;
    node.stop().await.unwrap();
    live_from(&alone, "postgres").await;
    super::write(&writer).await;
    let node = super::copying(&db, &redis, &[]).await;
    live_from(&alone, "redis").await;
    let fleet = Fleet { writer, redis, node, edge, db };
    fleet.write().await;
    fleet.follow_to_the_end(&mut follower, &mut got).await;
    assert_eq!(got, fleet.committed().await);
    alone.stop().await.unwrap();
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_copy_keeps_its_length_and_its_bytes() {
    let limits = [("ROWCAST_RELAY_LENGTH", "1000"), ("ROWCAST_RELAY_SIZE", "2MB")];
    let Some(fleet) = Fleet::start(&limits).await else { return };
    let mut follower = follow(&fleet.edge, Start::Earliest);
    is_live(&mut follower).await;
    let mut got = Vec::new();
    let mut redis = fleet.redis.connect().await;
    let fill = async |many: i64, bytes: i64| {
        let sql = "insert into rowcast.events (type, payload) \
                   select 'copy.made', jsonb_build_object('t', repeat('x', $2::int8::int)) from generate_series(1, $1::int8)";
        fleet.writer.execute(sql, &[&many, &bytes]).await.unwrap();
    };
    let kept = async |redis: &mut redis::aio::MultiplexedConnection| -> (i64, i64) {
        let length = redis::cmd("XLEN").arg("rowcast:{relay}:events").query_async(redis).await.unwrap();
        let memory = redis::cmd("MEMORY").arg("USAGE").arg("rowcast:{relay}:events").query_async(redis).await.unwrap();
        (length, memory)
    };
    fill(5_000, 10).await;
    fleet.follow_to_the_end(&mut follower, &mut got).await;
    let (length, _) = kept(&mut redis).await;
    // Redis cuts whole nodes of its tree, of a hundred entries each.
    assert!((1_000..=1_200).contains(&length), "{length}");
    for _ in 0..4 {
        fill(20, 200_000).await;
        fleet.follow_to_the_end(&mut follower, &mut got).await;
    }
    let (_, memory) = kept(&mut redis).await;
    assert!(memory < 8 << 20, "{memory} bytes of entries, of which 2 MB may stay and what one write adds");
    assert_eq!(got, fleet.committed().await);
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_begins_when_everything_is_trimmed_goes_on_from_there() {
    let Some(fleet) = Fleet::start(&[]).await else { return };
    fleet.write().await;
    let newest = fleet.committed().await.last().copied().unwrap();
    until("the node has the events", || async { fleet.node.metric("rowcast_tail_head").await >= newest }).await;
    let trimmed = run(&["trim", "--before", &(newest + 1).to_string()], &[("DATABASE_URL", &fleet.db.url)]).await;
    assert!(trimmed.status.success(), "{trimmed:?}");
    let late = edge(&fleet.db, &fleet.redis, &[]).await;
    live_from(&late, "redis").await;
    let mut follower = follow(&late, Start::Latest);
    is_live(&mut follower).await;
    let (resets, gaps) = (late.metric("rowcast_tail_resets_total").await, late.metric("rowcast_tail_gaps_total").await);
    fleet.write().await;
    let mut got = Vec::new();
    fleet.follow_to_the_end(&mut follower, &mut got).await;
    let later: Vec<i64> = fleet.committed().await.into_iter().filter(|seq| *seq > newest).collect();
    assert_eq!((got, later.len()), (later.clone(), 42));
    assert_eq!(late.metric("rowcast_tail_resets_total").await, resets, "nothing was taken for another history");
    assert_eq!(late.metric("rowcast_tail_gaps_total").await, gaps, "and nothing was missing");
    late.stop().await.unwrap();
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_told_as_long_as_what_is_missing_cannot_be_read() {
    let Some(fleet) = Fleet::start(&[]).await else { return };
    let (link, url) = Link::to_database(&fleet.db.url, FAST).await;
    let redis_url = fleet.redis.url();
    let settings =
        [("ROWCAST_LIVE_FROM", "redis"), ("ROWCAST_RELAY_URL", redis_url.as_str()), ("ROWCAST_HEARTBEAT", "300ms")];
    let edge = TestServer::ready(&url, &settings).await;
    live_from(&edge, "redis").await;
    let mut session = Client::with(edge.address(), "/ws", &token(Role::Admin, "root")).await;
    session.past_heartbeats("hello").await;
    session.past_heartbeats("live").await;
    // From here on, new connections to Postgres are refused.
    drop(link);
    let mut redis = fleet.redis.connect().await;
    let mut waits = async || {
        loop {
            let frame = session.json().await;
            if frame["op"] == "heartbeat" {
                return frame["stalled"]["reason"] == "database";
            }
        }
    };
    loop {
        let _: String = redis::cmd("FLUSHALL").query_async(&mut redis).await.unwrap();
        fleet.write().await;
        if waits().await || waits().await {
            break;
        }
    }
    for _ in 0..8 {
        assert!(waits().await, "nothing was mended");
    }
    edge.stop().await.unwrap();
    fleet.end().await;
}
