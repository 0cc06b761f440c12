//! The doors ask the limits.

use futures_util::future::join_all;
use rowcast::auth::Role;
use serde_json::json;

use super::{Session, Sse, ask, bearer, knock, metric, only, token, token_issued};
use crate::support::raw_http::{Answer, request};
use crate::support::redis::TestRedis;
use crate::support::{TestServer, migrated_database, until};

fn assert_limited(answer: &Answer, class: &str) {
    assert_eq!(answer.status, 429, "{answer:?}");
    assert_eq!(answer.json()["code"], "rate_limited");
    let wait: u64 = answer.headers["retry-after"].parse().unwrap();
    assert!(wait >= 1);
    assert_eq!(answer.headers["ratelimit"], format!("\"{class}\";r=0;t={wait}"));
    assert!(answer.headers["ratelimit-policy"].starts_with(&format!("\"{class}\";q=")));
}

#[tokio::test]
async fn requests_are_counted_by_subject_and_events_one_by_one() {
    let db = migrated_database().await;
    let rates = only("private=3/h,append=10/h");
    let server = TestServer::ready(&db.url, &[("ROWCAST_RATE_LIMITS", &rates)]).await;
    let (alice, bob) = (token("alice", Role::Engine), token("bob", Role::Engine));
    for left in [2, 1, 0] {
        let answer = ask(&server, "GET", "/v1/me", &alice, "").await;
        assert_eq!(answer.status, 200);
        assert!(answer.headers["ratelimit"].starts_with(&format!("\"private\";r={left};t=")));
        assert_eq!(answer.headers["ratelimit-policy"], "\"private\";q=3;w=3600");
    }
    assert_limited(&ask(&server, "GET", "/v1/events", &alice, "").await, "private");
    assert_eq!(ask(&server, "GET", "/v1/me", &bob, "").await.status, 200, "others have a quota of their own");

    let events = |n: usize| serde_json::to_string(&vec![json!({"type": "a.a"}); n]).unwrap();
    let answer = ask(&server, "POST", "/v1/events", &alice, &events(8)).await;
    assert_eq!(answer.status, 201);
    assert!(answer.headers["ratelimit"].starts_with("\"append\";r=2;t="));
    assert_eq!(ask(&server, "POST", "/v1/events", &alice, "nonsense").await.status, 400);
    let refused = ask(&server, "POST", "/v1/events", &alice, &events(2)).await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (429, Some("rate_limited")));
    assert_eq!(ask(&server, "POST", "/v1/events", &alice, &events(1)).await.status, 201);
    let count: i64 = db.client().await.query_one("select count(*) from rowcast.events", &[]).await.unwrap().get(0);
    assert_eq!(count, 9, "what is refused is not stored");

    for (class, denied) in [("private", 1.0), ("append", 1.0), ("connect", 0.0), ("public", 0.0), ("chat", 0.0)] {
        assert_eq!(
            metric(&server, &format!("rowcast_limit_denied_total{{class=\"{class}\"}}")).await,
            denied,
            "{class}"
        );
    }
    assert_eq!(metric(&server, "rowcast_limit_shared").await, 0.0);
    let probe = server.get("/health/live").await;
    assert!(!probe.headers.contains_key("ratelimit"), "probes are not limited");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn streams_and_public_requests_are_counted_by_address_as_trusted_proxies_tell_it() {
    let db = migrated_database().await;
    let rates = only("connect=2/h,public=2/h");
    let more = [("ROWCAST_RATE_LIMITS", rates.as_str()), ("ROWCAST_PUBLIC_STREAM", "on")];
    let believing = [("ROWCAST_TRUSTED_PROXIES", "127.0.0.0/8")];
    let server = TestServer::ready(&db.url, &more).await;
    let proxied = TestServer::ready(&db.url, &[more.as_slice(), &believing].concat()).await;
    let alice = bearer(&token("alice", Role::Viewer));
    let from = |address| [("authorization", alice.as_str()), ("x-forwarded-for", address)];

    assert_eq!(knock(&server, "/ws", &from("198.51.100.1")).await.1.status, 101);
    let _sse = Sse::open(&server, "/v1/events/stream", Some(&token("alice", Role::Viewer))).await;
    assert_limited(&knock(&server, "/ws", &from("198.51.100.2")).await.1, "connect");
    assert_limited(&knock(&server, "/public/ws", &[]).await.1, "connect");
    assert_limited(&server.get("/public/v1/events/stream").await, "connect");
    for _ in 0..2 {
        assert_eq!(server.get("/public/v1/events").await.status, 200);
    }
    assert_limited(&server.get("/public/v1/events").await, "public");
    assert_eq!(ask(&server, "GET", "/v1/me", &token("alice", Role::Viewer), "").await.status, 200);

    for (address, status) in [
        ("198.51.100.1", 101),
        ("198.51.100.1", 101),
        ("198.51.100.1", 429),
        ("6.6.6.6, 198.51.100.1", 429),
        ("198.51.100.2", 101),
    ] {
        assert_eq!(knock(&proxied, "/ws", &from(address)).await.1.status, status, "{address}");
    }
    // Half of an IPv6 address is the customer's to vary.
    for (address, status) in
        [("2001:db8::1", 101), ("2001:db8::2", 101), ("2001:db8::3", 429), ("2001:db8:0:1::1", 101)]
    {
        assert_eq!(knock(&proxied, "/ws", &from(address)).await.1.status, status, "{address}");
    }
    server.stop().await.unwrap();
    proxied.stop().await.unwrap();
}

