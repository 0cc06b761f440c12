//! The tests themselves: each file lies in the folder of its chapter under a name of its own, and each test is one scenario.

use std::collections::BTreeMap;

use super::{files, nothing, read};

/// The chapters of docs/03_API_SPEC.md that the tests follow, and what they stand on.
const CHAPTERS: &[&str] = &[
    "access",
    "apps",
    "cli",
    "dashboard",
    "durable",
    "main",
    "operations",
    "pages",
    "repository",
    "sql",
    "stream",
    "support",
    "tail",
    "torture",
];

/// A test of more lines is several scenarios.
const MOST_LINES: usize = 60;

fn under_tests() -> impl Iterator<Item = String> {
    files().into_iter().filter(|file| file.starts_with("tests/"))
}

#[test]
fn each_file_of_the_tests_has_a_name_of_its_own_and_lies_in_a_chapter() {
    let mut paths: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for file in under_tests() {
        let (folder, name) = file.rsplit_once('/').unwrap_or_default();
        if folder == "tests" && !CHAPTERS.iter().any(|chapter| name == format!("{chapter}.rs")) {
            wrong.push(format!("{file} is no chapter: it belongs into the folder of one"));
        }
        paths.entry(name.to_owned()).or_default().push(file);
    }
    wrong.extend(paths.into_values().filter(|same| same.len() > 1).map(|same| same.join(" and ")));
    nothing("a file of the tests has the name of another or no chapter", &wrong);
}

/// The tests of a file, each with its number of lines. It relies on the format that scripts/check holds: a function ends at a line
/// with the indentation of its beginning and a brace.
fn lengths(text: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let attributes =
        (0..lines.len()).filter(|at| ["#[test", "#[tokio::test"].iter().any(|a| lines[*at].starts_with(a)));
    attributes
        .filter_map(|attribute| {
            let begin = (attribute..lines.len()).find(|at| lines[*at].contains("fn "))?;
            let name = lines[begin].split_once("fn ")?.1.split('(').next()?;
            let end = (begin..lines.len()).find(|at| lines[*at].starts_with('}'))?;
            Some((name, end - begin + 1))
        })
        .collect()
}

#[test]
fn a_test_is_one_scenario_and_no_longer_than_a_screen() {
    let mut wrong = Vec::new();
    for file in under_tests().filter(|file| file.ends_with(".rs")) {
        for (name, lines) in lengths(&read(&file)).into_iter().filter(|(_, lines)| *lines > MOST_LINES) {
            wrong.push(format!("{file}: {name} has {lines} lines of {MOST_LINES}: make several scenarios of it"));
        }
    }
    nothing("these tests are too long", &wrong);
}

#[test]
fn the_length_of_a_test_is_counted_from_its_name_to_its_end() {
    let text = "#[test]\nfn a() {\n    1;\n}\n\n/// B.\n#[tokio::test(flavor = \"x\")]\n#[ignore]\nasync fn b() {\n    {\n    }\n}\nfn c() {\n}\n";
    assert_eq!(lengths(text), [("a", 3), ("b", 4)]);
}
