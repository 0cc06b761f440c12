//! A WebSocket client that sends the bytes it is told to, and takes nothing for granted of what comes.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::PATIENCE;

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

/// A key, and what belongs to it (RFC 6455, 1.3).
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// One side of a connection.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
    /// What has come and is not read yet.
    pub(crate) ahead: BytesMut,
    /// The head of the answer.
    pub(crate) head: String,
    /// Whether pings are answered.
    pub(crate) polite: bool,
}

/// What a server says.
#[derive(Debug, PartialEq)]
pub(crate) enum ServerMessage {
    Json(Value),
    /// Its code and reason; 1005 for none.
    Close(u16, String),
    /// The end of the connection.
    Gone,
}

/// The head of an upgrade.
pub(crate) fn head(target: &str, more: &[(&str, &str)]) -> String {
    let mut head = format!(
        "GET {target} HTTP/1.1\r\nhost: rowcast.test\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n"
    );
    for (name, value) in more {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}

/// A frame of a client, masked.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
        middle @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(middle).unwrap().to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend(u64::try_from(long).unwrap().to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The payload of a close.
pub(crate) fn goodbye(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

impl Client {
    /// Asks for an upgrade, which must be granted.
    pub(crate) async fn open(address: &str, target: &str, more: &[(&str, &str)]) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap(), head(target, more).as_bytes()).await
    }

    /// With a token in the header.
    pub(crate) async fn with(address: &str, target: &str, token: &str) -> Self {
        Self::open(address, target, &[("authorization", &format!("Bearer {token}"))]).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Sends these bytes over a connection and reads the answer, which must be an upgrade.
    pub(crate) async fn over(mut stream: S, bytes: &[u8]) -> Self {
        stream.write_all(bytes).await.unwrap();
        let mut client = Self { stream, ahead: BytesMut::new(), head: String::new(), polite: true };
        let end = loop {
            if let Some(at) = client.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(client.read().await, "no answer: {:?}", String::from_utf8_lossy(&client.ahead));
        };
        let rest = client.ahead.split_off(end);
        client.head = String::from_utf8(std::mem::replace(&mut client.ahead, rest).to_vec()).unwrap();
        assert!(client.head.starts_with("HTTP/1.1 101 "), "{}", client.head);
        client
    }

    /// A header of the answer.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let value = found.next();
        assert_eq!(found.next(), None, "{}", self.head);
        value
    }

    /// Whether something came.
    pub(crate) async fn read(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.ahead)).await;
        let read = read.expect("in vain: a word of the server").unwrap_or(0);
        read > 0
    }

    /// The next frame: its first byte and its payload. The server neither masks nor fragments.
    pub(crate) async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((length, at)) = measure(&self.ahead)
                && self.ahead.len() >= at + length
            {
                let payload = self.ahead[at..at + length].to_vec();
                let first = self.ahead[0];
                assert!(matches!(first, TEXT | 0x82 | CLOSE | PING | PONG), "{first:x}");
                self.ahead.advance(at + length);
                return Some((first, payload));
            }
            if !self.read().await {
                assert!(self.ahead.is_empty(), "half a frame at the end: {} bytes", self.ahead.len());
                return None;
            }
        }
    }

    /// The next thing that is neither ping nor pong, nor the word that a token is waited for.
    pub(crate) async fn said(&mut self) -> ServerMessage {
        loop {
            match self.frame().await {
                None => return ServerMessage::Gone,
                Some((TEXT, text)) if text.starts_with(br#"{"op":"auth_required""#) => {}
                Some((TEXT, text)) => return ServerMessage::Json(serde_json::from_slice(&text).unwrap()),
                Some((CLOSE, bytes)) if bytes.is_empty() => return ServerMessage::Close(1005, String::new()),
                Some((CLOSE, bytes)) => {
                    let reason = String::from_utf8(bytes[2..].to_vec()).unwrap();
                    return ServerMessage::Close(u16::from_be_bytes([bytes[0], bytes[1]]), reason);
                }
                Some((PING, bytes)) if self.polite => {
                    // The server may be on its way out.
                    let _gone = self.stream.write_all(&frame(PONG, &bytes)).await;
                }
                Some(_) => {}
            }
        }
    }

    /// The next text.
    pub(crate) async fn json(&mut self) -> Value {
        match self.said().await {
            ServerMessage::Json(value) => value,
            other => panic!("no text but {other:?}"),
        }
    }

    /// The next text, which must have this `op`.
    pub(crate) async fn op(&mut self, op: &str) -> Value {
        let said = self.json().await;
        assert_eq!(said["op"], op, "{said}");
        said
    }

    /// The next text of this `op`; heartbeats on the way are passed over.
    pub(crate) async fn past_heartbeats(&mut self, op: &str) -> Value {
        loop {
            let said = self.json().await;
            if said["op"] != "heartbeat" {
                assert_eq!(said["op"], op, "{said}");
                return said;
            }
        }
    }

    /// The seqs of the next so many events.
    pub(crate) async fn seqs(&mut self, many: usize) -> Vec<i64> {
        let mut seqs = Vec::with_capacity(many);
        while seqs.len() < many {
            seqs.push(self.past_heartbeats("event").await["event"]["seq"].as_i64().unwrap());
        }
        seqs
    }

    /// The `error` frame, the close that follows with the same reason, and the end. Returns the frame.
    pub(crate) async fn refused(&mut self, close: u16, code: &str) -> Value {
        let error = self.past_heartbeats("error").await;
        assert_eq!(error["code"], code, "{error}");
        assert!(error["message"].as_str().unwrap().len() > 10, "{error}");
        assert_eq!(self.said().await, ServerMessage::Close(close, code.to_owned()));
        let _gone = self.stream.write_all(&frame(CLOSE, &goodbye(close, ""))).await;
        assert_eq!(self.said().await, ServerMessage::Gone);
        error
    }

    pub(crate) async fn bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.text(&message.to_string()).await;
    }

    pub(crate) async fn text(&mut self, text: &str) {
        self.bytes(&frame(TEXT, text.as_bytes())).await;
    }

    /// A clean end from this side.
    pub(crate) async fn leave(mut self) {
        self.bytes(&frame(CLOSE, &goodbye(1000, "bye"))).await;
        loop {
            match self.said().await {
                ServerMessage::Json(_) => {}
                ServerMessage::Close(code, _) => break assert_eq!(code, 1000),
                ServerMessage::Gone => panic!("no answer to the close"),
            }
        }
        assert_eq!(self.said().await, ServerMessage::Gone);
    }

    /// Nothing but control frames and heartbeats for a while.
    pub(crate) async fn silent(&mut self, time: Duration) {
        let heard = tokio::time::timeout(time, self.past_heartbeats("nothing")).await;
        assert!(heard.is_err(), "{heard:?}");
    }
}

/// Length of the payload, and where it begins.
fn measure(bytes: &[u8]) -> Option<(usize, usize)> {
    let short = *bytes.get(1)?;
    assert_eq!(short & 0x80, 0, "a server does not mask");
    Some(match short {
        126 => (u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()).into(), 4),
        127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap())).unwrap(), 10),
        short => (short.into(), 2),
    })
}

impl Client {
    /// To read while something is written.
    pub(crate) fn split(self) -> (Client<Halves>, tokio::net::tcp::OwnedWriteHalf) {
        let (reader, writer) = self.stream.into_split();
        let stream = tokio::io::join(reader, tokio::io::sink());
        (Client { stream, ahead: self.ahead, head: self.head, polite: self.polite }, writer)
    }

    /// Ends the connection as a program does that crashes with something unread.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// What is read is the connection; what is written goes nowhere.
pub(crate) type Halves = tokio::io::Join<tokio::net::tcp::OwnedReadHalf, tokio::io::Sink>;
