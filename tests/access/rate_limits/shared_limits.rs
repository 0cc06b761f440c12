//! Rate limits that several nodes share through Redis.

use std::collections::BTreeMap;
use std::time::Duration;

use rowcast::config::{LimitConfig, Secret};
use rowcast::limit::{Class, Limits};
use rowcast::shutdown::{Shutdown, Tasks};

use super::{LimitNode, MILLI, burst, config, in_memory};
use crate::support::redis::TestRedis;
use crate::support::{PATIENCE, until};

/// All that a Redis keeps, with the milliseconds that it will.
async fn kept(redis: &TestRedis) -> BTreeMap<String, i64> {
    let mut connection = redis.connect().await;
    let names: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    let mut kept = BTreeMap::new();
    for name in names {
        let left: i64 = redis::cmd("PTTL").arg(&name).query_async(&mut connection).await.unwrap();
        // -2: it went in between.
        if left != -2 {
            kept.insert(name, left);
        }
    }
    kept
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_let_through_exactly_the_limit_between_them() {
    let Some(redis) = TestRedis::start(&[]).await else { return };
    let (one, other) =
        (LimitNode::shared("private=300/h", &redis).await, LimitNode::shared("private=300/h", &redis).await);
    // Each has some for sure; who gets more of the rest is up to the machine.
    assert_eq!((burst(&one.limits, 50).await, burst(&other.limits, 50).await), (50, 50));
    let (a, b) = tokio::join!(burst(&one.limits, 350), burst(&other.limits, 350));
    assert_eq!(a + b, 200, "{a} and {b}");
    let denied = one.limits.status().denied(Class::Private) + other.limits.status().denied(Class::Private);
    assert_eq!(denied, 500);
    assert!(one.limits.status().shared && other.limits.status().shared);
    // A node that comes later finds what they have left.
    let third = LimitNode::shared("private=300/h", &redis).await;
    let decision = third.limits.check(Class::Private, "somebody", 1).await;
    assert!(!decision.allowed && decision.limit == 300 && decision.remaining == 0, "{decision:?}");
    assert!(decision.retry_after <= Duration::from_secs(12), "{decision:?}");
    // Another rate is another quota, not a misread debt.
    let fourth = LimitNode::shared("private=400/h", &redis).await;
    assert_eq!(fourth.limits.check(Class::Private, "somebody", 1).await.remaining, 399);
    for node in [one, other, third, fourth] {
        node.stop().await;
    }
}

#[tokio::test]
async fn redis_decides_as_memory_does() {
    let Some(redis) = TestRedis::start(&[]).await else { return };
    let node = LimitNode::shared("append=10/h", &redis).await;
    let alone = in_memory("append=10/h");
    for cost in [3, 0, 20, 4, 4, 3, 1] {
        let (there, here) =
            (node.limits.check(Class::Append, "a", cost).await, alone.check(Class::Append, "a", cost).await);
        assert_eq!((there.allowed, there.limit, there.remaining), (here.allowed, here.limit, here.remaining), "{cost}");
        let apart = |a: Duration, b: Duration| a.abs_diff(b) < PATIENCE;
        assert!(apart(there.reset, here.reset) && apart(there.retry_after, here.retry_after), "{there:?} {here:?}");
    }
    // All at once, beyond the whole.
    assert!(node.limits.check(Class::Append, "b", 1000).await.allowed);
    assert!(!node.limits.check(Class::Append, "b", 1).await.allowed);
    node.stop().await;
}

#[tokio::test]
async fn redis_keeps_nothing_readable_and_nothing_for_ever() {
    let Some(redis) = TestRedis::start(&[]).await else { return };
    let node = LimitNode::shared("public=10/h,private=20/s", &redis).await;
    node.limits.check(Class::Public, "203.0.113.7", 1).await;
    node.limits.check(Class::Private, &"long".repeat(10_000), 1).await;
    let names = kept(&redis).await;
    let public: Vec<_> = names.iter().filter(|(name, _)| name.starts_with("rowcast:limit:public:")).collect();
    assert_eq!(public.len(), 1, "{names:?}");
    assert!((1..=360_000).contains(public[0].1), "one of ten in an hour is back in six minutes: {names:?}");
    for (name, left) in &names {
        assert!(name.starts_with("rowcast:limit:") && name.len() < 64 && !name.contains("203"), "{name}");
        assert!(*left > 0, "{name} stays for ever");
    }
    // What is paid back is gone by itself.
    until("the other is gone", || async {
        let names = kept(&redis).await;
        names.keys().all(|name| name.starts_with("rowcast:limit:public:")) && names.len() == 1
    })
    .await;
    node.stop().await;
}

#[tokio::test]
async fn a_script_that_redis_has_forgotten_is_told_again() {
    let Some(redis) = TestRedis::start(&[]).await else { return };
    let node = LimitNode::shared("private=10/h", &redis).await;
    assert_eq!(node.limits.check(Class::Private, "a", 1).await.remaining, 9);
    for left in [8, 7] {
        let flushed: String = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut redis.connect().await).await.unwrap();
        assert_eq!(flushed, "OK");
        assert_eq!(node.limits.check(Class::Private, "a", 1).await.remaining, left);
        assert_eq!(node.limits.check(Class::Private, "a", 0).await.remaining, left);
    }
    let status = node.limits.status();
    assert!(status.shared && status.lost_total == 0, "{status:?}");
    node.stop().await;
}

#[tokio::test]
async fn a_url_that_makes_no_sense_is_refused_without_repeating_it() {
    for url in [
        "redis://",
        "redis://:hunter2@h:port",
        "redis://:hunter2@h/db",
        "unix://hunter2",
        "rediss://:hunter2@h/#insecure",
    ] {
        let error = Limits::new(&config("public=1/m", Some(url))).unwrap_err().to_string();
        assert!(error.starts_with("ROWCAST_REDIS_URL is not") && !error.contains("hunter2"), "{url}: {error}");
    }
    let no_rates = LimitConfig { redis_url: None, rates: BTreeMap::new(), sessions_per_subject: 1 };
    assert!(Limits::new(&no_rates).unwrap_err().to_string().contains("no rate for public"));
    let url = Secret::new("redis://127.0.0.1:1");
    let error = rowcast::limit::probe_redis(&url).await.unwrap_err();
    assert!(error.starts_with("127.0.0.1:1 cannot be reached"), "{error}");
}

#[tokio::test]
async fn without_redis_the_task_only_waits() {
    let limits = in_memory("public=1/m");
    let (shutdown, mut tasks) = (Shutdown::new(), Tasks::default());
    let (running, stop) = (limits.clone(), shutdown.clone());
    tasks.spawn("limits", async move { running.run(stop).await });
    assert!(tokio::time::timeout(10 * MILLI, tasks.next_end()).await.is_err());
    shutdown.cancel();
    assert!(tasks.drain(PATIENCE).await.is_empty());
}
