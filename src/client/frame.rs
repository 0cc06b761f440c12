//! The frames of the server. An event keeps its JSON as it came; the members that every reader needs are read at once.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use uuid::Uuid;

use super::Told;
use crate::journal::{Cursor, Level};

/// One message of the server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Frame {
    /// The first frame after authentication.
    Hello(Hello),
    /// An event that matches and may be seen.
    Event(Event),
    /// The backlog up to the head has been sent.
    Live(Cursor),
    /// A sign of life that moves the cursor, with the server's account.
    Heartbeat(Heartbeat),
    /// The token expires at this time.
    AuthExpiring(String),
    /// The new token is accepted, and expires at this time.
    AuthOk(String),
    /// The server shuts down.
    Drain {
        /// The time that this client is asked to wait.
        retry: Duration,
        /// The cursor at which to go on.
        cursor: Cursor,
    },
    /// The reason of the close that will follow.
    Error(Told),
    /// The answer to a ping.
    Pong,
    /// A frame with an `op` that this version does not know.
    Unknown(String),
}

/// The first frame of a session.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Hello {
    /// The name of this session in the server's log.
    pub session: String,
    /// The cursor at which the session begins.
    #[serde(deserialize_with = "cursor")]
    pub cursor: Cursor,
    /// The seq of the newest event.
    pub head: i64,
    /// The seq of the oldest event that is kept.
    pub oldest: i64,
    /// The interval of heartbeats, in milliseconds.
    pub heartbeat_ms: u64,
    /// `private` or `public`.
    pub view: String,
}

/// The server's account of what it has sent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Heartbeat {
    /// The cursor up to which every event was sent or filtered out.
    #[serde(deserialize_with = "cursor")]
    pub cursor: Cursor,
    /// The newest event.
    pub head: i64,
    /// The server's clock.
    pub at: String,
    /// The number of events that the server has sent since the `hello`.
    pub events: u64,
    /// The sum of their seqs modulo 2^32.
    pub check: u64,
    /// The cause that holds the stream back, if there is one.
    #[serde(default)]
    pub stalled: Option<serde_json::Value>,
}

/// An event with its JSON as it came.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its place in the order.
    pub seq: i64,
    /// Its identity.
    pub id: Uuid,
    /// Dotted lower-case words.
    pub kind: String,
    /// How much it matters.
    pub level: Level,
    message: Utf8Bytes,
    json_range: Range<usize>,
}

/// The rest of an event, read when asked for.
#[derive(Debug, Deserialize)]
pub struct Details<'a> {
    /// The time at which the row was written.
    #[serde(borrow)]
    pub at: Cow<'a, str>,
    /// What it is about, for a trading system.
    #[serde(borrow, default)]
    pub symbol: Option<Cow<'a, str>>,
    /// Which trade it belongs to.
    #[serde(borrow, default)]
    pub trade_id: Option<Cow<'a, str>>,
    /// What it is about.
    #[serde(borrow, default)]
    pub subject: Option<Cow<'a, str>>,
    /// A JSON object.
    #[serde(borrow)]
    pub payload: &'a RawValue,
}

impl Event {
    /// The event as JSON, byte for byte as the server sent it.
    pub fn json(&self) -> &str {
        self.message.as_str().get(self.json_range.clone()).unwrap_or_default()
    }

    /// The cursor that stands on it.
    pub fn cursor(&self) -> Cursor {
        Cursor::of(self.seq, self.id)
    }

    /// The members that are not read at once.
    pub fn details(&self) -> Result<Details<'_>, BadFrame> {
        serde_json::from_str(self.json()).map_err(|error| BadFrame::of("event", &error))
    }
}

/// A message that is no frame of the interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadFrame(String);

impl BadFrame {
    fn of(op: &str, error: &serde_json::Error) -> Self {
        Self(format!("{op}: {error}"))
    }
}

/// The members of a frame that are read first: the `op`, and the event, whose text is kept.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(borrow, default)]
    event: Option<&'a RawValue>,
}

/// The part of an event that is always read.
#[derive(Deserialize)]
struct EventMembers<'a> {
    seq: i64,
    id: Uuid,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    level: Cow<'a, str>,
}

#[derive(Deserialize)]
struct LiveBody {
    #[serde(deserialize_with = "cursor")]
    cursor: Cursor,
}

#[derive(Deserialize)]
struct DrainBody {
    retry_ms: u64,
    #[serde(deserialize_with = "cursor")]
    cursor: Cursor,
}

#[derive(Deserialize)]
struct AuthExpiringBody {
    at: String,
}

#[derive(Deserialize)]
struct AuthOkBody {
    expires: String,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: String,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    oldest: Option<i64>,
}

impl Frame {
    /// Reads a message.
    pub(super) fn read(message: &Utf8Bytes) -> Result<Self, BadFrame> {
        let text = message.as_str();
        let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| BadFrame::of("frame", &error))?;
        let op = envelope.op.as_ref();
        Ok(match op {
            "event" => Self::Event(event(message, envelope.event)?),
            "hello" => Self::Hello(parse_body(op, text)?),
            "live" => Self::Live(parse_body::<LiveBody>(op, text)?.cursor),
            "heartbeat" => Self::Heartbeat(parse_body(op, text)?),
            "auth_expiring" => Self::AuthExpiring(parse_body::<AuthExpiringBody>(op, text)?.at),
            "auth_ok" => Self::AuthOk(parse_body::<AuthOkBody>(op, text)?.expires),
            "drain" => {
                let DrainBody { retry_ms, cursor } = parse_body(op, text)?;
                Self::Drain { retry: Duration::from_millis(retry_ms), cursor }
            }
            "error" => {
                let ErrorBody { code, message, oldest } = parse_body(op, text)?;
                Self::Error(Told { code: Some(code), message, oldest })
            }
            "pong" => Self::Pong,
            unknown => Self::Unknown(unknown.chars().take(64).collect()),
        })
    }
}

