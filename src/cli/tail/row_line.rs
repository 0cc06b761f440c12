//! A row, or a change of it, as one line for a person. Whatever a row holds, it cannot do anything to a terminal.

use std::borrow::Cow;

use super::line::{compact, safe};
use crate::client::{Change, LiveTable, RowKey, row_difference, row_fields};

/// The characters of a value that are shown.
const VALUE_CHARS: usize = 60;
/// The characters that are shown of what names a row.
const NAME_CHARS: usize = 120;

/// A row or a change of one table, before it is a line.
pub(super) struct RowLine<'a> {
    pub(super) table: &'a LiveTable,
    /// What names the row.
    pub(super) name: Option<&'a str>,
    /// The payload of the row or of the event.
    pub(super) payload: &'a str,
}

impl RowLine<'_> {
    /// The row as it is.
    pub(super) fn row(&self) -> String {
        format!("{}{}", self.head(), self.values(self.payload))
    }

    /// The change against the row that was kept.
    pub(super) fn change(&self, change: &Change) -> String {
        match change {
            Change::Appeared => format!("+ {}", self.row()),
            Change::Same => format!("{} nothing changed", self.head()),
            Change::Changed(old) | Change::Twice(old) => format!("{} {}", self.head(), self.differences(old)),
            Change::Removed(old) => {
                format!("- {}{}", self.head(), self.values(old.as_deref().unwrap_or(self.payload)))
            }
            Change::Emptied => format!("- {}: truncated, all rows are gone", safe(&self.table.table)),
            Change::NotCompared => self.row(),
        }
    }

    /// Table and row.
    fn head(&self) -> String {
        let name = match (&self.table.key, self.name) {
            (_, None) => Cow::Borrowed("?"),
            (Some(RowKey::Fields(fields)), Some(name)) if fields.len() == 1 => Cow::Owned(shown(name)),
            (_, Some(name)) => Cow::Owned(cut(&safe(name), NAME_CHARS)),
        };
        format!("{} {name}", safe(&self.table.table))
    }

    /// The fields with their values, without those that say no more than what names the row.
    fn values(&self, payload: &str) -> String {
        let names_the_row = |name: &str, value: &str| match &self.table.key {
            Some(RowKey::Fields(fields)) => fields.iter().any(|field| field == name),
            _ => name == "id" && Some(text_of(value).as_ref()) == self.name,
        };
        let mut fields = row_fields(payload);
        fields.sort_by_key(|field| self.place_of(&field.name));
        let told = fields.iter().filter(|field| !names_the_row(&field.name, field.value));
        told.map(|field| format!(" {} {}", safe(&field.name), shown(field.value))).collect()
    }

    /// The fields that differ, each with its value before and now.
    fn differences(&self, old: &str) -> String {
        let shown_or_none = |value: Option<&str>| value.map_or_else(|| "(none)".to_owned(), shown);
        let mut changes = row_difference(old, self.payload);
        changes.sort_by_key(|change| self.place_of(&change.name));
        let told = changes.into_iter().map(|change| {
            let (name, old, new) = (safe(&change.name), shown_or_none(change.old), shown_or_none(change.new));
            if old == new { format!("{name} {old} (changed further on)") } else { format!("{name} {old} -> {new}") }
        });
        told.collect::<Vec<_>>().join(", ")
    }

    /// Where a field stands: in the order of the columns, and after them what is none.
    fn place_of(&self, name: &str) -> usize {
        let columns = &self.table.columns;
        columns.iter().position(|column| column.name == name).unwrap_or(columns.len())
    }
}

/// What a JSON value says: a string without its quotes, everything else as it is.
fn text_of(value: &str) -> Cow<'_, str> {
    serde_json::from_str::<String>(value).map_or(Cow::Borrowed(value), Cow::Owned)
}

/// A value, short. A string stands without quotes where nobody can take it for something else.
fn shown(value: &str) -> String {
    let text = text_of(value);
    let is_plain = !matches!(text.as_ref(), "" | "null" | "true" | "false" | "->")
        && !text.contains(|c: char| c.is_whitespace() || matches!(c, ',' | '"'));
    let shown = if value.starts_with('"') && is_plain { safe(&text).into_owned() } else { compact(value) };
    cut(&shown, VALUE_CHARS)
}

/// A text of at most so many characters; a longer one ends in `…`.
fn cut(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::TableColumn;

    fn table(key: RowKey) -> LiveTable {
        let (table, prefix) = ("shop.orders".to_owned(), "shop.orders".to_owned());
        let columns = ["id", "note", "total"].map(|name| TableColumn { name: name.to_owned() });
        LiveTable { table, prefix, columns: columns.to_vec(), key: Some(key), removes: Vec::new() }
    }

    #[test]
    fn a_row_is_what_names_it_and_its_values() {
        let table = table(RowKey::Subject("subject".to_owned()));
        let payload =
            r#"{"id": 7, "note": "two words", "paid": null, "what": "null", "total": "10.50", "list": [1, 2]}"#;
        let line = RowLine { table: &table, name: Some("7"), payload };
        let row = r#"shop.orders 7 note "two words" total 10.50 paid null what "null" list [1,2]"#;
        assert_eq!(line.row(), row);
        assert_eq!(line.change(&Change::Appeared), format!("+ {row}"));
        assert_eq!(line.change(&Change::Removed(None)), format!("- {row}"));
        let old = Change::Removed(Some(r#"{"id": 7, "v": 1}"#.into()));
        assert_eq!(line.change(&old), "- shop.orders 7 v 1");
        assert_eq!(line.change(&Change::Same), "shop.orders 7 nothing changed");
        assert_eq!(line.change(&Change::Emptied), "- shop.orders: truncated, all rows are gone");
    }

    #[test]
    fn a_change_is_told_against_what_was() {
        let table = table(RowKey::Fields(vec!["id".to_owned()]));
        let long = "x".repeat(100);
        let (old, new) = (
            format!(r#"{{"id": "a", "total": "10.50", "gone": 1, "note": "{long}"}}"#),
            format!(r#"{{"id": "a", "total": "12.00", "came": "\u001b[2J", "note": "{long}!"}}"#),
        );
        let line = RowLine { table: &table, name: Some("\"a\""), payload: &new };
        let note = format!("{}…", "x".repeat(VALUE_CHARS - 1));
        let expected = format!(
            r"shop.orders a note {note} (changed further on), total 10.50 -> 12.00, came (none) -> \u001b[2J, gone 1 -> (none)"
        );
        assert_eq!(line.change(&Change::Changed(old.into())), expected);
    }

    #[test]
    fn nothing_reaches_the_terminal_that_it_would_act_on() {
        let table = table(RowKey::Subject("subject".to_owned()));
        let payload = "{\"a\u{9b}\": \"\u{1b}[2J \u{202e}\", \"b\": \"\\u001b]0;x\"}";
        let line = RowLine { table: &table, name: Some("\u{1b}[2J"), payload }.row();
        assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
    }
}
