//! `GET /v1/events` with `sync`: the answer holds everything that was committed before the request, or says that it cannot.

use std::time::{Duration, Instant};

use rowcast::auth::Role;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use super::{Api, bearer, code_of, everything, head_of, send, seqs_of, viewer};
use crate::support::in_time;

/// Inserts one event, commits it, and returns its seq.
async fn commit(sql: &Client) -> i64 {
    let statement = "insert into rowcast.events (type) values ('note.added') returning seq";
    sql.query_one(statement, &[]).await.unwrap().get(0)
}

/// Each writer commits, asks, and has its event in the answer; many times, and all writers at once.
async fn commit_and_read(writers: usize, rounds: usize) {
    let api = Api::start(&[]).await;
    let mut running = JoinSet::new();
    for _ in 0..writers {
        let (sql, who, address) = (api.db.client().await, viewer(), api.address().to_owned());
        running.spawn(async move {
            for _ in 0..rounds {
                let seq = commit(&sql).await;
                let path = format!("/v1/events?sync=true&cursor={}&limit=1", seq - 1);
                let answer = send(&address, "GET", &path, &[("authorization", &who)], b"").await;
                assert_eq!(seqs_of(&answer), [seq]);
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_before_the_request_is_in_the_answer() {
    commit_and_read(8, 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ten thousand rounds; run it after a change to sync or to the tail"]
async fn what_was_committed_before_the_request_is_in_the_answer_ten_thousand_times() {
    commit_and_read(40, 250).await;
}

#[tokio::test]
async fn a_synced_page_has_its_limit_and_its_cursor_as_any_other() {
    let api = Api::start(&[]).await;
    for _ in 0..5 {
        commit(&api.sql).await;
    }
    let who = viewer();
    let first = api.get(&who, "/v1/events?sync=true&cursor=0&limit=2").await;
    assert_eq!((seqs_of(&first), &first.json()["more"]), (vec![1, 2], &json!(true)));
    for path in ["/v1/events", "/public/v1/events"] {
        let seq = commit(&api.sql).await;
        let latest = api.get(&who, &format!("{path}?sync=true&type=nothing.*")).await.json();
        assert_eq!((&latest["events"], &latest["more"], &latest["head"]), (&json!([]), &json!(false), &json!(seq)));
        assert!(latest["cursor"].as_str().unwrap().starts_with(&format!("{seq}.")), "{latest}");
    }
    // Numbers that were rolled back hold nothing up.
    api.sql.batch_execute("begin; insert into rowcast.events (type) values ('a.b'); rollback").await.unwrap();
    assert_eq!(seqs_of(&api.get(&who, "/v1/events?sync=true&cursor=0").await), (1..=7).collect::<Vec<_>>());
    api.stop().await;
}

#[tokio::test]
async fn a_sync_that_is_neither_true_nor_false_is_refused_by_its_name() {
    let api = Api::start(&[]).await;
    let who = viewer();
    for path in ["/v1/events", "/public/v1/events"] {
        for wrong in ["sync=maybe", "sync=", "sync", "sync=1", "sync=TRUE"] {
            let answer = api.get(&who, &format!("{path}?{wrong}")).await;
            assert_eq!(code_of(&answer), (400, "bad_request".to_owned()), "{wrong}");
            assert_eq!(answer.json()["detail"], "sync must be one of true, false", "{wrong}");
        }
        assert_eq!(api.get(&who, &format!("{path}?sync=true&sync=true")).await.status, 400);
        assert_eq!(api.get(&who, &format!("{path}?sync=false")).await.status, 200);
    }
    api.stop().await;
}

#[tokio::test]
async fn a_held_transaction_makes_it_an_error_after_ten_seconds_and_delays_nobody_else() {
    let api = Api::start(&[]).await;
    let (mut holder, who) = (api.db.client().await, viewer());
    let transaction = holder.transaction().await.unwrap();
    transaction.batch_execute("insert into rowcast.events (type) values ('a.held')").await.unwrap();
    commit(&api.sql).await;
    let begun = Instant::now();
    let (private, public, other) = tokio::join!(
        api.get(&who, "/v1/events?sync=true&cursor=0&wait=30"),
        api.get(&who, "/public/v1/events?sync=true"),
        async {
            let answer = api.get(&who, "/v1/events?sync=false&cursor=0").await;
            in_time(begun, Duration::from_secs(5));
            answer
        }
    );
    assert!(begun.elapsed() >= Duration::from_secs(10), "{:?}", begun.elapsed());
    for answer in [private, public] {
        assert_eq!(code_of(&answer), (503, "stalled".to_owned()));
        assert_eq!(answer.headers["retry-after"], "1");
    }
    assert_eq!(seqs_of(&other), Vec::<i64>::new());
    transaction.commit().await.unwrap();
    assert_eq!(seqs_of(&api.get(&who, "/v1/events?sync=true&cursor=0").await), [1, 2]);
    api.stop().await;
}

#[tokio::test]
async fn a_sync_that_waits_is_answered_when_the_server_ends() {
    let mut api = Api::start(&[]).await;
    let (mut holder, who) = (api.db.client().await, bearer(Role::Viewer, "v"));
    let transaction = holder.transaction().await.unwrap();
    transaction.batch_execute("insert into rowcast.events (type) values ('a.held')").await.unwrap();
    commit(&api.sql).await;
    let mut stream = TcpStream::connect(api.address()).await.unwrap();
    let head = head_of("GET", "/v1/events?sync=true", &[("authorization", &who)]);
    stream.write_all((head + "connection: close\r\n\r\n").as_bytes()).await.unwrap();
    super::lanes::read_once(&api).await;
    api.server.ask_to_stop();
    assert_eq!(code_of(&everything(stream).await), (503, "draining".to_owned()));
    drop(transaction);
    api.server.ended().await.unwrap();
}
