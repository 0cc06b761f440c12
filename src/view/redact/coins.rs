//! Keys to money: private keys of Bitcoin as wallets print them, and the words from which a wallet is made.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};

use super::alphabet::{alnum, base58};
use super::finder::Finder;
use super::rewriting::steps;

/// A kind of key in base58check: how it begins, its length, and that of what it says.
struct Kind {
    begins: &'static [u8],
    length: usize,
    bytes: usize,
    /// Where it is a word of its own, its looks are enough: hardly anything else has them.
    by_looks: bool,
}

/// WIF, of the main network and of the one for tests, and BIP38.
const KINDS: &[Kind] = &[
    Kind { begins: b"5", length: 51, bytes: 37, by_looks: true },
    Kind { begins: b"KL", length: 52, bytes: 38, by_looks: true },
    Kind { begins: b"9", length: 51, bytes: 37, by_looks: false },
    Kind { begins: b"c", length: 52, bytes: 38, by_looks: false },
    Kind { begins: b"6", length: 58, bytes: 43, by_looks: true },
];

/// Words longer than this are looked at near their ends alone.
const LONGEST_WORD: usize = 96;

impl Finder<'_> {
    /// A key of Bitcoin in the word that begins here: all of it, or its end or beginning if the check says so.
    pub(super) fn coin_key(&self, at: usize) -> Option<Range<usize>> {
        let bytes = self.bytes;
        // Most words are short, which one look tells.
        if !bytes.get(at + 50).is_some_and(|b| alnum(*b)) || !bytes.get(at + 25).is_some_and(|b| alnum(*b)) {
            return None;
        }
        let length = bytes[at..].iter().take(LONGEST_WORD).take_while(|b| alnum(**b)).count();
        steps(length);
        let end = at + length;
        KINDS
            .iter()
            .find_map(|kind| {
                let is_key = |from: usize, whole: bool| {
                    let key = &bytes[from..from + kind.length];
                    steps(kind.length);
                    kind.begins.contains(&key[0])
                        && key.iter().all(|b| base58(*b))
                        && (kind.length != 58 || matches!(key[1], b'P'))
                        && ((whole && kind.by_looks && mixed(key)) || checks(key, kind.bytes))
                };
                let last = length.checked_sub(kind.length)?;
                // Glued to something before it, or behind it.
                [at + last, at].into_iter().find(|from| is_key(*from, last == 0)).map(|from| from..from + kind.length)
            })
            .filter(|key| key.end <= end)
    }
}

fn mixed(key: &[u8]) -> bool {
    let has = |kind: fn(&u8) -> bool| key.iter().any(kind);
    has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase)
}

/// True if this is base58check of so many bytes.
fn checks(text: &[u8], length: usize) -> bool {
    const LETTERS: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut bytes = vec![0_u8; length];
    for letter in text {
        steps(length);
        let Some(value) = LETTERS.iter().position(|b| b == letter) else { return false };
        let mut carry = value;
        for byte in bytes.iter_mut().rev() {
            carry += usize::from(*byte) * 58;
            *byte = u8::try_from(carry & 0xff).unwrap_or_default();
            carry >>= 8;
        }
        if carry != 0 {
            return false;
        }
    }
    let (said, check) = bytes.split_at(length - 4);
    digest(&SHA256, digest(&SHA256, said).as_ref()).as_ref().starts_with(check)
}

/// So many words make the shortest mnemonic.
const FEWEST_WORDS: usize = 12;

/// Between two words stands at most this: a blank, a comma, a number with its dot.
const WIDEST_GAP: usize = 8;

/// The English words of BIP39.
struct WordList {
    words: HashSet<&'static [u8]>,
    /// By the first three letters of a word: false for most words that are not in the list.
    begins: Box<[bool]>,
}

static WORDS: LazyLock<WordList> = LazyLock::new(|| {
    let words: HashSet<_> = include_str!("bip39_english.txt").lines().map(str::as_bytes).collect();
    let mut begins = vec![false; 1 << 15].into_boxed_slice();
    words.iter().for_each(|word| begins[beginning(word)] = true);
    WordList { words, begins }
});

/// True if this is one of the 2,048 English words of BIP39, in any case.
pub(super) fn is_mnemonic_word(word: &[u8]) -> bool {
    if !(3..=8).contains(&word.len()) || !WORDS.begins[beginning(word)] {
        return false;
    }
    let mut lower = [0; 8];
    let lower = &mut lower[..word.len()];
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    WORDS.words.contains(&*lower)
}

/// The first three letters as a number, whatever their case.
fn beginning(word: &[u8]) -> usize {
    word.iter().take(3).fold(0, |number, letter| number << 5 | usize::from(letter & 31))
}

/// Words of a mnemonic that stand in a row.
#[derive(Debug, Default)]
pub(super) struct WordRun {
    start: usize,
    end: usize,
    count: usize,
}

impl WordRun {
    /// The mnemonic whose twelfth word begins here, with all its words that follow.
    pub(super) fn mnemonic(&mut self, bytes: &[u8], at: usize, floor: usize) -> Option<Range<usize>> {
        self.take(bytes, at, floor)?;
        if self.count < FEWEST_WORDS {
            return None;
        }
        loop {
            let gap = bytes[self.end..].iter().take(WIDEST_GAP + 1).take_while(|b| !b.is_ascii_alphabetic()).count();
            if self.end + gap >= bytes.len() || self.take(bytes, self.end + gap, floor).is_none() {
                break;
            }
        }
        let words = self.start..self.end;
        *self = Self::default();
        Some(words)
    }

    /// Counts the word that begins here, if it is of the list.
    fn take(&mut self, bytes: &[u8], at: usize, floor: usize) -> Option<()> {
        if !bytes[at].is_ascii_alphabetic() {
            return None;
        }
        let length = bytes[at..].iter().take(9).take_while(|b| b.is_ascii_alphabetic()).count();
        steps(length);
        if !is_mnemonic_word(&bytes[at..at + length]) || bytes.get(at + length).is_some_and(|b| alnum(*b) || *b == b'_')
        {
            // More of the same: the count of the loop above ends here too.
            if self.count < FEWEST_WORDS {
                self.count = 0;
            }
            return None;
        }
        let follows = self.count > 0 && self.start >= floor && at.saturating_sub(self.end) <= WIDEST_GAP;
        if !follows {
            if self.count >= FEWEST_WORDS {
                return None;
            }
            *self = Self { start: at, end: at, count: 0 };
        }
        self.count += 1;
        self.end = at + length;
        Some(())
    }
}
