//! Properties that hold for JSON of any shape and for any text.

use std::borrow::Cow;

use super::Redaction;
use super::corpus::{SECRETS, whole};

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

const SECRET_KEYS: &[&str] =
    &["password", "API-KEY", "dbPassword", "Client.Secret", "x_access token", "mnemonic", "private_key"];
const PLAIN_KEYS: &[&str] =
    &["qty", "author", "tokens_used", "", "a\"b\\", "schlüssel", "\n", "{", "secretary", "日本", "key"];
const PLAIN_STRINGS: &[&str] =
    &["", "BTC", "{\"", "}]", "a: b", "\u{1}\t", "🙂", "eyJ", "x=y", "\\", "null", "price, qty"];
const NUMBERS: &[&str] = &["0", "-1", "1.10", "1e400", "12345678901234567890.00", "-0.0", "true", "false", "null"];
const BLANKS: &[&str] = &["", "", " ", "\n", "\t  "];

/// A JSON text and what must become of it, made side by side: the slow and plain way to the same result.
#[derive(Default)]
struct Pair {
    text: String,
    hidden: String,
    /// The number of strings that say something.
    strings: usize,
    planted: usize,
}

impl Pair {
    fn both(&mut self, text: &str) {
        self.text.push_str(text);
        self.hidden.push_str(text);
    }
}

/// A string as JSON, some of its characters escaped that need not be.
fn quoted(random: &mut Random, text: &str) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        let code = u32::from(char);
        if code < 0x20 || "\"\\".contains(char) || (code < 0x1_0000 && random.below(6) == 0) {
            out.push_str(&format!("\\u{code:04x}"));
        } else if random.below(6) == 0 {
            let mut units = [0; 2];
            char.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04X}")));
        } else {
            out.push(char);
        }
    }
    out + "\""
}

fn grow(random: &mut Random, pair: &mut Pair, depth: usize) {
    let kinds = if depth == 0 { 3 } else { 5 };
    match random.below(kinds) {
        0 => pair.both(random.pick(NUMBERS)),
        1 => {
            let plain = random_plain(random);
            pair.strings += usize::from(!["", "null"].contains(&plain));
            pair.both(&quoted(random, plain));
        }
        2 => {
            let secret = whole(random.pick(SECRETS));
            let text = format!("{} {secret}\n{}", random_plain(random), random_plain(random));
            pair.text.push_str(&quoted(random, &text));
            pair.hidden.push_str("\"[redacted]\"");
            pair.strings += 1;
            pair.planted += 1;
        }
        3 => grow_many(random, pair, depth, ["[", "]"]),
        _ => grow_many(random, pair, depth, ["{", "}"]),
    }
}

fn random_plain(random: &mut Random) -> &'static str {
    random.pick(PLAIN_STRINGS)
}

fn grow_many(random: &mut Random, pair: &mut Pair, depth: usize, brackets: [&str; 2]) {
    pair.both(brackets[0]);
    for nth in 0..random.below(5) {
        pair.both(if nth == 0 { "" } else { "," });
        pair.both(random.pick(BLANKS));
        let mut secret = false;
        if brackets[0] == "{" {
            secret = random.below(4) == 0;
            let key = random_key(random, secret);
            let key = quoted(random, key);
            pair.both(&format!("{key}{}:{}", random.pick(BLANKS), random.pick(BLANKS)));
        }
        let (before, strings) = (pair.hidden.len(), pair.strings);
        grow(random, pair, depth - 1);
        // Under the name of a secret all is hidden, if there is any string in it.
        if secret && pair.strings > strings {
            pair.hidden.truncate(before);
            pair.hidden.push_str("\"[redacted]\"");
        }
        pair.both(random.pick(BLANKS));
    }
    pair.both(brackets[1]);
}

fn random_key(random: &mut Random, secret: bool) -> &'static str {
    random.pick(if secret { SECRET_KEYS } else { PLAIN_KEYS })
}

#[test]
fn of_any_json_exactly_the_secrets_are_hidden() {
    let redaction = Redaction::default();
    let mut planted = 0;
    for seed in 1..4000_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut pair = Pair::default();
        grow(&mut random, &mut pair, 5);
        planted += pair.planted;
        assert!(serde_json::from_str::<&serde_json::value::RawValue>(&pair.text).is_ok(), "seed {seed}: {}", pair.text);
        let hidden = redaction.json(&pair.text);
        assert_eq!(hidden, pair.hidden, "seed {seed}: {}", pair.text);
        assert!(matches!(redaction.json(&hidden), Cow::Borrowed(_)), "seed {seed}: not the same again: {hidden}");
        assert_eq!(matches!(hidden, Cow::Borrowed(_)), pair.text == pair.hidden, "seed {seed}");
        // The log keeps more, and still JSON, and nothing of the secrets either.
        let line = redaction.json_line(&pair.text);
        assert!(serde_json::from_str::<&serde_json::value::RawValue>(&line).is_ok(), "seed {seed}: {line}");
        assert_eq!(redaction.json(&line), redaction.json_line(&line), "seed {seed}: {line}");
        assert!(matches!(redaction.json_line(&line), Cow::Borrowed(_)), "seed {seed}: not the same again: {line}");
    }
    assert!(planted > 1000, "{planted}");
}

/// Pieces that tempt every rule.
const PIECES: &[&str] = &[
    "token",
    "password",
    "=",
    ":",
    "\"",
    "\\\"",
    "'",
    "\\",
    " ",
    "{",
    "}",
    "[",
    "]",
    "://",
    "@",
    "/",
    "eyJhbGciOiJ",
    ".",
    "abc",
    "Bearer ",
    "basic ",
    "sk-",
    "ghp_",
    "-----BEGIN PRIVATE KEY",
    "-----END",
    "-----",
    "\u{1b}[3m",
    "é",
    "🙂",
    "1",
    "Some(",
    ",",
    "\n",
    "[redacted]",
    "123456789",
    ":AA",
    "0123456789abcdefghijABCDEFGHIJ012345",
    "AKIA",
    "cookie: ",
    "\"name\":\"token\"",
    "\"value\":",
    "ewogIC",
    "sig=",
    "&sv=1",
    "---- BEGIN PRIVATE KEY ----",
    "---- END",
    ".atlasv1.",
    "MTIzNDU2Nzg5MDEyMzQ1Njc4",
    ".abcdef.",
    "=>",
    "_",
    "null",
    "\\n",
    "%20",
    "%253D",
    "\\u0022",
    "&quot;",
    "<password>",
    "</password>",
    "--token ",
    "[\"Authorization\",\"",
    "kty",
    "\"d\":\"",
    "abandon ability able ",
    "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",
    "T3BlbkFJ",
    "v4.local.",
];

#[test]
fn any_text_is_the_same_after_a_second_time() {
    let redaction = Redaction::default();
    for seed in 1..30_000_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let text: String = (0..random.below(14)).map(|_| random.pick(PIECES)).collect();
        let once = redaction.text(&text).into_owned();
        assert_eq!(redaction.text(&once), once, "seed {seed}: {text:?}");
        let json = redaction.json(&text);
        assert_eq!(redaction.json(&json), json, "seed {seed}: {text:?}");
        redaction.json_line(&text);
    }
}
