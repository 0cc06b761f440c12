//! Files and functions that one can overlook: a file of more lines has several subjects, a function several steps.

use super::{files, nothing, read};

/// A file of more lines says why in a line that begins with `// Long, because`.
const MOST_LINES: usize = 400;
/// A function of src/ of more lines is several.
const MOST_OF_A_FUNCTION: usize = 80;

const REASON: &str = "// Long, because";

#[test]
fn no_file_is_too_long_without_a_reason() {
    let is_page = |file: &str| file.starts_with("src/dashboard/");
    let counted = files().into_iter().filter(|file| file.ends_with(".rs") || is_page(file));
    let too_long = counted.filter_map(|file| {
        let text = read(&file);
        let lines = text.lines().count();
        let excused = text.lines().any(|line| line.starts_with(REASON) && line.len() > REASON.len() + 10);
        (lines > MOST_LINES && !excused).then(|| format!("{file} has {lines} lines of {MOST_LINES}"))
    });
    nothing("these files are too long: divide them by their subjects", &too_long.collect::<Vec<_>>());
}

/// The functions of a file, each with its number of lines. It relies on the format that scripts/check holds: a function ends at a
/// line with the indentation of its beginning and a brace.
fn functions(code: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut found = Vec::new();
    for (begin, line) in lines.iter().enumerate() {
        let words = line.trim_start().trim_start_matches("pub ");
        let words =
            if words.starts_with("pub(") { words.split_once(") ").map_or(words, |(_, rest)| rest) } else { words };
        let words = words.trim_start_matches("const ").trim_start_matches("async ");
        let Some(name) = words.strip_prefix("fn ").and_then(|rest| rest.split(['(', '<']).next()) else { continue };
        let end = (begin..lines.len()).find(|at| indent(lines[*at]) == indent(line) && lines[*at].ends_with('}'));
        if let Some(end) = end {
            found.push((name.to_owned(), end - begin + 1));
        }
    }
    found
}

#[test]
fn no_function_is_too_long() {
    let mut wrong = Vec::new();
    for file in files().into_iter().filter(|file| file.starts_with("src/") && file.ends_with(".rs")) {
        for (name, lines) in functions(&read(&file)).into_iter().filter(|(_, lines)| *lines > MOST_OF_A_FUNCTION) {
            wrong.push(format!("{file}: {name} has {lines} lines of {MOST_OF_A_FUNCTION}"));
        }
    }
    nothing("these functions are too long", &wrong);
}

#[test]
fn the_length_of_a_function_is_counted_from_its_name_to_its_end() {
    let code = "fn a() {}\nimpl A {\n    pub(super) async fn b(\n        x: u8,\n    ) {\n        if x {\n        }\n    }\n}\nconst fn c() {\n}\n";
    assert_eq!(functions(code), [("a".to_owned(), 1), ("b".to_owned(), 6), ("c".to_owned(), 2)]);
}
