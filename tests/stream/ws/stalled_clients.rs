//! A client that takes nothing for a while: it is told, loses nothing, and costs nothing.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use rowcast::auth::Role;

use super::raw_websocket::{Client, PING, PONG, ServerMessage, frame};
use super::{ServedJournal, settled, token};
use crate::support::{JWT_SECRET, binary, migrated_database, until};

const LIMIT: (&str, &str) = ("ROWCAST_WRITE_STALL", "200ms");

/// Rows of about 100 KB each.
const LARGE: &str = "insert into rowcast.events (type, payload)
                     select 'note.added', jsonb_build_object('x', repeat('y', 100000)) from generate_series(1, $1::bigint)";

async fn stalled(address: &str) -> f64 {
    let page = crate::support::raw_http::request(address, "GET", "/metrics", &[], b"").await.body;
    let line = page.lines().find(|line| line.starts_with("rowcast_") && line.contains("4409"));
    line.and_then(|line| line.rsplit_once(' ')).map_or(0.0, |(_, value)| value.parse().unwrap())
}

/// Reads to the end of a session that stalled: all events are whole and in order, and then stands why it ended.
async fn rest(client: &mut Client) -> i64 {
    let mut last = 0;
    loop {
        match client.said().await {
            ServerMessage::Json(said) if said["op"] == "event" => {
                let seq = said["event"]["seq"].as_i64().unwrap();
                assert_eq!((seq, said["event"]["payload"]["x"].as_str().unwrap().len()), (last + 1, 100_000));
                last = seq;
            }
            ServerMessage::Json(said) if said["op"] == "error" => {
                assert_eq!(said["code"], "stalled");
                break;
            }
            ServerMessage::Json(_) => {}
            other => panic!("{other:?} without a reason, after {last}"),
        }
    }
    assert_eq!(client.said().await, ServerMessage::Close(4409, "stalled".to_owned()));
    last
}

#[tokio::test]
async fn a_client_that_stalls_finds_the_reason_behind_whole_events_and_goes_on_with_its_cursor() {
    let journal = ServedJournal::start(&[LIMIT, ("ROWCAST_HEARTBEAT", "100ms")]).await;
    journal.writer.execute(LARGE, &[&400_i64]).await.unwrap();
    settled(&journal.server, &journal.writer).await;
    let mut client = journal.viewer("/ws?cursor=0").await;
    client.op("hello").await;
    until("it is counted", || async { stalled(journal.server.address()).await > 0.0 }).await;
    // It answers the pings that lie between the events, which must not cost it the rest.
    client.polite = true;
    let last = rest(&mut client).await;
    assert!(last < 400, "{last}");
    let mut client = journal.viewer(&format!("/ws?cursor={}", journal.cursor(last).await)).await;
    client.op("hello").await;
    assert_eq!(client.seqs(usize::try_from(400 - last).unwrap()).await, (last + 1..=400).collect::<Vec<_>>());
    client.leave().await;
    journal.end().await;
}

#[tokio::test]
async fn a_slow_client_is_no_stalled_one() {
    let journal = ServedJournal::start(&[("ROWCAST_WRITE_STALL", "2s")]).await;
    journal.writer.execute(LARGE, &[&40_i64]).await.unwrap();
    settled(&journal.server, &journal.writer).await;
    let mut client = journal.viewer("/ws?cursor=0").await;
    client.op("hello").await;
    for seq in 1..=40 {
        tokio::time::sleep(Duration::from_millis(40)).await;
        assert_eq!(client.seqs(1).await, [seq]);
    }
    client.past_heartbeats("live").await;
    client.leave().await;
    journal.end().await;
}

