//! `docs/14_EVENT_TAXONOMY.md` and `rowcast.event_types` say the same, in both directions.

use super::{read_in_repository, schema_document};
use crate::support;
use std::collections::BTreeSet;

const DOCUMENT: &str = "docs/14_EVENT_TAXONOMY.md";
const HEADER: &str = "| type | description | public fields | why public |";

type Entry = (String, String, Vec<String>);

/// The rows of the one table with that header. A row that cannot be read is an error.
fn entries(text: &str) -> Result<BTreeSet<Entry>, String> {
    let mut tables = text.split(HEADER).skip(1);
    let (Some(table), None) = (tables.next(), tables.next()) else { return Err(format!("not exactly one {HEADER}")) };
    let mut entries = BTreeSet::new();
    let code = |cell: &str| cell.strip_prefix('`').and_then(|c| c.strip_suffix('`')).map(str::to_owned);
    for line in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells = schema_document::cells(line)?;
        let [name, description, fields, why] = cells.as_slice() else { return Err(format!("not four cells: {line}")) };
        let name = code(name).ok_or_else(|| format!("not a `type`: {line}"))?;
        let fields = match fields.as_str() {
            "none" => Some(Vec::new()),
            fields => fields.split(", ").map(code).collect(),
        };
        let mut fields = fields.ok_or_else(|| format!("not `a`, `b` or none: {line}"))?;
        fields.sort();
        if description.is_empty() || why.is_empty() {
            return Err(format!("says nothing: {line}"));
        }
        if entries.iter().any(|(other, ..): &Entry| *other == name) {
            return Err(format!("said twice: {line}"));
        }
        entries.insert((name, description.clone(), fields));
    }
    Ok(entries)
}

#[tokio::test]
async fn the_taxonomy_of_the_migrated_database_is_what_the_document_says() {
    let client_of = support::migrated_database().await;
    let rows = client_of
        .client()
        .await
        .query("select type, description, array(select f from unnest(public_fields) f order by f collate \"C\") from rowcast.event_types", &[])
        .await
        .unwrap();
    let found: BTreeSet<Entry> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let specified = entries(&read_in_repository(DOCUMENT)).unwrap();
    let missing: Vec<_> = specified.difference(&found).collect();
    let extra: Vec<_> = found.difference(&specified).collect();
    assert!(missing.is_empty() && extra.is_empty(), "only in {DOCUMENT}: {missing:?}; only in the database: {extra:?}");
}

#[test]
fn a_row_that_cannot_be_read_is_refused() {
    let page = |row: &str| format!("{HEADER}\n|---|---|---|---|\n{row}\n");
    assert_eq!(entries(&page("| `a.b` | Words. | `y`, `x` | Since. |")).unwrap().len(), 1);
    assert_eq!(entries(&page("| `a.b` | Words. | none | Since. |")).unwrap().first().unwrap().2, Vec::<String>::new());
    for bad in [
        "| `a.b` | Words. | `x` |",
        "| a.b | Words. | `x` | Since. |",
        "| `a.b` | Words. | x | Since. |",
        "| `a.b` | Words. |  | Since. |",
        "| `a.b` | Words. | `x` |  |",
        "| `a` | A. | none | B. |\n| `a` | C. | none | D. |",
    ] {
        assert!(entries(&page(bad)).is_err(), "{bad}");
    }
    assert!(entries("no table").is_err());
}
