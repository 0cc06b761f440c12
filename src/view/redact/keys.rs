//! Finds keys of secrets by their names.
//!
//! A key is cut into words at every character that is no letter or digit, and where camel case begins a word. It is read from its
//! end, as the last word says what the value is: a `db_password` is a password, and a `password_hash` is hidden as well, while
//! `token_count` is a count and `author` has nothing to do with `auth`. The lists are in [`super::names`].

use std::collections::HashSet;
use std::sync::LazyLock;

use super::names::{
    CERTAIN, FORMS, GLUED, LIKELY, MNEMONIC_PREFIX, ORDINARY_TOKENS, PLACES, QUESTION_WORDS, SERVICES, WHOLE_KEYS,
    WORDS_ABOUT, WORDS_BEFORE_PASS,
};

/// The secrecy of a value, by its key, from the weakest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Secrecy {
    /// It lies somewhere inside the value of a key of a secret, under an ordinary key of its own.
    Nested,
    /// It is a key of a service: secret if it looks like one.
    ServiceKey,
    /// It is secret unless it is a word, a symbol, a number or an address.
    Likely,
    /// It is secret, whatever string it is.
    Certain,
    /// It is secret, whatever value it is: the configuration names its key.
    Named,
}

/// The most bytes of a key that are read, from its end.
const LONGEST: usize = 256;
/// The most words such as `hash` or `prod` that may follow the name of a secret.
const FORMS_IN_A_ROW: usize = 4;
/// The most bytes of a name in the lists.
const LONGEST_NAME: usize = 32;

/// The names of secrets: those that are built in, and more.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    named: HashSet<Box<str>>,
}

struct Lists {
    certain: HashSet<&'static str>,
    likely: HashSet<&'static str>,
    services: HashSet<&'static str>,
    about: HashSet<&'static str>,
}

static LISTS: LazyLock<Lists> = LazyLock::new(|| Lists {
    certain: CERTAIN.iter().copied().collect(),
    likely: LIKELY.iter().copied().collect(),
    services: SERVICES.iter().copied().collect(),
    about: WORDS_ABOUT.iter().copied().collect(),
});

impl Keys {
    /// The built-in names and these.
    pub(super) fn with(extra: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let squeezed = extra.into_iter().map(|word| Squeezed::of(word.as_ref()).text);
        Self { named: squeezed.filter(|name| !name.is_empty()).map(String::into_boxed_str).collect() }
    }

    /// The secrecy of the value of this key; `None` if the key is not one of a secret.
    pub(super) fn secrecy(&self, key: &str) -> Option<Secrecy> {
        if self.named.is_empty() && !may_name_a_secret(key) {
            return None;
        }
        let key = Squeezed::of(tail(key));
        super::rewriting::steps(key.text.len());
        if key.starts.iter().any(|&start| key.text[start..].starts_with(MNEMONIC_PREFIX)) {
            return Some(Secrecy::Certain);
        }
        let found = self.by_last_words(&key).or_else(|| certain_before(&key));
        // `has_password` says yes or no.
        let asks = || key.starts.len() > 1 && QUESTION_WORDS.contains(&key.word(0));
        found.filter(|secrecy| *secrecy == Secrecy::Named || !asks())
    }

    /// The secrecy by the last words, without those that only tell a form or place, as `hash` and `prod`.
    fn by_last_words(&self, key: &Squeezed) -> Option<Secrecy> {
        let mut end = key.text.len();
        for _ in 0..=FORMS_IN_A_ROW {
            if let Some(found) = self.name_at(key, end) {
                return Some(found);
            }
            let text = &key.text[..end];
            let before = || FORMS.iter().filter_map(|form| name_before(text, form));
            // `passwordhash` is one word.
            if let Some(found) = before().find_map(|rest| self.name_at(key, rest.len())) {
                return Some(found);
            }
            let places = || PLACES.iter().filter_map(|place| text.strip_suffix(place));
            let form = before().chain(places()).map(str::len).find(|start| key.starts.contains(start));
            let digits = || key.last_word(end).filter(|&start| text[start..].bytes().all(|b| b.is_ascii_digit()));
            end = form.or_else(digits)?;
        }
        None
    }

