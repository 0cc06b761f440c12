//! The keys of an identity provider, kept fresh.
//!
//! They are fetched at the first need, renewed before they are stale while checks go on with those there are, and kept
//! for as long as the source is down: that it is down says nothing about its keys. A `kid` that is not among them may be
//! new, so it has them fetched anew, but anybody can send such tokens, so that happens once in a window for all of
//! them together. There is never more than one fetch under way.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::Instant;

use super::key::Key;
use super::key_set::KeySet;
use crate::config::ConfigError;
use crate::shutdown::Shutdown;

/// How much a source may send.
pub const MAX_KEYS_BYTES: usize = 1024 * 1024;
/// How long a fetch may take.
pub const FETCH_LIMIT: Duration = Duration::from_secs(5);
/// Keys are not renewed more often than this, whatever their source says.
const MIN_AGE: Duration = Duration::from_secs(60);
/// Keys are not used longer than this without a look at their source, whatever it says.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// How old keys may become whose source says nothing about it.
const DEFAULT_AGE: Duration = Duration::from_secs(300);
/// How often at most an unknown `kid` has the keys fetched.
const UNKNOWN_KID_WINDOW: Duration = Duration::from_secs(30);
/// The pause after a fetch that failed, when there are no keys at all: every token is refused meanwhile.
const PAUSE_WITHOUT_KEYS: Duration = Duration::from_secs(2);
/// The pause after a fetch that failed, when there are keys.
const PAUSE_WITH_KEYS: Duration = Duration::from_secs(30);

/// What a source answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The keys, at most [`MAX_KEYS_BYTES`].
    pub body: Bytes,
    /// For how long they hold, where the source says so.
    pub max_age: Option<Duration>,
}

/// Why keys could not be fetched. None of these repeats what was received.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The URL is not one that can be asked.
    #[error("its address makes no sense")]
    Address,
    /// No connection, or no TLS, or no such file.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// A redirect, an error, or anything else that is not 200.
    #[error("it answers with status {0}")]
    Status(u16),
    /// More than keys can be.
    #[error("it sends more than {MAX_KEYS_BYTES} bytes")]
    TooLarge,
    /// Not within the limit.
    #[error("it did not answer within {FETCH_LIMIT:?}")]
    Late,
    /// Not HTTP, or not to its end, or not keys.
    #[error("what it sends is broken: {0}")]
    Broken(String),
}

/// Fetches over HTTP. A trait, since `auth` does not know hyper, and tests have sources of their own.
pub trait FetchKeys: fmt::Debug + Send + Sync + 'static {
    /// Fetches from an `http://` or `https://` URL.
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Fetched, FetchError>>;
}

/// Where keys are published.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Url(String),
    File(PathBuf),
}

impl Place {
    fn parse(text: &str) -> Result<Self, ConfigError> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(Self::File(PathBuf::from(text))) };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if !matches!(scheme, "http" | "https") || authority.is_empty() || text.contains(char::is_whitespace) {
            return Err(ConfigError::new("ROWCAST_JWKS is neither a file nor a URL like https://example.com/keys"));
        }
        // The place is named in the log.
        if authority.contains('@') {
            return Err(ConfigError::new("ROWCAST_JWKS must not hold a user or password"));
        }
        Ok(Self::Url(text.to_owned()))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url.split(['?', '#']).next().unwrap_or_default()),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The keys of one source. Cheap to clone.
#[derive(Clone)]
pub(super) struct Keys(Arc<Shared>);

struct Shared {
    place: Place,
    fetcher: Arc<dyn FetchKeys>,
    /// A std lock over sections that look or swap: none awaits.
    state: Mutex<State>,
}

struct State {
    set: Option<Arc<KeySet>>,
    /// When the keys are to be fetched next, by plan.
    due: Instant,
    /// When an unknown `kid` may have them fetched next.
    open: Instant,
    /// The fetch under way. Its channel closes when it has ended, however it ended.
    flight: Option<watch::Receiver<()>>,
    /// Why the last fetch failed.
    failed: Option<FetchError>,
}

/// How a search for a key stands.
enum Found {
    Key(Arc<Key>),
    OnItsWay(watch::Receiver<()>),
    Nothing,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("place", &self.0.place).finish_non_exhaustive()
    }
}

impl Keys {
    /// Nothing is fetched yet.
    pub(super) fn new(place: &str, fetcher: Arc<dyn FetchKeys>) -> Result<Self, ConfigError> {
        let place = Place::parse(place)?;
        let now = Instant::now();
        let state = State { set: None, due: now, open: now, flight: None, failed: None };
        Ok(Self(Arc::new(Shared { place, fetcher, state: Mutex::new(state) })))
    }

