//! What the tail's connection hears: bells, which are hints and nothing more, and its own probes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;
use tokio_postgres::Notification;

/// The channel of bells and probes.
pub(super) const CHANNEL: &str = "rowcast";
/// What a probe's payload begins with; a bell's is a number.
const PROBE: &str = "probe ";

/// The notifications of one connection. A flag and a number, whatever comes: a flood of bells costs nothing more than one.
#[derive(Debug, Clone, Default)]
pub(super) struct BellListener(Arc<Heard>);

#[derive(Debug, Default)]
struct Heard {
    /// The server process of the connection that listens: what it says itself is no news.
    own_process: AtomicU64,
    rung: AtomicBool,
    probe: AtomicU64,
    wake: Notify,
}

impl BellListener {
    /// Bells from this server process are our own.
    pub(super) fn ignore(&self, own_process: i32) {
        self.0.own_process.store(u64::from(own_process.unsigned_abs()), Ordering::Relaxed);
    }

    /// Takes what has come, on the task that carries the connection.
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

    /// Waits for a bell or a probe; what came before counts.
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
