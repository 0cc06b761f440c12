//! The fold of live tables: rows of a snapshot and the events behind it become the rows of each later moment. Pure: no socket, no clock.
//! `docs/LIVE_TABLES.md` is the specification.

use std::collections::HashMap;

use serde::Deserialize;

use super::row_fields::key_text;

/// The bytes that a kept row is counted as, beside its name and its payload.
const ROW_OVERHEAD: usize = 96;

/// What names a row of a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum RowKey {
    /// These fields of the payload.
    Fields(Vec<String>),
    /// The subject of its events. The word for it is always `subject`.
    Subject(String),
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TableColumn {
    /// Its name.
    pub name: String,
}

/// A published table as a client knows it, from `GET /v1/tables`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LiveTable {
    /// Its name with its schema.
    pub table: String,
    /// What the types of its events begin with.
    pub prefix: String,
    /// Its columns, in the order of the table. With a map the payloads may have other fields.
    pub columns: Vec<TableColumn>,
    /// What names a row; `None` if the rows cannot be read.
    pub key: Option<RowKey>,
    /// The types of the events that remove a row.
    pub removes: Vec<String>,
}

impl LiveTable {
    /// The last word of a type, if it is a type of this table: the prefix and one more word.
    pub fn word_of<'a>(&self, kind: &'a str) -> Option<&'a str> {
        let word = kind.strip_prefix(self.prefix.as_str())?.strip_prefix('.')?;
        (!word.contains('.')).then_some(word)
    }

    /// What names this row; `None` if it lacks a field of the key.
    pub fn name_row(&self, subject: Option<&str>, payload: &str) -> Option<String> {
        match self.key.as_ref()? {
            RowKey::Subject(_) => subject.map(str::to_owned),
            RowKey::Fields(fields) => key_text(payload, fields),
        }
    }
}

/// The most that a fold keeps.
#[derive(Debug, Clone, Copy)]
pub struct FoldLimits {
    /// The number of rows.
    pub rows: usize,
    /// The bytes that they take in memory, about.
    pub bytes: usize,
}

/// What a row of a snapshot, or an event, means for the rows that are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The row was not there.
    Appeared,
    /// The row was there, with the same payload.
    Same,
    /// The row was there, with this payload.
    Changed(Box<str>),
    /// The snapshot has had a row of this name already, with this payload.
    Twice(Box<str>),
    /// The row is gone. It had this payload, if it was there.
    Removed(Option<Box<str>>),
    /// All rows of the table are gone.
    Emptied,
    /// The row is as it is told. It could not be compared, since the limit is exceeded, or nothing names it.
    NotCompared,
}

/// A row that is kept.
#[derive(Debug)]
struct KeptRow {
    payload: Box<str>,
    /// The number of the snapshot in which it was seen last.
    snapshot: u64,
}

/// The rows of some tables, kept up to date.
#[derive(Debug)]
pub struct Fold {
    tables: Vec<LiveTable>,
    rows: Vec<HashMap<Box<str>, KeptRow>>,
    limits: FoldLimits,
    count: usize,
    bytes: usize,
    /// The number of the newest snapshot.
    snapshot: u64,
    /// True once the limit was exceeded. Then nothing is kept any more.
    is_exceeded: bool,
}

impl Fold {
    /// A fold of these tables, without any row.
    pub fn new(tables: Vec<LiveTable>, limits: FoldLimits) -> Self {
        let rows = tables.iter().map(|_| HashMap::new()).collect();
        Self { tables, rows, limits, count: 0, bytes: 0, snapshot: 0, is_exceeded: false }
    }

    /// The tables.
    pub fn tables(&self) -> &[LiveTable] {
        &self.tables
    }

    /// The number of rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// True once there were more rows than may be kept. Then none is kept, and nothing is compared.
    pub fn is_exceeded(&self) -> bool {
        self.is_exceeded
    }

    /// Begins a snapshot: its rows follow, and [`Self::end_snapshot`]. One that breaks off may be begun anew.
    pub fn begin_snapshot(&mut self) {
        self.snapshot += 1;
    }

    /// Takes a row of the snapshot, and says what names it and how it differs from the row that was kept.
    pub fn add_row(&mut self, table: usize, subject: Option<&str>, payload: &str) -> (Option<String>, Change) {
        let name = self.tables.get(table).and_then(|table| table.name_row(subject, payload));
        let Some(name) = name else { return (None, Change::NotCompared) };
        let change = self.keep(table, &name, payload, true);
        (Some(name), change)
    }

