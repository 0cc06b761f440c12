//! Rows on their way to a client. Each is a piece of JSON, `"subject":"7","payload":{…}`, of which both forms of the answer are made: an
//! object of an array, or a line.

use bytes::Bytes;

/// The bytes at which a block ends, though its last row may exceed them.
const BLOCK_BYTES: usize = 64 << 10;
/// What a row takes beside its bytes.
const ROW_OVERHEAD: usize = size_of::<usize>();

/// Consecutive rows of one table.
#[derive(Debug, Clone)]
pub struct RowBlock {
    /// The index of the table in the request.
    pub table: usize,
    bytes: Bytes,
    /// Where each row ends.
    ends: Box<[usize]>,
}

impl RowBlock {
    /// The members of each row's object.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(self.ends.iter().copied()).map(|(start, end)| &self.bytes[start..end])
    }

    /// The bytes that it takes in memory.
    pub fn weight(&self) -> usize {
        self.bytes.len() + self.ends.len() * ROW_OVERHEAD
    }
}

/// The block that is being filled.
#[derive(Debug, Default)]
pub(super) struct BlockWriter {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl BlockWriter {
    /// Adds a row.
    pub(super) fn add(&mut self, row: &[u8]) {
        self.bytes.extend_from_slice(row);
        self.ends.push(self.bytes.len());
    }

    /// True once the block is full.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= BLOCK_BYTES
    }

    /// The block, if there is a row in it. The next one begins.
    pub(super) fn take(&mut self, table: usize) -> Option<RowBlock> {
        if self.ends.is_empty() {
            return None;
        }
        let (bytes, ends) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.ends));
        Some(RowBlock { table, bytes: bytes.into(), ends: ends.into() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    #[test]
    fn a_block_gives_its_rows_back_and_ends_when_it_is_full() {
        let mut writer = BlockWriter::default();
        assert!(writer.take(0).is_none());
        for row in [&b"a"[..], b"", b"ccc"] {
            writer.add(row);
        }
        assert!(!writer.is_full());
        let block = writer.take(3).unwrap();
        assert_eq!((block.table, block.rows().collect::<Vec<_>>()), (3, vec![&b"a"[..], b"", b"ccc"]));
        assert_eq!(block.weight(), 4 + 3 * ROW_OVERHEAD);
        writer.add(&vec![b'x'; BLOCK_BYTES]);
        assert!(writer.is_full() && writer.take(0).is_some() && writer.take(0).is_none());
    }
}