fn resident_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Ends a process when the test ends, however it does.
struct Child(std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Rows of about 4 KB each, so that a page is 2 MB: what pages take must not be mistaken for what a session keeps. No word
/// begins in them, since a debug build takes its time to look whether a secret does.
const SMALL: &str = "insert into rowcast.events (type, payload)
                     select 'note.added', jsonb_build_object('x', repeat(' ', 4000)) from generate_series(1, $1::bigint)";
/// So many of them fill all pages: 20 MB.
const FEW: i64 = 5_000;
/// So many of them are 60 MB.
const MANY: i64 = 15_000;

/// The seqs of the next so many events. Only the beginning of each is read: the text of so many megabytes would take this
/// test a while. Pings are answered.
async fn skim(client: &mut Client, many: i64) -> Vec<i64> {
    let mut seqs = Vec::new();
    while seqs.len() < usize::try_from(many).unwrap() {
        match client.frame().await.expect("the session goes on") {
            (PING, _) => client.bytes(&frame(PONG, b"")).await,
            (_, text) => {
                let begin = String::from_utf8_lossy(&text[..text.len().min(60)]).into_owned();
                let Some((_, rest)) = begin.split_once(r#""event":{"seq":"#) else { continue };
                assert!(text.len() > 4_000, "{}", text.len());
                seqs.push(rest.split_once(',').unwrap().0.parse().unwrap());
            }
        }
    }
    seqs
}

/// Appends them piece by piece, each when the reader has the one before.
async fn follow(reader: &mut Client, writer: &tokio_postgres::Client, many: i64) {
    const PIECE: i64 = 1_000;
    for _ in 0..many / PIECE {
        writer.execute(SMALL, &[&PIECE]).await.unwrap();
        skim(reader, PIECE).await;
    }
}

#[tokio::test]
#[ignore = "eighty megabytes take a debug build half a minute or more: run it with --release"]
async fn a_client_that_takes_nothing_of_sixty_megabytes_costs_no_memory_and_has_all_of_them_when_it_reads_on() {
    let db = migrated_database().await;
    let environment = [
        ("DATABASE_URL", db.url.as_str()),
        ("ROWCAST_JWT_SECRET", JWT_SECRET),
        ("ROWCAST_LISTEN", "127.0.0.1:0"),
        ("ROWCAST_PAGE_CACHE", "8MB"),
        ("ROWCAST_WRITE_STALL", "60s"),
        ("ROWCAST_LOG", "warn"),
    ];
    let mut child = Child(binary(&["serve"], &environment).stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let first = tokio::task::spawn_blocking(move || lines.next().unwrap().unwrap()).await.unwrap();
    let address = first.rsplit_once("//").unwrap().1;
    until("it is ready", || async {
        crate::support::raw_http::request(address, "GET", "/health/ready", &[], b"").await.status == 200
    })
    .await;
    let viewer = token(Role::Viewer, "vera");
    let writer = db.client().await;
    let mut reader = Client::with(address, "/ws", &viewer).await;
    reader.op("hello").await;
    reader.op("live").await;
    // First without the one that takes nothing: whatever the pages and the allocator take, they take it here.
    follow(&mut reader, &writer, FEW).await;
    let before = resident_kb(child.0.id());
    let mut sleeper = Client::with(address, "/ws", &viewer).await;
    sleeper.op("hello").await;
    sleeper.op("live").await;
    follow(&mut reader, &writer, MANY).await;
    let after = resident_kb(child.0.id());
    assert!(after < before + 8_000, "{before} kB have become {after} kB");
    reader.leave().await;

    // It reads on, is cut off in the middle, and resumes.
    let half = FEW + MANY / 2;
    assert_eq!(skim(&mut sleeper, MANY / 2).await, (FEW + 1..=half).collect::<Vec<_>>());
    sleeper.reset();
    let mut again = Client::with(address, &format!("/ws?cursor={half}"), &viewer).await;
    again.op("hello").await;
    assert_eq!(skim(&mut again, FEW + MANY - half).await, (half + 1..=FEW + MANY).collect::<Vec<_>>());
    again.past_heartbeats("live").await;
}
