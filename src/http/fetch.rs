//! Fetching the keys of an identity provider: one GET, with nothing around it that could be turned against us. No
//! redirects, since the place is what makes keys believed; no proxy, no cookies, no compression; a limit on size and time.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, select};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AGE, CACHE_CONTROL, HOST, USER_AGENT};
use hyper::{HeaderMap, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::auth::{FETCH_LIMIT, FetchError, FetchKeys, Fetched, MAX_KEYS_BYTES};
use crate::tls::{client_config, machine_roots};

/// Fetches over HTTP/1.1, with or without TLS.
#[derive(Clone, Default)]
pub struct HttpFetch {
    /// Made at the first need: most servers never fetch over TLS, and the authorities of a machine are many.
    tls: OnceLock<Arc<ClientConfig>>,
}

impl fmt::Debug for HttpFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpFetch")
    }
}

/// The parts of a URL that a request needs.
struct Address {
    encrypted: bool,
    host: String,
    port: u16,
    authority: String,
    path: String,
}

impl HttpFetch {
    /// Believes the authorities that the machine trusts; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
    pub fn new() -> Self {
        Self::default()
    }

    /// Believes these authorities and no others.
    pub fn with_roots(roots: RootCertStore) -> Result<Self, rustls::Error> {
        Ok(Self { tls: OnceLock::from(Arc::new(client_config(roots)?)) })
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, FetchError> {
        if let Some(config) = self.tls.get() {
            return Ok(Arc::clone(config));
        }
        let roots = machine_roots();
        if roots.is_empty() {
            return Err(unreachable("this machine trusts no certificate authorities: install ca-certificates"));
        }
        let config = client_config(roots).map_err(unreachable)?;
        Ok(Arc::clone(self.tls.get_or_init(|| Arc::new(config))))
    }

    async fn get(&self, url: &str) -> Result<Fetched, FetchError> {
        let address = Address::parse(url)?;
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(unreachable)?;
        if !address.encrypted {
            return ask(stream, &address).await;
        }
        let name = ServerName::try_from(address.host.clone()).map_err(|_| FetchError::Address)?;
        let stream = TlsConnector::from(self.tls()?).connect(name, stream).await.map_err(unreachable)?;
        ask(stream, &address).await
    }
}

impl FetchKeys for HttpFetch {
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        async move { tokio::time::timeout(FETCH_LIMIT, self.get(url)).await.unwrap_or(Err(FetchError::Late)) }.boxed()
    }
}

fn unreachable(why: impl fmt::Display) -> FetchError {
    FetchError::Unreachable(why.to_string())
}

fn broken(why: impl fmt::Display) -> FetchError {
    FetchError::Broken(why.to_string())
}

impl Address {
    fn parse(url: &str) -> Result<Self, FetchError> {
        let uri: Uri = url.parse().map_err(|_| FetchError::Address)?;
        let encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(FetchError::Address),
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or(FetchError::Address)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { encrypted, host, port, authority: authority.to_string(), path })
    }

    fn request(&self) -> Result<Request<Empty<Bytes>>, FetchError> {
        Request::get(&self.path)
            .header(HOST, &self.authority)
            .header(USER_AGENT, concat!("rowcast/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json")
            .body(Empty::new())
            .map_err(|_| FetchError::Address)
    }
}

/// Asks over a connection that is used for nothing else.
async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: &Address,
) -> Result<Fetched, FetchError> {
    let request = address.request()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let answer = Box::pin(async move { read(sender.send_request(request).await.map_err(broken)?).await });
    // The connection must be driven for the answer to come. It may end first, with the answer in a buffer.
    match select(answer, connection).await {
        Either::Left((answer, _connection)) => answer,
        Either::Right((_ended, answer)) => answer.await,
    }
}

async fn read(response: Response<Incoming>) -> Result<Fetched, FetchError> {
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let max_age = max_age(response.headers());
    let body = Limited::new(response.into_body(), MAX_KEYS_BYTES)
        .collect()
        .await
        .map_err(|error| if error.is::<LengthLimitError>() { FetchError::TooLarge } else { broken(error) })?;
    Ok(Fetched { body: body.to_bytes(), max_age })
}

/// For how long an answer holds, as `Cache-Control` and `Age` say. One that must not be stored holds for no time.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|line| line.to_str().ok());
    let mut stated = None;
    for directive in lines.flat_map(|line| line.split(',')).map(|word| word.trim().to_ascii_lowercase()) {
        if directive == "no-store" || directive == "no-cache" {
            return Some(Duration::ZERO);
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            // One that is no number is taken for the shortest.
            stated = Some(seconds.trim_matches('"').parse().unwrap_or(0));
        }
    }
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()).and_then(|age| age.trim().parse().ok()).unwrap_or(0);
    stated.map(|seconds: u64| Duration::from_secs(seconds.saturating_sub(age)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    #[test]
    fn the_age_of_an_answer_is_read_as_caches_read_it() {
        let age = |lines: &[(HeaderName, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(name.clone(), HeaderValue::from_static(value));
            }
            max_age(&headers).map(|age| age.as_secs())
        };
        assert_eq!(age(&[]), None);
        assert_eq!(age(&[(CACHE_CONTROL, "public, max-age=19631, must-revalidate, no-transform")]), Some(19_631));
        assert_eq!(age(&[(CACHE_CONTROL, "Public"), (CACHE_CONTROL, "Max-Age=\"100\""), (AGE, "40")]), Some(60));
        assert_eq!(age(&[(CACHE_CONTROL, "max-age=100"), (AGE, "4000")]), Some(0));
        assert_eq!(age(&[(CACHE_CONTROL, "s-maxage=100")]), None);
        assert_eq!(age(&[(CACHE_CONTROL, "max-age=-5")]), Some(0));
        assert_eq!(age(&[(CACHE_CONTROL, "max-age=99999999999999999999999")]), Some(0));
        assert_eq!(age(&[(CACHE_CONTROL, "max-age=100, no-store")]), Some(0));
    }

    #[test]
    fn an_address_is_taken_apart() {
        let parts = |url: &str| {
            let a = Address::parse(url).ok()?;
            Some((a.encrypted, a.host, a.port, a.authority, a.path))
        };
        let of = |encrypted, host: &str, port, authority: &str, path: &str| {
            Some((encrypted, host.to_owned(), port, authority.to_owned(), path.to_owned()))
        };
        assert_eq!(parts("https://a.b/c?d=e"), of(true, "a.b", 443, "a.b", "/c?d=e"));
        assert_eq!(parts("http://a.b"), of(false, "a.b", 80, "a.b", "/"));
        assert_eq!(parts("http://[::1]:81/x"), of(false, "::1", 81, "[::1]:81", "/x"));
        for bad in ["", "a.b", "/c", "ftp://a.b", "https://u:p@a.b/", "https://a b/", "http:///x"] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }
}
