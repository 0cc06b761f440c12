//! `POST /v1/events`: what is taken, what is refused and how, and that a retry writes nothing twice.

use std::time::Duration;

use futures_util::FutureExt;
use rowcast::auth::Role;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Api, bearer, code_of, everything, head_of, send};
use crate::support::raw_http::{Answer, read_answer};
use crate::support::{TestServer, until};

const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");
/// Nothing listens on port 1: what is refused before the journal is asked needs no database.
const NOWHERE: &str = "postgres://nobody@127.0.0.1:1/nothing";

fn engine() -> String {
    bearer(Role::Engine, "engine-1")
}

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

/// Bodies that are refused: content type, body, status, code, part of the detail, index.
type Bad = (&'static str, Vec<u8>, u16, &'static str, &'static str, Option<u64>);

fn bad_bodies() -> Vec<Bad> {
    let json = "application/json";
    let lines = "application/x-ndjson";
    let events = |n: usize| format!("[{}]", vec![r#"{"type":"a"}"#; n].join(",")).into_bytes();
    let nested =
        |n: usize| format!(r#"{{"type":"a","payload":{{"x":{}{}}}}}"#, "[".repeat(n), "]".repeat(n)).into_bytes();
    let b = |text: &str| text.as_bytes().to_vec();
    vec![
        (json, b(""), 400, "bad_json", "line 1, column 1", None),
        (json, b(" \n\t"), 400, "bad_json", "line 2", None),
        (json, b("{"), 400, "bad_json", "line 1, column 1", None),
        (json, b("{\"type\":\"a\",\n \"payload\":{,}}"), 400, "bad_json", "line 2, column 13", None),
        (json, b("[{\"type\":\"a\"},\n\n{\"type\":}]"), 400, "bad_json", "line 3, column 9", None),
        (json, b("[{\"type\":\"a\"}"), 400, "bad_json", "line 1, column 13", None),
        (json, b("{\"type\":\"a\"} {}"), 400, "bad_json", "line 1, column 14", None),
        (json, b("{\"type\":\"a\"}\n{\"type\":\"b\"}"), 400, "bad_json", "line 2, column 1", None),
        (json, b("\u{feff}{\"type\":\"a\"}"), 400, "bad_json", "line 1, column 1", None),
        (json, b("{\"type\":\"a\n\"}"), 400, "bad_json", "", None),
        (json, b("{\"type\":\"a\",\"payload\":{\"n\":01}}"), 400, "bad_json", "", None),
        (json, b("{\"type\":\"a\",\"payload\":{\"n\":NaN}}"), 400, "bad_json", "", None),
        (json, b"{\"type\":\"a\",\"subject\":\"\xff\"}".to_vec(), 400, "bad_json", "line 1, column 24", None),
        (json, b"{\"type\":\"a\",\n\"payload\":{\"x\":\"\xc3\"}}".to_vec(), 400, "bad_json", "line 2, column 17", None),
        (json, b"[{\"type\":\"a\"},\xff]".to_vec(), 400, "bad_json", "line 1, column 15", None),
        (json, b"\0".to_vec(), 400, "bad_json", "line 1, column 1", None),
        (lines, b(""), 400, "bad_request", "no event", None),
        (lines, b("\n \r\n"), 400, "bad_request", "no event", None),
        (lines, b("{\"type\":\"a\"}\n\n\n  {\"type\":}\n"), 400, "bad_json", "line 4, column 11", None),
        (lines, b("{\"type\":\"a\"}\n{\"type\":\"b\""), 400, "bad_json", "line 2, column 11", None),
        (lines, b("{\"type\":\n\"a\"}"), 400, "bad_json", "line 1", None),
        (json, b("[]"), 400, "bad_request", "no event", None),
        (json, events(1001), 422, "too_many_events", "1000", None),
        (lines, b(&"{\"type\":\"a\"}\n".repeat(1001)), 422, "too_many_events", "1000", None),
        (json, b("null"), 422, "invalid_event", "", Some(0)),
        (json, b("\"a\""), 422, "invalid_event", "", Some(0)),
        (json, b("[[\"a\"]]"), 422, "invalid_event", "", Some(0)),
        (json, b("{}"), 422, "invalid_event", "type", Some(0)),
        (json, b("[{\"type\":\"a\"},{\"type\":\"A\"}]"), 422, "invalid_event", "type must be", Some(1)),
        (json, b("[{\"type\":\"a\"},{\"type\":1}]"), 422, "invalid_event", "", Some(1)),
        (
            lines,
            b("\n{\"type\":\"a\"}\n\n{\"type\":\"a\",\"level\":\"loud\"}"),
            422,
            "invalid_event",
            "level must be",
            Some(1),
        ),
        (json, b("{\"type\":\"a\",\"seq\":1}"), 422, "invalid_event", "unknown field `seq`", Some(0)),
        (json, b("{\"type\":\"a\",\"type\":\"b\"}"), 422, "invalid_event", "duplicate field", Some(0)),
        (json, b("{\"type\":\"a\",\"payload\":[]}"), 422, "invalid_event", "payload must be", Some(0)),
        (json, b("{\"type\":\"a\",\"payload\":null}"), 422, "invalid_event", "payload must", Some(0)),
        (json, b("{\"type\":\"a\",\"payload\":\"{}\"}"), 422, "invalid_event", "payload must be", Some(0)),
        (json, b(&format!("{{\"type\":\"{}\"}}", "a".repeat(129))), 422, "invalid_event", "type must be", Some(0)),
        (
            json,
            b(&format!("{{\"type\":\"a\",\"payload\":{{\"x\":\"{}\"}}}}", "y".repeat(262_144))),
            422,
            "invalid_event",
            "payload must be",
            Some(0),
        ),
        (
            json,
            b("{\"type\":\"a\",\"subject\":\"x\\u0000\"}"),
            400,
            "bad_json",
            "NUL character at line 1, column 25",
            None,
        ),
        (
            json,
            b("[{\"type\":\"a\"},\n{\"type\":\"a\",\"payload\":{\"x\":\"\\u0000\"}}]"),
            400,
            "bad_json",
            "at line 2, column",
            None,
        ),
        (json, b("{\"type\":\"a\",\"payload\":{\"x\":\"\\ud800\"}}"), 400, "bad_json", "unpaired surrogate", None),
        (
            json,
            b("{\"type\":\"a\",\"payload\":{\"x\":\"\\ud83d\\u0041\"}}"),
            400,
            "bad_json",
            "unpaired surrogate",
            None,
        ),
        (json, b("{\"type\":\"a\",\"subject\":\"\\udc00\"}"), 400, "bad_json", "unpaired surrogate", None),
        (json, b("{\"type\":\"a\",\"payload\":{\"n\":1e200000}}"), 400, "bad_request", "number", Some(0)),
        (json, nested(100_000), 422, "invalid_event", "nested", Some(0)),
        (json, b(&format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000))), 422, "invalid_event", "", Some(0)),
        (json, b("{\"type\":\"a\",\"dedupe_key\":\"\"}"), 422, "invalid_event", "dedupe_key must be", Some(0)),
        ("text/plain", b("{\"type\":\"a\"}"), 415, "unsupported_media_type", "", None),
        ("application/x-www-form-urlencoded", b("a=b"), 415, "unsupported_media_type", "", None),
        ("application/json-seq", b("{}"), 415, "unsupported_media_type", "", None),
    ]
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_with_its_place_and_nothing_is_stored() {
    let api = Api::start(&[]).await;
    let mut wrong = Vec::new();
    for (kind, body, status, code, detail, index) in bad_bodies() {
        let shown = String::from_utf8_lossy(&body).chars().take(80).collect::<String>();
        let answer = api.post(&engine(), &[("content-type", kind)], body).await;
        let problem = answer.json();
        let as_told = problem["detail"].as_str().is_some_and(|told| told.contains(detail));
        if (answer.status, &problem["code"], problem["index"].as_u64()) != (status, &json!(code), index) || !as_told {
            wrong.push(format!("{kind} {shown:?}: {}", answer.body));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(api.count().await, 0);

    // Neither a missing kind nor a compressed body, nor parameters.
    let body = br#"{"type":"a"}"#;
    let who = engine();
    let bare = send(api.address(), "POST", "/v1/events", &[("authorization", &who)], body).await;
    assert_eq!(code_of(&bare), (415, "unsupported_media_type".to_owned()));
    let packed = api.post(&who, &[("content-encoding", "gzip")], body).await;
    assert_eq!(code_of(&packed), (415, "unsupported_media_type".to_owned()));
    let headers = [("authorization", who.as_str()), ("content-type", "application/json")];
    let asked = send(api.address(), "POST", "/v1/events?type=a", &headers, body).await;
    assert_eq!(code_of(&asked), (400, "bad_request".to_owned()));
    assert_eq!(api.count().await, 0);
    // With a parameter, in any case, it is still JSON.
    let named = api.post(&who, &[("content-type", "Application/JSON; charset=utf-8")], body).await;
    assert_eq!(named.status, 201, "{}", named.body);
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
async fn a_body_over_the_limit_is_refused_however_it_comes() {
    let api = Api::start(&[]).await;
    let server = &api;
    let who = engine();
    let headers = [("authorization", who.as_str()), ("content-type", "application/json")];
    // By its declared size, before a byte of it.
    let mut declared = TcpStream::connect(server.address()).await.unwrap();
    let head = head_of("POST", "/v1/events", &headers) + "content-length: 1048577\r\n\r\n";
    declared.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(code_of(&read_answer(&mut declared).await), (413, "body_too_large".to_owned()));

    let mut chunked = TcpStream::connect(server.address()).await.unwrap();
    let head = head_of("POST", "/v1/events", &headers) + "transfer-encoding: chunked\r\n\r\n";
    chunked.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..16 {
        chunked.write_all(chunk.as_bytes()).await.unwrap();
    }
    chunked.write_all(b"1\r\n \r\n").await.unwrap();
    assert_eq!(code_of(&read_answer(&mut chunked).await), (413, "body_too_large".to_owned()));
    api.stop().await;
}

#[tokio::test]
async fn a_body_that_takes_too_long_is_408() {
    let api = Api::start(&[]).await;
    let who = engine();
    let headers = [
        ("authorization", who.as_str()),
        ("content-type", "application/json"),
        ("content-length", "20"),
        ("expect", "100-continue"),
    ];
    let mut slow = TcpStream::connect(api.address()).await.unwrap();
    slow.write_all((head_of("POST", "/v1/events", &headers) + "\r\n").as_bytes()).await.unwrap();
    // The server says so when it begins to read.
    let mut go_on = [0; 25];
    slow.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    slow.write_all(b"{\"type\"").await.unwrap();
    // Time stands still and is moved by hand: it does not move by itself while the tail's thread is at work.
    tokio::time::pause();
    tokio::time::advance(rowcast::http::BODY_LIMIT - Duration::from_secs(1)).await;
    let mut text = [0; 1024];
    assert!(slow.read(&mut text).now_or_never().is_none(), "answered too early");
    tokio::time::advance(Duration::from_secs(2)).await;
    let mut text = String::new();
    slow.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 408 ") && text.contains("\"code\":\"timeout\""), "{text}");
    tokio::time::resume();
    api.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_within_its_body_leaves_nothing_behind() {
    let api = Api::start(&[]).await;
    let who = engine();
    let headers = [("authorization", who.as_str()), NDJSON, ("content-length", "40")];
    let mut leaver = TcpStream::connect(api.address()).await.unwrap();
    let part = head_of("POST", "/v1/events", &headers) + "\r\n{\"type\":\"a.b\"}\n";
    leaver.write_all(part.as_bytes()).await.unwrap();
    // It closes its side: what has come is a line, and still not the body.
    leaver.shutdown().await.unwrap();
    let answer = everything(leaver).await;
    assert!([0, 400].contains(&answer.status), "{answer:?}");
    let next = api.post(&who, &[], r#"{"type":"a.c"}"#).await;
    assert_eq!((next.status, api.count().await), (201, 1));
    api.stop().await;
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on_only_if_it_may() {
    let api = Api::start(&[]).await;
    let body = r#"{"type":"a.b"}"#;
    let length = body.len().to_string();
    let ask = async |who: &str| {
        let headers = [
            ("authorization", who),
            ("content-type", "application/json"),
            ("content-length", &length),
            ("expect", "100-continue"),
        ];
        let mut stream = TcpStream::connect(api.address()).await.unwrap();
        let head = head_of("POST", "/v1/events", &headers) + "connection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let first = read_answer(&mut stream).await;
        (first, stream)
    };
    let (go_on, mut stream) = ask(&engine()).await;
    assert_eq!(go_on.status, 100);
    stream.write_all(body.as_bytes()).await.unwrap();
    assert_eq!(everything(stream).await.status, 201);
    let (refused, _) = ask(&bearer(Role::Viewer, "v")).await;
    assert_eq!(refused.status, 403);
    let (stranger, _) = ask("Bearer nonsense").await;
    assert_eq!(stranger.status, 401);
    assert_eq!(api.count().await, 1);
    api.stop().await;
}

fn replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
}

#[tokio::test]
async fn a_request_that_comes_again_under_its_key_gets_the_first_answer() {
    let api = Api::start(&[]).await;
    let who = engine();
    let key = ("idempotency-key", "8e03978e-40d5-43dd-bc93-6894a57f9324");
    let three = r#"[{"type":"a.one"},{"type":"a.two","payload":{"n":1,"m":[2]}},{"type":"a.one"}]"#;
    let first = api.post(&who, &[key], three).await;
    assert_eq!((first.status, replayed(&first)), (201, false), "{}", first.body);
    // Written otherwise, it is the same content still.
    let spaced = r#" [ {"type":"a.one","payload":{}}, {"payload":{"m":[2],"n":1},"type":"a.two"},{"type":"a.one","level":"info"}]"#;
    for again in [three, spaced] {
        let answer = api.post(&who, &[key], again).await;
        assert_eq!((answer.status, replayed(&answer), &answer.body), (201, true, &first.body));
    }
    for (other, index) in [
        (r#"[{"type":"a.one"},{"type":"a.two","payload":{"n":2,"m":[2]}},{"type":"a.one"}]"#, Some(1)),
        (r#"[{"type":"a.one"},{"type":"a.two","payload":{"n":1,"m":[2]}},{"type":"a.one"},{"type":"a.four"}]"#, None),
        (r#"[{"type":"a.one"},{"type":"a.two","payload":{"n":1,"m":[2]}}]"#, None),
        (r#"[{"type":"a.one"}]"#, None),
        (r#"{"type":"b.other"}"#, Some(0)),
    ] {
        let answer = api.post(&who, &[key], other).await;
        assert_eq!(code_of(&answer), (422, "idempotency_conflict".to_owned()), "{other}");
        if index.is_some() {
            assert_eq!(answer.json()["index"].as_u64(), index, "{other}");
        }
    }
    assert_eq!(api.count().await, 3);

    // Another's key of the same name is another key, and so is a dedupe key of that name, or another request's.
    let other = api.post(&bearer(Role::Operator, "someone else"), &[key], three).await;
    assert_eq!((other.status, replayed(&other)), (201, false));
    let plain = api.post(&who, &[], format!(r#"{{"type":"a.plain","dedupe_key":"{}"}}"#, key.1)).await;
    assert_eq!((plain.status, replayed(&plain)), (201, false));
    let longest = "k".repeat(240);
    for fine in ["!", "\"quoted\"", longest.as_str()] {
        let answer = api.post(&who, &[("idempotency-key", fine)], three).await;
        assert_eq!((answer.status, replayed(&answer)), (201, false), "{fine}: {}", answer.body);
    }
    assert_eq!(api.count().await, 3 + 3 + 1 + 9);
    api.stop().await;
}

#[tokio::test]
async fn a_request_that_was_refused_has_not_used_its_key() {
    let api = Api::start(&[]).await;
    let key = ("idempotency-key", "once");
    let bad = api.post(&engine(), &[key], r#"[{"type":"a.b"},{"type":"A"}]"#).await;
    assert_eq!((bad.status, bad.json()["index"].as_u64()), (422, Some(1)), "{}", bad.body);
    let good = api.post(&engine(), &[key], r#"[{"type":"a.b"},{"type":"a.c"}]"#).await;
    assert_eq!((good.status, replayed(&good), api.count().await), (201, false, 2));
    api.stop().await;
}

#[tokio::test]
async fn a_key_that_is_none_or_stands_beside_another_is_refused() {
    let api = Api::start(&[]).await;
    let (who, body) = (engine(), r#"{"type":"a.b"}"#);
    let long = "k".repeat(241);
    for key in ["", "two words", "k\u{e9}y", "tab\there", long.as_str()] {
        let answer = api.post(&who, &[("idempotency-key", key)], body).await;
        assert_eq!(code_of(&answer), (400, "bad_request".to_owned()), "{key:?}");
    }
    let twice = api.post(&who, &[("idempotency-key", "a"), ("idempotency-key", "a")], body).await;
    assert_eq!(code_of(&twice), (400, "bad_request".to_owned()));
    let both = r#"[{"type":"a.b"},{"type":"a.b","dedupe_key":"d"}]"#;
    let both = api.post(&who, &[("idempotency-key", "a")], both).await;
    assert_eq!(code_of(&both), (400, "bad_request".to_owned()));
    assert_eq!(api.count().await, 0);
    api.stop().await;
}

#[tokio::test]
async fn dedupe_keys_repeat_single_events() {
    let api = Api::start(&[]).await;
    let who = engine();
    let both = r#"[{"type":"a.b","dedupe_key":"x"},{"type":"a.c","dedupe_key":"y"}]"#;
    let first = api.post(&who, &[], both).await;
    let again = api.post(&who, &[], both).await;
    assert_eq!((replayed(&first), replayed(&again), &first.body), (false, true, &again.body));
    // One of them is new: that is no repetition of the request.
    let more = api.post(&who, &[], r#"[{"type":"a.b","dedupe_key":"x"},{"type":"a.d","dedupe_key":"z"}]"#).await;
    assert_eq!((more.status, replayed(&more), &more.json()[0]), (201, false, &first.json()[0]));
    let other = api.post(&who, &[], r#"[{"type":"a.e"},{"type":"a.other","dedupe_key":"x"}]"#).await;
    assert_eq!(code_of(&other), (422, "idempotency_conflict".to_owned()));
    assert_eq!((other.json()["index"].as_u64(), api.count().await), (Some(1), 3));
    // By another subject, and by SQL, these keys are others.
    let stranger = api.post(&bearer(Role::Admin, "x"), &[], both).await;
    assert_eq!((stranger.status, replayed(&stranger)), (201, false));
    api.sql.batch_execute("select rowcast.append_event('b.sql', dedupe_key => 'x')").await.unwrap();
    assert_eq!(api.count().await, 6);
    api.stop().await;
}

#[tokio::test]
async fn of_twenty_at_once_one_is_stored() {
    let api = Api::start(&[]).await;
    let who = engine();
    let body = format!("[{}]", (0..50).map(|n| format!(r#"{{"type":"a.n{n}"}}"#)).collect::<Vec<_>>().join(","));
    let headers = [("idempotency-key", "at-once")];
    let all = futures_util::future::join_all((0..20).map(|_| api.post(&who, &headers, &body))).await;
    assert_eq!(all.iter().filter(|answer| !replayed(answer)).count(), 1);
    for answer in &all {
        assert_eq!((answer.status, &answer.body), (201, &all[0].body));
    }
    assert_eq!(api.count().await, 50);

    // Twenty different requests under one key, each of another length: one wins, whole.
    let body = |n: usize| format!("[{}]", vec![r#"{"type":"b.same"}"#; n].join(","));
    let headers = [("idempotency-key", "one-of-them")];
    let all = futures_util::future::join_all((1..=20).map(|n| api.post(&who, &headers, body(n)))).await;
    let winners: Vec<usize> = (1..=20).filter(|n| all[n - 1].status == 201).collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert!(all.iter().all(|answer| answer.status == 201 || code_of(answer).1 == "idempotency_conflict"));
    assert_eq!(api.seqs("type = 'b.same'").await.len(), winners[0]);
    api.stop().await;
}

#[tokio::test]
async fn a_retry_while_the_first_is_still_open_waits_for_it() {
    let api = Api::start(&[]).await;
    let mut holder = api.db.client().await;
    let first = holder.transaction().await.unwrap();
    let once = "select seq from rowcast.append_once('engine-1', 'open', '{a.b}', '{\"{}\"}', '{info}', '{false}', '{null}', \
                '{null}', '{null}', '{null}')";
    let seq: i64 = first.query_one(once, &[]).await.unwrap().get(0);
    let (address, who) = (api.address().to_owned(), engine());
    let retry = tokio::spawn(async move {
        let headers =
            [("authorization", who.as_str()), ("content-type", "application/json"), ("idempotency-key", "open")];
        send(&address, "POST", "/v1/events", &headers, br#"{"type":"a.b"}"#).await
    });
    let waits = "select count(*) from pg_locks l join pg_stat_activity a using (pid)
                  where not l.granted and l.locktype = 'transactionid' and a.datname = current_database()";
    until("the retry waits", || async { api.number(waits).await > 0 }).await;
    first.commit().await.unwrap();
    let answer = retry.await.unwrap();
    assert_eq!((answer.status, replayed(&answer), answer.json()["seq"].as_i64()), (201, true, Some(seq)));
    assert_eq!(api.count().await, 1);
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
