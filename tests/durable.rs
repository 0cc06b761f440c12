//! The read side of the Durable Streams protocol: `/v1/stream/…` and `/public/v1/stream/…`.

mod caching;
mod catching_up;
mod offsets;
mod proxied;

mod server_sent;
mod table_streams;
mod waiting;

use std::time::Duration;

use rowcast::auth::Role;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::Client;

use crate::stream::ws::token;
use crate::support::raw_http::{Answer, request};
use crate::support::{PATIENCE, TestDb, TestServer, migrated_database, until};

const EVENTS: &str = "/v1/stream/events";
const PUBLIC_EVENTS: &str = "/public/v1/stream/events";

/// A server over a database of its own.
struct Durable {
    server: TestServer,
    sql: Client,
    // Dropped last, when nobody uses it any more.
    db: TestDb,
}

/// A stream read to its end.
#[derive(Debug, Default)]
struct Reading {
    messages: Vec<Value>,
    /// The offsets that were told, in order.
    offsets: Vec<String>,
    /// The bodies of the answers.
    bodies: Vec<String>,
}

impl Reading {
    fn last(&self) -> &str {
        self.offsets.last().unwrap()
    }

    fn seqs(&self) -> Vec<i64> {
        self.messages.iter().map(|event| event["seq"].as_i64().unwrap()).collect()
    }
}

impl Durable {
    async fn start(sql: &str, settings: &[(&str, &str)]) -> Self {
        let db = migrated_database().await;
        let client = db.client().await;
        client.batch_execute(sql).await.unwrap();
        let server = TestServer::ready(&db.url, settings).await;
        let durable = Self { server, sql: client, db };
        durable.settle().await;
        durable
    }

    async fn run(&self, sql: &str) {
        self.sql.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        self.settle().await;
    }

    /// Waits until the server has decided everything that there is.
    async fn settle(&self) {
        let newest: i64 =
            self.sql.query_one("select coalesce(max(seq), 0) from rowcast.events", &[]).await.unwrap().get(0);
        until("the head is there", || async { self.admin("/v1/events").await.json()["head"] == newest }).await;
    }

    async fn admin(&self, path: &str) -> Answer {
        get(&self.server, Some((Role::Admin, "root")), path).await
    }

    async fn public(&self, path: &str) -> Answer {
        get(&self.server, None, path).await
    }

    /// The seqs of the events that meet a condition.
    async fn seqs(&self, condition: &str) -> Vec<i64> {
        let sql = format!("select seq from rowcast.events where {condition} order by seq");
        self.sql.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    async fn end(self) {
        self.server.stop().await.unwrap();
        drop(self.db);
    }
}

/// A GET as this role and subject, or as nobody in particular.
async fn get(server: &TestServer, who: Option<(Role, &str)>, path: &str) -> Answer {
    get_with(server, who, path, &[]).await
}

async fn get_with(server: &TestServer, who: Option<(Role, &str)>, path: &str, more: &[(&str, &str)]) -> Answer {
    let bearer = who.map(|(role, subject)| format!("Bearer {}", token(role, subject)));
    let mut headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    headers.extend_from_slice(more);
    request(server.address(), "GET", path, &headers, b"").await
}

/// The address with an offset as a further parameter.
fn at(path: &str, offset: &str) -> String {
    format!("{path}{}offset={offset}", if path.contains('?') { '&' } else { '?' })
}

/// Reads a stream from an offset to its end, without a wait.
async fn read_to_end(server: &TestServer, who: Option<(Role, &str)>, path: &str, from: &str) -> Reading {
    let (mut reading, mut offset) = (Reading::default(), from.to_owned());
    loop {
        let answer = get(server, who, &at(path, &offset)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/json");
        reading.messages.extend(answer.json().as_array().unwrap().iter().cloned());
        offset = next_offset(&answer);
        reading.offsets.push(offset.clone());
        reading.bodies.push(answer.body);
        if answer.headers.contains_key("stream-up-to-date") {
            return reading;
        }
    }
}

fn next_offset(answer: &Answer) -> String {
    answer.headers.get("stream-next-offset").unwrap_or_else(|| panic!("{answer:?}")).clone()
}

fn code_of(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned())
}

/// A stream of server-sent events.
struct Sse {
    stream: TcpStream,
    /// The bytes that were not taken out of their chunks yet.
    bytes: Vec<u8>,
    text: String,
}

impl Sse {
    async fn open(server: &TestServer, who: Option<(Role, &str)>, path: &str) -> Self {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let bearer = who.map(|(role, subject)| format!("authorization: Bearer {}\r\n", token(role, subject)));
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{}\r\n", bearer.unwrap_or_default());
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut sse = Self { stream, bytes: Vec::new(), text: String::new() };
        let end = loop {
            if let Some(end) = sse.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(sse.read().await, "no head");
        };
        let head: Vec<u8> = sse.bytes.drain(..end).collect();
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
        sse
    }

    /// Reads more bytes; false at the end.
    async fn read(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.bytes)).await.unwrap();
        read.is_ok_and(|length| length > 0)
    }

    /// The content of the next chunk; false at the end.
    async fn chunk(&mut self) -> bool {
        loop {
            if let Some(line) = self.bytes.windows(2).position(|two| two == b"\r\n") {
                let length = usize::from_str_radix(std::str::from_utf8(&self.bytes[..line]).unwrap(), 16).unwrap();
                let (begin, end) = (line + 2, line + 2 + length);
                if length == 0 {
                    return false;
                }
                if self.bytes.len() >= end + 2 {
                    self.text.push_str(std::str::from_utf8(&self.bytes[begin..end]).unwrap());
                    self.bytes.drain(..end + 2);
                    return true;
                }
            }
            if !self.read().await {
                return false;
            }
        }
    }

    /// The text up to this end, without it; none if the stream ends before.
    async fn block(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once(end) {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            if !self.chunk().await {
                return None;
            }
        }
    }

    /// The name and the data of the next event. Comments are passed over.
    async fn event(&mut self) -> Option<(String, Value)> {
        loop {
            let block = self.block("\n\n").await?;
            let Some((_, fields)) = block.split_once("event: ") else { continue };
            let (name, data) = fields.split_once('\n').unwrap();
            let data: Vec<_> = data.lines().filter_map(|line| line.strip_prefix("data:")).collect();
            return Some((name.to_owned(), serde_json::from_str(&data.join("\n")).unwrap()));
        }
    }

    /// The messages up to the `control` event for which this holds, and that one.
    async fn until_control(&mut self, holds: impl Fn(&Value) -> bool) -> (Vec<Value>, Value) {
        let mut messages = Vec::new();
        loop {
            let (name, data) = self.event().await.expect("an event");
            match name.as_str() {
                "data" => messages.extend(data.as_array().unwrap().iter().cloned()),
                "control" if holds(&data) => return (messages, data),
                "control" => {}
                other => panic!("{other}"),
            }
        }
    }

    /// The messages up to the end of what there is, and the offset there.
    async fn until_up_to_date(&mut self) -> (Vec<Value>, String) {
        let (messages, control) = self.until_control(|control| control["upToDate"] == true).await;
        (messages, control["streamNextOffset"].as_str().unwrap().to_owned())
    }
}

/// Short waits, so that a test need not last.
const QUICK: (&str, &str) = ("ROWCAST_HEARTBEAT", "300ms");
/// A wait for what must not come.
const MOMENT: Duration = Duration::from_millis(200);
