//! The migrated database is what the document says, and each row of the document counts.

use super::catalog;
use super::facts::{Facts, differences};
use super::read_in_repository;
use super::schema_document::{self, DOCUMENT};
use crate::support;

#[tokio::test]
async fn the_migrated_database_is_what_the_document_says() {
    let db = support::migrated_database().await;
    let found = catalog::read_for_document(&db.client().await).await;
    let specified = schema_document::parse(&read_in_repository(DOCUMENT)).unwrap();
    let lines = differences((DOCUMENT, &specified), ("the database", &found));
    assert!(lines.is_empty(), "{} differences:\n{}", lines.len(), lines.join("\n"));
}

/// What a text of the document makes the test above say.
fn complaints(text: &str, found: &Facts) -> Vec<String> {
    match schema_document::parse(text) {
        Ok(specified) => differences((DOCUMENT, &specified), ("the database", found)),
        Err(error) => vec![error],
    }
}

#[test]
fn changing_any_row_of_the_document_fails_and_names_it() {
    // Two partitions instead of all, since the pattern is written out for each of them in every variant.
    let text = read_in_repository(DOCUMENT).replacen("| count | 25 |", "| count | 2 |", 1);
    // The document as it stands takes the place of a database, which the test above shows to be equal to it.
    let found = schema_document::parse(&text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut header: Vec<String> = Vec::new();
    let mut altered = 0;
    for (n, line) in lines.iter().enumerate() {
        if !line.starts_with('|') {
            header.clear();
            continue;
        }
        let cells = schema_document::cells(line).unwrap();
        if header.is_empty() || line.starts_with("|---") {
            if header.is_empty() {
                header = cells;
            }
            continue;
        }
        let named = cells[0].trim_matches('`').replace("<first>", "1");
        let mut variants = vec![None];
        for (i, name) in header.iter().enumerate().filter(|(_, name)| !schema_document::PROSE.contains(&name.as_str()))
        {
            let mut changed = cells.clone();
            changed[i] = match (cells[i].as_str(), name.as_str()) {
                ("", _) => "`x`".to_owned(),
                ("yes", "null") => "no".to_owned(),
                ("no", "null") => "yes".to_owned(),
                (cell, _) => cell.strip_suffix('`').map_or_else(|| format!("{cell}x"), |c| format!("{c}x`")),
            };
            variants.push(Some(format!("| {} |", as_row(&changed))));
        }
        for variant in variants {
            let mut edited: Vec<&str> = lines.clone();
            match &variant {
                Some(row) => edited[n] = row,
                None => drop(edited.remove(n)),
            }
            let said = complaints(&edited.join("\n"), &found);
            assert!(
                said.iter().any(|line| line.contains(&named)),
                "line {}, {named}: {variant:?} in place of {line} yields {said:?}",
                n + 1
            );
            altered += 1;
        }
    }
    assert!(altered > 600, "only {altered} variants were tried");
}

fn as_row(cells: &[String]) -> String {
    cells.iter().map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>().join(" | ")
}

#[test]
fn dropping_or_misspelling_a_heading_fails() {
    let text = read_in_repository(DOCUMENT);
    let found = schema_document::parse(&text).unwrap();
    let subjects =
        ["Roles", "Database", "Schema `", "Table `", "View `", "Sequence `", "Function `", "Partitions `", "Domains"];
    for heading in text.lines().filter(|l| l.starts_with("##") && subjects.iter().any(|s| l.contains(s))) {
        for edited in [String::new(), heading.replacen("# ", "# The ", 1)] {
            let lines: Vec<&str> = text.lines().map(|l| if l == heading { &edited } else { l }).collect();
            assert!(!complaints(&lines.join("\n"), &found).is_empty(), "{heading} became {edited:?} unnoticed");
        }
    }
}

/// A page with one table, whose last row is the one in question.
fn page(header: &str, row: &str) -> String {
    let rule = header.split('|').filter(|c| !c.trim().is_empty()).map(|_| "---|").collect::<String>();
    format!("### Table `a.b`\n\n{header}\n|{rule}\n{row}\n")
}

#[test]
fn the_parser_refuses_what_it_cannot_read() {
    let columns = "| column | type | null | default | meaning |";
    let properties = "| property | value |";
    let good = "| `c` | `text` | no |  | A word. |";
    assert_eq!(schema_document::parse(&page(columns, good)).unwrap().len(), 6);
    assert_eq!(schema_document::parse(&page(columns, good).replace("### Table", "### View")).unwrap().len(), 6);
    let domains = "| domain | base type | constraint | definition | meaning |";
    let domain = "| `a.b` | `text` | `c` | `CHECK (d)` | A word. |";
    let of_domains = |row: &str| page(domains, row).replace("### Table `a.b`", "### Domains");
    let two = of_domains(&format!("{domain}\n| `a.b` | `text` | `e` | `CHECK (d)` | A word. |"));
    assert_eq!(schema_document::parse(&two).unwrap().len(), 5);
    let bad = [
        (page(columns, "| `c` | `text` | no | A word. |"), "4 cells, the table has 5"),
        (page(columns, "| `c` | `text` | no |  | A | word. |"), "6 cells"),
        (page(columns, "| c | `text` | no |  | A word. |"), "not one `…`"),
        (page(columns, "| `c` | text | no |  | A word. |"), "not one `…`"),
        (page(columns, "| `c` | `text | no |  | A word. |"), "not one `…`"),
        (page(columns, "| `c` | `text` | maybe |  | A word. |"), "not one of"),
        (page(columns, "| `c` | `text` | no | none | A word. |"), "not one `…`"),
        (page(columns, "| `c` | `text` | no |  |  |"), "says nothing under meaning"),
        (page(columns, "| `c` | `text` | no |  | A word."), "begins and ends with |"),
        (page(columns, "`c` | `text` | no |  | A word. |"), "looks like a row"),
        (page(columns, &format!("{good}\n{good}")), "said twice"),
        (page("| column | typo | null | default | meaning |", good), "not a table that this page may hold"),
        (page(properties, "| kind |  |"), "neither"),
        (page("| constraint | definition |", "| `c` |  |"), "not one `…`"),
        (page("| index | definition |", "| `c` | words |"), "not one `…`"),
        (page("| trigger | definition | enabled | meaning |", "| `c` | `d` | perhaps | Why. |"), "not one of"),
        (page("| role | privileges | why |", "| `c` | `SELECT` |  |"), "says nothing under why"),
        (page(columns, good).replace("### Table `a.b`", "### Thing `a.b`"), "not a heading"),
        (page(columns, good).replace("### Table `a.b`", "### Table a.b"), "not one `…`"),
        (page(columns, good).replace("### Table `a.b`", "### About"), "no place under this heading"),
        (page(columns, good).replace("### Table `a.b`", "### Sequence `a.b`"), "no place under this heading"),
        (page(columns, good).replace("### Table `a.b`", "### Domains"), "no place under this heading"),
        (page("| constraint | definition |", "| `c` | `d` |").replace("### Table", "### View"), "no place under"),
        (page(domains, domain), "no place under this heading"),
        (of_domains("| `a.b` | text | `c` | `CHECK (d)` | A word. |"), "not one `…`"),
        (of_domains("| `a.b` | `text` |  | `CHECK (d)` | A word. |"), "not one `…`"),
        (of_domains("| `a.b` | `text` | `c` |  | A word. |"), "not one `…`"),
        (of_domains("| `a.b` | `text` | `c` | `CHECK (d)` |  |"), "says nothing under meaning"),
        (of_domains(&format!("{domain}\n{domain}")), "said twice: domain a.b: constraint c"),
        (
            of_domains(&format!("{domain}\n| `a.b` | `jsonb` | `e` | `CHECK (d)` | A word. |")),
            "said to be `text` above",
        ),
        (page(columns, good).replace("|---|---|---|---|---|\n", ""), "no rule under the header"),
        (format!("{0}{0}", page(columns, good)), "said twice"),
        ("```\nnever closed\n".to_owned(), "not closed"),
        ("### Partitions `rowcast.events_p<first>`\n".to_owned(), "count is not a number"),
    ];
    for (text, message) in bad {
        let error = schema_document::parse(&text).expect_err(&text);
        assert!(error.contains(message), "{text}\nsaid: {error}\nnot: {message}");
    }
}