    /// The secrecy by the words that end at `end`, in the singular or plural.
    fn name_at(&self, key: &Squeezed, end: usize) -> Option<Secrecy> {
        let text = &key.text[..end];
        if WHOLE_KEYS.contains(&text) {
            return Some(Secrecy::Certain);
        }
        let plural = text.strip_suffix('s').filter(|one| !one.is_empty());
        let named = self.named_at(key, text).or_else(|| plural.and_then(|one| self.named_at(key, one)));
        named.filter(|found| *found == Secrecy::Named || !is_ordinary(key, plural.unwrap_or(text), plural.is_some()))
    }

    fn named_at(&self, key: &Squeezed, text: &str) -> Option<Secrecy> {
        let lists = &*LISTS;
        let begins = || {
            let near = key.starts.iter().rev().skip_while(|start| **start >= text.len());
            near.take_while(|start| text.len() - **start <= LONGEST_NAME).map(|&start| (start, &text[start..]))
        };
        if !self.named.is_empty() && key.starts.iter().any(|&s| text.get(s..).is_some_and(|n| self.named.contains(n))) {
            return Some(Secrecy::Named);
        }
        let glued = |names: &[&str]| names.iter().any(|name| text.ends_with(name));
        if begins().any(|(_, name)| lists.certain.contains(name)) || glued(GLUED) {
            return Some(Secrecy::Certain);
        }
        let passes =
            |start| key.last_word(start).is_some_and(|word| WORDS_BEFORE_PASS.contains(&&key.text[word..start]));
        let likely = begins().any(|(start, name)| lists.likely.contains(name) && (name != "pass" || !passes(start)));
        if likely || glued(&["token", "cookie"]) {
            return Some(Secrecy::Likely);
        }
        let service = text.strip_suffix("key").filter(|rest| !rest.is_empty() && text.len() == key.text.len())?;
        let last = key.last_word(service.len()).unwrap_or(0);
        let known = lists.services.contains(&service[last..]) || lists.services.contains(service);
        known.then_some(Secrecy::ServiceKey)
    }
}

/// The secrecy of a key with a certain name anywhere in it, unless a word behind it, as `policy`, makes it a key about a secret.
fn certain_before(key: &Squeezed) -> Option<Secrecy> {
    let lists = &*LISTS;
    let words = key.starts.len();
    // The last words of a key decide.
    let ends = (words.saturating_sub(6).max(1)..words).rev();
    let certain = ends.into_iter().find(|&nth| {
        let text = &key.text[..key.starts[nth]];
        let begins = key.starts[..nth].iter().rev().take_while(|start| text.len() - **start <= LONGEST_NAME);
        let mut names = begins.map(|&start| &text[start..]);
        names.any(|name| lists.certain.contains(name) && name != "secret") || text.ends_with("password")
    })?;
    let about = (certain..words).any(|nth| lists.about.contains(key.word(nth)));
    (!about).then_some(Secrecy::Likely)
}

