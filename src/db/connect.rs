//! Making one connection, with the TLS that the URL asks for, and to the primary among several hosts.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::NoTls;
use tokio_postgres::{AsyncMessage, CancelToken, Client, Config, Connection, Error, Notification, config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::hosts::{Hosts, is_primary};
use super::tls::{TlsError, client_config};
use super::url::{DatabaseUrl, SslMode};

/// A recipe for connections. Cheap to clone.
#[derive(Clone)]
pub struct Connector {
    config: Config,
    hosts: Arc<Hosts>,
    mode: SslMode,
    /// The suffix of `application_name` that names this node; empty for a command.
    node: String,
    tls: Option<Arc<ClientConfig>>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("config", &self.config).field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl Connector {
    /// Reads the certificates that the URL names; what is wrong with them shows here and not at the first request.
    pub fn new(url: DatabaseUrl) -> Result<Self, TlsError> {
        let tls = match url.ssl_mode {
            SslMode::Disable => None,
            mode => Some(Arc::new(client_config(mode, &url.ssl_files)?)),
        };
        Ok(Self {
            hosts: Arc::new(Hosts::of(&url.config)),
            config: url.config,
            mode: url.ssl_mode,
            node: String::new(),
            tls,
        })
    }

    /// Connections of one node, told apart from other nodes' in `pg_stat_activity`: its name stands last in `application_name`.
    #[must_use]
    pub fn of_node(mut self, node: &str) -> Self {
        self.node = format!(" ({node})");
        self
    }

    /// Connections for one purpose, which stands in `application_name` between the name in the URL and that of the node.
    #[must_use]
    pub fn for_purpose(&self, purpose: &str) -> Self {
        let mut named = self.clone();
        let base = self.config.get_application_name().unwrap_or_default();
        let name = format!("{base} {purpose}{}", self.node);
        named.config.application_name(name);
        named
    }

    /// The configuration from the URL, without its TLS options.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Connects, and starts the task that drives the connection. The task ends when the client is dropped.
    ///
    /// `allow` and `prefer` try the other way too where the server's access rules refuse the first, as libpq does.
    pub async fn connect(&self) -> Result<(Client, JoinHandle<()>), Error> {
        self.connect_listening(|_| {}).await
    }

    /// Connects as [`Self::connect`] does, and passes each notification to `on_notification`. That runs on the task that drives
    /// the connection, and must not block.
    pub async fn connect_listening(
        &self,
        on_notification: impl NotificationHandler,
    ) -> Result<(Client, JoinHandle<()>), Error> {
        if self.hosts.configs.is_empty() {
            return self.connect_to(&self.config, on_notification).await;
        }
        self.connect_to_primary(on_notification).await
    }

    /// Connects to the first host that is a primary, beginning with the one that was last. If none is, connects to a standby,
    /// whose refusals tell the operator more than a missing connection.
    async fn connect_to_primary(
        &self,
        on_notification: impl NotificationHandler,
    ) -> Result<(Client, JoinHandle<()>), Error> {
        let (count, first) = (self.hosts.configs.len(), self.hosts.last_primary.load(Ordering::Relaxed));
        let (mut standby, mut failed) = (None, None);
        for at in (0..count).map(|n| (first + n) % count) {
            let Some(config) = self.hosts.configs.get(at) else { continue };
            match self.connect_to(config, on_notification.clone()).await {
                Ok((client, connection_task)) => {
                    if is_primary(&client).await {
                        self.hosts.last_primary.store(at, Ordering::Relaxed);
                        return Ok((client, connection_task));
                    }
                    standby = Some((client, connection_task));
                }
                Err(error) => failed = Some(error),
            }
        }
        match (standby, failed) {
            (Some(connected), _) => Ok(connected),
            (None, Some(error)) => Err(error),
            (None, None) => self.connect_to(&self.config, on_notification).await,
        }
    }

    async fn connect_to(
        &self,
        config: &Config,
        on_notification: impl NotificationHandler,
    ) -> Result<(Client, JoinHandle<()>), Error> {
        match self.mode {
            SslMode::Disable => self.plain(config, on_notification).await,
            SslMode::Allow => match self.plain(config, on_notification.clone()).await {
                Err(e) if is_refused_by_hba(&e) => {
                    self.encrypted(config, config::SslMode::Require, on_notification).await
                }
                result => result,
            },
            SslMode::Prefer => match self.encrypted(config, config::SslMode::Prefer, on_notification.clone()).await {
                Err(e) if is_refused_by_hba(&e) => self.plain(config, on_notification).await,
                result => result,
            },
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                self.encrypted(config, config::SslMode::Require, on_notification).await
            }
        }
    }

    /// Asks the server to cancel the statement of a connection. The request goes over TLS if the connection
    /// does.
    pub async fn cancel(&self, token: &CancelToken) -> Result<(), Error> {
        match &self.tls {
            Some(tls) => token.cancel_query(MakeRustlsConnect::new(ClientConfig::clone(tls))).await,
            None => token.cancel_query(NoTls).await,
        }
    }

    async fn plain(
        &self,
        config: &Config,
        on_notification: impl NotificationHandler,
    ) -> Result<(Client, JoinHandle<()>), Error> {
        let mut config = config.clone();
        let (client, connection) = config.ssl_mode(config::SslMode::Disable).connect(NoTls).await?;
        Ok((client, tokio::spawn(drive(connection, on_notification))))
    }

    async fn encrypted(
        &self,
        config: &Config,
        mode: config::SslMode,
        on_notification: impl NotificationHandler,
    ) -> Result<(Client, JoinHandle<()>), Error> {
        let Some(tls) = &self.tls else { return self.plain(config, on_notification).await };
        let mut config = config.clone();
        let tls = MakeRustlsConnect::new(ClientConfig::clone(tls));
        let (client, connection) = config.ssl_mode(mode).connect(tls).await?;
        Ok((client, tokio::spawn(drive(connection, on_notification))))
    }
}

/// A callback for notifications. It is cloned for each attempt to connect; only the clone of the one that succeeds is called.
pub trait NotificationHandler: FnMut(Notification) + Clone + Send + 'static {}
impl<F: FnMut(Notification) + Clone + Send + 'static> NotificationHandler for F {}

/// Runs a connection to its end, and logs its error. The client's next call fails with that error too.
async fn drive<S, T>(mut connection: Connection<S, T>, mut on_notification: impl NotificationHandler)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(notification))) => on_notification(notification),
            Some(Ok(AsyncMessage::Notice(notice))) => tracing::debug!(%notice, "Postgres says"),
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::debug!(error = %super::DatabaseError::from(&error), "connection to Postgres ended");
                return;
            }
            None => return,
        }
    }
}

/// `pg_hba.conf` has no entry for this host, user, database and kind of encryption.
fn is_refused_by_hba(error: &Error) -> bool {
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}
