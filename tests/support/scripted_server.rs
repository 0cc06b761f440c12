//! A WebSocket server that says exactly what a test has it say, and the client's side of the same conversation.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rowcast::client::{Connector, Error, Item, Options, Stream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::PATIENCE;

/// Listens on a port of its own.
#[derive(Debug)]
pub(crate) struct Script {
    listener: TcpListener,
    /// Its URL.
    pub(crate) url: String,
}

/// A client that has asked for an upgrade and has no answer yet.
#[derive(Debug)]
pub(crate) struct Caller {
    socket: TcpStream,
    head: String,
}

/// A client whose session stands.
#[derive(Debug)]
pub(crate) struct Peer {
    socket: WebSocketStream<TcpStream>,
    /// The head of its request.
    pub(crate) head: String,
    events: u64,
    check: u64,
}

impl Script {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, url }
    }

    /// The next request, to be refused or accepted.
    pub(crate) async fn caller(&self) -> Caller {
        let (mut socket, _) = patiently("a client connects", self.listener.accept()).await.unwrap();
        // Or the kernel holds small frames back for some time, which a paused clock would jump over.
        socket.set_nodelay(true).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert!(patiently("a request", socket.read_buf(&mut head)).await.unwrap() > 0, "{head:?}");
        }
        Caller { socket, head: String::from_utf8(head).unwrap() }
    }

    /// The next request, accepted, and greeted with this cursor.
    pub(crate) async fn greet(&self, cursor: &str) -> Peer {
        let mut peer = self.caller().await.accept().await;
        peer.hello(cursor, 15_000).await;
        peer
    }
}

/// Only a failing test waits to the end.
async fn patiently<T>(what: &str, wait: impl Future<Output = T>) -> T {
    // The clock of a paused test jumps, so the patience is that of a thread.
    let (give_up, given_up) = oneshot::channel();
    let what = what.to_owned();
    let patience = std::thread::spawn(move || {
        std::thread::park_timeout(PATIENCE);
        let _done = give_up.send(());
    });
    tokio::select! {
        biased;
        done = wait => { patience.thread().unpark(); done }
        _ = given_up => panic!("in vain: {what}"),
    }
}

impl Caller {
    /// Answers something else than the upgrade.
    pub(crate) async fn refuse(mut self, status: u16, headers: &str, body: &Value) -> String {
        let body = body.to_string();
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        self.socket.write_all(answer.as_bytes()).await.unwrap();
        self.head
    }

    /// The line of the request.
    pub(crate) fn target(&self) -> &str {
        target(&self.head)
    }

