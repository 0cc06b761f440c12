//! How sessions end: by their token, by silence, by what is too much, by either side, and by a shutdown.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rowcast::auth::Role;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::raw_websocket::{CLOSE, Client, PONG, ServerMessage, frame, goodbye};
use super::server_process::Process;
use super::{ServedJournal, aged, token};
use crate::support::{JWT_SECRET, binary, in_time, migrated_database, text, until};

/// A token that ends in so many seconds, the leeway of a minute included.
fn ending(seconds: u64) -> String {
    aged(Role::Viewer, "vera", Duration::from_secs(1_000), Duration::from_secs(1_000 - 60 + seconds))
}

#[tokio::test]
async fn a_session_ends_with_its_token_unless_another_one_comes() {
    let journal = ServedJournal::start(&[]).await;
    let address = journal.server.address();
    // Both have expired, and live on for what is left of the leeway.
    let mut client = Client::with(address, "/ws", &ending(2)).await;
    let mut renewed = Client::with(address, "/ws", &ending(2)).await;
    for client in [&mut client, &mut renewed] {
        client.op("hello").await;
        let notice = client.json().await;
        let notice = if notice["op"] == "live" { client.json().await } else { notice };
        assert_eq!(notice["op"], "auth_expiring", "{notice}");
        assert!(notice["at"].as_str().unwrap().ends_with('Z') && notice.as_object().unwrap().len() == 2);
    }
    renewed.send(&json!({"op": "auth", "token": token(Role::Viewer, "vera")})).await;
    while renewed.json().await["op"] != "auth_ok" {}
    let mut bound = client;
    while let ServerMessage::Json(said) = bound.said().await {
        if said["op"] == "error" {
            assert_eq!(said["code"], "token_expired");
            break;
        }
        assert_eq!(said["op"], "live");
    }
    assert_eq!(bound.said().await, ServerMessage::Close(4401, "token_expired".to_owned()));
    // The other one goes on, also when its first token would be over.
    renewed.silent(Duration::from_millis(1_500)).await;
    renewed.send(&json!({"op": "ping"})).await;
    assert_eq!(renewed.json().await["op"], "pong");
    // And what is over does not get in.
    let late = Client::open(address, "/ws", &[]).await;
    let mut late = late;
    late.send(&json!({"op": "auth", "token": ending(0)})).await;
    late.refused(4401, "unauthorized").await;
    journal.end().await;
}

#[tokio::test]
async fn two_heartbeats_without_a_sign_of_life_are_the_end() {
    let journal = ServedJournal::start(&[("ROWCAST_HEARTBEAT", "500ms")]).await;
    let (mut silent, mut answers, mut talks) =
        (journal.viewer("/ws").await, journal.viewer("/ws").await, journal.viewer("/ws").await);
    for client in [&mut silent, &mut answers, &mut talks] {
        client.op("hello").await;
        client.op("live").await;
    }
    (silent.polite, talks.polite) = (false, false);
    let begun = Instant::now();
    let answers = tokio::spawn(async move {
        answers.silent(Duration::from_millis(2_500)).await;
        answers
    });
    let talks = tokio::spawn(async move {
        for _ in 0..10 {
            talks.silent(Duration::from_millis(250)).await;
            talks.bytes(&frame(PONG, b"")).await;
        }
        talks
    });
    silent.refused(4408, "timeout").await;
    assert!(begun.elapsed() > Duration::from_millis(800));
    in_time(begun, Duration::from_secs(4));
    answers.await.unwrap().leave().await;
    talks.await.unwrap().leave().await;
    journal.end().await;
}

