//! Neighbours at their worst: one address and one token of each role do all that the default limits let them do, while somebody
//! else, at another address and with another token, appends, reads pages and follows the stream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rowcast::auth::Role;
use rowcast::auth::token::Mint;
use rowcast::clock::Clock;
use rowcast::config::Secret;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;

use super::setting;
use crate::stream::ws::raw_websocket;
use crate::support::raw_http::read_answer;
use crate::support::restarted_server::RestartedServer;
use crate::support::{JWT_SECRET, load, migrated_database};

/// What the acceptance asks for of a minute on 2 million rows.
const LIMIT: Duration = Duration::from_secs(1);
/// What a short run may take at worst, on a machine that does other things too.
const SHORT_LIMIT: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(30);
/// Where the neighbours come from, and where the others do.
const BAD: [u8; 4] = [127, 0, 0, 2];
const GOOD: [u8; 4] = [127, 0, 0, 1];
const SILENT: usize = 500;
const FLOODS: usize = 20;

/// Types and symbols that are each common and never come together.
const FILL: &str = "
    insert into rowcast.event_types (type, description, public_fields)
        select 'tick.a' || n, 'A tick.', '{n}'::text[] from generate_series(0, 63) n;
    insert into rowcast.events (type, symbol, public_safe, payload)
        select case when n % 2 = 0 then 'tick.a' || n / 2 % 64 else 'tick.b' || n / 2 % 64 end, 'SYM' || n % 2, true,
               jsonb_build_object('n', n)
          from generate_series(1, ROWS) n;
    analyze rowcast.events";

fn token(subject: &str, role: Role, age: u64) -> String {
    let clock = Clock::fixed(std::time::SystemTime::now() - Duration::from_secs(age));
    let mint = Mint { subject, role, ttl: Duration::from_secs(3600), issuer: None, audience: None };
    mint.sign(&Secret::new(JWT_SECRET), &clock).unwrap().expose().to_owned()
}

/// The filter that never matches.
fn never() -> String {
    let types: Vec<String> = (0..64).map(|n| format!("tick.a{n}")).collect();
    format!("symbol=SYM1&type={}", types.join(","))
}

async fn connect_from(from: [u8; 4], to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((from, 0)))?;
    socket.connect(to).await
}

