//! Receives the notifications of the tail's connection: bells, which are only hints, and its own probes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;
use tokio_postgres::Notification;

/// The channel of bells and probes.
pub(super) const CHANNEL: &str = "rowcast";
/// The prefix of a probe's payload. A bell's payload has no prefix.
const PROBE: &str = "probe ";

/// The notifications of one connection, kept as a flag and a number, so that a flood of bells takes no more memory than one.
#[derive(Debug, Clone, Default)]
pub(super) struct BellListener(Arc<Heard>);

#[derive(Debug, Default)]
struct Heard {
    /// The server process of the listening connection, whose own bells are ignored.
    own_process: AtomicU64,
    rung: AtomicBool,
    probe: AtomicU64,
    wake: Notify,
}

impl BellListener {
    /// Ignores bells from this server process: they are our own.
    pub(super) fn ignore(&self, own_process: i32) {
        self.0.own_process.store(u64::from(own_process.unsigned_abs()), Ordering::Relaxed);
    }

    /// Takes in a notification, on the task that drives the connection.
    pub(super) fn hear(&self, notification: &Notification) {
        if notification.channel() != CHANNEL {
            return;
        }
        if let Some(number) = notification.payload().strip_prefix(PROBE) {
            if let Ok(number) = number.parse() {
                self.0.probe.store(number, Ordering::Release);
                self.0.wake.notify_one();
            }
            return;
        }
        let from = u64::from(notification.process_id().unsigned_abs());
        if from != self.0.own_process.load(Ordering::Relaxed) {
            self.0.rung.store(true, Ordering::Release);
            self.0.wake.notify_one();
        }
    }

    /// Whether a bell has come since this was asked last.
    pub(super) fn take(&self) -> bool {
        self.0.rung.swap(false, Ordering::AcqRel)
    }

    /// Waits for a bell or a probe. Returns at once if one came since the last wait.
    pub(super) async fn wait(&self) {
        self.0.wake.notified().await;
    }

    /// Whether this probe has come.
    pub(super) fn has_heard(&self, probe: u64) -> bool {
        self.0.probe.load(Ordering::Acquire) == probe
    }
}

/// The payload of a probe.
pub(super) fn probe_payload(number: u64) -> String {
    format!("{PROBE}{number}")
}
