//! A place in the stream: the seq of an event, and perhaps the tag that proves which event that was.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use uuid::Uuid;

/// A cursor, written `<seq>` or `<seq>.<tag>`; `0` is before everything. An event has two tags, and each proves its history: the
/// last 8 hex digits of its id, for readers who may see the event, and the first 8 of a hash of the id, for all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The seq of the event that the cursor stands on. "After a cursor" means strictly greater.
    pub seq: i64,
    /// One of the two tags of that event.
    pub tag: Option<u32>,
}

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is a seq like 1042, or a seq with its tag like 1042.9f3a11c2")]
pub struct BadCursor;

impl Cursor {
    /// The cursor before everything.
    pub const START: Self = Self::bare(0);

    /// A cursor without a tag.
    pub const fn bare(seq: i64) -> Self {
        Self { seq, tag: None }
    }

    /// The cursor of an event, for those who may see the event.
    pub fn of(seq: i64, id: Uuid) -> Self {
        let [.., a, b, c, d] = *id.as_bytes();
        Self { seq, tag: Some(u32::from_be_bytes([a, b, c, d])) }
    }

    /// The cursor of an event, for those who may not see the event. The tag is of a hash, so it proves the event and shows no digit
    /// of its id. It could only confirm a guess of the whole id, and a random id cannot be guessed.
    pub fn of_hidden(seq: i64, id: Uuid) -> Self {
        let hash = digest(&SHA256, id.as_bytes());
        Self { seq, tag: hash.as_ref().first_chunk().map(|first| u32::from_be_bytes(*first)) }
    }

    /// True if the cursor has no tag, or one of the two tags of the event with this id.
    pub fn agrees_with(self, id: Uuid) -> bool {
        self.tag.is_none() || self == Self::of(self.seq, id) || self == Self::of_hidden(self.seq, id)
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (seq, tag) = text.split_once('.').map_or((text, None), |(seq, tag)| (seq, Some(tag)));
        // Digits alone: `parse` would take a sign too.
        if seq.is_empty() || !seq.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadCursor);
        }
        let seq = seq.parse().map_err(|_| BadCursor)?;
        let tag = match tag {
            None => None,
            Some(tag) if tag.len() == 8 && tag.bytes().all(|b| b.is_ascii_hexdigit()) => {
                Some(u32::from_str_radix(tag, 16).map_err(|_| BadCursor)?)
            }
            Some(_) => return Err(BadCursor),
        };
        Ok(Self { seq, tag })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tag {
            Some(tag) => write!(f, "{}.{tag:08x}", self.seq),
            None => write!(f, "{}", self.seq),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_a_seq_and_perhaps_a_tag() {
        assert_eq!("0".parse(), Ok(Cursor { seq: 0, tag: None }));
        let tagged = Cursor { seq: 1042, tag: Some(0x0f3a_11c2) };
        assert_eq!("1042.0f3a11c2".parse(), Ok(tagged));
        assert_eq!("1042.0F3A11C2".parse(), Ok(tagged));
        assert_eq!(tagged.to_string(), "1042.0f3a11c2");
        let wrong = ["", "-1", "+1", " 1", "1 ", "1.", ".9f3a11c2", "1.9f3a11c", "1.+f3a11c2", "1.9f3a11c2.0", "x"];
        for text in wrong.into_iter().chain(["9223372036854775808", "1\0", "１"]) {
            assert_eq!(text.parse::<Cursor>(), Err(BadCursor), "{text:?}");
        }
    }

    #[test]
    fn an_event_proves_its_cursor() {
        let id = Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9f3a_11c2);
        assert_eq!(Cursor::of(7, id).to_string(), "7.9f3a11c2");
        assert!(Cursor::of(7, id).agrees_with(id) && Cursor { seq: 7, tag: None }.agrees_with(id));
        assert!(!Cursor { seq: 7, tag: Some(1) }.agrees_with(id));
    }

    #[test]
    fn a_hidden_event_proves_its_cursor_and_shows_nothing_of_its_id() {
        let id = Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9f3a_11c2);
        let other = Uuid::from_u128(id.as_u128() ^ 1);
        // As `left(encode(sha256(uuid_send(id)), 'hex'), 8)` says in Postgres.
        let hidden = Cursor::of_hidden(7, id);
        assert_eq!(hidden.to_string(), "7.02ded8e1");
        assert!(hidden.agrees_with(id) && !hidden.agrees_with(other));
        assert!(!Cursor::of_hidden(7, other).agrees_with(id));
    }
}
