//! Messages of the State Protocol: the rows of a table, and what its events change, as inserts, updates and deletes of keys.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::offset::Offset;
use crate::snapshot::{Description, RowKey};

/// The word of an event that empties its table.
const TRUNCATED: &str = "truncated";
const INSERTED: &str = "inserted";

/// A change of one row.
#[derive(Serialize)]
struct Change<'a> {
    r#type: &'a str,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a RawValue>,
    headers: ChangeHeaders<'a>,
}

#[derive(Serialize)]
struct ChangeHeaders<'a> {
    operation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<&'a str>,
}

/// A message about the stream itself.
#[derive(Serialize)]
struct Control {
    headers: ControlHeaders,
}

#[derive(Serialize)]
struct ControlHeaders {
    control: &'static str,
    offset: String,
}

/// The members of an event that a change needs.
#[derive(Deserialize)]
struct EventMembers<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    at: Cow<'a, str>,
    #[serde(borrow)]
    subject: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// The members of a row of a snapshot.
#[derive(Deserialize)]
struct RowMembers<'a> {
    #[serde(borrow)]
    subject: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// The message that an event is, given as the JSON object that a client would be sent. None if the event is of another table.
pub(super) fn of_event(table: &Description, object: &[u8], offset: impl FnOnce() -> Offset) -> Option<Bytes> {
    let event: EventMembers<'_> = serde_json::from_slice(object).ok()?;
    let word =
        event.r#type.strip_prefix(table.prefix.as_str())?.strip_prefix('.').filter(|word| !word.contains('.'))?;
    if word == TRUNCATED {
        return Some(control("reset", offset()).into());
    }
    let key = key_of(table, event.subject.as_deref(), event.payload)?;
    let is_removed = table.removes.iter().any(|removal| *removal == event.r#type);
    let operation = match word {
        _ if is_removed => "delete",
        INSERTED => "insert",
        _ => "update",
    };
    let value = Some(event.payload).filter(|_| !is_removed);
    let headers = ChangeHeaders { operation, timestamp: Some(&event.at) };
    Some(json(&Change { r#type: &table.table, key: &key, value, headers }).into())
}

/// The message that a row of a snapshot is, given as the members of its object.
pub(super) fn of_row(table: &Description, members: &[u8]) -> Option<Vec<u8>> {
    let object = [b"{", members, b"}"].concat();
    let row: RowMembers<'_> = serde_json::from_slice(&object).ok()?;
    let key = key_of(table, row.subject.as_deref(), row.payload)?;
    let headers = ChangeHeaders { operation: "insert", timestamp: None };
    Some(json(&Change { r#type: &table.table, key: &key, value: Some(row.payload), headers }))
}

/// A message about the stream at an offset: `snapshot-start`, `snapshot-end` or `reset`.
pub(super) fn control(control: &'static str, offset: Offset) -> Vec<u8> {
    json(&Control { headers: ControlHeaders { control, offset: offset.to_string() } })
}

/// Structs of texts and of JSON always serialize.
fn json(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).unwrap_or_default()
}

/// The text that names a row: its subject, the text of its one field, or the array of its fields.
fn key_of(table: &Description, subject: Option<&str>, payload: &RawValue) -> Option<String> {
    let fields = match table.key.as_ref()? {
        RowKey::Subject => return subject.map(not_empty),
        RowKey::Fields(fields) => fields,
    };
    let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(payload.get()).ok()?;
    let texts =
        fields.iter().map(|field| members.get(field.as_str()).map(|value| value.get())).collect::<Option<Vec<_>>>()?;
    match (texts.as_slice(), fields.as_slice()) {
        ([text], [field]) => {
            let is_text_column = table.columns.iter().any(|column| column.name == *field && column.r#type == "string");
            Some(key_of_field(text, is_text_column))
        }
        (texts, _) => Some(format!("[{}]", texts.join(","))),
    }
}

/// The key that one field makes. A string is shown without its quotes, unless it could be taken for a value that is no string and the
/// column may hold such values: keys must differ where the values do.
fn key_of_field(text: &str, is_text_column: bool) -> String {
    match serde_json::from_str::<String>(text) {
        Ok(string) if is_text_column || serde_json::from_str::<&RawValue>(&string).is_err() => not_empty(&string),
        _ => text.to_owned(),
    }
}

/// The protocol wants a key that is not empty.
fn not_empty(key: &str) -> String {
    if key.is_empty() { "\"\"".to_owned() } else { key.to_owned() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;
    use crate::journal::Cursor;
    use crate::snapshot::Column;

    fn table(key: RowKey) -> Description {
        Description {
            table: "shop.orders".to_owned(),
            prefix: "orders".to_owned(),
            columns: vec![Column { name: "name".to_owned(), r#type: "string".to_owned() }],
            key: Some(key),
            removes: vec!["orders.deleted".to_owned(), "orders.gone".to_owned()],
        }
    }

    fn change(table: &Description, word: &str, subject: &str, payload: &str) -> Option<String> {
        let object = format!(
            r#"{{"seq":7,"id":"x","at":"2026-01-27T10:00:00.123456Z","type":"{word}","level":"info","subject":"{subject}","payload":{payload}}}"#
        );
        let offset = || Offset { cursor: Cursor { seq: 7, tag: Some(1) }, version: 2 };
        of_event(table, object.as_bytes(), offset).map(|message| String::from_utf8(message.to_vec()).unwrap())
    }

    #[test]
    fn events_become_changes_of_keys_and_a_truncation_resets() {
        let table = table(RowKey::Subject);
        let headers =
            |operation| format!(r#""headers":{{"operation":"{operation}","timestamp":"2026-01-27T10:00:00.123456Z"}}"#);
        for (word, operation) in [("inserted", "insert"), ("updated", "update"), ("paid", "update")] {
            let expected =
                format!(r#"{{"type":"shop.orders","key":"a\"b","value":{{"v": 1.10}},{}}}"#, headers(operation));
            assert_eq!(change(&table, &format!("orders.{word}"), "a\\\"b", r#"{"v": 1.10}"#), Some(expected));
        }
        for word in ["deleted", "gone"] {
            let expected = format!(r#"{{"type":"shop.orders","key":"7",{}}}"#, headers("delete"));
            assert_eq!(change(&table, &format!("orders.{word}"), "7", "{}"), Some(expected));
        }
        let reset = r#"{"headers":{"control":"reset","offset":"0000000000000000007_00000001_00000002"}}"#;
        assert_eq!(change(&table, "orders.truncated", "", "{}").as_deref(), Some(reset));
        for other in ["orders.items.inserted", "ordersx.inserted", "orders", "other.inserted"] {
            assert_eq!(change(&table, other, "7", "{}"), None, "{other}");
        }
    }

    #[test]
    fn a_row_is_an_insert_without_a_time() {
        let message = of_row(&table(RowKey::Subject), br#""subject":"7","payload":{"id": 7}"#).unwrap();
        let expected = r#"{"type":"shop.orders","key":"7","value":{"id": 7},"headers":{"operation":"insert"}}"#;
        assert_eq!(String::from_utf8(message).unwrap(), expected);
        assert_eq!(of_row(&table(RowKey::Subject), br#""payload":{"id": 7}"#), None);
    }

    #[test]
    fn keys_differ_where_the_fields_do() {
        let by = |fields: &[&str], payload: &str| {
            let table = table(RowKey::Fields(fields.iter().map(|field| (*field).to_owned()).collect()));
            key_of(&table, None, serde_json::from_str(payload).unwrap())
        };
        let key = |payload| by(&["id"], payload).unwrap();
        assert_eq!(key(r#"{"id": 7}"#), "7");
        assert_eq!(key(r#"{"id": "7"}"#), "\"7\"", "a field that may be a number too");
        assert_eq!(key(r#"{"id": "a7"}"#), "a7");
        assert_eq!(key(r#"{"id": null}"#), "null");
        assert_eq!(key(r#"{"id": ""}"#), "\"\"");
        assert_eq!(by(&["name"], r#"{"name": "7"}"#).unwrap(), "7", "a column of texts");
        assert_eq!(by(&["id", "name"], r#"{"name": "x", "id": 1}"#).unwrap(), r#"[1,"x"]"#);
        assert_eq!(by(&["id", "name"], r#"{"id": 1}"#), None);
    }
}
