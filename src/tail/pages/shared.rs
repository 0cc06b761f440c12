//! The state that all readers and the one writer of the pages share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::{Notify, Semaphore, watch};

use super::cache::Cache;
use super::hot::Hot;
use super::load::Load;
use super::render::Render;
use super::{Limits, Position};
use crate::journal::CurrentJournal;
use crate::telemetry::Histogram;

/// The shared state. Its locks are std locks over sections that search or swap: none awaits, and none frees pages. Who needs both
/// takes the cache's lock before the hot tail's.
pub(super) struct Shared<R: Render> {
    pub(super) hot: RwLock<Hot<R>>,
    pub(super) cache: Mutex<Cache<R>>,
    pub(super) position: watch::Sender<Position>,
    pub(super) limits: Limits,
    pub(super) loads: Semaphore,
    pub(super) load_times: Histogram,
    pub(super) loader: Box<dyn Load>,
    pub(super) journal: CurrentJournal,
    /// Tells the writer that a reader waits for a head that is not decided yet.
    pub(super) look_wanted: Notify,
    pub(super) renderer: RwLock<Arc<R>>,
}

impl<R: Render> Shared<R> {
    pub(super) fn hot(&self) -> RwLockReadGuard<'_, Hot<R>> {
        self.hot.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cache(&self) -> MutexGuard<'_, Cache<R>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Raises the trimmed seq of the position, if `epoch` is still the current one.
    pub(super) fn trim(&self, through: i64, epoch: u64) {
        if through <= self.hot().position.trimmed {
            return;
        }
        let position = {
            let mut hot = self.hot.write().unwrap_or_else(PoisonError::into_inner);
            if hot.position.epoch != epoch {
                return;
            }
            hot.position.trimmed = hot.position.trimmed.max(through);
            hot.position.clone()
        };
        self.publish_position(&position);
    }

    /// Publishes the position to subscribers. The writer and a load that found a trim may call this at the same time, in either
    /// order: the published position only moves forward.
    pub(super) fn publish_position(&self, position: &Position) {
        self.position.send_if_modified(|told| {
            let before = told.clone();
            if (position.epoch, position.head, position.known) > (told.epoch, told.head, told.known) {
                *told = position.clone();
            }
            if before.epoch == position.epoch {
                told.trimmed = before.trimmed.max(position.trimmed);
            }
            *told != before
        });
    }
}
