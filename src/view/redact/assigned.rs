//! What a text assigns to the name of a secret: `password=…`, `"token":"…"`, `Authorization: …`, as people, programs and
//! logs write it.

use super::makes::{Alphabet, alnum, url};
use super::values::{Finder, Found, LOOK_AHEAD};
use super::{REDACTED, steps};

/// How far back a key is looked for.
const LONGEST_KEY: usize = 128;

/// A key, a colon or equals sign, and a value.
pub(super) struct Assignment<'f, 'a> {
    pub(super) finder: &'f Finder<'a>,
    pub(super) at: usize,
    pub(super) colon: bool,
}

impl<'a> Assignment<'_, 'a> {
    /// The key before the sign, and the quote that closes it, with its backslashes, if one does.
    pub(super) fn key(&self) -> Option<(&'a str, &'a str)> {
        let Finder { text, bytes, floor, .. } = *self.finder;
        let mut end = self.at;
        // Colours, as the log has them on a terminal.
        while let Some(start) = colour_before(&bytes[floor..end]) {
            end = floor + start;
        }
        if end > floor && bytes[end - 1] == b' ' {
            end -= 1;
        }
        let last = *bytes[floor..end].last()?;
        if last == b'"' || last == b'\'' {
            let behind = &bytes[floor..end - 1];
            let backslashes = behind.iter().rev().take(LONGEST_KEY).take_while(|b| **b == b'\\').count();
            let key_end = end - 1 - backslashes;
            // Its end is what counts, so that nothing need open it within the bound.
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
        let before = if start > floor { bytes[start - 1] } else { b' ' };
        match before {
            // A path such as `auth::token: …`.
            b':' if self.colon => None,
            b'\x1b' => Some((text.get(start + colour_length(&bytes[start..end])..end)?, "")),
            _ => Some((text.get(start..end)?, "")),
        }
    }

    /// The value behind the sign, if there is one that is to be hidden.
    pub(super) fn value(&self, key: &str, quote: &'a str) -> Option<Found<'a>> {
        let Finder { text, bytes, .. } = *self.finder;
        let from = self.value_start(!quote.is_empty())?;
        if self.finder.begins(from, REDACTED) {
            return None;
        }
        let backslashes = bytes[from..].iter().take(LOOK_AHEAD).take_while(|b| **b == b'\\').count();
        let open = from + backslashes;
        if let Some(mark @ (b'"' | b'\'')) = bytes.get(open) {
            let part = open + 1..self.closing(open + 1, *mark, backslashes);
            return (&text[part.clone()] != REDACTED).then_some(Found { part, quote: "" });
        }
        if matches!(bytes[from], b'{' | b'[') {
            return Some(Found { part: from..self.brackets_end(from), quote });
        }
        if !quote.is_empty() {
            let end = self.finder.run(from, |b| alnum(b) || matches!(b, b'.' | b'+' | b'-'));
            return (&text[from..end] != "null").then_some(Found { part: from..end, quote });
        }
        let line = self.colon && is_header(key);
        let ends_line: Alphabet = |b| !matches!(b, b'\r' | b'\n' | b'"' | b'\\' | b'\x1b');
        let ends_word: Alphabet = |b| !b.is_ascii_whitespace() && !b",;&\"'`)]}>|<\\\x1b".contains(&b);
        if !line && self.is_no_secret(&text[from..self.finder.short_run_on_boundary(from, ends_word)]) {
            return None;
        }
        let end = self.finder.run(from, if line { ends_line } else { ends_word });
        Some(Found { part: from..end, quote: "" })
    }

    /// Where the value begins; nowhere, if this is no assignment after all.
    fn value_start(&self, quoted_key: bool) -> Option<usize> {
        let bytes = self.finder.bytes;
        let mut from = self.at + 1;
        match (self.colon, bytes.get(from)?) {
            (false, b'=') | (true, b':') => return None,
            (false, b'>') | (true, b'=') => from += 1,
            _ => {}
        }
        from += colour_length_with_escape(&bytes[from..]);
        // JSON may have its value on another line.
        let blank: Alphabet = if quoted_key { |b| b.is_ascii_whitespace() } else { |b| b == b' ' || b == b'\t' };
        from = self.finder.short_run(from, blank);
        if self.finder.begins(from.min(bytes.len()), "Some(") {
            from += 5;
        }
        (from < bytes.len()).then_some(from)
    }

    /// What is said after a key without being a secret: nothing, that there is none, and after a colon a plain word.
    fn is_no_secret(&self, said: &str) -> bool {
        let plain = || {
            let letters = said.trim_end_matches(['.', '!', '?', ':']);
            let mut chars = letters.chars();
            let first = chars.next().is_none_or(char::is_alphabetic);
            first && chars.all(|c| c.is_lowercase() || c == '-' || c == '\u{2019}') && letters.len() < 24
        };
        said.is_empty()
            || matches!(said, "null" | "None" | "nil" | "undefined" | "true" | "false")
            || said.bytes().all(|b| b == b'*')
            || (self.colon && plain())
    }

    /// The quote that closes what was opened with so many backslashes before it, or the end. In a string within a string
    /// each level doubles the backslashes.
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

    /// Where the brackets close that open here, or the end. What stands in quotes does not count.
    fn brackets_end(&self, from: usize) -> usize {
        let bytes = self.finder.bytes;
        let (mut at, mut depth, mut before) = (from, 0_usize, 0);
        while at < bytes.len() {
            steps(1);
            match bytes[at] {
                b'"' => at = self.closing(at + 1, b'"', before) + before,
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 1 => return at + 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            before = if bytes.get(at) == Some(&b'\\') { before + 1 } else { 0 };
            at += 1;
        }
        bytes.len()
    }
}

/// Headers whose value is the rest of their line.
fn is_header(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["authorization", "cookie", "cookie2"].iter().any(|name| key.ends_with(name))
}

/// The length of what follows an escape character to set a colour: `[1;32m`.
fn colour_length(bytes: &[u8]) -> usize {
    let Some((b'[', rest)) = bytes.split_first() else { return 0 };
    let codes = rest.iter().take(16).take_while(|b| b.is_ascii_digit() || **b == b';').count();
    if rest.get(codes) == Some(&b'm') { codes + 2 } else { 0 }
}

/// The length of the colours at the beginning, with their escape characters.
fn colour_length_with_escape(bytes: &[u8]) -> usize {
    let mut at = 0;
    while at < LOOK_AHEAD && bytes.get(at) == Some(&b'\x1b') {
        match colour_length(&bytes[at + 1..]) {
            0 => break,
            length => at += 1 + length,
        }
    }
    at
}

/// Where the colour begins that ends these bytes.
fn colour_before(bytes: &[u8]) -> Option<usize> {
    if bytes.last() != Some(&b'm') {
        return None;
    }
    let length = bytes.iter().rev().take(20).position(|b| *b == b'\x1b')?;
    let start = bytes.len() - 1 - length;
    (colour_length(&bytes[start + 1..]) == length).then_some(start)
}
