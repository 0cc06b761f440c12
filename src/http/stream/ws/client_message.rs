//! The messages that a client sends over a WebSocket.

use serde::Deserialize;
use serde_json::Value;

use crate::http::stream::subscription::Subscription;
use crate::journal::tellable;

/// A message that a client sends.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ClientMessage {
    Ping {},
    Auth { token: String },
    Subscribe(Subscription),
    Sync { id: Option<String> },
}

/// The most bytes of the `id` of a `sync`.
const MAX_SYNC_ID: usize = 64;

/// The `op` of each message, with its fields.
const MESSAGES: [(&str, &[&str]); 4] = [
    ("ping", &[]),
    ("auth", &["token"]),
    ("subscribe", &["cursor", "last", "type", "level", "symbol", "trade_id", "subject"]),
    ("sync", &["id"]),
];

impl ClientMessage {
    /// Parses a message, which must be one JSON object. Serde would take an array too.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let message = text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok()).flatten();
        match message {
            Some(Self::Sync { id: Some(id) }) if id.len() > MAX_SYNC_ID => {
                Err(format!("id of sync must be a text of at most {MAX_SYNC_ID} bytes."))
            }
            Some(message) => Ok(message),
            None => Err(complaint(text)),
        }
    }
}

/// The sentence for a client whose message is malformed. It repeats plain names, but never values, which may be secrets.
fn complaint(text: &str) -> String {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return "A message must be JSON.".to_owned() };
    let Value::Object(message) = value else { return "A message must be a JSON object.".to_owned() };
    let op = message.get("op").and_then(Value::as_str);
    let Some((op, fields)) = MESSAGES.iter().find(|(known, _)| op == Some(known)) else {
        let ops = MESSAGES.map(|(op, _)| op).join(", ");
        return match op {
            Some(op) => format!("{} is no op that is known; those are {ops}.", tellable(op)),
            None => format!("A message must have an op, one of {ops}."),
        };
    };
    let known = |name: &&String| *name == "op" || fields.contains(&name.as_str());
    if let Some(name) = message.keys().find(|name| !known(name)) {
        let fields = if fields.is_empty() { "has none".to_owned() } else { format!("has {}", fields.join(", ")) };
        return format!("{} is no field of {op}, which {fields}.", tellable(name));
    }
    let is_well_typed = |name: &&str| match message.get(*name) {
        None | Some(Value::Null) => *op != "auth",
        Some(Value::Number(number)) => matches!(*name, "cursor" | "last") && number.is_u64(),
        Some(value) => value.is_string(),
    };
    match fields.iter().find(|name| !is_well_typed(name)) {
        Some(name) => format!("{name} of {op} must be a text."),
        None => format!("A field of {op} stands there twice."),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

    use serde_json::{Map, Value, json};

    use super::*;
    use crate::tail::pages::tests::Dice;

    /// True if the interface allows this message; written apart from the parser.
    fn is_allowed(message: &Map<String, Value>) -> bool {
        let text = |name: &str| message.get(name).is_some_and(Value::is_string);
        let fits = |(name, value): (&String, &Value)| match name.as_str() {
            "op" => true,
            "cursor" | "last" => value.is_null() || value.is_string() || value.is_u64(),
            "type" | "level" | "symbol" | "trade_id" | "subject" => value.is_null() || value.is_string(),
            _ => false,
        };
        match message.get("op").and_then(Value::as_str) {
            Some("ping") => message.len() == 1,
            Some("auth") => message.len() == 2 && text("token"),
            Some("subscribe") => message.iter().all(fits),
            Some("sync") => match (message.len(), message.get("id")) {
                (1, None) | (2, Some(Value::Null)) => true,
                (2, Some(Value::String(id))) => id.len() <= 64,
                _ => false,
            },
            _ => false,
        }
    }

    fn any_value(dice: &mut Dice) -> Value {
        let words = ["ping", "auth", "subscribe", "sync", "", "5", "earliest", "a\0b", "\u{202e}🙂", "Ping"];
        match dice.roll(14) {
            0 => json!(null),
            1 => json!(dice.roll(u64::MAX)),
            2 => json!(-5),
            3 => json!(5.0),
            4 => json!(true),
            5 => json!([]),
            6 => json!({"op": "ping"}),
            7 => json!("x".repeat(64)),
            8 => json!("\u{e9}".repeat(32) + "x"),
            _ => json!(dice.pick(&words)),
        }
    }

    #[test]
    fn a_message_is_parsed_if_and_only_if_the_interface_allows_it() {
        let mut dice = Dice(7);
        let names =
            ["token", "cursor", "last", "type", "level", "symbol", "trade_id", "subject", "owner", "id", "", "Op"];
        let mut taken = 0;
        for _ in 0..20_000 {
            let mut message = Map::new();
            if dice.roll(20) > 0 {
                let op = *dice.pick(&["ping", "auth", "subscribe", "subscribe", "sync"]);
                message.insert("op".to_owned(), if dice.roll(20) > 0 { json!(op) } else { any_value(&mut dice) });
            }
            for _ in 0..dice.roll(3) {
                message.insert((*dice.pick(&names)).to_owned(), any_value(&mut dice));
            }
            let text = Value::Object(message.clone()).to_string();
            assert_eq!(ClientMessage::parse(&text).is_ok(), is_allowed(&message), "{text}");
            taken += u32::from(is_allowed(&message));
            // Parsers differ on a name that stands twice, so it is refused.
            for name in message.keys() {
                for twice in [format!("{{\"{name}\":{},", message[name]), format!("{{\"{name}\":null,")] {
                    let twice = text.replacen('{', &twice, 1);
                    assert!(ClientMessage::parse(&twice).is_err(), "{twice}");
                }
            }
        }
        assert!(taken > 2_000, "{taken}");
    }

    #[test]
    fn a_complaint_names_the_error_and_repeats_nothing_that_may_be_a_secret() {
        for (text, told) in [
            (r#"{"op":"subscribe","typ":"a.*"}"#, "typ is no field of subscribe, which has cursor, last, type, level,"),
            (r#"{"op":"subscribe","cursor":"1","from":2}"#, "from is no field of subscribe"),
            (r#"{"op":"subscribe","type":7}"#, "type of subscribe must be a text."),
            (r#"{"op":"subscribe","last":-7}"#, "last of subscribe must be a text."),
            (r#"{"op":"subscribe","last":1,"last":2}"#, "A field of subscribe stands there twice."),
            (r#"{"op":"ping","id":1}"#, "id is no field of ping, which has none."),
            (r#"{"op":"sync","id":7}"#, "id of sync must be a text."),
            (r#"{"op":"sync","name":"a"}"#, "name is no field of sync, which has id."),
            (r#"{"op":"auth"}"#, "token of auth must be a text."),
            (r#"{"op":"auth","token":null}"#, "token of auth must be a text."),
            (r#"{"op":"unsubscribe"}"#, "unsubscribe is no op that is known; those are ping, auth, subscribe, sync."),
            (r#"{"op":"hunter2"}"#, "a name is no op that is known"),
            (r#"{"op":"subscribe","Sk-Live_9":1}"#, "a name is no field of subscribe"),
            (r#"{"type":"a.*"}"#, "A message must have an op, one of ping, auth, subscribe, sync."),
            ("[]", "A message must be a JSON object."),
            ("{", "A message must be JSON."),
        ] {
            let complaint = ClientMessage::parse(text).unwrap_err();
            assert!(complaint.starts_with(told), "{text}: {complaint}");
        }
    }

    #[test]
    fn random_bytes_are_refused_or_parsed_as_an_allowed_message() {
        let mut dice = Dice(8);
        let whole = r#" {"op":"subscribe","cursor":5,"type":"trade.*","level":null,"subject":"\ud83d\ude42"}"#;
        for _ in 0..20_000 {
            let mut bytes = whole.as_bytes().to_vec();
            for _ in 0..=dice.roll(3) {
                let at = usize::try_from(dice.roll(bytes.len() as u64)).unwrap();
                let byte = dice.roll(256).to_le_bytes()[0];
                match dice.roll(3) {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ => bytes.truncate(at + 1),
                }
            }
            let text = String::from_utf8_lossy(&bytes);
            if let Ok(parsed) = ClientMessage::parse(&text) {
                let value: Value = serde_json::from_str(&text).unwrap();
                assert!(is_allowed(value.as_object().unwrap()), "{text}: {parsed:?}");
            }
        }
        for depth in [127, 128, 129, 30_000] {
            let nested = "[".repeat(depth) + &"]".repeat(depth);
            for text in [
                nested.clone(),
                format!(r#"{{"op":"ping","x":{nested}}}"#),
                format!(r#"{{"cursor":{nested},"op":"subscribe"}}"#),
            ] {
                assert!(ClientMessage::parse(&text).is_err(), "{depth}");
            }
        }
    }
}
