//! What a newcomer is told whose first connection goes wrong: a browser cannot read the answer to a refused upgrade.

use std::time::Duration;

use rowcast::auth::Role;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::raw_websocket::{Client, ServerMessage, TEXT, frame, head};
use super::upgrade::strange_role;
use super::{ServedJournal, aged, token};
use crate::support::raw_http::raw;

/// Opens with these sub-protocols.
async fn offering(journal: &ServedJournal, protocols: &str) -> Client {
    Client::open(journal.server.address(), "/ws", &[("sec-websocket-protocol", protocols)]).await
}

#[tokio::test]
async fn a_token_that_is_refused_as_a_sub_protocol_is_told_where_a_browser_can_read_it() {
    let journal = ServedJournal::start(&[("ROWCAST_SESSIONS_PER_SUBJECT", "1")]).await;
    let mut first = journal.session(Role::Viewer, "vera", "/ws").await;
    first.op("hello").await;
    let expired = aged(Role::Viewer, "carl", Duration::from_secs(1_000), Duration::from_secs(900));
    for (refused, close, code) in [
        ("x".to_owned(), 4401, "unauthorized"),
        (expired.clone(), 4401, "unauthorized"),
        (strange_role(), 4403, "forbidden"),
        (token(Role::Viewer, "vera"), 4429, "rate_limited"),
    ] {
        let mut client = offering(&journal, &format!("rowcast.v1, bearer.{refused}")).await;
        assert_eq!(client.header("sec-websocket-protocol"), Some("rowcast.v1"));
        client.refused(close, code).await;
    }
    // A program that sends the header reads the answer.
    let bytes = head("/ws", &[("authorization", &format!("Bearer {expired}"))]);
    let mut stream = TcpStream::connect(journal.server.address()).await.unwrap();
    let answer = raw(&mut stream, bytes.as_bytes()).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (401, Some("unauthorized")));

    // A revoked one.
    let admin = format!("Bearer {}", token(Role::Admin, "root"));
    let headers = [("authorization", admin.as_str()), ("content-type", "application/json")];
    let body = br#"{"subject":"rita"}"#;
    let address = journal.server.address();
    let old = aged(Role::Viewer, "rita", Duration::from_secs(10), Duration::from_secs(3600));
    let revoked = crate::support::raw_http::request(address, "POST", "/v1/revocations", &headers, body).await;
    assert_eq!(revoked.status, 201, "{}", revoked.body);
    crate::support::until("the revocation is known", || async {
        let mut client = offering(&journal, &format!("rowcast.v1, bearer.{old}")).await;
        match client.said().await {
            ServerMessage::Json(said) => {
                said["code"] == "revoked" && client.said().await == ServerMessage::Close(4403, "revoked".to_owned())
            }
            other => panic!("{other:?}"),
        }
    })
    .await;
    journal.end().await;
}

#[tokio::test]
async fn a_token_as_the_only_sub_protocol_is_told_what_it_lacks() {
    let journal = ServedJournal::start(&[]).await;
    let secret = token(Role::Viewer, "vera");
    let bytes = head("/ws", &[("sec-websocket-protocol", &format!("bearer.{secret}"))]);
    let mut stream = TcpStream::connect(journal.server.address()).await.unwrap();
    let answer = raw(&mut stream, bytes.as_bytes()).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (400, Some("bad_request")));
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("rowcast.v1, bearer.<token>") && !detail.contains(&secret), "{detail}");
    journal.end().await;
}

#[tokio::test]
async fn who_brings_no_token_is_told_at_once_how_to_bring_one() {
    let journal = ServedJournal::start(&[]).await;
    let mut client = Client::open(journal.server.address(), "/ws", &[]).await;
    // Long before the five seconds are over.
    let first = tokio::time::timeout(Duration::from_secs(4), client.frame()).await.unwrap().unwrap();
    assert_eq!(first.0, TEXT);
    let first: Value = serde_json::from_slice(&first.1).unwrap();
    assert_eq!((&first["op"], &first["within_ms"]), (&json!("auth_required"), &json!(5_000)));
    for way in ["Authorization: Bearer", "rowcast.v1, bearer.", "\"op\":\"auth\""] {
        assert!(first["message"].as_str().unwrap().contains(way), "{first}");
    }
    client.send(&json!({"op": "auth", "token": token(Role::Viewer, "vera")})).await;
    client.op("hello").await;
    client.leave().await;

    let mut client = Client::open(journal.server.address(), "/ws?token=abc", &[]).await;
    let error = client.refused(4400, "bad_request").await;
    for way in ["not taken from the address", "Authorization: Bearer", "rowcast.v1, bearer.", "\"op\":\"auth\""] {
        assert!(error["message"].as_str().unwrap().contains(way), "{error}");
    }
    journal.end().await;
}

#[tokio::test]
async fn a_field_that_is_misspelt_is_named() {
    let journal = ServedJournal::start(&[]).await;
    for (message, named) in [
        (json!({"op": "subscribe", "typ": "a.*"}), "typ "),
        (json!({"op": "subscribe", "type": 7}), "type "),
        (json!({"op": "subscribe", "curser": "0"}), "curser "),
        (json!({"op": "subscribed"}), "subscribed "),
        (json!({"op": "auth", "tokn": "x"}), "tokn "),
    ] {
        let mut client = journal.viewer("/ws").await;
        client.op("hello").await;
        client.op("live").await;
        client.bytes(&frame(TEXT, message.to_string().as_bytes())).await;
        let error = client.refused(4400, "bad_request").await;
        assert!(error["message"].as_str().unwrap().starts_with(named), "{message}: {error}");
    }
    journal.end().await;
}
