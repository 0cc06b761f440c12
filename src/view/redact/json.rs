//! Rewrites JSON text in one pass, without parsing it. A string before a colon is a key, and any other string is a value, so little
//! is remembered of an object until it names a secret. Everything else keeps its digits, blanks, order and repetitions.

use std::borrow::Cow;
use std::ops::Range;

use super::alphabet::LOOK_AHEAD;
use super::keys::{Keys, Secrecy};
use super::mnemonic::is_mnemonic_word;
use super::names::{NAME_KEYS, is_private_of_jwk};
use super::objects::{Edits, Objects};
use super::plausible::is_hidden;
use super::rewriting::{REDACTED, Rewriting, steps};
use super::scan::{blanks_end, string_end, unescaped, value_end};
use super::text::{self, holds_secret};

/// The treatment of a string in which something looks like a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StringMode {
    /// The whole string is replaced.
    Whole,
    /// Only the secret in the string is replaced.
    Within,
}

/// The most levels of JSON in strings of JSON that are looked at.
const MOST_NESTED: usize = 3;
/// The number of words of the shortest mnemonic.
const MNEMONIC_WORDS: usize = 12;
/// The longest name of a secret in an array, with its value as the next element.
const LONGEST_NAME: usize = 64;

/// The JSON without its secrets; `None` if the text is found not to be JSON.
pub(super) fn rewrite<'a>(text: &'a str, keys: &Keys, strings: StringMode) -> Option<Cow<'a, str>> {
    rewrite_nested(text, None, keys, strings, MOST_NESTED)
}

/// As [`rewrite`], for the value of a key.
pub(super) fn rewrite_value<'a>(text: &'a str, key: &str, keys: &Keys, strings: StringMode) -> Option<Cow<'a, str>> {
    rewrite_nested(text, keys.secrecy(key), keys, strings, MOST_NESTED)
}

fn rewrite_nested<'a>(
    text: &'a str,
    secrecy: Option<Secrecy>,
    keys: &Keys,
    strings: StringMode,
    nested: usize,
) -> Option<Cow<'a, str>> {
    let mut rewriter = JsonRewriter {
        text,
        keys,
        strings,
        nested,
        edits: Vec::new(),
        objects: Objects::default(),
        likely_until: 0,
        shown_until: 0,
        words: Vec::new(),
    };
    let mut at = match secrecy {
        Some(secrecy) => rewriter.value(blanks_end(text, 0), secrecy)?,
        None => 0,
    };
    while let Some(open) = rewriter.quote_from(at) {
        let close = string_end(text, open)?;
        let next = blanks_end(text, close + 1);
        at = if text.as_bytes().get(next) == Some(&b':') {
            rewriter.member(open, close, blanks_end(text, next + 1))?
        } else {
            rewriter.element(open, close, next)
        };
    }
    rewriter.end_of_words();
    rewriter.objects.close_all(&mut rewriter.edits);
    Some(rewriter.finish())
}

/// The walk over a text, and what is to be replaced in it.
struct JsonRewriter<'a, 'k> {
    text: &'a str,
    keys: &'k Keys,
    strings: StringMode,
    nested: usize,
    edits: Edits,
    objects: Objects,
    /// The end of the brackets whose key is likely that of a secret.
    likely_until: usize,
    /// The end of brackets whose strings were all checked already, and hold no secret.
    shown_until: usize,
    /// Elements of an array that are words of a mnemonic, in a row.
    words: Vec<Range<usize>>,
}

