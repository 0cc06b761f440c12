//! Offsets: the positions in a stream that clients are told. An offset is the cursor of an event, written so that the order of texts is
//! the order of events, and the version of what the stream shows.

use std::fmt;
use std::str::FromStr;

use crate::journal::Cursor;

/// The digits of the largest seq.
const SEQ_DIGITS: usize = 19;
/// The digits of a tag, and of a version.
const HEX_DIGITS: usize = 8;

/// A position in a stream, written `<seq>_<version>`, or `<seq>_<tag>_<version>` where an event proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offset {
    pub(super) cursor: Cursor,
    /// The version of what the stream showed to the reader who was told the offset.
    pub(super) version: u32,
}

/// The text is not an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("offset must be one that this stream has sent, -1 or now")]
pub(super) struct BadOffset;

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cursor: Cursor { seq, tag }, version } = self;
        match tag {
            Some(tag) => write!(f, "{seq:0SEQ_DIGITS$}_{tag:08x}_{version:08x}"),
            None => write!(f, "{seq:0SEQ_DIGITS$}_{version:08x}"),
        }
    }
}

impl FromStr for Offset {
    type Err = BadOffset;

    fn from_str(text: &str) -> Result<Self, BadOffset> {
        let mut parts = text.split('_');
        let seq = parts.next().filter(|seq| seq.len() == SEQ_DIGITS && seq.bytes().all(|byte| byte.is_ascii_digit()));
        let seq = seq.and_then(|seq| seq.parse().ok()).ok_or(BadOffset)?;
        let (first, second, rest) = (parts.next().ok_or(BadOffset)?, parts.next(), parts.next());
        if rest.is_some() {
            return Err(BadOffset);
        }
        let tag = second.map(|_| hex(first)).transpose()?;
        Ok(Self { cursor: Cursor { seq, tag }, version: hex(second.unwrap_or(first))? })
    }
}

/// Reads eight lower-case digits, so that each number has one text.
fn hex(text: &str) -> Result<u32, BadOffset> {
    let digits = text.len() == HEX_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u32::from_str_radix(text, 16).ok().filter(|_| digits).ok_or(BadOffset)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_written_and_read_and_sorts_as_its_event_does() {
        let offset = |seq, tag| Offset { cursor: Cursor { seq, tag }, version: 0x2a };
        let all = [offset(0, None), offset(7, Some(0xffff_ffff)), offset(1042, Some(1)), offset(i64::MAX, Some(0))];
        let texts = all.map(|offset| offset.to_string());
        assert_eq!(texts[2], "0000000000000001042_00000001_0000002a");
        assert_eq!(texts[0], "0000000000000000000_0000002a");
        assert!(texts.is_sorted());
        assert_eq!(texts.map(|text| text.parse::<Offset>().unwrap()), all);
    }

    #[test]
    fn a_text_that_no_stream_has_sent_is_refused() {
        for text in [
            "",
            "-1",
            "now",
            "1042",
            "0000000000000001042",
            "0000000000000001042_",
            "0000000000000001042_1",
            "0000000000000001042.00000001_0000002a",
            "0000000000000001042_0000000G_0000002a",
            "0000000000000001042_0000000A_0000002a",
            "0000000000000001042_00000001_0000002a_",
            "9999999999999999999_00000001_0000002a",
            "+000000000000001042_00000001_0000002a",
            "000000000000000104２_00000001_0000002a",
        ] {
            assert_eq!(text.parse::<Offset>(), Err(BadOffset), "{text}");
        }
    }
}
