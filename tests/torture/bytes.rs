//! A thousand large events through a slow link, in every door, with readers that take nothing: all that read have all of it,
//! and the server's memory stays within what it was given.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rowcast::auth::Role;
use rowcast::auth::token::Mint;
use rowcast::clock::Clock;
use rowcast::config::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::raw_http::request;
use crate::support::slow_link::Link;
use crate::support::{JWT_SECRET, NO_LIMITS, binary, migrated_database, until};

/// 40 Mbit a second.
const RATE: u64 = 5_000_000;
const PAGE_CACHE_MB: u64 = 256;
/// What the server may take beyond its pages.
const BESIDE_MB: u64 = 150;
/// Of each door: so many that read, and so many that do not.
const READ: usize = 10;
const IDLE: [usize; 3] = [7, 7, 6];
const DOORS: [Door; 3] = [Door::WebSocket, Door::Sse, Door::Http];
/// The bytes of each payload at least, and of what stands around it in every door.
const PAYLOAD: usize = 256_000;
const AROUND: usize = 150;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    WebSocket,
    Sse,
    Http,
}

/// The server, and its memory at its largest.
struct MeasuredServer(Child);

impl Drop for MeasuredServer {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl MeasuredServer {
    fn memory(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(what)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }
}

fn token() -> String {
    let mint =
        Mint { subject: "vera", role: Role::Viewer, ttl: Duration::from_secs(7200), issuer: None, audience: None };
    mint.sign(&Secret::new(JWT_SECRET), &Clock::system()).unwrap().expose().to_owned()
}

async fn begin(address: &str, door: Door, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let upgrade = match door {
        Door::WebSocket => {
            "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        }
        Door::Sse | Door::Http => "",
    };
    let head =
        format!("GET {target} HTTP/1.1\r\nhost: rowcast.test\r\n{upgrade}authorization: Bearer {}\r\n\r\n", token());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// What a WebSocket client says unasked, as often as it likes: a pong, masked with zeros. It stands for the answers to pings, of
/// which none is late here.
const SIGN_OF_LIFE: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];
/// Twice in the time between two heartbeats.
const SIGNS_EVERY: Duration = Duration::from_secs(7);

/// Takes a stream until so many events must have come: each is no smaller than its payload and what stands around it, and all
/// else that is said is less than one of them.
async fn take_stream(door: Door, mut stream: TcpStream, events: usize) {
    let (mut chunk, mut taken, mut signed) = (vec![0; 64 << 10], 0, Instant::now());
    while taken < events * (PAYLOAD + AROUND) {
        if door == Door::WebSocket && signed.elapsed() >= SIGNS_EVERY {
            stream.write_all(&SIGN_OF_LIFE).await.unwrap();
            signed = Instant::now();
        }
        let count = stream.read(&mut chunk).await.unwrap();
        assert!(count > 0, "the stream ended after {taken} bytes");
        taken += count;
    }
}

/// Reads page after page, and waits for what is not there yet.
async fn take_pages(address: String, events: usize) {
    let bearer = format!("Bearer {}", token());
    let (mut cursor, mut seen) = ("0".to_owned(), 0);
    while seen < events {
        let path = format!("/v1/events?cursor={cursor}&limit=1000&wait=30");
        let answer = request(&address, "GET", &path, &[("authorization", &bearer)], b"").await;
        assert_eq!(answer.status, 200, "{}", &answer.body[..answer.body.len().min(200)]);
        let page = answer.json();
        seen += page["events"].as_array().unwrap().len();
        page["cursor"].as_str().unwrap().clone_into(&mut cursor);
    }
}

/// Takes nothing, and is connected all the same.
async fn take_nothing(door: Door, mut stream: TcpStream) {
    loop {
        tokio::time::sleep(SIGNS_EVERY).await;
        if door == Door::WebSocket {
            stream.write_all(&SIGN_OF_LIFE).await.unwrap();
        }
    }
}

impl MeasuredServer {
    /// Starts the binary, and returns it with its address when it is ready.
    async fn start(database_url: &str) -> (Self, String) {
        let cache = format!("{PAGE_CACHE_MB}MB");
        let environment = [
            ("DATABASE_URL", database_url),
            ("ROWCAST_JWT_SECRET", JWT_SECRET),
            ("ROWCAST_LISTEN", "127.0.0.1:0"),
            ("ROWCAST_PAGE_CACHE", cache.as_str()),
            ("ROWCAST_RATE_LIMITS", NO_LIMITS),
            // Those that take nothing stay, so that what they cost is seen.
            ("ROWCAST_WRITE_STALL", "300s"),
            ("ROWCAST_LOG", "warn"),
        ];
        let mut server = Self(binary(&["serve"], &environment).stdout(Stdio::piped()).spawn().unwrap());
        let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
        let first = tokio::task::spawn_blocking(move || lines.next().unwrap().unwrap()).await.unwrap();
        let address = first.rsplit_once("//").unwrap().1.to_owned();
        until("it is ready", || async { request(&address, "GET", "/health/ready", &[], b"").await.status == 200 })
            .await;
        (server, address)
    }
}

/// Those who take nothing and those who read, at every door.
async fn come_to_every_door(address: &str, events: usize) -> (JoinSet<()>, JoinSet<()>) {
    let (mut idle, mut readers) = (JoinSet::new(), JoinSet::new());
    for (door, many) in DOORS.into_iter().zip(IDLE) {
        let target = match door {
            Door::WebSocket => "/ws?cursor=0",
            Door::Sse => "/v1/events/stream?cursor=0",
            Door::Http => "/v1/events?cursor=0&limit=1000&wait=30",
        };
        for _ in 0..many {
            idle.spawn(take_nothing(door, begin(address, door, target).await));
        }
        for _ in 0..READ {
            if door == Door::Http {
                readers.spawn(take_pages(address.to_owned(), events));
            } else {
                readers.spawn(take_stream(door, begin(address, door, target).await, events));
            }
        }
    }
    (idle, readers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout, reason = "the figures are what the run is for")]
#[ignore = "a minute or more, and a release build: scripts/torture bytes runs it"]
async fn a_thousand_large_events_arrive_in_every_door_and_memory_stays_within_what_was_given() {
    let events: usize = std::env::var("TORTURE_EVENTS").map_or(1000, |text| text.parse().unwrap());
    let db = migrated_database().await;
    let (link, url) = Link::to_database(&db.url, RATE).await;
    let (server, address) = MeasuredServer::start(&url).await;
    println!("before: RSS {} MB", server.memory("VmRSS:"));

    let (mut idle, mut readers) = come_to_every_door(&address, events).await;
    let insert = "insert into rowcast.events (type, payload)
                  select 'note.added', jsonb_build_object('x',
                         (select string_agg(md5((i * 10000 + j)::text), '') from generate_series(1, 8000) j))
                    from generate_series(1, $1::bigint) i";
    db.client().await.execute(insert, &[&i64::try_from(events).unwrap()]).await.unwrap();
    let begun = Instant::now();
    let mut done = 0;
    while let Some(read) = readers.join_next().await {
        read.unwrap();
        done += 1;
    }
    let (rss, peak) = (server.memory("VmRSS:"), server.memory("VmHWM:"));
    println!(
        "{done} readers have {events} events of 250 KiB each after {:?}; {} did not read; {} MB came from Postgres; \
         RSS {rss} MB, at most {peak} MB, of {PAGE_CACHE_MB} + {BESIDE_MB}",
        begun.elapsed(),
        idle.len(),
        link.carried() >> 20,
    );
    assert!(peak < PAGE_CACHE_MB + BESIDE_MB, "{peak} MB");
    let lost: Vec<_> = std::iter::from_fn(|| idle.try_join_next()).collect();
    assert!(lost.is_empty(), "those that did not read were to stay: {lost:?}");
}
