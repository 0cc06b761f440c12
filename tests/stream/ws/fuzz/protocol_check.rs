//! What a session may say, and in which order: docs/03_API_SPEC.md as a machine that takes every word of the server.

use rowcast::journal::Cursor;
use serde_json::Value;

use super::super::raw_websocket::ServerMessage;

/// Each close code with the codes of the `error` before it.
const CLOSES: &[(u16, &[&str])] = &[
    (4400, &["bad_request"]),
    (4401, &["unauthorized", "token_expired"]),
    (4403, &["forbidden", "revoked"]),
    (4408, &["timeout"]),
    (4409, &["stalled"]),
    (4410, &["cursor_expired"]),
    (4411, &["cursor_invalid"]),
    (4429, &["rate_limited"]),
    (1009, &["message_too_big"]),
];

/// The fields of each frame, in the order of the alphabet.
const FRAMES: &[(&str, &[&str])] = &[
    ("hello", &["cursor", "head", "heartbeat_ms", "oldest", "op", "session", "view"]),
    ("event", &["event", "op"]),
    ("live", &["cursor", "op"]),
    ("heartbeat", &["at", "check", "cursor", "events", "head", "op", "stalled"]),
    ("auth_ok", &["expires", "op"]),
    ("error", &["code", "message", "op"]),
    ("pong", &["op"]),
    ("synced", &["cursor", "id", "op"]),
];

const EVENT: &[&str] = &["at", "id", "level", "payload", "seq", "type"];

/// What was heard of one session.
#[derive(Debug, Default)]
pub(super) struct Heard {
    greeted: bool,
    live: bool,
    /// The newest event since the last `hello`, how many they were, and the sum of their seqs.
    last: i64,
    events: u64,
    check: u32,
    error: Option<String>,
    closed: bool,
}

fn fields(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

fn cursor(value: &Value) -> Cursor {
    value.as_str().unwrap().parse().unwrap()
}

fn is_number(value: &Value) -> bool {
    value.as_i64().is_some_and(|number| number >= 0)
}

fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() >= 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T')
}

impl Heard {
    /// Takes a word; whether it was the last.
    pub(super) fn take(&mut self, said: &ServerMessage) -> bool {
        assert!(!self.closed || *said == ServerMessage::Gone, "after the close: {said:?}");
        match said {
            ServerMessage::Json(value) => self.frame(value),
            ServerMessage::Close(code, reason) => self.close(*code, reason),
            ServerMessage::Gone => return true,
        }
        false
    }

    fn close(&mut self, code: u16, reason: &str) {
        self.closed = true;
        // Without an error it is the answer to a close of the client, which may have said any code, or a wrong one.
        let Some(error) = &self.error else { return };
        let codes = CLOSES.iter().find(|(known, _)| *known == code).map(|(_, codes)| *codes);
        assert!(codes.is_some_and(|codes| codes.contains(&error.as_str())), "{code} after {error}");
        assert_eq!(reason, error);
    }

    fn frame(&mut self, said: &Value) {
        assert_eq!(self.error, None, "after the error: {said}");
        let op = said["op"].as_str().unwrap_or_else(|| panic!("{said}"));
        let known = FRAMES.iter().find(|(known, _)| *known == op).unwrap_or_else(|| panic!("{said}"));
        assert_eq!(fields(said), known.1, "{said}");
        assert!(self.greeted || matches!(op, "hello" | "error"), "before the hello: {said}");
        match op {
            "hello" => self.hello(said),
            "event" => self.event(&said["event"]),
            "live" => assert!(!std::mem::replace(&mut self.live, true), "live once more: {said}"),
            "heartbeat" => {
                assert_eq!(
                    (said["events"].as_u64(), said["check"].as_u64()),
                    (Some(self.events), Some(self.check.into()))
                );
                assert!(is_number(&said["head"]) && is_time(&said["at"]) && said["stalled"].is_null(), "{said}");
            }
            "auth_ok" => assert!(is_time(&said["expires"]), "{said}"),
            "error" => {
                assert!(said["message"].as_str().is_some_and(|message| message.len() > 10), "{said}");
                self.error = Some(said["code"].as_str().unwrap().to_owned());
            }
            _ => {}
        }
        if matches!(op, "live" | "heartbeat" | "synced") {
            assert!(cursor(&said["cursor"]).seq >= self.last, "{said} after {}", self.last);
        }
    }

    fn hello(&mut self, said: &Value) {
        let begins = cursor(&said["cursor"]).seq;
        assert!(is_number(&said["head"]) && is_number(&said["oldest"]) && said["heartbeat_ms"] == 1000, "{said}");
        assert!(said["view"] == "private" || said["view"] == "public", "{said}");
        assert!(!said["session"].as_str().unwrap().is_empty(), "{said}");
        *self = Self { greeted: true, last: begins, ..Self::default() };
    }

    fn event(&mut self, event: &Value) {
        let optional = ["symbol", "trade_id", "subject", "owner"];
        let all = fields(event);
        assert!(all.iter().all(|name| EVENT.contains(name) || optional.contains(name)), "{event}");
        assert!(EVENT.iter().all(|name| all.contains(name)), "{event}");
        let seq = event["seq"].as_i64().unwrap();
        assert!(seq > self.last, "{seq} after {}", self.last);
        self.last = seq;
        self.events += 1;
        self.check = self.check.wrapping_add(u32::try_from(seq).unwrap());
    }
}
