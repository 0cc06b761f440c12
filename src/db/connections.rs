//! The connections of one group of lanes: deadpool keeps them, our connector makes them, and those that were idle are tested before
//! they are used again.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool_postgres::{
    Connect, Hook, HookError, Manager, ManagerConfig, Metrics, Pool, QueueMode, RecyclingMethod, Runtime, Timeouts,
};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{Client, Config, Error, SimpleQueryMessage};

use super::distrust::Distrust;
use super::lane::Lane;
use super::lane_counts::LaneCounts;
use super::{CONNECT_LIMIT, Connector, DatabaseError};

/// A connection that was idle for longer than this is tested before it is used.
const UNTESTED_LIMIT: Duration = Duration::from_secs(1);
/// How long that test may take.
const TEST_LIMIT: Duration = Duration::from_secs(1);
/// The age at which the connection of the probe lane is replaced, so that the probe also tests whether connections can be made,
/// and which settings they get.
const PROBE_AGE: Duration = Duration::from_secs(10);

/// deadpool makes its connections through our connector, and so with the TLS of the URL.
struct PoolConnect(Connector);

impl Connect for PoolConnect {
    fn connect(
        &self,
        _: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        Box::pin(self.0.connect())
    }
}

/// Builds the pool of one group of lanes.
pub(super) fn build(
    connector: &Connector,
    lanes: &'static [Lane],
    connections: usize,
    distrust: &Distrust,
    counts: &Arc<LaneCounts>,
) -> Result<Pool, DatabaseError> {
    let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_connect(connector.config().clone(), PoolConnect(connector.clone()), manager_config);
    let timeouts = Timeouts { wait: None, create: Some(CONNECT_LIMIT), recycle: Some(CONNECT_LIMIT) };
    let (distrust, counts) = (distrust.clone(), Arc::clone(counts));
    let test = Hook::async_fn(move |client, metrics| {
        let (metrics, distrust, counts) = (*metrics, distrust.clone(), Arc::clone(&counts));
        Box::pin(async move {
            if client.is_closed() || is_reusable(client, &metrics, lanes, &distrust).await {
                return Ok(());
            }
            counts.discarded.fetch_add(1, Ordering::Relaxed);
            Err(HookError::message("the connection did not pass the test before use"))
        })
    });
    Pool::builder(manager)
        .max_size(connections)
        .timeouts(timeouts)
        .runtime(Runtime::Tokio1)
        // The one that was used last is used next, so that few are in use and those need no test.
        .queue_mode(QueueMode::Lifo)
        .pre_recycle(test)
        .build()
        .map_err(|e| DatabaseError::Other(e.to_string()))
}

/// Whether a connection may be used again. A server or a proxy may have gone mute without closing it, which shows only by an
/// answer that does not come; and one that was made when the database took no writes may go on to take none.
async fn is_reusable(client: &Client, metrics: &Metrics, lanes: &[Lane], distrust: &Distrust) -> bool {
    if distrust.covers(metrics.recycled.unwrap_or(metrics.created)) {
        return false;
    }
    if lanes.contains(&Lane::Probe) && metrics.age() >= PROBE_AGE {
        return false;
    }
    if metrics.last_used() < UNTESTED_LIMIT {
        return true;
    }
    match timeout(TEST_LIMIT, is_read_only(client)).await {
        Ok(Ok(read_only)) => !(read_only && lanes.contains(&Lane::Write)),
        Ok(Err(_)) => false,
        Err(_) => {
            // The other idle connections have likely died too: all are made anew instead of tested one by one.
            distrust.distrust_all();
            false
        }
    }
}

/// Whether a connection takes no writes: its server is a standby, or `default_transaction_read_only` was on when it began.
pub(super) async fn is_read_only(client: &Client) -> Result<bool, Error> {
    let messages = client.simple_query("show transaction_read_only").await?;
    Ok(messages.iter().any(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0) == Some("on"),
        _ => false,
    }))
}
