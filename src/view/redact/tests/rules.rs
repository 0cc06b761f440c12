//! Every row of the table of makes has examples of both kinds, made from the row itself; and whatever stands before a
//! secret does not hide it.

use super::super::makes::{Length, MAKES, Make, Position};
use super::corpus::{BEFORE, PHRASES, SECRETS, whole};
use super::{REDACTED, Redaction};

/// Characters of this alphabet that look as if they were drawn.
fn body(make: &Make, length: usize) -> String {
    let drawn = "aB3dE5gH7jK9mN2pQ4rS6tU8vW1xYzA4cD6f";
    let fits = |c: &char| u8::try_from(*c).is_ok_and(make.of);
    drawn.chars().filter(fits).cycle().take(length).collect()
}

/// A key of this make that begins so; and what falls short of one.
fn examples(make: &Make, begin: &str) -> (String, Vec<String>) {
    let mut short = vec![begin.to_owned(), format!("{begin} and so on"), format!("the {begin}!")];
    let hidden = match make.length {
        Length::AtLeast(least) => {
            short.push(format!("{begin}{}", body(make, least / 3)));
            format!("{begin}{}", body(make, least))
        }
        Length::Exactly(length) => {
            short.push(format!("{begin}{}", body(make, length - 1)));
            short.push(format!("{begin}{}Q", body(make, length)));
            format!("{begin}{}", body(make, length))
        }
        Length::Within(before, behind) => {
            short.push(format!("{}{begin}", body(make, before - 1)));
            format!("{}{begin}{}", body(make, before), body(make, behind))
        }
    };
    // Shorter ones are keys of others.
    if begin.starts_with("sk-") {
        short.pop();
    }
    (hidden, short)
}

#[test]
fn every_make_is_hidden_behind_anything_and_what_falls_short_is_shown() {
    let redaction = Redaction::default();
    for make in MAKES {
        for begin in make.begins {
            let (secret, short) = examples(make, begin);
            let glued: &[&str] = if make.stands == Position::Anywhere { &["x", "Z", "7", "aB9"] } else { &[] };
            for before in [""].iter().chain(BEFORE).chain(glued) {
                let text = format!("{before}{secret}");
                assert!(!redaction.text(&text).contains(&secret), "{}: {text:?}", make.name);
                let json = format!("{{\"a\":{}}}", serde_json::to_string(&text).unwrap_or_default());
                assert_eq!(redaction.json(&json), "{\"a\":\"[redacted]\"}", "{}: {text:?}", make.name);
            }
            for text in short {
                assert_eq!(redaction.text(&text), text, "{} falls short", make.name);
            }
        }
    }
}

#[test]
fn whatever_stands_before_a_secret_does_not_hide_it() {
    let redaction = Redaction::default();
    for secret in SECRETS.iter().chain(PHRASES) {
        let secret = whole(secret);
        for before in BEFORE {
            // Nor in JSON that is a string of JSON, nor in one of those.
            let mut text = format!("see{before}{secret}");
            for _ in 0..3 {
                assert!(!redaction.text(&text).contains(&secret), "{text:?}");
                let json = format!("{{\"a\":{}}}", serde_json::to_string(&text).unwrap_or_default());
                assert_eq!(redaction.json(&json), "{\"a\":\"[redacted]\"}", "{text:?}");
                assert!(!redaction.json_line(&json).contains(&secret), "{text:?}");
                text = json;
            }
        }
    }
}

#[test]
fn a_wallet_is_hidden_in_pieces_too() {
    let redaction = Redaction::default();
    for phrase in &PHRASES[..3] {
        let words: Vec<_> = phrase.split(' ').collect();
        let array = serde_json::to_string(&words).unwrap_or_default();
        let hidden = redaction.json(&array);
        assert_eq!(hidden.matches(REDACTED).count(), words.len(), "{hidden}");
        assert!(redaction.text(&phrase.replace(' ', "\n")).contains(REDACTED), "{phrase}");
        // Eleven are none, nor is prose.
        assert_eq!(redaction.text(&words[1..].join(" ")), words[1..].join(" "));
        let prose = words.join(" and then the ");
        assert_eq!(redaction.text(&prose), prose);
    }
}

#[test]
fn the_words_of_wallets_are_those_of_bip39() {
    let words: Vec<_> = include_str!("../bip39_english.txt").lines().collect();
    assert_eq!((words.len(), words[0], words[2047]), (2048, "abandon", "zoo"));
    assert!(words.is_sorted());
}

#[test]
fn a_key_of_bitcoin_glued_to_something_is_known_by_its_check() {
    let redaction = Redaction::default();
    let key = whole("5Hue·CGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ");
    assert_eq!(redaction.text(&format!("x{key}")), "x[redacted]");
    assert_eq!(redaction.text(&format!("{key}x")), "[redacted]x");
    let wrong = key.replace("CGU8", "CGU9");
    assert_eq!(redaction.text(&format!("x{wrong}")), format!("x{wrong}"));
}
