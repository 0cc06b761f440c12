//! The reasons for which a command fails.

use crate::auth::token::MintError;
use crate::config::ConfigError;
use crate::shutdown::Signal;

/// The reason for which a command failed: one line for standard error.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    App(#[from] crate::app::AppError),
    #[error(transparent)]
    Migrate(#[from] crate::db::migrate::MigrateError),
    #[error(transparent)]
    Mint(#[from] MintError),
    #[error(transparent)]
    Database(#[from] crate::db::DatabaseError),
    #[error(transparent)]
    Url(#[from] crate::db::UrlError),
    #[error(transparent)]
    Tls(#[from] crate::db::TlsError),
    #[error(transparent)]
    Cluster(#[from] crate::cluster::ClusterError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Bench(#[from] crate::bench::BenchError),
    #[error(transparent)]
    Demo(#[from] crate::demo::DemoError),
    #[error(transparent)]
    Verify(#[from] crate::verify::VerifyError),
    #[error(transparent)]
    Append(#[from] crate::journal::AppendError),
    #[error(transparent)]
    Trim(#[from] crate::journal::trim::TrimError),
    #[error("line {0}: {1}; the lines before it are stored, it and those after it are not")]
    Line(u64, String),
    #[error("{2}; whether lines {0} to {1} are stored is not known, those before them are")]
    Unsure(u64, u64, String),
    #[error("stopped: {0} lines are stored")]
    Stopped(usize),
    /// A mistake in the arguments that clap cannot find.
    #[error("{0}")]
    Usage(String),
    /// In the words of whoever refused.
    #[error("{0}")]
    Said(String),
    /// It was told to end at once.
    #[error("{} again: ended at once, without waiting for what was under way", .0.name())]
    Interrupted(Signal),
    /// The command has said what there is to say.
    #[error("")]
    Told,
}

impl Failure {
    /// Whether an argument is to blame, whatever the machine, the database and the server are like.
    pub(super) fn is_usage(&self) -> bool {
        match self {
            Self::Usage(_) => true,
            Self::Mint(refused) => matches!(refused, MintError::Subject | MintError::Ttl),
            _ => false,
        }
    }
}
