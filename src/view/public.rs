//! The public view of events. It shows a field only if the writer has marked the event public and the taxonomy lists the type and
//! the field.

use std::collections::{HashMap, HashSet};

use super::redact::Redaction;
use super::redact::scan::members;
use crate::journal::{EventHeader, StoredEvent};

/// The public types, each with the fields of its payload that are public. An empty taxonomy shows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taxonomy {
    types: HashMap<String, HashSet<String>>,
}

impl FromIterator<(String, Vec<String>)> for Taxonomy {
    fn from_iter<T: IntoIterator<Item = (String, Vec<String>)>>(types: T) -> Self {
        Self { types: types.into_iter().map(|(name, fields)| (name, fields.into_iter().collect())).collect() }
    }
}

impl Taxonomy {
    /// The number of types that are listed.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// True if no type is listed.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// The public fields of a type, if it is listed.
    pub fn fields(&self, event_type: &str) -> Option<&HashSet<String>> {
        self.types.get(event_type)
    }

    /// The listed types, each with its public fields.
    pub fn types(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        self.types.iter().map(|(name, fields)| (name.as_str(), fields.iter().map(String::as_str).collect()))
    }

    /// The listed types of one word behind this prefix, each with its public fields.
    pub fn types_of<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a HashSet<String>)> {
        let is_of = move |name: &str| name.rsplit_once('.').is_some_and(|(before, _)| before == prefix);
        self.types.iter().filter(move |(name, _)| is_of(name)).map(|(name, fields)| (name.as_str(), fields))
    }

    /// True if the public view shows this event. An event with an owner is never public, even if it is marked so.
    pub fn shows(&self, event: &EventHeader<'_>) -> bool {
        event.public_safe && event.owner.is_none() && self.types.contains_key(&*event.kind)
    }

    /// The public payload of this event; `None` if the public view does not show it.
    pub fn payload_of(&self, event: &StoredEvent, redaction: &Redaction) -> Option<String> {
        self.payload(&event.kind, event.public_safe && event.owner.is_none(), &event.payload, redaction)
    }

    /// The listed fields of a payload, without secrets; `None` if the type is not listed, the row is not public, or the payload is
    /// not an object.
    pub fn payload(
        &self,
        event_type: &str,
        public_safe: bool,
        payload_text: &str,
        redaction: &Redaction,
    ) -> Option<String> {
        let fields = self.types.get(event_type).filter(|_| public_safe)?;
        // Redaction comes before the choice of fields: a field that is not shown may say that another one is secret.
        let redacted = redaction.json(payload_text);
        let members = members(&redacted)?;
        let listed: Vec<_> =
            members.iter().filter(|member| fields.contains(&*member.key)).map(|member| member.text).collect();
        Some(format!("{{{}}}", listed.join(", ")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;
    use crate::journal::Level;

    fn taxonomy() -> Taxonomy {
        let list = [("shop.opened", vec!["city", "hours", "password"]), ("shop.closed", vec![])];
        list.into_iter()
            .map(|(name, fields)| (name.to_owned(), fields.into_iter().map(str::to_owned).collect()))
            .collect()
    }

    fn shown(event_type: &str, public_safe: bool, payload: &str) -> Option<String> {
        taxonomy().payload(event_type, public_safe, payload, &Redaction::default())
    }

    #[test]
    fn only_listed_types_of_rows_marked_public_are_shown() {
        let payload = r#"{"city": "Bern"}"#;
        assert_eq!(shown("shop.opened", true, payload).as_deref(), Some(payload));
        for hidden in ["shop", "shop.opened.twice", "shop.opene", "Shop.opened", "shop.*", ""] {
            assert_eq!(shown(hidden, true, payload), None, "{hidden}");
        }
        assert_eq!(shown("shop.opened", false, payload), None);
        assert_eq!(Taxonomy::default().payload("shop.opened", true, payload, &Redaction::default()), None);
    }

    #[test]
    fn only_listed_fields_at_the_top_are_shown_as_they_are_written() {
        let cases = [
            (r#"{"city": "Bern", "rent": 1}"#, r#"{"city": "Bern"}"#),
            (r#"{"rent": {"city": "x"}, "hours": [1.10, {"rent": 2}]}"#, r#"{"hours": [1.10, {"rent": 2}]}"#),
            (r#"{"rent": "\"city\": \"x\", "}"#, "{}"),
            (r#"{"rent": "}", "city": 12345678901234567890.10}"#, r#"{"city": 12345678901234567890.10}"#),
            (r#"{"c\u0069ty":1,"CITY":2, "city ":3}"#, r#"{"c\u0069ty":1}"#),
            (r#"{"hours":1,"city":null,"hours":2}"#, r#"{"hours":1, "city":null, "hours":2}"#),
            (" { } ", "{}"),
            (r#"{"rent":[]}"#, "{}"),
        ];
        for (payload, public) in cases {
            assert_eq!(shown("shop.opened", true, payload).as_deref(), Some(public), "{payload}");
        }
        assert_eq!(shown("shop.closed", true, r#"{"city": "Bern"}"#).as_deref(), Some("{}"));
    }

    #[test]
    fn secrets_are_hidden_in_listed_fields_too() {
        let payload = r#"{"city": "postgres://a:b@c/d", "hours": {"secret": "y", "n": 2}, "password": "x"}"#;
        let public = r#"{"city": "[redacted]", "hours": {"secret": "[redacted]", "n": 2}, "password": "[redacted]"}"#;
        assert_eq!(shown("shop.opened", true, payload).as_deref(), Some(public));
    }

    #[test]
    fn a_field_that_names_a_secret_hides_its_value_though_it_is_not_listed_itself() {
        let taxonomy: Taxonomy = [("a.b".to_owned(), vec!["value".to_owned()])].into_iter().collect();
        let shown = |payload| taxonomy.payload("a.b", true, payload, &Redaction::default());
        assert_eq!(shown(r#"{"name": "api_key", "value": "7"}"#).as_deref(), Some(r#"{"value": "[redacted]"}"#));
        assert_eq!(shown(r#"{"name": "colour", "value": "7"}"#).as_deref(), Some(r#"{"value": "7"}"#));
    }

    #[test]
    fn what_is_no_object_is_not_shown() {
        for payload in
            ["", "[]", "1", "null", "\"city\"", "{", "{\"city\"", "{\"city\":", "{\"city\":1", "{}x", "{\"city\" 1}"]
        {
            assert_eq!(shown("shop.opened", true, payload), None, "{payload}");
        }
    }

    #[test]
    fn rows_of_an_owner_are_never_shown() {
        let mut event = StoredEvent {
            seq: 1,
            id: uuid::Uuid::nil(),
            at: time::OffsetDateTime::UNIX_EPOCH,
            kind: "shop.opened".to_owned(),
            level: Level::Info,
            public_safe: true,
            symbol: None,
            trade_id: None,
            subject: None,
            owner: None,
            payload: r#"{"city": "Bern"}"#.to_owned(),
        };
        let redaction = Redaction::default();
        assert!(taxonomy().shows(&event.header()) && taxonomy().payload_of(&event, &redaction).is_some());
        event.owner = Some("alice".to_owned());
        assert!(!taxonomy().shows(&event.header()) && taxonomy().payload_of(&event, &redaction).is_none());
    }
}