    /// Ends the snapshot, and returns the rows that were not in it: table, name and payload. They are not kept any more.
    pub fn end_snapshot(&mut self) -> Vec<(usize, Box<str>, Box<str>)> {
        let (snapshot, mut vanished) = (self.snapshot, Vec::new());
        for (table, rows) in self.rows.iter_mut().enumerate() {
            let gone = rows.extract_if(|_, row| row.snapshot != snapshot);
            let first = vanished.len();
            vanished.extend(gone.map(|(name, row)| (table, name, row.payload)));
            vanished[first..].sort_unstable_by(|one, other| one.1.cmp(&other.1));
        }
        for (_, name, payload) in &vanished {
            (self.count, self.bytes) = (self.count - 1, self.bytes - weight(name, payload));
        }
        vanished
    }

    /// Folds an event in, and says what names its row and what became of it; `None` for an event of another table, and for a
    /// truncation of a table that has no rows already.
    pub fn apply(
        &mut self,
        table: usize,
        kind: &str,
        subject: Option<&str>,
        payload: &str,
    ) -> Option<(Option<String>, Change)> {
        let described = self.tables.get(table)?;
        if described.word_of(kind)? == "truncated" {
            let rows = std::mem::take(self.rows.get_mut(table)?);
            // A table with owners tells it to each of them, and an administrator hears all of that.
            let is_told_again = rows.is_empty() && !self.is_exceeded;
            self.count -= rows.len();
            self.bytes -= rows.iter().map(|(name, row)| weight(name, &row.payload)).sum::<usize>();
            return (!is_told_again).then_some((None, Change::Emptied));
        }
        let is_removal = described.removes.iter().any(|removal| removal == kind);
        let Some(name) = described.name_row(subject, payload) else { return Some((None, Change::NotCompared)) };
        let change = if is_removal { self.remove(table, &name) } else { self.keep(table, &name, payload, false) };
        Some((Some(name), change))
    }

    fn remove(&mut self, table: usize, name: &str) -> Change {
        let removed = self.rows.get_mut(table).and_then(|rows| rows.remove(name));
        if let Some(row) = &removed {
            (self.count, self.bytes) = (self.count - 1, self.bytes - weight(name, &row.payload));
        }
        Change::Removed(removed.map(|row| row.payload))
    }

    fn keep(&mut self, table: usize, name: &str, payload: &str, is_of_snapshot: bool) -> Change {
        let Some(rows) = self.rows.get_mut(table).filter(|_| !self.is_exceeded) else { return Change::NotCompared };
        let snapshot = self.snapshot;
        let change = match rows.get_mut(name) {
            None => {
                rows.insert(name.into(), KeptRow { payload: payload.into(), snapshot });
                (self.count, self.bytes) = (self.count + 1, self.bytes + weight(name, payload));
                Change::Appeared
            }
            Some(row) => {
                let is_twice = is_of_snapshot && row.snapshot == snapshot;
                row.snapshot = snapshot;
                if is_twice {
                    return Change::Twice(row.payload.clone());
                }
                if *row.payload == *payload {
                    return Change::Same;
                }
                let old = std::mem::replace(&mut row.payload, payload.into());
                self.bytes = self.bytes + payload.len() - old.len();
                Change::Changed(old)
            }
        };
        if self.count > self.limits.rows || self.bytes > self.limits.bytes {
            self.is_exceeded = true;
            self.rows.iter_mut().for_each(|rows| *rows = HashMap::new());
            (self.count, self.bytes) = (0, 0);
        }
        change
    }
}

