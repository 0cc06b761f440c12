//! The writers: connections that each insert one row, wait for its commit, and insert the next. On threads of their own,
//! so that they take time from the readers as other processes would, and no more than that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_postgres::{Client, Statement};

use super::error::BenchError;
use crate::db::{Connector, DatabaseError};

/// One in so many inserts returns its seq, so that what the readers make of it can be told.
const SAMPLE: u64 = 16;
/// About 300 bytes, as an application's event might look.
const PAYLOAD: &str = r#"{"order":"9f3a11c2-5b7e-4c0d-8a35-6d1f0c9b2e47","symbol":"BTC-USD","side":"buy","kind":"limit","price":"64250.50","quantity":"0.125","filled":"0.050","remaining":"0.075","venue":"example","account":"a-10442","note":"partially filled at the best bid, the rest stays in the book until cancelled","step":17}"#;

const INSERT: &str = "insert into rowcast.events (type, payload) values ('order.filled', $1::text::jsonb)";

/// An insert whose seq is known: when it was called and when its commit was acknowledged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) seq: i64,
    pub(super) called: Instant,
    pub(super) acknowledged: Instant,
}

/// So many rows hold some samples, whichever of the writers inserted them.
pub(super) fn rows_with_samples(writers: usize) -> u64 {
    2 * SAMPLE * writers as u64
}

/// The bytes of a row's payload.
pub(super) fn payload_bytes() -> usize {
    PAYLOAD.len()
}

struct Writer {
    client: Client,
    insert: Statement,
    returning: Statement,
}

impl Writer {
    async fn connect(connector: &Connector) -> Result<Self, DatabaseError> {
        let (client, _carrier) = connector.connect().await?;
        let insert = client.prepare(INSERT).await?;
        let returning = client.prepare(&format!("{INSERT} returning seq")).await?;
        Ok(Self { client, insert, returning })
    }

    async fn insert(&self) -> Result<(), DatabaseError> {
        self.client.execute(&self.insert, &[&PAYLOAD]).await?;
        Ok(())
    }

    async fn sample(&self) -> Result<Sample, DatabaseError> {
        let called = Instant::now();
        let row = self.client.query_one(&self.returning, &[&PAYLOAD]).await?;
        Ok(Sample { seq: row.try_get(0)?, called, acknowledged: Instant::now() })
    }
}

/// Writers at work.
pub(super) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<Vec<Sample>, BenchError>>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    connected: AtomicUsize,
    done: AtomicU64,
}

impl Load {
    /// Begins to write; returns when every writer is connected.
    pub(super) async fn start(connector: &Connector, writers: usize, threads: usize) -> Result<Self, BenchError> {
        let shared = Arc::new(Shared::default());
        let threads = threads.min(writers);
        let spawn = |index: usize| {
            let (connector, shared) = (connector.clone(), Arc::clone(&shared));
            let mine = writers / threads + usize::from(index < writers % threads);
            std::thread::spawn(move || on_this_thread(write(connector, mine, shared)))
        };
        let load = Self { threads: (0..threads).map(spawn).collect(), shared: Arc::clone(&shared) };
        while shared.connected.load(Ordering::Relaxed) < writers {
            if load.has_failed() {
                load.stop().await?;
                return Err(BenchError::Io(std::io::Error::other("a writer ended before it had begun")));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(load)
    }

    /// How many rows were inserted and acknowledged until now.
    pub(super) fn done(&self) -> u64 {
        self.shared.done.load(Ordering::Relaxed)
    }

    /// Whether a writer ended too early; [`Self::stop`] says why.
    pub(super) fn has_failed(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Ends, and hands over the samples.
    pub(super) async fn stop(mut self) -> Result<Vec<Sample>, BenchError> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for thread in std::mem::take(&mut self.threads) {
            all.extend(joined(thread).await?);
        }
        Ok(all)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

async fn write(connector: Connector, writers: usize, shared: Arc<Shared>) -> Result<Vec<Sample>, BenchError> {
    let mut set = JoinSet::new();
    for _ in 0..writers {
        let writer = Writer::connect(&connector).await?;
        shared.connected.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(&shared);
        set.spawn(async move {
            let mut samples = Vec::new();
            for turn in 1_u64.. {
                if shared.stop.load(Ordering::Relaxed) {
                    break;
                }
                if turn % SAMPLE == 0 {
                    samples.push(writer.sample().await?);
                } else {
                    writer.insert().await?;
                }
                shared.done.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, DatabaseError>(samples)
        });
    }
    let mut all = Vec::new();
    while let Some(samples) = set.join_next().await {
        all.extend(samples.map_err(std::io::Error::other)??);
    }
    Ok(all)
}

/// Inserts by turns into two databases, one row at a time with a pause after each, so that whatever else the machine
/// does meets both alike. Returns the samples of the first and of the second.
pub(super) async fn by_turns(
    connectors: [Connector; 2],
    inserts: usize,
    gap: Duration,
) -> Result<[Vec<Sample>; 2], BenchError> {
    let [first, second] = connectors;
    let work = async move {
        let writers = [Writer::connect(&first).await?, Writer::connect(&second).await?];
        let mut samples = [Vec::new(), Vec::new()];
        for _ in 0..inserts {
            for (writer, samples) in writers.iter().zip(&mut samples) {
                // Never in step with a timer of the tail.
                tokio::time::sleep(gap.mul_f64(0.4 + 0.2 * random())).await;
                samples.push(writer.sample().await?);
            }
        }
        Ok::<_, BenchError>(samples)
    };
    joined(std::thread::spawn(|| on_this_thread(work))).await
}

/// Between 0 and 1.
fn random() -> f64 {
    f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX)
}

fn on_this_thread<T>(work: impl Future<Output = Result<T, BenchError>>) -> Result<T, BenchError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

async fn joined<T: Send + 'static>(thread: JoinHandle<Result<T, BenchError>>) -> Result<T, BenchError> {
    let ended = tokio::task::spawn_blocking(move || thread.join()).await.map_err(std::io::Error::other)?;
    ended.unwrap_or_else(|_| Err(BenchError::Io(std::io::Error::other("a writer panicked"))))
}
