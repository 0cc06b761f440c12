//! `GET /v1/events/stream`: ids that resume, comments, the ends of a stream, and clients that are slow.

use std::time::{Duration, SystemTime};

use rowcast::auth::Role;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::{Api, Stream, bearer, bearer_until, code_of, head_of, read_more};
use crate::support::until;

const PATH: &str = "/v1/events/stream";

fn viewer() -> String {
    bearer(Role::Viewer, "v")
}

async fn open(api: &Api, who: &str, query: &str) -> Stream {
    Stream::open(api.address(), &format!("{PATH}?{query}"), &[("authorization", who)]).await.unwrap()
}

async fn resume(api: &Api, who: &str, query: &str, id: &str) -> Stream {
    let headers = [("authorization", who), ("last-event-id", id)];
    Stream::open(api.address(), &format!("{PATH}?{query}"), &headers).await.unwrap()
}

#[tokio::test]
async fn a_stream_tells_the_backlog_then_what_comes_and_each_id_is_a_cursor() {
    let api = Api::start(&[]).await;
    api.insert("insert into rowcast.events (type) select 'a.b' from generate_series(1, 2000)").await;
    let mut stream = open(&api, &viewer(), "cursor=0").await;
    for (name, value) in
        [("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no")]
    {
        assert_eq!(stream.headers[name], value);
    }
    let hello = stream.next().await.unwrap();
    assert_eq!((hello.comment.as_deref(), hello.id.as_deref()), (Some("hello"), Some("0")));
    assert_eq!(stream.upto("live").await, api.seqs("true").await);
    api.sql
        .batch_execute(
            "insert into rowcast.events (type, level, payload) values ('a.live', 'warn', '{\"text\":\"two\\nlines\"}')",
        )
        .await
        .unwrap();
    let event = stream.event().await;
    let told = event.json();
    assert_eq!(
        (event.seq(), &told["type"], &told["payload"]),
        (Some(2001), &json!("a.live"), &json!({ "text": "two\nlines" }))
    );
    // The object is that of a page.
    let page = api.get(&viewer(), "/v1/events?cursor=2000").await.json();
    assert_eq!(page["events"][0], told);

    // Exactly what comes after it, also where the address says otherwise, and for who was nowhere yet.
    let id = event.id.unwrap();
    api.insert("insert into rowcast.events (type) select 'a.c' from generate_series(1, 3)").await;
    for query in ["", "cursor=0", "cursor=latest", "last=5"] {
        assert_eq!(resume(&api, &viewer(), query, &id).await.upto("live").await, [2002, 2003, 2004], "{query}");
    }
    assert_eq!(resume(&api, &viewer(), "cursor=2002", "").await.upto("live").await, [2003, 2004]);
    assert_eq!(open(&api, &viewer(), "last=2").await.upto("live").await, [2003, 2004]);
    assert_eq!(open(&api, &viewer(), "").await.upto("live").await, Vec::<i64>::new());
    assert_eq!(resume(&api, &viewer(), "", "2001").await.upto("live").await, [2002, 2003, 2004]);
    api.stop().await;
}

#[tokio::test]
async fn who_loses_the_first_connection_before_any_event_misses_nothing() {
    let api = Api::start(&[]).await;
    api.insert("insert into rowcast.events (type) values ('a.old')").await;
    let mut stream = open(&api, &viewer(), "").await;
    let id = stream.next().await.unwrap().id.unwrap();
    drop(stream);
    api.insert("insert into rowcast.events (type) values ('a.missed')").await;
    assert_eq!(resume(&api, &viewer(), "", &id).await.upto("live").await, [2]);
    api.stop().await;
}

