//! Builds everything, owns every task, and drains in order.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::auth::{RevokedSubjects, Verifier, revocations};
use crate::chat::Chat;
use crate::clock::{Clock, jitter};
use crate::config::{ConfigError, RelayPart, ServerConfig};
use crate::db::migrate::{self, MigrateError, Status};
use crate::db::{Connector, Database, DatabaseError, DatabaseUrl, TlsError, UrlError};
use crate::http::{Context, Guards, HttpFetch, ListenError, Readiness, Server, TailView};
use crate::journal::partitions;
use crate::limit::{self, LimitError};
use crate::session::Announcer;
use crate::shutdown::{Ended, Shutdown, Tasks};
use crate::tail::Tail;
use crate::tail::pages::{Anchors, Limits, PageWriter, Pages, PostgresLoad, ReplicaCounts, ReplicaLoad};
use crate::tail::relay::{Lists, ListsOfEdge, Relay, RelayError, Source};
use crate::view::{Follower, Known, Redaction, Views, keep};

/// The first wait after Postgres could not be reached at the start; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(100);
/// The longest wait between two tries.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// The time beyond the drain itself in which tasks must end after they were told to.
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
    /// The settings by which tokens are checked are not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The pool cannot be built.
    #[error(transparent)]
    Pool(#[from] DatabaseError),
    /// The limits make no sense.
    #[error(transparent)]
    Limits(#[from] LimitError),
    /// The relay's settings make no sense.
    #[error(transparent)]
    Relay(#[from] RelayError),
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
    announcer: Arc<Announcer>,
    tail: Tail<Views>,
    relay: Option<Relay<Views>>,
    followers: Followers,
    replica: Option<Replica>,
    verifier: Verifier,
    limits: limit::Limits,
    config: ServerConfig,
    chat: Chat,
    clock: Clock,
}

/// What keeps the lists of a node current.
#[derive(Debug)]
struct Followers {
    taxonomy: Follower,
    revocations: revocations::Follower,
    revoked: RevokedSubjects,
}

impl Followers {
    /// These with the lists that a relay gives to an edge.
    fn with_given(self, lists: &ListsOfEdge) -> Self {
        let [taxonomy, revocations] = lists.given().map(Some);
        let Self { taxonomy: follower, revocations: revocations_follower, revoked } = self;
        let taxonomy = follower.with_given(taxonomy);
        Self { taxonomy, revocations: revocations_follower.with_given(revocations), revoked }
    }
}

/// The standby of a node: by what it proves its history, and what it has done.
type Replica = (Anchors, Arc<ReplicaCounts>);
type PagesOfNode = (Pages<Views>, PageWriter<Views>, Option<Replica>);

/// The pages of a node, and what they read from.
fn pages(config: &ServerConfig, database: &Database, node: &str) -> Result<PagesOfNode, AppError> {
    let views = Views::new(Redaction::with(&config.streams.redact), Known::default());
    let (load, limits) = (PostgresLoad::new(database.clone()), Limits::within(config.streams.page_cache));
    let Some(url) = &config.replica_url else {
        let (pages, writer) = Pages::new(load, views, limits);
        return Ok((pages, writer, None));
    };
    let url = DatabaseUrl::parse(url).map_err(|error| error.in_setting("ROWCAST_REPLICA_URL"))?;
    let connector = Connector::new(url)?.of_node(node).for_purpose("replica");
    let anchors = Anchors::default();
    let load = ReplicaLoad::new(load, Database::new(connector, config.db_pool)?, anchors.clone());
    let counts = load.counts();
    let (pages, writer) = Pages::new(load, views, limits);
    Ok((pages, writer, Some((anchors, counts))))
}

impl App {
    /// Checks what can be checked without the database, and begins to listen. The database may be down.
    pub async fn new(config: &ServerConfig) -> Result<Self, AppError> {
        let connector = Connector::new(DatabaseUrl::parse(&config.database_url)?)?;
        let server = Server::bind(&config.http).await?;
        let node = node_name(server.address().port());
        let connector = connector.of_node(&node);
        let database = Database::with_snapshots(connector.clone(), config.db_pool, config.streams.snapshots)?;
        let (pages, writer, replica) = pages(config, &database, &node)?;
        let tail = Tail::new(connector.for_purpose("tail"), database.clone(), writer, config.streams.blocker_limit);
        let follower = Follower::new(database.clone());
        let revoked = RevokedSubjects::default();
        let revocations = revocations::Follower::new(connector.for_purpose("revocations"), revoked.clone());
        let mut followers = Followers { taxonomy: follower, revocations, revoked };
        let (tail, relay) = match &config.relay {
            Some(relay) if relay.part == RelayPart::Edge => {
                let lists = ListsOfEdge::default();
                followers = followers.with_given(&lists);
                (tail.with_copy(Source::new(relay)?, lists), None)
            }
            Some(relay) => {
                let lists = Lists::new(followers.taxonomy.shared(), followers.revocations.shared());
                let relay = Relay::new(relay, &node, pages.clone(), tail.status(), tail.proven_at(), lists)?;
                (tail, Some(relay))
            }
            None => (tail, None),
        };
        let announcer = Announcer::new(pages, database.clone());
        let verifier = Verifier::new(&config.tokens, Clock::system(), Arc::new(HttpFetch::new()))?;
        let limits = limit::Limits::new(&config.limits)?;
        let (config, chat) = (config.clone(), Chat::default());
        let clock = Clock::system();
        Ok(Self {
            connector,
            database,
            server,
            announcer,
            tail,
            relay,
            followers,
            replica,
            verifier,
            limits,
            config,
            chat,
            clock,
        })
    }

    /// This server with another responder of the chat.
    #[must_use]
    pub fn with_chat(self, chat: Chat) -> Self {
        Self { chat, ..self }
    }

    /// This server with another clock for the ends of tokens whose streams are open.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// The URL of the address it listens on.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Serves until `stop` is ready, then drains. An error means that it ended for another reason.
    pub async fn run(self, stop: impl Future<Output = &'static str>) -> Result<(), AppError> {
        let shutdown = Shutdown::new();
        // Whoever drops this in the middle ends the tasks that are on threads of their own too.
        let _told_to_end = shutdown.clone().drop_guard();
        let readiness = Readiness::default();
        let mut tasks = Tasks::default();
        let tail = TailView {
            status: self.tail.status(),
            counts: self.tail.counts(),
            times: self.tail.times(),
            proven_at: self.tail.proven_at(),
            pages: self.announcer.pages().clone(),
            relay: self.relay.as_ref().map(Relay::counts),
            replica: self.replica.as_ref().map(|(_, counts)| Arc::clone(counts)),
        };
        if let Some((anchors, _)) = self.replica {
            tasks.spawn("anchors", anchors.keep(self.announcer.pages().clone(), shutdown.clone()));
        }
        let drain = self.config.drain;
        let Followers { taxonomy: follower, revocations, revoked } = self.followers;
        let guards = Guards { verifier: self.verifier.clone(), revoked: revoked.clone(), limits: self.limits.clone() };
        let context = Context::new(
            &self.config,
            self.database.clone(),
            readiness.clone(),
            tail,
            Arc::clone(&self.announcer),
            guards,
            shutdown.clone(),
        )
        .with_chat(self.chat.clone())
        .with_clock(self.clock.clone());
        tasks.spawn("http", self.server.run(context, shutdown.clone(), drain));
        let limits = self.limits;
        let until = shutdown.clone();
        tasks.spawn("limits", async move { limits.run(until).await });
        tasks.spawn("keys", self.verifier.keep_keys(shutdown.clone()));
        let redaction = Redaction::with(&self.config.streams.redact);
        tasks.spawn("views", keep(self.announcer.pages().clone(), redaction, follower.subscribe()));
        tasks.spawn("live", self.announcer.run(shutdown.clone()));

        // What uses the schema waits until it is known to be one that this binary may serve.
        let admitted = CancellationToken::new();
        if !self.config.relay.as_ref().is_some_and(|relay| relay.part == RelayPart::Edge) {
            let keep_ahead = partitions::keep_ahead(self.database.clone(), shutdown.clone());
            tasks.spawn("partitions", once(admitted.clone(), shutdown.clone(), keep_ahead));
        }
        tasks.spawn("taxonomy", once(admitted.clone(), shutdown.clone(), follower.run(shutdown.clone())));
        tasks.spawn("revocations", once(admitted.clone(), shutdown.clone(), revocations.run(shutdown.clone())));
        tasks.spawn("tail", once(admitted.clone(), shutdown.clone(), self.tail.run(shutdown.clone())));
        if let Some(relay) = self.relay {
            tasks.spawn("relay", once(admitted.clone(), shutdown.clone(), relay.run(shutdown.clone())));
        }

        let schema = self.connector.for_purpose("schema");
        let outcome = tokio::select! {
            why = stop => {
                tracing::info!(reason = why, "shutting down");
                Ok(())
            }
            Some(ended) = tasks.next_end() => Err(AppError::Task(ended)),
            refused = refused_schema(&schema, &readiness, &admitted) => Err(refused),
        };

        readiness.draining();
        shutdown.cancel();
        for late in tasks.drain(drain + DRAIN_GRACE).await {
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

/// This node among others, for whoever looks at the sessions of the database: its machine and its port.
fn node_name(port: u16) -> String {
    let machine =
        nix::unistd::gethostname().map_or_else(|_| "?".to_owned(), |name| name.to_string_lossy().into_owned());
    format!("{machine}:{port}")
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
            Err(Look::Database(error)) => {
                tracing::warn!(reason = error.kind(), retry_in = ?wait, "waiting for the database: {error}");
            }
        }
        tokio::time::sleep(wait.mul_f64(jitter())).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}

enum Look {
    Database(DatabaseError),
    Refused(MigrateError),
}

async fn look_at_schema(connector: &Connector) -> Result<Status, Look> {
    let (client, carrier) = connector.connect().await.map_err(|e| Look::Database(e.into()))?;
    let status = migrate::status(&client).await.map_err(|error| match error {
        MigrateError::Postgres(e) => Look::Database(e.into()),
        locked @ MigrateError::HistoryLocked(_) => Look::Database(DatabaseError::Other(locked.to_string())),
        refused => Look::Refused(refused),
    });
    drop(client);
    // The carrier ends once the client is gone; a task that cannot be joined has nothing more to say.
    let _joined = carrier.await;
    status
}
