//! TLS to Postgres with rustls: what each `sslmode` checks.
//!
//! | mode | the certificate's authority | its host name |
//! |---|---|---|
//! | prefer, require without a root | not checked | not checked |
//! | require with a root, verify-ca | checked | not checked |
//! | verify-full | checked | checked |
//!
//! The root is `sslrootcert`, else `~/.postgresql/root.crt` where that exists, else (for the verify modes) the
//! authorities that the machine trusts; `sslrootcert=system` always means those.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::url::{SslFiles, SslMode};
use crate::tls::{PemError, add_roots, machine_roots, provider, read_chain, read_key};

/// Why TLS to Postgres cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate or key file cannot be used.
    #[error(transparent)]
    File(#[from] PemError),
    /// The machine trusts no authority.
    #[error("this machine has no trusted certificate authorities: install ca-certificates or name sslrootcert")]
    NoRoots,
    /// rustls refuses the configuration.
    #[error("TLS to Postgres cannot be set up: {0}")]
    Rustls(#[from] Error),
}

/// The rustls configuration of a mode that may use TLS.
pub(super) fn client_config(mode: SslMode, files: &SslFiles) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let home = std::env::home_dir().map(|home| home.join(".postgresql/root.crt")).filter(|path| path.is_file());
    let root = files.root.clone().or(home);
    let verifier = Verifier::new(mode, root.as_deref(), &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => Ok(builder.with_client_auth_cert(read_chain(cert)?, read_key(key)?)?),
        _ => Ok(builder.with_no_client_auth()),
    }
}

/// Checks the server's certificate as the mode asks for.
#[derive(Debug)]
struct Verifier {
    /// The trusted authority; without one every certificate is accepted.
    authority: Option<Authority>,
    checks_host_name: bool,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct Authority {
    chain: Arc<WebPkiServerVerifier>,
    /// Certificates named as roots. A self-signed server certificate that is its own root is what many Postgres
    /// guides make; OpenSSL takes it, webpki does not take a root as a server, so it is compared as a whole.
    pinned: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn new(mode: SslMode, root: Option<&Path>, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let verifying = matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull);
        let checked = verifying || (mode == SslMode::Require && root.is_some());
        let authority = if checked { Some(Authority::new(root, provider)?) } else { None };
        Ok(Self { authority, checks_host_name: mode == SslMode::VerifyFull, provider: Arc::clone(provider) })
    }
}

impl Authority {
    fn new(root: Option<&Path>, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let (roots, pinned) = match root.filter(|path| *path != Path::new("system")) {
            Some(path) => {
                let mut roots = RootCertStore::empty();
                let pinned = add_roots(&mut roots, path)?;
                (roots, pinned)
            }
            None => (machine_roots(), Vec::new()),
        };
        if roots.is_empty() {
            return Err(TlsError::NoRoots);
        }
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|e| TlsError::Rustls(Error::General(e.to_string())))?;
        Ok(Self { chain, pinned })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authority) = &self.authority else { return Ok(ServerCertVerified::assertion()) };
        if authority.pinned.iter().any(|cert| cert.as_ref() == end_entity.as_ref()) {
            if self.checks_host_name {
                rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        // webpki checks the name last, so an error about the name means that the rest is valid.
        match authority.chain.verify_server_cert(end_entity, intermediates, server_name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.checks_host_name => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
