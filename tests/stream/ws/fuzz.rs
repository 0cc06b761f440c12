//! Clients that say anything: messages that are almost right, noise, and frames that break RFC 6455, cut anywhere. Whatever
//! comes, the answer is one of the documented frames and close codes, nobody else notices, and nothing is left behind.
//!
//! Each case is made from a number, which a failure names. `ROWCAST_FUZZ_CASES=1 ROWCAST_FUZZ_SEED=<number>` repeats that
//! one; more cases, and another seed, look further.

mod fuzz_client;
mod noise;
mod protocol_check;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use rowcast::auth::Role;
use tokio::task::JoinSet;

use self::fuzz_client::Case;
use super::raw_websocket::Client;
use super::{ServedJournal, aged, append, token};
use crate::support::{PATIENCE, until};

const SEED: u64 = 1;
const CASES: u64 = 200;
/// How many at once.
const AT_ONCE: usize = 8;

/// Where something has panicked that is no test.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn panics() -> Vec<String> {
    PANICS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn watch_for_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.location().is_some_and(|place| !place.file().starts_with("tests/")) {
            PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(panic.to_string());
        }
        before(panic);
    }));
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap())
}

/// The tokens that clients come with, good and bad.
fn tokens() -> Vec<String> {
    let year = Duration::from_secs(365 * 24 * 3600);
    let good = [Role::User, Role::Viewer, Role::Engine, Role::Operator, Role::Admin];
    let mut all: Vec<_> = good.into_iter().map(|role| token(role, "vera")).collect();
    all.push(token(Role::Viewer, "somebody else"));
    all.push(aged(Role::Viewer, "vera", year, Duration::from_secs(60)));
    all
}

/// Reads so many events, each of which must be the next.
async fn follow(mut client: Client, upto: i64) {
    let mut expected = 1;
    while expected <= upto {
        let said = client.json().await;
        if said["op"] == "event" {
            assert_eq!(said["event"]["seq"], expected, "of somebody who only listens");
            expected += 1;
        } else {
            assert!(said["op"] == "live" || said["op"] == "heartbeat", "{said}");
        }
    }
    client.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_client_sends_the_answer_is_documented_and_nobody_else_notices() {
    let (seed, cases) = (number("ROWCAST_FUZZ_SEED", SEED), number("ROWCAST_FUZZ_CASES", CASES));
    watch_for_panics();
    let journal = ServedJournal::start(&[("ROWCAST_HEARTBEAT", "1s"), ("ROWCAST_PUBLIC_STREAM", "on")]).await;
    journal.append(20).await;
    let tokens = Arc::new(tokens());
    let cursors = Arc::new(vec![journal.cursor(1).await, journal.cursor(10).await]);
    let upto = 20 + i64::try_from(cases).unwrap();
    let mut others = JoinSet::new();
    for _ in 0..2 {
        let mut client = journal.viewer("/ws?cursor=earliest").await;
        client.op("hello").await;
        others.spawn(follow(client, upto));
    }
    let mut running = JoinSet::new();
    for number in 0..cases {
        if running.len() >= AT_ONCE {
            running.join_next().await.unwrap().unwrap();
        }
        let (address, tokens, cursors) = (journal.server.address().to_owned(), tokens.clone(), cursors.clone());
        running.spawn(async move {
            let number = seed.wrapping_add(number);
            let case = Case::new(number, &tokens, &cursors);
            let ran = AssertUnwindSafe(tokio::time::timeout(PATIENCE, case.run(&address))).catch_unwind().await;
            let why = match ran {
                Ok(Ok(())) => return,
                Ok(Err(_)) => "it does not end".to_owned(),
                Err(panic) => panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "see above".to_owned()),
            };
            panic!("ROWCAST_FUZZ_SEED={number} ROWCAST_FUZZ_CASES=1: {why}");
        });
        append(&journal.writer, 1).await;
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    while let Some(ended) = others.join_next().await {
        ended.unwrap();
    }
    assert_eq!(panics(), Vec::<String>::new());
    until("nobody is left", || async {
        let page = journal.server.get("/metrics").await.body;
        let is = |line: &str| page.lines().any(|other| other == line);
        is("rowcast_sessions 0") && is("rowcast_sessions_filtered 0")
    })
    .await;
    let page = journal.server.get("/metrics").await.body;
    let ended = |code: &str| {
        let line = page.lines().find(|line| line.starts_with("rowcast_sessions_ended_total") && line.contains(code));
        line.unwrap().rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(ended("1011"), 0);
    // Or the cases are not what they are for.
    for code in ["1000", "1009", "4400", "4401", "4403", "4411"] {
        assert!(cases < CASES || ended(code) > 0, "no session has ended with {code}");
    }
    assert_eq!(journal.server.get("/health/ready").await.status, 200);
    journal.end().await;
}
