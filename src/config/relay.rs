//! The settings of the relay: the copy of the journal in Redis, from which edge nodes read.

use super::secret::Secret;
use super::source::{ConfigError, MIN_JWT_SECRET_BYTES, Source};
use super::values;

/// The copy of the journal in Redis.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// Where it is: on the first of these that is a primary and has it.
    pub urls: Vec<Secret>,
    /// Seals it, if set.
    pub key: Option<Secret>,
    /// How many events are kept.
    pub length: usize,
    /// How many bytes of events are kept.
    pub bytes: u64,
    /// What this node does with it.
    pub part: RelayPart,
}

/// What a node does with the copy of the journal in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayPart {
    /// It follows Postgres, and is one of those that may write the copy.
    Writer,
    /// It is an edge: its live events come from the copy.
    Edge,
}

impl RelayConfig {
    pub(super) fn read(source: &Source, limits_redis: Option<&Secret>) -> Result<Option<Self>, ConfigError> {
        let writes = source.required("ROWCAST_RELAY", values::switch)?;
        let is_edge = source.required("ROWCAST_LIVE_FROM", |text| match text {
            "postgres" => Ok(false),
            "redis" => Ok(true),
            _ => Err(format!("must be postgres or redis: {text:?}")),
        })?;
        let urls = source.optional("ROWCAST_RELAY_URL", |text| values::list(text, self::redis_url))?;
        let key = source.optional("ROWCAST_RELAY_KEY", |text| {
            let bytes = text.len();
            let enough = bytes >= MIN_JWT_SECRET_BYTES;
            enough
                .then(|| Secret::new(text))
                .ok_or_else(|| format!("must be at least {MIN_JWT_SECRET_BYTES} bytes, and is {bytes}"))
        })?;
        let length = source.required("ROWCAST_RELAY_LENGTH", |text| values::count(text, 1, 100_000_000))?;
        let bytes = source.required("ROWCAST_RELAY_SIZE", values::size)?;
        let part = match (writes, is_edge) {
            (true, true) => {
                let why = "ROWCAST_RELAY=on and ROWCAST_LIVE_FROM=redis exclude each other: an edge reads what other nodes copy";
                return Err(ConfigError::new(why));
            }
            (true, false) => RelayPart::Writer,
            (false, true) => RelayPart::Edge,
            (false, false) => return Ok(None),
        };
        let urls = urls
            .or_else(|| limits_redis.map(|url| vec![url.clone()]))
            .ok_or_else(|| ConfigError::new("no Redis for the relay: set ROWCAST_RELAY_URL or ROWCAST_REDIS_URL"))?;
        Ok(Some(Self { urls, key, length, bytes, part }))
    }
}

/// The URL of a Redis, unparsed.
pub(super) fn redis_url(text: &str) -> Result<Secret, String> {
    let known = ["redis://", "rediss://", "redis+unix://", "unix://"].iter().any(|s| text.starts_with(s));
    if known { Ok(Secret::new(text)) } else { Err("is not a URL like redis://127.0.0.1:6379".to_owned()) }
}
