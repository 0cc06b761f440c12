//! Where an identity provider publishes its keys, and one fetch from there: a URL or a file, with limits on size and time.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::io::AsyncReadExt;

use crate::config::ConfigError;

/// The most bytes that a source may send.
pub const MAX_KEYS_BYTES: usize = 1024 * 1024;
/// The time that a fetch may take.
pub const FETCH_LIMIT: Duration = Duration::from_secs(5);

/// The answer of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The keys, at most [`MAX_KEYS_BYTES`].
    pub body: Bytes,
    /// For how long they hold, where the source says so.
    pub max_age: Option<Duration>,
}

/// The reason for which keys could not be fetched. None of these repeats what was received.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The URL is not one that can be asked.
    #[error("its address makes no sense")]
    Address,
    /// There is no connection, no TLS, or no such file.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// A redirect, an error, or anything else that is not 200.
    #[error("it answers with status {0}")]
    Status(u16),
    /// The answer is longer than [`MAX_KEYS_BYTES`].
    #[error("it sends more than {MAX_KEYS_BYTES} bytes")]
    TooLarge,
    /// The source did not answer within [`FETCH_LIMIT`].
    #[error("it did not answer within {FETCH_LIMIT:?}")]
    Late,
    /// The answer is not HTTP, is cut off, or holds no keys.
    #[error("what it sends is broken: {0}")]
    Broken(String),
}

/// Fetches over HTTP. A trait, since `auth` does not know hyper, and tests have sources of their own.
pub trait FetchKeys: fmt::Debug + Send + Sync + 'static {
    /// Fetches from an `http://` or `https://` URL.
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Fetched, FetchError>>;
}

/// The place where keys are published.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Location {
    Url(String),
    File(PathBuf),
}

/// The source of the keys of an identity provider.
pub(super) struct KeySource {
    location: Location,
    fetcher: Arc<dyn FetchKeys>,
}

impl KeySource {
    /// Reads the setting: a URL, which this fetcher asks, or a file.
    pub(super) fn new(setting: &str, fetcher: Arc<dyn FetchKeys>) -> Result<Self, ConfigError> {
        Ok(Self { location: Location::parse(setting)?, fetcher })
    }

    /// Fetches the keys once.
    pub(super) async fn fetch(&self) -> Result<Fetched, FetchError> {
        let fetched = match &self.location {
            Location::Url(url) => tokio::time::timeout(FETCH_LIMIT, self.fetcher.fetch(url)).await,
            Location::File(path) => tokio::time::timeout(FETCH_LIMIT, read(path)).await,
        };
        fetched.unwrap_or(Err(FetchError::Late))
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.location, f)
    }
}

impl Location {
    fn parse(text: &str) -> Result<Self, ConfigError> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(Self::File(PathBuf::from(text))) };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if !matches!(scheme, "http" | "https") || authority.is_empty() || text.contains(char::is_whitespace) {
            return Err(ConfigError::new("ROWCAST_JWKS is neither a file nor a URL like https://example.com/keys"));
        }
        // The location is named in the log.
        if authority.contains('@') {
            return Err(ConfigError::new("ROWCAST_JWKS must not hold a user or password"));
        }
        Ok(Self::Url(text.to_owned()))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url.split(['?', '#']).next().unwrap_or_default()),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

async fn read(path: &Path) -> Result<Fetched, FetchError> {
    let failed = |e: std::io::Error| FetchError::Unreachable(e.to_string());
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut body = Vec::new();
    let one_more = u64::try_from(MAX_KEYS_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    file.take(one_more).read_to_end(&mut body).await.map_err(failed)?;
    if body.len() > MAX_KEYS_BYTES {
        return Err(FetchError::TooLarge);
    }
    Ok(Fetched { body: body.into(), max_age: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_file_or_a_url_and_shows_no_query() {
        let shown = |text: &str| Location::parse(text).map(|location| location.to_string()).ok();
        assert_eq!(shown("/etc/keys.json").as_deref(), Some("/etc/keys.json"));
        assert_eq!(shown("https://a.b/keys?key=secret#x").as_deref(), Some("https://a.b/keys"));
        for bad in ["ftp://a/b", "file:///a", "https://", "https:///keys", "https://u:p@a/keys", "http://a /b"] {
            assert_eq!(shown(bad), None, "{bad}");
        }
    }
}
