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
    /// What is added to each purpose: the name of this node, if it is one.
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

    /// What the URL said, without TLS.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Connects, and starts the task that carries the connection: it ends when the client is dropped.
    ///
    /// `allow` and `prefer` try the other way too where the server's access rules refuse the first, as libpq does.
    pub async fn connect(&self) -> Result<(Client, JoinHandle<()>), Error> {
        self.connect_listening(|_| {}).await
    }

    /// The same for a connection that listens: each notification goes to `heard`, on the carrying task, which must not
    /// be held up.
    pub async fn connect_listening(&self, heard: impl Hear) -> Result<(Client, JoinHandle<()>), Error> {
        if self.hosts.each.is_empty() {
            return self.connect_to(&self.config, heard).await;
        }
        self.connect_to_primary(heard).await
    }

    /// Connects to the first host that is a primary, beginning with the one that was last. If none is, to a standby: what it
    /// refuses says more than that there is no connection.
    async fn connect_to_primary(&self, heard: impl Hear) -> Result<(Client, JoinHandle<()>), Error> {
        let (count, first) = (self.hosts.each.len(), self.hosts.primary.load(Ordering::Relaxed));
        let (mut standby, mut failed) = (None, None);
        for at in (0..count).map(|n| (first + n) % count) {
            let Some(config) = self.hosts.each.get(at) else { continue };
            match self.connect_to(config, heard.clone()).await {
                Ok((client, carrier)) => {
                    if is_primary(&client).await {
                        self.hosts.primary.store(at, Ordering::Relaxed);
                        return Ok((client, carrier));
                    }
                    standby = Some((client, carrier));
                }
                Err(error) => failed = Some(error),
            }
        }
        match (standby, failed) {
            (Some(connected), _) => Ok(connected),
            (None, Some(error)) => Err(error),
            (None, None) => self.connect_to(&self.config, heard).await,
        }
    }

    async fn connect_to(&self, config: &Config, heard: impl Hear) -> Result<(Client, JoinHandle<()>), Error> {
        match self.mode {
            SslMode::Disable => self.plain(config, heard).await,
            SslMode::Allow => match self.plain(config, heard.clone()).await {
                Err(e) if refused_by_rules(&e) => self.encrypted(config, config::SslMode::Require, heard).await,
                result => result,
            },
            SslMode::Prefer => match self.encrypted(config, config::SslMode::Prefer, heard.clone()).await {
                Err(e) if refused_by_rules(&e) => self.plain(config, heard).await,
                result => result,
            },
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                self.encrypted(config, config::SslMode::Require, heard).await
            }
        }
    }

    /// Asks the server to cancel what runs on a connection, the way that the connection was made.
    pub async fn cancel(&self, token: &CancelToken) -> Result<(), Error> {
        match &self.tls {
            Some(tls) => token.cancel_query(MakeRustlsConnect::new(ClientConfig::clone(tls))).await,
            None => token.cancel_query(NoTls).await,
        }
    }

    async fn plain(&self, config: &Config, heard: impl Hear) -> Result<(Client, JoinHandle<()>), Error> {
        let mut config = config.clone();
        let (client, connection) = config.ssl_mode(config::SslMode::Disable).connect(NoTls).await?;
        Ok((client, tokio::spawn(carry(connection, heard))))
    }

    async fn encrypted(
        &self,
        config: &Config,
        mode: config::SslMode,
        heard: impl Hear,
    ) -> Result<(Client, JoinHandle<()>), Error> {
        let Some(tls) = &self.tls else { return self.plain(config, heard).await };
        let mut config = config.clone();
        let tls = MakeRustlsConnect::new(ClientConfig::clone(tls));
        let (client, connection) = config.ssl_mode(mode).connect(tls).await?;
        Ok((client, tokio::spawn(carry(connection, heard))))
    }
}

/// What takes notifications. Only one copy ever gets any; a second is there in case the first way in is refused.
pub trait Hear: FnMut(Notification) + Clone + Send + 'static {}
impl<F: FnMut(Notification) + Clone + Send + 'static> Hear for F {}

/// Runs a connection to its end. Whoever uses the client learns of the error; this is for the log.
async fn carry<S, T>(mut connection: Connection<S, T>, mut heard: impl Hear)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(notification))) => heard(notification),
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
fn refused_by_rules(error: &Error) -> bool {
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}
