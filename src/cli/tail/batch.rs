//! Lines on their way to standard output, gathered so that many go out at once, and why following ends.

use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::time::timeout;

use super::writer::Writer;
use crate::client::Error;

/// So much is gathered before it is written, when more is there already.
const BATCH: usize = 64 << 10;
/// How long what is being written may still take after a signal, so that the cursor that is told stands behind it.
const LAST_WRITE: Duration = Duration::from_millis(500);

/// Why following ended.
pub(super) enum End {
    /// The backlog is read.
    Read,
    /// Whoever read our output is gone.
    ReaderGone,
    /// A signal came.
    Stopped,
    /// The stream cannot go on.
    Failed(Error),
    /// Standard output cannot be written.
    Unwritten(std::io::Error),
}

/// Lines that are still to go out.
pub(super) struct Batch {
    writer: Writer,
    /// The lines.
    pub(super) lines: Vec<u8>,
}

impl Batch {
    pub(super) fn start() -> std::io::Result<Self> {
        Ok(Self { writer: Writer::start()?, lines: Vec::new() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// True if so much is gathered that it should go out.
    pub(super) fn is_full(&self) -> bool {
        self.lines.len() >= BATCH
    }

    /// Adds a line.
    pub(super) fn push(&mut self, line: &str) {
        self.lines.extend_from_slice(line.as_bytes());
        self.lines.push(b'\n');
    }

    /// Writes what is gathered, and waits until it is written. Returns true if it is, and a signal came meanwhile.
    pub(super) async fn flush(&mut self, stop: Pin<&mut impl Future<Output = &'static str>>) -> Result<bool, End> {
        if self.lines.is_empty() {
            return Ok(false);
        }
        let mut stopped = false;
        let mut write = pin!(self.writer.write(std::mem::take(&mut self.lines)));
        let written = tokio::select! {
            biased;
            written = write.as_mut() => written,
            _signal = stop => {
                stopped = true;
                match timeout(LAST_WRITE, write).await {
                    Ok(written) => written,
                    Err(_takes_nothing) => return Err(End::Stopped),
                }
            }
        };
        written.map(|()| stopped).map_err(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => End::ReaderGone,
            _ => End::Unwritten(error),
        })
    }
}
