//! A walk over the bytes of a text, and how far characters of one kind reach from a place in it.
//!
//! Every look ahead or behind is bounded unless it ends in hiding, so that no text makes the walk more than linear.

use std::cell::Cell;
use std::ops::Range;
use std::sync::LazyLock;

use super::alphabet::{Alphabet, LOOK_AHEAD};
use super::keys::Keys;
use super::makes::{MAKES, Prefilter};
use super::mnemonic::WordRun;
use super::rewriting::steps;

/// A secret in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FoundSecret<'a> {
    pub(super) part: Range<usize>,
    /// The quote to put around `[redacted]`, where it replaces an object of JSON; else empty.
    pub(super) quote: &'a str,
}

/// The secrets of a text, in order, none within another.
pub(super) struct Finder<'a> {
    pub(super) text: &'a str,
    pub(super) bytes: &'a [u8],
    pub(super) keys: &'a Keys,
    pub(super) prefilter: &'static Prefilter,
    pub(super) at: usize,
    /// The end of the last secret. Nothing before it is looked at again.
    pub(super) floor: usize,
    /// No JWT begins before this place.
    pub(super) no_jwt_before: usize,
    /// No brackets that open before this place hold a secret by their key.
    pub(super) no_brackets_before: usize,
    /// Words of a mnemonic that stand in a row.
    pub(super) words: WordRun,
    /// True if the text holds a JSON Web Key; `None` until that is looked up.
    pub(super) jwk: Cell<Option<bool>>,
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

    pub(super) fn begins(&self, at: usize, with: &str) -> bool {
        self.bytes[at..].starts_with(with.as_bytes())
    }

    /// The end of the run of characters of an alphabet that begins at `from`.
    pub(super) fn run(&self, from: usize, alphabet: Alphabet) -> usize {
        let length = self.bytes[from..].iter().take_while(|b| alphabet(**b)).count();
        steps(length);
        from + length
    }

    /// The end of the run of characters of an alphabet that begins at `from`, at most [`LOOK_AHEAD`] bytes on.
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

    /// The length of the run of characters of an alphabet that ends at `end`, at most [`LOOK_AHEAD`].
    pub(super) fn run_before(&self, end: usize, alphabet: Alphabet) -> usize {
        let before = self.bytes.get(self.floor..end).unwrap_or_default();
        let length = before.iter().rev().take(LOOK_AHEAD).take_while(|b| alphabet(**b)).count();
        steps(length);
        length
    }
}

/// True if this is no word, nor several: digits among letters, or capitals among small ones.
pub(super) fn looks_random(body: &[u8]) -> bool {
    let has = |kind: fn(&u8) -> bool| body.iter().any(kind);
    let letters = has(u8::is_ascii_alphabetic);
    (letters && has(u8::is_ascii_digit)) || (has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase))
}
