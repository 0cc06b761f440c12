//! The handle to the database. Each statement runs in a lane, within limits: see `lane.rs` for the table.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use deadpool_postgres::{Pool, PoolError, TimeoutType, Timeouts};
use tokio::sync::Mutex;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_postgres::Client;

use super::distrust::Distrust;
use super::lane::{self, Lane};
use super::lane_counts::{LaneCounts, Waiting};
use super::lease::Lease;
use super::ping::{LastPing, PingReply};
use super::share::{Requester, Shares};
use super::{CONNECT_LIMIT, Connector, DatabaseError, connections};

/// After this number of new connections that lead elsewhere, a read fails.
const NEW_CONNECTIONS: u32 = 2;

/// Counts the new connections of one read that led to another server.
#[derive(Debug, Default)]
pub struct MisroutedConnections(u32);

/// A handle to the database: cheap to clone, shared by everyone.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    connector: Connector,
    distrust: Distrust,
    lanes: [LanePool; Lane::ALL.len()],
    last_ping: Mutex<LastPing>,
}

struct LanePool {
    lane: Lane,
    pool: Pool,
    shares: Arc<Shares>,
    counts: Arc<LaneCounts>,
}

/// How a lane is doing, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneStatus {
    /// Which lane.
    pub lane: Lane,
    /// The most connections that it may have, some of them perhaps shared with another lane.
    pub connections: usize,
    /// Connections that run something, or are being cancelled.
    pub in_use: usize,
    /// Runs that wait for a connection.
    pub waiting: usize,
    /// Runs that were begun.
    pub runs: u64,
    /// Runs that got no connection in time, or asked for more than a requester's share.
    pub refused: u64,
    /// Runs that were given up by whoever wanted them.
    pub cancelled: u64,
    /// Runs that took longer than they may.
    pub expired: u64,
    /// Connections that were closed: their run was given up or expired, they led elsewhere, or they failed the test before use.
    pub discarded: u64,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("load", &self.load()).finish_non_exhaustive()
    }
}

impl Database {
    /// A pool of at most `size` connections for requests, and a few beside it, one of them for snapshots. None is made before the first
    /// is needed.
    pub fn new(connector: Connector, size: usize) -> Result<Self, DatabaseError> {
        Self::with_snapshots(connector, size, 1)
    }

    /// The pool of [`Self::new`], with connections for this many snapshots at once.
    pub fn with_snapshots(connector: Connector, size: usize, snapshots: usize) -> Result<Self, DatabaseError> {
        let distrust = Distrust::new();
        let groups: Vec<_> = (lane::groups(size, snapshots).into_iter())
            .map(|group| {
                let counts = Arc::new(LaneCounts::default());
                let purpose = group.lanes.iter().map(|lane| lane.name()).collect::<Vec<_>>().join("+");
                let connector = connector.for_purpose(&purpose);
                let pool = connections::build(&connector, group.lanes, group.connections, &distrust, &counts)?;
                Ok::<_, DatabaseError>((group.lanes, pool, Shares::new(group.connections), counts))
            })
            .collect::<Result<_, _>>()?;
        let lane_pool = |lane: Lane| {
            let group = groups.iter().find(|(lanes, ..)| lanes.contains(&lane));
            let (lanes, pool, shares, counts) =
                group.ok_or_else(|| DatabaseError::Other(format!("no connections for a {}", lane.name())))?;
            // Connections that fail the test before use count once, for the first lane of a group.
            let counts = if lanes.first() == Some(&lane) { Arc::clone(counts) } else { Arc::default() };
            Ok::<_, DatabaseError>(LanePool { lane, pool: pool.clone(), shares: Arc::clone(shares), counts })
        };
        let [write, read, search, probe, housekeeping, snapshot] = Lane::ALL;
        let lanes = [
            lane_pool(write)?,
            lane_pool(read)?,
            lane_pool(search)?,
            lane_pool(probe)?,
            lane_pool(housekeeping)?,
            lane_pool(snapshot)?,
        ];
        Ok(Self(Arc::new(Inner { connector, distrust, lanes, last_ping: Mutex::default() })))
    }

    /// Runs statements on a connection of a lane, for the server itself. See [`Self::run_for`].
    pub async fn run<T>(&self, lane: Lane, work: impl AsyncFnOnce(&mut Client) -> T) -> Result<T, DatabaseError> {
        self.run_for(lane, &Requester::SERVER, work).await
    }

    /// Runs statements on a connection of a lane, within the lane's limits and the requester's share of it. Past the limit, or
    /// if this future is dropped, what runs is cancelled and its connection closed: whether a write took place is unknown then.
    pub async fn run_for<T>(
        &self,
        lane: Lane,
        requester: &Requester,
        work: impl AsyncFnOnce(&mut Client) -> T,
    ) -> Result<T, DatabaseError> {
        let lane = self.lane(lane);
        let mut lease = self.lease(lane, requester).await?;
        lane.counts.runs.fetch_add(1, Ordering::Relaxed);
        let Some(client) = lease.client() else { return Err(DatabaseError::Other("a connection was lost".to_owned())) };
        let result = timeout(lane.lane.limits().run, work(client)).await;
        finish(lane, lease, result)
    }

