//! Secrets that follow their name without a colon or equals sign: in elements of XML, options of a command, and words in quotes.

use std::ops::Range;

use super::alphabet::{LOOK_AHEAD, url};
use super::assigned::is_plain;
use super::finder::{Finder, FoundSecret};
use super::keys::Secrecy;
use super::names::NAME_KEYS;
use super::plausible::{is_hidden, says_nothing};
use super::rewriting::{REDACTED, steps};

/// Words that follow the name of an option where people write about it.
#[rustfmt::skip]
const PROSE_WORDS: &[&str] = &[
    "to", "is", "and", "or", "for", "flag", "option", "options", "argument", "must", "was", "were", "not", "with", "from", "as",
    "in", "on", "of", "if", "when", "the", "a", "an", "has", "may", "can", "requires", "needs", "instead", "takes", "should", "are",
    "be", "that", "which", "then", "cannot", "given", "missing", "required", "value", "string", "path", "file",
];

fn blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

impl<'a> Finder<'a> {
    /// The content of an element whose opening tag ends here: `<password>…</password>`.
    pub(super) fn element(&self, at: usize) -> Option<FoundSecret<'a>> {
        let tag = self.run_before(at, |b| !matches!(b, b'<' | b'>' | b'\n'));
        let open = (at - tag).checked_sub(1).filter(|open| *open >= self.floor && self.bytes[*open] == b'<')?;
        let name_end = self.short_run(open + 1, |b| url(b) || b == b':' || b == b'.');
        let name = self.text.get(open + 1..name_end.min(at))?;
        if name.is_empty() || self.bytes[at - 1] == b'/' {
            return None;
        }
        let secrecy = self.keys.secrecy(name).or_else(|| self.attribute_names(open, at))?;
        let mut from = self.short_run(at + 1, |b| b.is_ascii_whitespace());
        if self.begins(from, "<![CDATA[") {
            from += 9;
        }
        let end = self.run(from, |b| b != b'<');
        if !self.begins(end, "</") {
            return None;
        }
        let said = self.text[from..end].trim_end().trim_end_matches("]]>");
        let number = !said.is_empty() && said.len() < 4 && said.bytes().all(|b| b.is_ascii_digit());
        let secret = said != REDACTED && !number && is_hidden(secrecy, said);
        secret.then(|| FoundSecret { part: from..from + said.len(), quote: "" })
    }

    /// The secrecy by an attribute of this tag: `<entry key="password">…`.
    fn attribute_names(&self, open: usize, close: usize) -> Option<Secrecy> {
        let tag = self.text.get(open..close)?;
        NAME_KEYS.iter().find_map(|naming| {
            let value = &tag[tag.find(&format!(" {naming}=\""))? + naming.len() + 3..];
            self.keys.secrecy(&value[..value.find('"')?])
        })
    }

    /// The secrecy by the name that stands before the key at this place: `name="api_key" value=…`, `'key': 'password', 'value': …`.
    pub(super) fn named_before(&self, key: usize) -> Option<Secrecy> {
        let quote = |b: &u8| matches!(b, b'"' | b'\'');
        let mut at =
            key - self.run_before(key, |b| b.is_ascii_whitespace() || matches!(b, b',' | b'"' | b'\'' | b'\\'));
        // The quote of the name was skipped with what stands between.
        let name_end = at;
        let length = self.run_before(at, |b| url(b) || matches!(b, b' ' | b'.'));
        at = at.checked_sub(length)?;
        let name = self.text.get(at..name_end)?;
        at = at.checked_sub(1).filter(|at| *at >= self.floor && quote(&self.bytes[*at]))?;
        at -= self.run_before(at, |b| b.is_ascii_whitespace() || matches!(b, b'\\'));
        at = at.checked_sub(1).filter(|at| *at >= self.floor && matches!(self.bytes[*at], b':' | b'='))?;
        at -= self.run_before(at, |b| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'\\'));
        let naming = self.text.get(at - self.run_before(at, |b| b.is_ascii_alphabetic())..at)?;
        NAME_KEYS.iter().any(|word| naming.eq_ignore_ascii_case(word)).then(|| self.keys.secrecy(name))?
    }

    /// The value behind an option of a command: `--token …`.
    pub(super) fn option_value(&self, at: usize) -> Option<Range<usize>> {
        if !self.begins(at, "--") || (at > self.floor && url(self.bytes[at - 1])) {
            return None;
        }
        let end = self.short_run(at + 2, url);
        let from = self.short_run(end, blank);
        if from == end || from == self.bytes.len() {
            return None;
        }
        let secrecy = self.keys.secrecy(&self.text[at + 2..end])?;
        let quoted = matches!(self.bytes[from], b'"' | b'\'');
        let mark = self.bytes[from];
        let from = from + usize::from(quoted);
        let in_value =
            |b: &u8| if quoted { *b != mark } else { !b.is_ascii_whitespace() && !b"\"'`\\|;,)".contains(b) };
        let length = self.bytes[from..].iter().take_while(|b| in_value(b)).count();
        let said = &self.text[from..from + length];
        let shows = said.starts_with('-')
            || said == REDACTED
            || says_nothing(said)
            || PROSE_WORDS.contains(&said.trim_end_matches(['.', ',', ':']))
            || (secrecy < Secrecy::Certain && said.len() < 4);
        // Only one option looks at a value, so the cost stays linear.
        steps(length.min(LOOK_AHEAD));
        (!shows).then_some(from..from + length)
    }

    /// The second of two words in quotes or the like, where the first names a secret: `("token", "…")`, `password "…"`.
    pub(super) fn quoted_word(&self, at: usize) -> Option<FoundSecret<'a>> {
        let mark = self.bytes[at];
        let gap = self.run_before(at, |b| blank(b) || b == b',');
        if gap == 0 || gap > 8 {
            return None;
        }
        let before = at - gap;
        let comma = self.bytes[before..at].contains(&b',');
        let last = *self.bytes[self.floor..before].last()?;
        let (name, quoted) = if matches!(last, b'"' | b'\'') {
            let length = self.run_before(before - 1, |b| url(b) || b == b' ');
            let open = (before - 1 - length).checked_sub(1).filter(|open| *open >= self.floor)?;
            (self.bytes[open] == last).then(|| (&self.text[open + 1..before - 1], true))?
        } else {
            let length = self.run_before(before, url);
            (&self.text[before - length..before], false)
        };
        if comma != quoted || name.len() < 3 {
            return None;
        }
        let secrecy = self.keys.secrecy(name)?;
        let length = self.bytes[at + 1..].iter().take(LOOK_AHEAD).take_while(|b| **b != mark && **b != b'\n').count();
        steps(length);
        let closes = self.bytes.get(at + 1 + length) == Some(&mark);
        let said = closes.then(|| &self.text[at + 1..at + 1 + length])?;
        // In a list of names, the second word is another name.
        let secret = !is_plain(said) && said != REDACTED && is_hidden(secrecy.min(Secrecy::Likely), said);
        secret.then_some(FoundSecret { part: at + 1..at + 1 + length, quote: "" })
    }

    /// True if the text holds a JSON Web Key, which has a `kty`.
    pub(super) fn has_jwk(&self) -> bool {
        let known = self.jwk.get().unwrap_or_else(|| {
            steps(self.text.len());
            self.text.contains("\"kty")
        });
        self.jwk.set(Some(known));
        known
    }
}
