//! Redaction: secrets are replaced by `[redacted]` in every view and log line.
//!
//! A secret is known by the name of its key ([`keys`]) or by its own form ([`text`]). The lists of both are in the code. The
//! configuration can add names of keys and remove none. Everything else passes unchanged to the byte.
//! The work is linear in the length of the text, whatever it holds, and needs no stack for depth.

mod alphabet;
mod assigned;
mod coins;
mod escapes;
mod finder;
mod json;
mod keys;
mod makes;
mod markup;
mod mnemonic;
mod names;
mod objects;
mod plausible;
mod rewriting;
pub(super) mod scan;
mod shapes;
mod text;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

pub use self::rewriting::REDACTED;

use keys::Keys;

/// The rules of redaction. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Redaction {
    keys: Arc<Keys>,
    /// The names of keys beside the built-in ones, sorted.
    more_keys: Arc<[String]>,
}

impl Default for Redaction {
    fn default() -> Self {
        Self::with::<&str>([])
    }
}

impl Redaction {
    /// The built-in rules alone, for what is no part of an event.
    pub fn built_in() -> &'static Self {
        static RULES: LazyLock<Redaction> = LazyLock::new(Redaction::default);
        &RULES
    }

    /// The built-in rules, and these names of keys as well, in any case and with anything between their words.
    pub fn with<W: AsRef<str>>(more_keys: impl IntoIterator<Item = W>) -> Self {
        let mut names: Vec<String> = more_keys.into_iter().map(|name| name.as_ref().to_owned()).collect();
        names.sort_unstable();
        Self { keys: Arc::new(Keys::with(&names)), more_keys: names.into() }
    }

    /// The names of keys beside the built-in ones, sorted.
    pub fn more_keys(&self) -> &[String] {
        &self.more_keys
    }

    /// This JSON with `"[redacted]"` for every value whose key names a secret, and for every string or key in which something looks
    /// like a secret. Text that is not JSON becomes `"[redacted]"` as a whole, since nobody knows what it holds.
    pub fn json<'a>(&self, text: &'a str) -> Cow<'a, str> {
        json::rewrite(text, &self.keys, json::StringMode::Whole).unwrap_or(Cow::Borrowed("\"[redacted]\""))
    }

    /// This text with `[redacted]` for everything that looks like a secret, or stands behind the name of one, as in `password=…`
    /// and `"token":"…"`. The text around it stays.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        text::rewrite(text, &self.keys)
    }

    /// A line of JSON from the log, redacted as by [`Self::json`], but only the secret in a string is replaced, as by
    /// [`Self::text`]. A line that is not JSON is redacted as text.
    pub fn json_line<'a>(&self, line: &'a str) -> Cow<'a, str> {
        json::rewrite(line, &self.keys, json::StringMode::Within).unwrap_or_else(|| self.text(line))
    }

    /// The JSON of the value of a key, redacted as by [`Self::json`]. The key may name a secret.
    pub fn json_under<'a>(&self, key: &str, value: &'a str) -> Cow<'a, str> {
        let clean = json::rewrite_value(value, key, &self.keys, json::StringMode::Whole);
        clean.unwrap_or(Cow::Borrowed("\"[redacted]\""))
    }
}

#[cfg(test)]
mod tests;
