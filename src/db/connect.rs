//! Making one connection, with the TLS that the URL asks for.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::NoTls;
use tokio_postgres::{Client, Config, Error, config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls::{TlsError, client_config};
use super::url::{DatabaseUrl, SslMode};

/// A recipe for connections. Cheap to clone.
#[derive(Clone)]
pub struct Connector {
    config: Config,
    mode: SslMode,
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
        Ok(Self { config: url.config, mode: url.ssl_mode, tls })
    }

    /// What the URL said, without TLS.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Connects, and starts the task that carries the connection: it ends when the client is dropped.
    ///
    /// `allow` and `prefer` try the other way too where the server's access rules refuse the first, as libpq does.
    pub async fn connect(&self) -> Result<(Client, JoinHandle<()>), Error> {
        match self.mode {
            SslMode::Disable => self.plain().await,
            SslMode::Allow => match self.plain().await {
                Err(e) if refused_by_rules(&e) => self.encrypted(config::SslMode::Require).await,
                result => result,
            },
            SslMode::Prefer => match self.encrypted(config::SslMode::Prefer).await {
                Err(e) if refused_by_rules(&e) => self.plain().await,
                result => result,
            },
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                self.encrypted(config::SslMode::Require).await
            }
        }
    }

    async fn plain(&self) -> Result<(Client, JoinHandle<()>), Error> {
        let mut config = self.config.clone();
        let (client, connection) = config.ssl_mode(config::SslMode::Disable).connect(NoTls).await?;
        Ok((client, tokio::spawn(carry(connection))))
    }

    async fn encrypted(&self, mode: config::SslMode) -> Result<(Client, JoinHandle<()>), Error> {
        let Some(tls) = &self.tls else { return self.plain().await };
        let mut config = self.config.clone();
        let tls = MakeRustlsConnect::new(ClientConfig::clone(tls));
        let (client, connection) = config.ssl_mode(mode).connect(tls).await?;
        Ok((client, tokio::spawn(carry(connection))))
    }
}

/// Runs a connection to its end. Whoever uses the client learns of the error; this is for the log.
async fn carry<F: Future<Output = Result<(), Error>>>(connection: F) {
    if let Err(error) = connection.await {
        tracing::debug!(error = %super::pool::Trouble::from(&error), "connection to Postgres ended");
    }
}

/// `pg_hba.conf` has no entry for this host, user, database and kind of encryption.
fn refused_by_rules(error: &Error) -> bool {
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}