#[tokio::test]
async fn what_is_too_much_or_no_text_is_told_and_closed() {
    let journal = ServedJournal::start(&[]).await;
    let huge = vec![b' '; (64 << 10) + 1];
    let whole = [&b"{\"op\":\"ping\"}"[..], &huge[13..(64 << 10)]].concat();
    let mut client = journal.viewer("/ws").await;
    client.op("hello").await;
    client.op("live").await;
    // As long as it may be.
    client.bytes(&frame(0x81, &whole)).await;
    client.op("pong").await;
    client.leave().await;

    let cases = [
        (frame(0x81, &huge), 1009, "message_too_big"),
        // In pieces, each of which is short enough.
        ([frame(0x01, &huge[..40_000]), frame(0x80, &huge[..40_000])].concat(), 1009, "message_too_big"),
        // Only its head, which says 8 EiB.
        (vec![0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4], 1009, "message_too_big"),
        // All of it is sent, though nobody reads it: the reason must arrive all the same.
        (frame(0x81, &vec![b' '; 2 << 20]), 1009, "message_too_big"),
        (frame(0x82, b"{\"op\":\"ping\"}"), 4400, "bad_request"),
        (frame(0x81, b"{\"op\":\"ping\xff\"}"), 4400, "bad_request"),
        (frame(0x81, b""), 4400, "bad_request"),
        (frame(0xc1, b"{\"op\":\"ping\"}"), 4400, "bad_request"),
        (vec![0x81, 0x02, b'{', b'}'], 4400, "bad_request"),
    ];
    for (bytes, close, code) in cases {
        let mut client = journal.viewer("/ws").await;
        client.op("hello").await;
        client.op("live").await;
        // The server may have heard enough before all is sent.
        let (mut reader, writer) = client.split();
        let send = tokio::spawn(async move {
            let mut writer = writer;
            let _enough = writer.write_all(&bytes).await;
            writer
        });
        reader.refused(close, code).await;
        send.await.unwrap();
    }
    journal.end().await;
}

#[tokio::test]
async fn either_side_closes_cleanly_and_a_broken_connection_harms_nobody() {
    let journal = ServedJournal::start(&[]).await;
    let mut witness = journal.viewer("/ws").await;
    witness.op("hello").await;
    witness.op("live").await;
    for (code, answer) in [(1000, 1000), (1001, 1001), (3000, 3000), (4999, 4999)] {
        let mut client = journal.viewer("/ws").await;
        client.op("hello").await;
        client.op("live").await;
        client.bytes(&frame(CLOSE, &goodbye(code, "why"))).await;
        assert_eq!(client.said().await, ServerMessage::Close(answer, "why".to_owned()));
        assert_eq!(client.said().await, ServerMessage::Gone);
    }
    // In the middle of a backlog that is being sent, and with something behind it.
    journal.append(20_000).await;
    let mut client = journal.viewer("/ws?cursor=0").await;
    client.op("hello").await;
    client.bytes(&[frame(CLOSE, &goodbye(1000, "")), frame(0x81, b"more"), vec![0xff; 3000]].concat()).await;
    let close = loop {
        match client.said().await {
            ServerMessage::Json(said) => assert_ne!(said["op"], "error", "{said}"),
            other => break other,
        }
    };
    assert_eq!(close, ServerMessage::Close(1000, String::new()));
    // Without a code.
    let mut client = journal.viewer("/ws").await;
    client.op("hello").await;
    client.bytes(&frame(CLOSE, b"")).await;
    while matches!(client.said().await, ServerMessage::Json(_)) {}
    // Half of it closed; reset; half a frame; nothing but a head.
    let mut client = journal.viewer("/ws").await;
    client.op("hello").await;
    client.stream.shutdown().await.unwrap();
    while client.said().await != ServerMessage::Gone {}
    let client = journal.viewer("/ws?cursor=0").await;
    client.reset();
    let mut client = journal.viewer("/ws").await;
    client.bytes(&frame(0x81, b"{\"op\":\"ping\"}")[..9]).await;
    drop(client);
    witness.seqs(20_000).await;
    witness.leave().await;
    journal.end().await;
}

/// Reads a session to its end: the frames `drain`, and the code of the close.
async fn drained(mut client: Client) -> (Vec<Value>, u16) {
    let mut drains = Vec::new();
    loop {
        match client.said().await {
            ServerMessage::Json(said) if said["op"] == "drain" => drains.push(said),
            ServerMessage::Json(said) => assert_ne!(said["op"], "error", "{said}"),
            ServerMessage::Close(code, _) => {
                client.bytes(&frame(CLOSE, &goodbye(code, ""))).await;
                assert_eq!(client.said().await, ServerMessage::Gone);
                return (drains, code);
            }
            ServerMessage::Gone => return (drains, 1006),
        }
    }
}

