//! One event as it stands in Redis: its columns as a line of JSON, then its payload as it is.

use std::borrow::Cow;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::RelayError;
use crate::journal::{JournalIdentity, Level, StoredEvent};

/// Which history an event belongs to, in short: the journal, on one run of its server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HistoryTag(String);

impl HistoryTag {
    pub(super) fn of(journal: &JournalIdentity) -> Self {
        let digest = digest(&SHA256, journal.to_string().as_bytes());
        Self(digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }
}

/// An event, and the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) event: StoredEvent,
    /// The seq of the event before it; 0 if it is the first.
    pub(super) previous: i64,
    pub(super) history: HistoryTag,
}

/// The columns of an event but for its payload.
#[derive(Debug, Serialize, Deserialize)]
struct Columns<'a> {
    previous: i64,
    history: Cow<'a, HistoryTag>,
    id: Uuid,
    #[serde(with = "time::serde::timestamp::microseconds")]
    at: OffsetDateTime,
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    level: Cow<'a, str>,
    public_safe: bool,
    symbol: Option<Cow<'a, str>>,
    trade_id: Option<Uuid>,
    subject: Option<Cow<'a, str>>,
    owner: Option<Cow<'a, str>>,
}

/// Writes an event down.
pub(super) fn encode(event: &StoredEvent, previous: i64, history: &HistoryTag) -> Result<Vec<u8>, RelayError> {
    let columns = Columns {
        previous,
        history: Cow::Borrowed(history),
        id: event.id,
        at: event.at,
        kind: event.kind.as_str().into(),
        level: event.level.as_str().into(),
        public_safe: event.public_safe,
        symbol: event.symbol.as_deref().map(Cow::Borrowed),
        trade_id: event.trade_id,
        subject: event.subject.as_deref().map(Cow::Borrowed),
        owner: event.owner.as_deref().map(Cow::Borrowed),
    };
    let mut text = serde_json::to_vec(&columns).map_err(|_| RelayError::Garbled("the columns of an event"))?;
    text.push(b'\n');
    text.extend_from_slice(event.payload.as_bytes());
    Ok(text)
}

/// Reads what [`encode`] wrote, under the seq at which it stood.
pub(super) fn decode(seq: i64, text: &[u8]) -> Result<Entry, RelayError> {
    let garbled = RelayError::Garbled("an event");
    let Some(line) = text.iter().position(|byte| *byte == b'\n') else { return Err(garbled) };
    let (columns, payload) = (text.get(..line).unwrap_or_default(), text.get(line + 1..).unwrap_or_default());
    let Ok(columns) = serde_json::from_slice::<Columns<'_>>(columns) else { return Err(garbled) };
    let (Some(level), Ok(payload)) = (Level::parse(&columns.level), std::str::from_utf8(payload)) else {
        return Err(garbled);
    };
    let event = StoredEvent {
        seq,
        id: columns.id,
        at: columns.at,
        kind: columns.kind.into_owned(),
        level,
        public_safe: columns.public_safe,
        symbol: columns.symbol.map(Cow::into_owned),
        trade_id: columns.trade_id,
        subject: columns.subject.map(Cow::into_owned),
        owner: columns.owner.map(Cow::into_owned),
        payload: payload.to_owned(),
    };
    Ok(Entry { event, previous: columns.previous, history: columns.history.into_owned() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;
    use crate::tail::pages::tests::event;

    #[test]
    fn an_event_is_read_as_it_was_written() {
        let whole = StoredEvent {
            at: OffsetDateTime::from_unix_timestamp_nanos(1_790_000_000_123_456_000).unwrap(),
            level: Level::Critical,
            symbol: Some("BTC \"x\"".into()),
            trade_id: Some(Uuid::from_u128(7)),
            subject: Some("a\nb".into()),
            owner: Some("ö".into()),
            payload: "{\"n\": 1e3,\n \"t\": \"\\u0000\"}".into(),
            ..event(42)
        };
        let history = HistoryTag("00ff".into());
        for event in [whole, event(43)] {
            let text = encode(&event, 41, &history).unwrap();
            let entry = decode(event.seq, &text).unwrap();
            assert_eq!(entry, Entry { event, previous: 41, history: history.clone() });
        }
    }

    #[test]
    fn what_is_no_event_is_refused() {
        let good = encode(&event(1), 0, &HistoryTag("00".into())).unwrap();
        let no_level = String::from_utf8(good.clone()).unwrap().replace("\"info\"", "\"loud\"");
        let no_text = [&good[..], &[0xFF]].concat();
        for text in [&b""[..], b"{}\n{}", b"no line", no_level.as_bytes(), &no_text] {
            assert!(matches!(decode(1, text), Err(RelayError::Garbled(_))), "{:?}", String::from_utf8_lossy(text));
        }
    }
}
