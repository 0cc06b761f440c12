//! A link as slow as a test wants: a TCP proxy on loopback, which counts what it carries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// No link of a test is slower for it.
pub(crate) const FAST: u64 = 1 << 40;

/// A link to one place. It ends with this.
pub(crate) struct Link {
    /// Where to connect instead.
    pub(crate) address: String,
    carried: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What all connections of a link share.
#[derive(Clone)]
struct Wire {
    bytes_per_second: f64,
    /// When the bytes that are under way will have passed.
    free: Arc<Mutex<Instant>>,
    carried: Arc<AtomicU64>,
}

impl Link {
    /// To a `host:port`; what comes from there passes at this rate, all connections together.
    pub(crate) async fn to(place: &str, bytes_per_second: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let carried = Arc::new(AtomicU64::new(0));
        let free = Arc::new(Mutex::new(Instant::now()));
        let wire = Wire { bytes_per_second: bytes_per_second as f64, free, carried: Arc::clone(&carried) };
        let place = place.to_owned();
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, place.clone(), wire.clone()));
            }
        });
        Self { address, carried, accepting }
    }

    /// To the server of a database, and the URL that goes there.
    pub(crate) async fn to_database(url: &str, bytes_per_second: u64) -> (Self, String) {
        let (login, rest) = url.rsplit_once('@').unwrap();
        let (place, name) = rest.split_once('/').unwrap();
        let link = Self::to(place, bytes_per_second).await;
        let url = format!("{login}@{}/{name}", link.address);
        (link, url)
    }

    /// How many bytes have come from there.
    pub(crate) fn carried(&self) -> u64 {
        self.carried.load(Ordering::SeqCst)
    }
}

async fn carry(near: TcpStream, place: String, wire: Wire) {
    let Ok(far) = TcpStream::connect(&place).await else { return };
    let (mut from_near, mut to_near) = near.into_split();
    let (mut from_far, mut to_far) = far.into_split();
    let back = tokio::spawn(async move {
        let _ended = tokio::io::copy(&mut from_near, &mut to_far).await;
        let _closed = to_far.shutdown().await;
    });
    let mut chunk = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from_far.read(&mut chunk).await {
        wire.pass(count).await;
        if to_near.write_all(&chunk[..count]).await.is_err() {
            break;
        }
    }
    let _closed = to_near.shutdown().await;
    back.abort();
}

impl Wire {
    async fn pass(&self, count: usize) {
        self.carried.fetch_add(count as u64, Ordering::SeqCst);
        let passed = {
            let mut free = self.free.lock().await;
            *free = (*free).max(Instant::now()) + Duration::from_secs_f64(count as f64 / self.bytes_per_second);
            *free
        };
        tokio::time::sleep_until(passed).await;
    }
}
