//! The parts that every end of a TLS connection needs: the cryptography, the trusted authorities, certificates and keys of PEM files.
//!
//! The checks of each `sslmode` of Postgres stand in `db`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// A PEM file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {}: {reason}", path.display())]
pub struct PemError {
    path: PathBuf,
    reason: String,
}

impl PemError {
    fn new(path: &Path, reason: impl ToString) -> Self {
        Self { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// The one implementation of cryptography.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The authorities that this machine trusts; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others. Empty if it trusts none.
pub fn machine_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// Adds the certificates of a PEM file to the trusted authorities, and returns them.
pub fn add_roots(roots: &mut RootCertStore, path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let chain = read_chain(path)?;
    for certificate in &chain {
        roots.add(certificate.clone()).map_err(|error| PemError::new(path, error))?;
    }
    Ok(chain)
}

/// The client side that trusts these authorities and shows no certificate of its own.
pub fn client_config(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Reads the certificates of a PEM file, at least one.
pub fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match chain {
        Ok(chain) if chain.is_empty() => Err(PemError::new(path, "it holds no certificate")),
        Ok(chain) => Ok(chain),
        Err(error) => Err(PemError::new(path, error)),
    }
}

/// Reads the private key of a PEM file.
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| PemError::new(path, error))
}
