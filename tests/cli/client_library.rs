//! The client library against a server that says what the test has it say: all that the interface promises, and every
//! way to break it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rowcast::client::{Connector, Error, Frame, Item, Options, Selection, Start, Stream, Tokens, TrustError};
use rowcast::config::Secret;
use serde_json::{Value, json};
use tokio::time::Instant;
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

#[tokio::test(start_paused = true)]
async fn it_resumes_behind_the_last_event_or_what_a_heartbeat_passed() {
    let script = Script::start().await;
    let (mut follower, peer) = connected(&script, Options { start: Start::Last(3), ..options() }).await;
    // Nothing was received yet: it goes on where the server began, and asks for no newest events again.
    peer.close(1011).await;
    assert!(matches!(follower.loss().await, (Error::Closed { code: 1011, .. }, _)));
    let mut peer = script.greet(&cursor(5)).await;
    assert_eq!(peer.target(), format!("/ws?cursor={}", cursor(5)));
    assert!(matches!(follower.next().await, Ok(Item::Resumed(_))));
    peer.event(8).await;
    peer.event(11).await;
    assert_eq!((follower.event().await, follower.event().await), (8, 11));
    // A connection that breaks without a word.
    drop(peer);
    assert!(matches!(follower.loss().await.0, Error::Lost(_)));
    let mut peer = script.greet(&cursor(11)).await;
    assert_eq!(peer.target(), format!("/ws?cursor={}", cursor(11)));
    assert!(matches!(follower.next().await, Ok(Item::Resumed(_))));
    peer.heartbeat(20).await;
    assert!(matches!(follower.next().await, Ok(Item::Heartbeat(_))));
    // A cursor that goes back is not followed.
    peer.live(12).await;
    assert!(matches!(follower.next().await, Ok(Item::Live(_))));
    peer.close(4409).await;
    let (why, _) = follower.loss().await;
    assert!(matches!(why, Error::Closed { code: 4409, .. }), "{why:?}");
    let peer = script.greet(&cursor(20)).await;
    assert_eq!(peer.target(), format!("/ws?cursor={}", cursor(20)));
    assert!(matches!(follower.next().await, Ok(Item::Resumed(_))));
    let stream = follower.stop().await;
    assert_eq!((stream.cursor().unwrap().to_string(), stream.connections()), (cursor(20), 4));
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_and_what_will_not_is_the_end() {
    let script = Script::start().await;
    for code in [1000, 1001, 1011, 1012, 4408, 4409, 4429] {
        let (mut follower, peer) = connected(&script, options()).await;
        peer.end(code, "stalled").await;
        let (why, retry_in) = follower.loss().await;
        assert!(why.is_passing() && why.to_string().contains("it is stalled"), "{code}: {why}");
        assert!(retry_in >= Duration::from_millis(100) && retry_in <= Duration::from_millis(200), "{retry_in:?}");
        let peer = script.greet(&cursor(5)).await;
        assert!(matches!(follower.next().await, Ok(Item::Resumed(_))), "{code}");
        drop((follower, peer));
    }
    for (code, expected) in [
        (4400, "bad request (x: it is x)"),
        (4401, "not authorized (x: it is x)"),
        (4403, "forbidden (x: it is x)"),
        (4410, "the cursor has expired: the oldest event that is kept is seq 40"),
        (4411, "the cursor is not of this history (x: it is x)"),
    ] {
        let (mut follower, peer) = connected(&script, options()).await;
        peer.end(code, "x").await;
        assert_eq!(follower.next().await.unwrap_err().to_string(), expected);
        assert!(matches!(follower.stop().await.next().await, Err(Error::Ended)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_server_refuses_before_the_hello_is_typed_too() {
    let script = Script::start().await;
    // The upgrade stands, and then the cursor turns out to be gone.
    let mut follower = Follower::start(&script.url, after(3));
    script.caller().await.accept().await.end(4410, "cursor_expired").await;
    assert!(matches!(follower.next().await, Err(Error::CursorExpired { oldest: Some(40) })));
    for (status, expected) in [
        (401, "not authorized (c: d)"),
        (403, "forbidden (c: d)"),
        (404, "refused with status 404 (c: d)"),
        (426, "refused with status 426 (c: d)"),
    ] {
        let mut follower = Follower::start(&script.url, options());
        script.caller().await.refuse(status, "", &json!({"code": "c", "detail": "d"})).await;
        assert_eq!(follower.next().await.unwrap_err().to_string(), expected);
    }
    for status in [429, 503] {
        let mut follower = Follower::start(&script.url, options());
        let begun = Instant::now();
        script.caller().await.refuse(status, "retry-after: 7\r\n", &json!({"code": "rate_limited"})).await;
        let (why, retry_in) = follower.loss().await;
        assert_eq!(why.retry_after(), Some(Duration::from_secs(7)));
        assert!(retry_in >= Duration::from_secs(7) && retry_in < Duration::from_secs(8), "{retry_in:?}");
        let _peer = script.greet(&cursor(5)).await;
        assert!(matches!(follower.next().await, Ok(Item::Connected(_))));
        assert!(begun.elapsed() >= Duration::from_secs(7), "{:?}", begun.elapsed());
    }
    let mut follower = Follower::start(&script.url, Options { reconnect: false, ..options() });
    script.caller().await.refuse(503, "", &Value::Null).await;
    assert!(matches!(follower.next().await, Err(Error::Unavailable { status: 503, .. })));
}

#[tokio::test(start_paused = true)]
async fn waits_grow_until_a_connection_was_worth_its_name() {
    let script = Script::start().await;
    let mut follower = Follower::start(&script.url, options());
    let within = |wait: Duration, most: u64| {
        assert!(wait <= Duration::from_millis(most) && wait >= Duration::from_millis(most / 2), "{wait:?} of {most}");
    };
    let mut before = Instant::now();
    // A hello alone is no success: a server that greets and falls over must not be asked ten times a second.
    for most in [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
        let peer = script.greet(&cursor(5)).await;
        assert!(matches!(follower.next().await, Ok(Item::Connected(_) | Item::Resumed(_))));
        peer.close(1011).await;
        let (_, wait) = follower.loss().await;
        within(wait, most);
        assert!(before.elapsed() < Duration::from_secs(11));
        before = Instant::now();
    }
    // An event is one.
    let mut peer = script.greet(&cursor(5)).await;
    assert!(matches!(follower.next().await, Ok(Item::Resumed(_))));
    peer.event(6).await;
    assert_eq!(follower.event().await, 6);
    peer.close(1011).await;
    within(follower.loss().await.1, 200);
    // So is some time.
    let peer = script.greet(&cursor(6)).await;
    assert!(matches!(follower.next().await, Ok(Item::Resumed(_))));
    tokio::time::advance(Duration::from_secs(6)).await;
    peer.close(1011).await;
    within(follower.loss().await.1, 200);
    drop(script);
    // Nobody listens any more.
    for most in [400, 800] {
        let (why, wait) = follower.loss().await;
        assert!(matches!(why, Error::Connect(_)), "{why}");
        within(wait, most);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_shuts_down_says_when_to_come_back() {
    let script = Script::start().await;
    let (mut follower, mut peer) = connected(&script, options()).await;
    peer.send(json!({"op": "drain", "retry_ms": 3_000, "cursor": cursor(9)})).await;
    assert!(matches!(follower.next().await, Ok(Item::Draining { retry_in }) if retry_in == Duration::from_secs(3)));
    let begun = Instant::now();
    peer.close(1012).await;
    let (why, retry_in) = follower.loss().await;
    assert!(matches!(why, Error::Closed { code: 1012, .. }));
    assert!(retry_in > Duration::from_millis(2_500) && retry_in <= Duration::from_secs(3), "{retry_in:?}");
    let peer = script.greet(&cursor(9)).await;
    assert!(begun.elapsed() >= Duration::from_millis(2_500), "{:?}", begun.elapsed());
    assert_eq!(peer.target(), format!("/ws?cursor={}", cursor(9)));
}

#[tokio::test]
async fn an_event_that_is_missing_is_found_at_the_next_heartbeat() {
    let script = Script::start().await;
    let (mut follower, mut peer) = connected(&script, options()).await;
    for seq in [6, 8] {
        peer.event(seq).await;
        assert_eq!(follower.event().await, seq);
    }
    peer.heartbeat(8).await;
    assert!(matches!(follower.next().await, Ok(Item::Heartbeat(_))));
    peer.event(10).await;
    peer.count(11);
    peer.heartbeat(11).await;
    assert_eq!(follower.event().await, 10);
    match follower.next().await {
        Err(Error::Missed { sent, received, check, sum }) => assert_eq!((sent, received, check, sum), (4, 3, 35, 24)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_event_in_place_of_another_is_found_too() {
    let script = Script::start().await;
    let (mut follower, mut peer) = connected(&script, options()).await;
    peer.count(7);
    peer.send(json!({"op": "event", "event": crate::support::scripted_server::event(6)})).await;
    peer.heartbeat(8).await;
    assert_eq!(follower.event().await, 6);
    assert!(matches!(follower.next().await, Err(Error::Missed { check: 7, sum: 6, .. })));
}

#[tokio::test]
async fn a_second_hello_begins_the_account_anew() {
    let script = Script::start().await;
    let (mut follower, mut peer) = connected(&script, options()).await;
    peer.event(6).await;
    peer.hello(&cursor(6), 15_000).await;
    peer.event(9).await;
    peer.heartbeat(9).await;
    assert_eq!((follower.event().await, follower.event().await), (6, 9));
    assert!(matches!(follower.next().await, Ok(Item::Heartbeat(beat)) if (beat.events, beat.check) == (1, 9)));
}

#[tokio::test]
async fn what_comes_out_of_order_or_again_is_never_passed_over() {
    let script = Script::start().await;
    let (mut follower, mut peer) = connected(&script, options()).await;
    peer.event(8).await;
    peer.event(8).await;
    assert_eq!(follower.event().await, 8);
    assert!(matches!(follower.next().await, Err(Error::Misordered { seq: 8, after: 8 })));

    let (mut follower, mut peer) = connected(&script, options()).await;
    peer.heartbeat(20).await;
    peer.event(20).await;
    assert!(matches!(follower.next().await, Ok(Item::Heartbeat(_))));
    assert!(matches!(follower.next().await, Err(Error::Misordered { seq: 20, after: 20 })));

    let (mut follower, mut peer) = connected(&script, options()).await;
    peer.event(8).await;
    assert_eq!(follower.event().await, 8);
    peer.close(1011).await;
    follower.loss().await;
    let mut peer = script.greet(&cursor(8)).await;
    assert!(matches!(follower.next().await, Ok(Item::Resumed(_))));
    peer.event(8).await;
    assert!(matches!(follower.next().await, Err(Error::Repeated { seq: 8, cursor: 8 })));
}

#[tokio::test(start_paused = true)]
async fn silence_is_a_loss_after_two_and_a_half_heartbeats() {
    let script = Script::start().await;
    let mut follower = Follower::start(&script.url, options());
    let mut peer = script.caller().await.accept().await;
    peer.hello(&cursor(5), 1_000).await;
    assert!(matches!(follower.next().await, Ok(Item::Connected(_))));
    tokio::time::sleep(Duration::from_millis(2_000)).await;
    peer.raw(Message::Ping(b"".as_slice().into())).await;
    assert!(matches!(peer.heard().await, Some(Message::Pong(_))), "a ping is a sign of life");
    let begun = Instant::now();
    let (why, _) = follower.loss().await;
    assert!(matches!(why, Error::Silent(limit) if limit == Duration::from_millis(2_500)), "{why}");
    assert!(begun.elapsed() >= Duration::from_millis(2_400), "{:?}", begun.elapsed());
    let _peer = script.greet(&cursor(5)).await;
    assert!(matches!(follower.next().await, Ok(Item::Resumed(_))));
}

#[tokio::test(start_paused = true)]
async fn whoever_accepts_and_says_nothing_is_left_after_ten_seconds() {
    let script = Script::start().await;
    let mut follower = Follower::start(&script.url, options());
    let begun = Instant::now();
    let mute = script.caller().await;
    assert!(matches!(follower.loss().await.0, Error::Timeout(_)));
    drop(mute);
    let mute = script.caller().await.accept().await;
    assert!(matches!(follower.loss().await.0, Error::Timeout(_) | Error::Silent(_)));
    assert!((20..22).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    drop(mute);
}

#[tokio::test]
async fn what_is_no_frame_ends_the_stream() {
    let script = Script::start().await;
    let long = format!("{{\"op\":\"x\",\"y\":\"{}\"}}", "z".repeat(1 << 20));
    for message in [Message::text("nonsense"), Message::Binary(vec![1].into()), Message::text(long)] {
        let (mut follower, mut peer) = connected(&script, options()).await;
        peer.raw(message).await;
        assert!(matches!(follower.next().await, Err(Error::BadFrame(_))));
    }
    let mut follower = Follower::start(&script.url, options());
    let mut peer = script.caller().await.accept().await;
    peer.live(3).await;
    assert!(matches!(follower.next().await, Err(Error::BadFrame(why)) if why.contains("before the hello came live")));
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
