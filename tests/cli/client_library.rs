//! The client library against a server that says what the test has it say: what it asks for, understands and counts.

mod broken_promises;
mod resuming;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rowcast::client::{Connector, Error, Frame, Item, Options, Selection, Start, Stream, Tokens, TrustError};
use rowcast::config::Secret;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::support::TestServer;
use crate::support::scripted_server::{Follower, Script, cursor, id};

fn options() -> Options {
    Options { tokens: Tokens::fixed(Secret::new("t0ken")), ..Options::default() }
}

fn after(seq: i64) -> Options {
    Options { start: Start::After(cursor(seq).parse().unwrap()), ..options() }
}

/// A follower whose first connection stands, at cursor 5.
async fn connected(script: &Script, options: Options) -> (Follower, crate::support::scripted_server::Peer) {
    let mut follower = Follower::start(&script.url, options);
    let peer = script.greet(&cursor(5)).await;
    assert!(matches!(follower.next().await, Ok(Item::Connected(hello)) if hello.cursor.seq == 5));
    (follower, peer)
}

#[tokio::test]
async fn every_frame_of_the_interface_is_understood_and_unknown_ones_are_counted() {
    let script = Script::start().await;
    let connector = Connector::new(script.url.parse().unwrap(), None).unwrap();
    let (start, wanted, token) = (Start::Latest, Selection::default(), Secret::new("t"));
    let talk = async {
        let mut peer = script.caller().await.accept().await;
        peer.send(json!({"op": "welcome"})).await;
        peer.hello(&cursor(5), 15_000).await;
        peer.event(7).await;
        peer.raw(Message::Ping(b"x".as_slice().into())).await;
        peer.live(7).await;
        peer.send(json!({"op": "shout", "cursor": 1})).await;
        peer.heartbeat(9).await;
        peer.send(json!({"op": "auth_expiring", "at": "2026-01-27T10:00:00Z"})).await;
        peer.send(json!({"op": "auth_ok", "expires": "2026-01-27T11:00:00Z"})).await;
        peer.send(json!({"op": "drain", "retry_ms": 70, "cursor": cursor(9)})).await;
        peer
    };
    let (connection, mut peer) = tokio::join!(connector.connect(&start, &wanted, Some(&token)), talk);
    let mut connection = connection.unwrap();
    assert_eq!(connection.hello().session, "s1");
    assert!(
        matches!(connection.next().await, Ok(Frame::Event(e)) if e.seq == 7 && e.cursor().to_string() == cursor(7))
    );
    assert!(matches!(connection.next().await, Ok(Frame::Live(at)) if at.seq == 7));
    assert!(matches!(connection.next().await, Ok(Frame::Unknown(op)) if op == "shout"));
    assert!(matches!(connection.next().await, Ok(Frame::Heartbeat(beat)) if (beat.events, beat.check) == (1, 7)));
    assert!(matches!(connection.next().await, Ok(Frame::AuthExpiring(_))));
    assert!(matches!(connection.next().await, Ok(Frame::AuthOk(_))));
    assert!(matches!(connection.next().await, Ok(Frame::Drain { retry, .. }) if retry == Duration::from_millis(70)));
    assert_eq!(connection.unknown_frames(), 2);

    // A ping is answered, and a heartbeat with a sign of life.
    assert!(matches!(peer.heard().await, Some(Message::Pong(p)) if p.as_ref() == b"x"));
    assert!(matches!(peer.heard().await, Some(Message::Pong(p)) if p.is_empty()));
    connection.ping().await.unwrap();
    assert_eq!(peer.heard_text().await, json!({"op": "ping"}));
    peer.send(json!({"op": "pong"})).await;
    assert!(matches!(connection.next().await, Ok(Frame::Pong)));

    // The close is said and answered.
    let heard = tokio::spawn(async move { peer.heard().await });
    connection.close().await;
    assert!(matches!(heard.await.unwrap(), Some(Message::Close(Some(frame))) if u16::from(frame.code) == 1000));
}

#[tokio::test]
async fn the_request_says_what_is_wanted_and_holds_the_token_in_a_header_alone() {
    let script = Script::start().await;
    let text = |text: &str| Some(text.to_owned());
    let selection =
        Selection { types: text("trade.*,a"), level: text("warn"), symbol: text("A B"), ..Selection::default() };
    let (_follower, peer) = connected(&script, Options { start: Start::Last(3), selection, ..options() }).await;
    assert_eq!(peer.target(), "/ws?last=3&type=trade.*,a&level=warn&symbol=A%20B");
    assert_eq!(peer.header("authorization"), Some("Bearer t0ken"));
    assert_eq!(peer.head.matches("t0ken").count(), 1);
    assert_eq!(peer.header("host"), script.url.strip_prefix("http://"));
}

