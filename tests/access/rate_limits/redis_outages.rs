//! Rate limits while Redis is killed, frozen, absent, or refuses: they go on in memory, and come back.

use std::time::Duration;

use futures_util::future::join_all;
use rowcast::limit::{Class, Limits};
use rowcast::shutdown::{Shutdown, Tasks};
use tokio::time::Instant;

use super::{CapturedLog, LimitNode, MILLI, burst, config};
use crate::support::redis::TestRedis;
use crate::support::{PATIENCE, until};

/// Looks at the quota again and again until it is told to end; none of the looks may be refused.
async fn traffic(limits: Limits, end: Shutdown) -> usize {
    let mut looks = 0;
    while !end.is_cancelled() {
        assert!(limits.check(Class::Private, "somebody", 0).await.allowed);
        looks += 1;
        tokio::time::sleep(MILLI).await;
    }
    looks
}

/// Redis goes in some way in the middle of a burst, and comes back. Meanwhile the node counts for itself, from nothing; and then
/// again in Redis, by what that has kept: the first burst of 20 or nothing.
async fn goes_and_comes_back(
    timeout: Duration,
    go: impl Fn(&mut TestRedis),
    back: impl AsyncFn(&mut TestRedis),
    kept: usize,
) {
    let Some(mut redis) = TestRedis::start(&[]).await else { return };
    let (log, _guard) = CapturedLog::start();
    // One comes back in a minute, which is longer than this takes.
    let rates = "private=60/h";
    let node = LimitNode::start(rates, &redis.url(), timeout);
    node.wait_for(true).await;
    let first = burst(&node.limits, 20).await;
    assert_eq!((first, log.lines_with("rate limits")), (20, 1), "{}", log.text());
    let end = Shutdown::new();
    let looking: Vec<_> = (0..8).map(|_| tokio::spawn(traffic(node.limits.clone(), end.clone()))).collect();
    let limits = node.limits.clone();
    let second = tokio::spawn(async move { burst(&limits, 20).await });
    tokio::task::yield_now().await;
    go(&mut redis);
    assert_eq!(second.await.unwrap(), 20, "a request was refused that had quota");
    node.wait_for(false).await;
    let begun = Instant::now();
    let third = burst(&node.limits, 80).await;
    assert!(begun.elapsed() < timeout, "{:?} for what memory decides", begun.elapsed());
    // The memory began empty: only what Redis did not answer of the second burst was counted in it before.
    assert!((40..=60).contains(&third), "{third} of sixty, less at most twenty");
    assert_eq!(burst(&node.limits, 5).await, 0, "beyond the quota of this node");
    assert_eq!(node.limits.keys_in_memory(), 1);
    let status = node.limits.status();
    assert_eq!((status.configured, status.shared, status.lost_total), (true, false, 1));
    assert_eq!(log.lines_with("Redis is lost"), 1, "{}", log.text());
    // It comes back, and what it has kept counts again; what memory counted is forgotten.
    back(&mut redis).await;
    node.wait_for(true).await;
    assert_eq!(log.lines_with("Redis is back"), 1, "{}", log.text());
    let fourth = burst(&node.limits, 80).await;
    // A Redis that was frozen still counts the commands of the second burst that wait in its socket.
    let second = if kept > 0 { 20 } else { 0 };
    assert!((60 - kept - second..=60 - kept).contains(&fourth), "{fourth}, where Redis has kept {kept}");
    until("the memory is empty", || async { node.limits.keys_in_memory() == 0 }).await;
    end.cancel();
    for looks in join_all(looking).await {
        assert!(looks.unwrap() > 0);
    }
    let other = LimitNode::start(rates, &redis.url(), PATIENCE);
    other.wait_for(true).await;
    assert!(burst(&other.limits, 80).await <= 1, "a fresh quota on another node, where Redis shares them");
    assert_eq!((node.limits.status().lost_total, log.lines_with("Redis is lost")), (1, 1), "{}", log.text());
    other.stop().await;
    node.stop().await;
}

#[tokio::test]
async fn redis_is_killed_in_mid_burst_and_comes_back_empty() {
    // So patient that only its end, not a slow machine, can make it lost.
    goes_and_comes_back(PATIENCE, TestRedis::kill, async |redis| redis.revive().await, 0).await;
}

#[tokio::test]
async fn redis_freezes_in_mid_burst_and_thaws() {
    let frozen = Duration::from_secs(2);
    goes_and_comes_back(frozen, |redis| redis.freeze(), async |redis| redis.thaw(), 20).await;
}

