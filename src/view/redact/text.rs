//! Hides the secrets of a text, in one pass over its bytes: keys and tokens of known issuers ([`super::makes`]), secrets of a certain
//! shape ([`super::shapes`], [`super::coins`], [`super::mnemonic`]), and values that follow the name of a secret
//! ([`super::assigned`], [`super::markup`]).

use std::borrow::Cow;
use std::ops::Range;

use super::alphabet::{LOOK_AHEAD, alnum, word};
use super::assigned;
use super::escapes::without_escapes;
use super::finder::{Finder, FoundSecret, looks_random};
use super::keys::Keys;
use super::makes::{Length, Make, Position};
use super::rewriting::{REDACTED, Rewriting, steps};

/// The most passes over a text in which something was hidden.
const MOST_PASSES: usize = 4;

/// The most layers of escapes that are taken off a text.
const MOST_LAYERS: usize = 3;

/// The text without its secrets. Where a secret was replaced, the text around it may turn out to be another one, so there is one
/// more pass after a pass that has hidden something.
pub(super) fn rewrite<'a>(text: &'a str, keys: &Keys) -> Cow<'a, str> {
    let mut clean = rewrite_once(text, keys);
    for _ in 1..MOST_PASSES {
        let again = match &clean {
            Cow::Owned(hidden) => match rewrite_once(hidden, keys) {
                Cow::Owned(more) => more,
                Cow::Borrowed(_) => break,
            },
            Cow::Borrowed(_) => break,
        };
        clean = Cow::Owned(again);
    }
    clean
}

/// True if the text holds a secret, in any escapes.
pub(super) fn holds_secret(text: &str, keys: &Keys) -> bool {
    if Finder::new(text, keys).next().is_some() {
        return true;
    }
    let mut layer = without_escapes(text);
    for _ in 0..MOST_LAYERS {
        let Some(inner) = layer else { break };
        if Finder::new(&inner.text, keys).next().is_some() {
            return true;
        }
        layer = without_escapes(&inner.text);
    }
    false
}

fn rewrite_once<'a>(text: &'a str, keys: &Keys) -> Cow<'a, str> {
    let mut out = Rewriting::of(text);
    for FoundSecret { part, quote } in Finder::new(text, keys) {
        out.replace(part, [quote, REDACTED, quote]);
    }
    let clean = out.finish();
    match within_escapes(&clean, keys) {
        Some(cleaner) => Cow::Owned(cleaner),
        None => clean,
    }
}

/// The text without the secrets that are found only once its escapes are taken off; `None` if there are none.
fn within_escapes(text: &str, keys: &Keys) -> Option<String> {
    let mut layer = without_escapes(text)?;
    for _ in 0..MOST_LAYERS {
        let mut out = Rewriting::of(text);
        for FoundSecret { part, .. } in Finder::new(&layer.text, keys) {
            out.replace(layer.written(part), ["", REDACTED, ""]);
        }
        if let Cow::Owned(clean) = out.finish() {
            return Some(clean);
        }
        layer = without_escapes(&layer.text)?.after(&layer);
    }
    None
}

impl<'a> Iterator for Finder<'a> {
    type Item = FoundSecret<'a>;

    fn next(&mut self) -> Option<FoundSecret<'a>> {
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
    /// The secret that is recognised at this byte. It may begin before or after the byte.
    fn secret_at(&mut self, at: usize) -> Option<FoundSecret<'a>> {
        let byte = self.bytes[at];
        let part = match byte {
            b':' if self.begins(at, "://") => self.url_password(at + 3),
            b':' => match self.bot_token(at) {
                None => return self.assigned(at),
                token => token,
            },
            b'=' => return self.assigned(at).or_else(|| self.shared_access_signature(at)),
            b'>' => return self.element(at),
            b'"' | b'\'' | b'`' => return self.quoted_word(at),
            b'-' => self.private_key(at).or_else(|| self.option_value(at)).or_else(|| self.make(at)),
            b'.' => self.discord_token(at).or_else(|| self.make(at)),
            _ if alnum(byte) => self.in_word(at, byte),
            _ => None,
        };
        part.map(|part| FoundSecret { part, quote: "" })
    }

    /// The secret that is recognised at this letter or digit.
    fn in_word(&mut self, at: usize, byte: u8) -> Option<Range<usize>> {
        if byte == b'e'
            && let Some(token) = self.jwt(at)
        {
            return Some(token);
        }
        if let Some(key) = self.make(at) {
            return Some(key);
        }
        if at > self.floor && alnum(self.bytes[at - 1]) {
            return None;
        }
        let other = match byte {
            b'b' | b'B' | b'n' | b'N' => self.credentials(at),
            b'P' => self.putty_key(at),
            b's' => self.vault_token(at),
            b'0'..=b'9' => self.app_token(at),
            _ => None,
        };
        other.or_else(|| self.coin_key(at)).or_else(|| {
            let Self { bytes, floor, ref mut words, .. } = *self;
            words.mnemonic(bytes, at, floor)
        })
    }

    /// A secret of a known make.
    fn make(&self, at: usize) -> Option<Range<usize>> {
        let known = self.prefilter.find(&self.bytes[at..], |begin, make| self.of_make(at, begin, make));
        known.or_else(|| match self.bytes[at] {
            b's' if self.begins(at, "sk-") => self.model_key(at),
            b'S' if self.begins(at, "SG.") => self.mail_key(at),
            _ => None,
        })
    }

    fn of_make(&self, at: usize, begin: &[u8], make: &Make) -> Option<Range<usize>> {
        let from = at + begin.len();
        let (start, least) = match make.length {
            Length::Within(before, behind) => {
                let length = self.run_before(at, make.of);
                // The run before the mark is counted up to a bound, and hidden as a whole.
                (length >= before).then(|| (at - length.min(LOOK_AHEAD), behind))?
            }
            Length::AtLeast(least) | Length::Exactly(least) => (at, least),
        };
        let glued = at > self.floor && alnum(self.bytes[at - 1]);
        if make.stands == Position::AtWord && at > self.floor && word(self.bytes[at - 1]) {
            return None;
        }
        let end = self.short_run(from, make.of);
        steps(make.begins.len());
        let body = &self.bytes[from..end];
        if body.len() < least || (glued && start == at && !looks_random(body)) {
            return None;
        }
        if matches!(make.length, Length::Exactly(_)) {
            // A beginning behind a hyphen is a part of a longer name: `idempotency-key-…`.
            let own = make.stands == Position::AtWord && at > self.floor && self.bytes[at - 1] == b'-';
            let ends = !self.bytes.get(end).is_some_and(|b| word(*b) || *b == b'-');
            return (!own && ends && body.len() == least && looks_random(body)).then_some(at..end);
        }
        Some(start..if end - from == LOOK_AHEAD { self.run(from, make.of) } else { end })
    }

    /// The secret that this colon or equals sign assigns to a name.
    fn assigned(&mut self, at: usize) -> Option<FoundSecret<'a>> {
        assigned::found(self, at)
    }
}