    pub(crate) async fn accept(mut self) -> Peer {
        let key = self.header("sec-websocket-key").unwrap().to_owned();
        let accept = derive_accept_key(key.as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        self.socket.write_all(answer.as_bytes()).await.unwrap();
        let socket = WebSocketStream::from_raw_socket(self.socket, Role::Server, None).await;
        Peer { socket, head: self.head, events: 0, check: 0 }
    }

    fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

fn target(head: &str) -> &str {
    head.split(' ').nth(1).unwrap()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().filter_map(|line| line.split_once(": ")).find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// The id of the event with this seq; its last 8 digits are those of the seq in hexadecimal.
pub(crate) fn id(seq: i64) -> String {
    format!("9f3a11c2-6f0e-4a52-8a53-0e5d{seq:08x}")
}

/// The cursor on that event.
pub(crate) fn cursor(seq: i64) -> String {
    if seq == 0 { "0".to_owned() } else { format!("{seq}.{seq:08x}") }
}

/// An event as the interface has it.
pub(crate) fn event(seq: i64) -> Value {
    json!({
        "seq": seq, "id": id(seq), "at": "2026-01-27T10:00:00.123456Z", "type": "note.added", "level": "info",
        "symbol": "BTC-USD", "payload": {"n": seq},
    })
}

impl Peer {
    /// The line of the request.
    pub(crate) fn target(&self) -> &str {
        target(&self.head)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    pub(crate) async fn send(&mut self, frame: Value) {
        self.raw(Message::text(frame.to_string())).await;
    }

    pub(crate) async fn raw(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    pub(crate) async fn hello(&mut self, cursor: &str, heartbeat_ms: u64) {
        (self.events, self.check) = (0, 0);
        self.send(json!({
            "op": "hello", "session": "s1", "cursor": cursor, "head": 100, "oldest": 1, "heartbeat_ms": heartbeat_ms,
            "view": "private",
        }))
        .await;
    }

    pub(crate) async fn event(&mut self, seq: i64) {
        self.tell(seq).await.unwrap();
    }

    /// An event for a client that may be gone.
    pub(crate) async fn tell(&mut self, seq: i64) -> Result<(), tokio_tungstenite::tungstenite::Error> {
        self.count(seq);
        self.socket.send(Message::text(json!({"op": "event", "event": event(seq)}).to_string())).await
    }

    /// Whether the client goes within this time.
    pub(crate) async fn is_gone_within(&mut self, time: Duration) -> bool {
        let gone = async { while let Some(Ok(_)) = self.socket.next().await {} };
        tokio::time::timeout(time, gone).await.is_ok()
    }

    /// Takes an event for sent that is not.
    pub(crate) fn count(&mut self, seq: i64) {
        self.events += 1;
        self.check = (self.check + u64::try_from(seq).unwrap()) % (1 << 32);
    }

    pub(crate) async fn heartbeat(&mut self, at: i64) {
        self.send(json!({
            "op": "heartbeat", "cursor": cursor(at), "head": at, "at": "2026-01-27T10:00:00Z", "events": self.events,
            "check": self.check, "stalled": null,
        }))
        .await;
    }

    pub(crate) async fn live(&mut self, at: i64) {
        self.send(json!({"op": "live", "cursor": cursor(at)})).await;
    }

    /// The `error` frame and the close that follows it.
    pub(crate) async fn end(mut self, close: u16, code: &str) {
        self.send(json!({"op": "error", "code": code, "message": format!("it is {code}"), "oldest": 40})).await;
        self.close(close).await;
    }

    pub(crate) async fn close(mut self, code: u16) {
        self.raw(Message::Close(Some(CloseFrame { code: code.into(), reason: "".into() }))).await;
        while self.heard().await.is_some() {}
    }

    /// The next message of the client; `None` at the end.
    pub(crate) async fn heard(&mut self) -> Option<Message> {
        patiently("the client says something", self.socket.next()).await.and_then(Result::ok)
    }

    /// The next text of the client.
    pub(crate) async fn heard_text(&mut self) -> Value {
        loop {
            match self.heard().await {
                Some(Message::Text(text)) => return serde_json::from_str(&text).unwrap(),
                Some(_) => {}
                None => panic!("the client is gone"),
            }
        }
    }
}

/// A stream that is followed on the side, so that a test reads like the conversation.
#[derive(Debug)]
pub(crate) struct Follower {
    items: mpsc::UnboundedReceiver<Result<Item, Error>>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Stream>,
}

impl Follower {
    pub(crate) fn start(url: &str, options: Options) -> Self {
        let mut stream = Stream::new(Connector::new(url.parse().unwrap(), None).unwrap(), options);
        let (sender, items) = mpsc::unbounded_channel();
        let (stop, mut stopped) = oneshot::channel();
        let running = tokio::spawn(async move {
            loop {
                let item = tokio::select! {
                    item = stream.next() => item,
                    _ = &mut stopped => return stream,
                };
                let ended = item.is_err();
                if sender.send(item).is_err() || ended {
                    return stream;
                }
            }
        });
        Self { items, stop: Some(stop), running }
    }

    pub(crate) async fn next(&mut self) -> Result<Item, Error> {
        patiently("an item", self.items.recv()).await.unwrap()
    }

    /// The next item, which must be an event: its seq.
    pub(crate) async fn event(&mut self) -> i64 {
        match self.next().await {
            Ok(Item::Event(event)) => event.seq,
            other => panic!("no event but {other:?}"),
        }
    }

    /// The next item, which must be a loss.
    pub(crate) async fn loss(&mut self) -> (Error, Duration) {
        match self.next().await {
            Ok(Item::Lost { why, retry_in }) => (why, retry_in),
            other => panic!("no loss but {other:?}"),
        }
    }

    /// Stops following, and hands the stream back.
    pub(crate) async fn stop(mut self) -> Stream {
        drop(self.stop.take());
        self.running.await.unwrap()
    }
}