#[tokio::test]
async fn a_subject_has_no_more_sessions_than_it_may() {
    let db = migrated_database().await;
    let server =
        TestServer::ready(&db.url, &[("ROWCAST_SESSIONS_PER_SUBJECT", "1"), ("ROWCAST_PUBLIC_STREAM", "on")]).await;
    let alice = token("alice", Role::Viewer);
    let authorization = bearer(&alice);
    let mut first = Session::of(&server, "/ws", &alice).await;
    first.next_of("hello").await;
    let refused = knock(&server, "/ws", &[("authorization", &authorization)]).await.1;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (429, Some("rate_limited")));
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(ask(&server, "GET", "/v1/events/stream", &alice, "").await.status, 429);
    let mut second = Session::open(&server, "/ws", &[]).await;
    second.auth(&alice).await;
    assert_eq!(second.end().await, (4429, "rate_limited".to_owned()));
    // Another token of its own takes no other place.
    first.auth(&token("alice", Role::Engine)).await;
    first.next_of("auth_ok").await;
    let mut other = Session::of(&server, "/ws", &token("bob", Role::Viewer)).await;
    other.next_of("hello").await;
    // Everybody at one address has places together, and leaves them when it becomes somebody.
    let mut public = Session::open(&server, "/public/ws", &[]).await;
    public.next_of("hello").await;
    assert_eq!(knock(&server, "/public/ws", &[]).await.1.status, 429);
    public.auth(&token("carol", Role::Viewer)).await;
    public.next_of("auth_ok").await;
    assert_eq!(knock(&server, "/public/ws", &[]).await.1.status, 101);
    assert_eq!(metric(&server, "rowcast_sessions_refused_total").await, 4.0);
    drop(first);
    until("the place is free again", || async {
        knock(&server, "/ws", &[("authorization", &authorization)]).await.1.status == 101
    })
    .await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_a_proxy_forwards_counts_for_the_address_that_it_names() {
    let db = migrated_database().await;
    let more = [
        ("ROWCAST_CONNECTIONS_PER_ADDRESS", "1"),
        ("ROWCAST_TRUSTED_PROXIES", "127.0.0.0/8"),
        ("ROWCAST_PUBLIC_STREAM", "on"),
    ];
    let server = TestServer::ready(&db.url, &more).await;
    let knock = |address| {
        let server = &server;
        async move { knock(server, "/public/ws", &[("x-forwarded-for", address)]).await }
    };
    let (first, granted) = knock("198.51.100.1").await;
    let (_second, other) = knock("198.51.100.2").await;
    assert_eq!((granted.status, other.status), (101, 101));
    let refused = knock("198.51.100.1").await.1;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (429, Some("rate_limited")));
    let stream = async |address| {
        let headers = [("x-forwarded-for", address)];
        request(server.address(), "GET", "/public/v1/events", &headers, b"").await.status
    };
    assert_eq!((stream("198.51.100.1").await, stream("198.51.100.3").await), (429, 200));
    let probe = request(server.address(), "GET", "/health/live", &[("x-forwarded-for", "198.51.100.1")], b"").await;
    assert_eq!(probe.status, 200);
    drop(first);
    until("the place is free again", || async { stream("198.51.100.1").await == 200 }).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn tokens_cannot_be_tried_at_speed_and_good_ones_do_not_suffer_from_it() {
    let db = migrated_database().await;
    let rates = only("connect=5/h");
    let more = [("ROWCAST_RATE_LIMITS", rates.as_str()), ("ROWCAST_TRUSTED_PROXIES", "127.0.0.1")];
    let server = TestServer::ready(&db.url, &more).await;
    let good = bearer(&token("alice", Role::Viewer));
    let from = async |token: &str, address: &str| {
        let headers = [("authorization", token), ("x-forwarded-for", address)];
        request(server.address(), "GET", "/v1/me", &headers, b"").await
    };
    for _ in 0..5 {
        assert_eq!(from("Bearer a.b.c", "198.51.100.1").await.status, 401);
        assert_eq!(request(server.address(), "GET", "/v1/me", &[], b"").await.status, 401);
    }
    let mut forged = good.clone();
    forged.replace_range(forged.len() - 3.., "AAA");
    assert_limited(&from("Bearer a.b.c", "198.51.100.1").await, "connect");
    assert_limited(&from(&forged, "198.51.100.1").await, "connect");
    assert_eq!(from(&good, "198.51.100.1").await.status, 200, "a neighbour's good token");
    assert_eq!(from(&forged, "198.51.100.2").await.status, 401);
    let mut session = Session::open(&server, "/ws", &[("x-forwarded-for", "198.51.100.1")]).await;
    session.auth(&token("alice", Role::Viewer)).await;
    session.next_of("hello").await;
    let mut session = Session::open(&server, "/ws", &[("x-forwarded-for", "198.51.100.1")]).await;
    session.auth("a.b.c").await;
    assert_eq!(session.end().await, (4429, "rate_limited".to_owned()));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn tabs_with_expired_tokens_lock_nobody_out() {
    let db = migrated_database().await;
    let rates = only("connect=5/h");
    let server = TestServer::ready(&db.url, &[("ROWCAST_RATE_LIMITS", rates.as_str())]).await;
    let stale = token_issued("alice", Role::Viewer, -7200);
    for _ in 0..20 {
        assert_eq!(ask(&server, "GET", "/v1/me", &stale, "").await.status, 401);
    }
    assert_eq!(ask(&server, "GET", "/v1/me", &token("root", Role::Admin), "").await.status, 200);
    assert_eq!(ask(&server, "GET", "/v1/me", "a.b.c", "").await.status, 401, "none of them was a guess");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_with_one_redis_let_through_exactly_the_limit() {
    let Some(redis) = TestRedis::start(&[]).await else { return };
    let db = migrated_database().await;
    let (rates, url) = (only("private=20/h"), redis.url());
    let more = [("ROWCAST_RATE_LIMITS", rates.as_str()), ("ROWCAST_REDIS_URL", &url)];
    let servers = [TestServer::ready(&db.url, &more).await, TestServer::ready(&db.url, &more).await];
    for server in &servers {
        until("limits are shared", || async { metric(server, "rowcast_limit_shared").await == 1.0 }).await;
    }
    let alice = token("alice", Role::Viewer);
    let asked = (0..60).map(|n| ask(&servers[n % 2], "GET", "/v1/me", &alice, ""));
    let answers = join_all(asked).await;
    let passed = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| answer.status == 429).count();
    assert_eq!((passed, refused), (20, 40));
    for server in servers {
        server.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_dies_in_mid_burst_fails_no_request() {
    let Some(mut redis) = TestRedis::start(&[]).await else { return };
    let db = migrated_database().await;
    let url = redis.url();
    let server = TestServer::ready(&db.url, &[("ROWCAST_REDIS_URL", &url)]).await;
    until("limits are shared", || async { metric(&server, "rowcast_limit_shared").await == 1.0 }).await;
    let alice = token("alice", Role::Viewer);
    let burst = async {
        let mut asked = 0;
        while metric(&server, "rowcast_limit_shared").await == 1.0 || asked < 200 {
            let answers = join_all((0..10).map(|_| ask(&server, "GET", "/v1/me", &alice, ""))).await;
            assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
            asked += answers.len();
        }
    };
    let killer = async {
        until("the burst is under way", || async {
            metric(&server, "rowcast_http_answers_total{class=\"2xx\"}").await > 40.0
        })
        .await;
        redis.kill();
    };
    tokio::join!(burst, killer);
    assert_eq!(metric(&server, "rowcast_limit_redis_lost_total").await, 1.0);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_chat_has_a_quota_of_its_own_and_long_messages_count_as_several() {
    let db = migrated_database().await;
    let rates = only("private=1/h,chat=4/h");
    let server = TestServer::ready(&db.url, &[("ROWCAST_RATE_LIMITS", &rates)]).await;
    let (alice, bob) = (token("alice", Role::User), token("bob", Role::User));
    let say = |text: &str| json!({"text": text}).to_string();
    let answer = ask(&server, "POST", "/v1/chat", &alice, &say("hello")).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(answer.headers["ratelimit"].starts_with("\"chat\";r=3;t="), "{answer:?}");
    assert_eq!(ask(&server, "POST", "/v1/chat", &alice, "{}").await.status, 422, "what makes no sense counts too");
    assert_eq!(ask(&server, "POST", "/v1/chat", &alice, &say(&"x".repeat(8193))).await.status, 429, "it counts as 3");
    assert_eq!(ask(&server, "POST", "/v1/chat", &alice, &say(&"x".repeat(8192))).await.status, 201);
    assert_limited(&ask(&server, "POST", "/v1/chat", &alice, &say("and")).await, "chat");
    assert_eq!(ask(&server, "POST", "/v1/chat", &bob, &say("hello")).await.status, 201);
    // The two quotas are apart.
    assert_eq!(ask(&server, "GET", "/v1/conversations", &alice, "").await.status, 200);
    let sql = "select count(*) from chat.utterances where text = 'and'";
    let said: i64 = db.client().await.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(said, 0, "what is refused is not stored");
    server.stop().await.unwrap();
}
