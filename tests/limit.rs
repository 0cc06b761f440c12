//! Rate limits: the arithmetic against a table made by hand and a reference, the bounds of memory, and Redis as it comes and
//! goes.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use rowcast::config::{LimitConfig, Secret, ServerConfig};
use rowcast::limit::{Class, Decision, Limits};
use rowcast::shutdown::{Shutdown, Tasks};
use tokio::time::{Instant, advance};

use crate::support::redis::TestRedis;
use crate::support::{PATIENCE, settings, until};

const MILLI: Duration = Duration::from_millis(1);

fn config(rates: &str, redis: Option<&str>) -> LimitConfig {
    let more = [("ROWCAST_RATE_LIMITS", rates), ("ROWCAST_REDIS_URL", redis.unwrap_or_default())];
    ServerConfig::read(&settings("postgres://nowhere", &more)).unwrap().limits
}

fn in_memory(rates: &str) -> Limits {
    Limits::new(&config(rates, None)).unwrap()
}

// ---- memory --------------------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_quota_is_had_at_once_and_comes_back_one_by_one() {
    // 4 in a second: one comes back every 250 ms. By hand: when, how many are asked for, whether they pass, how many are
    // left, in how many ms all are back, and in how many the same would pass.
    let table: &[(u64, u32, bool, u32, u64, u64)] = &[
        (0, 1, true, 3, 250, 0),
        (0, 1, true, 2, 500, 0),
        (0, 1, true, 1, 750, 0),
        (0, 1, true, 0, 1000, 0),
        (0, 1, false, 0, 1000, 250),
        (100, 1, false, 0, 900, 150),
        (249, 1, false, 0, 751, 1),
        (250, 1, true, 0, 1000, 0),
        (250, 2, false, 0, 1000, 500),
        (1000, 3, true, 0, 1000, 0),
        (1300, 0, true, 1, 700, 0),
        (1300, 2, false, 1, 700, 200),
        (1300, 1, true, 0, 950, 0),
        (2250, 4, true, 0, 1000, 0),
        // More than the whole is the whole.
        (3249, 9, false, 3, 1, 1),
        (3250, 9, true, 0, 1000, 0),
        (9999, 1, true, 3, 250, 0),
    ];
    let limits = in_memory("public=4/s");
    let begun = Instant::now();
    for &(at, cost, allowed, remaining, reset, retry) in table {
        advance(MILLI * u32::try_from(at).unwrap() - begun.elapsed()).await;
        let millis = |n: u64| Duration::from_millis(n);
        let expected = Decision { allowed, limit: 4, remaining, reset: millis(reset), retry_after: millis(retry) };
        assert_eq!(limits.check(Class::Public, "a", cost).await, expected, "at {at} ms, {cost}");
    }
    let status = limits.status();
    assert_eq!((status.configured, status.shared, status.lost_total), (false, false, 0));
    assert_eq!((status.denied(Class::Public), status.denied), (6, [6, 0, 0, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn keys_and_classes_do_not_share() {
    let limits = in_memory("public=1/m,private=1/m");
    assert!(limits.check(Class::Public, "a", 1).await.allowed);
    assert!(limits.check(Class::Public, "b", 1).await.allowed);
    assert!(limits.check(Class::Private, "a", 1).await.allowed);
    assert!(!limits.check(Class::Public, "a", 1).await.allowed);
    assert_eq!(limits.rate(Class::Public).count, 1);
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// GCRA as its definition has it: by the theoretical arrival time, here in fractions of a microsecond, `1/count` each.
struct Reference {
    count: u128,
    period: u128,
    arrival: u128,
}

impl Reference {
    fn ask(&mut self, now: u128, cost: u128) -> bool {
        let now = now * self.count;
        let next = self.arrival.max(now) + cost.min(self.count) * self.period;
        let allowed = next - now <= self.count * self.period;
        if allowed {
            self.arrival = next;
        }
        allowed
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_is_asked_the_answer_is_that_of_the_reference() {
    let mut dice = Dice(0x5eed);
    for round in 0..60 {
        let (count, unit, seconds) =
            [(1 + dice.roll(9), "s", 1), (1 + dice.roll(1000), "m", 60), (1 + dice.roll(999_999), "h", 3600)]
                [usize::try_from(dice.roll(3)).unwrap()];
        let limits = in_memory(&format!("append={count}/{unit}"));
        let period = seconds * 1_000_000;
        let mut reference = Reference { count: count.into(), period, arrival: 0 };
        let begun = Instant::now();
        let mut passed_of = [0; 2];
        for step in 0..400 {
            let cost = if dice.roll(4) == 0 { dice.roll(count * 2) } else { 1 };
            let now = begun.elapsed().as_micros();
            let decision = limits.check(Class::Append, "a", u32::try_from(cost).unwrap()).await;
            let expected = reference.ask(now, cost.into());
            let what = format!("round {round}, step {step}: {cost} of {count}/{unit} at {now}");
            assert_eq!(decision.allowed, expected, "{what}");
            passed_of[usize::from(expected)] += 1;
            if !expected {
                // Not a microsecond too early, and none too late.
                let wait = u128::from(u64::try_from(decision.retry_after.as_micros()).unwrap());
                let mut later = Reference { ..reference };
                assert!(!later.ask(now + wait - 1, cost.into()) && later.ask(now + wait, cost.into()), "{what}");
            }
            let most = u64::try_from(period).unwrap() * 3 / count;
            advance(Duration::from_micros(dice.roll(most.max(2)))).await;
        }
        assert!(passed_of[1] > 0, "{passed_of:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_million_keys_do_not_fill_the_memory_nor_free_who_is_exhausted() {
    let limits = in_memory("public=100/m");
    assert!(limits.check(Class::Public, "attacker", 100).await.allowed);
    for key in 0..1_000_000_u32 {
        limits.check(Class::Public, &format!("2001:db8:{key:x}::/64"), 1).await;
        if key % 10_000 == 0 {
            advance(MILLI).await;
            assert!(!limits.check(Class::Public, "attacker", 1).await.allowed, "after {key} others");
        }
    }
    let held = limits.keys_in_memory();
    assert!((10_000..=65_536).contains(&held), "{held}");
    // Who is whole again goes first.
    advance(Duration::from_secs(61)).await;
    for key in 0..100_000_u32 {
        limits.check(Class::Public, &format!("other {key}"), 1).await;
    }
    assert!(limits.keys_in_memory() <= 65_536);
}

// ---- Redis ---------------------------------------------------------------------------------------------------------

/// What is logged while this lives, on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn lines_with(&self, word: &str) -> usize {
        self.text().lines().filter(|line| line.contains(word)).count()
    }
}

/// One node's limits with the task that keeps Redis.
struct Node {
    limits: Limits,
    shutdown: Shutdown,
    tasks: Tasks,
}

impl Node {
    fn start(rates: &str, url: &str, timeout: Duration) -> Self {
        let limits = Limits::with_redis_timeout(&config(rates, Some(url)), timeout).unwrap();
        let (shutdown, mut tasks) = (Shutdown::new(), Tasks::default());
        let (running, stop) = (limits.clone(), shutdown.clone());
        tasks.spawn("limits", async move { running.run(stop).await });
        Self { limits, shutdown, tasks }
    }

    /// One that has reached Redis, and is patient: other tests may be using the machine.
    async fn shared(rates: &str, redis: &TestRedis) -> Self {
        let node = Self::start(rates, &redis.url(), PATIENCE);
        node.wait_for(true).await;
        node
    }

    async fn wait_for(&self, shared: bool) {
        until("Redis is used, or not", || async { self.limits.status().shared == shared }).await;
    }

    async fn stop(mut self) {
        self.shutdown.cancel();
        assert!(self.tasks.drain(PATIENCE).await.is_empty());
    }
}

/// Asks so often at once, and counts who passes.
async fn burst(limits: &Limits, many: usize) -> usize {
    let asked = (0..many).map(|_| {
        let limits = limits.clone();
        tokio::spawn(async move { limits.check(Class::Private, "somebody", 1).await.allowed })
    });
    join_all(asked).await.into_iter().filter(|passed| *passed.as_ref().unwrap()).count()
}

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
    let (one, other) = (Node::shared("private=300/h", &redis).await, Node::shared("private=300/h", &redis).await);
    // Each has some for sure; who gets more of the rest is up to the machine.
    assert_eq!((burst(&one.limits, 50).await, burst(&other.limits, 50).await), (50, 50));
    let (a, b) = tokio::join!(burst(&one.limits, 350), burst(&other.limits, 350));
    assert_eq!(a + b, 200, "{a} and {b}");
    let denied = one.limits.status().denied(Class::Private) + other.limits.status().denied(Class::Private);
    assert_eq!(denied, 500);
    assert!(one.limits.status().shared && other.limits.status().shared);
    // A node that comes later finds what they have left.
    let third = Node::shared("private=300/h", &redis).await;
    let decision = third.limits.check(Class::Private, "somebody", 1).await;
    assert!(!decision.allowed && decision.limit == 300 && decision.remaining == 0, "{decision:?}");
    assert!(decision.retry_after <= Duration::from_secs(12), "{decision:?}");
    // Another rate is another quota, not a misread debt.
    let fourth = Node::shared("private=400/h", &redis).await;
    assert_eq!(fourth.limits.check(Class::Private, "somebody", 1).await.remaining, 399);
    for node in [one, other, third, fourth] {
        node.stop().await;
    }
}

#[tokio::test]
async fn redis_decides_as_memory_does() {
    let Some(redis) = TestRedis::start(&[]).await else { return };
    let node = Node::shared("append=10/h", &redis).await;
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
    let node = Node::shared("public=10/h,private=20/s", &redis).await;
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
    let node = Node::shared("private=10/h", &redis).await;
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
    let (log, _guard) = Log::start();
    // One comes back in a minute, which is longer than this takes.
    let rates = "private=60/h";
    let node = Node::start(rates, &redis.url(), timeout);
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
    let other = Node::start(rates, &redis.url(), PATIENCE);
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
    let node = Node::shared("private=300/h", &redis).await;
    redis.kill();
    node.wait_for(false).await;
    node.stop().await;
}

#[tokio::test]
async fn a_redis_that_is_not_there_at_the_start_is_used_when_it_comes() {
    let Some(mut redis) = TestRedis::start(&[]).await else { return };
    redis.kill();
    let (log, _guard) = Log::start();
    let node = Node::start("private=2/h", &redis.url(), PATIENCE);
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
    let (log, _guard) = Log::start();
    let node = Node::start("private=2/h", &format!("{}?pass=hunter2", redis.url()), PATIENCE);
    until("it is told", || async { log.lines_with("Redis cannot be used") == 1 }).await;
    assert_eq!(burst(&node.limits, 5).await, 2);
    assert!(!node.limits.status().shared);
    assert!(!log.text().contains("hunter2") && !format!("{:?}", node.limits).contains("hunter2"), "{}", log.text());
    node.stop().await;
    let node = Node::start("private=2/h", &format!("{}?pass=correct-horse", redis.url()), PATIENCE);
    node.wait_for(true).await;
    node.stop().await;
}

#[tokio::test]
async fn a_redis_that_answers_but_must_not_write_stays_lost() {
    let Some(redis) = TestRedis::start(&[]).await else { return };
    let (log, _guard) = Log::start();
    let node = Node::start("private=2/h", &redis.url(), PATIENCE);
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
