//! JSON text rewritten in one pass. A string before a colon is a key and any other is a value, so nothing is remembered of
//! an object until a secret is named in it; and what is not touched keeps its digits, blanks, order and repetitions.

use std::borrow::Cow;

use super::keys::Keys;
use super::values::LOOK_AHEAD;
use super::{REDACTED, Rewriting, hides, steps, values};

/// What becomes of a string in which something looks like a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strings {
    /// All of it is replaced.
    Whole,
    /// Only the secret is.
    Within,
}

/// Keys under which an object may have the name of what it has under `value`.
const NAMING: &[&str] = &["key", "name", "field", "header"];

/// The JSON without its secrets; none if it is seen to be no JSON.
pub(super) fn rewrite<'a>(text: &'a str, keys: &Keys, strings: Strings) -> Option<Cow<'a, str>> {
    let mut out = Rewriting::of(text);
    let mut objects = Objects::default();
    let mut at = 0;
    while let Some(open) = quote_from(text, at, &mut objects) {
        let close = string_end(text, open)?;
        let content = &text[open + 1..close];
        let next = blanks_end(text, close + 1);
        if text.as_bytes().get(next) != Some(&b':') {
            rewrite_string(&mut out, open + 1, content, keys, strings);
            at = close + 1;
            continue;
        }
        let key = unescaped(content);
        if hides(&key, keys) {
            let nth = objects.noted().map_or(1, |object| {
                object.hidden_keys += 1;
                object.hidden_keys
            });
            // Two keys of one object stay two.
            let number = if nth == 1 { String::new() } else { format!(" {nth}") };
            out.replace(open + 1..close, [REDACTED.trim_end_matches(']'), &number, "]"]);
        }
        at = next + 1;
        let value = blanks_end(text, at);
        if names_secret(text, &key, value, keys) {
            objects.noted().into_iter().for_each(|object| object.names_secret = true);
        }
        let is_named = || objects.names_secret() || named_behind(text, value, keys);
        if keys.match_key(&key) || (key.eq_ignore_ascii_case("value") && is_named()) {
            at = value_end(text, value)?;
            if !matches!(&text[value..at], "null" | "\"[redacted]\"") {
                out.replace(value..at, ["\"", REDACTED, "\""]);
            }
        }
    }
    Some(out.finish())
}

/// The objects that are open where the walk is.
#[derive(Default)]
struct Objects {
    depth: usize,
    /// Those with something to remember, outermost first.
    noted: Vec<Noted>,
}

struct Noted {
    depth: usize,
    names_secret: bool,
    hidden_keys: usize,
}

impl Objects {
    fn close(&mut self) {
        self.noted.pop_if(|innermost| innermost.depth == self.depth);
        self.depth = self.depth.saturating_sub(1);
    }

    /// What is remembered of the innermost, from now on.
    fn noted(&mut self) -> Option<&mut Noted> {
        if self.noted.last().is_none_or(|innermost| innermost.depth != self.depth) {
            self.noted.push(Noted { depth: self.depth, names_secret: false, hidden_keys: 0 });
        }
        self.noted.last_mut()
    }

    fn names_secret(&self) -> bool {
        self.noted.last().is_some_and(|object| object.depth == self.depth && object.names_secret)
    }
}

/// Whether this key says that its value, which begins here, is a name, and that is one of a secret.
fn names_secret(text: &str, key: &str, value: usize, keys: &Keys) -> bool {
    if !NAMING.iter().any(|naming| key.eq_ignore_ascii_case(naming)) || text.as_bytes().get(value) != Some(&b'"') {
        return false;
    }
    string_end(text, value).is_some_and(|end| keys.match_key(&unescaped(&text[value + 1..end])))
}

/// Whether the members behind this value name it as a secret, as far as it is looked ahead. Of values in brackets that is
/// not asked: each within another would be gone over again.
fn named_behind(text: &str, value: usize, keys: &Keys) -> bool {
    let named = || {
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
            if names_secret(members, &unescaped(&members[open + 1..close]), value, keys) {
                return Some(());
            }
            at = blanks_end(members, value_end(members, value)?);
        }
        None
    };
    named().is_some()
}

fn rewrite_string(out: &mut Rewriting<'_>, at: usize, content: &str, keys: &Keys, strings: Strings) {
    let said = unescaped(content);
    let part = at..at + content.len();
    match strings {
        Strings::Whole if hides(&said, keys) => out.replace(part, [REDACTED, "", ""]),
        Strings::Within => {
            if let Cow::Owned(clean) = values::rewrite(&said, keys) {
                let quoted = serde_json::to_string(&clean).unwrap_or_default();
                let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or(REDACTED);
                out.replace(part, [inner, "", ""]);
            }
        }
        Strings::Whole => {}
    }
}