    /// The key of this name. Waits only where it is not there and a fetch may bring it.
    pub(super) async fn get(&self, kid: &str) -> Option<Arc<Key>> {
        match Shared::find(&self.0, kid) {
            Found::Key(key) => Some(key),
            Found::OnItsWay(flight) => {
                landed(flight).await;
                self.0.state().set.as_ref()?.get(kid)
            }
            Found::Nothing => None,
        }
    }

    /// Fetches them at once, or waits for the fetch that is under way. How many there are then.
    pub(super) async fn fetch(&self) -> Result<usize, FetchError> {
        let flight = Shared::flight(&self.0, &mut self.0.state());
        landed(flight).await;
        let state = self.0.state();
        match (&state.failed, &state.set) {
            (Some(error), _) => Err(error.clone()),
            (None, set) => Ok(set.as_ref().map_or(0, |set| set.len())),
        }
    }

    /// Fetches them now and again whenever it is time, so that no request waits for the first fetch and an idle server
    /// has fresh ones.
    pub(super) async fn keep(&self, shutdown: &Shutdown) {
        let renewing = async {
            loop {
                let due = self.0.state().due;
                tokio::time::sleep_until(due).await;
                let flight = {
                    let mut state = self.0.state();
                    if state.due > Instant::now() {
                        continue;
                    }
                    Shared::flight(&self.0, &mut state)
                };
                landed(flight).await;
            }
        };
        shutdown.run_until_cancelled(renewing).await;
    }

    pub(super) fn place(&self) -> String {
        self.0.place.to_string()
    }
}

/// Nothing is ever sent: the channel closes.
async fn landed(mut flight: watch::Receiver<()>) {
    while flight.changed().await.is_ok() {}
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(self: &Arc<Self>, kid: &str) -> Found {
        let now = Instant::now();
        let mut state = self.state();
        let due = now >= state.due;
        let Some(set) = state.set.clone() else {
            return match &state.flight {
                Some(flight) => Found::OnItsWay(flight.clone()),
                None if due => Found::OnItsWay(Self::flight(self, &mut state)),
                None => Found::Nothing,
            };
        };
        if due {
            let _nobody_waits = Self::flight(self, &mut state);
        }
        if let Some(key) = set.get(kid) {
            return Found::Key(key);
        }
        if let Some(flight) = &state.flight {
            return Found::OnItsWay(flight.clone());
        }
        if now < state.open {
            return Found::Nothing;
        }
        state.open = now + UNKNOWN_KID_WINDOW;
        Found::OnItsWay(Self::flight(self, &mut state))
    }

    /// Joins the fetch that is under way, or begins one. It is a task of its own, since whoever waits may go away.
    fn flight(self: &Arc<Self>, state: &mut State) -> watch::Receiver<()> {
        if let Some(flight) = &state.flight {
            return flight.clone();
        }
        let (open, flight) = watch::channel(());
        state.flight = Some(flight.clone());
        let landing = Landing { shared: Arc::clone(self), _open: open };
        tokio::spawn(async move {
            let outcome = landing.shared.load().await;
            landing.shared.take(outcome);
        });
        flight
    }

    async fn load(&self) -> Result<(KeySet, Duration), FetchError> {
        let fetched = match &self.place {
            Place::Url(url) => tokio::time::timeout(FETCH_LIMIT, self.fetcher.fetch(url)).await,
            Place::File(path) => tokio::time::timeout(FETCH_LIMIT, read(path)).await,
        };
        let fetched = fetched.unwrap_or(Err(FetchError::Late))?;
        let set = KeySet::parse(&fetched.body).map_err(|why| FetchError::Broken(why.to_string()))?;
        Ok((set, planned(fetched.max_age)))
    }

    fn take(&self, outcome: Result<(KeySet, Duration), FetchError>) {
        let mut state = self.state();
        let now = Instant::now();
        match outcome {
            Ok((set, age)) => {
                if state.failed.is_some() || state.set.as_ref().is_none_or(|known| !known.same_names(&set)) {
                    tracing::info!(place = %self.place, keys = set.len(), "have the keys of the identity provider");
                }
                state.set = Some(Arc::new(set));
                state.due = now + age;
                state.failed = None;
            }
            Err(error) => {
                let kept = state.set.as_ref().map_or(0, |set| set.len());
                tracing::warn!(place = %self.place, %error, kept, "cannot fetch the keys of the identity provider");
                state.due = now + if kept == 0 { PAUSE_WITHOUT_KEYS } else { PAUSE_WITH_KEYS };
                state.failed = Some(error);
            }
        }
    }
}

