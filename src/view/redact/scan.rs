//! Scans JSON text without parsing it: finds the ends of strings and values, and takes escapes off strings.

use std::borrow::Cow;

use super::rewriting::steps;

/// The place of the closing quote of the string that opens at `open`.
pub(super) fn string_end(text: &str, open: usize) -> Option<usize> {
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

pub(super) fn blanks_end(text: &str, from: usize) -> usize {
    let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
    let blanks = text.as_bytes()[from..].iter().take_while(|b| blank(b)).count();
    steps(blanks);
    from + blanks
}

/// The end of the value that begins at `from`. The brackets of an object or array are counted, and not compared by their kind.
pub(super) fn value_end(text: &str, from: usize) -> Option<usize> {
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

/// The members of a JSON object, not those of objects within it; `None` if the text is found not to be an object.
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

/// The text of a JSON string without its escapes. An invalid escape stays as it is written.
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

/// The character of an escape, and the number of bytes after its backslash.
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

/// The character of `uXXXX`, or of two surrogates together.
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
