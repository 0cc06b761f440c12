//! How the client library comes back: from where, after how long, and when not.

use std::time::Duration;

use rowcast::client::{Error, Item, Options, Start};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{after, connected, options};
use crate::support::scripted_server::{Follower, Script, cursor};

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
