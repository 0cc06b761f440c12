//! Access at the doors: roles, limits, revocations, what the public sees, and what browsers are told.

mod browser;
mod changed_taxonomy;
mod cursor_tags;
mod nginx;
mod page_files;
mod postgres_tls;
pub(crate) mod public_views;
mod rate_limits;
mod request_limits;
mod revocations;
mod roles;
mod secrets;
pub(crate) mod tokens;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt, StreamExt};
use rowcast::auth::Role;
use rowcast::auth::token::Mint;
use rowcast::clock::Clock;
use rowcast::config::Secret;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role as Side;

use crate::support::raw_http::{Answer, read_answer, request};
use crate::support::{JWT_SECRET, NO_LIMITS, PATIENCE, TestServer};

/// A token of the secret that was issued so many seconds from now.
fn token_issued(subject: &str, role: Role, from_now: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let at = now.as_secs().checked_add_signed(from_now).unwrap();
    let clock = Clock::fixed(UNIX_EPOCH + Duration::from_secs(at));
    let mint = Mint { subject, role, ttl: Duration::from_secs(3600), issuer: None, audience: None };
    mint.sign(&Secret::new(JWT_SECRET), &clock).unwrap().expose().to_owned()
}

fn token(subject: &str, role: Role) -> String {
    token_issued(subject, role, 0)
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// A request with a token.
async fn ask(server: &TestServer, method: &str, path: &str, token: &str, body: &str) -> Answer {
    let authorization = bearer(token);
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    request(server.address(), method, path, &headers, body.as_bytes()).await
}

/// No limits but these.
fn only(rates: &str) -> String {
    format!("{NO_LIMITS},{rates}")
}

const UPGRADE: [(&str, &str); 3] =
    [("upgrade", "websocket"), ("sec-websocket-version", "13"), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")];

/// The head of a request for an upgrade, and the connection that it went out on.
async fn knock(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> (TcpStream, Answer) {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let mut head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\n", server.address());
    for (name, value) in UPGRADE.iter().chain(headers) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    // Byte by byte: what comes behind the head of a granted upgrade is the session's.
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(PATIENCE, stream.read_u8()).await.unwrap();
        bytes.push(byte.unwrap());
    }
    let length = String::from_utf8_lossy(&bytes).to_lowercase();
    let length = length.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.unwrap();
    bytes.extend(body);
    let answer = read_answer(&mut bytes.as_slice()).await;
    (stream, answer)
}

/// A WebSocket session.
struct Session(WebSocketStream<TcpStream>);

impl Session {
    /// Opened with these headers.
    async fn open(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Self {
        let (stream, answer) = knock(server, path, headers).await;
        assert_eq!(answer.status, 101, "{answer:?}");
        Self(WebSocketStream::from_raw_socket(stream, Side::Client, None).await)
    }

    /// Opened with this token.
    async fn of(server: &TestServer, path: &str, token: &str) -> Self {
        Self::open(server, path, &[("authorization", &bearer(token))]).await
    }

    async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn auth(&mut self, token: &str) {
        self.say(json!({"op": "auth", "token": token})).await;
    }

    /// The next object; the code and reason of a close as `{"close":…,"reason":…}`.
    async fn next(&mut self) -> Value {
        loop {
            match tokio::time::timeout(PATIENCE, self.0.next()).await.unwrap() {
                // A token is waited for: said where none came with the upgrade.
                Some(Ok(Message::Text(text))) if text.contains(r#""op":"auth_required""#) => {}
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Close(Some(frame)))) => {
                    return json!({"close": u16::from(frame.code), "reason": frame.reason.as_str()});
                }
                Some(Ok(_)) => {}
                ended => panic!("the session ended without a close: {ended:?}"),
            }
        }
    }

    /// The next object of this kind; others are passed over, but for errors.
    async fn next_of(&mut self, op: &str) -> Value {
        let begun = Instant::now();
        loop {
            let frame = self.next().await;
            // Heartbeats come for ever.
            assert!(begun.elapsed() < PATIENCE, "in vain: {op}");
            if frame["op"] == op {
                return frame;
            }
            assert!(frame["op"] != "error" && frame.get("close").is_none(), "{frame} instead of {op}");
        }
    }

    /// How it ends: the code of the close, and of the error before it.
    async fn end(&mut self) -> (u64, String) {
        let (mut code, begun) = (String::new(), Instant::now());
        loop {
            let frame = self.next().await;
            assert!(begun.elapsed() < PATIENCE, "it does not end: {frame}");
            if frame["op"] == "error" {
                code = frame["code"].as_str().unwrap().to_owned();
            }
            if let Some(close) = frame.get("close") {
                return (close.as_u64().unwrap(), code);
            }
        }
    }
}

/// A stream of server-sent events.
struct Sse {
    stream: TcpStream,
    text: String,
}

impl Sse {
    async fn open(server: &TestServer, path: &str, token: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let token = token.map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{token}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut sse = Self { stream, text: String::new() };
        sse.until("\r\n\r\n").await;
        assert!(sse.text.starts_with("HTTP/1.1 200"), "{}", sse.text);
        sse
    }

    /// Reads until this has come.
    async fn until(&mut self, wanted: &str) -> &str {
        let begun = Instant::now();
        while !self.text.contains(wanted) {
            // Heartbeats come for ever.
            assert!(begun.elapsed() < PATIENCE, "in vain: {wanted:?} in {}", self.text);
            let mut chunk = [0; 4096];
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut chunk)).await.unwrap().unwrap();
            assert!(read > 0, "the stream ended without {wanted:?}: {}", self.text);
            self.text.push_str(&String::from_utf8_lossy(&chunk[..read]));
        }
        &self.text
    }
}

/// The value of a metric.
async fn metric(server: &TestServer, name: &str) -> f64 {
    let page = server.get("/metrics").await.body;
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("{name} is missing in {page}")).parse().unwrap()
}
