//! The first connection to a started cluster: waits out recovery, makes sure that it is the one we mean, that the
//! remembered password works, and that the database `rowcast` is there. Every step may be repeated after a crash.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use super::error::{ClusterError, Result};
use super::server::serves;
use super::state::{DATABASE, SUPERUSER};
use crate::config::Secret;

const READY_LIMIT: Duration = Duration::from_secs(120);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Login {
    pub(super) pid: i32,
    pub(super) port: u16,
    pub(super) socket_dir: PathBuf,
    pub(super) data: PathBuf,
    pub(super) log: PathBuf,
    pub(super) password: Secret,
}

impl Login {
    /// Blocks until the cluster is usable. It runs on a thread of its own, so that it works within any caller's runtime.
    pub(super) fn wait_until_ready(&self) -> Result<()> {
        let broken = |why: String| ClusterError::NotReady { why, log: self.log.clone() };
        thread::scope(|scope| {
            let work = thread::Builder::new().spawn_scoped(scope, || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.map_err(|error| broken(error.to_string()))?.block_on(self.log_in())
            });
            let work = work.map_err(|error| broken(error.to_string()))?;
            work.join().map_err(|_| broken("the login thread ended early".to_owned()))?
        })
    }

    async fn log_in(&self) -> Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        let (mut password_set, mut database_made) = (false, false);
        loop {
            let error = match self.check().await {
                Ok(found) if same_folder(&found, &self.data) => return Ok(()),
                Ok(found) => {
                    let why = format!("the server on port {} serves {}", self.port, found.display());
                    return Err(ClusterError::Foreign { data: self.data.clone(), why });
                }
                Err(error) => error,
            };
            let code = error.code();
            if code == Some(&SqlState::INVALID_PASSWORD) && !password_set {
                password_set = true;
                let statement = format!("alter role {SUPERUSER} login password '{}'", self.password.expose());
                self.execute_by_socket(&statement).await?;
            } else if code == Some(&SqlState::INVALID_CATALOG_NAME) && !database_made {
                database_made = true;
                self.execute_by_socket(&format!("create database {DATABASE}")).await?;
            } else if !is_transient(code) {
                return Err(ClusterError::Login(error));
            } else if Instant::now() >= deadline || !serves(self.pid, &self.data) {
                return Err(ClusterError::NotReady { why: error.to_string(), log: self.log.clone() });
            } else {
                tokio::time::sleep(POLL).await;
            }
        }
    }

    /// Logs in as an application would, and says which data directory answered.
    async fn check(&self) -> Result<PathBuf, tokio_postgres::Error> {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).user(SUPERUSER).dbname(DATABASE);
        config.password(self.password.expose()).connect_timeout(CONNECT_LIMIT);
        let client = connect(&config).await?;
        let rows = client.simple_query("show data_directory").await?;
        let path = rows.iter().find_map(|row| match row {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        Ok(PathBuf::from(path.unwrap_or_default()))
    }

    /// Runs a statement through the private socket, which asks for no password.
    async fn execute_by_socket(&self, statement: &str) -> Result<()> {
        let mut config = Config::new();
        config.host_path(&self.socket_dir).port(self.port).user(SUPERUSER).dbname("postgres");
        config.connect_timeout(CONNECT_LIMIT);
        let client = connect(&config).await.map_err(ClusterError::Login)?;
        client.batch_execute(statement).await.map_err(ClusterError::Login)
    }
}

async fn connect(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    // Ends when the client is dropped; its error reaches the client's next call.
    drop(tokio::spawn(connection));
    Ok(client)
}

/// Whether an error may pass by itself: Postgres is not listening yet, cut the connection (no SQLSTATE), starts up, or is full.
fn is_transient(code: Option<&SqlState>) -> bool {
    code.is_none_or(|code| *code == SqlState::CANNOT_CONNECT_NOW || *code == SqlState::TOO_MANY_CONNECTIONS)
}

fn same_folder(a: &Path, b: &Path) -> bool {
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}
