//! The secrets of a text, found in one walk over its bytes: tokens of known make ([`super::makes`]), things of a certain
//! shape ([`super::shapes`], [`super::coins`]), and what is assigned to the name of a secret ([`super::assigned`],
//! [`super::markup`]).
//!
//! Every look ahead or behind is bounded unless it ends in hiding, so that no text makes the walk more than linear.

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Range;
use std::sync::LazyLock;

use super::alphabet::{Alphabet, alnum, word};
use super::coins::WordRun;
use super::escapes::unescaped_anyhow;
use super::keys::Keys;
use super::makes::{Length, MAKES, Make, Prefilter, Stands};
use super::rewriting::{REDACTED, Rewriting, steps};

/// The bytes that are looked at ahead before something is taken for a secret.
pub(super) const LOOK_AHEAD: usize = 128;

/// So often a text is gone over in which something was hidden.
const MOST_PASSES: usize = 4;

/// So many layers of escapes are taken off a text, each of which may hold several of one kind.
const MOST_LAYERS: usize = 3;

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

/// True if anything in this text is to be hidden, in whatever escapes it stands.
pub(super) fn hides(text: &str, keys: &Keys) -> bool {
    if Finder::new(text, keys).next().is_some() {
        return true;
    }
    let mut layer = unescaped_anyhow(text);
    for _ in 0..MOST_LAYERS {
        let Some(inner) = layer else { break };
        if Finder::new(&inner.text, keys).next().is_some() {
            return true;
        }
        layer = unescaped_anyhow(&inner.text);
    }
    false
}

fn once<'a>(text: &'a str, keys: &Keys) -> Cow<'a, str> {
    let mut out = Rewriting::of(text);
    for Found { part, quote } in Finder::new(text, keys) {
        out.replace(part, [quote, REDACTED, quote]);
    }
    let clean = out.finish();
    match within_escapes(&clean, keys) {
        Some(cleaner) => Cow::Owned(cleaner),
        None => clean,
    }
}

/// The text without the secrets that show only when its escapes are taken off; none if there are none.
fn within_escapes(text: &str, keys: &Keys) -> Option<String> {
    let mut layer = unescaped_anyhow(text)?;
    for _ in 0..MOST_LAYERS {
        let mut out = Rewriting::of(text);
        for Found { part, .. } in Finder::new(&layer.text, keys) {
            out.replace(layer.written(part), ["", REDACTED, ""]);
        }
        if let Cow::Owned(clean) = out.finish() {
            return Some(clean);
        }
        layer = unescaped_anyhow(&layer.text)?.after(&layer);
    }
    None
}

/// A secret in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) part: Range<usize>,
    /// Goes around what replaces it: where an object of JSON goes, a string must come.
    pub(super) quote: &'a str,
}

/// The secrets of a text, in order, none within another.
pub(super) struct Finder<'a> {
    pub(super) text: &'a str,
    pub(super) bytes: &'a [u8],
    pub(super) keys: &'a Keys,
    prefilter: &'static Prefilter,
    at: usize,
    /// Where the last secret ended.
    pub(super) floor: usize,
    /// Before this no JWT begins.
    pub(super) no_jwt_before: usize,
    /// Before this no brackets open that hold a secret by their key.
    pub(super) no_brackets_before: usize,
    /// Words of a mnemonic that stand in a row.
    words: WordRun,
    /// Set once it was asked if there is a JSON Web Key in it.
    pub(super) jwk: Cell<Option<bool>>,
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
        static PREFILTER: LazyLock<Prefilter> = LazyLock::new(|| Prefilter::of(MAKES));
        Self {
            text,
            bytes: text.as_bytes(),
            keys,
            prefilter: &PREFILTER,
            at: 0,
            floor: 0,
            no_jwt_before: 0,
            no_brackets_before: 0,
            words: WordRun::default(),
            jwk: Cell::new(None),
        }
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
            b'>' => return self.element(at),
            b'"' | b'\'' | b'`' => return self.quoted_word(at),
            b'-' => self.private_key(at).or_else(|| self.option_value(at)).or_else(|| self.make(at)),
            b'.' => self.discord_token(at).or_else(|| self.make(at)),
            _ if alnum(byte) => self.in_word(at, byte),
            _ => None,
        };
        part.map(|part| Found { part, quote: "" })
    }

    /// A secret that shows itself at a letter or digit.
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

    pub(super) fn begins(&self, at: usize, with: &str) -> bool {
        self.bytes[at..].starts_with(with.as_bytes())
    }

    /// Where the characters of an alphabet end that begin here.
    pub(super) fn run(&self, from: usize, alphabet: Alphabet) -> usize {
        let length = self.bytes[from..].iter().take_while(|b| alphabet(**b)).count();
        steps(length);
        from + length
    }

    /// Where they end, or a bound if they go on beyond it.
    pub(super) fn short_run(&self, from: usize, alphabet: Alphabet) -> usize {
        let length = self.bytes[from..].iter().take(LOOK_AHEAD).take_while(|b| alphabet(**b)).count();
        steps(length);
        from + length
    }

    /// As [`Self::short_run`], not ending within a character.
    pub(super) fn short_run_on_boundary(&self, from: usize, alphabet: Alphabet) -> usize {
        let mut end = self.short_run(from, alphabet);
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        end
    }

    /// The number of characters of an alphabet that stand before this place, within a bound.
    pub(super) fn run_before(&self, end: usize, alphabet: Alphabet) -> usize {
        let before = self.bytes.get(self.floor..end).unwrap_or_default();
        let length = before.iter().rev().take(LOOK_AHEAD).take_while(|b| alphabet(**b)).count();
        steps(length);
        length
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
                // More may stand before it than was counted, or than belongs to it.
                (length >= before).then(|| (at - length.min(LOOK_AHEAD), behind))?
            }
            Length::AtLeast(least) | Length::Exactly(least) => (at, least),
        };
        let glued = at > self.floor && alnum(self.bytes[at - 1]);
        if make.stands == Stands::AtWord && at > self.floor && word(self.bytes[at - 1]) {
            return None;
        }
        let end = self.short_run(from, make.of);
        steps(make.begins.len());
        let body = &self.bytes[from..end];
        if body.len() < least || (glued && start == at && !looks_random(body)) {
            return None;
        }
        if matches!(make.length, Length::Exactly(_)) {
            // Not of a make, but somebody's own: `idempotency-key-…`.
            let own = make.stands == Stands::AtWord && at > self.floor && self.bytes[at - 1] == b'-';
            let ends = !self.bytes.get(end).is_some_and(|b| word(*b) || *b == b'-');
            return (!own && ends && body.len() == least && looks_random(body)).then_some(at..end);
        }
        Some(start..if end - from == LOOK_AHEAD { self.run(from, make.of) } else { end })
    }

    /// The secret that this colon or equals sign assigns to a name.
    fn assigned(&mut self, at: usize) -> Option<Found<'a>> {
        super::assigned::found(self, at)
    }
}

/// True if this is no word, nor several: digits among letters, or capitals among small ones.
pub(super) fn looks_random(body: &[u8]) -> bool {
    let has = |kind: fn(&u8) -> bool| body.iter().any(kind);
    let letters = has(u8::is_ascii_alphabetic);
    (letters && has(u8::is_ascii_digit)) || (has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase))
}
