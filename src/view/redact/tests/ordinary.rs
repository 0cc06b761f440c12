//! Ordinary members and texts: what a filter for secrets must leave alone, so that a trading system, a build server or a
//! chat can use it. The lists stand beside this file, each part with where it comes from.

use super::Redaction;

const KEYS: &str = include_str!("ordinary/keys.txt");
const TEXTS: &str = include_str!("ordinary/texts.txt");

/// Of a hundred ordinary things, at most this many may be hidden.
const MOST_PERCENT: usize = 2;

fn lines(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn few(hidden: &[String], of: usize) {
    let percent = hidden.len() * 100 / of;
    assert!(hidden.len() * 100 < MOST_PERCENT * of, "{} of {of} ({percent} %): {hidden:#?}", hidden.len());
}

#[test]
fn ordinary_members_are_shown() {
    let redaction = Redaction::default();
    let hidden = |line: &&str| redaction.json(&format!("{{{line}}}")) != format!("{{{line}}}");
    let hidden: Vec<_> = lines(KEYS).filter(hidden).map(str::to_owned).collect();
    let of = lines(KEYS).count();
    assert!(of >= 280, "{of}");
    few(&hidden, of);
    // What they are written in is JSON.
    for line in lines(KEYS) {
        let whole = format!("{{{line}}}");
        assert!(serde_json::from_str::<serde_json::Value>(&whole).is_ok(), "{line}");
    }
}

#[test]
fn ordinary_texts_are_shown() {
    let redaction = Redaction::default();
    let mut hidden = Vec::new();
    for line in lines(TEXTS) {
        let quoted = format!("{{\"note\": {}}}", serde_json::to_string(line).unwrap_or_default());
        let left = redaction.text(line);
        if left != line || redaction.json(&quoted) != quoted || redaction.json_line(&quoted) != quoted {
            hidden.push(format!("{line} -> {left}"));
        }
    }
    let of = lines(TEXTS).count();
    assert!(of >= 130, "{of}");
    few(&hidden, of);
}
