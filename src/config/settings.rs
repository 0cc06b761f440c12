//! The one table of settings: each is an environment variable and a flag, with one default and one meaning.

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The environment variable; its flag is derived from it.
    pub name: &'static str,
    /// The name of its value in help texts.
    pub value: &'static str,
    /// The value when nothing is set.
    pub default: Option<&'static str>,
    /// One line of help.
    pub help: &'static str,
}

impl Setting {
    /// `ROWCAST_MAX_SESSIONS` is `max-sessions`, `DATABASE_URL` is `database-url`.
    pub fn flag(&self) -> String {
        self.name.trim_start_matches("ROWCAST_").to_ascii_lowercase().replace('_', "-")
    }
}

const fn setting(
    name: &'static str,
    value: &'static str,
    default: Option<&'static str>,
    help: &'static str,
) -> Setting {
    Setting { name, value, default, help }
}

/// Every setting there is.
pub const SETTINGS: &[Setting] = &[
    setting("DATABASE_URL", "URL", None, "Postgres, with any sslmode from disable to verify-full"),
    setting("ROWCAST_LISTEN", "ADDRESS", Some("127.0.0.1:8080"), "Where to listen; port 0 picks one and prints it"),
    setting("ROWCAST_JWT_SECRET", "SECRET", None, "HS256 secret of at least 32 bytes"),
    setting("ROWCAST_JWKS", "URL|FILE", None, "Keys of an identity provider: a JWKS, or Google's x509 map"),
    setting("ROWCAST_FIREBASE_PROJECT", "ID", None, "Presets issuer, audience and keys of Firebase ID tokens"),
    setting("ROWCAST_JWT_ISSUER", "ISS", None, "Required issuer of tokens; needed with ROWCAST_JWKS"),
    setting("ROWCAST_JWT_AUDIENCE", "AUD", None, "Required audience of tokens; needed with ROWCAST_JWKS"),
    setting("ROWCAST_REDIS_URL", "URL", None, "Shares rate limits between nodes; without it they are in memory"),
    setting("ROWCAST_RELAY", "on|off", Some("off"), "Takes part in copying the journal into Redis, for edge nodes"),
    setting("ROWCAST_LIVE_FROM", "postgres|redis", Some("postgres"), "Where live events come from; an edge has redis"),
    setting(
        "ROWCAST_RELAY_URL",
        "URLS",
        None,
        "Redis of the relay: the first primary that has the copy; else ROWCAST_REDIS_URL",
    ),
    setting("ROWCAST_RELAY_KEY", "SECRET", None, "Seals what the relay writes into Redis, with at least 32 bytes"),
    setting("ROWCAST_RELAY_LENGTH", "N", Some("100000"), "How many events the relay keeps in Redis"),
    setting("ROWCAST_RELAY_SIZE", "SIZE", Some("256MB"), "How much memory of Redis these events may take"),
    setting("ROWCAST_REPLICA_URL", "URL", None, "A standby from which older pages are read, as far as it has come"),
    setting(
        "ROWCAST_RATE_LIMITS",
        "LIST",
        Some("public=120/m,private=1200/m,connect=60/m,append=6000/m,chat=60/m,snapshot=1200/m,pages=1200/m"),
        "Per client address (public, connect), token subject (private, append, chat), or either (snapshot)",
    ),
    setting("ROWCAST_SESSIONS_PER_SUBJECT", "N", Some("1000"), "How many sessions one token subject may have at once"),
    setting(
        "ROWCAST_CONNECTIONS_PER_ADDRESS",
        "N",
        Some("1000"),
        "How many connections one client address may have at once",
    ),
    setting("ROWCAST_TRUSTED_PROXIES", "CIDRS", None, "Networks whose X-Forwarded-For is believed"),
    setting(
        "ROWCAST_ALLOWED_ORIGINS",
        "ORIGINS",
        None,
        "Other origins whose pages may connect; the own one always may",
    ),
    setting("ROWCAST_PUBLIC_STREAM", "on|off", Some("off"), "Opens the public streams"),
    setting("ROWCAST_HEARTBEAT", "DURATION", Some("15s"), "How often a stream shows that it is alive"),
    setting("ROWCAST_DRAIN", "DURATION", Some("10s"), "How long a shutdown waits for what is under way"),
    setting("ROWCAST_WRITE_STALL", "DURATION", Some("10s"), "How long a client may take nothing before it is closed"),
    setting("ROWCAST_MAX_SESSIONS", "N", Some("20000"), "How many clients may be connected at once"),
    setting("ROWCAST_DB_POOL", "N", Some("8"), "Connections to Postgres for requests"),
    setting("ROWCAST_PAGE_CACHE", "SIZE", Some("256MB"), "Memory for pages of the journal"),
    setting("ROWCAST_SNAPSHOTS", "N", Some("4"), "How many snapshots of tables are read at once"),
    setting(
        "ROWCAST_BLOCKER_LIMIT",
        "DURATION",
        None,
        "Ends a session whose transaction holds the stream back this long, idle or not; never, unless set",
    ),
    setting("ROWCAST_REDACT", "WORDS", None, "More keys whose values are hidden, next to password, token and the like"),
    setting(
        "ROWCAST_TLS_CERT",
        "FILE",
        None,
        "PEM certificate chain; with ROWCAST_TLS_KEY the server speaks TLS itself",
    ),
    setting("ROWCAST_TLS_KEY", "FILE", None, "PEM private key of ROWCAST_TLS_CERT"),
    setting("ROWCAST_LOG", "FILTER", Some("info"), "What to log: a level, or a filter such as rowcast=debug,info"),
    setting("ROWCAST_LOG_FORMAT", "text|json", Some("text"), "How to log"),
];

/// Variables that begin with `ROWCAST_` and belong to the tools around the server.
pub const TOOL_VARIABLES: &[&str] = &["ROWCAST_PG_BIN", "ROWCAST_TOKEN"];

/// The setting of a name.
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| s.name == name)
}
