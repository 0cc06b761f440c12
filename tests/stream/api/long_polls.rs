//! `GET /v1/events` with `wait`: the wait for what is not there yet, and every way in which it ends.

use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join_all;
use rowcast::auth::Role;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::viewer;
use super::{Api, bearer, bearer_until, code_of, head_of};
use crate::support::{in_time, until};

#[tokio::test]
async fn a_wait_ends_with_the_first_event_that_is_for_its_reader() {
    let api = Api::start(&[]).await;
    api.insert("insert into rowcast.events (type) values ('a.old')").await;
    let waits = [
        (viewer(), "type=b.*", "b.seen"),
        (viewer(), "", "b.seen"),
        (viewer(), "symbol=S&level=warn", "b.late"),
        (bearer(Role::User, "v"), "", "b.own"),
        (bearer(Role::Admin, "root"), "type=b.*", "b.hidden"),
    ];
    // From a place that is known, so that nothing depends on who comes first.
    let reached = &api;
    let asked = waits.iter().map(|(who, query, _)| async move {
        reached.get(who, &format!("/v1/events?cursor=1&wait=30&limit=1&{query}")).await
    });
    let insert = async {
        waiting(&api, 4).await;
        for (kind, owner, more) in [
            ("b.hidden", "'x'", "'S', 'info'"),
            ("b.seen", "null", "null, 'info'"),
            ("b.own", "'v'", "null, 'info'"),
            ("b.late", "null", "'S', 'error'"),
        ] {
            let sql =
                format!("insert into rowcast.events (type, owner, symbol, level) values ('{kind}', {owner}, {more})");
            api.sql.batch_execute(&sql).await.unwrap();
        }
    };
    let begun = Instant::now();
    let (answers, ()) = tokio::join!(join_all(asked), insert);
    in_time(begun, Duration::from_secs(20));
    for ((_, query, kind), answer) in waits.iter().zip(&answers) {
        assert_eq!(&answer.json()["events"][0]["type"], kind, "{query}");
    }
    api.stop().await;
}

/// Waits until so many readers with a filter wait.
async fn waiting(api: &Api, readers: usize) {
    let line = format!("rowcast_sessions_filtered {readers}");
    until("the readers wait", || async { api.server.get("/metrics").await.body.lines().any(|told| told == line) })
        .await;
}

#[tokio::test]
async fn a_wait_in_vain_says_where_it_ended() {
    let api = Api::start(&[]).await;
    let user = bearer(Role::User, "v");
    let writer = api.db.client().await;
    let begun = Instant::now();
    let (answer, ()) = tokio::join!(api.get(&user, "/v1/events?cursor=0&wait=2"), async {
        writer.batch_execute("insert into rowcast.events (type, owner) values ('a.b', 'w')").await.unwrap();
        writer.batch_execute("insert into rowcast.events (type) values ('a.b')").await.unwrap();
    });
    assert!(begun.elapsed() >= Duration::from_secs(2), "others' events ended the wait");
    let body = answer.json();
    assert_eq!((&body["events"], &body["head"], &body["more"]), (&json!([]), &json!(2), &json!(false)));
    assert!(body["cursor"].as_str().unwrap().starts_with("2."), "{body}");
    api.stop().await;
}

#[tokio::test]
async fn who_waits_is_answered_when_the_server_ends() {
    let mut api = Api::start(&[]).await;
    let who = viewer();
    let mut stream = TcpStream::connect(api.address()).await.unwrap();
    let head = head_of("GET", "/v1/events?wait=30&symbol=S", &[("authorization", &who)]);
    stream.write_all((head + "\r\n").as_bytes()).await.unwrap();
    waiting(&api, 1).await;
    let begun = Instant::now();
    api.server.ask_to_stop();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("\"more\":false}"), "{text}");
    in_time(begun, Duration::from_secs(5));
    api.server.ended().await.unwrap();
}

#[tokio::test]
async fn a_long_poll_ends_with_its_token() {
    let api = Api::start(&[]).await;
    // With the leeway of a minute it ends two seconds from now.
    let who = bearer_until(Role::Viewer, "v", SystemTime::now() - Duration::from_secs(57));
    let answer = api.get(&who, "/v1/events?wait=30").await;
    assert_eq!(code_of(&answer), (401, "unauthorized".to_owned()));
    api.stop().await;
}