fn request_head(method: &str, path: &str, token: Option<&str>, body: &str) -> String {
    let token = token.map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n{token}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The status of one request; none if the connection failed.
async fn ask(from: [u8; 4], to: SocketAddr, head: &str) -> Option<u16> {
    let mut stream = connect_from(from, to).await.ok()?;
    stream.write_all(head.as_bytes()).await.ok()?;
    Some(read_answer(&mut stream).await.status)
}

/// One who does bad things until it is over.
#[derive(Clone)]
struct BadNeighbour {
    to: SocketAddr,
    over: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
}

impl BadNeighbour {
    fn goes_on(&self) -> bool {
        self.done.fetch_add(1, Ordering::Relaxed);
        !self.over.load(Ordering::Relaxed)
    }

    /// Asks for what is never found, again and again; hangs up after a moment, if so told.
    async fn search(self, path: &'static str, token: Option<String>, patience: Duration) {
        let head = request_head("GET", &format!("{path}?cursor=0&{}", never()), token.as_deref(), "");
        while self.goes_on() {
            let asked = tokio::time::timeout(patience, ask(BAD, self.to, &head)).await;
            if matches!(asked, Ok(Some(429) | None)) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Opens a session and does this in it, until it is closed or over; then opens another.
    async fn session(self, path: &'static str, token: Option<String>, say: Vec<u8>, reads: bool) {
        let token = token.map(|token| format!("Bearer {token}"));
        let more: Vec<(&str, &str)> = token.iter().map(|token| ("authorization", token.as_str())).collect();
        let head = raw_websocket::head(path, &more);
        while self.goes_on() {
            let Ok(mut stream) = connect_from(BAD, self.to).await else { continue };
            let mut begun = stream.write_all(head.as_bytes()).await;
            while begun.is_ok() && self.goes_on() {
                let said = tokio::time::timeout(Duration::from_millis(200), stream.write_all(&say)).await;
                begun = said.unwrap_or(Ok(()));
                let mut taken = [0; 65_536];
                if reads && matches!(stream.try_read(&mut taken), Ok(0)) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Holds connections that say nothing.
    async fn be_silent(self) {
        let mut held = Vec::new();
        while self.goes_on() {
            held.retain(|stream: &TcpStream| !matches!(stream.try_read(&mut [0; 512]), Ok(0)));
            while held.len() < SILENT
                && let Ok(stream) = connect_from(BAD, self.to).await
            {
                held.push(stream);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Sends tokens that let nobody in.
    async fn try_tokens(self, token: String) {
        let head = request_head("GET", "/v1/me", Some(&token), "");
        while self.goes_on() {
            ask(BAD, self.to, &head).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Everything at once.
fn let_loose(bad: &BadNeighbour) {
    let hang_up = Duration::from_millis(10);
    let patient = Duration::from_secs(30);
    let subscribe = json!({"op": "subscribe", "last": 10_000, "symbol": "SYM1", "type": "tick.a1,tick.a2"}).to_string();
    let subscribe = raw_websocket::frame(raw_websocket::TEXT, subscribe.as_bytes());
    for role in Role::ALL {
        let token = Some(token(&format!("bad-{role}"), role, 0));
        for _ in 0..4 {
            tokio::spawn(bad.clone().search("/v1/events", token.clone(), patient));
            tokio::spawn(bad.clone().search("/v1/events", token.clone(), hang_up));
        }
        tokio::spawn(bad.clone().session("/ws", token.clone(), subscribe.clone(), true));
        tokio::spawn(bad.clone().session("/ws?cursor=earliest", token, Vec::new(), false));
    }
    for _ in 0..8 {
        tokio::spawn(bad.clone().search("/public/v1/events", None, patient));
        tokio::spawn(bad.clone().search("/public/v1/events", None, hang_up));
        tokio::spawn(bad.clone().session("/public/ws", None, subscribe.clone(), true));
    }
    let pings = raw_websocket::frame(raw_websocket::PING, b"p").repeat(1000);
    for _ in 0..FLOODS {
        tokio::spawn(bad.clone().session("/public/ws", None, pings.clone(), false));
    }
    tokio::spawn(bad.clone().be_silent());
    tokio::spawn(bad.clone().try_tokens("a.b.c".to_owned()));
    tokio::spawn(bad.clone().try_tokens(token("stale", Role::Admin, 7200)));
}

/// How long one thing took each time, and how often it failed.
#[derive(Debug, Default)]
struct Times {
    took: Vec<Duration>,
    failed: u64,
}

impl Times {
    fn at(&mut self, part: f64) -> Duration {
        self.took.sort_unstable();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "few")]
        let at = ((self.took.len() as f64 * part).ceil() as usize).saturating_sub(1);
        self.took.get(at).copied().unwrap_or(Duration::MAX)
    }

    fn told(&mut self, name: &str) -> String {
        let (p50, p99, max) = (self.at(0.5), self.at(0.99), self.at(1.0));
        format!(
            "{name:<9} n {:<6} p50 {p50:<12.1?} p99 {p99:<12.1?} max {max:<12.1?} failed {}",
            self.took.len(),
            self.failed
        )
    }
}

/// Does one thing every so often until the time is over.
async fn measure(until: Instant, pause: Duration, wanted: u16, to: SocketAddr, head: impl Fn() -> String) -> Times {
    let mut times = Times::default();
    while Instant::now() < until {
        let begun = Instant::now();
        match ask(GOOD, to, &head()).await {
            Some(status) if status == wanted => times.took.push(begun.elapsed()),
            _ => times.failed += 1,
        }
        tokio::time::sleep(pause).await;
    }
    times
}

/// How long each event took from before its append to its arrival in a session.
async fn follow(
    until: Instant,
    to: SocketAddr,
    token: &str,
    mut posted: mpsc::UnboundedReceiver<(u64, Instant)>,
) -> Times {
    let stream = connect_from(GOOD, to).await.unwrap();
    let head = raw_websocket::head("/ws?type=victim.*", &[("authorization", &format!("Bearer {token}"))]);
    let mut client = raw_websocket::Client::over(stream, head.as_bytes()).await;
    let (mut times, mut begun) = (Times::default(), std::collections::HashMap::new());
    let deadline = tokio::time::Instant::from_std(until + SHORT_LIMIT);
    while let Ok(raw_websocket::ServerMessage::Json(frame)) = tokio::time::timeout_at(deadline, client.said()).await {
        while let Ok((n, at)) = posted.try_recv() {
            begun.insert(n, at);
        }
        if let Some(at) = frame["event"]["payload"]["n"].as_u64().and_then(|n| begun.remove(&n)) {
            times.took.push(at.elapsed());
        }
        if Instant::now() >= until && begun.is_empty() {
            break;
        }
    }
    times.failed = u64::try_from(begun.len()).unwrap();
    times
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_at_their_worst_slow_nobody_else_down() {
    let (rows, time) = (setting("TORTURE_ROWS", 20_000), Duration::from_secs(setting("TORTURE_SECONDS", 3)));
    let db = migrated_database().await;
    db.client().await.batch_execute(&FILL.replace("ROWS", &rows.to_string())).await.unwrap();
    let serving = RestartedServer::with(&db.url, &[("ROWCAST_PUBLIC_STREAM", "on")]);
    serving.ready().await;
    let to = serving.place.parse().unwrap();
    let bad = BadNeighbour { to, over: Arc::default(), done: Arc::default() };
    let_loose(&bad);

    let end = Instant::now() + time;
    let good = token("good", Role::Operator, 0);
    let (tell, posted) = mpsc::unbounded_channel();
    let number = AtomicU64::new(0);
    let append = || {
        let n = number.fetch_add(1, Ordering::Relaxed);
        let _over = tell.send((n, Instant::now()));
        request_head(
            "POST",
            "/v1/events",
            Some(&good),
            &json!({"type": "victim.said", "payload": {"n": n}}).to_string(),
        )
    };
    let page = || request_head("GET", "/v1/events?limit=100", Some(&good), "");
    let probe = || request_head("GET", "/health/ready", None, "");
    let (mut appended, mut pages, mut probes, mut delivered) = tokio::join!(
        measure(end, Duration::from_millis(100), 201, to, append),
        measure(end, Duration::from_millis(200), 200, to, page),
        measure(end, Duration::from_millis(100), 200, to, probe),
        follow(end, to, &good, posted),
    );
    bad.over.store(true, Ordering::Relaxed);
    let mut limit = SHORT_LIMIT.mul_f64(load());
    if time >= LONG {
        limit = LIMIT;
    }
    eprintln!("{rows} rows, {time:?}, {} bad things", bad.done.load(Ordering::Relaxed));
    let all = [("append", &mut appended), ("page", &mut pages), ("delivery", &mut delivered), ("ready", &mut probes)];
    let mut slow = Vec::new();
    for (name, times) in all {
        let told = times.told(name);
        eprintln!("{told}");
        if times.failed > 0 || times.at(0.99) > limit {
            slow.push(told);
        }
    }
    assert!(slow.is_empty(), "beyond {limit:?} or failed:\n{}", slow.join("\n"));
    drop(serving);
}
