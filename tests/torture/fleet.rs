//! A fleet under torture: three nodes, two edges, Redis and Postgres each with a replica, and clients that come back anywhere with
//! their cursor. Whatever is killed, frozen, emptied or failed over, each client's record must equal the table.

mod parts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rowcast::auth::Role;
use rowcast::client::{Connector, Endpoint, Item, Options, Selection, Start, Stream, Tokens};
use rowcast::config::Secret;
use rowcast::journal::Cursor;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::parts::Fleet;
use super::dice::Dice;
use super::sessions::Received;
use super::setting;
use crate::stream::ws::token;
use crate::support::{connect, connector};

const WRITERS: u64 = 8;
/// Rows of a transaction.
const ROWS: u64 = 5;
/// The types of events. A client wants one of them, and one client in fifty all.
const KINDS: usize = 20;
/// How long the clients may take for the rest when everything is mended.
const CATCH_UP: Duration = Duration::from_secs(90);

/// What the clients of each kind must have: for each type, and at the end for all.
type Expected = Arc<Vec<Received>>;

fn kind_of(client: usize) -> usize {
    if client.is_multiple_of(50) { KINDS } else { client % KINDS }
}

/// One client: goes from server to server, with its cursor, until it has the event that is told to be the last of its kind.
async fn wander(
    places: Vec<String>,
    number: usize,
    seed: u64,
    mut end: watch::Receiver<Option<Expected>>,
) -> (Received, u64) {
    let kind = kind_of(number);
    let mut dice = Dice::new(seed, 10_000 + number as u64);
    let tokens = Tokens::fixed(Secret::new(token(Role::Admin, &format!("client-{number}"))));
    let selection = Selection { types: (kind < KINDS).then(|| format!("fleet.t{kind}")), ..Selection::default() };
    let (mut received, mut visits, mut start) = (Received::default(), 0, Start::Earliest);
    let is_over = |received: &Received, end: &watch::Receiver<Option<Expected>>| {
        end.borrow().as_ref().is_some_and(|expected| received.newest >= expected[kind].newest)
    };
    while !is_over(&received, &end) {
        let endpoint: Endpoint = format!("http://{}", places[dice.index(places.len())]).parse().unwrap();
        let options = Options { start, selection: selection.clone(), tokens: tokens.clone(), reconnect: true };
        let mut stream = Stream::new(Connector::new(endpoint, None).unwrap(), options);
        let leave = tokio::time::sleep(dice.millis(300..6_000));
        tokio::pin!(leave);
        visits += 1;
        loop {
            tokio::select! {
                () = &mut leave => break,
                changed = end.changed() => changed.unwrap(),
                // Repeated, misordered, missed, `cursor_invalid`: all of them are errors that end a stream.
                item = stream.next() => match item {
                    Ok(Item::Event(event)) => received.take(event.cursor()),
                    Ok(Item::Lost { .. }) => break,
                    Ok(_) => {}
                    Err(error) => panic!("client {number}, kind {kind}, after {received:?} at {:?}: {error}", stream.cursor()),
                },
            }
            if is_over(&received, &end) {
                break;
            }
        }
        start = stream.cursor().map_or(Start::Earliest, Start::After);
    }
    (received, visits)
}

/// Appends until it is told to stop, whatever becomes of its connection.
async fn write(url: String, seed: u64, number: u64, per_second: u64, stop: Arc<AtomicBool>, rows: Arc<AtomicU64>) {
    let mut dice = Dice::new(seed, number);
    let mut pace = tokio::time::interval(Duration::from_micros(1_000_000 * ROWS * WRITERS / per_second));
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !stop.load(Ordering::Relaxed) {
        let Ok((client, _carrier)) = connector(&url).connect().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        while !stop.load(Ordering::Relaxed) {
            pace.tick().await;
            let from = dice.within(0..1_000_000);
            let insert = format!(
                "insert into rowcast.events (type, payload) select 'fleet.t' || n % {KINDS}, jsonb_build_object('n', n) \
                 from generate_series({from}, {from} + {ROWS} - 1) n"
            );
            let (abort, hold) = (dice.one_in(10), dice.one_in(20));
            let written = if abort || hold {
                let begun = client.batch_execute(&format!("begin; {insert}")).await;
                tokio::time::sleep(dice.millis(0..50)).await;
                begun.and(client.batch_execute(if abort { "rollback" } else { "commit" }).await)
            } else {
                client.batch_execute(&insert).await
            };
            match written {
                Ok(()) => rows.fetch_add(if abort { 0 } else { ROWS }, Ordering::Relaxed),
                Err(_) => break,
            };
        }
    }
}

