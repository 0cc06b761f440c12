//! An event that is still to be appended, as people and programs write it in JSON.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::filter::tellable;

/// One event to append. The database checks its fields: see `docs/JOURNAL.md`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct NewEvent {
    /// Dotted lower-case words.
    #[serde(rename = "type")]
    pub kind: String,
    /// A JSON object, as it was written: numbers keep their digits as far as jsonb does. `{}` if none is given.
    #[serde(default = "no_payload")]
    pub payload: Box<RawValue>,
    /// `info` if none is given.
    #[serde(default)]
    pub level: Option<String>,
    /// True if public views may show the event.
    #[serde(default)]
    pub public_safe: bool,
    /// What it is about, for a trading system.
    #[serde(default)]
    pub symbol: Option<String>,
    /// Which trade it belongs to.
    #[serde(default)]
    pub trade_id: Option<Uuid>,
    /// What it is about.
    #[serde(default)]
    pub subject: Option<String>,
    /// The only subject that may see the event; `None` for everyone.
    #[serde(default)]
    pub owner: Option<String>,
    /// The key of this event for retries. If it was used before, the first event of that key is returned and nothing is appended.
    #[serde(default)]
    pub dedupe_key: Option<String>,
}

/// Reads an object and nothing else. The derived function would take `["note.added"]` too, by the order of the fields.
impl<'de> Deserialize<'de> for NewEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = NewEvent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<NewEvent, A::Error> {
                // The derived function, which `remote` has put on the type.
                NewEvent::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// The error in the JSON of an event. It repeats nothing of the JSON but the names of fields.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadEvent(String);

impl NewEvent {
    /// An event of this type, with nothing else set.
    pub fn new(kind: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            payload: no_payload(),
            level: None,
            public_safe: false,
            symbol: None,
            trade_id: None,
            subject: None,
            owner: None,
            dedupe_key: None,
        }
    }

    /// Reads an event from JSON.
    pub fn from_json(text: &[u8]) -> Result<Self, BadEvent> {
        serde_json::from_slice(text).map_err(|e| BadEvent(describe(&e)))
    }

    /// The text fields of the event, by column.
    pub(super) fn texts(&self) -> [(&'static str, Option<&str>); 6] {
        [
            ("type", Some(&self.kind)),
            ("level", self.level.as_deref()),
            ("symbol", self.symbol.as_deref()),
            ("subject", self.subject.as_deref()),
            ("owner", self.owner.as_deref()),
            ("dedupe_key", self.dedupe_key.as_deref()),
        ]
    }
}

fn no_payload() -> Box<RawValue> {
    // `{}` is JSON, so the fallback is never used.
    RawValue::from_string("{}".to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// The name of the unknown field in an error of serde, and the rest of the sentence.
fn unknown_field(said: &str) -> (&str, &str) {
    let quoted = said.split_once('`').map_or("", |(_, rest)| rest);
    quoted.rfind("`, expected").map_or(("", ""), |at| (&quoted[..at], &quoted[at + 1..]))
}

/// The sentence of serde about a field that is unknown, missing or given twice; `None` for other errors. A name that may be a
/// secret in the wrong place is left out.
pub fn names_a_field(error: &serde_json::Error) -> Option<String> {
    let said = error.to_string();
    let named = ["unknown field", "missing field", "duplicate field"].iter().any(|s| said.starts_with(s));
    if error.classify() != Category::Data || !named {
        return None;
    }
    if said.starts_with("unknown field") {
        let (name, rest) = unknown_field(&said);
        return Some(if tellable(name) == name { said } else { format!("unknown field{rest}") });
    }
    Some(said)
}

/// A sentence for an error, without any value; serde would repeat a value of the wrong type.
fn describe(error: &serde_json::Error) -> String {
    if let Some(named) = names_a_field(error) {
        return named;
    }
    let said = error.to_string();
    match error.classify() {
        Category::Data => format!("a value is not of the kind that its field needs, before column {}", error.column()),
        // An unpaired surrogate is well-formed JSON, but no text of Postgres can hold it.
        Category::Syntax if said.contains("surrogate") || said.starts_with("unexpected end of hex escape") => {
            format!("a text holds an unpaired surrogate, before column {}", error.column())
        }
        Category::Eof => "the JSON ends too early".to_owned(),
        Category::Syntax | Category::Io => format!("not JSON at column {}", error.column()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_enough_and_the_payload_is_kept_as_written() {
        let event = NewEvent::from_json(br#"{"type":"a.b"}"#).unwrap();
        assert_eq!((event.kind.as_str(), event.payload.get(), event.public_safe), ("a.b", "{}", false));
        let text = br#"{"type":"a","payload":{"n":1.10000000000000000000000000001,"n":2},"level":null}"#;
        assert_eq!(NewEvent::from_json(text).unwrap().payload.get(), r#"{"n":1.10000000000000000000000000001,"n":2}"#);
        let many: Vec<NewEvent> =
            serde_json::from_slice(br#"[{"type":"a","payload":{"n":1.0}},{"type":"b"}]"#).unwrap();
        assert_eq!((many.len(), many[0].payload.get()), (2, r#"{"n":1.0}"#));
        assert!(serde_json::from_str::<Vec<NewEvent>>(r#"[["a"]]"#).is_err());
        // A payload of null is a payload, which the database refuses; it is not the same as none.
        assert_eq!(NewEvent::from_json(br#"{"type":"a","payload":null}"#).unwrap().payload.get(), "null");
    }

    #[test]
    fn what_is_wrong_is_told_without_the_value() {
        for (text, complaint) in [
            (r#"{"type":"a","secret":1}"#, "unknown field `secret`"),
            (r#"{"type":"a","hunter2":1}"#, "unknown field, expected one of `type`"),
            (r#"{"type":"a","x`, expected hunter2":1}"#, "unknown field, expected one of `type`"),
            (r#"{"payload":{}}"#, "missing field `type`"),
            (r#"{"type":"a","type":"b"}"#, "duplicate field `type`"),
            (r#"{"type":"a","public_safe":"hunter2"}"#, "a value is not of the kind"),
            (r#"{"type":"a","trade_id":"hunter2"}"#, "a value is not of the kind"),
            (r#"["hunter2"]"#, "a value is not of the kind"),
            (r#"{"type":"a""#, "the JSON ends too early"),
            (r#"{"type":hunter2}"#, "not JSON at column 9"),
            (r#"{"type":"\ud800"}"#, "a text holds an unpaired surrogate"),
            (r#"{"type":"\ud800\u0041"}"#, "a text holds an unpaired surrogate"),
            (r#"{"type":"\udc00"}"#, "a text holds an unpaired surrogate"),
            ("", "the JSON ends too early"),
        ] {
            let said = NewEvent::from_json(text.as_bytes()).unwrap_err().to_string();
            assert!(said.starts_with(complaint) && !said.contains("hunter2"), "{text}: {said}");
        }
    }
}
