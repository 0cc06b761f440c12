//! The messages of one answer, and where the answer ends. An end depends on the events alone, not on the node, on what it has in memory
//! or on when it was asked. So readers who begin anywhere soon come by the same addresses, and a cache can answer for all of them.

use bytes::Bytes;

use crate::journal::Cursor;
use crate::session::SendBudget;

/// The most messages of an answer.
pub(super) const PAGE_MESSAGES: usize = 1024;
/// The bytes of messages at which an answer ends, though its last message may exceed them.
pub(super) const PAGE_BYTES: usize = 512 << 10;

/// The messages of one answer.
#[derive(Debug, Default)]
pub(super) struct Page {
    messages: Vec<(Cursor, Bytes)>,
    bytes: usize,
}

impl Page {
    /// The budget of the next step of the reader.
    pub(super) fn budget(&self) -> SendBudget {
        let events = PAGE_MESSAGES.saturating_sub(self.messages.len()).max(1);
        SendBudget { events, bytes: PAGE_BYTES.saturating_sub(self.bytes).max(1) }
    }

    /// Adds messages until the page is full.
    pub(super) fn extend(&mut self, messages: impl Iterator<Item = (Cursor, Bytes)>) {
        for (cursor, message) in messages {
            if self.is_full() {
                return;
            }
            self.bytes += message.len() + 1;
            self.messages.push((cursor, message));
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.messages.len() >= PAGE_MESSAGES || self.bytes >= PAGE_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Ends a full page at the roundest seq that lies in it. Returns the cursor of the last message that stays, and true if all of
    /// them stay.
    pub(super) fn end(&mut self) -> Option<(Cursor, bool)> {
        let (first, last) = (self.messages.first()?.0.seq, self.messages.last()?.0.seq);
        let end = roundest(first, last);
        let kept = self.messages.partition_point(|(cursor, _)| cursor.seq <= end);
        let is_whole = kept == self.messages.len();
        self.messages.truncate(kept);
        Some((self.messages.last()?.0, is_whole))
    }

    /// The messages as a JSON array.
    pub(super) fn body(&self) -> Vec<u8> {
        array(self.messages.iter().map(|(_, message)| message))
    }
}

/// These messages as a JSON array.
pub(super) fn array<'a>(messages: impl Iterator<Item = &'a Bytes>) -> Vec<u8> {
    let mut out = vec![b'['];
    for (index, message) in messages.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(message);
    }
    out.push(b']');
    out
}

/// The number from `low` to `high` that is a multiple of the largest power of two. Every reader who passes over a multiple of a large
/// power stops there, so that the ends of different readers become the same.
fn roundest(low: i64, high: i64) -> i64 {
    let differing = (low - 1) ^ high;
    match differing.checked_ilog2() {
        Some(bit) => high >> bit << bit,
        None => high,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_roundest_number_has_the_most_zeros_at_its_end() {
        for low in 1..70_i64 {
            for high in low..140 {
                let expected = (low..=high).max_by_key(|number| number.trailing_zeros()).unwrap();
                assert_eq!(roundest(low, high), expected, "{low}..={high}");
            }
        }
        assert_eq!((roundest(1, 1024), roundest(5, 5), roundest(1, i64::MAX)), (1024, 5, 1 << 62));
    }

    /// The seqs at which a reader's pages end, if these events exist. Those at the head, which may still grow, do not count.
    fn ends(seqs: &[i64], sizes: impl Fn(i64) -> usize, mut after: i64) -> BTreeSet<i64> {
        let mut ends = BTreeSet::new();
        loop {
            let mut page = Page::default();
            let rest = seqs.iter().filter(|seq| **seq > after);
            page.extend(rest.map(|seq| (Cursor::bare(*seq), Bytes::from(vec![b'x'; sizes(*seq)]))));
            if !page.is_full() {
                return ends;
            }
            let (end, _) = page.end().unwrap();
            assert!(end.seq > after);
            after = end.seq;
            ends.insert(after);
        }
    }

    #[test]
    fn readers_who_begin_anywhere_come_to_the_same_pages() {
        let dense: Vec<i64> = (1..20_000).collect();
        assert!(ends(&dense, |_| 100, 0).into_iter().eq((1..20).map(|page| page * 1024)));
        let sparse: Vec<i64> = (1..20_000).map(|n| n * 7 + n % 5).collect();
        let heavy = |seq: i64| if seq % 3 == 0 { 90_000 } else { 40_000 };
        for (seqs, sizes, near) in
            [(&dense, (|_| 100) as fn(i64) -> usize, 3000), (&sparse, |_| 100, 30_000), (&dense, heavy, 100)]
        {
            let from_start = ends(seqs, sizes, 0);
            for after in [1, 77, 500, 1023, 1025, 1500, 4097, 9999] {
                let own = ends(seqs, sizes, after);
                let other: Vec<_> = own.difference(&from_start).filter(|end| **end > after + near).collect();
                assert!(other.is_empty(), "after {after}: {other:?}");
            }
        }
    }

    #[test]
    fn one_large_message_is_a_page() {
        let mut page = Page::default();
        page.extend(
            [(Cursor::bare(7), Bytes::from(vec![b'1'; PAGE_BYTES])), (Cursor::bare(8), Bytes::new())].into_iter(),
        );
        assert_eq!(page.end(), Some((Cursor::bare(7), true)));
        assert_eq!(page.body().len(), PAGE_BYTES + 2);
    }
}