/// What the clients of each kind must have of the journal as it stands.
async fn expected(url: &str) -> Expected {
    let rows = connect(url).await.query("select seq, id, type from rowcast.events order by seq", &[]).await.unwrap();
    let mut kinds = vec![Received::default(); KINDS + 1];
    for row in rows {
        let cursor = Cursor::of(row.get(0), row.get(1));
        let kind: usize = row.get::<_, &str>(2).trim_start_matches("fleet.t").parse().unwrap();
        kinds[kind].take(cursor);
        kinds[KINDS].take(cursor);
    }
    assert!(kinds.iter().all(|kind| kind.count > 0), "nothing of some kind");
    Arc::new(kinds)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_equals_the_table_whatever_part_of_a_fleet_fails() {
    let faults = setting("TORTURE_FAULTS", 6);
    let clients = usize::try_from(setting("TORTURE_CLIENTS", 30)).unwrap();
    let per_second = setting("TORTURE_APPENDS", 200);
    let seed = setting("TORTURE_SEED", getrandom::u64().unwrap() >> 16);
    eprintln!("torture of a fleet: seed {seed}, {faults} faults, {clients} clients, {per_second} appends a second");
    let Some(mut fleet) = Fleet::start().await else { return };
    let url = fleet.primary_url();
    let (stop, rows) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut writing = JoinSet::new();
    for number in 0..WRITERS {
        writing.spawn(write(url.clone(), seed, number, per_second, Arc::clone(&stop), Arc::clone(&rows)));
    }
    let end = watch::Sender::new(None);
    let mut wandering = JoinSet::new();
    for number in 0..clients {
        wandering.spawn(wander(fleet.places(), number, seed, end.subscribe()));
    }
    let begun = Instant::now();
    let mut dice = Dice::new(seed, 1_000);
    let mut done = BTreeMap::<&str, u64>::new();
    for number in 0..faults {
        tokio::time::sleep(dice.millis(200..1_500)).await;
        // The first ones are one of each kind.
        let fault = fleet.fail(usize::try_from(number).unwrap() + dice.index(2), &mut dice).await;
        *done.entry(fault).or_default() += 1;
        fleet.tend();
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = writing.join_next().await {
        ended.unwrap();
    }
    let took = begun.elapsed();
    let expected = expected(&url).await;
    end.send_replace(Some(Arc::clone(&expected)));
    let (mut delivered, mut visits, mut wrong) = (0, 0, Vec::new());
    let late = tokio::time::timeout(CATCH_UP, async {
        while let Some(ended) = wandering.join_next().await {
            let (received, visited) = ended.unwrap();
            delivered += received.count;
            visits += visited;
            if !expected.contains(&received) {
                wrong.push(received);
            }
            fleet.tend();
        }
    })
    .await
    .is_err();
    eprintln!(
        "took {took:?}; {} rows acknowledged, {} committed; {clients} clients received {delivered} events over {visits} visits; {done:?}; {}",
        rows.load(Ordering::Relaxed),
        expected[KINDS].count,
        fleet.counts().await
    );
    assert!(wrong.is_empty(), "seed {seed}: these records are not the table: {wrong:?}");
    assert!(!late, "seed {seed}: {} clients never came to the end", wandering.len());
}
