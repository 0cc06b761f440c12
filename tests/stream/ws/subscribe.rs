//! What `subscribe` changes in the middle of a session, and what `auth` does to what is seen.

use rowcast::auth::Role;
use serde_json::{Value, json};

use super::raw_websocket::{Client, frame};
use super::{ServedJournal, token};

const BEAT: (&str, &str) = ("ROWCAST_HEARTBEAT", "100ms");

impl Client {
    /// The next `hello`, `live` or `event`.
    async fn past_hello_or_event(&mut self) -> Value {
        loop {
            let said = self.json().await;
            if said["op"] != "heartbeat" {
                return said;
            }
        }
    }

    /// The next heartbeat: its count and its sum.
    async fn counted(&mut self) -> (i64, i64) {
        let beat = self.op("heartbeat").await;
        (beat["events"].as_i64().unwrap(), beat["check"].as_i64().unwrap())
    }
}

/// A session of a viewer that has begun and is live.
async fn live(journal: &ServedJournal) -> Client {
    let mut client = journal.viewer("/ws").await;
    client.op("hello").await;
    client.op("live").await;
    client
}

#[tokio::test]
async fn a_subscribe_in_the_middle_of_a_backlog_draws_a_line_and_counts_anew() {
    let journal = ServedJournal::start(&[BEAT]).await;
    journal.append(30_000).await;
    // What was under way comes, then the hello that draws the line.
    let mut client = journal.viewer("/ws?cursor=0").await;
    let session = client.op("hello").await["session"].clone();
    assert_eq!(client.seqs(100).await, (1..=100).collect::<Vec<_>>());
    client.send(&json!({"op": "subscribe", "cursor": 29_990, "type": "note.*"})).await;
    let mut before = 100;
    let hello = loop {
        let said = client.json().await;
        match said["op"].as_str().unwrap() {
            "event" => {
                before += 1;
                assert_eq!(said["event"]["seq"], before);
            }
            "heartbeat" => assert_eq!(said["events"], before),
            "hello" => break said,
            _ => panic!("{said}"),
        }
    };
    assert!(before < 30_000, "{before}");
    assert_eq!((&hello["session"], &hello["cursor"]), (&session, &json!(journal.cursor(29_990).await)));
    assert_eq!(client.seqs(10).await, (29_991..=30_000).collect::<Vec<_>>());
    client.past_heartbeats("live").await;
    assert_eq!(client.counted().await, (10, (29_991..=30_000).sum()));
    journal.end().await;
}

#[tokio::test]
async fn a_subscribe_takes_every_field_and_with_none_is_a_connect_with_none() {
    let journal = ServedJournal::start(&[BEAT]).await;
    journal.append(20).await;
    let last = journal.event("type, symbol", "'trade.opened', 'X'").await;
    let mut client = live(&journal).await;
    // All fields, null for those that say nothing; numbers and texts.
    client
        .send(&json!({"op": "subscribe", "cursor": null, "last": 2, "type": "trade.opened", "level": "info",
            "symbol": "X", "trade_id": null, "subject": null}))
        .await;
    client.past_heartbeats("hello").await;
    assert_eq!(client.seqs(1).await, [last]);
    client.past_heartbeats("live").await;
    client.send(&json!({"op": "subscribe"})).await;
    assert_eq!(client.past_heartbeats("hello").await["cursor"], journal.cursor(last).await);
    client.past_heartbeats("live").await;
    assert_eq!(client.counted().await, (0, 0));
    journal.end().await;
}

#[tokio::test]
async fn of_many_subscribes_in_one_go_each_has_its_hello_and_the_last_one_counts() {
    let journal = ServedJournal::start(&[BEAT]).await;
    journal.append(30).await;
    let last = 30;
    let mut client = live(&journal).await;
    for cursor in 0..20 {
        client.send(&json!({"op": "subscribe", "cursor": (last - cursor).to_string()})).await;
    }
    let mut hellos = Vec::new();
    while hellos.len() < 20 {
        let said = client.past_hello_or_event().await;
        if said["op"] == "hello" {
            hellos.push(said["cursor"].clone());
        }
    }
    for (cursor, hello) in (0..20).zip(hellos) {
        assert_eq!(hello, journal.cursor(last - cursor).await);
    }
    assert_eq!(client.seqs(19).await, (last - 18..=last).collect::<Vec<_>>());
    journal.end().await;
}

