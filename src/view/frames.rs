//! Rendered events: written once for each view, and shared by all sessions, over WebSocket, SSE or HTTP.
//!
//! The bytes are those of WebSocket messages, one after the other, so that a run of events is one slice. SSE and HTTP take the JSON
//! object of an event out of the middle of its message.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

const OPENING: &[u8] = br#"{"op":"event","event":"#;
const CLOSING: &[u8] = b"}";
/// Roughly the bytes that a message has beyond what its event weighs.
pub(super) const OVERHEAD: usize = 64;
/// The bytes that are kept of each event beside its message.
pub(super) const INDEX: usize = size_of::<usize>() + size_of::<Tally>();
/// The first byte of a message in one frame: final, text.
const TEXT: u8 = 0x81;

/// The count and sum of events that were sent. A client adds up the same, and so knows that it has missed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// The number of events.
    pub events: u64,
    /// The sum of their seqs, modulo 2^32.
    pub check: u32,
}

impl Tally {
    /// Counts further events.
    pub fn add(&mut self, more: Self) {
        self.events += more.events;
        self.check = self.check.wrapping_add(more.check);
    }

    /// Counts one event.
    pub fn of(seq: i64) -> Self {
        // The low four bytes are the seq modulo 2^32.
        let [.., a, b, c, d] = seq.to_be_bytes();
        Self { events: 1, check: u32::from_be_bytes([a, b, c, d]) }
    }
}

/// One view's rendering of a run of events. Clones share it.
#[derive(Clone)]
pub struct Frames(Arc<Inner>);

struct Inner {
    bytes: Bytes,
    /// The start of the message of each event, and at the end the length of all messages. The message of a hidden event is empty.
    starts: Box<[usize]>,
    /// The tally before each event, and at the end that of all events. Hidden events do not count.
    tallies: Box<[Tally]>,
    /// True if no shown event has an owner.
    common: bool,
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").field("events", &self.len()).field("bytes", &self.0.bytes.len()).finish()
    }
}

impl Frames {
    /// The number of events, shown or hidden.
    pub fn len(&self) -> usize {
        self.0.starts.len().saturating_sub(1)
    }

    /// True if there are no events.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True if no shown event has an owner, so that everyone who has this view may see all of it.
    pub fn is_common(&self) -> bool {
        self.0.common
    }

    /// The messages of these events, as they stand on the wire.
    pub fn messages(&self, events: Range<usize>) -> Bytes {
        let at = |index: usize| self.0.starts.get(index).copied().unwrap_or(self.0.bytes.len());
        self.0.bytes.slice(at(events.start)..at(events.end).max(at(events.start)))
    }

    /// The bytes of the messages of these events.
    pub fn weight(&self, events: Range<usize>) -> usize {
        let at = |index: usize| self.0.starts.get(index).copied().unwrap_or(self.0.bytes.len());
        at(events.end).saturating_sub(at(events.start))
    }

    /// The object of one event; `None` if the view does not show it.
    pub fn object(&self, event: usize) -> Option<Bytes> {
        let message = self.messages(event..event + 1);
        let header = match message.get(1)? {
            0..126 => 2,
            126 => 4,
            _ => 10,
        };
        Some(message.slice(header + OPENING.len()..message.len() - CLOSING.len()))
    }

    /// The tally of those of these events that the view shows.
    pub fn tally(&self, events: Range<usize>) -> Tally {
        let at = |index: usize| self.0.tallies.get(index).or(self.0.tallies.last()).copied().unwrap_or_default();
        let (from, to) = (at(events.start), at(events.end));
        Tally { events: to.events - from.events, check: to.check.wrapping_sub(from.check) }
    }
}

/// Writes frames, event by event.
#[derive(Debug)]
pub(super) struct FramesWriter {
    bytes: Vec<u8>,
    starts: Vec<usize>,
    tallies: Vec<Tally>,
    common: bool,
    object: Vec<u8>,
}

impl FramesWriter {
    pub(super) fn new(events: usize) -> Self {
        let (mut starts, mut tallies) = (Vec::with_capacity(events + 1), Vec::with_capacity(events + 1));
        starts.push(0);
        tallies.push(Tally::default());
        Self { bytes: Vec::new(), starts, tallies, common: true, object: Vec::new() }
    }

