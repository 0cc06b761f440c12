//! The documents: their links lead somewhere, and the settings that they name are those there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rowcast::config::SETTINGS;

use super::{files, nothing, read, root};

/// The targets of the Markdown links of a text, outside of code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // What stands between back-ticks is code.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("x");
        let mut rest = prose.as_str();
        while let Some((_, after)) = rest.split_once("](") {
            let target = after.split([')', ' ']).next().unwrap_or_default();
            found.push(target.to_owned());
            rest = after;
        }
    }
    found
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
}

fn anchors(text: &str) -> BTreeSet<String> {
    text.lines().filter(|l| l.starts_with('#')).map(anchor).collect()
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let documents: Vec<_> = files()
        .into_iter()
        .filter(|f| f == "README.md" || f == "todo.md" || (f.starts_with("docs/") && f.ends_with(".md")))
        .collect();
    assert!(documents.len() > 3, "{documents:?}");
    let mut wrong = Vec::new();
    for document in &documents {
        let text = read(document);
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, fragment) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { PathBuf::from(document) } else { beside(document, path) };
            if !root().join(&target).exists() {
                wrong.push(format!("{document}: {link}"));
            } else if !fragment.is_empty()
                && target.extension().is_some_and(|e| e == "md")
                && !anchors(&read(&target)).contains(fragment)
            {
                wrong.push(format!("{document}: {link}: no such heading"));
            }
        }
    }
    nothing("these links lead nowhere", &wrong);
}

fn beside(document: &str, path: &str) -> PathBuf {
    Path::new(document).parent().unwrap_or(Path::new("")).join(path)
}

#[test]
fn links_are_found_where_they_are() {
    let text = "[a](x.md) and [b](y.md#z \"t\")\n`[c](code)` [`d`](w)\n```\n[e](fenced)\n```\n";
    assert_eq!(links(text), ["x.md", "y.md#z", "w"]);
    assert_eq!(anchor("## `publish`, and what it costs"), "publish-and-what-it-costs");
}

/// The rows of the first table of a text whose header begins with these two cells.
fn table(text: &str, header: [&str; 2]) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
        inner.split('|').map(|c| c.replace('`', "").trim().to_owned()).collect::<Vec<_>>()
    };
    text.lines()
        .filter(|line| line.trim_start().starts_with('|') || !line.trim().is_empty())
        .skip_while(|line| !line.trim_start().starts_with('|') || !cells(line).starts_with(&header.map(str::to_owned)))
        .skip(2)
        .take_while(|line| line.trim_start().starts_with('|'))
        .map(cells)
        .collect()
}

#[test]
fn the_documented_settings_are_those_there_are() {
    let rows = table(&read("docs/03_API_SPEC.md"), ["variable", "default"]);
    let documented: BTreeMap<_, _> = rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(documented.len(), rows.len(), "a setting is documented twice");
    let known: BTreeMap<_, _> =
        SETTINGS.iter().map(|s| (s.name.to_owned(), s.default.unwrap_or_default().to_owned())).collect();
    let mut wrong = Vec::new();
    for (name, default) in &known {
        match documented.get(name) {
            None => wrong.push(format!("{name} is not in docs/03_API_SPEC.md")),
            Some(said) if said != default => wrong.push(format!("{name}: documented {said:?}, really {default:?}")),
            Some(_) => {}
        }
    }
    wrong.extend(documented.keys().filter(|n| !known.contains_key(*n)).map(|n| format!("{n} is no setting")));
    nothing("the table of settings in docs/03_API_SPEC.md is not the table in src/config", &wrong);
}
