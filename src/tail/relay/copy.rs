//! Where the copy has come to, and the next events for it.

use std::collections::VecDeque;

use super::entry::HistoryTag;
use super::error::RelayError;
use super::redis_link::{RedisLink, id_of};
use super::script::Keep;
use crate::tail::pages::{Page, Render};

/// The bounds of one write: with the event that reaches one of them it is full.
const MAX_ENTRIES: usize = 512;
const MAX_BYTES: usize = 1 << 20;
/// What an entry takes in Redis beside its text, roughly.
const ENTRY_OVERHEAD: usize = 64;

/// The entries of one write.
#[derive(Debug, Default)]
pub(super) struct Write {
    pub(super) entries: Vec<(String, Vec<u8>)>,
    bytes: usize,
    upto: i64,
}

/// Where the copy has come to.
#[derive(Debug)]
pub(super) struct Copy {
    tag: HistoryTag,
    /// The id of the newest entry in Redis, or the one that an empty stream has.
    pub(super) newest_id: String,
    /// The seq of the newest event that was copied, or that the copy begins after.
    newest: i64,
    /// The seq up to which there is nothing left to copy.
    pub(super) upto: i64,
    /// What lies in Redis: the last seq of each write, and its bytes.
    writes: VecDeque<(i64, usize)>,
    bytes: usize,
    limit: usize,
    length: usize,
}

impl Copy {
    /// Goes on after the newest entry, an event; `bytes` lie in Redis already.
    pub(super) fn resume(tag: HistoryTag, seq: i64, bytes: usize, length: usize, limit: usize) -> Self {
        let writes = VecDeque::from([(seq, bytes)]);
        Self { tag, newest_id: id_of(seq), newest: seq, upto: seq, writes, bytes, limit, length }
    }

    /// Begins anew after this head, up to which this event is the newest.
    pub(super) fn begin(tag: HistoryTag, head: i64, newest: i64, length: usize, limit: usize) -> Self {
        let (newest_id, writes) = ("0-0".to_owned(), VecDeque::new());
        Self { tag, newest_id, newest, upto: head, writes, bytes: 0, limit, length }
    }

    /// The next write: events of a page that follow what was copied.
    pub(super) fn next<R: Render>(&self, link: &RedisLink, page: &Page<R>) -> Result<Write, RelayError> {
        let mut write = Write { upto: self.upto, ..Write::default() };
        let mut previous = self.newest;
        for event in page.after(self.upto).flat_map(|part| part.events()) {
            if write.entries.len() >= MAX_ENTRIES || write.bytes >= MAX_BYTES {
                return Ok(write);
            }
            let text = link.seal_event(event, previous, &self.tag)?;
            write.bytes += text.len() + ENTRY_OVERHEAD;
            write.entries.push((id_of(event.seq), text));
            (previous, write.upto) = (event.seq, event.seq);
        }
        // The page is copied whole, with the seqs at its end that hold no event.
        write.upto = write.upto.max(page.upto());
        Ok(write)
    }

    /// How much of the copy stays with this write.
    pub(super) fn keep(&self, write: &Write) -> Keep {
        let mut bytes = self.bytes + write.bytes;
        let mut from = 0;
        for (last, weight) in &self.writes {
            if bytes <= self.limit {
                break;
            }
            bytes -= weight;
            from = last + 1;
        }
        Keep { entries: self.length, from }
    }

    /// Notes that a write was made.
    pub(super) fn wrote(&mut self, write: &Write, keep: Keep) {
        while let Some((last, weight)) = self.writes.front()
            && *last < keep.from
        {
            self.bytes -= weight;
            self.writes.pop_front();
        }
        self.upto = write.upto;
        if let Some((id, _)) = write.entries.last() {
            self.newest_id.clone_from(id);
            self.newest = id.strip_suffix("-0").and_then(|seq| seq.parse().ok()).unwrap_or(self.newest);
            self.bytes += write.bytes;
            self.writes.push_back((self.newest, write.bytes));
            // Small writes count together, so that this stays short.
            if self.writes.len() > 4 * MAX_ENTRIES {
                self.halve();
            }
        }
    }

    fn halve(&mut self) {
        let mut joined = VecDeque::with_capacity(self.writes.len() / 2 + 1);
        let mut writes = self.writes.drain(..);
        while let Some((first, bytes)) = writes.next() {
            joined.push_back(writes.next().map_or((first, bytes), |(last, more)| (last, bytes + more)));
        }
        drop(writes);
        self.writes = joined;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    fn tag() -> HistoryTag {
        serde_json::from_str("\"00\"").unwrap()
    }

    fn write(seq: i64, bytes: usize) -> Write {
        Write { entries: vec![(id_of(seq), Vec::new())], bytes, upto: seq + 1 }
    }

    #[test]
    fn what_lies_in_redis_stays_within_its_bytes() {
        let mut copy = Copy::resume(tag(), 10, 1_000, 77, 1_500);
        let mut from = Vec::new();
        for seq in 11..=15 {
            let write = write(seq, 400);
            let keep = copy.keep(&write);
            assert_eq!(keep.entries, 77);
            from.push(keep.from);
            copy.wrote(&write, keep);
            assert!(copy.bytes <= 1_500);
        }
        // What lay there before counts as one.
        assert_eq!(from, [0, 11, 0, 12, 13]);
        assert_eq!((copy.newest_id.as_str(), copy.newest, copy.upto), ("15-0", 15, 16));
    }

    #[test]
    fn many_small_writes_are_remembered_together() {
        let mut copy = Copy::begin(tag(), 0, 0, 77, usize::MAX);
        for seq in 1..=20_000 {
            let write = write(seq, 3);
            copy.wrote(&write, copy.keep(&write));
        }
        assert!(copy.writes.len() <= 4 * MAX_ENTRIES);
        assert_eq!((copy.bytes, copy.writes.iter().map(|(_, bytes)| bytes).sum::<usize>()), (60_000, 60_000));
        assert_eq!(copy.writes.back(), Some(&(20_000, 3)));
    }
}