#[tokio::test]
async fn a_bad_id_or_cursor_is_answered_before_the_stream_begins() {
    let api = Api::start(&[]).await;
    api.insert("insert into rowcast.events (type) select 'a.b' from generate_series(1, 3)").await;
    let who = viewer();
    for (id, code) in [
        ("x", "bad_request"),
        ("-1", "bad_request"),
        ("latest", "bad_request"),
        ("1.zzzzzzzz", "bad_request"),
        ("\u{e9}", "bad_request"),
        ("99999999999999999999", "bad_request"),
        ("2.00000000", "cursor_invalid"),
        ("9", "cursor_invalid"),
    ] {
        let headers = [("authorization", who.as_str()), ("last-event-id", id)];
        let answer = Stream::open(api.address(), PATH, &headers).await.err().unwrap();
        assert_eq!(code_of(&answer), (400, code.to_owned()), "{id}");
    }
    let twice = [("authorization", who.as_str()), ("last-event-id", "1"), ("last-event-id", "2")];
    assert_eq!(Stream::open(api.address(), PATH, &twice).await.err().unwrap().status, 400);
    // What stands in the address must make sense even where it does not count.
    for query in ["cursor=x", "cursor=0&last=5", "last=-1", "last=10001", "last="] {
        let headers = [("authorization", who.as_str()), ("last-event-id", "1")];
        let path = format!("{PATH}?{query}");
        assert_eq!(Stream::open(api.address(), &path, &headers).await.err().unwrap().status, 400, "{query}");
    }
    api.stop().await;
}

#[tokio::test]
async fn each_role_and_filter_sees_its_own_and_cursors_go_past_the_rest() {
    let api = Api::start(&[("ROWCAST_HEARTBEAT", "200ms")]).await;
    let insert = "insert into rowcast.events (type, owner, level) select (array['a.b', 'c.d'])[1 + i % 2], (array[null, 'alice', 'bob'])[1 + i % 3],
                  case when i % 5 = 0 then 'error' else 'info' end from generate_series(1, 60) i";
    api.insert(insert).await;
    for role in Role::ALL {
        let sees = match role {
            Role::Admin => "true",
            Role::User => "owner = 'alice'",
            Role::Viewer | Role::Engine | Role::Operator => "(owner is null or owner = 'alice')",
        };
        let who = bearer(role, "alice");
        assert_eq!(open(&api, &who, "cursor=0").await.upto("live").await, api.seqs(sees).await, "{role}");
        let filtered = open(&api, &who, "cursor=0&type=a.*&level=warn").await.upto("live").await;
        assert_eq!(filtered, api.seqs(&format!("{sees} and type = 'a.b' and level = 'error'")).await, "{role}");
    }
    // Nothing of this is for the reader, and its cursor moves all the same.
    let mut stream = open(&api, &bearer(Role::User, "carol"), "").await;
    assert!(stream.upto("live").await.is_empty());
    api.insert("insert into rowcast.events (type, owner) values ('a.b', 'alice'), ('a.b', null)").await;
    loop {
        let beat = stream.next().await.unwrap();
        assert!(beat.is_comment("heartbeat") && beat.data.is_none(), "{beat:?}");
        if beat.id.unwrap().starts_with("62.") {
            break;
        }
    }
    api.stop().await;
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let api = Api::start(&[]).await;
    // With the leeway of a minute it ends two seconds from now.
    let who = bearer_until(Role::Viewer, "v", SystemTime::now() - Duration::from_secs(57));
    let mut stream = open(&api, &who, "").await;
    stream.upto("live").await;
    let end = stream.next().await.unwrap();
    assert_eq!((end.event.as_deref(), &end.json()["code"]), (Some("error"), &json!("token_expired")));
    assert_eq!(stream.next().await, None);
    let again = Stream::open(api.address(), PATH, &[("authorization", &who)]).await.err().unwrap();
    assert_eq!(code_of(&again), (401, "unauthorized".to_owned()));
    api.stop().await;
}