#[tokio::test]
async fn a_shutdown_tells_each_session_when_to_come_back_and_the_process_ends_with_0() {
    let db = migrated_database().await;
    super::append(&db.client().await, 20_000).await;
    let environment = [
        ("DATABASE_URL", db.url.as_str()),
        ("ROWCAST_JWT_SECRET", JWT_SECRET),
        ("ROWCAST_LISTEN", "127.0.0.1:0"),
        ("ROWCAST_DRAIN", "5s"),
        ("ROWCAST_LOG", "warn"),
    ];
    let mut child = binary(&["serve"], &environment).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = tokio::task::spawn_blocking(move || lines.next().unwrap().unwrap()).await.unwrap();
    let address = first.rsplit_once("//").unwrap().1.to_owned();
    let ready = async || crate::support::raw_http::request(&address, "GET", "/health/ready", &[], b"").await;
    until("it is ready", || async { ready().await.status == 200 }).await;

    let viewer = token(Role::Viewer, "vera");
    let mut sessions = Vec::new();
    for number in 0..50 {
        // Every fifth is in the middle of a backlog, and reads it slowly.
        let target = if number % 5 == 0 { "/ws?cursor=0" } else { "/ws" };
        let mut client = Client::with(&address, target, &viewer).await;
        client.op("hello").await;
        sessions.push(client);
    }
    // One has not said who it is.
    let mut unknown = Client::open(&address, "/ws", &[]).await;
    let begun = Instant::now();
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    let ends = join_all(sessions.into_iter().map(drained));
    let unready = until("it says that it drains", || async { ready().await.status == 503 });
    let (ends, ()) = tokio::join!(ends, async {
        unready.await;
        in_time(begun, Duration::from_secs(1));
    });
    assert_eq!(unknown.said().await, ServerMessage::Close(1012, "restart".to_owned()));
    drop(unknown);
    in_time(begun, Duration::from_secs(5));
    let mut pauses = Vec::new();
    for (drains, code) in ends {
        assert_eq!((drains.len(), code), (1, 1012), "{drains:?}");
        assert_eq!(drains[0].as_object().unwrap().len(), 3);
        assert!(drains[0]["cursor"].as_str().unwrap().contains('.'), "{}", drains[0]);
        pauses.push(drains[0]["retry_ms"].as_u64().unwrap());
    }
    assert!(pauses.iter().all(|pause| *pause <= 5_000), "{pauses:?}");
    pauses.sort_unstable();
    pauses.dedup();
    assert!(pauses.len() > 30, "{pauses:?}");
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    in_time(begun, Duration::from_millis(5_500));
    assert!(!text(&output.stderr).contains("took too long"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once_and_each_end_is_logged() {
    let db = migrated_database().await;
    let server = Process::serve(&db.url, &[("ROWCAST_DRAIN", "300s")]).await;
    let bearer = format!("Bearer {}", token(Role::Viewer, "vera"));
    let named = |name: &'static str| {
        [("authorization", bearer.as_str()), ("x-request-id", name)].map(|(a, b)| (a, b.to_owned()))
    };
    let mut clients = Vec::new();
    for name in ["closes", "ends", "breaks", "stays"] {
        let headers = named(name);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut client = Client::open(&server.address, "/ws", &headers).await;
        client.op("hello").await;
        client.op("live").await;
        clients.push(client);
    }
    let mut stays = clients.pop().unwrap();
    clients.pop().unwrap().reset();
    let mut ends = clients.pop().unwrap();
    ends.stream.shutdown().await.unwrap();
    while ends.said().await != ServerMessage::Gone {}
    clients.pop().unwrap().leave().await;
    until("all are counted", || async {
        let page = server.get("/metrics").await.1;
        let counted = |line: &str| page.lines().any(|known| known == line);
        counted("rowcast_sessions_ended_total{code=\"1000\"} 1")
            && counted("rowcast_sessions_ended_total{code=\"1006\"} 2")
    })
    .await;
    server.signal(Signal::SIGTERM);
    let drain = stays.past_heartbeats("drain").await;
    assert!(drain["retry_ms"].as_u64().unwrap() > 0);
    let begun = Instant::now();
    server.signal(Signal::SIGINT);
    let (code, log) = server.ended().await;
    in_time(begun, Duration::from_secs(5));
    assert_eq!(code, Some(130), "{log}");
    assert!(log.contains("SIGINT again"), "{log}");
    for (name, code) in [("closes", 1000), ("ends", 1006), ("breaks", 1006)] {
        let ended =
            |line: &&str| line.contains("a session has ended") && line.contains(&format!("request_id=\"{name}\""));
        let line = log.lines().find(ended).unwrap_or_else(|| panic!("{name} is not in {log}"));
        assert!(line.contains("INFO") && line.contains(&format!("code={code}")), "{line}");
    }
}
