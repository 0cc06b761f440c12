//! The socket below a connection, and how long it may take to come to be.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

/// The time that TCP, TLS and the upgrade may take together, and the time that the `hello` after them may take.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A socket, with or without TLS.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}
