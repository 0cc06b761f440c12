//! A place in the stream: the seq of an event, and perhaps the tag that proves which event that was.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// `<seq>` or `<seq>.<last 8 hex digits of that event's id>`; `0` is before everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The event it stands on. "After a cursor" means strictly greater.
    pub seq: i64,
    /// What that event's id ends in.
    pub tag: Option<u32>,
}

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is a seq like 1042, or a seq with its tag like 1042.9f3a11c2")]
pub struct BadCursor;

impl Cursor {
    /// Before everything.
    pub const START: Self = Self::bare(0);

    /// A seq alone.
    pub const fn bare(seq: i64) -> Self {
        Self { seq, tag: None }
    }

    /// The cursor of an event.
    pub fn of(seq: i64, id: Uuid) -> Self {
        let [.., a, b, c, d] = *id.as_bytes();
        Self { seq, tag: Some(u32::from_be_bytes([a, b, c, d])) }
    }

    /// Whether the tag, if there is one, is that of this id.
    pub fn agrees_with(self, id: Uuid) -> bool {
        self.tag.is_none_or(|tag| Self::of(self.seq, id).tag == Some(tag))
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
}