fn weight(name: &str, payload: &str) -> usize {
    ROW_OVERHEAD + name.len() + payload.len()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    const LIMITS: FoldLimits = FoldLimits { rows: 100, bytes: 1 << 20 };

    fn table(key: &str) -> LiveTable {
        let text = format!(
            r#"{{"table":"shop.orders","prefix":"shop.orders","columns":[],"key":{key},"removes":["shop.orders.deleted"]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn fold(limits: FoldLimits) -> Fold {
        Fold::new(vec![table(r#""subject""#)], limits)
    }

    /// What an event does.
    fn event(fold: &mut Fold, word: &str, subject: &str, payload: &str) -> Option<Change> {
        fold.apply(0, &format!("shop.orders.{word}"), Some(subject), payload).map(|(_, change)| change)
    }

    #[test]
    fn events_change_the_rows_of_their_table_and_of_no_other() {
        let mut fold = fold(LIMITS);
        fold.begin_snapshot();
        assert_eq!(fold.add_row(0, Some("7"), r#"{"v": 1}"#), (Some("7".to_owned()), Change::Appeared));
        assert!(fold.end_snapshot().is_empty());
        assert_eq!(event(&mut fold, "updated", "7", r#"{"v": 2}"#), Some(Change::Changed(r#"{"v": 1}"#.into())));
        assert_eq!(event(&mut fold, "updated", "7", r#"{"v": 2}"#), Some(Change::Same));
        assert_eq!(event(&mut fold, "items.updated", "7", "{}"), None);
        assert_eq!(fold.apply(0, "shop.ordersx.updated", Some("7"), "{}"), None);
        assert_eq!(event(&mut fold, "inserted", "8", "{}"), Some(Change::Appeared));
        assert_eq!(event(&mut fold, "deleted", "7", "{}"), Some(Change::Removed(Some(r#"{"v": 2}"#.into()))));
        assert_eq!(event(&mut fold, "deleted", "7", "{}"), Some(Change::Removed(None)));
        assert_eq!(fold.count(), 1);
        assert_eq!(event(&mut fold, "truncated", "", "{}"), Some(Change::Emptied));
        assert_eq!(event(&mut fold, "truncated", "", "{}"), None);
        assert_eq!((fold.count(), fold.bytes), (0, 0));
    }

    #[test]
    fn a_later_snapshot_tells_what_differs_even_if_the_one_before_broke_off() {
        let mut fold = fold(LIMITS);
        for rows in [&[("1", "a"), ("2", "b"), ("3", "c")][..], &[("1", "a"), ("3", "d")]] {
            fold.begin_snapshot();
            rows.iter().for_each(|(subject, payload)| drop(fold.add_row(0, Some(subject), payload)));
        }
        fold.begin_snapshot();
        assert_eq!(fold.add_row(0, Some("3"), "d").1, Change::Same);
        assert_eq!(fold.add_row(0, Some("4"), "e").1, Change::Appeared);
        assert_eq!(fold.add_row(0, Some("4"), "f").1, Change::Twice("e".into()));
        assert_eq!(fold.end_snapshot(), [(0, "1".into(), "a".into()), (0, "2".into(), "b".into())]);
        assert_eq!(fold.count(), 2);
        // A row that an event has brought meanwhile is judged by the snapshot as well.
        event(&mut fold, "inserted", "5", "{}");
        fold.begin_snapshot();
        assert_eq!(fold.add_row(0, Some("5"), "{}").1, Change::Same);
        assert_eq!(fold.end_snapshot().len(), 2);
    }

    #[test]
    fn a_key_of_fields_names_rows_and_a_row_without_them_is_not_compared() {
        let mut fold = Fold::new(vec![table(r#"["a","b"]"#)], LIMITS);
        fold.begin_snapshot();
        assert_eq!(fold.add_row(0, None, r#"{"a": 1, "b": "x"}"#).0.as_deref(), Some(r#"1, "x""#));
        assert_eq!(fold.add_row(0, None, r#"{"a": 1}"#), (None, Change::NotCompared));
        let removed = fold.apply(0, "shop.orders.deleted", None, r#"{"b": "x", "a": 1}"#).unwrap();
        assert!(matches!(removed.1, Change::Removed(Some(_))));
    }

    #[test]
    fn beyond_the_limit_nothing_is_kept_or_compared() {
        for limits in [FoldLimits { rows: 2, ..LIMITS }, FoldLimits { bytes: 3 * ROW_OVERHEAD, ..LIMITS }] {
            let mut fold = fold(limits);
            fold.begin_snapshot();
            let changes = ["1", "2", "3", "4"].map(|subject| fold.add_row(0, Some(subject), "{}").1);
            assert_eq!(changes[..3], [Change::Appeared, Change::Appeared, Change::Appeared]);
            assert_eq!((&changes[3], fold.is_exceeded(), fold.bytes), (&Change::NotCompared, true, 0));
            assert_eq!(event(&mut fold, "updated", "1", "{}"), Some(Change::NotCompared));
            assert_eq!(event(&mut fold, "deleted", "1", "{}"), Some(Change::Removed(None)));
            assert!(fold.end_snapshot().is_empty());
        }
    }
}
