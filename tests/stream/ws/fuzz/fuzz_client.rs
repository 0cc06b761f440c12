//! One client of the fuzz: how it comes, what it sends in which pieces, and how it goes.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::raw_websocket::{CLOSE, Client, frame, goodbye, head};
use super::noise::{Dice, Words};
use super::protocol_check::Heard;

/// One client, made from a number.
pub(super) struct Case {
    head: String,
    /// What is written at once.
    pieces: Vec<Vec<u8>>,
    goes: Goes,
}

/// How it ends.
#[derive(Debug, Clone, Copy)]
enum Goes {
    /// With a close, reading to the end.
    Cleanly,
    /// It says nothing more, and reads to the end.
    Silently,
    /// It is gone, with whatever was not read.
    Away,
    /// The same, as a program that crashes.
    Crashed,
}

impl Case {
    pub(super) fn new(number: u64, tokens: &[String], cursors: &[String]) -> Self {
        let mut dice = Dice::new(number);
        let words = Words { tokens, cursors };
        let target = words.target(&mut dice);
        let token = dice.pick(tokens).clone();
        let bearer = format!("Bearer {token}");
        let head = match dice.roll(5) {
            0 => head(&target, &[]),
            1 => head(&target, &[("sec-websocket-protocol", &format!("rowcast.v1, bearer.{token}"))]),
            _ => head(&target, &[("authorization", &bearer)]),
        };
        let mut bytes = Vec::new();
        // Most say who they are where they have not done so yet; a second time it does no harm.
        if dice.roll(2) == 0 {
            bytes.extend(frame(0x81, words.auth(&mut dice).as_bytes()));
        }
        for _ in 0..dice.roll(8) {
            words.act(&mut dice, &mut bytes);
        }
        let goes = *dice.pick(&[Goes::Cleanly, Goes::Cleanly, Goes::Silently, Goes::Away, Goes::Crashed]);
        if matches!(goes, Goes::Cleanly) {
            bytes.extend(frame(CLOSE, &goodbye(1000, "bye")));
        }
        Self { head, pieces: pieces(&mut dice, &bytes), goes }
    }

    /// Comes, says all of it, hears all of it, and goes.
    pub(super) async fn run(self, address: &str) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(self.head.as_bytes()).await.unwrap();
        let Some(client) = upgraded(stream).await else { return };
        match self.goes {
            Goes::Away | Goes::Crashed => {
                let mut client = client;
                for piece in &self.pieces {
                    if client.stream.write_all(piece).await.is_err() {
                        break;
                    }
                }
                if matches!(self.goes, Goes::Crashed) {
                    client.reset();
                }
            }
            Goes::Cleanly | Goes::Silently => {
                let (mut client, mut writer) = client.split();
                let write = async {
                    for piece in &self.pieces {
                        // The server may have ended it.
                        if writer.write_all(piece).await.is_err() {
                            break;
                        }
                        tokio::task::yield_now().await;
                    }
                    let _gone = writer.shutdown().await;
                };
                let read = async {
                    let mut heard = Heard::default();
                    while !heard.take(&client.said().await) {}
                };
                tokio::join!(write, read);
            }
        }
    }
}

/// Cut anywhere.
fn pieces(dice: &mut Dice, mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let longest = *dice.pick(&[3, 50, 5000, 100_000]);
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        // Not too many of them.
        let longest = if pieces.len() > 100 { 100_000 } else { longest };
        let (piece, rest) = bytes.split_at((1 + dice.roll(longest)).min(bytes.len()));
        pieces.push(piece.to_vec());
        bytes = rest;
    }
    pieces
}

/// The client, if the server has let it in; if not, it was told why.
async fn upgraded(mut stream: TcpStream) -> Option<Client> {
    let mut ahead = BytesMut::new();
    let end = loop {
        if let Some(at) = ahead.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        let read = tokio::time::timeout(Duration::from_secs(30), stream.read_buf(&mut ahead)).await.unwrap().unwrap();
        assert!(read > 0, "no answer to an upgrade");
    };
    let rest = ahead.split_off(end);
    let head = String::from_utf8(ahead.to_vec()).unwrap();
    let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(matches!(status, 101 | 400 | 401 | 403), "{head}");
    (status == 101).then_some(Client { stream, ahead: rest, head, polite: false })
}
