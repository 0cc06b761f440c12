//! The pool of connections for requests, and the question whether the database is there.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::{Connect, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Timeouts};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error};

use super::Connector;

/// How long a request waits for a free connection.
const WAIT_LIMIT: Duration = Duration::from_secs(10);
/// How long the database may take to answer that it is there.
const PING_LIMIT: Duration = Duration::from_secs(1);
/// How long one answer serves everybody who asks, so that a flood of probes is not a flood of queries.
const PING_MEMORY: Duration = Duration::from_millis(100);

/// A connection from the pool; dropped, it goes back there.
pub type Connection = Object;

/// A handle to the database: cheap to clone, shared by everyone.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    last_ping: Arc<Mutex<LastPing>>,
}

#[derive(Default)]
struct LastPing {
    at: Option<Instant>,
    result: Option<Result<Duration, Trouble>>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("pool", &self.pool.status()).finish_non_exhaustive()
    }
}

/// Why the database does not answer, in words for the operator. A client is never told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nothing listens there, or the way is cut.
    #[error("Postgres cannot be reached: {0}")]
    Unreachable(String),
    /// It is there and refuses this user.
    #[error("Postgres refuses the login, check user and password in DATABASE_URL: {0}")]
    Login(String),
    /// It is there and has no such database.
    #[error("Postgres has no such database, check DATABASE_URL: {0}")]
    NoDatabase(String),
    /// It starts, stops or recovers.
    #[error("Postgres is not ready: {0}")]
    NotReady(String),
    /// It did not answer in time.
    #[error("Postgres did not answer within {0:?}")]
    Slow(Duration),
    /// Anything else.
    #[error("Postgres answered with an error: {0}")]
    Other(String),
}

impl Trouble {
    /// A stable word for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Login(_) => "login",
            Self::NoDatabase(_) => "no_database",
            Self::NotReady(_) => "not_ready",
            Self::Slow(_) => "slow",
            Self::Other(_) => "other",
        }
    }
}

impl From<&Error> for Trouble {
    fn from(error: &Error) -> Self {
        let Some(db) = error.as_db_error() else {
            let why = std::error::Error::source(error).map_or_else(|| error.to_string(), |s| format!("{error}: {s}"));
            return Self::Unreachable(why);
        };
        let says = format!("{} (SQLSTATE {})", db.message(), db.code().code());
        match *db.code() {
            SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => Self::Login(says),
            SqlState::INVALID_CATALOG_NAME => Self::NoDatabase(says),
            SqlState::CANNOT_CONNECT_NOW | SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN => Self::NotReady(says),
            _ => Self::Other(says),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<PoolError> for Trouble {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(e) => Self::from(&e),
            PoolError::Timeout(_) => Self::Slow(WAIT_LIMIT),
            other => Self::Other(other.to_string()),
        }
    }
}

/// deadpool makes its connections through our connector, and so with the TLS of the URL.
struct Dial(Connector);

impl Connect for Dial {
    fn connect(
        &self,
        _: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        Box::pin(self.0.connect())
    }
}

impl Database {
    /// A pool of at most `size` connections. None is made before the first is needed.
    pub fn new(connector: Connector, size: usize) -> Result<Self, Trouble> {
        let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(connector.config().clone(), Dial(connector), manager_config);
        let timeouts = Timeouts {
            wait: Some(WAIT_LIMIT),
            create: Some(super::CONNECT_LIMIT),
            recycle: Some(super::CONNECT_LIMIT),
        };
        let pool = Pool::builder(manager)
            .max_size(size)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|e| Trouble::Other(e.to_string()))?;
        Ok(Self { pool, last_ping: Arc::default() })
    }

    /// A connection from the pool, for as long as it is held.
    pub async fn get(&self) -> Result<Connection, Trouble> {
        Ok(self.pool.get().await?)
    }

    /// Runs a simple query and says how long it took. Those who ask at the same time share one answer.
    pub async fn ping(&self) -> Result<Duration, Trouble> {
        let mut last = self.last_ping.lock().await;
        if let (Some(at), Some(result)) = (last.at, &last.result)
            && at.elapsed() < PING_MEMORY
        {
            return result.clone();
        }
        let begun = Instant::now();
        let asked = tokio::time::timeout(PING_LIMIT, async {
            self.get().await?.simple_query("select 1").await?;
            Ok::<_, Trouble>(())
        });
        let result = asked.await.unwrap_or(Err(Trouble::Slow(PING_LIMIT))).map(|()| begun.elapsed());
        last.tell_changes(&result);
        last.at = Some(Instant::now());
        last.result = Some(result.clone());
        result
    }

    /// How many connections are open, how many of them free, and how many requests wait for one.
    pub fn load(&self) -> (usize, usize, usize) {
        let status = self.pool.status();
        (status.size, status.available, status.waiting)
    }

    /// Closes the pool: what waits for a connection fails, what holds one keeps it until it is done.
    pub fn close(&self) {
        self.pool.close();
    }
}

impl LastPing {
    /// Logs when the answer becomes another one, not each time that it is given.
    fn tell_changes(&self, new: &Result<Duration, Trouble>) {
        let before = self.result.as_ref().map(|r| r.as_ref().err().map(Trouble::kind));
        match new {
            Err(trouble) if before != Some(Some(trouble.kind())) => {
                tracing::error!(reason = trouble.kind(), "database check failed: {trouble}");
            }
            Ok(_) if matches!(before, Some(Some(_))) => tracing::info!("database check succeeds again"),
            _ => {}
        }
    }
}
