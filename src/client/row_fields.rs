//! The fields of a row's payload as they are written, and how two payloads of one row differ.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A field of a payload: its name, and its value as JSON, byte for byte as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name.
    pub name: Cow<'a, str>,
    /// The value: JSON.
    pub value: &'a str,
}

/// A field in which two payloads of one row differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange<'a> {
    /// The name.
    pub name: Cow<'a, str>,
    /// The value before; `None` if there was none.
    pub old: Option<&'a str>,
    /// The value now; `None` if there is none.
    pub new: Option<&'a str>,
}

/// The fields of an object, in the order in which they stand.
struct Fields<'a>(Vec<Field<'a>>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    let value: &'de RawValue = map.next_value()?;
                    fields.push(Field { name, value: value.get() });
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// A name, which is borrowed where it holds no escape.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The fields of a payload, in the order in which they stand; none if it is no object.
pub fn row_fields(payload: &str) -> Vec<Field<'_>> {
    serde_json::from_str::<Fields<'_>>(payload).map(|fields| fields.0).unwrap_or_default()
}

/// The value of the last field of this name, which is the one that counts.
fn value_of<'a>(fields: &[Field<'a>], name: &str) -> Option<&'a str> {
    fields.iter().rev().find(|field| field.name == name).map(|field| field.value)
}

/// The fields in which the new payload of a row differs from the old one: those of the new one first.
pub fn row_difference<'a>(old: &'a str, new: &'a str) -> Vec<FieldChange<'a>> {
    let (before, now) = (row_fields(old), row_fields(new));
    let changed = now.iter().filter_map(|field| {
        let old = value_of(&before, &field.name);
        (old != Some(field.value)).then(|| FieldChange { name: field.name.clone(), old, new: Some(field.value) })
    });
    let gone = before.iter().filter(|field| value_of(&now, &field.name).is_none());
    let gone = gone.map(|field| FieldChange { name: field.name.clone(), old: Some(field.value), new: None });
    changed.chain(gone).collect()
}

/// The values of these fields as one text, by which rows are told apart; `None` if a field is missing.
pub(super) fn key_text(payload: &str, names: &[String]) -> Option<String> {
    let fields = row_fields(payload);
    Some(names.iter().map(|name| value_of(&fields, name)).collect::<Option<Vec<_>>>()?.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_their_bytes() {
        let fields = row_fields(r#"{"id": 7, "a\"b": "x\u0041", "total": 10.50, "list": [1, 2]}"#);
        let shown: Vec<_> = fields.iter().map(|field| (field.name.as_ref(), field.value)).collect();
        assert_eq!(shown, [("id", "7"), ("a\"b", r#""x\u0041""#), ("total", "10.50"), ("list", "[1, 2]")]);
        assert!(row_fields("[]").is_empty() && row_fields("{").is_empty());
    }

    #[test]
    fn a_difference_names_each_field_that_changed_came_or_went() {
        let (old, new) = (r#"{"id": 7, "status": "new", "gone": 1}"#, r#"{"id": 7, "status": "paid", "came": null}"#);
        let changes = row_difference(old, new);
        let shown: Vec<_> = changes.iter().map(|change| (change.name.as_ref(), change.old, change.new)).collect();
        let expected =
            [("status", Some(r#""new""#), Some(r#""paid""#)), ("came", None, Some("null")), ("gone", Some("1"), None)];
        assert_eq!(shown, expected);
        assert!(row_difference(old, old).is_empty());
    }

    #[test]
    fn a_key_of_fields_is_their_values() {
        let names = ["b".to_owned(), "a".to_owned()];
        assert_eq!(key_text(r#"{"a": 1, "b": "1"}"#, &names).as_deref(), Some(r#""1", 1"#));
        assert_eq!(key_text(r#"{"a": 1}"#, &names), None);
    }
}
