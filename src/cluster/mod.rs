//! The private Postgres cluster of `rowcast dev`: found, made, started, adopted, stopped.
//!
//! Synchronous; a caller inside a runtime goes through `spawn_blocking`. What is migrated into it and who serves it is
//! decided elsewhere.
//!
//! ```text
//! .rowcast/dev.json      port, password, signing secret, id        (0600)
//! .rowcast/lock          held by the live `rowcast dev`; its pid
//! .rowcast/cluster       the data directory, or a link to it
//! .rowcast/postgres.log  what the server says
//! ```

mod account;
mod data_directory;
mod error;
mod find;
mod login;
mod server;
mod state;

use std::fs;
use std::path::{Path, PathBuf};

pub use error::{ClusterError, Result};
pub use find::{Binaries, Search, find};
pub use state::DevState;

use data_directory::{DataDirectory, check_marker};
use login::Login;
use state::{DATABASE, LockedFile, SUPERUSER};

/// A running cluster that only this process uses as its own. Dropping it stops the server.
#[derive(Debug)]
pub struct Cluster {
    dir: PathBuf,
    bins: Binaries,
    state: DevState,
    data: DataDirectory,
    socket_dir: PathBuf,
    pid: i32,
    running: bool,
    // The locks come last, so that they are released after the server has stopped.
    _data_held: LockedFile,
    _lock: LockedFile,
}

impl Cluster {
    /// Makes, starts or adopts the cluster of a `.rowcast` folder, and returns once it answers.
    pub fn open(dir: &Path, bins: &Binaries) -> Result<Self> {
        Self::open_with(dir, bins, &[])
    }

    /// Opens the cluster with further settings, `("fsync", "off")` for a test run's. An adopted server keeps those that it has.
    pub fn open_with(dir: &Path, bins: &Binaries, settings: &[(&str, &str)]) -> Result<Self> {
        let dir = state::make_folder(dir)?;
        let lock = state::lock_folder(&dir)?;
        let known = DevState::load(&dir)?;
        let is_new = known.is_none();
        let state = known.map_or_else(|| DevState::fresh(server::free_port()?), Ok)?;
        let data = DataDirectory::locate(&dir, &state.cluster_id)?;
        if !data.account.may_execute(&bins.postgres)? {
            return Err(ClusterError::NotExecutable { user: data.account.name, program: bins.postgres.clone() });
        }
        if is_new {
            // Before initdb, so that the id of anything that a killed initdb leaves behind is known.
            state.store(&dir)?;
        }
        if !data.path.exists() {
            server::create(&data, bins, &state)?;
        }
        data.link()?;
        let held = data.hold(&dir)?;
        check_major(&data, bins)?;
        Self::bring_up(dir, bins, state, data, (lock, held), settings)
    }

    fn bring_up(
        dir: PathBuf,
        bins: &Binaries,
        mut state: DevState,
        data: DataDirectory,
        (lock, held): (LockedFile, LockedFile),
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let postmaster = match server::running(&data.path)? {
            Some(found) => {
                tracing::info!(pid = found.pid, "the cluster still runs; going on with it");
                found
            }
            None => server::start(&data, bins, &state, &dir, settings)?,
        };
        if state.postgres_port != postmaster.port {
            state.postgres_port = postmaster.port;
            state.store(&dir)?;
        }
        let mut cluster = Self {
            bins: bins.clone(),
            socket_dir: postmaster.socket_dir,
            pid: postmaster.pid,
            running: true,
            _data_held: held,
            _lock: lock,
            dir,
            state,
            data,
        };
        if let Err(error) = cluster.login().wait_until_ready() {
            // A recovering server is not interrupted, and a server that is not ours is not stopped.
            cluster.running = !matches!(error, ClusterError::NotReady { .. } | ClusterError::Foreign { .. });
            return Err(error);
        }
        Ok(cluster)
    }

    fn login(&self) -> Login {
        Login {
            pid: self.pid,
            port: self.state.postgres_port,
            socket_dir: self.socket_dir.clone(),
            data: self.data.path.clone(),
            log: self.log(),
            password: self.state.postgres_password.clone(),
        }
    }

    /// Where clients connect. Contains the password: not for a log.
    #[must_use]
    pub fn url(&self) -> String {
        self.state.url()
    }

    /// A line for the terminal, when psql was found. It goes through the private socket and so needs no password.
    #[must_use]
    pub fn psql_line(&self) -> Option<String> {
        let psql = quoted(self.bins.psql.as_ref()?);
        let socket = quoted(&self.socket_dir);
        Some(format!("{psql} -h {socket} -p {} -U {SUPERUSER} {DATABASE}", self.state.postgres_port))
    }

    #[must_use]
    pub fn state(&self) -> &DevState {
        &self.state
    }

    /// The folder that was opened, `.rowcast` for most.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes down where the server of this cluster listens, for commands that are run beside it.
    pub fn record_server(&mut self, url: &str) -> Result<()> {
        if self.state.server_url.as_deref() == Some(url) {
            return Ok(());
        }
        self.state.server_url = Some(url.to_owned());
        self.state.store(&self.dir)
    }

    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data.path
    }

    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The pid of the postmaster.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.join("postgres.log")
    }

    /// Stops the server in fast mode, and in immediate mode if that takes too long.
    pub fn stop(mut self) -> Result<()> {
        self.shut_down()
    }

    /// Releases the folder and leaves the server running for the next `open`.
    pub fn leave_running(mut self) {
        self.running = false;
    }

    fn shut_down(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.running) {
            return Ok(());
        }
        check_marker(&self.data.path, &self.state.cluster_id)?;
        server::stop(&self.data, &self.bins)?;
        if self.socket_dir != self.data.path {
            // The short folder under /tmp; it is made again at the next start.
            let _ = fs::remove_dir(&self.socket_dir);
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.shut_down() {
            tracing::warn!(%error, "the development cluster was not stopped");
        }
    }
}

fn check_major(data: &DataDirectory, bins: &Binaries) -> Result<()> {
    match find::made_by(&data.path) {
        Some(made_by) if made_by != bins.major.to_string() => {
            Err(ClusterError::WrongMajor { data: data.path.clone(), made_by, found: bins.major, bin: bins.dir.clone() })
        }
        _ => Ok(()),
    }
}

/// A path quoted for a POSIX shell, where it needs quotes.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-@+:".contains(&byte);
    if text.bytes().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
