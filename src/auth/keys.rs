//! The keys of an identity provider, kept fresh.
//!
//! Keys are fetched when the first token needs them, and renewed before they are stale; meanwhile tokens are checked with the
//! keys at hand. While the source fails, the last keys stay valid. An unknown `kid` may be a new key, so it causes a fetch; but
//! anybody can send one, so all unknown `kid`s together cause at most one fetch in [`UNKNOWN_KID_WINDOW`]. Never more than one
//! fetch is under way.

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

/// The least age at which keys are renewed, whatever their source says. An unknown `kid` may have them fetched before.
const MIN_AGE: Duration = Duration::from_secs(60);
/// The greatest age at which keys are renewed, whatever their source says.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// The age that keys may reach if their source does not say.
const DEFAULT_AGE: Duration = Duration::from_secs(300);
/// The time after a fetch for an unknown `kid` in which no other one causes a fetch.
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
    /// A lock of std, since no section that holds it awaits.
    state: Mutex<State>,
}

struct State {
    set: Option<Arc<KeySet>>,
    /// The moment at which the keys are to be fetched next, by plan.
    due: Instant,
    /// The moment from which an unknown `kid` may have them fetched.
    unknown_kid_fetch_from: Instant,
    /// The fetch under way. Its channel closes when it has ended, however it ended.
    fetch: Option<Fetch>,
    /// The error of the last fetch, if it failed.
    last_error: Option<FetchError>,
}

/// A fetch under way, as its waiters see it: nothing is ever sent, and the channel closes at the end.
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
        let state = State { set: None, due: now, unknown_kid_fetch_from: now, fetch: None, last_error: None };
        Ok(Self(Arc::new(Shared { source, state: Mutex::new(state) })))
    }

    /// The key of this `kid`. Waits only if the key is not there and a fetch may bring it.
    pub(super) async fn get(&self, kid: &str) -> Option<Arc<Key>> {
        match Shared::search(&self.0, kid) {
            KeySearch::Found(key) => Some(key),
            KeySearch::Fetching(fetch) => {
                end_of(fetch).await;
                self.0.state().set.as_ref()?.get(kid)
            }
            KeySearch::Unknown => None,
        }
    }

    /// Fetches the keys now, or waits for the fetch that is under way. Returns how many keys there are then.
    pub(super) async fn fetch(&self) -> Result<usize, FetchError> {
        let fetch = Shared::join_fetch(&self.0, &mut self.0.state());
        end_of(fetch).await;
        let state = self.0.state();
        match (&state.last_error, &state.set) {
            (Some(error), _) => Err(error.clone()),
            (None, set) => Ok(set.as_ref().map_or(0, |set| set.len())),
        }
    }

    /// Fetches the keys now and whenever they are due, so that no request waits for the first fetch and an idle server has
    /// fresh ones.
    pub(super) async fn keep(&self, shutdown: &Shutdown) {
        let renewing = async {
            loop {
                let due = self.0.state().due;
                tokio::time::sleep_until(due).await;
                let fetch = {
                    let mut state = self.0.state();
                    if state.due > Instant::now() {
                        continue;
                    }
                    Shared::join_fetch(&self.0, &mut state)
                };
                end_of(fetch).await;
            }
        };
        shutdown.run_until_cancelled(renewing).await;
    }

    /// The source as text for the log, without the query of its URL.
    pub(super) fn source(&self) -> String {
        self.0.source.to_string()
    }
}

async fn end_of(mut fetch: Fetch) {
    while fetch.changed().await.is_ok() {}
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn search(self: &Arc<Self>, kid: &str) -> KeySearch {
        let now = Instant::now();
        let mut state = self.state();
        let due = now >= state.due;
        let Some(set) = state.set.clone() else {
            return match &state.fetch {
                Some(fetch) => KeySearch::Fetching(fetch.clone()),
                None if due => KeySearch::Fetching(Self::join_fetch(self, &mut state)),
                None => KeySearch::Unknown,
            };
        };
        if due {
            let _nobody_waits = Self::join_fetch(self, &mut state);
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

    /// Joins the fetch that is under way, or begins one. It is a task of its own, since its waiters may go away.
    fn join_fetch(self: &Arc<Self>, state: &mut State) -> Fetch {
        if let Some(fetch) = &state.fetch {
            return fetch.clone();
        }
        let (open, fetch) = watch::channel(());
        state.fetch = Some(fetch.clone());
        let end = FetchEnd { shared: Arc::clone(self), _open: open };
        tokio::spawn(async move {
            let outcome = end.shared.load().await;
            end.shared.take(outcome);
        });
        fetch
    }

    /// Fetches the keys once, and plans the age at which they are renewed.
    async fn load(&self) -> Result<(KeySet, Duration), FetchError> {
        let fetched = self.source.fetch().await?;
        let set = KeySet::parse(&fetched.body).map_err(|error| FetchError::Broken(error.to_string()))?;
        Ok((set, planned_age(fetched.max_age)))
    }

    fn take(&self, outcome: Result<(KeySet, Duration), FetchError>) {
        let mut state = self.state();
        let now = Instant::now();
        match outcome {
            Ok((set, age)) => {
                if state.last_error.is_some() || state.set.as_ref().is_none_or(|known| !known.has_same_kids(&set)) {
                    tracing::info!(place = %self.source, keys = set.len(), "have the keys of the identity provider");
                }
                state.set = Some(Arc::new(set));
                state.due = now + age;
                state.last_error = None;
            }
            Err(error) => {
                let kept = state.set.as_ref().map_or(0, |set| set.len());
                tracing::warn!(place = %self.source, %error, kept, "cannot fetch the keys of the identity provider");
                state.due = now + if kept == 0 { PAUSE_WITHOUT_KEYS } else { PAUSE_WITH_KEYS };
                state.last_error = Some(error);
            }
        }
    }
}

/// Ends a fetch when it is dropped, so that a panic ends it too: clears it from the state first, and closes its channel then.
struct FetchEnd {
    shared: Arc<Shared>,
    _open: watch::Sender<()>,
}

impl Drop for FetchEnd {
    fn drop(&mut self) {
        self.shared.state().fetch = None;
    }
}

/// The age at which keys are renewed: nine tenths of the age that their source allows, within [`MIN_AGE`] and [`MAX_AGE`].
/// Keys are used beyond that age in three cases: while their source fails, if the source allows less than [`MIN_AGE`], and, where
/// nobody runs [`Keys::keep`], until the renewal that a token has started is done.
fn planned_age(max_age: Option<Duration>) -> Duration {
    let age = max_age.unwrap_or(DEFAULT_AGE).min(MAX_AGE);
    (age - age / 10).max(MIN_AGE)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests;
