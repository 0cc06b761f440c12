//! The errors of the development cluster. The person at the terminal sees nothing but the message, so each says what was found,
//! what was left alone, and what to do next.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    #[error(
        "ROWCAST_PG_BIN is {dir}, but {why}. Point it at the folder that holds initdb, pg_ctl and postgres, or unset it"
    )]
    PgBin { dir: PathBuf, why: String },

    #[error(
        "no Postgres server programs (initdb, pg_ctl, postgres) found. Install Postgres 14 or newer: \
         `apt-get install postgresql` (Debian, Ubuntu), `dnf install postgresql-server` (Fedora, RHEL), \
         `brew install postgresql@17` (macOS); or start with `scripts/run`, which fetches it, also without root; \
         or set ROWCAST_PG_BIN to the folder that holds them. Looked in: {looked}"
    )]
    NotFound { looked: String },

    #[error(
        "found Postgres {version} in {dir}, but Rowcast needs 14 or newer. Install a newer one beside it, \
         or set ROWCAST_PG_BIN to the folder of a newer one"
    )]
    TooOld { dir: PathBuf, version: String },

    #[error("{program} does not run: {why}. Reinstall Postgres, or set ROWCAST_PG_BIN to another folder")]
    Broken { program: PathBuf, why: String },

    #[error(
        "Postgres refuses to run as root, and user {user} may not run {program}. Install Postgres system-wide, \
         or make that path executable for {user}"
    )]
    NotExecutable { user: String, program: PathBuf },

    #[error(
        "Postgres refuses to run as root, and there is neither a user `postgres` nor `nobody` to run it as. \
         Create one (`useradd --system postgres`), or start as a normal user"
    )]
    NoAccount,

    #[error(
        "another `rowcast dev` {} already uses {dir}. Stop that one first, or work in another folder",
        holder(*.pid)
    )]
    Busy { dir: PathBuf, pid: Option<u32> },

    #[error(
        "{data} is not the cluster of this folder ({why}); it was left untouched. Move it away, \
         or, if it is yours to lose, remove it together with dev.json beside it"
    )]
    Foreign { data: PathBuf, why: String },

    #[error("{data} belongs to {owner}, and you are {you}. Start as that user (or as root), or use another checkout")]
    Owner { data: PathBuf, owner: String, you: String },

    #[error("user {user}, who owns the cluster, cannot enter {data}. Make the folders above it passable (chmod a+x)")]
    Shut { user: String, data: PathBuf },

    #[error(
        "{data} was made by Postgres {made_by}, and {bin} is Postgres {found}. Set ROWCAST_PG_BIN to the folder of \
         Postgres {made_by}, or start afresh with `scripts/clean --data`"
    )]
    WrongMajor { data: PathBuf, made_by: String, found: u32, bin: PathBuf },

    #[error("{path} cannot be read as the state of a development cluster: {source}. Restore it, or move .rowcast away")]
    State { path: PathBuf, source: serde_json::Error },

    #[error("initdb failed: {why}")]
    Initdb { why: String },

    #[error("Postgres did not start. The last lines of {log}:\n{tail}")]
    Start { log: PathBuf, tail: String },

    #[error(
        "Postgres runs but does not answer yet ({why}); it may still be recovering and was left running. \
         Start again to go on waiting; {log} says how far it is"
    )]
    NotReady { why: String, log: PathBuf },

    #[error("Postgres did not stop, neither fast nor at once (pid {pid}): {why}")]
    Stop { pid: i32, why: String },

    #[error("the development cluster refused the login: {0}")]
    Login(#[source] tokio_postgres::Error),

    #[error("no random bytes from the system: {0}")]
    Random(getrandom::Error),

    #[error("cannot {act} {path}: {source}")]
    Io { act: &'static str, path: PathBuf, source: io::Error },
}

pub type Result<T, E = ClusterError> = std::result::Result<T, E>;

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "(its pid is not known yet)".to_owned(), |pid| format!("(pid {pid})"))
}

/// Adds the attempted action and the path to an I/O error, whose own text names neither.
pub(super) fn io<T>(act: &'static str, path: &Path, result: io::Result<T>) -> Result<T> {
    result.map_err(|source| ClusterError::Io { act, path: path.to_path_buf(), source })
}