impl<'a> JsonRewriter<'a, '_> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn replace(&mut self, part: Range<usize>, with: impl Into<Cow<'static, str>>) {
        self.edits.push((part, with.into()));
    }

    /// The next double quote; the objects that open and close before it are followed.
    fn quote_from(&mut self, from: usize) -> Option<usize> {
        for (at, byte) in self.text.bytes().enumerate().skip(from) {
            steps(1);
            match byte {
                b'"' => return Some(at),
                b'{' => self.objects.depth += 1,
                b'}' => self.objects.close(&mut self.edits),
                _ => {}
            }
        }
        None
    }

    /// Looks at a key and its value. Returns where to go on.
    fn member(&mut self, open: usize, close: usize, value: usize) -> Option<usize> {
        self.end_of_words();
        let key = unescaped(&self.text[open + 1..close]);
        if holds_secret(&key, self.keys) {
            let object = self.objects.notes();
            object.hidden_keys += 1;
            // The number keeps two hidden keys of one object apart.
            let number = if object.hidden_keys == 1 { String::new() } else { format!(" {}", object.hidden_keys) };
            self.replace(open + 1..close, format!("{}{number}]", REDACTED.trim_end_matches(']')));
        }
        if NAME_KEYS.iter().any(|naming| key.eq_ignore_ascii_case(naming))
            && let Some(secrecy) = named(self.text, value, self.keys)
        {
            self.objects.notes().names_secret = Some(secrecy);
        }
        if key == "kty" {
            self.objects.notes().is_jwk = true;
        }
        let secrecy = self.keys.secrecy(&key).or_else(|| {
            let is_value = key.eq_ignore_ascii_case("value");
            is_value
                .then(|| self.objects.names_secret().or_else(|| named_behind(self.text, value, self.keys)))
                .flatten()
        });
        if let Some(secrecy) = secrecy {
            return self.value(value, secrecy);
        }
        if self.byte(value) != Some(b'"') {
            return Some(value);
        }
        let end = string_end(self.text, value)?;
        let said = &self.text[value + 1..end];
        if is_private_of_jwk(&key, said) {
            self.objects.notes().of_jwk.push(value + 1..end);
        }
        let of_secret = value < self.likely_until && !is_of_thing(&key);
        if of_secret && is_hidden(Secrecy::Nested, &unescaped(said)) {
            self.replace(value + 1..end, REDACTED);
        } else {
            self.string(value, end);
        }
        Some(end + 1)
    }

    /// Hides the value at this place as its secrecy demands. Returns where to go on.
    fn value(&mut self, at: usize, secrecy: Secrecy) -> Option<usize> {
        let first = self.byte(at);
        if first == Some(b'"') {
            let end = string_end(self.text, at)?;
            if is_hidden(secrecy, &unescaped(&self.text[at + 1..end])) {
                self.replace(at + 1..end, REDACTED);
            } else {
                self.string(at, end);
            }
            return Some(end + 1);
        }
        if secrecy == Secrecy::Named {
            let end = value_end(self.text, at)?;
            if &self.text[at..end] != "null" {
                self.replace(at..end, "\"[redacted]\"");
            }
            return Some(end);
        }
        if !matches!(first, Some(b'{' | b'[')) {
            // Numbers, booleans and null are shown.
            return value_end(self.text, at);
        }
        if secrecy == Secrecy::Certain && at >= self.shown_until {
            let end = value_end(self.text, at)?;
            if holds_string(&self.text[at..end]) {
                self.replace(at..end, "\"[redacted]\"");
                return Some(end);
            }
            self.shown_until = end;
        }
        if secrecy != Secrecy::Certain && at >= self.likely_until {
            self.likely_until = value_end(self.text, at)?;
        }
        Some(at)
    }

    /// Looks at a string that is an element of an array, or the whole JSON. Returns where to go on.
    fn element(&mut self, open: usize, close: usize, next: usize) -> usize {
        let content = &self.text[open + 1..close];
        self.word(open, close);
        let said = unescaped(content);
        if open < self.likely_until && is_hidden(Secrecy::Likely, &said) {
            self.replace(open + 1..close, REDACTED);
            return close + 1;
        }
        self.string(open, close);
        // `["Authorization", "…"]`, `["--token", "…"]`.
        if content.len() > LONGEST_NAME || self.byte(next) != Some(b',') {
            return close + 1;
        }
        let Some(secrecy) = self.keys.secrecy(&said) else { return close + 1 };
        let follower = blanks_end(self.text, next + 1);
        let end = if self.byte(follower) == Some(b'"') { string_end(self.text, follower) } else { None };
        let Some(end) = end.filter(|end| self.byte(blanks_end(self.text, end + 1)) != Some(b':')) else {
            return close + 1;
        };
        let before = self.text[..open].trim_ascii_end();
        let pair = before.ends_with('[') && self.byte(blanks_end(self.text, end + 1)) == Some(b']');
        let header = ["authorization", "cookie"].iter().any(|name| said.to_ascii_lowercase().ends_with(name));
        let kind =
            if said.starts_with("--") || (pair && header) { Secrecy::Certain } else { secrecy.min(Secrecy::Likely) };
        let value = unescaped(&self.text[follower + 1..end]);
        // In a list of names of secrets, the next element is another name and not a value.
        if is_hidden(kind, &value) && self.keys.secrecy(&value).is_none() {
            self.replace(follower + 1..end, REDACTED);
            return end + 1;
        }
        close + 1
    }

    /// Counts an element that may be a word of a mnemonic.
    fn word(&mut self, open: usize, close: usize) {
        if is_mnemonic_word(&self.text.as_bytes()[open + 1..close]) {
            let apart = |last: &Range<usize>| !self.text[last.end + 1..open].bytes().all(|b| b" \t\r\n,".contains(&b));
            if self.words.last().is_some_and(apart) {
                self.end_of_words();
            }
            self.words.push(open + 1..close);
        } else {
            self.end_of_words();
        }
    }

    fn end_of_words(&mut self) {
        let words = std::mem::take(&mut self.words);
        if words.len() >= MNEMONIC_WORDS {
            self.edits.extend(words.into_iter().map(|word| (word, REDACTED.into())));
        }
    }

    /// Hides what looks like a secret in a string.
    fn string(&mut self, open: usize, close: usize) {
        let content = &self.text[open + 1..close];
        let said = unescaped(content);
        let part = open + 1..close;
        let inner = self.json_within(&said);
        match self.strings {
            StringMode::Whole if inner.is_some() || holds_secret(&said, self.keys) => self.replace(part, REDACTED),
            StringMode::Within => {
                let inner = inner.map_or(said, Cow::Owned);
                let clean = text::rewrite(&inner, self.keys);
                if *clean != *unescaped(content) {
                    let quoted = serde_json::to_string(&clean).unwrap_or_default();
                    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or(REDACTED);
                    self.replace(part, inner.to_owned());
                }
            }
            StringMode::Whole => {}
        }
    }

    /// The JSON in a string without its secrets; `None` if the string is not JSON or holds no secret.
    fn json_within(&self, said: &str) -> Option<String> {
        let begins = said.trim_ascii_start().starts_with(['{', '[']) && said.contains('"');
        if self.nested == 0 || !begins {
            return None;
        }
        match rewrite_nested(said, None, self.keys, self.strings, self.nested - 1)? {
            Cow::Owned(clean) => Some(clean),
            Cow::Borrowed(_) => None,
        }
    }

    fn finish(mut self) -> Cow<'a, str> {
        // Edits in a JSON Web Key are added late, when its object closes.
        self.edits.sort_by_key(|(part, _)| part.start);
        let mut out = Rewriting::of(self.text);
        for (part, with) in &self.edits {
            if part.start >= out.copied {
                out.replace(part.clone(), [with, "", ""]);
            }
        }
        out.finish()
    }
}

