//! Long-lived tasks and their end. Each has a name and an owner, none ends unnoticed, and a drain names the tasks that missed its
//! deadline.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// The request to end, seen by every task. Cloning gives another handle to the same request.
pub type Shutdown = CancellationToken;

/// The tasks that one owner started, by name.
#[derive(Debug, Default)]
pub struct Tasks {
    set: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

/// The end of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The name that the task was started under.
    pub name: &'static str,
    /// The message of the panic that ended the task; `None` if it ended by itself.
    pub panic: Option<String>,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.panic {
            Some(message) => write!(f, "task {} panicked: {message}", self.name),
            None => write!(f, "task {} ended", self.name),
        }
    }
}

impl Tasks {
    /// Starts a task under a name.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.set.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits for the next task that ends; `None` when there is none left.
    pub async fn next_end(&mut self) -> Option<Ended> {
        let end = self.set.join_next_with_id().await?;
        Some(self.named(end))
    }

    /// The number of tasks that are running or not yet joined.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// True if no task is left.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Joins every task, for at most `limit`; then aborts the rest and returns their names. Panics are logged.
    pub async fn drain(&mut self, limit: Duration) -> Vec<&'static str> {
        let joined = tokio::time::timeout(limit, async {
            while let Some(end) = self.next_end().await {
                if end.panic.is_some() {
                    tracing::error!("{end}");
                }
            }
        });
        if joined.await.is_ok() {
            return Vec::new();
        }
        let mut late: Vec<_> = self.names.values().copied().collect();
        late.sort_unstable();
        self.set.abort_all();
        while self.next_end().await.is_some() {}
        late
    }

    fn named(&mut self, end: Result<(Id, ()), JoinError>) -> Ended {
        let (id, panic) = match end {
            Ok((id, ())) => (id, None),
            Err(e) => (e.id(), e.is_panic().then(|| panic_message(e))),
        };
        Ended { name: self.names.remove(&id).unwrap_or("unnamed"), panic }
    }
}

fn panic_message(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => payload.downcast_ref::<&str>().map_or_else(|| "no message".to_owned(), ToString::to_string),
        },
        Err(error) => error.to_string(),
    }
}

/// Counts SIGTERM and SIGINT. Clones share the count.
#[derive(Debug, Clone)]
pub struct Signals(watch::Receiver<(usize, Signal)>);

/// A signal that asks a program to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, as service managers send it.
    Terminate,
    /// SIGINT, as a terminal sends it.
    Interrupt,
}

impl Signal {
    /// The name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }

    /// The exit code that a shell reports for a program which this signal ended.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Terminate => 143,
            Self::Interrupt => 130,
        }
    }
}

impl Signals {
    /// Waits until `many` signals have come, and returns the last.
    pub async fn count(&self, many: usize) -> Signal {
        let mut seen = self.0.clone();
        match seen.wait_for(|(count, _)| *count >= many).await {
            Ok(seen) => seen.1,
            // The task that counts signals ends only with the runtime.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Listens to SIGTERM and SIGINT.
///
/// The handlers are installed before this returns, so that a signal that arrives early is not lost.
pub fn listen() -> std::io::Result<Signals> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (count, seen) = watch::channel((0, Signal::Terminate));
    let _runs_as_long_as_the_program = tokio::spawn(async move {
        loop {
            let came = tokio::select! {
                _ = terminate.recv() => Signal::Terminate,
                _ = interrupt.recv() => Signal::Interrupt,
            };
            count.send_modify(|seen| *seen = (seen.0 + 1, came));
        }
    });
    Ok(Signals(seen))
}

/// Listens from now on; the future waits for the first SIGTERM or SIGINT and returns its name.
pub fn signals() -> std::io::Result<impl Future<Output = &'static str>> {
    let signals = listen()?;
    Ok(async move { signals.count(1).await.name() })
}

#[cfg(test)]
#[allow(clippy::panic, reason = "the tests need tasks that panic")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_named_with_its_message() {
        let mut tasks = Tasks::default();
        let detail = 7;
        tasks.spawn("formatted", async move { panic!("broke at {detail}") });
        let end = tasks.next_end().await.map(|e| e.to_string());
        assert_eq!(end.as_deref(), Some("task formatted panicked: broke at 7"));
        tasks.spawn("plain", async { panic!("broke") });
        assert_eq!(tasks.next_end().await.map(|e| e.to_string()).as_deref(), Some("task plain panicked: broke"));
        tasks.spawn("odd", async { std::panic::panic_any(7) });
        assert_eq!(tasks.next_end().await.map(|e| e.to_string()).as_deref(), Some("task odd panicked: no message"));
        assert_eq!(tasks.next_end().await, None);
        assert!(tasks.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_joins_what_ends_and_names_what_does_not() {
        let mut tasks = Tasks::default();
        let shutdown = Shutdown::new();
        let seen = shutdown.clone();
        tasks.spawn("polite", async move { seen.cancelled().await });
        tasks.spawn("deaf", std::future::pending());
        tasks.spawn("broken", async { panic!("late") });
        shutdown.cancel();
        assert_eq!(tasks.len(), 3);
        assert_eq!(tasks.drain(Duration::from_secs(1)).await, vec!["deaf"]);
        assert!(tasks.drain(Duration::from_secs(1)).await.is_empty());
    }

    #[test]
    fn a_task_that_just_ends_says_so() {
        assert_eq!(Ended { name: "http", panic: None }.to_string(), "task http ended");
    }
}
