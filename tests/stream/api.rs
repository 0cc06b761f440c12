//! The doors for events: `/v1/events`, `/v1/events/stream`, `/v1/me`.

mod cut_streams;
mod event_stream;
mod get_events;
mod lanes;
mod long_polls;
mod post_events;
mod refused_bodies;
mod repeated_requests;
mod synced_pages;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use rowcast::auth::Role;
use rowcast::auth::token::Mint;
use rowcast::clock::Clock;
use rowcast::config::Secret;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::Client;

use crate::support::raw_http::Answer;
use crate::support::{JWT_SECRET, PATIENCE, TestDb, TestServer, migrated_database, until};

/// A token of an hour, as the `Authorization` header carries it.
fn bearer(role: Role, subject: &str) -> String {
    bearer_until(role, subject, SystemTime::now() + Duration::from_secs(3600))
}

/// A token that was minted long ago and expires then.
fn bearer_until(role: Role, subject: &str, expires: SystemTime) -> String {
    let ttl = Duration::from_secs(7200);
    let mint = Mint { subject, role, ttl, issuer: None, audience: None };
    let token = mint.sign(&Secret::new(JWT_SECRET), &Clock::fixed(expires - ttl)).unwrap();
    format!("Bearer {}", token.expose())
}

/// A server that is ready, and its database.
struct Api {
    server: TestServer,
    db: TestDb,
    sql: Client,
}

impl Api {
    async fn start(more: &[(&str, &str)]) -> Self {
        let db = migrated_database().await;
        let server = TestServer::ready(&db.url, more).await;
        let sql = db.client().await;
        Self { server, db, sql }
    }

    fn address(&self) -> &str {
        self.server.address()
    }

    async fn get(&self, who: &str, path: &str) -> Answer {
        send(self.address(), "GET", path, &[("authorization", who)], b"").await
    }

    async fn post(&self, who: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
        let mut all = vec![("authorization", who)];
        all.extend_from_slice(headers);
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            all.push(("content-type", "application/json"));
        }
        send(self.address(), "POST", "/v1/events", &all, body.as_ref()).await
    }

    async fn number(&self, sql: &str) -> i64 {
        self.sql.query_one(sql, &[]).await.unwrap().get(0)
    }

    async fn count(&self) -> i64 {
        self.number("select count(*) from rowcast.events").await
    }

    /// The seqs of the events that meet a condition, in order.
    async fn seqs(&self, condition: &str) -> Vec<i64> {
        let sql = format!("select seq from rowcast.events where {condition} order by seq");
        self.sql.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    /// Inserts by plain SQL, and waits until the server has decided all of it.
    async fn insert(&self, statements: &str) {
        self.sql.batch_execute(statements).await.unwrap();
        self.settle().await;
    }

    /// Waits until the server has decided everything that there is.
    async fn settle(&self) {
        let newest = self.number("select coalesce(max(seq), 0) from rowcast.events").await;
        let admin = bearer(Role::Admin, "root");
        until("the head is there", || async { self.get(&admin, "/v1/events").await.json()["head"] == newest }).await;
    }

    async fn stop(self) {
        self.server.stop().await.unwrap();
    }
}

/// The seqs of an answer's events.
fn seqs_of(answer: &Answer) -> Vec<i64> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["events"].as_array().unwrap().iter().map(|event| event["seq"].as_i64().unwrap()).collect()
}

fn code_of(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned())
}

fn head_of(method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: rowcast.test\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head
}

/// One request on a connection of its own, and all that is answered until the server closes.
async fn send(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut head = head_of(method, path, headers) + "connection: close\r\n";
    if method == "POST" {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    let _refused_early = stream.write_all(body).await;
    everything(stream).await
}

/// What comes until the server closes, as one answer.
async fn everything(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let _reset = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Answer { status: 0, headers: HashMap::new(), body: text };
    };
    let (status, headers) = parse_head(head);
    Answer { status, headers, body: body.to_owned() }
}

fn parse_head(head: &str) -> (u16, HashMap<String, String>) {
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let pairs = lines.filter_map(|line| line.split_once(':'));
    (status, pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect())
}

/// One block of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Block {
    id: Option<String>,
    event: Option<String>,
    data: Option<String>,
    retry: Option<u64>,
    comment: Option<String>,
}

impl Block {
    fn parse(text: &str) -> Self {
        let mut block = Self::default();
        for line in text.lines() {
            let (name, value) = line.split_once(':').unwrap();
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            match name {
                "" => block.comment = Some(value),
                "id" => block.id = Some(value),
                "event" => block.event = Some(value),
                "data" => block.data = Some(value),
                "retry" => block.retry = Some(value.parse().unwrap()),
                other => panic!("{other} is no field of a stream: {text}"),
            }
        }
        block
    }