#[tokio::test]
async fn nobody_waits_longer_for_a_frozen_redis_than_the_timeout() {
    let Some(redis) = TestRedis::start(&[]).await else { return };
    let limits = Limits::new(&config("private=300/h", Some(&redis.url()))).unwrap();
    let shutdown = Shutdown::new();
    let (running, stop) = (limits.clone(), shutdown.clone());
    let mut tasks = Tasks::default();
    tasks.spawn("limits", async move { running.run(stop).await });
    until("Redis is used", || async { limits.status().shared }).await;
    redis.freeze();
    // The clock of this runtime moves only when nothing else can: what it measures is the waiting alone.
    tokio::time::pause();
    let begun = Instant::now();
    let (first, second) = tokio::join!(limits.check(Class::Private, "a", 1), limits.check(Class::Private, "b", 1));
    assert!(first.allowed && second.allowed);
    let waited = begun.elapsed();
    assert!((100 * MILLI..=110 * MILLI).contains(&waited), "{waited:?}");
    let begun = Instant::now();
    assert!(limits.check(Class::Private, "a", 1).await.allowed);
    assert_eq!(begun.elapsed(), Duration::ZERO, "the second in a row does not wait");
    tokio::time::resume();
    shutdown.cancel();
    assert!(tasks.drain(PATIENCE).await.is_empty());
}

#[tokio::test]
async fn a_redis_that_nobody_asks_is_missed_all_the_same() {
    let Some(mut redis) = TestRedis::start(&[]).await else { return };
    let node = LimitNode::shared("private=300/h", &redis).await;
    redis.kill();
    node.wait_for(false).await;
    node.stop().await;
}

#[tokio::test]
async fn a_redis_that_is_not_there_at_the_start_is_used_when_it_comes() {
    let Some(mut redis) = TestRedis::start(&[]).await else { return };
    redis.kill();
    let (log, _guard) = CapturedLog::start();
    let node = LimitNode::start("private=2/h", &redis.url(), PATIENCE);
    until("it is told", || async { log.lines_with("Redis cannot be used") == 1 }).await;
    assert_eq!(burst(&node.limits, 5).await, 2);
    redis.revive().await;
    node.wait_for(true).await;
    assert_eq!(burst(&node.limits, 5).await, 2, "Redis counts from what it has kept, which is nothing");
    until("the memory is empty", || async { node.limits.keys_in_memory() == 0 }).await;
    assert_eq!(node.limits.status().lost_total, 1);
    assert_eq!((log.lines_with("cannot be used"), log.lines_with("is back")), (1, 1), "{}", log.text());
    node.stop().await;
}

#[tokio::test]
async fn a_wrong_password_is_told_without_it_and_limits_go_on() {
    let Some(redis) = TestRedis::start(&["--requirepass", "correct-horse"]).await else { return };
    let (log, _guard) = CapturedLog::start();
    let node = LimitNode::start("private=2/h", &format!("{}?pass=hunter2", redis.url()), PATIENCE);
    until("it is told", || async { log.lines_with("Redis cannot be used") == 1 }).await;
    assert_eq!(burst(&node.limits, 5).await, 2);
    assert!(!node.limits.status().shared);
    assert!(!log.text().contains("hunter2") && !format!("{:?}", node.limits).contains("hunter2"), "{}", log.text());
    node.stop().await;
    let node = LimitNode::start("private=2/h", &format!("{}?pass=correct-horse", redis.url()), PATIENCE);
    node.wait_for(true).await;
    node.stop().await;
}

#[tokio::test]
async fn a_redis_that_answers_but_must_not_write_stays_lost() {
    let Some(redis) = TestRedis::start(&[]).await else { return };
    let (log, _guard) = CapturedLog::start();
    let node = LimitNode::start("private=2/h", &redis.url(), PATIENCE);
    node.wait_for(true).await;
    let mut admin = redis.connect().await;
    let said: String = redis::cmd("REPLICAOF").arg("127.0.0.1").arg("1").query_async(&mut admin).await.unwrap();
    assert_eq!(said, "OK");
    assert_eq!(burst(&node.limits, 5).await, 2);
    assert!(!node.limits.status().shared);
    // Longer than the first tries take: they find what they found before.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(node.limits.status().lost_total, 1, "{}", log.text());
    let said: String = redis::cmd("REPLICAOF").arg("NO").arg("ONE").query_async(&mut admin).await.unwrap();
    assert_eq!(said, "OK");
    node.wait_for(true).await;
    assert_eq!((log.lines_with("Redis is lost"), log.lines_with("Redis is back")), (1, 1), "{}", log.text());
    node.stop().await;
}
