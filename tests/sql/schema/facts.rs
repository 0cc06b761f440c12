//! Facts about a schema, and what two sets of them differ in.

use std::collections::BTreeMap;

/// Each fact and what it is, such as `table rowcast.events: column seq: null` and `no`. `: ` nests; an object as such
/// is `present`.
pub(super) type Facts = BTreeMap<String, String>;

const PRESENT: &str = "present";

/// One readable line for each difference, in both directions. Of an object that is missing as a whole only the object
/// is named, not everything that it would have.
pub(super) fn differences((specified_in, specified): (&str, &Facts), (found_in, found): (&str, &Facts)) -> Vec<String> {
    let mut lines = Vec::new();
    for (fact, wanted) in specified {
        match found.get(fact) {
            Some(is) if is == wanted => {}
            Some(is) => lines.push(format!("{fact}: specified {}, is {}", quoted(wanted), quoted(is))),
            None if ancestors(fact).any(|a| specified.contains_key(a) && !found.contains_key(a)) => {}
            None => lines.push(format!("in {specified_in}, not in {found_in}: {}", with_value(fact, wanted))),
        }
    }
    for (fact, is) in found {
        if !specified.contains_key(fact)
            && !ancestors(fact).any(|a| found.contains_key(a) && !specified.contains_key(a))
        {
            lines.push(format!("in {found_in}, not in {specified_in}: {}", with_value(fact, is)));
        }
    }
    lines
}

fn ancestors(fact: &str) -> impl Iterator<Item = &str> {
    fact.match_indices(": ").map(|(at, _)| &fact[..at])
}

fn quoted(value: &str) -> String {
    if value.is_empty() { "nothing".to_owned() } else { format!("`{value}`") }
}

fn with_value(fact: &str, value: &str) -> String {
    if value == PRESENT { fact.to_owned() } else { format!("{fact} {}", quoted(value)) }
}

#[test]
fn a_difference_is_one_line_and_a_missing_object_is_named_alone() {
    let facts = |lines: &[(&str, &str)]| -> Facts {
        lines.iter().map(|(fact, is)| ((*fact).to_owned(), (*is).to_owned())).collect()
    };
    let specified =
        facts(&[("table a", PRESENT), ("table a: kind", "table"), ("table b", PRESENT), ("table b: x", "1")]);
    let found = facts(&[("table a", PRESENT), ("table a: kind", "view"), ("table c", PRESENT), ("table c: x", "")]);
    assert_eq!(
        differences(("the page", &specified), ("the database", &found)),
        [
            "table a: kind: specified `table`, is `view`",
            "in the page, not in the database: table b",
            "in the database, not in the page: table c",
        ]
    );
}
