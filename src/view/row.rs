//! The row of a published table, shown as the payload of its event would be.

use std::borrow::Cow;

use super::redact::scan::members;
use super::{PUBLIC, Views};
use crate::tail::pages::View;

/// A row as a view shows it.
#[derive(Debug)]
pub struct ShownRow<'a> {
    /// The subject of its events; none in the public view.
    pub subject: Option<Cow<'a, str>>,
    /// The payload: JSON.
    pub payload: Cow<'a, str>,
}

impl Views {
    /// The row in this view, by the rules for an event of this type; `None` if the view does not show it.
    pub fn row<'a>(&self, view: View, kind: &str, subject: Option<&'a str>, payload: &'a str) -> Option<ShownRow<'a>> {
        if view == PUBLIC {
            let payload = self.known.taxonomy.payload(kind, true, payload, &self.redaction)?;
            return Some(ShownRow { subject: None, payload: payload.into() });
        }
        let subject = subject.map(|subject| self.redaction.text(subject));
        Some(ShownRow { subject, payload: self.redaction.json(payload) })
    }
}

/// Appends the members of a row's object, without its braces.
pub fn write_row(out: &mut Vec<u8>, subject: Option<&str>, payload: &str) {
    if let Some(subject) = subject {
        out.extend_from_slice(br#""subject":"#);
        // A string always serializes, and a vector takes everything.
        let _written = serde_json::to_writer(&mut *out, subject);
        out.push(b',');
    }
    out.extend_from_slice(br#""payload":"#);
    out.extend_from_slice(payload.as_bytes());
}

/// The members of a JSON object with these names, as one text; `None` if one is missing.
pub fn field_texts(payload: &str, fields: &[String]) -> Option<String> {
    let members = members(payload)?;
    let text = |field: &String| members.iter().rev().find(|member| member.key == *field).map(|member| member.text);
    Some(fields.iter().map(text).collect::<Option<Vec<_>>>()?.join(", "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;
    use crate::view::{Known, PRIVATE, Redaction};

    #[test]
    fn a_row_is_shown_as_its_event_is() {
        let taxonomy = [("t.inserted".to_owned(), vec!["id".to_owned()])].into_iter().collect();
        let known = Known { version: 1, taxonomy: std::sync::Arc::new(taxonomy) };
        let views = Views::new(Redaction::default(), known);
        let payload = r#"{"id": 7, "password": "x"}"#;
        let shown = views.row(PRIVATE, "t.inserted", Some("7"), payload).unwrap();
        assert_eq!((shown.subject.as_deref(), &*shown.payload), (Some("7"), r#"{"id": 7, "password": "[redacted]"}"#));
        let shown = views.row(PUBLIC, "t.inserted", Some("7"), payload).unwrap();
        assert_eq!((shown.subject.as_deref(), &*shown.payload), (None, r#"{"id": 7}"#));
        assert!(views.row(PUBLIC, "t.updated", Some("7"), payload).is_none());

        let mut out = Vec::new();
        write_row(&mut out, Some("a\"b"), "{}");
        assert_eq!(out, br#""subject":"a\"b","payload":{}"#);
    }

    #[test]
    fn the_fields_of_a_key_are_told_apart() {
        let fields = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let payload = r#"{"a": 1, "b": "1", "c": {"a": 2}}"#;
        assert_eq!(field_texts(payload, &fields(&["b", "a"])).as_deref(), Some(r#""b": "1", "a": 1"#));
        assert_eq!(field_texts(payload, &fields(&["a", "d"])), None);
        assert_eq!(field_texts("[]", &fields(&["a"])), None);
    }
}
