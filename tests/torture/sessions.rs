//! Sessions under torture: two servers that are killed with SIGKILL again and again, writers that do not care, and clients
//! that resume by themselves. Each must have received what it asked for, exactly, in order, over all its connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rowcast::auth::Role;
use rowcast::auth::token::Mint;
use rowcast::client::{Connector, Endpoint, Item, Options, Selection, Start, Stream, Tokens};
use rowcast::clock::Clock;
use rowcast::config::Secret;
use rowcast::journal::Cursor;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::dice::Dice;
use super::setting;
use crate::support::restarted_server::RestartedServer;
use crate::support::{JWT_SECRET, connect, migrated_database};

const NODES: usize = 2;
const WRITERS: u64 = 8;
/// Rows of a transaction.
const ROWS: u64 = 5;
/// How long the clients may take for the rest when the writers have stopped.
const CATCH_UP: Duration = Duration::from_secs(60);

/// What a client asks for, and the same in SQL.
const WANTS: [(&str, &str, &str); 4] = [
    ("", "", "true"),
    ("type", "torture.odd,torture.rare.*", "type = 'torture.odd' or type like 'torture.rare.%'"),
    ("level", "warn", "level in ('warn', 'error', 'critical')"),
    ("subject", "s3", "subject = 's3'"),
];

fn selection(want: usize) -> Selection {
    let (name, value, _) = WANTS[want];
    let is = |of: &str| (name == of).then(|| value.to_owned());
    Selection { types: is("type"), level: is("level"), subject: is("subject"), ..Selection::default() }
}

/// A row or an event, folded into what came before it: equal only for the same events in the same order.
fn fold(chain: u64, cursor: Cursor) -> u64 {
    let seq = u64::try_from(cursor.seq).unwrap();
    let word = seq ^ u64::from(cursor.tag.unwrap()) << 32;
    (chain.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What a client has received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) count: u64,
    chain: u64,
    pub(super) newest: i64,
}

impl Received {
    pub(super) fn take(&mut self, cursor: Cursor) {
        self.count += 1;
        self.chain = fold(self.chain, cursor);
        self.newest = cursor.seq;
    }
}

/// Follows until it has the event that is told to be the last of its kind.
async fn follow(place: String, want: usize, mut last: watch::Receiver<[Option<i64>; WANTS.len()]>) -> (Received, u64) {
    let mint = Mint {
        subject: "torture",
        role: Role::Viewer,
        ttl: Duration::from_secs(24 * 3600),
        issuer: None,
        audience: None,
    };
    let token = mint.sign(&Secret::new(JWT_SECRET), &Clock::system()).unwrap();
    let endpoint: Endpoint = format!("http://{place}").parse().unwrap();
    let options =
        Options { start: Start::Earliest, selection: selection(want), tokens: Tokens::fixed(token), reconnect: true };
    let mut stream = Stream::new(Connector::new(endpoint, None).unwrap(), options);
    let mut received = Received::default();
    loop {
        if last.borrow()[want].is_some_and(|last| received.newest >= last) {
            return (received, stream.connections());
        }
        tokio::select! {
            item = stream.next() => {
                // Repeated, misordered, missed, `cursor_invalid`: all of them are errors that end a stream.
                let item = item.unwrap_or_else(|error| panic!("want {want}, after {received:?}: {error}"));
                if let Item::Event(event) = item {
                    received.take(event.cursor());
                }
            }
            changed = last.changed() => changed.unwrap(),
        }
    }
}

async fn write(url: String, seed: u64, number: u64, per_second: u64, stop: Arc<AtomicBool>, rows: Arc<AtomicU64>) {
    let client = connect(&url).await;
    let mut dice = Dice::new(seed, number);
    let mut pace = tokio::time::interval(Duration::from_micros(1_000_000 * ROWS * WRITERS / per_second));
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let insert = format!(
            "insert into rowcast.events (type, level, subject, payload)
             select (array['torture.even', 'torture.odd', 'torture.rare.a', 'torture.rarely'])[1 + n % 4],
                    (array['info', 'debug', 'warn', 'info', 'critical'])[1 + n % 5],
                    's' || n % 7, jsonb_build_object('n', n, 'writer', {number})
               from generate_series({from}, {from} + {ROWS} - 1) n",
            from = dice.within(0..1_000_000),
        );
        // A tenth of them is rolled back, and a tenth holds its numbers for a while.
        let (abort, hold) = (dice.within(0..10) == 0, dice.within(0..10) == 0);
        if abort || hold {
            client.batch_execute(&format!("begin; {insert}")).await.unwrap();
            tokio::time::sleep(dice.millis(0..20)).await;
            client.batch_execute(if abort { "rollback" } else { "commit" }).await.unwrap();
        } else {
            client.batch_execute(&insert).await.unwrap();
        }
        rows.fetch_add(if abort { 0 } else { ROWS }, Ordering::Relaxed);
    }
}

