//! From an address to an open socket: TCP, TLS, and the upgrade, within one time limit.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::Error;
use super::connection::Connection;
use super::endpoint::{Endpoint, Selection, Start};
use super::socket::{CONNECT_LIMIT, Socket};
use super::upgrade::UpgradeRequest;
use crate::config::Secret;
use crate::tls::{PemError, add_roots, client_config, machine_roots};

/// The largest message: an event of 256 KiB with all that may stand around it fits.
const MAX_MESSAGE: usize = 1 << 20;
/// The size of the read buffer: small, since a load test has thousands of connections. It grows for a larger message.
const READ_BUFFER: usize = 4 << 10;

/// Connects to one server, with the authorities that may vouch for its certificate. Clones share the authorities.
#[derive(Clone)]
pub struct Connector {
    endpoint: Endpoint,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// The reason for which TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file of authorities cannot be used.
    #[error(transparent)]
    File(#[from] PemError),
    /// The machine trusts no authority.
    #[error("this machine has no trusted certificate authorities: install ca-certificates or name a file of them")]
    NoRoots,
    /// The host is neither a name nor an address.
    #[error("no certificate can be for the host {0:?}")]
    Host(String),
    /// rustls refuses the configuration.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

impl Connector {
    /// Connects to this address. Its certificate is checked against the authorities of the machine, and those of a PEM
    /// file beside them if one is named.
    pub fn new(endpoint: Endpoint, authorities: Option<&Path>) -> Result<Self, TrustError> {
        let tls = if endpoint.is_secure() {
            let host = endpoint.host().to_owned();
            let name = ServerName::try_from(host.clone()).map_err(|_| TrustError::Host(host))?;
            Some((TlsConnector::from(Arc::new(tls_config(authorities)?)), name))
        } else {
            None
        };
        Ok(Self { endpoint, tls })
    }

    /// The address that it connects to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// One attempt, up to the server's `hello`.
    pub async fn connect(
        &self,
        start: &Start,
        selection: &Selection,
        token: Option<&Secret>,
    ) -> Result<Connection, Error> {
        let request = UpgradeRequest::new(&self.endpoint, start, selection, token)?;
        let opening = async { request.send(self.dial().await?).await };
        let opened = tokio::time::timeout(CONNECT_LIMIT, opening).await;
        let (socket, read_ahead) = opened.map_err(|_| Error::Timeout(CONNECT_LIMIT))??;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            // Messages of a client are small and rare, so each is written at once.
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let socket = WebSocketStream::from_partially_read(socket, read_ahead, Role::Client, Some(config)).await;
        let resumed_after = if let Start::After(cursor) = start { Some(cursor.seq) } else { None };
        Connection::begin(socket, resumed_after).await
    }

    /// TCP, and TLS where it is spoken.
    pub(super) async fn dial(&self) -> Result<Box<dyn Socket>, Error> {
        let address = (self.endpoint.host(), self.endpoint.port());
        let tcp = TcpStream::connect(address).await.map_err(Error::Connect)?;
        tcp.set_nodelay(true).map_err(Error::Connect)?;
        Ok(match &self.tls {
            None => Box::new(tcp),
            Some((tls, name)) => Box::new(tls.connect(name.clone(), tcp).await.map_err(tls_error)?),
        })
    }
}

/// The error of a TLS handshake. A refused certificate is final; a broken connection is worth another try.
fn tls_error(error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::InvalidData { Error::Tls(error) } else { Error::Connect(error) }
}

fn tls_config(authorities: Option<&Path>) -> Result<ClientConfig, TrustError> {
    let mut roots = machine_roots();
    if let Some(path) = authorities {
        add_roots(&mut roots, path)?;
    }
    if roots.is_empty() {
        return Err(TrustError::NoRoots);
    }
    Ok(client_config(roots)?)
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
