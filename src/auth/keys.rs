//! The keys of an identity provider, kept fresh.
//!
//! Keys are fetched when the first token needs them, and renewed before they are stale. During a renewal tokens are checked with the
//! former keys, and while the source fails, those stay valid. An unknown `kid` may be a new key, so it causes a fetch. Since anybody
//! can send one, all unknown `kid`s together cause at most one fetch in [`UNKNOWN_KID_WINDOW`]. At most one fetch is under way.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::key::Key;
use super::key_set::KeySet;
use super::key_source::{FetchError, FetchKeys, KeySource};
use crate::config::ConfigError;
use crate::shutdown::Shutdown;

/// The least age at which keys are renewed, whatever their source says. An unknown `kid` may cause a fetch earlier.
const MIN_AGE: Duration = Duration::from_secs(60);
/// The greatest age at which keys are renewed, whatever their source says.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// The age that keys may reach if their source does not say.
const DEFAULT_AGE: Duration = Duration::from_secs(300);
/// The time after a fetch for an unknown `kid` in which no other unknown `kid` causes a fetch.
const UNKNOWN_KID_WINDOW: Duration = Duration::from_secs(30);
/// The pause after a fetch that failed, when there are no keys at all: every token is refused meanwhile.
const PAUSE_WITHOUT_KEYS: Duration = Duration::from_secs(2);
/// The pause after a fetch that failed, when there are keys.
const PAUSE_WITH_KEYS: Duration = Duration::from_secs(30);

/// The keys of one source. Cheap to clone.
#[derive(Clone)]
pub(super) struct Keys(Arc<Shared>);

struct Shared {
    source: KeySource,
    /// This is a lock of `std`, because it is never held across an await.
    state: Mutex<State>,
}

struct State {
    set: Option<Arc<KeySet>>,
    /// The moment of the next planned fetch: a renewal, or the next try after an error.
    next_fetch_at: Instant,
    /// The moment from which an unknown `kid` may cause a fetch.
    unknown_kid_fetch_from: Instant,
    /// The fetch that is under way, if there is one.
    fetch: Option<Fetch>,
    /// The error of the last fetch, if it failed.
    last_error: Option<FetchError>,
}

/// The channel on which to wait for the end of a fetch. Nothing is sent on it; it closes when the fetch has succeeded, failed or
/// panicked.
type Fetch = watch::Receiver<()>;

/// The result of a search for a key.
enum KeySearch {
    Found(Arc<Key>),
    /// The key is unknown, but the fetch that is under way may bring it.
    Fetching(Fetch),
    Unknown,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("source", &format_args!("{}", self.0.source)).finish_non_exhaustive()
    }
}

impl Keys {
    /// The keys of the source that this setting names. Nothing is fetched yet.
    pub(super) fn new(setting: &str, fetcher: Arc<dyn FetchKeys>) -> Result<Self, ConfigError> {
        let source = KeySource::new(setting, fetcher)?;
        let now = Instant::now();
        let state = State { set: None, next_fetch_at: now, unknown_kid_fetch_from: now, fetch: None, last_error: None };
        Ok(Self(Arc::new(Shared { source, state: Mutex::new(state) })))
    }

    /// The key of this `kid`. Waits only if the key is unknown and a fetch may bring it.
    pub(super) async fn get(&self, kid: &str) -> Option<Arc<Key>> {
        match Shared::search(&self.0, kid) {
            KeySearch::Found(key) => Some(key),
            KeySearch::Fetching(fetch) => {
                wait_for_end(fetch).await;
                self.0.state().set.as_ref()?.get(kid)
            }
            KeySearch::Unknown => None,
        }
    }

    /// Fetches the keys now, or waits for the fetch that is under way. Returns the number of keys afterwards.
    pub(super) async fn fetch(&self) -> Result<usize, FetchError> {
        let fetch = Shared::join_fetch(&self.0, &mut self.0.state());
        wait_for_end(fetch).await;
        let state = self.0.state();
        match (&state.last_error, &state.set) {
            (Some(error), _) => Err(error.clone()),
            (None, set) => Ok(set.as_ref().map_or(0, |set| set.len())),
        }
    }

    /// Fetches the keys now and at each planned moment until the shutdown, so that no request waits for the first fetch and the keys of
    /// an idle server are fresh.
    pub(super) async fn keep_fresh(&self, shutdown: &Shutdown) {
        let renewing = async {
            loop {
                let next_fetch_at = self.0.state().next_fetch_at;
                tokio::time::sleep_until(next_fetch_at).await;
                let fetch = {
                    let mut state = self.0.state();
                    if state.next_fetch_at > Instant::now() {
                        continue;
                    }
                    Shared::join_fetch(&self.0, &mut state)
                };
                wait_for_end(fetch).await;
            }
        };
        shutdown.run_until_cancelled(renewing).await;
    }

