//! Configuration: flags and environment are one source, checked whole before anything starts.
//!
//! [`settings::SETTINGS`] is the table of what there is; [`Source`] holds the texts, a flag before the environment;
//! the structs hold the values, one for each concern.

mod secret;
mod settings;
mod values;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

pub use secret::Secret;
pub use settings::{SETTINGS, Setting, TOOL_VARIABLES, find};
pub use values::{Rate, duration};

/// A secret shorter than this can be guessed offline from one token.
pub const MIN_JWT_SECRET_BYTES: usize = 32;

/// Why a configuration is refused: one line that names the setting as the user wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    /// An error in this line.
    pub fn new(line: impl Into<String>) -> Self {
        Self(line.into())
    }
}

/// The texts of all settings, from flags and environment.
#[derive(Debug, Clone, Default)]
pub struct Source {
    environment: HashMap<String, Secret>,
    flags: HashMap<&'static str, Secret>,
    /// Where the development server listens, for a command that works on its cluster.
    development_server: Option<String>,
}

impl Source {
    /// Takes the environment (all of it) and the flags (by the name of their variable). A variable that begins with
    /// `ROWCAST_` and is not known is refused: a misspelt limit must not silently be none. An empty one is unset.
    pub fn new(
        environment: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Self, ConfigError> {
        let mut kept = HashMap::new();
        let mut unknown: Vec<String> = Vec::new();
        for (name, value) in environment {
            if find(&name).is_some() {
                if !value.is_empty() {
                    kept.insert(name, Secret::new(value));
                }
            } else if name.starts_with("ROWCAST_") && !TOOL_VARIABLES.contains(&name.as_str()) {
                unknown.push(name);
            }
        }
        unknown.sort_unstable();
        if let Some(name) = unknown.first() {
            let hint = closest(name).map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
            return Err(ConfigError(format!("{name} is not a known setting{hint}")));
        }
        let flags = flags.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        Ok(Self { environment: kept, flags, development_server: None })
    }

    /// This source with a setting that the command itself chooses, over flags and environment.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.flags.insert(name, Secret::new(value));
        self
    }

    /// This source with a value for a setting that neither a flag nor the environment gives.
    pub fn with_default(self, name: &'static str, value: &str) -> Self {
        if self.is_set(name) { self } else { self.with(name, value) }
    }

    /// Settings for the development cluster whose server listens, or has listened, at this address.
    pub fn beside(mut self, server_url: Option<String>) -> Self {
        self.development_server = server_url;
        self
    }

    /// Where the development server listens, if the settings are those of its cluster and it has ever served.
    pub fn development_server(&self) -> Option<&str> {
        self.development_server.as_deref()
    }

    /// The text of a setting, or its default.
    fn text(&self, name: &str) -> Option<&str> {
        let set = self.flags.get(name).or_else(|| self.environment.get(name)).map(Secret::expose);
        set.or_else(|| find(name).and_then(|s| s.default))
    }

    /// How the user wrote the name: as a flag or as a variable.
    fn spelled(&self, name: &str) -> String {
        match (self.flags.contains_key(name), find(name)) {
            (true, Some(setting)) => format!("--{}", setting.flag()),
            _ => name.to_owned(),
        }
    }

    fn optional<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, ConfigError> {
        self.text(name)
            .map(|text| parse(text).map_err(|why| ConfigError(format!("{} {why}", self.spelled(name)))))
            .transpose()
    }

    fn required<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, ConfigError> {
        self.optional(name, parse)?.ok_or_else(|| ConfigError(format!("{name} is not set")))
    }

    /// The URL of the database, unparsed: `db` knows its grammar.
    pub fn database_url(&self) -> Result<Secret, ConfigError> {
        self.required("DATABASE_URL", |text| Ok(Secret::new(text)))
    }

    /// Whether a setting was given at all, by flag or environment.
    pub fn is_set(&self, name: &str) -> bool {
        self.flags.contains_key(name) || self.environment.contains_key(name)
    }

    /// Whether a setting was given by flag.
    pub fn is_flag(&self, name: &str) -> bool {
        self.flags.contains_key(name)
    }

    /// The HS256 secret, if there is one.
    pub fn jwt_secret(&self) -> Result<Option<Secret>, ConfigError> {
        self.optional("ROWCAST_JWT_SECRET", |text| {
            if text.len() < MIN_JWT_SECRET_BYTES {
                return Err(format!("must be at least {MIN_JWT_SECRET_BYTES} bytes, and is {}", text.len()));
            }
            Ok(Secret::new(text))
        })
    }

    /// The `iss` and `aud` that tokens must carry, where they are set.
    pub fn issuer_and_audience(&self) -> Result<(Option<String>, Option<String>), ConfigError> {
        let word = |text: &str| Ok(text.to_owned());
        Ok((self.optional("ROWCAST_JWT_ISSUER", word)?, self.optional("ROWCAST_JWT_AUDIENCE", word)?))
    }

    /// More names of keys whose values are hidden in views and log.
    pub fn redact(&self) -> Result<Vec<String>, ConfigError> {
        Ok(self.optional("ROWCAST_REDACT", |text| values::list(text, values::key_name))?.unwrap_or_default())
    }

    /// The filter and the format of the log.
    pub fn log(&self) -> Result<LogConfig, ConfigError> {
        let filter = self.required("ROWCAST_LOG", |text| {
            EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|e| format!("is not a log filter: {e}"))
        })?;
        let json = self.required("ROWCAST_LOG_FORMAT", |text| match text {
            "text" => Ok(false),
            "json" => Ok(true),
            _ => Err(format!("must be text or json: {text:?}")),
        })?;
        Ok(LogConfig { filter, json })
    }
}

/// The filter and the format of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// An env-filter.
    pub filter: String,
    /// JSON lines instead of text.
    pub json: bool,
}

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
        Ok(Self {
            database_url: source.database_url()?,
            db_pool: source.required("ROWCAST_DB_POOL", |t| values::count(t, 1, 1000))?,
            http: HttpConfig::read(source)?,
            tokens: TokenConfig::read(source)?,
            limits: LimitConfig::read(source)?,
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
        let redis_url = source.optional("ROWCAST_REDIS_URL", |text| {
            let known = ["redis://", "rediss://", "redis+unix://", "unix://"].iter().any(|s| text.starts_with(s));
            if known { Ok(Secret::new(text)) } else { Err("is not a URL like redis://127.0.0.1:6379".to_owned()) }
        })?;
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

/// The known name that is at most three edits away.
fn closest(name: &str) -> Option<&'static str> {
    SETTINGS.iter().map(|s| (edits(name, s.name), s.name)).min().filter(|(n, _)| *n <= 3).map(|(_, near)| near)
}

/// How many insertions, deletions and changes of a byte turn one name into the other.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let best = (corner + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