    fn json(&self) -> Value {
        serde_json::from_str(self.data.as_ref().unwrap()).unwrap()
    }

    /// Its seq, if it is an event of the journal. The id is the cursor of that event.
    fn seq(&self) -> Option<i64> {
        let event = self.data.as_ref().filter(|_| self.event.is_none()).map(|_| self.json())?;
        let (seq, id) = (event["seq"].as_i64().unwrap(), event["id"].as_str().unwrap());
        assert_eq!(self.id.as_deref(), Some(format!("{seq}.{}", &id[id.len() - 8..]).as_str()));
        Some(seq)
    }

    fn is_comment(&self, word: &str) -> bool {
        self.comment.as_deref() == Some(word)
    }
}

/// A client of a stream.
struct Stream {
    tcp: TcpStream,
    raw: Vec<u8>,
    text: Vec<u8>,
    chunked: bool,
    over: bool,
    headers: HashMap<String, String>,
}

impl Stream {
    /// Opens a stream, or says what was answered instead.
    async fn open(address: &str, path: &str, headers: &[(&str, &str)]) -> Result<Self, Answer> {
        Self::begin(address, head_of("GET", path, headers) + "\r\n").await
    }

    async fn begin(address: &str, head: String) -> Result<Self, Answer> {
        // A small window, so that what is not read stays with the server.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 << 10).unwrap();
        let mut tcp = socket.connect(address.parse().unwrap()).await.unwrap();
        tcp.write_all(head.as_bytes()).await.unwrap();
        let mut raw = Vec::new();
        let end = loop {
            if let Some(at) = raw.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            assert!(read_more(&mut tcp, &mut raw).await, "no answer");
        };
        let rest = raw.split_off(end + 4);
        let (status, headers) = parse_head(std::str::from_utf8(&raw).unwrap());
        if status != 200 {
            let length: usize = headers["content-length"].parse().unwrap();
            let mut body = rest;
            while body.len() < length {
                assert!(read_more(&mut tcp, &mut body).await, "half an answer");
            }
            return Err(Answer { status, headers, body: String::from_utf8(body).unwrap() });
        }
        let chunked = headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked");
        let mut stream = Self { tcp, raw: rest, text: Vec::new(), chunked, over: false, headers };
        stream.unwrap_chunks();
        Ok(stream)
    }

    /// The next block; none at the end.
    async fn next(&mut self) -> Option<Block> {
        loop {
            if let Some(at) = self.text.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..at + 2).collect();
                return Some(Block::parse(std::str::from_utf8(&block[..at]).unwrap()));
            }
            if self.over || !read_more(&mut self.tcp, &mut self.raw).await {
                return None;
            }
            self.unwrap_chunks();
        }
    }

    /// Goes on to this comment, and tells the seqs of the events on the way.
    async fn upto(&mut self, word: &str) -> Vec<i64> {
        let mut seqs = Vec::new();
        loop {
            let block = self.next().await.unwrap_or_else(|| panic!("the stream ended before {word}"));
            if block.is_comment(word) {
                return seqs;
            }
            seqs.extend(block.seq());
        }
    }

    /// The next event, past comments.
    async fn event(&mut self) -> Block {
        loop {
            let block = self.next().await.expect("the stream ended");
            if block.data.is_some() {
                return block;
            }
        }
    }

    fn unwrap_chunks(&mut self) {
        if !self.chunked {
            self.text.append(&mut self.raw);
            return;
        }
        while let Some(line) = self.raw.windows(2).position(|two| two == b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&self.raw[..line]).unwrap(), 16).unwrap();
            if self.raw.len() < line + 2 + size + 2 {
                return;
            }
            self.over |= size == 0;
            self.text.extend_from_slice(&self.raw[line + 2..line + 2 + size]);
            self.raw.drain(..line + 2 + size + 2);
        }
    }
}

/// Whether there was more.
async fn read_more(tcp: &mut TcpStream, into: &mut Vec<u8>) -> bool {
    let mut chunk = vec![0; 64 << 10];
    match tokio::time::timeout(PATIENCE, tcp.read(&mut chunk)).await.expect("nothing came") {
        Ok(0) | Err(_) => false,
        Ok(n) => {
            into.extend_from_slice(&chunk[..n]);
            true
        }
    }
}

const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

fn engine() -> String {
    bearer(Role::Engine, "engine-1")
}

fn viewer() -> String {
    bearer(Role::Viewer, "v")
}