/// True for a key such as `id` or `address`, which identifies a thing: a token of a currency is not a secret.
fn is_of_thing(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let of =
        ["id", "address", "hash", "mint", "pool", "account", "uri", "url", "symbol", "name", "at", "version", "owner"];
    of.iter().any(|end| key.ends_with(end))
}

/// The secrecy of the name that the string at this place is, if it names a secret.
fn named(text: &str, value: usize, keys: &Keys) -> Option<Secrecy> {
    let end = if text.as_bytes().get(value) == Some(&b'"') { string_end(text, value)? } else { return None };
    keys.secrecy(&unescaped(&text[value + 1..end]))
}

/// The secrecy by a name among the members behind this value, within a bound. Values in brackets are left out, since nested ones
/// would be read again and again.
fn named_behind(text: &str, value: usize, keys: &Keys) -> Option<Secrecy> {
    if matches!(text.as_bytes().get(value)?, b'{' | b'[') {
        return None;
    }
    let end = value_end(text, value)?;
    let mut bound = text.len().min(end + LOOK_AHEAD);
    while !text.is_char_boundary(bound) {
        bound -= 1;
    }
    let members = &text[end..bound];
    let byte = |at: usize| members.as_bytes().get(at).copied();
    let mut at = blanks_end(members, 0);
    while byte(at)? == b',' {
        let open = blanks_end(members, at + 1);
        let close = string_end(members, open)?;
        let colon = blanks_end(members, close + 1);
        if byte(open)? != b'"' || byte(colon)? != b':' {
            return None;
        }
        let value = blanks_end(members, colon + 1);
        let key = unescaped(&members[open + 1..close]);
        if NAME_KEYS.iter().any(|naming| key.eq_ignore_ascii_case(naming))
            && let Some(secrecy) = named(members, value, keys)
        {
            return Some(secrecy);
        }
        at = blanks_end(members, value_end(members, value)?);
    }
    None
}

/// True if a value in brackets has a string in it, other than a key, that can be a secret.
fn holds_string(value: &str) -> bool {
    let mut at = 0;
    while let Some(open) = value.get(at..).and_then(|rest| rest.find('"')).map(|open| at + open) {
        let Some(close) = string_end(value, open) else { return true };
        let next = blanks_end(value, close + 1);
        let key = value.as_bytes().get(next) == Some(&b':');
        if !key && is_hidden(Secrecy::Certain, &unescaped(&value[open + 1..close])) {
            return true;
        }
        at = close + 1;
    }
    false
}
