//! Mnemonics: the words from which a wallet of Bitcoin can be restored (BIP39).

use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use super::alphabet::alnum;
use super::rewriting::steps;

/// The number of words of the shortest mnemonic.
const FEWEST_WORDS: usize = 12;

/// The most bytes between two words: a blank, a comma, a number with its dot.
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

    /// Counts the word that begins at `at`, if it is in the list.
    fn take(&mut self, bytes: &[u8], at: usize, floor: usize) -> Option<()> {
        if !bytes[at].is_ascii_alphabetic() {
            return None;
        }
        let length = bytes[at..].iter().take(9).take_while(|b| b.is_ascii_alphabetic()).count();
        steps(length);
        if !is_mnemonic_word(&bytes[at..at + length]) || bytes.get(at + length).is_some_and(|b| alnum(*b) || *b == b'_')
        {
            // Another word ends the row. A mnemonic that is long enough keeps its count, for the loop in `mnemonic`.
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
