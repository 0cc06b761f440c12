//! Secrets in a text, found by their looks: tokens of known make, private keys, URLs with a password, the credentials of
//! an HTTP header, and what is said to be a secret as in `password=…` or `"token":"…"`.
//!
//! One walk over the bytes. What is looked at ahead or behind without being hidden is bounded, so that no text makes it
//! more than linear.

use std::borrow::Cow;
use std::ops::Range;

use super::assigned::Assignment;
use super::json::unescaped;
use super::keys::Keys;
use super::makes::{Alphabet, BEGINNINGS, OF_ONE_LENGTH, alnum, base64, in_authority, makes_from, token68, upper, url};
use super::{REDACTED, Rewriting, steps};

/// How far ahead it is looked whether something is a secret, before it is taken for one.
pub(super) const LOOK_AHEAD: usize = 128;

/// So often a text is gone over in which something was hidden.
const MOST_PASSES: usize = 4;

/// The text without its secrets. What stood around a secret may make one when that is gone, so a text in which something
/// was hidden is gone over again.
pub(super) fn rewrite<'a>(text: &'a str, keys: &Keys) -> Cow<'a, str> {
    let mut clean = once(text, keys);
    for _ in 1..MOST_PASSES {
        let again = match &clean {
            Cow::Owned(hidden) => match once(hidden, keys) {
                Cow::Owned(more) => more,
                Cow::Borrowed(_) => break,
            },
            Cow::Borrowed(_) => break,
        };
        clean = Cow::Owned(again);
    }
    clean
}

fn once<'a>(text: &'a str, keys: &Keys) -> Cow<'a, str> {
    let mut out = Rewriting::of(text);
    for Found { part, quote } in Finder::new(text, keys) {
        out.replace(part, [quote, REDACTED, quote]);
    }
    out.finish()
}

/// A secret in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) part: Range<usize>,
    /// Goes around what replaces it: where a number of JSON goes, a string must come.
    pub(super) quote: &'a str,
}

/// The secrets of a text, in order, none within another.
pub(super) struct Finder<'a> {
    pub(super) text: &'a str,
    pub(super) bytes: &'a [u8],
    keys: &'a Keys,
    at: usize,
    /// Where the last secret ended.
    pub(super) floor: usize,
    /// Before this no JWT begins.
    no_jwt_before: usize,
}

impl<'a> Iterator for Finder<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        while self.at < self.bytes.len() {
            steps(1);
            let at = self.at;
            if let Some(found) = self.secret_at(at).filter(|found| found.part.start < found.part.end) {
                self.at = found.part.end;
                self.floor = found.part.end;
                return Some(found);
            }
            self.at += 1;
        }
        None
    }
}

impl<'a> Finder<'a> {
    pub(super) fn new(text: &'a str, keys: &'a Keys) -> Self {
        Self { text, bytes: text.as_bytes(), keys, at: 0, floor: 0, no_jwt_before: 0 }
    }