#[tokio::test]
async fn the_largest_event_there_can_be_fits() {
    let script = Script::start().await;
    let (mut follower, mut peer) = connected(&script, options()).await;
    // 256 KiB of characters that JSON may write as six bytes would be more than a message may have; those that a
    // server must write so are control characters, which make at most that.
    let payload = json!({"text": "ü".repeat(131_000), "more": "\u{1}".repeat(80_000)});
    let event = json!({"seq": 6, "id": id(6), "at": "x", "type": "a", "level": "info", "payload": payload});
    peer.send(json!({"op": "event", "event": event})).await;
    match follower.next().await {
        Ok(Item::Event(event)) => assert!(event.json().len() > 700_000 && event.details().is_ok()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_of_tokens_is_asked_before_the_end_of_one_and_knocks_once_more_after_a_refusal() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let tokens = Tokens::from_source(|| Some(Secret::new(format!("t{}", ASKED.fetch_add(1, Ordering::SeqCst)))));
    let script = Script::start().await;
    let (mut follower, mut peer) = connected(&script, Options { tokens, ..options() }).await;
    assert_eq!(peer.header("authorization"), Some("Bearer t0"));
    peer.send(json!({"op": "auth_expiring", "at": "2026-01-27T10:00:00Z"})).await;
    assert_eq!(peer.heard_text().await, json!({"op": "auth", "token": "t1"}));
    peer.send(json!({"op": "auth_ok", "expires": "2026-01-27T11:00:00Z"})).await;
    // Its end in a running session is no refusal of the next one.
    peer.end(4401, "token_expired").await;
    assert!(matches!(follower.loss().await.0, Error::Unauthorized(_)));
    script.caller().await.refuse(401, "", &json!({"code": "unauthorized"})).await;
    assert!(matches!(follower.next().await, Err(Error::Unauthorized(_))), "a second refusal in a row is the end");

    // A fixed token that expires is the end at once.
    let (mut follower, peer) = connected(&script, options()).await;
    peer.end(4401, "token_expired").await;
    assert!(matches!(follower.next().await, Err(Error::Unauthorized(_))));
}

#[tokio::test]
async fn a_stream_can_be_asked_again_after_it_was_interrupted() {
    let script = Script::start().await;
    let mut stream = Stream::new(Connector::new(script.url.parse().unwrap(), None).unwrap(), options());
    let at = cursor(5);
    let (connected, mut peer) = tokio::join!(stream.next(), script.greet(&at));
    assert!(matches!(connected, Ok(Item::Connected(_))));
    for seq in 6..200 {
        peer.event(seq).await;
        // Dropped before it is done, as a `select!` does.
        let event = match futures_util::future::poll_immediate(stream.next()).await {
            Some(event) => event,
            None => stream.next().await,
        };
        assert!(matches!(event, Ok(Item::Event(event)) if event.seq == seq));
    }
    peer.heartbeat(199).await;
    assert!(matches!(stream.next().await, Ok(Item::Heartbeat(_))));
    let heard = tokio::spawn(async move {
        while let Some(message) = peer.heard().await {
            if message.is_close() {
                return true;
            }
        }
        false
    });
    stream.close().await;
    assert!(heard.await.unwrap());
}

#[tokio::test]
async fn tls_is_checked_against_the_authorities_that_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let files = [("ROWCAST_TLS_CERT", cert.to_str().unwrap()), ("ROWCAST_TLS_KEY", key.to_str().unwrap())];
    let server = TestServer::start("postgres://nobody@127.0.0.1:1/nothing", &files).await;
    let port = server.address().rsplit_once(':').unwrap().1;
    let (start, wanted, token) = (Start::Latest, Selection::default(), Secret::new("no-token"));
    for (host, authorities, trusted) in
        [("localhost", Some(&cert), true), ("127.0.0.1", Some(&cert), false), ("localhost", None, false)]
    {
        let endpoint = format!("https://{host}:{port}").parse().unwrap();
        match Connector::new(endpoint, authorities.map(|path| path.as_path())) {
            // What it says comes through the TLS; that it lets nobody in is enough here.
            Ok(connector) => match connector.connect(&start, &wanted, Some(&token)).await.unwrap_err() {
                Error::Tls(_) => assert!(!trusted, "{host}"),
                other => assert!(trusted && other.to_string().contains("no"), "{host}: {other}"),
            },
            Err(error) => assert!(matches!(error, TrustError::NoRoots) && authorities.is_none(), "{error}"),
        }
    }
    server.stop().await.unwrap();
}
