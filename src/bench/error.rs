//! The reasons for which nothing could be measured.

/// The reason for which nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The database did not answer, or refused.
    #[error(transparent)]
    Database(#[from] crate::db::DatabaseError),
    /// The URL of the server cannot be read.
    #[error(transparent)]
    Url(#[from] crate::db::UrlError),
    /// The certificates that the URL names cannot be read.
    #[error(transparent)]
    Tls(#[from] crate::db::TlsError),
    /// The schema could not be made.
    #[error(transparent)]
    Migrate(#[from] crate::db::migrate::MigrateError),
    /// The cluster to measure on could not be made.
    #[error(transparent)]
    Cluster(#[from] crate::cluster::ClusterError),
    /// A file, a socket or a process failed, or what was measured is too little.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}
