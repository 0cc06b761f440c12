//! Time that is not what it seems: a process that did not run for a while, and a clock that jumps.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use rowcast::auth::Role;
use rowcast::clock::Clock;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::raw_websocket::{Client, PONG, ServerMessage, frame};
use super::server_process::Process;
use super::{aged, token};
use crate::support::{TestServer, migrated_database};

const HEARTBEAT: Duration = Duration::from_millis(500);

/// A token that ends in so many seconds, the leeway of a minute included.
fn ending(seconds: u64) -> String {
    aged(Role::Viewer, "vera", Duration::from_secs(1_000), Duration::from_secs(1_000 - 60 + seconds))
}

/// A session that is live.
async fn live(address: &str, token: &str) -> Client {
    let mut client = Client::with(address, "/ws", token).await;
    client.op("hello").await;
    loop {
        // A token that is about to end says so.
        if client.json().await["op"] == "live" {
            return client;
        }
    }
}

#[tokio::test]
async fn a_server_that_was_frozen_closes_nobody_but_those_whose_token_has_ended() {
    let db = migrated_database().await;
    let server = Process::serve(&db.url, &[("ROWCAST_HEARTBEAT", "500ms")]).await;
    let viewer = token(Role::Viewer, "vera");
    let mut clients = Vec::new();
    for _ in 0..30 {
        clients.push(live(&server.address, &viewer).await);
    }
    let mut expiring = live(&server.address, &ending(4)).await;
    // Each hears the server, and so answers its pings.
    for client in &mut clients {
        assert_eq!(client.json().await["op"], "heartbeat");
    }
    server.signal(Signal::SIGSTOP);
    // Half of them say something while nobody listens.
    for client in clients.iter_mut().step_by(2) {
        client.bytes(&frame(PONG, b"")).await;
    }
    tokio::time::sleep(4 * HEARTBEAT + Duration::from_secs(2)).await;
    server.signal(Signal::SIGCONT);
    let witnesses = clients.into_iter().map(async |mut client| {
        // Through several heartbeats after it.
        for _ in 0..6 {
            let said = client.json().await;
            assert_eq!(said["op"], "heartbeat", "{said}");
        }
        client.send(&json!({"op": "ping"})).await;
        client.past_heartbeats("pong").await;
        client.leave().await;
    });
    join_all(witnesses).await;
    loop {
        match expiring.said().await {
            ServerMessage::Json(said) if said["op"] == "error" => assert_eq!(said["code"], "token_expired"),
            ServerMessage::Json(said) => assert!(said["op"] == "heartbeat" || said["op"] == "auth_expiring", "{said}"),
            other => {
                assert_eq!(other, ServerMessage::Close(4401, "token_expired".to_owned()));
                break;
            }
        }
    }
    // Who says nothing is closed still.
    let mut silent = live(&server.address, &viewer).await;
    silent.polite = false;
    silent.refused(4408, "timeout").await;
}

#[tokio::test]
async fn a_token_ends_by_the_clock_on_the_wall_wherever_that_jumps() {
    let db = migrated_database().await;
    let ahead = Arc::new(AtomicI64::new(0));
    let read = Arc::clone(&ahead);
    let clock = Clock::reading(move || {
        let ahead = read.load(Ordering::Relaxed);
        let by = Duration::from_secs(ahead.unsigned_abs());
        if ahead < 0 { SystemTime::now() - by } else { SystemTime::now() + by }
    });
    let settings = [("ROWCAST_HEARTBEAT", "200ms")];
    let server = TestServer::ready_as(&db.url, &settings, |app| app.with_clock(clock)).await;
    let address = server.address();

    // Back by an hour: the end of this token is an hour away again.
    let mut client = live(address, &ending(2)).await;
    ahead.store(-3600, Ordering::Relaxed);
    client.silent(Duration::from_secs(3)).await;
    client.send(&json!({"op": "ping"})).await;
    assert_eq!(client.past_heartbeats("pong").await["op"], "pong");
    ahead.store(0, Ordering::Relaxed);
    client.refused(4401, "token_expired").await;

    // And ahead by two hours: over at once, for streams of both kinds.
    let valid = aged(Role::Viewer, "vera", Duration::ZERO, Duration::from_secs(3600));
    let mut client = live(address, &valid).await;
    let bearer = format!("Bearer {valid}");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("GET /v1/events/stream HTTP/1.1\r\nhost: x\r\nauthorization: {bearer}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains(": live\n\n") {
        assert!(stream.read_buf(&mut text).await.unwrap() > 0);
    }
    let headers = [("authorization", bearer.as_str())];
    let page = crate::support::raw_http::request(address, "GET", "/v1/events?wait=30", &headers, b"");
    let (page, ()) = tokio::join!(page, async {
        ahead.store(7200, Ordering::Relaxed);
        client.refused(4401, "token_expired").await;
        while !String::from_utf8_lossy(&text).contains("token_expired") {
            assert!(stream.read_buf(&mut text).await.unwrap() > 0, "{}", String::from_utf8_lossy(&text));
        }
    });
    assert_eq!(page.status, 401);
    server.stop().await.unwrap();
}