    /// A secret that shows itself at this byte; it may begin before or after it.
    fn secret_at(&mut self, at: usize) -> Option<Found<'a>> {
        let byte = self.bytes[at];
        let part = match byte {
            b':' if self.begins(at, "://") => self.url_password(at + 3),
            b':' => match self.bot_token(at) {
                None => return self.assigned(at),
                token => token,
            },
            b'=' => return self.assigned(at).or_else(|| self.shared_access_signature(at)),
            b'-' => self.private_key(at),
            b'e' => self.jwt(at),
            b'.' => self.terraform_token(at).or_else(|| self.discord_token(at)),
            _ => None,
        };
        let part = part.or_else(|| {
            let word_begins = BEGINNINGS[usize::from(byte)] && (at == self.floor || !alnum(self.bytes[at - 1]));
            if word_begins { self.make(at).or_else(|| self.credentials(at)) } else { None }
        });
        part.map(|part| Found { part, quote: "" })
    }

    pub(super) fn begins(&self, at: usize, with: &str) -> bool {
        self.bytes[at..].starts_with(with.as_bytes())
    }

    /// Where the characters of an alphabet end that begin here.
    pub(super) fn run(&self, from: usize, alphabet: Alphabet) -> usize {
        let length = self.bytes[from..].iter().take_while(|b| alphabet(**b)).count();
        steps(length);
        from + length
    }

    /// The same, within a bound.
    pub(super) fn short_run(&self, from: usize, alphabet: Alphabet) -> usize {
        let length = self.bytes[from..].iter().take(LOOK_AHEAD).take_while(|b| alphabet(**b)).count();
        steps(length);
        from + length
    }

    /// The same, not ending within a character.
    pub(super) fn short_run_on_boundary(&self, from: usize, alphabet: Alphabet) -> usize {
        let mut end = self.short_run(from, alphabet);
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        end
    }

    /// A secret of a known make.
    fn make(&self, at: usize) -> Option<Range<usize>> {
        let known = makes_from(self.bytes[at]).find(|(begin, ..)| self.begins(at, begin));
        if let Some((begin, least, alphabet)) = known {
            let from = at + begin.len();
            let long_enough = self.short_run(from, *alphabet) - from >= *least;
            return long_enough.then(|| at..self.run(from, *alphabet));
        }
        if let Some((begin, length, alphabet)) = OF_ONE_LENGTH.iter().find(|(begin, ..)| self.begins(at, begin)) {
            let end = self.short_run(at + begin.len(), *alphabet);
            // Not of a make, but somebody's own: `idempotency-key-…`.
            let own = *begin == "key-" && at > self.floor && url(self.bytes[at - 1]);
            let ends = !self.bytes.get(end).is_some_and(|b| url(*b));
            return (!own && ends && end - at == begin.len() + length).then_some(at..end);
        }
        if self.begins(at, "sk-") {
            return self.model_key(at);
        }
        self.begins(at, "SG.").then(|| self.mail_key(at)).flatten()
    }

    /// `sk-…`, of those who serve language models. Words with hyphens between them are none.
    fn model_key(&self, at: usize) -> Option<Range<usize>> {
        let rest = &self.bytes[at + 3..self.short_run(at + 3, url)];
        let unbroken = rest.split(|b| *b == b'-').any(|part| part.len() >= 16);
        let secret = rest.len() >= 16 && (unbroken || rest.iter().any(u8::is_ascii_digit));
        secret.then(|| at..self.run(at, url))
    }

    /// `SG.…`, in two parts.
    fn mail_key(&self, at: usize) -> Option<Range<usize>> {
        let middle = self.short_run(at + 3, url);
        let ends = |from: usize| self.short_run(from, url);
        let fits = middle - at >= 19 && self.bytes.get(middle) == Some(&b'.') && ends(middle + 1) - middle > 16;
        fits.then(|| at..self.run(middle + 1, url))
    }

    /// A JSON Web Token: three parts or, encrypted, five. It may begin anywhere in a word.
    fn jwt(&mut self, at: usize) -> Option<Range<usize>> {
        if at < self.no_jwt_before || !self.object_in_base64(at) {
            return None;
        }
        let first = self.run(at, url);
        self.no_jwt_before = first;
        if first - at < 8 || self.bytes.get(first) != Some(&b'.') {
            return None;
        }
        let second = self.run(first + 1, url);
        if self.bytes.get(second) != Some(&b'.') {
            // Nor does one begin in the second part, as nothing follows that.
            self.no_jwt_before = second;
            return None;
        }
        let third = self.run(second + 1, url);
        let claims = self.object_in_base64(first + 1);
        if !(claims || third - second > 8) {
            return None;
        }
        let mut end = third;
        for _ in 0..2 {
            let next = if self.bytes.get(end) == Some(&b'.') { self.run(end + 1, url) } else { end };
            end = if next > end + 1 { next } else { end };
        }
        Some(at..end)
    }

    /// Whether base64url begins here that says `{"`, or the same with blanks between as people print it.
    fn object_in_base64(&self, at: usize) -> bool {
        if self.begins(at, "eyJ") {
            return true;
        }
        let blanks = ["eyA", "ewo", "ew0", "ewk"];
        if !blanks.iter().any(|begin| self.begins(at, begin)) {
            return false;
        }
        let end = self.short_run(at, url);
        let said = decoded(&self.text[at..end]).unwrap_or_default();
        said.trim_ascii_start().strip_prefix(b"{").is_some_and(|rest| rest.trim_ascii_start().starts_with(b"\""))
    }

    /// The token of a Discord bot, at its first dot: the number of the bot in base64, six characters, many more.
    fn discord_token(&self, dot: usize) -> Option<Range<usize>> {
        if self.bytes.get(dot + 7) != Some(&b'.') {
            return None;
        }
        let length = self.bytes[self.floor..dot].iter().rev().take(30).take_while(|b| url(**b)).count();
        let number = decoded(self.text.get(dot - length..dot - length + 8)?)?;
        let fits = (22..=28).contains(&length) && number.iter().all(u8::is_ascii_digit);
        let middle = fits && self.short_run(dot + 1, url) == dot + 7;
        (middle && self.short_run(dot + 8, url) - dot >= 35).then(|| dot - length..self.run(dot + 8, url))
    }

    /// A token of Terraform, at its first dot: `….atlasv1.…`.
    fn terraform_token(&self, dot: usize) -> Option<Range<usize>> {
        let from = dot + ".atlasv1.".len();
        if !self.begins(dot, ".atlasv1.") || self.short_run(from, url) - from < 40 {
            return None;
        }
        let before = self.bytes[self.floor..dot].iter().rev().take(LOOK_AHEAD).take_while(|b| alnum(**b)).count();
        (before >= 10).then(|| dot - before..self.run(from, url))
    }

    /// What signs a URL of Azure: `sig=…`, with the version or the end of what is granted before or behind it.
    fn shared_access_signature(&self, at: usize) -> Option<Found<'a>> {
        let parameter = |at: usize, name: &str| {
            let starts = at.checked_sub(1).is_none_or(|before| !url(self.bytes[before]));
            starts && self.begins(at, name)
        };
        let name = at.checked_sub(3).filter(|name| *name >= self.floor && parameter(*name, "sig="))?;
        let end = self.short_run(at + 1, |b| token68(b) || b == b'%');
        let nearby = name.saturating_sub(LOOK_AHEAD)..(end + LOOK_AHEAD).min(self.bytes.len());
        steps(nearby.len());
        let granted = nearby.into_iter().any(|at| parameter(at, "sv=") || parameter(at, "se="));
        (granted && end - at > 20).then_some(Found { part: at + 1..end, quote: "" })
    }

    /// A private key in PEM or as SSH2 has it, up to its last line, or all that there is of it.
    fn private_key(&self, at: usize) -> Option<Range<usize>> {
        let pem = self.begins(at, "-----BEGIN ");
        if !pem && !self.begins(at, "---- BEGIN ") {
            return None;
        }
        let last_line = if pem { "-----END" } else { "---- END" };
        let label = self.short_run(at + 11, |b| b == b' ' || upper(b));
        steps(label - at);
        if !self.text[at + 11..label].contains("PRIVATE KEY") {
            return None;
        }
        let mut end = label;
        // In the headers of SSH2 are quotes, in PEM none.
        while end < self.bytes.len() && !(pem && self.bytes[end] == b'"') && !self.begins(end, last_line) {
            end += 1;
        }
        if self.begins(end, last_line) {
            end = self.run(self.short_run(end + 8, |b| b == b' ' || upper(b)), |b| b == b'-');
        }
        steps(end - label);
        Some(at..end)
    }

    /// The password of a URL whose authority begins here.
    fn url_password(&self, from: usize) -> Option<Range<usize>> {
        if self.bytes.get(from) == Some(&b'[') {
            return None;
        }
        let end = self.run(from, in_authority);
        let authority = &self.text[from..end];
        let colon = from + authority.find(':')?;
        let at_sign = match authority.rfind('@') {
            Some(at_sign) => from + at_sign,
            None => self.stray_at_sign(colon + 1, end)?,
        };
        let password = self.text.get(colon + 1..at_sign)?;
        let hidden = password == REDACTED || password.bytes().all(|b| b == b'*');
        (!hidden).then_some(colon + 1..at_sign)
    }

    /// People forget to encode a `/` or `#` in a password. What stands before it is then no port.
    fn stray_at_sign(&self, from: usize, end: usize) -> Option<usize> {
        let port = self.bytes[from..end].iter().all(u8::is_ascii_digit);
        if port && (end > from || self.bytes.get(end).is_none_or(|b| *b == b'/')) {
            return None;
        }
        let last = self.short_run(end, |b| b != b'@' && b != b'"' && !b.is_ascii_whitespace());
        if self.bytes.get(last) != Some(&b'@') {
            return None;
        }
        // From here on it is an authority as it should be, which may have another.
        let end = self.run(last, in_authority);
        self.text[last..end].rfind('@').map(|more| last + more)
    }

    /// The token of a Telegram bot: its number, a colon, thirty-five characters.
    fn bot_token(&self, colon: usize) -> Option<Range<usize>> {
        let digits = self.bytes[self.floor..colon].iter().rev().take(13).take_while(|b| b.is_ascii_digit()).count();
        let fits = (8..=12).contains(&digits) && self.begins(colon, ":AA");
        let end = if fits { self.short_run(colon + 1, url) } else { colon };
        (end - colon > 33).then_some(colon - digits..end)
    }

    /// What follows the name of a scheme, as in the header `Authorization`.
    fn credentials(&self, at: usize) -> Option<Range<usize>> {
        let schemes = ["bearer", "basic", "negotiate"];
        if !matches!(self.bytes[at], b'b' | b'B' | b'n' | b'N') {
            return None;
        }
        let word = |scheme: &&&str| {
            self.bytes.get(at..at + scheme.len()).is_some_and(|b| b.eq_ignore_ascii_case(scheme.as_bytes()))
        };
        let scheme = *schemes.iter().find(word)?;
        let behind = at + scheme.len();
        let from = self.short_run(behind, |b| b == b' ');
        if from == behind || from - behind > 4 {
            return None;
        }
        let alphabet: Alphabet = if scheme == "basic" { base64 } else { token68 };
        let end = self.short_run(from, alphabet);
        let said = self.text[from..end].trim_end_matches('.');
        let secret = match scheme {
            "basic" => is_user_and_password(said),
            "bearer" => {
                said.len() >= 20
                    || (said.len() >= 6 && said.bytes().any(|b| b.is_ascii_digit() || b"._~+=".contains(&b)))
            }
            _ => said.len() >= 20,
        };
        let whole = if end - from == LOOK_AHEAD { self.run(from, alphabet) } else { from + said.len() };
        secret.then_some(from..whole)
    }

    /// What is assigned to the name of a secret by this colon or equals sign.
    fn assigned(&self, at: usize) -> Option<Found<'a>> {
        let assignment = Assignment { finder: self, at, colon: self.bytes[at] == b':' };
        let (key, quote) = assignment.key()?;
        let key = unescaped(key);
        self.keys.match_key(&key).then(|| assignment.value(&key, quote)).flatten()
    }
}

/// Whether this is a name and a password in base64 (RFC 7617), and not a word that happens to follow "basic".
fn is_user_and_password(text: &str) -> bool {
    let Some(decoded) = decoded(text) else { return false };
    // The end may be cut off in the middle of a character.
    text.len() >= 4 && decoded.contains(&b':') && (text.len() >= LOOK_AHEAD || std::str::from_utf8(&decoded).is_ok())
}

/// What base64 says, of either alphabet.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            decoded.push(u8::try_from((bits >> held) & 0xff).unwrap_or(u8::MAX));
        }
    }
    Some(decoded)
}
