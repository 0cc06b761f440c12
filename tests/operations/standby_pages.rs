//! Older pages from a standby: whatever it has not got, or has of another history, comes from the primary.

use std::time::Duration;

use nix::sys::signal::Signal;
use rowcast::auth::Role;
use serde_json::Value;
use tokio_postgres::Client;

use super::failover::postgres::Postgres;
use crate::stream::ws::token;
use crate::support::raw_http::request;
use crate::support::{TestServer, connect, migrate, until};

async fn append(client: &Client, many: i64, what: &str) {
    let sql = "insert into rowcast.events (type, payload) \
               select $2, jsonb_build_object('n', n) from generate_series(1, $1::int8) n";
    client.execute(sql, &[&many, &what]).await.unwrap();
}

/// Every event of a server, page by page, as type and seq.
async fn backlog(server: &TestServer) -> Vec<(i64, String)> {
    let bearer = format!("Bearer {}", token(Role::Admin, "root"));
    let (mut got, mut cursor) = (Vec::new(), "earliest".to_owned());
    loop {
        let path = format!("/v1/events?limit=1000&cursor={cursor}");
        let answer = request(server.address(), "GET", &path, &[("authorization", &bearer)], b"").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let page = answer.json();
        let event = |event: &Value| (event["seq"].as_i64().unwrap(), event["type"].as_str().unwrap().to_owned());
        got.extend(page["events"].as_array().unwrap().iter().map(event));
        page["cursor"].as_str().unwrap().clone_into(&mut cursor);
        if page["more"] == false {
            return got;
        }
    }
}

async fn table(client: &Client) -> Vec<(i64, String)> {
    let rows = client.query("select seq, type from rowcast.events order by seq", &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Waits until a server has written its head down for all events, and a standby has it.
async fn head_reaches(standby: &Postgres, primary: &Client) {
    let newest: i64 = primary.query_one("select max(seq) from rowcast.events", &[]).await.unwrap().get(0);
    let standby = connect(&standby.url()).await;
    until("the standby has the head", || async {
        let head: i64 = standby.query_one("select head from rowcast.journal_state", &[]).await.unwrap().get(0);
        head >= newest
    })
    .await;
}

async fn server(on: &Postgres, standby: &Postgres) -> TestServer {
    let url = standby.url();
    // Hardly any page stays in memory.
    let server =
        TestServer::ready(&on.url(), &[("ROWCAST_REPLICA_URL", url.as_str()), ("ROWCAST_PAGE_CACHE", "1MB")]).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_gives_what_it_has_and_the_primary_the_rest() {
    let primary = Postgres::primary().await;
    migrate(&primary.url()).await;
    let writer = connect(&primary.url()).await;
    append(&writer, 8_000, "page.old").await;
    let standby = Postgres::standby(&primary).await;
    let node = TestServer::ready(&primary.url(), &[]).await;
    head_reaches(&standby, &writer).await;
    let server = server(&primary, &standby).await;
    assert_eq!(backlog(&server).await, table(&writer).await);
    let given = server.metric("rowcast_replica_pages_total").await;
    assert!(given >= 12, "{given} of 15 pages came from the standby");
    // It is paused: what it has is still given, and all that came later is read from the primary.
    let client = connect(&standby.url()).await;
    client.batch_execute("select pg_wal_replay_pause()").await.unwrap();
    for _ in 0..4 {
        append(&writer, 3_000, "page.new").await;
        assert_eq!(backlog(&server).await, table(&writer).await);
    }
    assert!(server.metric("rowcast_replica_pages_total").await > given);
    assert!(server.metric("rowcast_replica_refused_total").await > 0);
    // It goes on.
    client.batch_execute("select pg_wal_replay_resume()").await.unwrap();
    head_reaches(&standby, &writer).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    let given = server.metric("rowcast_replica_pages_total").await;
    assert_eq!(backlog(&server).await, table(&writer).await);
    assert!(server.metric("rowcast_replica_pages_total").await > given + 20);
    // It is frozen.
    standby.signal(Signal::SIGSTOP);
    assert_eq!(backlog(&server).await, table(&writer).await);
    standby.signal(Signal::SIGCONT);
    // It is a primary of its own now.
    standby.promote().await;
    append(&connect(&standby.url()).await, 700, "page.stray").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let given = server.metric("rowcast_replica_pages_total").await;
    assert_eq!(backlog(&server).await, table(&writer).await);
    assert_eq!(server.metric("rowcast_replica_pages_total").await, given);
    node.stop().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_of_a_lost_history_gives_nothing_of_it() {
    let lost = Postgres::primary().await;
    migrate(&lost.url()).await;
    let writer = connect(&lost.url()).await;
    append(&writer, 1_000, "page.common").await;
    let (survivor, left_behind) = (Postgres::standby(&lost).await, Postgres::standby(&lost).await);
    let node = TestServer::ready(&lost.url(), &[]).await;
    head_reaches(&survivor, &writer).await;
    survivor.detach().await;
    append(&writer, 3_000, "page.lost").await;
    head_reaches(&left_behind, &writer).await;
    node.stop().await.unwrap();
    survivor.promote().await;
    let writer = connect(&survivor.url()).await;
    append(&writer, 3_000, "page.kept").await;
    let server = server(&survivor, &left_behind).await;
    let got = backlog(&server).await;
    assert_eq!(got, table(&writer).await);
    assert!(got.iter().all(|(_, what)| what != "page.lost"));
    assert!(server.metric("rowcast_replica_refused_total").await > 0);
    server.stop().await.unwrap();
}
