//! Configuration: flags and environment are one source, checked whole before anything starts.
//!
//! [`settings::SETTINGS`] is the table of what there is; [`Source`] holds the texts, a flag before the environment;
//! the structs hold the values, one for each concern.

mod relay;
mod secret;
mod settings;
mod source;
mod values;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

pub use relay::{RelayConfig, RelayPart};
pub use secret::Secret;
pub use settings::{SETTINGS, Setting, TOOL_VARIABLES, find};
pub use source::{ConfigError, LogConfig, MIN_JWT_SECRET_BYTES, Source};
pub use values::{Rate, duration};

/// All that a server needs to know.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where Postgres is.
    pub database_url: Secret,
    /// Connections to Postgres for requests.
    pub db_pool: usize,
    /// The doors.
    pub http: HttpConfig,
    /// The keys and claims by which tokens are checked.
    pub tokens: TokenConfig,
    /// Rate limits and what they count by.
    pub limits: LimitConfig,
    /// Streams and pages.
    pub streams: StreamConfig,
    /// The copy of the journal in Redis, if this node writes or reads it.
    pub relay: Option<RelayConfig>,
    /// A standby for older pages.
    pub replica_url: Option<Secret>,
    /// How long a shutdown waits for what is under way.
    pub drain: Duration,
}

/// Listening, connections and TLS.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// How many clients may be connected at once.
    pub max_sessions: usize,
    /// How many connections one address may have at once.
    pub connections_per_address: usize,
    /// Certificate chain and key, both or none.
    pub tls: Option<TlsFiles>,
    /// Other origins whose pages may connect.
    pub allowed_origins: Vec<String>,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// Files of the server's own certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM certificate chain.
    pub cert: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
}

/// Whose tokens are believed.
#[derive(Debug, Clone)]
pub struct TokenConfig {
    /// The HS256 secret.
    pub secret: Option<Secret>,
    /// URL or file of an identity provider's keys.
    pub jwks: Option<String>,
    /// The Firebase project.
    pub firebase_project: Option<String>,
    /// The required `iss`.
    pub issuer: Option<String>,
    /// The required `aud`.
    pub audience: Option<String>,
}

/// Rate limits.
#[derive(Debug, Clone)]
pub struct LimitConfig {
    /// Where they are shared.
    pub redis_url: Option<Secret>,
    /// By class of request: `public`, `private`, `connect`, `append`, `chat`, `snapshot`.
    pub rates: BTreeMap<String, Rate>,
    /// How many sessions one subject may have at once, on each node.
    pub sessions_per_subject: usize,
}

/// Streams and pages.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    /// Whether the public streams are open.
    pub public: bool,
    /// How often a stream shows that it is alive.
    pub heartbeat: Duration,
    /// How long a client may take nothing before it is closed.
    pub write_stall: Duration,
    /// Memory for pages, in bytes.
    pub page_cache: u64,
    /// How many snapshots are read at once.
    pub snapshots: usize,
    /// How long a session may idle in a transaction that holds the stream back before it is ended; for ever if unset.
    pub blocker_limit: Option<Duration>,
    /// More names of keys whose values are hidden.
    pub redact: Vec<String>,
}

impl ServerConfig {
    /// Reads and checks everything, so that a bad value stops the start and not the tenth request.
    pub fn read(source: &Source) -> Result<Self, ConfigError> {
        let seconds = Duration::from_secs;
        let within = |low, high| move |text: &str| values::duration_within(text, low, high);
        let limits = LimitConfig::read(source)?;
        Ok(Self {
            database_url: source.database_url()?,
            db_pool: source.required("ROWCAST_DB_POOL", |t| values::count(t, 1, 1000))?,
            http: HttpConfig::read(source)?,
            tokens: TokenConfig::read(source)?,
            relay: RelayConfig::read(source, limits.redis_url.as_ref())?,
            replica_url: source.optional("ROWCAST_REPLICA_URL", |text| Ok(Secret::new(text)))?,
            limits,
            streams: StreamConfig {
                public: source.required("ROWCAST_PUBLIC_STREAM", values::switch)?,
                heartbeat: source.required("ROWCAST_HEARTBEAT", within(Duration::from_millis(100), seconds(300)))?,
                write_stall: source
                    .required("ROWCAST_WRITE_STALL", within(Duration::from_millis(100), seconds(300)))?,
                page_cache: source.required("ROWCAST_PAGE_CACHE", values::size)?,
                snapshots: source.required("ROWCAST_SNAPSHOTS", |t| values::count(t, 1, 100))?,
                blocker_limit: source.optional("ROWCAST_BLOCKER_LIMIT", within(seconds(1), seconds(86_400)))?,
                redact: source.redact()?,
            },
            drain: source.required("ROWCAST_DRAIN", within(Duration::from_millis(100), seconds(3600)))?,
        })
    }
}

