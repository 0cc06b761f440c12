//! Private keys of Bitcoin, as wallets print them.

use std::ops::Range;

use aws_lc_rs::digest::{SHA256, digest};

use super::alphabet::{alnum, base58};
use super::finder::Finder;
use super::rewriting::steps;

/// A kind of key in base58check: its first character, its length, and the number of bytes that it encodes.
struct CoinKeyKind {
    begins: &'static [u8],
    length: usize,
    bytes: usize,
    /// True if a whole word of this form is a key even if its checksum is wrong.
    by_looks: bool,
}

/// WIF, of the main network and of the one for tests, and BIP38.
const KINDS: &[CoinKeyKind] = &[
    CoinKeyKind { begins: b"5", length: 51, bytes: 37, by_looks: true },
    CoinKeyKind { begins: b"KL", length: 52, bytes: 38, by_looks: true },
    CoinKeyKind { begins: b"9", length: 51, bytes: 37, by_looks: false },
    CoinKeyKind { begins: b"c", length: 52, bytes: 38, by_looks: false },
    CoinKeyKind { begins: b"6", length: 58, bytes: 43, by_looks: true },
];

/// The most bytes of a word that are looked at.
const LONGEST_WORD: usize = 96;

impl Finder<'_> {
    /// A key of Bitcoin in the word that begins here: all of it, or its end or beginning if the check says so.
    pub(super) fn coin_key(&self, at: usize) -> Option<Range<usize>> {
        let bytes = self.bytes;
        // Most words are too short to be a key.
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
                // Other characters may be glued to the key, before or behind it.
                [at + last, at].into_iter().find(|from| is_key(*from, last == 0)).map(|from| from..from + kind.length)
            })
            .filter(|key| key.end <= end)
    }
}

fn mixed(key: &[u8]) -> bool {
    let has = |kind: fn(&u8) -> bool| key.iter().any(kind);
    has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase)
}

/// True if this is base58check of `length` bytes with the right checksum.
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