fn parse_body<'a, T: Deserialize<'a>>(op: &str, text: &'a str) -> Result<T, BadFrame> {
    serde_json::from_str(text).map_err(|error| BadFrame::of(op, &error))
}

fn event(message: &Utf8Bytes, event: Option<&RawValue>) -> Result<Event, BadFrame> {
    let text = event.ok_or_else(|| BadFrame("event: there is none in it".to_owned()))?.get();
    let EventMembers { seq, id, kind, level } = parse_body("event", text)?;
    if seq < 1 {
        return Err(BadFrame(format!("event: {seq} is no seq")));
    }
    let level = Level::parse(&level).ok_or_else(|| BadFrame(format!("event {seq}: its level is none")))?;
    // The text is a part of the message, so the message is kept and nothing copied.
    let begin = text.as_ptr().addr().saturating_sub(message.as_str().as_ptr().addr());
    let json_range = begin..begin + text.len();
    Ok(Event { seq, id, kind: kind.into_owned(), level, message: message.clone(), json_range })
}

fn cursor<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Cursor, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Frame, BadFrame> {
        Frame::read(&Utf8Bytes::from(text))
    }

    #[test]
    fn every_frame_of_the_interface_is_read() {
        let hello = r#"{"op":"hello","session":"s","cursor":"7.9f3a11c2","head":9,"oldest":1,"heartbeat_ms":15000,"view":"private","later":{}}"#;
        let Frame::Hello(hello) = read(hello).unwrap() else { panic!("no hello") };
        assert_eq!((hello.cursor.to_string().as_str(), hello.head, hello.oldest), ("7.9f3a11c2", 9, 1));
        let heartbeat = r#"{"op":"heartbeat","cursor":"0","head":0,"at":"x","events":3,"check":12,"stalled":{"since":"x","reason":"database"}}"#;
        let Frame::Heartbeat(heartbeat) = read(heartbeat).unwrap() else { panic!("no heartbeat") };
        assert_eq!((heartbeat.events, heartbeat.check), (3, 12));
        assert_eq!(heartbeat.stalled.unwrap()["reason"], "database");
        assert!(matches!(read(r#"{"op":"live","cursor":"1"}"#), Ok(Frame::Live(Cursor { seq: 1, tag: None }))));
        assert!(matches!(read(r#"{"op":"auth_expiring","at":"x"}"#), Ok(Frame::AuthExpiring(at)) if at == "x"));
        assert!(matches!(read(r#"{"op":"auth_ok","expires":"x"}"#), Ok(Frame::AuthOk(at)) if at == "x"));
        let Ok(Frame::Drain { retry, cursor }) = read(r#"{"op":"drain","retry_ms":1500,"cursor":"2"}"#) else {
            panic!("no drain")
        };
        assert_eq!((retry, cursor.seq), (Duration::from_millis(1500), 2));
        let error = r#"{"op":"error","code":"cursor_expired","message":"gone","oldest":40}"#;
        let Ok(Frame::Error(told)) = read(error) else { panic!("no error") };
        assert_eq!((told.to_string().as_str(), told.oldest), ("cursor_expired: gone", Some(40)));
        assert!(matches!(read(r#"{"op":"pong"}"#), Ok(Frame::Pong)));
        assert!(matches!(read(r#"{"op":"later","at":7}"#), Ok(Frame::Unknown(op)) if op == "later"));
    }

    #[test]
    fn an_event_keeps_its_text_and_tells_its_cursor() {
        let json = r#"{"seq":7,"id":"9f3a11c2-6f0e-4a52-8a53-0e5d7c1b2f44","at":"2026-01-27T10:00:00.123456Z","type":"a.b","level":"warn", "symbol":"A\u0042","payload":{"n": 1.0}}"#;
        let Frame::Event(event) = read(&format!(r#"{{"op":"event","event":{json}}}"#)).unwrap() else {
            panic!("no event")
        };
        assert_eq!((event.seq, event.kind.as_str(), event.level), (7, "a.b", Level::Warn));
        assert_eq!((event.json(), event.cursor().to_string().as_str()), (json, "7.7c1b2f44"));
        let details = event.details().unwrap();
        assert_eq!((details.symbol.as_deref(), details.subject), (Some("AB"), None));
        assert_eq!(details.payload.get(), r#"{"n": 1.0}"#);
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let id = "9f3a11c2-6f0e-4a52-8a53-0e5d7c1b2f44";
        for text in [
            "".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            r#"{"op":7}"#.to_owned(),
            r#"{"op":"event"}"#.to_owned(),
            r#"{"op":"live","cursor":"-1"}"#.to_owned(),
            r#"{"op":"heartbeat","cursor":"1"}"#.to_owned(),
            format!(r#"{{"op":"event","event":{{"seq":0,"id":"{id}","type":"a","level":"info"}}}}"#),
            format!(r#"{{"op":"event","event":{{"seq":1,"id":"{id}","type":"a","level":"loud"}}}}"#),
            r#"{"op":"event","event":{"seq":1,"id":"x","type":"a","level":"info"}}"#.to_owned(),
        ] {
            assert!(read(&text).is_err(), "{text}");
        }
    }
}
