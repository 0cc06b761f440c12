//! One result for all who ask at the same moment.

use std::future::Future;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// The newest result of a piece of work. Those who ask while it is under way wait, in the order in which they came, and share what it
/// brings if it was begun late enough for them.
#[derive(Debug)]
pub(super) struct Shared<T>(Mutex<Option<Result<T>>>);

#[derive(Debug, Clone)]
struct Result<T> {
    begun: Instant,
    value: T,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Shared<T> {
    /// The newest result, if its work was begun at this time or later; else the work is done, by whoever is first.
    pub(super) async fn get(&self, not_before: Instant, work: impl Future<Output = T>) -> T {
        self.get_if(|_, begun| begun >= not_before, work).await
    }

    /// The newest result, if it is accepted with the time at which its work was begun; else the work is done, by whoever is first.
    pub(super) async fn get_if(&self, accept: impl FnOnce(&T, Instant) -> bool, work: impl Future<Output = T>) -> T {
        let mut newest = self.0.lock().await;
        if let Some(result) = newest.as_ref()
            && accept(&result.value, result.begun)
        {
            return result.value.clone();
        }
        *newest = None;
        let begun = Instant::now();
        let value = work.await;
        *newest = Some(Result { begun, value: value.clone() });
        value
    }

    /// True if the newest result was begun before this time, or there is none, and nobody works.
    pub(super) fn is_older_than(&self, time: Instant) -> bool {
        self.0.try_lock().is_ok_and(|newest| newest.as_ref().is_none_or(|result| result.begun < time))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_who_ask_at_once_share_one_result_and_those_who_ask_later_the_next() {
        let (shared, done) = (Shared::default(), AtomicU32::new(0));
        let work = || async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            done.fetch_add(1, Ordering::Relaxed) + 1
        };
        let first = join_all((0..100).map(|_| shared.get(Instant::now(), work())));
        let late = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            join_all((0..100).map(|_| shared.get(Instant::now(), work()))).await
        };
        let (first, late) = tokio::join!(first, late);
        assert!(first.iter().all(|result| *result == 1), "{first:?}");
        // The first reading had begun before they asked, so they share a second one.
        assert!(late.iter().all(|result| *result == 2), "{late:?}");
        // Who takes an older one gets it.
        assert_eq!(shared.get(Instant::now() - Duration::from_secs(60), work()).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_is_given_up_leaves_nothing_behind() {
        let shared = Shared::default();
        let given_up =
            tokio::time::timeout(Duration::from_secs(1), shared.get(Instant::now(), std::future::pending())).await;
        assert!(given_up.is_err());
        assert_eq!(shared.get(Instant::now(), async { 7 }).await, 7);
        assert!(!shared.is_older_than(Instant::now()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(shared.is_older_than(Instant::now()));
    }
}
