//! How Redis is reached, for whoever asks it: rate limits and the relay.

use redis::{Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisError};

use crate::config::Secret;

/// The client for a URL. Its errors do not repeat the URL.
pub fn redis_client(url: &Secret) -> Result<Client, RedisError> {
    let info = url.expose().into_connection_info()?;
    if matches!(info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
        return Err((ErrorKind::InvalidClientConfig, "certificates are verified, #insecure is not known").into());
    }
    // A command is one small packet that somebody waits for.
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    Client::open(info.set_tcp_settings(tcp))
}