/// Ends a flight when it is dropped: first it is none any more, then those who wait hear of it.
struct Landing {
    shared: Arc<Shared>,
    _open: watch::Sender<()>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.shared.state().flight = None;
    }
}

/// The age at which keys are renewed: nine tenths of the age that their server allows, and never below [`MIN_AGE`]. Keys older
/// than their server allows are in use only where it allows less than that, and while it cannot be reached.
fn planned(max_age: Option<Duration>) -> Duration {
    let age = max_age.unwrap_or(DEFAULT_AGE).min(MAX_AGE);
    (age - age / 10).max(MIN_AGE)
}

async fn read(path: &PathBuf) -> Result<Fetched, FetchError> {
    let failed = |e: std::io::Error| FetchError::Unreachable(e.to_string());
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut body = Vec::new();
    let one_more = u64::try_from(MAX_KEYS_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    file.take(one_more).read_to_end(&mut body).await.map_err(failed)?;
    if body.len() > MAX_KEYS_BYTES {
        return Err(FetchError::TooLarge);
    }
    Ok(Fetched { body: body.into(), max_age: None })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use serde_json::json;

    /// A source whose answers are set, and that counts how often it is asked.
    #[derive(Debug)]
    struct Source {
        asked: AtomicUsize,
        answer: Mutex<(Duration, Result<Fetched, FetchError>)>,
    }

    impl Source {
        fn new(kids: &[&str], max_age: Option<u64>) -> (Arc<Self>, Keys) {
            let answer = Mutex::new((Duration::ZERO, Ok(published(kids, max_age))));
            let source = Arc::new(Self { asked: AtomicUsize::new(0), answer });
            let fetcher: Arc<dyn FetchKeys> = source.clone();
            (source, Keys::new("https://keys.test/jwks", fetcher).unwrap())
        }

        fn set(&self, takes: Duration, answer: Result<Fetched, FetchError>) {
            *self.answer.lock().unwrap() = (takes, answer);
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    impl FetchKeys for Source {
        fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Fetched, FetchError>> {
            assert_eq!(url, "https://keys.test/jwks");
            self.asked.fetch_add(1, Ordering::SeqCst);
            let (takes, answer) = self.answer.lock().unwrap().clone();
            async move {
                tokio::time::sleep(takes).await;
                answer
            }
            .boxed()
        }
    }

    fn published(kids: &[&str], max_age: Option<u64>) -> Fetched {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let keys: Vec<_> =
            kids.iter().map(|kid| json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x })).collect();
        let body = json!({ "keys": keys }).to_string();
        Fetched { body: body.into(), max_age: max_age.map(Duration::from_secs) }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    async fn pass(time: Duration) {
        tokio::time::sleep(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_need_the_first_keys_share_one_fetch() {
        let (source, keys) = Source::new(&["a"], None);
        source.set(seconds(1), Ok(published(&["a"], None)));
        let found = join_all((0..100).map(|_| keys.get("a"))).await;
        assert!(found.iter().all(Option::is_some));
        assert_eq!(source.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_a_fetch_joins_the_one_that_is_under_way() {
        let (source, keys) = Source::new(&["a"], None);
        source.set(seconds(1), Ok(published(&["a"], None)));
        let (found, fetched) = tokio::join!(keys.get("a"), join_all((0..10).map(|_| keys.fetch())));
        assert!(found.is_some() && fetched.iter().all(|count| *count == Ok(1)));
        assert_eq!(source.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_goes_on_when_who_asked_for_it_is_gone() {
        let (source, keys) = Source::new(&["a"], None);
        source.set(seconds(3), Ok(published(&["a"], None)));
        assert!(tokio::time::timeout(seconds(1), keys.get("a")).await.is_err());
        assert!(keys.get("a").await.is_some());
        assert_eq!(source.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_renewed_in_time_while_checks_go_on() {
        for (max_age, renewed) in [(None, 270), (Some(0), 60), (Some(1000), 900), (Some(10_000_000), 77_760)] {
            let (source, keys) = Source::new(&["a"], max_age);
            assert!(keys.get("a").await.is_some());
            pass(seconds(renewed - 1)).await;
            assert!(keys.get("a").await.is_some());
            assert_eq!(source.asked(), 1, "{max_age:?}");
            pass(seconds(2)).await;
            source.set(seconds(4), Ok(published(&["b"], max_age)));
            assert!(keys.get("a").now_or_never().unwrap().is_some(), "nobody waits where there is a key");
            pass(seconds(5)).await;
            assert_eq!(source.asked(), 2, "{max_age:?}");
            assert!(keys.get("b").now_or_never().unwrap().is_some());
            assert!(keys.get("a").await.is_none(), "a key that is withdrawn is gone");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_kid_is_found_and_a_storm_of_unknown_ones_fetches_once_in_a_window() {
        let (source, keys) = Source::new(&["a"], Some(86_400));
        assert!(keys.get("a").await.is_some());
        source.set(Duration::ZERO, Ok(published(&["a", "b"], Some(86_400))));
        assert!(keys.get("b").await.is_some());
        assert_eq!(source.asked(), 2);
        for window in 0..3 {
            let names: Vec<_> = (0..200).map(|n| format!("x{n}")).collect();
            let found = join_all(names.iter().map(|kid| keys.get(kid))).await;
            assert!(found.iter().all(Option::is_none));
            assert_eq!(source.asked(), 2 + window);
            pass(UNKNOWN_KID_WINDOW).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_kept_while_the_source_is_down_and_it_is_asked_in_moderation() {
        let (source, keys) = Source::new(&["a"], Some(60));
        assert!(keys.get("a").await.is_some());
        let empty = Fetched { body: Bytes::from_static(b"{\"keys\":[]}"), max_age: None };
        for answer in [Err(FetchError::Status(500)), Ok(empty)] {
            source.set(Duration::ZERO, answer);
            for _ in 0..86_400 / 10 {
                pass(seconds(10)).await;
                assert!(keys.get("a").await.is_some());
            }
        }
        assert!((2..=2 * 86_400 / 30).contains(&source.asked()), "{}", source.asked());
    }

    #[tokio::test(start_paused = true)]
    async fn without_any_keys_refusals_are_quick_and_the_source_is_asked_again_soon() {
        let (source, keys) = Source::new(&["a"], None);
        source.set(Duration::ZERO, Err(FetchError::Unreachable("refused".to_owned())));
        for _ in 0..50 {
            assert!(keys.get("a").await.is_none());
        }
        assert_eq!(source.asked(), 1);
        assert_eq!(keys.fetch().await, Err(FetchError::Unreachable("refused".to_owned())));
        source.set(Duration::ZERO, Ok(published(&["a"], None)));
        pass(PAUSE_WITHOUT_KEYS).await;
        assert!(keys.get("a").await.is_some());
        assert_eq!(keys.fetch().await, Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_never_answers_is_given_up() {
        let (source, keys) = Source::new(&["a"], None);
        source.set(seconds(3600), Ok(published(&["a"], None)));
        let begun = Instant::now();
        assert!(keys.get("a").await.is_none());
        assert_eq!(begun.elapsed(), FETCH_LIMIT);
        assert_eq!(keys.fetch().await, Err(FetchError::Late));
    }

    #[tokio::test(start_paused = true)]
    async fn who_keeps_them_fetches_at_once_and_again_until_the_shutdown() {
        let (source, keys) = Source::new(&["a"], Some(100));
        let shutdown = Shutdown::new();
        let (keeper, told) = (keys.clone(), shutdown.clone());
        let keeping = tokio::spawn(async move { keeper.keep(&told).await });
        pass(seconds(1)).await;
        assert_eq!(source.asked(), 1);
        assert!(keys.get("a").now_or_never().unwrap().is_some());
        pass(seconds(900)).await;
        assert_eq!(source.asked(), 11);
        shutdown.cancel();
        keeping.await.unwrap();
    }

    #[tokio::test]
    async fn a_file_is_read_under_the_same_rules() {
        let (source, _) = Source::new(&[], None);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let keys = Keys::new(path.to_str().unwrap(), source.clone()).unwrap();
        assert!(matches!(keys.fetch().await, Err(FetchError::Unreachable(_))));
        std::fs::write(&path, published(&["a"], None).body).unwrap();
        assert_eq!(keys.fetch().await, Ok(1));
        std::fs::write(&path, published(&["a", "b"], None).body).unwrap();
        assert!(keys.get("b").await.is_some(), "an unknown kid has it read anew");
        std::fs::write(&path, vec![b' '; MAX_KEYS_BYTES + 1]).unwrap();
        assert_eq!(keys.fetch().await, Err(FetchError::TooLarge));
        assert!(keys.get("a").await.is_some());
        assert_eq!(source.asked(), 0);
    }

    #[test]
    fn a_place_is_a_file_or_a_url_and_shows_no_query() {
        let shown = |text: &str| Place::parse(text).map(|place| place.to_string()).ok();
        assert_eq!(shown("/etc/keys.json").as_deref(), Some("/etc/keys.json"));
        assert_eq!(shown("https://a.b/keys?key=secret#x").as_deref(), Some("https://a.b/keys"));
        for bad in ["ftp://a/b", "file:///a", "https://", "https:///keys", "https://u:p@a/keys", "http://a /b"] {
            assert_eq!(shown(bad), None, "{bad}");
        }
    }
}
