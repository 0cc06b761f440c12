//! Random texts as cursors, numbers and filters: each is parsed as the interface says, or refused.

use super::{any_event, any_filter};
use crate::journal::{Cursor, Filter, FilterKey};
use crate::session::{BadStart, MAX_LAST, Start};
use crate::tail::pages::tests::Dice;

const PARTS: &[&str] = &[
    "",
    "0",
    "00",
    "5",
    "1042",
    "9223372036854775807",
    "9223372036854775808",
    "99999999999999999999",
    ".",
    "..",
    "-",
    "+",
    "9f3a11c2",
    "9F3A11C2",
    "9f3a11c",
    "9f3a11c2a",
    "earliest",
    "latest",
    "LATEST",
    " ",
    "\0",
    "\n",
    "a",
    "a.b",
    "*",
    ".*",
    ",",
    "trade",
    "note.added",
    "ß",
    "٣",
    "🙂",
    "1e3",
    "0x1",
    "10000",
    "10001",
    "%",
    "\\",
    "'",
    "critical",
    "warn",
    "4c0c4b2e-55b1-4a57-9d7e-1b1f4f6f7a10",
    "4c0c4b2e55b14a579d7e1b1f4f6f7a10",
];

fn any_text(dice: &mut Dice) -> String {
    (0..1 + dice.roll(3)).map(|_| *dice.pick(PARTS)).collect()
}

/// True if docs/03_API_SPEC.md allows this text as a cursor; written apart from the parser.
fn is_cursor(text: &str) -> bool {
    let (seq, tag) = text.split_once('.').map_or((text, "00000000"), |(seq, tag)| (seq, tag));
    let seq_fits = !seq.is_empty() && seq.chars().all(|c| c.is_ascii_digit()) && seq.parse::<i64>().is_ok();
    seq_fits && tag.chars().count() == 8 && tag.chars().all(|c| c.is_ascii_hexdigit())
}

#[test]
fn a_text_is_parsed_as_a_start_if_and_only_if_the_interface_allows_it() {
    let mut dice = Dice(1);
    let mut parsed = 0;
    for _ in 0..50_000 {
        let text = any_text(&mut dice);
        match Start::parse(Some(&text), None) {
            Ok(Start::After(cursor)) => {
                assert!(is_cursor(&text), "{text:?}");
                assert_eq!(cursor.to_string().parse(), Ok(cursor), "{text:?}");
                assert_eq!(cursor.tag.is_some(), text.contains('.'));
                parsed += 1;
            }
            Ok(start) => {
                assert!(matches!((start, text.as_str()), (Start::Earliest, "earliest") | (Start::Latest, "latest")))
            }
            Err(error) => assert_eq!((error, is_cursor(&text)), (BadStart::Cursor, false), "{text:?}"),
        }
        let last = Some(&text).filter(|text| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()));
        let last = last.and_then(|text| text.parse().ok()).filter(|last| *last <= MAX_LAST);
        assert_eq!(Start::parse(None, Some(&text)).ok(), last.map(Start::Last), "{text:?}");
        assert_eq!(Start::parse(Some(&text), Some("1")), Err(BadStart::Both));
    }
    assert!(parsed > 1_000, "{parsed}");
    assert_eq!("0".parse(), Ok(Cursor::START));
}

#[test]
fn a_filter_is_refused_or_passes_only_events_that_have_one_of_its_keys() {
    let mut dice = Dice(2);
    let names = ["type", "level", "symbol", "trade_id", "subject", "owner", "cursor", "", "Type"];
    let (mut parsed, mut passed) = (0, 0);
    for number in 0..20_000 {
        let pairs: Vec<_> = (0..dice.roll(3)).map(|_| (*dice.pick(&names), any_text(&mut dice))).collect();
        // Every fourth filter is well-formed, so that some events pass.
        let filter = if number % 4 == 0 {
            any_filter(&mut dice)
        } else {
            match Filter::parse(pairs.iter().map(|(name, value)| (*name, value.as_str()))) {
                Ok(filter) => filter,
                Err(error) => {
                    let message = error.to_string();
                    let repeats = |value: &String| value.len() > 12 && message.contains(value);
                    assert!(!pairs.iter().any(|(_, value)| repeats(value)), "{message}: {pairs:?}");
                    continue;
                }
            }
        };
        parsed += 1;
        let event = any_event(1 + dice.seq(1000), 0, &mut dice);
        if filter.matches(&event) {
            let event_keys = FilterKey::of(&event);
            assert!(filter.keys().iter().any(|key| event_keys.contains(key)), "{filter:?}: {event:?}");
            passed += 1;
        }
    }
    assert!(parsed > 4_000 && passed > 500, "{parsed}, {passed}");
}