/// True if the key may name a secret: a quick check for the beginnings of words that every name in the lists has.
fn may_name_a_secret(key: &str) -> bool {
    const SHORTEST: usize = 2;
    if key.len() < SHORTEST {
        return false;
    }
    // Other signs, and letters beyond ASCII, need the full check.
    let odd = |b: u8| !(b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if key.bytes().any(odd) {
        return true;
    }
    // The stems of the names: `pass`, `token`, `secret`, `key`, `auth`, `cookie`, …
    let bytes = key.as_bytes();
    let begins = |at: usize, stem: &[u8]| bytes[at..].get(..stem.len()).is_some_and(|b| b.eq_ignore_ascii_case(stem));
    (0..bytes.len()).any(|at| match bytes[at] | 0x20 {
        b'p' => [&b"pass"[..], b"pw", b"psk", b"phrase", b"pin", b"phpsess", b"priv"].iter().any(|s| begins(at, s)),
        b't' => begins(at, b"token") || begins(at, b"totp"),
        b's' => [&b"secret"[..], b"seed", b"sess", b"signature", b"sig"].iter().any(|s| begins(at, s)),
        b'k' => begins(at, b"key"),
        b'a' => begins(at, b"auth"),
        b'c' => [&b"cookie"[..], b"cred", b"code", b"cv"].iter().any(|s| begins(at, s)),
        b'j' => begins(at, b"jwt") || begins(at, b"jsess"),
        b'b' => begins(at, b"bearer"),
        b'm' => begins(at, b"mnemonic"),
        b'o' => begins(at, b"otp"),
        b'h' => begins(at, b"hotp"),
        b'w' => begins(at, b"wif"),
        b'x' => begins(at, b"xprv"),
        b'n' => begins(at, b"nsec"),
        // Signs between single letters, as in `p-a_s-s`.
        b'_' | b'-' => at + 2 < bytes.len() && matches!(bytes[at + 2], b'_' | b'-'),
        _ => false,
    })
}

/// True if the name ends in `token` and means a currency, a word of a language, or a place in a list.
fn is_ordinary(key: &Squeezed, name: &str, plural: bool) -> bool {
    let Some(before) = name.strip_suffix("token") else { return false };
    if before.is_empty() {
        return false;
    }
    let word = key.last_word(before.len()).map_or(before, |start| &before[start..]);
    let counted =
        plural && ["max", "min", "total", "num", "used", "reasoning", "cached", "generated", "n"].contains(&word);
    counted || ORDINARY_TOKENS.contains(&word) || (word.len() == before.len() && ORDINARY_TOKENS.contains(&before))
}

/// The text before this form; `None` if the text does not end in it. `input` after `token` is no form: it counts tokens.
fn name_before<'a>(text: &'a str, form: &str) -> Option<&'a str> {
    let rest = text.strip_suffix(form)?;
    let counts = form == "input" && rest.strip_suffix('s').unwrap_or(rest).ends_with("token");
    (!counts).then_some(rest)
}

/// The end of a key, long enough for every name and form.
fn tail(key: &str) -> &str {
    let mut from = key.len().saturating_sub(LONGEST);
    while !key.is_char_boundary(from) {
        from += 1;
    }
    &key[from..]
}

/// A key without what stands between its words, and where they begin.
struct Squeezed {
    text: String,
    starts: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CharKind {
    Gap,
    Digit,
    Upper,
    Lower,
}

fn kind(char: char) -> CharKind {
    match char {
        c if c.is_uppercase() => CharKind::Upper,
        c if c.is_alphabetic() => CharKind::Lower,
        c if c.is_numeric() => CharKind::Digit,
        _ => CharKind::Gap,
    }
}

impl Squeezed {
    fn of(key: &str) -> Self {
        let mut squeezed = Self { text: String::with_capacity(key.len()), starts: Vec::with_capacity(8) };
        let mut before = CharKind::Gap;
        let mut chars = key.chars().peekable();
        while let Some(char) = chars.next() {
            let now = kind(char);
            if now != CharKind::Gap {
                // The `K` of `APIKey` begins a word, the `P` does not.
                let begins = now != before && !(before == CharKind::Upper && now == CharKind::Lower);
                let turns = now == CharKind::Upper && chars.peek().is_some_and(|next| kind(*next) == CharKind::Lower);
                if begins || turns {
                    squeezed.starts.push(squeezed.text.len());
                }
                squeezed.text.extend(char.to_lowercase());
            }
            before = now;
        }
        squeezed
    }

    /// The start of the last word that begins before `end`.
    fn last_word(&self, end: usize) -> Option<usize> {
        self.starts.iter().rev().copied().find(|start| *start < end)
    }

    fn word(&self, nth: usize) -> &str {
        let Some(&start) = self.starts.get(nth) else { return "" };
        &self.text[start..self.starts.get(nth + 1).copied().unwrap_or(self.text.len())]
    }
}
