//! Keys against a source whose answers and delays are set, in paused time.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use serde_json::json;

use super::*;
use crate::auth::key_source::{FETCH_LIMIT, Fetched, MAX_KEYS_BYTES};

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
    let keys: Vec<_> = kids.iter().map(|kid| json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x })).collect();
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
    let keeping = tokio::spawn(async move { keeper.keep_fresh(&told).await });
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