/// The next double quote; the objects that open and close before it are followed.
fn quote_from(text: &str, from: usize, objects: &mut Objects) -> Option<usize> {
    for (at, byte) in text.bytes().enumerate().skip(from) {
        steps(1);
        match byte {
            b'"' => return Some(at),
            b'{' => objects.depth += 1,
            b'}' => objects.close(),
            _ => {}
        }
    }
    None
}

/// The closing quote of the string that opens here.
fn string_end(text: &str, open: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = open + 1;
    loop {
        steps(1);
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn blanks_end(text: &str, from: usize) -> usize {
    let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
    let blanks = text.as_bytes()[from..].iter().take_while(|b| blank(b)).count();
    steps(blanks);
    from + blanks
}

/// Where the value ends that begins here. The brackets of an object or array are counted; of what kind they are is left
/// to whoever made the JSON.
fn value_end(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    match bytes.get(from)? {
        b'"' => Some(string_end(text, from)? + 1),
        b'{' | b'[' => {
            let (mut at, mut depth) = (from, 0_usize);
            loop {
                steps(1);
                match bytes.get(at)? {
                    b'"' => at = string_end(text, at)?,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' if depth == 1 => return Some(at + 1),
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
            }
        }
        _ => {
            let ends = |b: &u8| matches!(b, b',' | b'}' | b']' | b':' | b'"' | b' ' | b'\t' | b'\n' | b'\r');
            let length = bytes[from..].iter().take_while(|b| !ends(b)).count();
            steps(length);
            (length > 0).then_some(from + length)
        }
    }
}

/// A member of an object.
#[derive(Debug)]
pub(in crate::view) struct Member<'a> {
    /// Its key, unescaped.
    pub(in crate::view) key: Cow<'a, str>,
    /// Key and value as they are written.
    pub(in crate::view) text: &'a str,
}

/// The members of a JSON object, not those of objects within it; none if it is seen to be no object.
pub(in crate::view) fn members(text: &str) -> Option<Vec<Member<'_>>> {
    let byte = |at: usize| text.as_bytes().get(at).copied();
    let mut found = Vec::new();
    let mut at = blanks_end(text, 0);
    if byte(at)? != b'{' {
        return None;
    }
    at = blanks_end(text, at + 1);
    while byte(at)? == b'"' {
        let close = string_end(text, at)?;
        let colon = blanks_end(text, close + 1);
        if byte(colon)? != b':' {
            return None;
        }
        let end = value_end(text, blanks_end(text, colon + 1))?;
        found.push(Member { key: unescaped(&text[at + 1..close]), text: &text[at..end] });
        at = blanks_end(text, end);
        match byte(at)? {
            b',' => at = blanks_end(text, at + 1),
            b'}' => break,
            _ => return None,
        }
    }
    (byte(at)? == b'}' && blanks_end(text, at + 1) == text.len()).then_some(found)
}

/// What a JSON string says. An escape that means nothing stays as it is written.
pub(super) fn unescaped(content: &str) -> Cow<'_, str> {
    if !content.contains('\\') {
        return Cow::Borrowed(content);
    }
    steps(content.len());
    let mut said = String::with_capacity(content.len());
    let mut rest = content;
    while let Some((plain, escape)) = rest.split_once('\\') {
        said.push_str(plain);
        let (char, length) = escaped_char(escape);
        said.push(char);
        rest = &escape[length..];
    }
    said.push_str(rest);
    Cow::Owned(said)
}

/// The character of what follows a backslash, and how many bytes say it.
fn escaped_char(escape: &str) -> (char, usize) {
    let Some(first) = escape.chars().next() else { return ('\\', 0) };
    let plain = match first {
        '"' | '\\' | '/' => first,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => return unicode_escape(escape).unwrap_or(('\\', 0)),
        _ => return ('\\', 0),
    };
    (plain, 1)
}

/// `uXXXX`, and a pair of surrogates as the one character that it is.
fn unicode_escape(escape: &str) -> Option<(char, usize)> {
    let unit = |text: &str| {
        let digits = text.strip_prefix('u')?.get(..4)?;
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    };
    let first = unit(escape)?;
    if let Some(char) = char::from_u32(first) {
        return Some((char, 5));
    }
    let second = escape[5..].strip_prefix('\\').and_then(unit).filter(|low| (0xDC00..0xE000).contains(low));
    match second {
        Some(low) if first < 0xDC00 => {
            let point = 0x1_0000 + ((first - 0xD800) << 10) + (low - 0xDC00);
            Some((char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER), 11))
        }
        _ => Some((char::REPLACEMENT_CHARACTER, 5)),
    }
}
