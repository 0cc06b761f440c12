//! The texts of all settings, from flags and environment, and how one is read and refused.

use std::collections::HashMap;

use tracing_subscriber::EnvFilter;

use super::secret::Secret;
use super::settings::{SETTINGS, TOOL_VARIABLES, find};
use super::values;

/// A secret shorter than this can be guessed offline from one token.
pub const MIN_JWT_SECRET_BYTES: usize = 32;

/// The filter and the format of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// An env-filter.
    pub filter: String,
    /// JSON lines instead of text.
    pub json: bool,
}

/// Why a configuration is refused: one line that names the setting as the user wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(super) String);

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

    pub(super) fn optional<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        self.text(name)
            .map(|text| parse(text).map_err(|why| ConfigError(format!("{} {why}", self.spelled(name)))))
            .transpose()
    }

    pub(super) fn required<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, ConfigError> {
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
