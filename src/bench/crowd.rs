//! Many clients that cost as little as clients can: each counts the messages that it is sent, and a few of them look when
//! the event in it was written. On threads of their own.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};

use super::error::BenchError;

/// One in so many clients looks at the times.
const SAMPLES: usize = 50;
/// How many connect at the same time.
const AT_ONCE: usize = 64;
/// The bytes that are read at once.
const BUFFER: usize = 256 << 10;
/// How long it may take until all are connected.
const OPEN_LIMIT: Duration = Duration::from_secs(120);
/// An answer to a ping, masked with nothing.
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];

/// The server that a crowd connects to, with the path and the token of a request.
#[derive(Debug, Clone)]
pub(super) struct Door {
    pub(super) address: String,
    /// The address of the request, for each client.
    pub(super) path: fn(usize) -> String,
    /// None for the relay, which asks for none and never says that a client is live.
    pub(super) token: Option<String>,
}

/// Clients that are connected.
pub(super) struct Crowd {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<(), BenchError>>>,
}

struct Shared {
    stop: AtomicBool,
    open: AtomicUsize,
    gone: AtomicUsize,
    /// Events received, by each.
    received: Vec<AtomicU64>,
    sampling: AtomicBool,
    delays: Mutex<Vec<Duration>>,
}

impl Crowd {
    /// Connects so many; returns when all of them are live.
    pub(super) async fn open(door: Door, count: usize) -> Result<Self, BenchError> {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            gone: AtomicUsize::new(0),
            received: (0..count).map(|_| AtomicU64::new(0)).collect(),
            sampling: AtomicBool::new(false),
            delays: Mutex::default(),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            LocalSet::new().block_on(&runtime, stay(door, theirs))
        });
        let crowd = Self { shared, thread: Some(thread) };
        let begun = std::time::Instant::now();
        while crowd.shared.open.load(Ordering::Relaxed) < count {
            let ended = crowd.thread.as_ref().is_none_or(JoinHandle::is_finished);
            if ended || begun.elapsed() > OPEN_LIMIT || crowd.shared.gone.load(Ordering::Relaxed) > 0 {
                return Err(io::Error::other("not all clients could connect").into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(crowd)
    }

    /// Events received by all of them.
    pub(super) fn received(&self) -> u64 {
        self.shared.received.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// How many connections have ended.
    pub(super) fn gone(&self) -> usize {
        self.shared.gone.load(Ordering::Relaxed)
    }

    /// Begins to look at times, or ends, and hands over what there is, sorted.
    pub(super) fn sample(&self, on: bool) -> Vec<Duration> {
        self.shared.sampling.store(on, Ordering::Relaxed);
        let mut delays = std::mem::take(&mut *self.shared.delays.lock().unwrap_or_else(PoisonError::into_inner));
        delays.sort_unstable();
        delays
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _its_errors_were_told = thread.join();
        }
    }
}

async fn stay(door: Door, shared: Arc<Shared>) -> Result<(), BenchError> {
    let (buffer, turns) = (Rc::new(RefCell::new(vec![0; BUFFER])), Rc::new(Semaphore::new(AT_ONCE)));
    let mut clients = JoinSet::new();
    for number in 0..shared.received.len() {
        let (door, shared) = (door.clone(), Arc::clone(&shared));
        let (buffer, turns) = (Rc::clone(&buffer), Rc::clone(&turns));
        clients.spawn_local(async move {
            let Ok(turn) = turns.acquire().await else { return };
            let connected = connect(&door, number).await;
            drop(turn);
            if let Ok(stream) = connected {
                let at_once = door.token.is_none();
                let shared = Arc::clone(&shared);
                let mut client = Client { stream, number, shared, rest: Vec::new(), live: false, at_once };
                let _lost = client.listen(&buffer).await;
            }
            shared.gone.fetch_add(1, Ordering::Relaxed);
        });
    }
    while !shared.stop.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn connect(door: &Door, number: usize) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(&door.address).await?;
    let bearer = door.token.as_ref().map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{bearer}\r\n",
        (door.path)(number),
        door.address
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    // Byte by byte: what follows the head is no part of it.
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await?);
    }
    if answer.starts_with(b"HTTP/1.1 101") { Ok(stream) } else { Err(io::Error::other("refused")) }
}

struct Client {
    stream: TcpStream,
    number: usize,
    shared: Arc<Shared>,
    /// The beginning of a frame that is not here whole.
    rest: Vec<u8>,
    live: bool,
    /// The server has no word for it.
    at_once: bool,
}

impl Client {
    async fn listen(&mut self, buffer: &RefCell<Vec<u8>>) -> io::Result<()> {
        if self.at_once {
            self.came();
        }
        loop {
            self.stream.readable().await?;
            let pings = {
                let mut buffer = buffer.borrow_mut();
                match self.stream.try_read(&mut buffer) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(length) => self.take(buffer.get(..length).unwrap_or_default()),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                    Err(error) => return Err(error),
                }
            };
            for _ in 0..pings {
                self.stream.write_all(&PONG).await?;
            }
        }
    }

    /// Counts what has come; returns how many pings were among it.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let (mut events, mut pings) = (0, 0);
        let joined;
        let bytes = if self.rest.is_empty() {
            bytes
        } else {
            self.rest.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.rest);
            &joined
        };
        let mut at = 0;
        while let Some((opcode, payload, length)) = frame(bytes.get(at..).unwrap_or_default()) {
            at += length;
            match opcode {
                1 if payload.get(7..12) == Some(b"event") || !payload.starts_with(br#"{"op""#) => {
                    events += 1;
                    self.look(payload);
                }
                1 if payload.get(7..11) == Some(b"live") => self.came(),
                9 => pings += 1,
                _ => {}
            }
        }
        self.rest.extend_from_slice(bytes.get(at..).unwrap_or_default());
        if let (1.., Some(received)) = (events, self.shared.received.get(self.number)) {
            received.fetch_add(events, Ordering::Relaxed);
        }
        pings
    }

    fn came(&mut self) {
        if !std::mem::replace(&mut self.live, true) {
            self.shared.open.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn look(&self, payload: &[u8]) {
        if !self.number.is_multiple_of(SAMPLES) || !self.shared.sampling.load(Ordering::Relaxed) {
            return;
        }
        let Some(written) = written(payload) else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut delays = self.shared.delays.lock().unwrap_or_else(PoisonError::into_inner);
        delays.push(now.saturating_sub(Duration::from_micros(written)));
    }
}

/// One frame of a server at the beginning of these bytes: what it is, what is in it, and how long it is in all.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (header, length) = match second & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    Some((first & 0x0f, bytes.get(header..header + length)?, header + length))
}

/// When the event was written, in microseconds since 1970: the number after the last `"t":`.
fn written(payload: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(payload).ok()?;
    let number = text.rsplit_once(r#""t":"#)?.1.trim_start();
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_and_times_read() {
        let mut bytes = crate::view::message(br#"{"op":"event","event":{"payload":{"t": 17, "x":1}}}"#);
        let whole = bytes.len();
        bytes.extend_from_slice(&[0x89, 0]);
        assert_eq!(frame(&bytes[..whole - 1]), None);
        let (opcode, payload, length) = frame(&bytes).unwrap_or_default();
        assert_eq!((opcode, length, written(payload)), (1, whole, Some(17)));
        assert_eq!(frame(&bytes[whole..]), Some((9, &[][..], 2)));
        assert_eq!(written(b"{}"), None);
    }
}