#[tokio::test]
async fn a_message_that_is_malformed_or_names_no_place_ends_the_session_with_its_code() {
    let journal = ServedJournal::start(&[BEAT]).await;
    for wrong in [
        json!({"op": "subscribe", "cursor": -1}),
        json!({"op": "subscribe", "cursor": 1.5}),
        json!({"op": "subscribe", "cursor": "1", "last": 1}),
        json!({"op": "subscribe", "cursor": true}),
        json!({"op": "subscribe", "types": "a"}),
        json!({"op": "subscribe", "owner": "x"}),
        json!({"op": "subscribe", "type": ["a"]}),
        json!({"op": "subscribe", "symbol": "a\0b"}),
        json!({"op": "ping", "more": 1}),
        json!({"op": "shout"}),
        json!({"op": 7}),
        json!({"cursor": "0"}),
        json!(["ping"]),
        json!("ping"),
        json!(null),
    ] {
        let mut client = live(&journal).await;
        client.send(&wrong).await;
        client.refused(4400, "bad_request").await;
    }
    for (cursor, close, code) in [("99999", 4411, "cursor_invalid"), ("x", 4400, "bad_request")] {
        let mut client = live(&journal).await;
        client.send(&json!({"op": "subscribe", "cursor": cursor})).await;
        client.refused(close, code).await;
    }
    journal.end().await;
}

#[tokio::test]
async fn another_token_of_the_same_person_changes_what_is_seen_at_once_and_nothing_else() {
    let journal = ServedJournal::start(&[BEAT]).await;
    let mut client = journal.session(Role::Viewer, "vera", "/ws").await;
    client.op("hello").await;
    client.op("live").await;
    let owned = ("type, owner", "'a.b', 'una'");
    journal.event(owned.0, owned.1).await;
    journal.event("type", "'a.b'").await;
    assert_eq!(client.seqs(1).await, [2]);
    client.send(&json!({"op": "auth", "token": token(Role::Admin, "vera")})).await;
    client.past_heartbeats("auth_ok").await;
    journal.event(owned.0, owned.1).await;
    assert_eq!(client.seqs(1).await, [3]);
    client.send(&json!({"op": "auth", "token": token(Role::User, "vera")})).await;
    client.past_heartbeats("auth_ok").await;
    journal.event(owned.0, owned.1).await;
    journal.event("type", "'a.b'").await;
    journal.event("type, owner", "'a.b', 'vera'").await;
    assert_eq!(client.seqs(1).await, [6]);
    // The same stream: it counts on, and the cursor is past all of it.
    let beat = client.op("heartbeat").await;
    assert_eq!((&beat["events"], &beat["check"]), (&json!(3), &json!(2 + 3 + 6)));
    assert_eq!(beat["cursor"], journal.cursor(6).await);
    // A subscribe that is on its way when the role changes is seen with the new eyes.
    let subscribe = json!({"op": "subscribe", "cursor": "0"}).to_string();
    let auth = json!({"op": "auth", "token": token(Role::Admin, "vera")}).to_string();
    client.bytes(&[frame(0x81, subscribe.as_bytes()), frame(0x81, auth.as_bytes())].concat()).await;
    let mut said = Vec::new();
    while said.len() < 8 {
        let next = client.past_hello_or_event().await;
        said.push(next);
    }
    let seqs: Vec<_> = said.iter().filter_map(|said| said["event"]["seq"].as_i64()).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6], "{said:?}");

    client.send(&json!({"op": "auth", "token": token(Role::Admin, "una")})).await;
    loop {
        let said = client.json().await;
        if said["op"] == "error" {
            assert_eq!(said["code"], "forbidden");
            break;
        }
    }
    let mut client = journal.viewer("/ws").await;
    client.op("hello").await;
    client.op("live").await;
    client.send(&json!({"op": "auth", "token": "x"})).await;
    client.refused(4401, "unauthorized").await;
    journal.end().await;
}
