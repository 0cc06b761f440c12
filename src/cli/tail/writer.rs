//! Standard output, on a thread of its own: a pipe that takes nothing must not keep a signal from being heard.

use std::io::{ErrorKind, Result, Write};

use tokio::sync::{mpsc, oneshot};

type Batch = (Vec<u8>, oneshot::Sender<Result<()>>);

/// Writes batches, one at a time.
pub(super) struct Writer {
    batches: mpsc::Sender<Batch>,
}

impl Writer {
    /// Not a thread of the runtime's: a write that never ends must not hold up the end of the process.
    pub(super) fn start() -> Result<Self> {
        let (batches, mut wanted) = mpsc::channel::<Batch>(1);
        std::thread::Builder::new().name("stdout".to_owned()).spawn(move || {
            let mut output = std::io::stdout().lock();
            while let Some((bytes, done)) = wanted.blocking_recv() {
                let written = output.write_all(&bytes).and_then(|()| output.flush());
                let _nobody_waits = done.send(written);
            }
        })?;
        Ok(Self { batches })
    }

    /// Writes and flushes; done when the bytes are out.
    pub(super) async fn write(&self, bytes: Vec<u8>) -> Result<()> {
        let (done, written) = oneshot::channel();
        let gone = || std::io::Error::from(ErrorKind::BrokenPipe);
        self.batches.send((bytes, done)).await.map_err(|_| gone())?;
        written.await.map_err(|_| gone())?
    }
}
