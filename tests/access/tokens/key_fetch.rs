//! Fetching over HTTP, from servers that do it right and wrong.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rowcast::auth::{FetchError, FetchKeys, Fetched, MAX_KEYS_BYTES};
use rowcast::http::HttpFetch;
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use super::key_server::{KeyServer, ok, with_headers};

async fn fetch(answer: impl AsRef<[u8]>) -> Result<Fetched, FetchError> {
    let server = KeyServer::start(answer.as_ref().to_vec()).await;
    HttpFetch::new().fetch(&server.url()).await
}

#[tokio::test]
async fn a_body_and_its_age_are_fetched_with_one_plain_request() {
    let server = KeyServer::start(with_headers("Cache-Control: public, max-age=100\r\nAge: 40\r\n", "{}")).await;
    let fetched = HttpFetch::new().fetch(&server.url()).await.unwrap();
    assert_eq!((&fetched.body[..], fetched.max_age), (&b"{}"[..], Some(Duration::from_secs(60))));
    let requests = server.requests();
    let lines: Vec<_> = requests[0].trim_end().split("\r\n").collect();
    let host = format!("host: {}", server.address);
    let agent = concat!("user-agent: rowcast/", env!("CARGO_PKG_VERSION"));
    assert_eq!(lines, ["GET /keys?of=test HTTP/1.1", &host, agent, "accept: application/json"]);
    assert_eq!(requests.len(), 1);
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n";
    assert_eq!(fetch(chunked).await.unwrap(), Fetched { body: "{}".into(), max_age: None });
    assert_eq!(fetch("HTTP/1.1 200 OK\r\n\r\nto the end").await.unwrap().body, "to the end");
}

#[tokio::test]
async fn only_200_is_an_answer_and_a_redirect_is_not_followed() {
    let goal = KeyServer::start(ok("{}")).await;
    for status in [201, 204, 301, 302, 303, 304, 307, 308, 400, 404, 500, 503] {
        let head = format!("HTTP/1.1 {status} X\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", goal.url());
        assert_eq!(fetch(head).await, Err(FetchError::Status(status)));
    }
    assert_eq!(goal.connections(), 0);
}

#[tokio::test]
async fn the_size_is_limited_however_it_is_told() {
    let exact = "x".repeat(MAX_KEYS_BYTES);
    assert_eq!(fetch(ok(&exact)).await.unwrap().body.len(), MAX_KEYS_BYTES);
    let over = "x".repeat(MAX_KEYS_BYTES + 1);
    assert_eq!(fetch(ok(&over)).await, Err(FetchError::TooLarge));
    assert_eq!(fetch(format!("HTTP/1.1 200 OK\r\n\r\n{over}")).await, Err(FetchError::TooLarge));
    let chunked =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{over}\r\n0\r\n\r\n", over.len());
    assert_eq!(fetch(chunked).await, Err(FetchError::TooLarge));
}

#[tokio::test]
async fn what_is_broken_is_refused() {
    let headers = "x: y\r\n".repeat(1000);
    for answer in [
        "not HTTP at all\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{} ".to_owned(),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-le".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{headers}content-length: 2\r\n\r\n{{}}"),
    ] {
        let fetched = fetch(&answer).await;
        assert!(matches!(fetched, Err(FetchError::Broken(_))), "{answer:.80}: {fetched:?}");
    }
    // One that lies the other way is cut where it said.
    let cut = fetch("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{}").await;
    assert_eq!(cut.map(|fetched| fetched.body), Ok("{".into()));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_is_given_up() {
    assert_eq!(fetch("").await, Err(FetchError::Late));
}

#[tokio::test]
async fn a_place_that_cannot_be_asked_is_told() {
    let address = KeyServer::start(Vec::new()).await.address;
    let nobody = HttpFetch::new().fetch(&format!("http://{address}/")).await;
    assert!(matches!(nobody, Err(FetchError::Unreachable(_) | FetchError::Broken(_))), "{nobody:?}");
    for url in ["", "/keys", "ftp://127.0.0.1/", "http://u:p@127.0.0.1/"] {
        assert_eq!(HttpFetch::new().fetch(url).await, Err(FetchError::Address), "{url}");
    }
}

// ---- TLS -----------------------------------------------------------------------------------------------------------

/// A server with a certificate for this name, and the authority that issued it.
async fn tls_server(name: &str) -> (KeyServer, RootCertStore) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let server = KeyServer::start_with(ok("{}"), Some(TlsAcceptor::from(Arc::new(config)))).await;
    (server, roots)
}

async fn fetch_tls(server: &KeyServer, roots: RootCertStore) -> Result<Fetched, FetchError> {
    HttpFetch::with_roots(roots).unwrap().fetch(&server.url().replace("http://", "https://")).await
}

#[tokio::test]
async fn over_tls_the_authority_and_the_name_are_checked() {
    let (server, roots) = tls_server("127.0.0.1").await;
    assert_eq!(fetch_tls(&server, roots.clone()).await.map(|fetched| fetched.body), Ok("{}".into()));
    let (misnamed, its_roots) = tls_server("example.com").await;
    for (server, roots, what) in [(&misnamed, its_roots, "the name"), (&misnamed, roots.clone(), "the authority")] {
        let refused = fetch_tls(server, roots).await;
        assert!(matches!(refused, Err(FetchError::Unreachable(_))), "{what}: {refused:?}");
        assert!(server.requests().is_empty(), "{what}");
    }
    // One that speaks nothing but TLS.
    assert!(HttpFetch::with_roots(roots).unwrap().fetch(&server.url()).await.is_err());
    // The authorities of this machine do not know it.
    let unknown = HttpFetch::new().fetch(&server.url().replace("http://", "https://")).await;
    assert!(matches!(unknown, Err(FetchError::Unreachable(_))), "{unknown:?}");
}