    /// The source as text for the log, without the query of its URL.
    pub(super) fn source(&self) -> String {
        self.0.source.to_string()
    }
}

async fn wait_for_end(mut fetch: Fetch) {
    while fetch.changed().await.is_ok() {}
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn search(self: &Arc<Self>, kid: &str) -> KeySearch {
        let now = Instant::now();
        let mut state = self.state();
        let is_due = now >= state.next_fetch_at;
        let Some(set) = state.set.clone() else {
            return match &state.fetch {
                Some(fetch) => KeySearch::Fetching(fetch.clone()),
                None if is_due => KeySearch::Fetching(Self::join_fetch(self, &mut state)),
                None => KeySearch::Unknown,
            };
        };
        if is_due {
            let _renewal_in_background = Self::join_fetch(self, &mut state);
        }
        if let Some(key) = set.get(kid) {
            return KeySearch::Found(key);
        }
        if let Some(fetch) = &state.fetch {
            return KeySearch::Fetching(fetch.clone());
        }
        if now < state.unknown_kid_fetch_from {
            return KeySearch::Unknown;
        }
        state.unknown_kid_fetch_from = now + UNKNOWN_KID_WINDOW;
        KeySearch::Fetching(Self::join_fetch(self, &mut state))
    }

    /// Joins the fetch that is under way, or begins one. A fetch is a task of its own, so that it goes on when the requests that wait
    /// for it are dropped.
    fn join_fetch(self: &Arc<Self>, state: &mut State) -> Fetch {
        if let Some(fetch) = &state.fetch {
            return fetch.clone();
        }
        let (closes_at_end, fetch) = watch::channel(());
        state.fetch = Some(fetch.clone());
        let guard = FetchGuard { shared: Arc::clone(self), _closes_at_end: closes_at_end };
        tokio::spawn(async move {
            let outcome = guard.shared.load().await;
            guard.shared.apply(outcome);
        });
        fetch
    }

    /// Fetches the keys once, and plans the age at which they are renewed.
    async fn load(&self) -> Result<(KeySet, Duration), FetchError> {
        let fetched = self.source.fetch().await?;
        let set = KeySet::parse(&fetched.body).map_err(|error| FetchError::Broken(error.to_string()))?;
        Ok((set, planned_age(fetched.max_age)))
    }

    fn apply(&self, outcome: Result<(KeySet, Duration), FetchError>) {
        let mut state = self.state();
        let now = Instant::now();
        match outcome {
            Ok((set, age)) => {
                if state.last_error.is_some() || state.set.as_ref().is_none_or(|known| !known.has_same_kids(&set)) {
                    tracing::info!(place = %self.source, keys = set.len(), "have the keys of the identity provider");
                }
                state.set = Some(Arc::new(set));
                state.next_fetch_at = now + age;
                state.last_error = None;
            }
            Err(error) => {
                let kept = state.set.as_ref().map_or(0, |set| set.len());
                tracing::warn!(place = %self.source, %error, kept, "cannot fetch the keys of the identity provider");
                state.next_fetch_at = now + if kept == 0 { PAUSE_WITHOUT_KEYS } else { PAUSE_WITH_KEYS };
                state.last_error = Some(error);
            }
        }
    }
}

/// Ends a fetch when it is dropped, so that a panic ends it too. It clears the fetch from the state, and then its channel closes.
struct FetchGuard {
    shared: Arc<Shared>,
    _closes_at_end: watch::Sender<()>,
}

impl Drop for FetchGuard {
    fn drop(&mut self) {
        self.shared.state().fetch = None;
    }
}

/// The age at which keys are renewed: nine tenths of the age that their source allows, within [`MIN_AGE`] and [`MAX_AGE`].
///
/// Keys are used for longer than their source allows in three cases: while the source fails; if it allows less than [`MIN_AGE`]; and
/// if nobody runs [`Keys::keep_fresh`], in which case the first token after that age is checked with them and starts the renewal.
fn planned_age(max_age: Option<Duration>) -> Duration {
    let age = max_age.unwrap_or(DEFAULT_AGE).min(MAX_AGE);
    (age - age / 10).max(MIN_AGE)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests;