#[tokio::test]
async fn a_server_that_ends_says_when_to_come_back_and_from_where() {
    let mut api = Api::start(&[("ROWCAST_DRAIN", "3s")]).await;
    api.insert("insert into rowcast.events (type) select 'a.b' from generate_series(1, 4)").await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        let mut stream = open(&api, &viewer(), "cursor=2").await;
        assert_eq!(stream.upto("live").await, [3, 4]);
        streams.push(stream);
    }
    api.server.ask_to_stop();
    let mut pauses = Vec::new();
    for stream in &mut streams {
        let drain = stream.next().await.unwrap();
        assert!(drain.is_comment("drain") && drain.id.unwrap().starts_with("4."));
        assert!(drain.retry.unwrap() <= 3000, "{:?}", drain.retry);
        pauses.push(drain.retry);
        assert_eq!(stream.next().await, None);
    }
    pauses.dedup();
    assert!(pauses.len() > 1, "all shall come back at once: {pauses:?}");
    api.server.ended().await.unwrap();
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_off_and_resumes_without_loss() {
    let api = Api::start(&[("ROWCAST_WRITE_STALL", "1s")]).await;
    let insert = "insert into rowcast.events (type, payload) select 'a.large', jsonb_build_object('x', repeat('y', 100000), 'n', i)
                  from generate_series(1, 300) i";
    api.insert(insert).await;
    let sessions = async || {
        let metrics = api.server.get("/metrics").await.body;
        let value = metrics.lines().find_map(|line| line.strip_prefix("rowcast_sessions ")).map(str::to_owned);
        value.unwrap_or_else(|| panic!("no sessions in {metrics}")).parse::<f64>().unwrap()
    };
    let mut slow = open(&api, &viewer(), "cursor=0").await;
    let first = slow.event().await.seq();
    assert_eq!(first, Some(1));
    until("the session is gone", || async { sessions().await == 0.0 }).await;
    // What had been sent is read still; then the connection is at its end, in the middle of an event perhaps.
    let (mut seqs, mut id) = (vec![1], String::new());
    while let Some(block) = slow.next().await {
        if let Some(seq) = block.seq() {
            seqs.push(seq);
            id = block.id.unwrap();
        }
    }
    assert!(seqs.len() < 300, "it was never slow");
    let id = if id.is_empty() { "1".to_owned() } else { id };
    seqs.extend(resume(&api, &viewer(), "cursor=0", &id).await.upto("live").await);
    assert_eq!(seqs, (1..=300).collect::<Vec<_>>());
    api.stop().await;
}

#[tokio::test]
async fn old_clients_get_a_stream_without_chunks_and_a_place_that_is_left_is_free() {
    let api = Api::start(&[("ROWCAST_MAX_SESSIONS", "1")]).await;
    api.insert("insert into rowcast.events (type) values ('a.b')").await;
    let who = viewer();
    let old =
        head_of("GET", &format!("{PATH}?cursor=0"), &[("authorization", &who)]).replacen("HTTP/1.1", "HTTP/1.0", 1);
    let mut stream = Stream::begin(api.address(), old + "\r\n").await.unwrap();
    assert!(!stream.chunked && !stream.headers.contains_key("content-length"), "{:?}", stream.headers);
    assert_eq!(stream.upto("live").await, [1]);
    let second = Stream::open(api.address(), PATH, &[("authorization", &who)]).await.err().unwrap();
    assert_eq!(code_of(&second), (503, "too_many_sessions".to_owned()));
    assert_eq!(second.headers["retry-after"], "1");
    drop(stream);
    until("its place is free", || async {
        Stream::open(api.address(), PATH, &[("authorization", &who)]).await.is_ok()
    })
    .await;
    api.stop().await;
}

#[tokio::test]
async fn a_connection_serves_the_next_request_after_a_stream_was_refused() {
    let api = Api::start(&[]).await;
    let who = viewer();
    let mut tcp = tokio::net::TcpStream::connect(api.address()).await.unwrap();
    for (path, status) in [("/v1/events/stream?cursor=x", "400"), ("/v1/events", "200"), ("/v1/me", "200")] {
        let head = head_of("GET", path, &[("authorization", &who)]) + "\r\n";
        tcp.write_all(head.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"}") {
            assert!(read_more(&mut tcp, &mut bytes).await, "{path}: the connection ended");
        }
        assert!(String::from_utf8_lossy(&bytes).starts_with(&format!("HTTP/1.1 {status} ")), "{path}");
    }
    api.stop().await;
}
