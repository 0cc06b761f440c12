//! The client library against a server that breaks what the interface promises: each way is found and told.

use std::time::Duration;

use rowcast::client::{Error, Item};
use serde_json::json;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::{connected, options};
use crate::support::scripted_server::{Follower, Script, cursor};

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
