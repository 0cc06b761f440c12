//! One reading that all who ask at the same moment share. Whoever asks while a reading is under way waits for the next one, since the
//! reading under way may have looked before the question.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// The readings of one thing. One is under way at most, and one more is waited for at most, however many ask.
#[derive(Debug)]
pub(super) struct SharedReading<T>(Mutex<Readings<T>>);

#[derive(Debug)]
struct Readings<T> {
    /// True while the task that reads is there.
    has_reader: bool,
    /// The answer of the next reading, for those who wait for it; none if nobody does.
    next: Option<watch::Sender<Option<T>>>,
}

impl<T> Default for SharedReading<T> {
    fn default() -> Self {
        Self(Mutex::new(Readings { has_reader: false, next: None }))
    }
}

impl<T: Clone + Send + Sync + 'static> SharedReading<T> {
    /// Returns the answer of a reading that begins after this call; `None` if that reading ended without an answer. The reading runs
    /// in a task of its own, so nobody who asks and is slow to wait, or gives up, delays the others.
    pub(super) async fn ask<F>(self: &Arc<Self>, read: impl Fn() -> F + Send + 'static) -> Option<T>
    where
        F: Future<Output = T> + Send,
    {
        let mut answer = self.next_answer(read);
        let answer = answer.wait_for(Option::is_some).await.ok()?;
        answer.clone()
    }

    /// The answer of the next reading. Starts the task that reads if there is none.
    fn next_answer<F>(self: &Arc<Self>, read: impl Fn() -> F + Send + 'static) -> watch::Receiver<Option<T>>
    where
        F: Future<Output = T> + Send,
    {
        let mut readings = self.readings();
        let answer = readings.next.get_or_insert_with(|| watch::Sender::new(None)).subscribe();
        if !std::mem::replace(&mut readings.has_reader, true) {
            let mut task = ReadingTask { shared: Arc::clone(self), has_ended: false };
            tokio::spawn(async move {
                while let Some(next) = task.begin_next() {
                    next.send_replace(Some(read().await));
                }
            });
        }
        answer
    }

    fn readings(&self) -> MutexGuard<'_, Readings<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that reads while somebody waits.
struct ReadingTask<T: Clone + Send + Sync + 'static> {
    shared: Arc<SharedReading<T>>,
    /// True once the task has seen that nobody waits. Another task may have been started since.
    has_ended: bool,
}

impl<T: Clone + Send + Sync + 'static> ReadingTask<T> {
    /// The channel for the answer of the reading that begins now; `None` ends the task, since nobody waits.
    fn begin_next(&mut self) -> Option<watch::Sender<Option<T>>> {
        let mut readings = self.shared.readings();
        let next = readings.next.take().filter(|next| !next.is_closed());
        readings.has_reader = next.is_some();
        self.has_ended = next.is_none();
        next
    }
}

impl<T: Clone + Send + Sync + 'static> Drop for ReadingTask<T> {
    /// A reading has panicked, or the runtime ends: those who wait are told by the end of their channels, and the next question starts
    /// another task.
    fn drop(&mut self) {
        if !self.has_ended {
            *self.shared.readings() = Readings { has_reader: false, next: None };
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// A reading that tells its number, once it is let through.
    #[derive(Clone)]
    struct GatedReading {
        shared: Arc<SharedReading<usize>>,
        begun: Arc<AtomicUsize>,
        gate: Arc<Semaphore>,
    }

    impl GatedReading {
        fn new() -> Self {
            Self { shared: Arc::default(), begun: Arc::default(), gate: Arc::new(Semaphore::new(0)) }
        }

        /// Asks, in a task that has begun to wait when this returns.
        async fn ask(&self) -> tokio::task::JoinHandle<Option<usize>> {
            let Self { shared, begun, gate } = self.clone();
            let asked = tokio::spawn(async move {
                let read = move || {
                    let (number, gate) = (begun.fetch_add(1, Ordering::SeqCst) + 1, Arc::clone(&gate));
                    async move {
                        gate.acquire().await.unwrap().forget();
                        assert_ne!(number, 13, "the thirteenth reading fails");
                        number
                    }
                };
                shared.ask(read).await
            });
            // The runtime has one thread, so after some turns every task waits.
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            asked
        }
    }

    #[tokio::test]
    async fn all_who_ask_during_a_reading_share_the_next_one() {
        let reading = GatedReading::new();
        let first = reading.ask().await;
        assert_eq!(reading.begun.load(Ordering::SeqCst), 1);
        let mut others = Vec::new();
        for _ in 0..200 {
            others.push(reading.ask().await);
        }
        reading.gate.add_permits(1);
        assert_eq!(first.await.unwrap(), Some(1));
        // The second reading has begun, so whoever asks now waits for the third.
        let late = reading.ask().await;
        reading.gate.add_permits(2);
        for other in others {
            assert_eq!(other.await.unwrap(), Some(2));
        }
        assert_eq!(late.await.unwrap(), Some(3));
        assert_eq!(reading.begun.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn whoever_gives_up_delays_nobody_and_costs_no_reading() {
        let reading = GatedReading::new();
        let first = reading.ask().await;
        let second = reading.ask().await;
        first.abort();
        second.abort();
        reading.gate.add_permits(1);
        let third = reading.ask().await;
        reading.gate.add_permits(1);
        assert_eq!(third.await.unwrap(), Some(2));
    }

    #[tokio::test]
    async fn a_reading_that_panics_ends_the_waits_and_the_next_question_is_answered() {
        let reading = GatedReading::new();
        reading.begun.store(12, Ordering::SeqCst);
        let (first, second) = (reading.ask().await, reading.ask().await);
        reading.gate.add_permits(1);
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (None, None));
        reading.gate.add_permits(1);
        assert_eq!(reading.ask().await.await.unwrap(), Some(14));
    }
}
