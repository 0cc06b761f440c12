//! The JSON object of an event, which is the same on every interface. Fields that are null are left out.

use std::borrow::Cow;
use std::io::Write;

use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use uuid::Uuid;

/// UTC with microseconds, as the database keeps them.
const INSTANT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// The JSON object of one event in one view.
#[derive(Debug, Serialize)]
pub(super) struct EventObject<'a> {
    pub(super) seq: i64,
    pub(super) id: Uuid,
    #[serde(serialize_with = "instant")]
    pub(super) at: OffsetDateTime,
    pub(super) r#type: Cow<'a, str>,
    pub(super) level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) symbol: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trade_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<Cow<'a, str>>,
    /// JSON already.
    pub(super) payload: Payload<'a>,
}

/// JSON text that goes out as it is.
#[derive(Debug)]
pub(super) struct Payload<'a>(pub(super) Cow<'a, str>);

impl Serialize for Payload<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The text comes from a jsonb column. If it ever were not JSON, an empty string would keep the frame intact.
        match serde_json::from_str::<&RawValue>(&self.0) {
            Ok(raw) => raw.serialize(serializer),
            Err(_) => serializer.serialize_str(""),
        }
    }
}

/// A point in time, as every object that is sent shows it.
pub fn instant<S: serde::Serializer>(at: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&instant_text(*at))
}

/// A point in time as text, as every object that is sent shows it.
pub fn instant_text(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC).format(INSTANT).unwrap_or_default()
}

impl EventObject<'_> {
    /// Appends the JSON of the object.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let before = out.len();
        if serde_json::to_writer(&mut *out, self).is_err() {
            out.truncate(before);
            let _into_memory = out.write_all(b"{}");
        }
    }
}