/// What each kind of client must have received of the journal as it stands.
async fn expected(client: &tokio_postgres::Client) -> Vec<Received> {
    let mut expected = Vec::new();
    for (_, _, condition) in WANTS {
        let sql = format!("select seq, id from rowcast.events where {condition} order by seq");
        let mut all = Received::default();
        for row in client.query(&sql, &[]).await.unwrap() {
            all.take(Cursor::of(row.get(0), row.get(1)));
        }
        assert!(all.count > 0, "nothing to receive where {condition}");
        expected.push(all);
    }
    expected
}

/// What the clients have received, over how many connections, and what is wrong with it.
#[derive(Default)]
struct Outcome {
    delivered: u64,
    connections: u64,
    faults: Vec<String>,
}

impl Outcome {
    async fn gather(&mut self, mut following: JoinSet<(usize, usize, (Received, u64))>, expected: &[Received]) {
        while let Some(ended) = following.join_next().await {
            match ended {
                Ok((node, want, (received, connected))) => {
                    self.delivered += received.count;
                    self.connections += connected;
                    if received != expected[want] {
                        let wanted = &expected[want];
                        self.faults.push(format!("on node {node}, want {want}: {received:?}, and not {wanted:?}"));
                    }
                }
                Err(panicked) => self.faults.push(panicked.to_string()),
            }
        }
    }
}

/// Kills one of the nodes, again and again.
async fn kill_nodes(nodes: &mut [RestartedServer], kills: u64, seed: u64) {
    let mut dice = Dice::new(seed, 1000);
    for _ in 0..kills {
        tokio::time::sleep(dice.millis(300..1200)).await;
        let node = &mut nodes[usize::try_from(dice.within(0..2)).unwrap()];
        node.tend();
        node.kill();
        // Down for a moment: some clients come back at once, some find nobody.
        tokio::time::sleep(dice.millis(0..100)).await;
        node.start();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_receives_exactly_what_it_wants_however_often_the_servers_are_killed() {
    let kills = setting("TORTURE_KILLS", 6);
    let clients = usize::try_from(setting("TORTURE_CLIENTS", 24)).unwrap();
    let per_second = setting("TORTURE_APPENDS", 500);
    let seed = setting("TORTURE_SEED", getrandom::u64().unwrap() >> 16);
    eprintln!("torture of sessions: seed {seed}, {kills} kills, {clients} clients, {per_second} appends a second");

    let db = migrated_database().await;
    let mut nodes: Vec<RestartedServer> = (0..NODES).map(|_| RestartedServer::new(&db.url)).collect();
    let (stop, rows) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut writing = JoinSet::new();
    for number in 0..WRITERS {
        writing.spawn(write(db.url.clone(), seed, number, per_second, Arc::clone(&stop), Arc::clone(&rows)));
    }
    let last = watch::Sender::new([None; WANTS.len()]);
    let mut following = JoinSet::new();
    for number in 0..clients {
        let (node, want) = (number % NODES, number / NODES % WANTS.len());
        let (place, last) = (nodes[node].place.clone(), last.subscribe());
        following.spawn(async move { (node, want, follow(place, want, last).await) });
    }

    let begun = Instant::now();
    kill_nodes(&mut nodes, kills, seed).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = writing.join_next().await {
        ended.unwrap();
    }
    let took = begun.elapsed();

    let client = connect(&db.url).await;
    let expected = expected(&client).await;
    last.send_replace(std::array::from_fn(|want| Some(expected[want].newest)));

    let mut outcome = Outcome::default();
    let late = tokio::time::timeout(CATCH_UP, async {
        let mut gathering = std::pin::pin!(outcome.gather(following, &expected));
        loop {
            tokio::select! {
                () = &mut gathering => return,
                () = tokio::time::sleep(Duration::from_millis(200)) => nodes.iter_mut().for_each(RestartedServer::tend),
            }
        }
    })
    .await
    .is_err();
    let Outcome { delivered, connections, faults } = outcome;
    eprintln!(
        "took {took:?}; {} rows committed; {clients} clients received {delivered} events over {connections} connections",
        rows.load(Ordering::Relaxed)
    );
    assert!(!late, "seed {seed}: some clients never came to the end\n{}", faults.join("\n"));
    assert!(faults.is_empty(), "seed {seed}:\n{}", faults.join("\n"));
    let least = u64::try_from(clients).unwrap() + kills;
    assert!(connections >= least, "only {connections} connections: nobody was cut off");
}
