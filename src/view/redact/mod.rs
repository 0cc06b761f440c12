//! Redaction: what holds a secret is replaced by `[redacted]` before anybody sees it, in every view and log line.
//!
//! Two things give a secret away: the name of its key ([`keys`]) and its own looks ([`values`]). The lists of both are
//! in the code and can be extended by configuration, never shortened. Everything else passes unchanged to the byte.
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

/// The rules of hiding. Immutable, and cheap to clone.
#[derive(Debug, Clone)]
pub struct Redaction {
    keys: Arc<Keys>,
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
        Self { keys: Arc::new(Keys::with(more_keys)) }
    }

    /// This JSON with `"[redacted]"` for every value that its key says to be secret, for every
    /// string in which something looks like a secret, and for keys that do. What is no JSON comes out as `"[redacted]"`,
    /// since nobody knows what it holds.
    pub fn json<'a>(&self, text: &'a str) -> Cow<'a, str> {
        json::rewrite(text, &self.keys, json::Strings::Whole).unwrap_or(Cow::Borrowed("\"[redacted]\""))
    }

    /// This text with `[redacted]` for what looks like a secret in it, or stands behind the name of one as in
    /// `password=…` and `"token":"…"`. What is around it stays.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        text::rewrite(text, &self.keys)
    }

    /// A line of JSON from the log: as [`Self::json`], but the rest of a string that only mentions a secret stays, as in
    /// [`Self::text`]. What is no JSON is treated as text.
    pub fn json_line<'a>(&self, line: &'a str) -> Cow<'a, str> {
        json::rewrite(line, &self.keys, json::Strings::Within).unwrap_or_else(|| self.text(line))
    }

    /// As [`Self::json`], for the value of a key.
    pub fn json_under<'a>(&self, key: &str, value: &'a str) -> Cow<'a, str> {
        let clean = json::rewrite_value(value, key, &self.keys, json::Strings::Whole);
        clean.unwrap_or(Cow::Borrowed("\"[redacted]\""))
    }
}

#[cfg(test)]
mod tests;
