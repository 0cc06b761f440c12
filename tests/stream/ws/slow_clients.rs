//! Clients that read slowly and without pause. They are no stalled ones, whatever lies in the kernels between.
//!
//! Scaled: a stall of one second, and ten times the rates that a stall of ten seconds must bear.

use std::time::{Duration, Instant};

use bytes::Buf;
use nix::sys::signal::Signal;
use rowcast::auth::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::raw_websocket::{CLOSE, Client, PING, PONG, ServerMessage, TEXT, frame};
use super::server_process::Process;
use super::{ServedJournal, settled, token};
use crate::support::migrated_database;

/// How long each reads: several times the stall.
const READS: Duration = Duration::from_secs(6);
const SIPS: u32 = 20;

/// Reads at so many bytes a second, a little at a time, into a buffer. Whether the connection is open still.
async fn sip(stream: &mut TcpStream, into: &mut bytes::BytesMut, rate: usize) -> bool {
    let mut cup = vec![0; rate / usize::try_from(SIPS).unwrap()];
    tokio::time::sleep(Duration::from_secs(1) / SIPS).await;
    match tokio::time::timeout(Duration::from_secs(20), stream.read(&mut cup)).await.expect("nothing comes") {
        Ok(0) | Err(_) => false,
        Ok(read) => {
            into.extend_from_slice(&cup[..read]);
            true
        }
    }
}

/// The next whole frame that was read.
fn taken(client: &mut Client) -> Option<(u8, Vec<u8>)> {
    let short = *client.ahead.get(1)?;
    let (length, at) = match short {
        126 => (usize::from(u16::from_be_bytes(client.ahead.get(2..4)?.try_into().unwrap())), 4),
        127 => (usize::try_from(u64::from_be_bytes(client.ahead.get(2..10)?.try_into().unwrap())).unwrap(), 10),
        short => (usize::from(short), 2),
    };
    let payload = client.ahead.get(at..at + length)?.to_vec();
    let first = client.ahead[0];
    client.ahead.advance(at + length);
    Some((first, payload))
}

/// Follows from the beginning at a rate; every event comes in its order, and the session is not closed.
async fn follow_at(journal: &ServedJournal, rate: usize) {
    let mut client = journal.viewer("/ws?cursor=0").await;
    let (begun, mut last) = (Instant::now(), 0);
    while begun.elapsed() < READS {
        let Client { stream, ahead, .. } = &mut client;
        assert!(sip(stream, ahead, rate).await, "the end after {last} at {rate} bytes a second");
        while let Some((first, payload)) = taken(&mut client) {
            match first {
                PING => client.bytes(&frame(PONG, &payload)).await,
                TEXT => {
                    let said: serde_json::Value = serde_json::from_slice(&payload).unwrap();
                    assert_ne!(said["op"], "error", "{said} at {rate} bytes a second");
                    if said["op"] == "event" {
                        last += 1;
                        assert_eq!(said["event"]["seq"], last);
                    }
                }
                other => assert_ne!(other, CLOSE, "closed after {last} at {rate} bytes a second"),
            }
        }
    }
    assert!(last > 0);
}

#[tokio::test]
async fn whoever_reads_slowly_and_without_pause_is_not_cut_off() {
    let journal = ServedJournal::start(&[("ROWCAST_WRITE_STALL", "1s")]).await;
    // No word begins in them, since a debug build takes its time to look whether a secret does.
    let sql = "insert into rowcast.events (type, payload)
               select 'note.added', jsonb_build_object('x', repeat(' ', 5000)) from generate_series(1, 2400)";
    journal.writer.batch_execute(sql).await.unwrap();
    settled(&journal.server, &journal.writer).await;
    let stream = async {
        let mut tcp = TcpStream::connect(journal.server.address()).await.unwrap();
        let bearer = token(Role::Viewer, "vera");
        let head =
            format!("GET /v1/events/stream?cursor=0 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {bearer}\r\n\r\n");
        tcp.write_all(head.as_bytes()).await.unwrap();
        let (begun, mut text, mut all) = (Instant::now(), bytes::BytesMut::new(), 0);
        // A server that lets the kernel take megabytes finds it full only after some seconds.
        while begun.elapsed() < 2 * READS {
            assert!(sip(&mut tcp, &mut text, 640 << 10).await, "the stream ended after {all} bytes");
            all += text.len();
            text.clear();
        }
        assert!(all > 2 << 20, "{all}");
    };
    tokio::join!(follow_at(&journal, 40 << 10), follow_at(&journal, 100 << 10), stream);
    journal.end().await;
}

#[tokio::test]
async fn a_drain_ends_no_connection_inside_a_frame() {
    let db = migrated_database().await;
    let writer = db.client().await;
    let sql = "insert into rowcast.events (type, payload)
               select 'note.added', jsonb_build_object('x', repeat(' ', 100000)) from generate_series(1, 60)";
    writer.batch_execute(sql).await.unwrap();
    let server = Process::serve(&db.url, &[("ROWCAST_DRAIN", "1s"), ("ROWCAST_LOG", "warn")]).await;
    let viewer = token(Role::Viewer, "vera");
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = Client::with(&server.address, "/ws?cursor=0", &viewer).await;
        client.op("hello").await;
        client.polite = false;
        assert_eq!(client.seqs(1).await, [1]);
        clients.push(client);
    }
    // None of them reads until the server is gone.
    server.signal(Signal::SIGTERM);
    let (code, log) = server.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("took too long"), "{log}");
    for mut client in clients {
        let mut last = 1;
        loop {
            match client.said().await {
                ServerMessage::Json(said) if said["op"] == "event" => {
                    last += 1;
                    assert_eq!(said["event"]["seq"], last);
                }
                ServerMessage::Json(said) if said["op"] == "drain" => {
                    let cursor = said["cursor"].as_str().unwrap();
                    assert_eq!(cursor.split('.').next().unwrap(), last.to_string(), "{cursor}");
                }
                ServerMessage::Json(said) => assert_ne!(said["op"], "error", "{said}"),
                other => {
                    assert_eq!(other, ServerMessage::Close(1012, "restart".to_owned()), "after {last}");
                    break;
                }
            }
        }
        assert!(last < 60, "it was never slow");
        assert_eq!(client.said().await, ServerMessage::Gone);
    }
}
