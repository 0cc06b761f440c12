//! The writers of the measurement of sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;

use super::error::BenchError;
use crate::db::{Connector, DatabaseError};

/// Connections that insert, each a row at a time.
pub(super) struct Writers {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<(), BenchError>>>,
}

impl Writers {
    /// Starts the writers. The rows are about so many subjects by turns. With a pace, each writer inserts once in that time.
    pub(super) async fn start(
        connector: &Connector,
        writers: usize,
        pace: Option<Duration>,
        subjects: usize,
    ) -> Result<Self, BenchError> {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (theirs, rows, connector) = (Arc::clone(&stop), Arc::clone(&done), connector.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async move {
                let mut set = JoinSet::new();
                for number in 0..writers {
                    set.spawn(write(connector.clone(), number, pace, subjects, Arc::clone(&theirs), Arc::clone(&rows)));
                }
                while let Some(ended) = set.join_next().await {
                    ended.map_err(std::io::Error::other)??;
                }
                Ok(())
            })
        });
        let writers = Self { stop, done, thread: Some(thread) };
        while writers.done() == 0 {
            if writers.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                writers.stop().await?;
                return Err(std::io::Error::other("the writers ended before they had begun").into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(writers)
    }

    /// The rows that were inserted so far.
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Ends the writers and returns the number of rows.
    pub(super) async fn stop(mut self) -> Result<u64, BenchError> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = tokio::task::spawn_blocking(move || thread.join()).await.map_err(std::io::Error::other)?;
            ended.unwrap_or_else(|_| Err(std::io::Error::other("a writer panicked").into()))?;
        }
        Ok(self.done())
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

async fn write(
    connector: Connector,
    number: usize,
    pace: Option<Duration>,
    subjects: usize,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
) -> Result<(), DatabaseError> {
    let (client, _carrier) = connector.connect().await?;
    let insert = "insert into rowcast.events (type, subject, payload) values ('order.filled', $1, $2::text::jsonb)";
    let insert = client.prepare(insert).await?;
    // With what stands around it, an event is about 300 bytes on the wire.
    let note = "partially filled at the best bid, the rest stays in the book until cancelled";
    let mut turn = number;
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let payload = format!(r#"{{"note":"{note}","price":"64250.50","quantity":"0.125","t":{now}}}"#);
        client.execute(&insert, &[&format!("s{}", turn % subjects), &payload]).await?;
        done.fetch_add(1, Ordering::Relaxed);
        turn += 1;
        if let Some(pace) = pace {
            tokio::time::sleep(pace.saturating_sub(begun.elapsed())).await;
        }
    }
    Ok(())
}
