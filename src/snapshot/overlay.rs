//! The changes that were committed after the rows were seen and before the cursor of the answer. They are folded into the rows as these
//! pass.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::table::LiveTable;
use crate::tail::pages::View;
use crate::view::{PUBLIC, write_row};

/// The changes of one table: what becomes of each row that they name.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    /// By what names the row: its members as they are now, or `None` if it was removed.
    changed: HashMap<String, Option<Vec<u8>>>,
    /// True if the table was emptied: then the rows that were seen are gone.
    emptied: bool,
    bytes: usize,
}

/// The members of an event that the fold needs.
#[derive(Deserialize)]
struct EventMembers<'a> {
    r#type: String,
    subject: Option<String>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl Overlay {
    /// Folds an event in, given as the JSON object that a client would be sent. Events of other tables change nothing.
    pub(super) fn apply(&mut self, table: &LiveTable, view: View, object: &[u8]) {
        let Ok(event) = serde_json::from_slice::<EventMembers<'_>>(object) else { return };
        let Some(word) = table.word_of(&event.r#type) else { return };
        if word == "truncated" {
            (self.emptied, self.bytes) = (true, 0);
            self.changed.clear();
            return;
        }
        let subject = event.subject.as_deref();
        let Some(name) = table.name_row(subject, event.payload.get()) else { return };
        let row = (!table.removes(&event.r#type)).then(|| {
            let mut row = Vec::new();
            write_row(&mut row, subject.filter(|_| view != PUBLIC), event.payload.get());
            row
        });
        self.bytes += name.len() + row.as_ref().map_or(0, Vec::len);
        self.changed.insert(name, row);
    }

    /// True if no row is changed.
    pub(super) fn is_empty(&self) -> bool {
        self.changed.is_empty() && !self.emptied
    }

    /// At least the bytes that the changes take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What becomes of a row that was seen.
    pub(super) fn pass(&mut self, name: Option<&str>) -> Passed {
        match name.and_then(|name| self.changed.remove(name)) {
            Some(Some(row)) => Passed::Changed(row),
            Some(None) => Passed::Removed,
            None if self.emptied => Passed::Removed,
            None => Passed::Unchanged,
        }
    }

    /// The rows that were not among those seen. The overlay is empty afterwards.
    pub(super) fn take_rest(&mut self) -> impl Iterator<Item = Vec<u8>> {
        std::mem::take(&mut self.changed).into_values().flatten()
    }
}

/// What becomes of a row that was seen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// It stays as it is.
    Unchanged,
    /// These are its members now.
    Changed(Vec<u8>),
    /// It is gone.
    Removed,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;
    use crate::snapshot::table::RowKey;
    use crate::view::PRIVATE;

    fn event(word: &str, subject: &str, payload: &str) -> Vec<u8> {
        format!(r#"{{"seq":1,"type":"shop.orders.{word}","subject":"{subject}","payload":{payload}}}"#).into_bytes()
    }

    fn text(rows: impl IntoIterator<Item = Vec<u8>>) -> Vec<String> {
        let mut rows: Vec<_> = rows.into_iter().map(|row| String::from_utf8(row).unwrap()).collect();
        rows.sort();
        rows
    }

    #[test]
    fn the_last_event_of_a_row_decides_and_events_of_other_tables_do_not_count() {
        let table = LiveTable::for_tests("shop.orders", RowKey::Subject);
        let mut overlay = Overlay::default();
        assert!(overlay.is_empty());
        for (word, subject, payload) in [
            ("updated", "1", r#"{"v": 1}"#),
            ("updated", "1", r#"{"v": 2}"#),
            ("deleted", "2", r#"{"v": 1}"#),
            ("inserted", "3", r#"{"v": 3}"#),
            ("items.inserted", "4", "{}"),
            ("inserted", "5", "{}"),
            ("deleted", "5", "{}"),
        ] {
            overlay.apply(&table, PRIVATE, &event(word, subject, payload));
        }
        overlay.apply(&table, PRIVATE, br#"{"type":"shop.ordersx.inserted","subject":"6","payload":{}}"#);
        overlay.apply(&table, PRIVATE, b"no event");
        assert!(!overlay.is_empty() && overlay.bytes() > 0);
        assert_eq!(overlay.pass(Some("1")), Passed::Changed(br#""subject":"1","payload":{"v": 2}"#.to_vec()));
        assert_eq!(overlay.pass(Some("2")), Passed::Removed);
        assert_eq!(overlay.pass(Some("7")), Passed::Unchanged);
        assert_eq!(text(overlay.take_rest()), [r#""subject":"3","payload":{"v": 3}"#]);
    }

    #[test]
    fn a_truncation_removes_what_was_seen_and_what_came_before_it() {
        let table = LiveTable::for_tests("shop.orders", RowKey::Fields(vec!["a".to_owned(), "b".to_owned()]));
        let mut overlay = Overlay::default();
        overlay.apply(&table, PRIVATE, &event("inserted", "x", r#"{"a": 1, "b": "2"}"#));
        overlay.apply(&table, PRIVATE, br#"{"type":"shop.orders.truncated","payload":{}}"#);
        overlay.apply(&table, PRIVATE, &event("inserted", "x", r#"{"a": 2, "b": "2", "c": 0}"#));
        let name = |payload| table.name_row(None, payload);
        assert_eq!(overlay.pass(name(r#"{"b": "2", "a": 1}"#).as_deref()), Passed::Removed);
        assert_eq!(text(overlay.take_rest()), [r#""subject":"x","payload":{"a": 2, "b": "2", "c": 0}"#]);
        assert!(!overlay.is_empty(), "rows that were seen are gone all the same");
    }
}
