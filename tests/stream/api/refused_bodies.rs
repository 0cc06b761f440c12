//! Bodies of `POST /v1/events` that are refused: malformed, too large, too slow, or left halfway.

use std::time::Duration;

use futures_util::FutureExt;
use rowcast::auth::Role;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Api, bearer, code_of, everything, head_of, send};
use super::{NDJSON, engine};
use crate::support::raw_http::read_answer;

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