    /// The next event is not shown.
    pub(super) fn hide(&mut self) {
        self.end(Tally::default());
    }

    /// The next event is shown, and this writes its object.
    pub(super) fn show(&mut self, seq: i64, owned: bool, write: impl FnOnce(&mut Vec<u8>)) {
        self.common &= !owned;
        self.object.clear();
        write(&mut self.object);
        self.bytes.reserve(10 + OPENING.len() + self.object.len() + CLOSING.len());
        header(&mut self.bytes, OPENING.len() + self.object.len() + CLOSING.len());
        self.bytes.extend_from_slice(OPENING);
        self.bytes.extend_from_slice(&self.object);
        self.bytes.extend_from_slice(CLOSING);
        self.end(Tally::of(seq));
    }

    fn end(&mut self, shown: Tally) {
        let mut tally = self.tallies.last().copied().unwrap_or_default();
        tally.add(shown);
        self.starts.push(self.bytes.len());
        self.tallies.push(tally);
    }

    pub(super) fn finish(self) -> Frames {
        let mut bytes = self.bytes;
        bytes.shrink_to_fit();
        Frames(Arc::new(Inner {
            bytes: Bytes::from(bytes),
            starts: self.starts.into_boxed_slice(),
            tallies: self.tallies.into_boxed_slice(),
            common: self.common,
        }))
    }
}

/// The header of a text message of the server, in one frame and without a mask (RFC 6455, 5.2).
fn header(out: &mut Vec<u8>, length: usize) {
    out.push(TEXT);
    let length = u64::try_from(length).unwrap_or(u64::MAX);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..126), _) => out.push(short),
        (_, Ok(middle)) => {
            out.push(126);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
}

/// A whole text message of the server, as it stands on the wire.
pub fn message(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 10);
    header(&mut out, text.len());
    out.extend_from_slice(text);
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    /// Objects of these lengths, the second of which is hidden.
    fn frames(lengths: &[usize]) -> Frames {
        let mut writer = FramesWriter::new(lengths.len());
        for (index, length) in lengths.iter().enumerate() {
            let seq = i64::try_from(index).unwrap() + 1;
            if index == 1 {
                writer.hide();
            } else {
                writer.show(seq, false, |out| out.extend(std::iter::repeat_n(b'x', *length)));
            }
        }
        writer.finish()
    }

    #[test]
    fn every_length_of_a_message_has_the_header_that_it_needs() {
        let wrapper = OPENING.len() + CLOSING.len();
        let all = [0, 5, 125 - wrapper, 126 - wrapper, 65_535 - wrapper, 65_536 - wrapper, 300_000];
        let frames = frames(&all);
        assert_eq!(frames.len(), all.len());
        for (index, length) in all.iter().enumerate() {
            let object = frames.object(index);
            if index == 1 {
                assert_eq!((object, frames.weight(1..2)), (None, 0));
                continue;
            }
            assert_eq!(object.unwrap(), "x".repeat(*length));
            let payload = wrapper + length;
            let header = if payload < 126 {
                2
            } else if payload < 65_536 {
                4
            } else {
                10
            };
            let bytes = frames.messages(index..index + 1);
            assert_eq!((bytes.len(), bytes[0]), (payload + header, TEXT), "{length}");
            assert_eq!(message(&bytes[header..]), bytes);
        }
        let whole: usize = (0..all.len()).map(|index| frames.weight(index..index + 1)).sum();
        assert_eq!(frames.messages(0..all.len()).len(), whole);
        assert_eq!((frames.object(99), frames.messages(5..99).len()), (None, frames.weight(5..7)));
    }

    #[test]
    fn a_tally_counts_what_is_shown() {
        let frames = frames(&[1, 1, 1, 1]);
        assert_eq!(frames.tally(0..4), Tally { events: 3, check: 8 });
        assert_eq!(frames.tally(1..3), Tally { events: 1, check: 3 });
        assert_eq!(frames.tally(1..2), Tally::default());
        let mut tally = Tally { events: 1, check: u32::MAX };
        tally.add(Tally::of((1 << 40) + 2));
        assert_eq!(tally, Tally { events: 2, check: 1 });
        assert!(frames.is_common() && !frames.is_empty());
        let mut writer = FramesWriter::new(1);
        writer.show(1, true, |_| {});
        assert!(!writer.finish().is_common());
    }
}
