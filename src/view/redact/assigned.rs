//! Values that a text assigns to the name of a secret: `password=…`, `"token":"…"`, `Authorization: …`, as people, programs and
//! logs write it.

use std::borrow::Cow;

use super::alphabet::{Alphabet, LOOK_AHEAD, alnum, url};
use super::finder::{Finder, FoundSecret};
use super::keys::Secrecy;
use super::names::is_private_of_jwk;
use super::plausible::{is_hidden, says_nothing};
use super::rewriting::{REDACTED, steps};
use super::scan::unescaped;

/// The most bytes of a key before its colon or equals sign.
const LONGEST_KEY: usize = 128;
/// The most blanks between a key and its sign.
const MOST_BLANKS: usize = 32;
/// The most bytes that are looked at inside brackets whose key is only likely that of a secret.
const LONGEST_INSIDE: usize = 512;

/// The secret that the colon or equals sign at `at` assigns to a name.
pub(super) fn found<'a>(finder: &mut Finder<'a>, at: usize) -> Option<FoundSecret<'a>> {
    let assignment = Assignment { finder, at, colon: finder.bytes[at] == b':' };
    let (key, quote) = assignment.key()?;
    let (value, brackets) = match assignment.secrecy(key, quote) {
        Some(secrecy) => assignment.value(key, quote, secrecy),
        None => (assignment.member_of_jwk(key, quote), None),
    };
    if let Some(end) = brackets {
        finder.no_brackets_before = end;
    }
    value
}

/// A key, a colon or equals sign, and a value.
struct Assignment<'f, 'a> {
    finder: &'f Finder<'a>,
    at: usize,
    colon: bool,
}

