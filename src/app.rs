//! Builds everything, owns every task, and drains in order.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::config::ServerConfig;
use crate::db::migrate::{self, MigrateError, Status};
use crate::db::{Connector, Database, DatabaseUrl, TlsError, Trouble, UrlError};
use crate::http::{Context, ListenError, Readiness, Server};
use crate::journal;
use crate::shutdown::{Ended, Shutdown, Tasks};

/// The first wait after Postgres could not be reached at the start; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(100);
/// The longest wait between two tries.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// What the tasks may take beyond the drain itself, to end after they were told to.
const DRAIN_GRACE: Duration = Duration::from_secs(2);

/// Why a server does not start, or ends before it is told to.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The URL of the database makes no sense.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// TLS to the database cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The pool cannot be built.
    #[error(transparent)]
    Pool(#[from] Trouble),
    /// The address or certificate cannot be used.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The schema is not one that this binary can serve.
    #[error("{0}")]
    Schema(String),
    /// A task ended that must not.
    #[error("{0}")]
    Task(Ended),
}

/// A server that listens, ready to run.
#[derive(Debug)]
pub struct App {
    connector: Connector,
    database: Database,
    server: Server,
    drain: Duration,
}

impl App {
    /// Checks what can be checked without the database, and begins to listen. The database may be down.
    pub async fn new(config: &ServerConfig) -> Result<Self, AppError> {
        let connector = Connector::new(DatabaseUrl::parse(&config.database_url)?)?;
        let database = Database::new(connector.clone(), config.db_pool)?;
        let server = Server::bind(&config.http).await?;
        Ok(Self { connector, database, server, drain: config.drain })
    }

    /// The URL of the address it listens on.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Serves until `stop` is ready, then drains. An error means that it ended for another reason.
    pub async fn run(self, stop: impl Future<Output = &'static str>) -> Result<(), AppError> {
        let shutdown = Shutdown::new();
        let readiness = Readiness::default();
        let mut tasks = Tasks::default();
        let context = Context { database: self.database.clone(), readiness: readiness.clone() };
        tasks.spawn("http", self.server.run(context, shutdown.clone(), self.drain));

        let schema_seen = Arc::new(Notify::new());
        tasks.spawn("partitions", keep_partitions(self.database.clone(), schema_seen.clone(), shutdown.clone()));

        let outcome = tokio::select! {
            why = stop => {
                tracing::info!(reason = why, "shutting down");
                Ok(())
            }
            Some(ended) = tasks.next_end() => Err(AppError::Task(ended)),
            refused = refused_schema(&self.connector, &readiness, &schema_seen) => Err(refused),
        };

        readiness.draining();
        shutdown.cancel();
        for late in tasks.drain(self.drain + DRAIN_GRACE).await {
            tracing::warn!(task = late, "did not end in time and was aborted");
        }
        self.database.close();
        outcome
    }
}

/// Keeps partitions ahead, once the schema is known to be one that this binary may serve.
async fn keep_partitions(database: Database, schema_seen: Arc<Notify>, shutdown: Shutdown) {
    tokio::select! {
        () = schema_seen.notified() => {}
        () = shutdown.cancelled() => return,
    }
    journal::partitions::keep_ahead(database, shutdown).await;
}

/// Waits for the database and looks at its schema once; returns only if it cannot be served.
async fn refused_schema(connector: &Connector, readiness: &Readiness, seen: &Notify) -> AppError {
    let mut wait = RETRY_MIN;
    loop {
        match look_at_schema(connector).await {
            Ok(Status::Behind(missing)) => {
                let missing = missing.join(", ");
                return AppError::Schema(format!("the database lacks {missing}: run `rowcast migrate` first"));
            }
            Ok(status) => {
                if let Status::Ahead(version) = status {
                    tracing::warn!(version, "the database has newer migrations than this binary, and allows it");
                }
                readiness.serving();
                seen.notify_one();
                tracing::info!("ready");
                return std::future::pending().await;
            }
            Err(Look::Refused(error)) => return AppError::Schema(error.to_string()),
            Err(Look::Trouble(trouble)) => {
                tracing::warn!(reason = trouble.kind(), retry_in = ?wait, "waiting for the database: {trouble}");
            }
        }
        tokio::time::sleep(wait.mul_f64(jitter())).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}

enum Look {
    Trouble(Trouble),
    Refused(MigrateError),
}

async fn look_at_schema(connector: &Connector) -> Result<Status, Look> {
    let (client, carrier) = connector.connect().await.map_err(|e| Look::Trouble(e.into()))?;
    let status = migrate::status(&client).await.map_err(|error| match error {
        MigrateError::Postgres(e) => Look::Trouble(e.into()),
        refused => Look::Refused(refused),
    });
    drop(client);
    // The carrier ends once the client is gone; a task that cannot be joined has nothing more to say.
    let _joined = carrier.await;
    status
}

/// Between 0.5 and 1.0, so that nodes that lost the database together do not come back together.
fn jitter() -> f64 {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    0.5 + f64::from(random) / f64::from(u32::MAX) / 2.0
}
