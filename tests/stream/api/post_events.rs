//! `POST /v1/events`: what is taken, who may append, and what is stored of it.

use rowcast::auth::Role;
use serde_json::{Value, json};

use super::{Api, bearer, code_of, send};
use super::{NDJSON, engine};
use crate::support::TestServer;

/// Nothing listens on port 1: what is refused before the journal is asked needs no database.
const NOWHERE: &str = "postgres://nobody@127.0.0.1:1/nothing";

#[tokio::test]
async fn an_object_a_list_and_lines_become_events_in_the_order_given() {
    let api = Api::start(&[]).await;
    let all = json!({
        "type": "deal.opened", "level": "warn", "public_safe": true, "symbol": "BTC-USD", "subject": "s", "owner": "o",
        "trade_id": "4c0c4b2e-55b1-4a57-9d7e-1b1f4f6f7a10", "payload": { "n": 1 },
    });
    let one = api.post(&engine(), &[], all.to_string()).await;
    assert_eq!((one.status, one.headers.contains_key("idempotency-replayed")), (201, false), "{}", one.body);
    let stored = "select to_jsonb(e) - 'at' from rowcast.events e";
    let stored: Value = api.sql.query_one(stored, &[]).await.unwrap().get(0);
    let mut expected = all.clone();
    expected.as_object_mut().unwrap().extend(one.json().as_object().unwrap().clone());
    assert_eq!(stored, expected);

    let list = api.post(&engine(), &[], r#" [{"type":"a.one"}, {"type":"a.two"}] "#).await;
    let text = "\r\n{\"type\":\"b.one\"}\r\n\r\n  {\"type\":\"b.two\"}\n{\"type\":\"b.three\"}";
    let lines = api.post(&engine(), &[NDJSON], text).await;
    let single = api.post(&engine(), &[NDJSON], r#"{"type":"c.one"}"#).await;
    for (answer, kinds) in [(list, "a.*"), (lines, "b.*"), (single, "c.*")] {
        assert_eq!(answer.status, 201, "{}", answer.body);
        let pattern = format!("type like '{}'", kinds.replace('*', "%"));
        let told: Vec<i64> = answer.json().as_array().unwrap().iter().map(|e| e["seq"].as_i64().unwrap()).collect();
        assert_eq!(told, api.seqs(&pattern).await);
    }
    let order = "select string_agg(type, ' ' order by seq) from rowcast.events";
    let order: String = api.sql.query_one(order, &[]).await.unwrap().get(0);
    assert_eq!(order, "deal.opened a.one a.two b.one b.two b.three c.one");
    api.stop().await;
}

#[tokio::test]
async fn types_of_an_application_come_from_its_own_routes_alone() {
    let api = Api::start(&[]).await;
    for (role, kind) in [
        (Role::Engine, "chat.utterance.added"),
        (Role::Engine, "trade.opened"),
        (Role::Operator, "order.filled"),
        (Role::Admin, "snapshot.taken"),
        (Role::Admin, "config.changed"),
        (Role::Engine, "trade.of.my.own"),
    ] {
        let events = json!([{"type": "a.b"}, {"type": kind, "owner": "somebody", "public_safe": true}]);
        let answer = api.post(&bearer(role, "someone"), &[], events.to_string()).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (422, Some("reserved_type")), "{kind}");
        assert_eq!(answer.json()["index"], 1);
    }
    for kind in ["trades.opened", "chatter.heard", "decision.made", "trade"] {
        let answer = api.post(&engine(), &[], json!({"type": kind}).to_string()).await;
        assert_eq!(answer.status, 201, "{kind}: {}", answer.body);
    }
    assert_eq!(api.seqs("true").await.len(), 4, "all or nothing");
    api.stop().await;
}

#[tokio::test]
async fn roles_that_may_not_append_are_forbidden() {
    let api = Api::start(&[]).await;
    for role in Role::ALL {
        let answer = api.post(&bearer(role, "someone"), &[], r#"{"type":"a.b"}"#).await;
        let may = matches!(role, Role::Engine | Role::Operator | Role::Admin);
        assert_eq!(answer.status, if may { 201 } else { 403 }, "{role}: {}", answer.body);
        if !may {
            assert_eq!(answer.json()["code"], "forbidden");
        }
    }
    assert_eq!(api.count().await, 3);
    api.stop().await;
}

#[tokio::test]
async fn what_is_deep_large_or_many_within_the_limits_goes_in_and_comes_out() {
    let api = Api::start(&[]).await;
    let deep = format!(r#"{{"type":"a.deep","payload":{{"x":{}{}}}}}"#, "[".repeat(1000), "]".repeat(1000));
    let numbers = r#"{"type":"a.number","payload":{"n":123456789012345678901234567890.10,"big":1e400}}"#;
    let large = format!(r#"{{"type":"a.large","payload":{{"x":"{}"}}}}"#, "y".repeat(262_000));
    let list = format!("[{large},{large},{large}]");
    let many = format!("[{}]", vec![r#"{"type":"a.many"}"#; 1000].join(","));
    // Blanks are part of the body, and this is exactly its limit.
    let full = r#"{"type":"a.full"}"#.to_owned() + &" ".repeat((1 << 20) - 17);
    for body in [deep.as_str(), numbers, &list, &many, &full] {
        let answer = api.post(&engine(), &[], body).await;
        assert_eq!(answer.status, 201, "{}", answer.body.chars().take(300).collect::<String>());
    }
    assert_eq!(api.count().await, 1 + 1 + 3 + 1000 + 1);
    api.settle().await;
    let read = api.get(&engine(), "/v1/events?cursor=0&type=a.deep,a.number").await;
    assert!(read.body.contains(&"[".repeat(1000)), "{}", read.body.chars().take(500).collect::<String>());
    assert!(read.body.contains("123456789012345678901234567890.10"));
    api.stop().await;
}

#[tokio::test]
async fn a_number_counts_with_every_digit_that_readers_are_sent() {
    let api = Api::start(&[]).await;
    let event =
        |numbers: usize| format!(r#"{{"type":"a.big","payload":{{"n":[{}]}}}}"#, vec!["1e131000"; numbers].join(","));
    let many = |events: usize| format!("[{}]", vec![event(1); events].join(","));
    // 500 bytes that would be a megabyte in the stream, and 80 KB that Postgres would print as a gigabyte.
    for (body, detail, index) in [
        (many(9), "payload must be at most 1048576 bytes (1 MiB) over all events of a request", 8),
        (many(1000), "payload must be at most 1048576 bytes (1 MiB) over all events of a request", 8),
        (format!("[{},{}]", event(1), event(3)), "payload must be at most 262144 bytes (256 KiB)", 1),
        (format!("[{},{}]", event(0), event(9000)), "payload must be at most", 1),
    ] {
        let answer = api.post(&engine(), &[], body).await;
        assert_eq!(code_of(&answer), (422, "invalid_event".to_owned()), "{}", answer.body);
        let problem = answer.json();
        assert!(problem["detail"].as_str().unwrap().starts_with(detail), "{}", answer.body);
        assert_eq!(problem["index"], json!(index));
    }
    assert_eq!(api.count().await, 0);
    assert_eq!(api.post(&engine(), &[], many(8)).await.status, 201);
    let weighs = "select sum(octet_length(payload::text))::int8 from rowcast.events";
    let sent: i64 = api.sql.query_one(weighs, &[]).await.unwrap().get(0);
    assert!((1_048_000..1_048_576 + 8 * 8).contains(&sent), "{sent}");
    api.stop().await;
}

#[tokio::test]
async fn without_a_database_the_answer_is_503_and_when_to_try_again() {
    let server = TestServer::start(NOWHERE, &[]).await;
    let who = engine();
    let headers = [("authorization", who.as_str()), ("content-type", "application/json")];
    let answer = send(server.address(), "POST", "/v1/events", &headers, br#"{"type":"a.b"}"#).await;
    assert_eq!(code_of(&answer), (503, "database_unavailable".to_owned()));
    assert_eq!(answer.headers["retry-after"], "1");
    server.stop().await.unwrap();
}
