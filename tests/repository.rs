//! The repository itself: its layers, its circles, its folders, its scripts, and that what it says in several places is the same in
//! all of them. No database.

mod chapters;
mod circles;
mod compose;
mod documents;
mod layers;
mod scripts;
mod sizes;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use self::layers::APPLICATIONS;

/// What may lie at the top, next to names that begin with a dot.
const TOP: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "todo.md",
    "compose.yaml",
    "clients",
    "deploy",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "rustfmt.toml",
    "deny.toml",
    "sql",
    "src",
    "clients",
    "tests",
    "scripts",
    "docs",
    "benches",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The files of the repository, those included that are not committed yet.
fn files() -> Vec<String> {
    let listing = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(listing.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listing.stderr));
    let names = String::from_utf8(listing.stdout).unwrap();
    // One that is removed and not yet committed is still listed.
    let mut all: Vec<_> =
        names.split('\0').filter(|n| !n.is_empty() && root().join(n).exists()).map(str::to_owned).collect();
    all.sort_unstable();
    all.dedup();
    assert!(all.len() > 20, "{all:?}");
    all
}

fn nothing(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what}:\n  {}", wrong.join("\n  "));
}

fn in_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// The identifier at the beginning of a text.
fn identifier(text: &str) -> &str {
    let text = text.trim_start();
    &text[..text.bytes().position(|b| !in_word(b)).unwrap_or(text.len())]
}

/// The code without comments and without what only tests compile. It relies on the format that scripts/check holds: an
/// item ends at a line with the indentation of its beginning that ends in `}` or `;`.
fn shipped_code(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            let indent = line.len() - line.trim_start().len();
            for skipped in lines.by_ref() {
                let at_indent = skipped.len() - skipped.trim_start().len() == indent;
                if at_indent && !skipped.trim_start().starts_with("#[") && skipped.ends_with(['}', ';']) {
                    break;
                }
            }
            continue;
        }
        let line = line.trim_start();
        let line = if line.starts_with("//") { "" } else { line.split(" // ").next().unwrap_or_default() };
        code.push_str(line);
        code.push('\n');
    }
    code
}

/// What a client sees is redacted by `view`; a stored row that could serialize would be a way around it.
#[test]
fn what_is_stored_does_not_serialize() {
    let stored: Vec<String> =
        ["db", "journal", "tail"].iter().chain(APPLICATIONS).map(|module| format!("src/{module}/")).collect();
    // The shapes of the applications leave their file as documents that redaction has made.
    let apart: Vec<String> = APPLICATIONS.iter().map(|application| format!("src/{application}/view.rs")).collect();
    let wrong: Vec<String> = files()
        .into_iter()
        .filter(|path| stored.iter().any(|folder| path.starts_with(folder)) && !apart.contains(path))
        .filter(|path| shipped_code(&read(path)).split(|c: char| !c.is_alphanumeric()).any(|word| word == "Serialize"))
        .collect();
    nothing("these can be serialized as they are stored", &wrong);
}

#[test]
fn the_top_holds_only_what_belongs_there() {
    let tops: BTreeSet<_> = files().iter().map(|f| f.split('/').next().unwrap_or_default().to_owned()).collect();
    let wrong: Vec<_> = tops.into_iter().filter(|t| !t.starts_with('.') && !TOP.contains(&t.as_str())).collect();
    nothing("these do not belong at the top", &wrong);
}

#[test]
fn no_file_names_a_place_of_one_machine() {
    // Put together here, so that this file does not name them either.
    let words = [concat!("/wo", "rk/"), concat!(".lib", "rary"), concat!("../sha", "red")];
    let mut wrong = Vec::new();
    for file in files() {
        let bytes = std::fs::read(root().join(&file)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    nothing("these lines hold only on one machine", &wrong);
}

#[test]
fn the_licence_is_stated_and_shipped() {
    let manifest = read("Cargo.toml");
    assert!(manifest.contains("\nlicense = \"MIT OR Apache-2.0\"\n"));
    assert!(read("LICENSE-MIT").contains("Permission is hereby granted"));
    assert!(read("LICENSE-APACHE").contains("Apache License"));
}

#[test]
fn the_changelog_has_a_place_for_what_is_not_released() {
    assert!(read("docs/CHANGELOG.md").lines().any(|line| line.trim() == "## [Unreleased]"));
}
