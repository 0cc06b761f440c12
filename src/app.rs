//! Builds everything, owns every task, and drains in order.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::jitter;
use crate::config::ServerConfig;
use crate::db::migrate::{self, MigrateError, Status};
use crate::db::{Connector, Database, DatabaseUrl, TlsError, Trouble, UrlError};
use crate::http::{Context, ListenError, Readiness, Server, TailView};
use crate::journal::partitions;
use crate::shutdown::{Ended, Shutdown, Tasks};
use crate::tail::Tail;
use crate::tail::pages::{Limits, Pages, PostgresLoad, Seqs};

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
    pages: Pages<Seqs>,
    tail: Tail<Seqs>,
    drain: Duration,
}

impl App {
    /// Checks what can be checked without the database, and begins to listen. The database may be down.
    pub async fn new(config: &ServerConfig) -> Result<Self, AppError> {
        let connector = Connector::new(DatabaseUrl::parse(&config.database_url)?)?;
        let database = Database::new(connector.clone(), config.db_pool)?;
        let server = Server::bind(&config.http).await?;
        let load = PostgresLoad::new(database.clone());
        let (pages, writer) = Pages::new(load, Seqs, Limits::within(config.streams.page_cache));
        let tail = Tail::new(connector.clone(), database.clone(), writer, config.streams.blocker_limit);
        Ok(Self { connector, database, server, pages, tail, drain: config.drain })
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
        let tail = TailView { status: self.tail.status(), counts: self.tail.counts(), pages: self.pages };
        let context = Context::new(self.database.clone(), readiness.clone(), tail);
        tasks.spawn("http", self.server.run(context, shutdown.clone(), self.drain));

        // What uses the schema waits until it is known to be one that this binary may serve.
        let admitted = CancellationToken::new();
        let keep_ahead = partitions::keep_ahead(self.database.clone(), shutdown.clone());
        tasks.spawn("partitions", once(admitted.clone(), shutdown.clone(), keep_ahead));
        tasks.spawn("tail", once(admitted.clone(), shutdown.clone(), self.tail.run(shutdown.clone())));

        let outcome = tokio::select! {
            why = stop => {
                tracing::info!(reason = why, "shutting down");
                Ok(())
            }
            Some(ended) = tasks.next_end() => Err(AppError::Task(ended)),
            refused = refused_schema(&self.connector, &readiness, &admitted) => Err(refused),
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

/// Does the work once it is admitted; never, if the shutdown comes first.
async fn once(admitted: CancellationToken, shutdown: Shutdown, work: impl Future<Output = ()>) {
    tokio::select! {
        () = admitted.cancelled() => work.await,
        () = shutdown.cancelled() => {}
    }
}

/// Waits for the database and looks at its schema once; returns only if it cannot be served.
async fn refused_schema(connector: &Connector, readiness: &Readiness, admitted: &CancellationToken) -> AppError {
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
                admitted.cancel();
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