    /// Runs a read that finds out where its connection leads, and answers `None` where that is another place than is wanted.
    /// Then the connection is closed, `None` is returned, and the read is to be tried again: there are never more old connections
    /// than the lane holds. When new ones lead elsewhere too, [`DatabaseError::Elsewhere`] is the answer.
    pub async fn run_proven<T, E>(
        &self,
        lane: Lane,
        requester: &Requester,
        misrouted: &mut MisroutedConnections,
        work: impl AsyncFnOnce(&mut Client) -> Result<Option<T>, E>,
    ) -> Result<Option<Result<T, E>>, DatabaseError> {
        let lane = self.lane(lane);
        let mut lease = self.lease(lane, requester).await?;
        lane.counts.runs.fetch_add(1, Ordering::Relaxed);
        let Some(client) = lease.client() else { return Err(DatabaseError::Other("a connection was lost".to_owned())) };
        let result = timeout(lane.lane.limits().run, work(client)).await;
        match result {
            Ok(Ok(None)) => {
                misrouted.0 += u32::from(lease.is_new());
                lease.reject();
                if misrouted.0 < NEW_CONNECTIONS { Ok(None) } else { Err(DatabaseError::Elsewhere) }
            }
            // A snapshot that fails leaves its transaction open: its connection is closed with it.
            Ok(Err(error)) if lane.lane == Lane::Snapshot => Ok(Some(Err(error))),
            result => finish(lane, lease, result).map(Result::transpose),
        }
    }

    fn lane(&self, lane: Lane) -> &LanePool {
        let [write, read, search, probe, housekeeping, snapshot] = &self.0.lanes;
        match lane {
            Lane::Write => write,
            Lane::Read => read,
            Lane::Search => search,
            Lane::Probe => probe,
            Lane::Housekeeping => housekeeping,
            Lane::Snapshot => snapshot,
        }
    }

    async fn lease(&self, lane: &LanePool, requester: &Requester) -> Result<Lease, DatabaseError> {
        let waiting = Waiting::new(&lane.counts.waiting);
        let limits = lane.lane.limits();
        let begun = Instant::now();
        let busy = || {
            lane.counts.refused.fetch_add(1, Ordering::Relaxed);
            DatabaseError::Busy(lane.lane.name())
        };
        let turn = lane.shares.enter(requester, limits).await.map_err(|_| busy())?;
        let timeouts = Timeouts { wait: Some(limits.queue.saturating_sub(begun.elapsed())), ..lane.pool.timeouts() };
        let object = lane.pool.timeout_get(&timeouts).await.map_err(|error| match error {
            PoolError::Timeout(TimeoutType::Wait) => busy(),
            PoolError::Timeout(_) => DatabaseError::Slow(CONNECT_LIMIT),
            PoolError::Backend(error) => DatabaseError::from(&error),
            other => DatabaseError::Other(other.to_string()),
        })?;
        drop(waiting);
        Ok(Lease::new(object, self.0.connector.clone(), self.0.distrust.clone(), &lane.counts, turn))
    }

    /// Asks the database whether it is there and takes writes, on a connection that is for this alone. Those who ask at the
    /// same time share one answer.
    pub async fn ping(&self) -> Result<PingReply, DatabaseError> {
        let mut last = self.0.last_ping.lock().await;
        if let Some(answer) = last.fresh() {
            return answer;
        }
        let begun = Instant::now();
        let asking = self.run(Lane::Probe, async |client| connections::is_read_only(client).await);
        let asked = timeout(lane::PROBE_LIMIT, async { Ok::<_, DatabaseError>(asking.await??) });
        let read_only = asked.await.unwrap_or(Err(DatabaseError::Slow(lane::PROBE_LIMIT)));
        let answer = read_only.map(|read_only| PingReply { took: begun.elapsed(), read_only });
        if last.replace(&answer) {
            // Sessions keep the `default_transaction_read_only` that they began with, so all are made anew.
            self.0.distrust.distrust_all();
        }
        answer
    }

    /// How each lane is doing.
    pub fn lanes(&self) -> Vec<LaneStatus> {
        let status = |lane: &LanePool| {
            let (counts, number) = (&lane.counts, |n: &AtomicU64| n.load(Ordering::Relaxed));
            LaneStatus {
                lane: lane.lane,
                connections: lane.pool.status().max_size,
                in_use: counts.in_use.load(Ordering::Relaxed),
                waiting: counts.waiting.load(Ordering::Relaxed),
                runs: number(&counts.runs),
                refused: number(&counts.refused),
                cancelled: number(&counts.cancelled),
                expired: number(&counts.expired),
                discarded: number(&counts.discarded),
            }
        };
        self.0.lanes.iter().map(status).collect()
    }

    /// How many connections are open, how many of them free, and how many requests wait for one.
    pub fn load(&self) -> (usize, usize, usize) {
        let (mut size, mut in_use, mut waiting, mut seen) = (0, 0, 0, Vec::new());
        for lane in &self.0.lanes {
            let shares = Arc::as_ptr(&lane.shares);
            if !seen.contains(&shares) {
                seen.push(shares);
                size += lane.pool.status().size;
            }
            in_use += lane.counts.in_use.load(Ordering::Relaxed);
            waiting += lane.counts.waiting.load(Ordering::Relaxed);
        }
        (size, size.saturating_sub(in_use), waiting)
    }

    /// Closes the pools: runs that wait for a connection fail, runs that have one finish.
    pub fn close(&self) {
        self.0.lanes.iter().for_each(|lane| lane.pool.close());
    }
}

/// Gives a connection back, or cancels its statement if that ran past its limit.
fn finish<T>(lane: &LanePool, lease: Lease, result: Result<T, Elapsed>) -> Result<T, DatabaseError> {
    match result {
        Ok(result) => {
            lease.finish();
            Ok(result)
        }
        Err(_) => {
            let limit = lane.lane.limits().run;
            lease.expire();
            tracing::warn!(lane = lane.lane.name(), ?limit, "a statement took too long and is cancelled");
            Err(DatabaseError::Slow(limit))
        }
    }
}
