//! What a client of a session may ask for, and how fast it is heard.

use std::time::{Duration, Instant};

use rowcast::auth::Role;
use serde_json::json;

use super::raw_websocket::{Client, PING, PONG, frame};
use super::{ServedJournal, token};
use crate::support::NO_LIMITS;

async fn journal(rates: &str) -> ServedJournal {
    let rates = format!("{NO_LIMITS},{rates}");
    ServedJournal::start(&[("ROWCAST_RATE_LIMITS", &rates), ("ROWCAST_PUBLIC_STREAM", "on")]).await
}

/// Subscribes, and reads up to the end of the backlog.
async fn subscribe(client: &mut Client, last: u32) {
    client.send(&json!({"op": "subscribe", "last": last})).await;
    client.op("hello").await;
    client.op("live").await;
}

/// Subscribes once more, which is refused. Returns the frame.
async fn refused(mut client: Client, last: u32) -> serde_json::Value {
    client.send(&json!({"op": "subscribe", "last": last})).await;
    client.refused(4429, "rate_limited").await
}

#[tokio::test]
async fn each_subscribe_counts_as_a_request_of_its_subject() {
    let journal = journal("private=4/h").await;
    let mut alice = journal.session(Role::Viewer, "alice", "/ws").await;
    let mut again = journal.session(Role::Viewer, "alice", "/ws").await;
    for client in [&mut alice, &mut again] {
        client.op("hello").await;
        client.op("live").await;
    }
    for _ in 0..2 {
        subscribe(&mut alice, 10).await;
        subscribe(&mut again, 10).await;
    }
    let error = refused(alice, 10).await;
    assert_eq!(error["retry_after"], 900, "{error}");
    refused(again, 0).await;
    let mut bob = journal.session(Role::Viewer, "bob", "/ws").await;
    bob.op("hello").await;
    bob.op("live").await;
    subscribe(&mut bob, 10).await;
    journal.end().await;
}

#[tokio::test]
async fn going_far_back_counts_as_the_pages_that_it_stands_for() {
    let journal = journal("public=12/h").await;
    let mut first = Client::open(journal.server.address(), "/public/ws", &[]).await;
    first.op("hello").await;
    first.op("live").await;
    subscribe(&mut first, 10_000).await;
    subscribe(&mut first, 1001).await;
    // Everybody at this address shares what the public may.
    let mut second = Client::open(journal.server.address(), "/public/ws", &[]).await;
    second.op("hello").await;
    second.op("live").await;
    refused(second, 1).await;
    assert_eq!(journal.server.get("/public/v1/events").await.status, 429);
    journal.end().await;
}

#[tokio::test]
async fn a_renewed_token_counts_as_a_request() {
    let journal = journal("private=2/h").await;
    let mut alice = journal.session(Role::Viewer, "alice", "/ws").await;
    alice.op("hello").await;
    alice.op("live").await;
    let auth = json!({"op": "auth", "token": token(Role::Viewer, "alice")});
    for _ in 0..2 {
        alice.send(&auth).await;
        alice.op("auth_ok").await;
    }
    alice.send(&auth).await;
    alice.refused(4429, "rate_limited").await;
    journal.end().await;
}

#[tokio::test]
async fn a_flood_of_pings_is_answered_at_the_rate_of_a_client_and_harms_nobody_else() {
    let journal = journal("private=1000000/s").await;
    let mut flood = journal.session(Role::Viewer, "flora", "/ws").await;
    let mut other = journal.session(Role::Viewer, "otto", "/ws").await;
    for client in [&mut flood, &mut other] {
        client.op("hello").await;
        client.op("live").await;
    }
    let begun = Instant::now();
    flood.bytes(&frame(PING, b"p").repeat(120)).await;
    flood.send(&json!({"op": "ping"})).await;
    journal.event("type", "'note.added'").await;
    assert_eq!(other.op("event").await["event"]["type"], "note.added");
    // 100 at once, then 20 a second: the 21 beyond take a second and a little.
    let mut pongs = 0;
    loop {
        match flood.frame().await.unwrap() {
            (PONG, payload) => {
                assert_eq!(payload, b"p");
                pongs += 1;
            }
            (_, text) if text.starts_with(br#"{"op":"pong""#) => break,
            _ => {}
        }
    }
    assert!(begun.elapsed() >= Duration::from_millis(1000), "{:?}", begun.elapsed());
    assert!((100..=120).contains(&pongs), "{pongs} pongs");
    journal.end().await;
}

#[tokio::test]
async fn frames_that_make_no_message_are_read_at_the_rate_of_a_client() {
    let journal = journal("private=1000000/s").await;
    let mut flood = journal.session(Role::Viewer, "flora", "/ws").await;
    flood.op("hello").await;
    flood.op("live").await;
    let begun = Instant::now();
    // A text that begins, then empty fragments of 6 bytes, and its end: 256 KiB at once, and 64 KiB a second after that.
    let empty = frame(0x00, b"");
    let fragments = (256 + 48) * 1024 / empty.len();
    let mut bytes = frame(0x01, br#"{"op":"#);
    bytes.extend(empty.repeat(fragments));
    bytes.extend(frame(0x80, br#""ping"}"#));
    flood.bytes(&bytes).await;
    assert_eq!(flood.past_heartbeats("pong").await, json!({"op": "pong"}));
    assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
    journal.end().await;
}
