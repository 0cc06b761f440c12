//! The result of comparing live tables, and its progress.

use std::fmt;

/// The most characters of a payload that a difference shows.
const SHOWN_CHARS: usize = 2000;

/// The result of comparing live tables.
#[derive(Debug, Default)]
pub struct TableReport {
    /// How many rows of snapshots were compared, in sum.
    pub rows: u64,
    /// How many snapshots were taken.
    pub snapshots: u64,
    /// How many events were folded.
    pub events: u64,
    /// The seq of the last snapshot's cursor.
    pub upto: i64,
    /// The first difference, if there is one.
    pub difference: Option<TableDifference>,
}

/// A row in which the fold of a snapshot and its events differs from a later snapshot.
#[derive(Debug, PartialEq, Eq)]
pub struct TableDifference {
    /// The table.
    pub table: String,
    /// What names the row; `None` if the row lacks a field of its key.
    pub name: Option<String>,
    /// The seq of the snapshot's cursor.
    pub seq: i64,
    /// The payload in the fold, if the row is there.
    pub folded: Option<String>,
    /// The payload in the snapshot, if the row is there.
    pub read: Option<String>,
    /// True if the snapshot has two rows of this name. Then the payloads are those of the two.
    pub is_twice: bool,
}

/// The progress of a comparison.
#[derive(Debug, Clone)]
pub enum TableProgress {
    /// All snapshots so far are the same as what was folded.
    Compared {
        /// How many rows were compared.
        rows: u64,
        /// How many snapshots were taken.
        snapshots: u64,
    },
    /// A snapshot has to wait, for this reason.
    Waiting(String),
}

impl fmt::Display for TableDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, name, seq, folded, read, is_twice } = self;
        let Some(name) = name else {
            return write!(f, "{table} at seq {seq}: a row lacks a field of the key: {}", shown(read.as_deref()));
        };
        let (folded, read) = (shown(folded.as_deref()), shown(read.as_deref()));
        if *is_twice {
            return write!(
                f,
                "{table} {name} at seq {seq}: two rows of the snapshot have this name: {folded} and {read}"
            );
        }
        write!(f, "{table} {name} at seq {seq}: folded {folded}, in the snapshot {read}")
    }
}

fn shown(payload: Option<&str>) -> String {
    let Some(payload) = payload else { return "nothing".to_owned() };
    let mut text: String = payload.chars().take(SHOWN_CHARS).collect();
    if text.len() < payload.len() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_says_what_is_where() {
        let difference = TableDifference {
            table: "shop.orders".to_owned(),
            name: Some("7".to_owned()),
            seq: 42,
            folded: Some("{\"v\": 1}".to_owned()),
            read: None,
            is_twice: false,
        };
        assert_eq!(difference.to_string(), "shop.orders 7 at seq 42: folded {\"v\": 1}, in the snapshot nothing");
        let long = TableDifference { read: Some("ü".repeat(SHOWN_CHARS + 1)), is_twice: true, ..difference };
        let said = long.to_string();
        assert!(said.contains("two rows of the snapshot have this name") && said.ends_with("ü…"), "{said}");
        assert!(TableDifference { name: None, ..long }.to_string().contains("a row lacks a field of the key: ü"));
    }
}
