//! Takes the escapes off a text, one layer at a time: those of JSON and programming languages, of URLs, of markup, and the colours
//! of a terminal. A secret that is found in the result is hidden at its place in the original text.

use std::ops::Range;

use super::rewriting::steps;

/// A text without its escapes, and the place of each of its bytes in the original text.
pub(super) struct Layer {
    pub(super) text: String,
    /// For each byte, the start and end of its escape in the original text.
    places: Vec<(usize, usize)>,
}

impl Layer {
    /// The place of a part of this text in the original text.
    pub(super) fn written(&self, part: Range<usize>) -> Range<usize> {
        let start = self.places.get(part.start).map_or(0, |place| place.0);
        let end = part.end.checked_sub(1).and_then(|last| self.places.get(last)).map_or(start, |place| place.1);
        start..end
    }

    /// This layer, made of the text of `outer`, with its places in the original text of `outer`.
    pub(super) fn after(mut self, outer: &Self) -> Self {
        for place in &mut self.places {
            let written = outer.written(place.0..place.1);
            *place = (written.start, written.end);
        }
        self
    }
}

/// The longest known escape, without repeated backslashes or `25`s.
const LONGEST: usize = 24;

/// Entities of markup.
const ENTITIES: &[(&str, u8)] = &[
    ("&quot;", b'"'),
    ("&#34;", b'"'),
    ("&#x22;", b'"'),
    ("&apos;", b'\''),
    ("&#39;", b'\''),
    ("&#x27;", b'\''),
    ("&lt;", b'<'),
    ("&gt;", b'>'),
    ("&amp;", b'&'),
    ("&#61;", b'='),
    ("&#x3D;", b'='),
];

/// The text without its escapes; none if it has none.
pub(super) fn without_escapes(text: &str) -> Option<Layer> {
    let bytes = text.as_bytes();
    let marks = |b: &u8| matches!(b, b'\\' | b'%' | b'\x1b' | b'&');
    steps(text.len() / 8);
    let mut layer: Option<Layer> = None;
    let mut copied = 0;
    let mut at = bytes.iter().position(marks)?;
    while at < bytes.len() {
        let escape = if marks(&bytes[at]) { escape(&bytes[at..]) } else { None };
        let Some((says, length)) = escape else {
            at += 1;
            continue;
        };
        steps(length);
        let layer = layer.get_or_insert_with(|| Layer {
            text: String::with_capacity(text.len()),
            places: Vec::with_capacity(text.len()),
        });
        layer.text.push_str(&text[copied..at]);
        layer.places.extend((copied..at).map(|at| (at, at + 1)));
        layer.text.push(char::from(says));
        layer.places.push((at, at + length));
        at += length;
        copied = at;
    }
    let mut layer = layer?;
    layer.text.push_str(&text[copied..]);
    layer.places.extend((copied..text.len()).map(|at| (at, at + 1)));
    Some(layer)
}

/// The ASCII character that the escape at the beginning says, and the escape's length.
fn escape(bytes: &[u8]) -> Option<(u8, usize)> {
    match bytes.first()? {
        b'\\' => backslashed(bytes),
        b'%' => {
            // `%25` is an escaped per cent sign, and may be escaped several times.
            let more = bytes[1..].chunks_exact(2).take_while(|pair| *pair == b"25").count() * 2;
            match hexadecimal(bytes.get(1 + more..3 + more)?) {
                Some(byte) => Some((byte, 3 + more)),
                // The innermost escape is the per cent sign itself.
                None => (more > 0).then_some((b'%', 1 + more)),
            }
        }
        b'&' => {
            let begins =
                |entity: &str| bytes.get(..entity.len()).is_some_and(|b| b.eq_ignore_ascii_case(entity.as_bytes()));
            let (entity, says) = ENTITIES.iter().find(|(entity, _)| begins(entity))?;
            Some((*says, entity.len()))
        }
        // A colour or another order to the terminal counts as a blank.
        _ => colour(&bytes[1..]).map(|length| (b' ', 1 + length)),
    }
}

fn backslashed(bytes: &[u8]) -> Option<(u8, usize)> {
    let slashes = bytes.iter().take_while(|b| **b == b'\\').count();
    steps(slashes);
    let rest = &bytes[slashes..bytes.len().min(slashes + LONGEST)];
    let Some((says, length)) = named(rest) else {
        // Several backslashes are one, however often they were escaped.
        return (slashes > 1).then_some((b'\\', slashes));
    };
    // An escape character takes the colour behind it along.
    if says == b'\x1b' {
        let colour = colour(&rest[length..]).unwrap_or(0);
        return Some((b' ', slashes + length + colour));
    }
    Some((says, slashes + length))
}

/// The character that the letters behind a backslash stand for, and the count of those letters.
fn named(rest: &[u8]) -> Option<(u8, usize)> {
    Some(match *rest.first()? {
        b'n' | b'r' | b'v' | b'f' => (b'\n', 1),
        b't' => (b'\t', 1),
        b'b' | b'a' => (b' ', 1),
        quote @ (b'"' | b'\'' | b'/' | b'`') => (quote, 1),
        b'e' => (b'\x1b', 1),
        b'u' | b'U' => wide(&rest[1..]).map(|(byte, length)| (byte, 1 + length))?,
        b'x' => (hexadecimal(rest.get(1..3)?)?, 3),
        b'0'..=b'3' if rest.len() > 2 => {
            let code = std::str::from_utf8(&rest[..3]).ok().and_then(|code| u8::from_str_radix(code, 8).ok());
            (code.filter(u8::is_ascii)?, 3)
        }
        _ => return None,
    })
}

/// `0022`, `{22}` or `00000022`, behind the letter.
fn wide(rest: &[u8]) -> Option<(u8, usize)> {
    let (digits, length) = match rest.strip_prefix(b"{") {
        Some(inner) => {
            let digits = inner.iter().take(8).take_while(|b| b.is_ascii_hexdigit()).count();
            if inner.get(digits) != Some(&b'}') {
                return None;
            }
            (inner.get(..digits)?, digits + 2)
        }
        None => (rest.get(..4)?, 4),
    };
    let code = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    let byte = u8::try_from(code).ok().filter(u8::is_ascii)?;
    Some((byte, length))
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    if digits.len() != 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let digits = std::str::from_utf8(digits).ok()?;
    u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii)
}

/// The length of what follows an escape character as an order to the terminal: `[1;32m`.
fn colour(bytes: &[u8]) -> Option<usize> {
    let rest = bytes.strip_prefix(b"[")?;
    let codes = rest.iter().take(LONGEST).take_while(|b| b.is_ascii_digit() || **b == b';' || **b == b'?').count();
    rest.get(codes).filter(|b| b.is_ascii_alphabetic()).map(|_| codes + 2)
}