impl HttpConfig {
    fn read(source: &Source) -> Result<Self, ConfigError> {
        let file = |text: &str| Ok(PathBuf::from(text));
        let cert = source.optional("ROWCAST_TLS_CERT", file)?;
        let key = source.optional("ROWCAST_TLS_KEY", file)?;
        let tls = match (cert, key) {
            (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
            (None, None) => None,
            (Some(_), None) => return Err(ConfigError::new("ROWCAST_TLS_CERT is set, but ROWCAST_TLS_KEY is not")),
            (None, Some(_)) => return Err(ConfigError::new("ROWCAST_TLS_KEY is set, but ROWCAST_TLS_CERT is not")),
        };
        Ok(Self {
            listen: source.required("ROWCAST_LISTEN", values::address)?,
            max_sessions: source.required("ROWCAST_MAX_SESSIONS", |t| values::count(t, 1, 1_000_000))?,
            connections_per_address: source
                .required("ROWCAST_CONNECTIONS_PER_ADDRESS", |t| values::count(t, 1, 1_000_000))?,
            tls,
            allowed_origins: source
                .optional("ROWCAST_ALLOWED_ORIGINS", |t| values::list(t, values::origin))?
                .unwrap_or_default(),
            trusted_proxies: source
                .optional("ROWCAST_TRUSTED_PROXIES", |t| values::list(t, values::network))?
                .unwrap_or_default(),
        })
    }
}

impl TokenConfig {
    /// Reads and checks what concerns tokens, which needs no other setting.
    pub fn read(source: &Source) -> Result<Self, ConfigError> {
        let (issuer, audience) = source.issuer_and_audience()?;
        let tokens = Self {
            secret: source.jwt_secret()?,
            jwks: source.optional("ROWCAST_JWKS", |text| Ok(text.to_owned()))?,
            firebase_project: source.optional("ROWCAST_FIREBASE_PROJECT", |text| {
                let fits = (1..=64).contains(&text.len())
                    && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
                if fits { Ok(text.to_owned()) } else { Err(format!("is not a project id: {text:?}")) }
            })?,
            issuer,
            audience,
        };
        if tokens.secret.is_none() && tokens.jwks.is_none() && tokens.firebase_project.is_none() {
            return Err(ConfigError::new(
                "no key for tokens: set ROWCAST_JWT_SECRET (at least 32 bytes), ROWCAST_JWKS or ROWCAST_FIREBASE_PROJECT",
            ));
        }
        if tokens.jwks.is_some() && tokens.firebase_project.is_none() {
            for (name, value) in [("ROWCAST_JWT_ISSUER", &tokens.issuer), ("ROWCAST_JWT_AUDIENCE", &tokens.audience)] {
                if value.is_none() {
                    return Err(ConfigError(format!("{name} is required with ROWCAST_JWKS")));
                }
            }
        }
        Ok(tokens)
    }
}

impl LimitConfig {
    const CLASSES: [&'static str; 7] = ["public", "private", "connect", "append", "chat", "snapshot", "pages"];

    fn read(source: &Source) -> Result<Self, ConfigError> {
        let redis_url = source.optional("ROWCAST_REDIS_URL", relay::redis_url)?;
        // A list that names only some classes changes those and leaves the others at their defaults.
        let mut rates = BTreeMap::new();
        if let Some(default) = find("ROWCAST_RATE_LIMITS").and_then(|s| s.default) {
            rates.extend(values::list(default, Self::class_rate).map_err(ConfigError)?);
        }
        rates.extend(source.required("ROWCAST_RATE_LIMITS", |t| values::list(t, Self::class_rate))?);
        let sessions_per_subject =
            source.required("ROWCAST_SESSIONS_PER_SUBJECT", |t| values::count(t, 1, 1_000_000))?;
        Ok(Self { redis_url, rates, sessions_per_subject })
    }

    fn class_rate(text: &str) -> Result<(String, Rate), String> {
        let (class, rate) = text.split_once('=').ok_or_else(|| format!("is not a list like public=120/m: {text:?}"))?;
        if !Self::CLASSES.contains(&class) {
            return Err(format!("names {class:?}, which is not one of {}", Self::CLASSES.join(", ")));
        }
        Ok((class.to_owned(), values::rate(rate)?))
    }
}

#[cfg(test)]
mod tests;