impl<'a> Assignment<'_, 'a> {
    /// The key before the sign, and the quote that closes it, with its backslashes, if one does.
    fn key(&self) -> Option<(&'a str, &'a str)> {
        let Finder { text, bytes, floor, .. } = *self.finder;
        let blanks = bytes[floor..self.at].iter().rev().take(MOST_BLANKS).take_while(|b| matches!(b, b' ' | b'\t'));
        let end = self.at - blanks.count();
        steps(self.at - end);
        let last = *bytes[floor..end].last()?;
        if last == b'"' || last == b'\'' {
            let behind = &bytes[floor..end - 1];
            let backslashes = behind.iter().rev().take(LONGEST_KEY).take_while(|b| **b == b'\\').count();
            let key_end = end - 1 - backslashes;
            // The end of a key decides, so its opening quote may lie outside the bound.
            let content = bytes[..key_end].iter().rev().take(LONGEST_KEY);
            let mut length = content.take_while(|b| **b != last).count();
            steps(length);
            while !text.is_char_boundary(key_end - length) {
                length -= 1;
            }
            return Some((text.get(key_end - length..key_end)?, text.get(key_end..end)?));
        }
        let in_key = |b: &&u8| url(**b) || **b >= 0x80 || matches!(**b, b'.' | b'[' | b']');
        let mut length = bytes[floor..end].iter().rev().take(LONGEST_KEY).take_while(in_key).count();
        steps(length);
        while !text.is_char_boundary(end - length) {
            length -= 1;
        }
        let start = end - length;
        // A path such as `auth::token: …`.
        if self.colon && start > floor && bytes[start - 1] == b':' {
            return None;
        }
        Some((text.get(start..end)?, ""))
    }

    /// The secrecy that the key means, if need be with the word before it, as in `api key: …`, or with a name beside it, as in
    /// `name="api_key" value="…"`.
    fn secrecy(&self, key: &str, quote: &str) -> Option<Secrecy> {
        let Finder { text, keys, .. } = *self.finder;
        let spoken = keys.secrecy(&unescaped(key));
        if spoken.is_some_and(|secrecy| secrecy >= Secrecy::Certain) || key.is_empty() {
            return spoken;
        }
        if key.eq_ignore_ascii_case("value") {
            let start = key.as_ptr() as usize - text.as_ptr() as usize;
            return self.finder.named_before(start).or(spoken);
        }
        if !quote.is_empty() || !key.bytes().all(|b| b.is_ascii_alphabetic()) {
            return spoken;
        }
        let start = key.as_ptr() as usize - text.as_ptr() as usize;
        let blank = start.checked_sub(1).filter(|at| *at > self.finder.floor && text.as_bytes()[*at] == b' ');
        let Some(word) = blank else { return spoken };
        let length = self.finder.run_before(word, alnum).min(LONGEST_KEY);
        let both = &text[word - length..start + key.len()];
        if length == 0 { spoken } else { keys.secrecy(both).or(spoken) }
    }

    /// The value behind the sign, if it is to be hidden; and the end of brackets that hold no secret.
    fn value(&self, key: &str, quote: &'a str, secrecy: Secrecy) -> (Option<FoundSecret<'a>>, Option<usize>) {
        let Finder { text, bytes, .. } = *self.finder;
        let Some(from) = self.value_start(!quote.is_empty()) else { return (None, None) };
        let backslashes = bytes[from..].iter().take(LOOK_AHEAD).take_while(|b| **b == b'\\').count();
        if let Some(mark @ (b'"' | b'\'' | b'`')) = bytes.get(from + backslashes) {
            return (self.quoted(from + backslashes + 1, *mark, backslashes, secrecy), None);
        }
        if matches!(bytes[from], b'{' | b'[') && !self.finder.begins(from, REDACTED) {
            return self.in_brackets(from, quote, secrecy);
        }
        let line = self.colon && is_header(key) && quote.is_empty();
        let ends_line: Alphabet = |b| !matches!(b, b'\r' | b'\n' | b'"' | b'\\' | b'\x1b');
        let ends_word: Alphabet = |b| !b.is_ascii_whitespace() && !b",;&\"'`)]}>|<\\\x1b".contains(&b);
        let alphabet = if line { ends_line } else { ends_word };
        // Text that is glued to a `[redacted]` may be the rest of a secret.
        let hidden = if self.finder.begins(from, REDACTED) { REDACTED.len() } else { 0 };
        let behind = from + hidden;
        let said = &text[behind..self.finder.short_run_on_boundary(behind, alphabet)];
        let shows = if hidden > 0 { said.trim().is_empty() } else { self.shows(key, said, quote, secrecy, line) };
        if shows {
            return (None, None);
        }
        let end = if said.len() + 4 >= LOOK_AHEAD { self.finder.run(behind, alphabet) } else { behind + said.len() };
        (Some(FoundSecret { part: from..end, quote: "" }), None)
    }

    /// True if a value without quotes is not a secret.
    fn shows(&self, key: &str, said: &str, quote: &str, secrecy: Secrecy, line: bool) -> bool {
        let value = said.trim();
        let number = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit() || b".-+eE".contains(&b));
        if !quote.is_empty() && number {
            return secrecy != Secrecy::Named;
        }
        if line {
            // A single word after the name of a header is a remark, as in `Authorization: missing`.
            return says_nothing(value) || is_plain(value) || value.len() < 3;
        }
        match secrecy {
            Secrecy::Named => value.is_empty() || (self.colon && is_plain(value)),
            Secrecy::Certain => {
                let count = number && (value.len() < 4 || key.ends_with('s'));
                says_nothing(value) || count || (self.colon && is_plain(value)) || opens_template(value)
            }
            _ => !is_hidden(secrecy, value),
        }
    }

    /// A secret in quotes that open before this place.
    fn quoted(&self, from: usize, mark: u8, backslashes: usize, secrecy: Secrecy) -> Option<FoundSecret<'a>> {
        let part = from..self.closing(from, mark, backslashes);
        let said = &self.finder.text[part.clone()];
        let inner = if backslashes == 0 { Cow::Borrowed(said) } else { unescaped(said) };
        (said != REDACTED && is_hidden(secrecy, &inner)).then_some(FoundSecret { part, quote: "" })
    }

    /// The brackets that open at `from`, if anything in them is a secret; else their end.
    fn in_brackets(&self, from: usize, quote: &'a str, secrecy: Secrecy) -> (Option<FoundSecret<'a>>, Option<usize>) {
        if from < self.finder.no_brackets_before {
            return (None, None);
        }
        let certain = secrecy >= Secrecy::Certain;
        let end = self.brackets_end(from, if certain { usize::MAX } else { LONGEST_INSIDE });
        let separates = |c: char| c.is_whitespace() || "\"'`\\,:{}[]()".contains(c);
        let mut inside = self.finder.text[from..end].split(separates).filter(|part| !part.is_empty());
        let tells = |part: &str| {
            if certain {
                part.bytes().any(|b| b.is_ascii_alphabetic()) && !says_nothing(part)
            } else {
                is_hidden(secrecy, part)
            }
        };
        if inside.any(tells) {
            let end = if certain { end } else { self.brackets_end(from, usize::MAX) };
            return (Some(FoundSecret { part: from..end, quote }), None);
        }
        (None, certain.then_some(end))
    }

    /// A private member of a JSON Web Key, if the text holds a `kty`.
    fn member_of_jwk(&self, key: &str, quote: &str) -> Option<FoundSecret<'a>> {
        if quote.is_empty() || key.len() > 2 || !self.colon {
            return None;
        }
        let from = self.value_start(true)?;
        let backslashes = self.finder.bytes[from..].iter().take(LOOK_AHEAD).take_while(|b| **b == b'\\').count();
        let open = from + backslashes;
        if self.finder.bytes.get(open) != Some(&b'"') {
            return None;
        }
        let end = self.finder.short_run(open + 1, url);
        let secret = is_private_of_jwk(key, &self.finder.text[open + 1..end]) && self.finder.has_jwk();
        secret.then(|| FoundSecret { part: open + 1..self.finder.run(end, url), quote: "" })
    }

    /// The start of the value; `None` if this is no assignment.
    fn value_start(&self, quoted_key: bool) -> Option<usize> {
        let bytes = self.finder.bytes;
        let mut from = self.at + 1;
        match (self.colon, bytes.get(from)?) {
            (false, b'=') | (true, b':') => return None,
            (false, b'>') | (true, b'=') => from += 1,
            _ => {}
        }
        // JSON may have its value on another line.
        let blank: Alphabet = if quoted_key { |b| b.is_ascii_whitespace() } else { |b| b == b' ' || b == b'\t' };
        from = self.finder.short_run(from, blank);
        for wrapper in ["Some(", "Ok("] {
            if self.finder.begins(from.min(bytes.len()), wrapper) {
                from += wrapper.len();
            }
        }
        (from < bytes.len()).then_some(from)
    }

    /// The end of a string whose opening quote has this number of backslashes before it, or the end of the text. Each level of a
    /// string within a string doubles the backslashes.
    fn closing(&self, from: usize, mark: u8, backslashes: usize) -> usize {
        let bytes = self.finder.bytes;
        let mut before = 0;
        for (at, byte) in bytes.iter().enumerate().skip(from) {
            steps(1);
            if *byte == mark && (before < backslashes || before % (2 * (backslashes + 1)) == backslashes) {
                return at - before.min(backslashes);
            }
            before = if *byte == b'\\' { before + 1 } else { 0 };
        }
        bytes.len()
    }

    /// The end of the brackets that open at `from`, or of the text, or of a bound. Brackets in quotes do not count.
    fn brackets_end(&self, from: usize, most: usize) -> usize {
        let bytes = self.finder.bytes;
        let (mut at, mut depth, mut before) = (from, 0_usize, 0);
        let bound = bytes.len().min(from.saturating_add(most));
        while at < bound {
            steps(1);
            match bytes[at] {
                b'"' if most == usize::MAX => at = self.closing(at + 1, b'"', before) + before,
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 1 => return at + 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            before = if bytes.get(at) == Some(&b'\\') { before + 1 } else { 0 };
            at += 1;
        }
        let mut bound = bound;
        while !self.finder.text.is_char_boundary(bound) {
            bound -= 1;
        }
        bound
    }
}

/// Headers whose value is the rest of their line.
fn is_header(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["authorization", "cookie", "cookie2"].iter().any(|name| key.ends_with(name))
}

/// True for a plain word, as in a remark about a secret: `token: expired`.
pub(super) fn is_plain(said: &str) -> bool {
    let letters = said.trim_end_matches(['.', '!', '?', ':', '*']);
    let mut chars = letters.chars();
    let first = chars.next().is_none_or(char::is_alphabetic);
    first && chars.all(|c| c.is_lowercase() || c == '-' || c == '\u{2019}') && letters.len() < 24
}

/// True for the beginning of a template that a secret is put into, as the `${{` of `${{ secrets.TOKEN }}`.
fn opens_template(value: &str) -> bool {
    matches!(value, "${" | "${{" | "{{" | "$" | "<%=" | "$(")
}
