//! The torture: writers that do everything, nodes in processes of their own, and a server, all of them killed at random;
//! at the end every node has delivered exactly what is in the table, in order. docs/TORTURE.md tells how to read it.
#![allow(clippy::print_stderr, reason = "the counts are what a run is for")]

mod bytes;
mod chaos;
mod crashing_postgres;
pub(crate) mod dice;
mod fleet;
mod history;
mod ledger;
mod naive;
mod neighbours;
mod node_process;
mod redrawn;
mod sessions;
mod table_snapshots;
mod writers;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_postgres::{Client, Row};

use crate::support::{connect, migrate};
use chaos::Chaos;
use crashing_postgres::CrashingPostgres;
use node_process::NodeProcess;
use writers::{Shared, Writer, resolve};

const WRITERS: u64 = 24;
const RESOLVERS: u64 = 2;
const NODES: usize = 2;
/// How long the nodes may take for the rest when the writers have stopped.
const CATCH_UP: Duration = Duration::from_secs(60);
/// From here on a naive reader is sure to have lost something.
const LONG: Duration = Duration::from_secs(20);

const TABLE: &str = "
    create schema torture;
    create table torture.things (id bigint generated always as identity primary key, writer int, op bigint);
    create index on torture.things (writer);
    select rowcast.publish('torture.things', columns => '{id,op}')";

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// What one node delivered, against the table.
#[derive(Debug, Default, PartialEq, Eq)]
struct Delivery {
    delivered: usize,
    lost: usize,
    repeated: usize,
    misordered: usize,
    invented: usize,
    lost_history: usize,
}

impl Delivery {
    fn of(file: &Path, table: &[String]) -> (Self, Option<String>) {
        let text = std::fs::read_to_string(file).unwrap();
        let mut said = Self::default();
        let (mut seen, mut lines, mut before) = (HashSet::new(), Vec::new(), 0);
        for line in text.lines() {
            if line.starts_with("lost") {
                said.lost_history += 1;
                continue;
            }
            let seq: i64 = line.split_once(' ').unwrap().0.parse().unwrap();
            said.repeated += usize::from(!seen.insert(line));
            said.misordered += usize::from(seq <= before);
            before = seq;
            lines.push(line);
        }
        let known: HashSet<&str> = table.iter().map(String::as_str).collect();
        said.delivered = lines.len();
        said.lost = table.iter().filter(|line| !seen.contains(line.as_str())).count();
        said.invented = lines.iter().filter(|line| !known.contains(*line)).count();
        let lost: Vec<_> = table.iter().filter(|line| !seen.contains(line.as_str())).take(20).collect();
        let unequal = (lines != *table || said.lost_history > 0).then(|| format!("{said:?}, first lost: {lost:?}"));
        (said, unequal)
    }
}

/// Everything that writes, and the home-made relay that reads along.
struct Workload {
    writing: JoinSet<()>,
    resolving: JoinSet<()>,
    relay: tokio::task::JoinHandle<HashSet<i64>>,
    end_relay: tokio::sync::oneshot::Sender<()>,
}

impl Workload {
    fn start(shared: &Arc<Shared>, seed: u64) -> Self {
        let (mut writing, mut resolving) = (JoinSet::new(), JoinSet::new());
        for number in 0..WRITERS {
            writing.spawn(Writer::new(shared, seed, number).run());
        }
        for number in 0..RESOLVERS {
            resolving.spawn(resolve(Arc::clone(shared), seed, 1000 + number));
        }
        let (end_relay, relay_ends) = tokio::sync::oneshot::channel();
        let relay = tokio::spawn(naive::relay(Arc::clone(shared), relay_ends));
        Self { writing, resolving, relay, end_relay }
    }

    /// Lets the writers come to their ends, and those who resolve what they left.
    async fn finish(&mut self, shared: &Shared) {
        shared.stop.store(true, Ordering::SeqCst);
        for tasks in [&mut self.writing, &mut self.resolving] {
            while let Some(ended) = tasks.join_next().await {
                ended.unwrap();
            }
        }
    }

    /// The seqs that the relay has seen.
    async fn relayed(self) -> HashSet<i64> {
        self.end_relay.send(()).unwrap();
        self.relay.await.unwrap()
    }
}

/// What was committed.
struct Journal {
    /// Each event as a node writes it down.
    lines: Vec<String>,
    /// The seq of each event, and the piece of work that it belongs to.
    works: Vec<(i64, Option<u32>)>,
    truncates: u64,
    newest: i64,
}

impl Journal {
    async fn read(client: &Client) -> Self {
        let sql = "select seq, right(id::text, 8), (payload->>'op')::bigint, type = 'torture.things.truncated'
                     from rowcast.events order by seq";
        let rows = client.query(sql, &[]).await.unwrap();
        let op = |row: &Row| row.get::<_, Option<i64>>(2).map(|op| u32::try_from(op).unwrap());
        Self {
            lines: rows.iter().map(|row| format!("{} {}", row.get::<_, i64>(0), row.get::<_, &str>(1))).collect(),
            works: rows.iter().map(|row| (row.get(0), op(row))).collect(),
            truncates: rows.iter().filter(|row| row.get(3)).count() as u64,
            newest: rows.last().unwrap().get(0),
        }
    }
}

/// Waits until each node has delivered up to this seq, stops them, and names those that never came so far.
async fn catch_up(nodes: &mut [NodeProcess], newest: i64) -> Vec<String> {
    let mut late = Vec::new();
    for node in &*nodes {
        let mut at = node.at.subscribe();
        if tokio::time::timeout(CATCH_UP, at.wait_for(|at| *at >= newest)).await.is_err() {
            late.push(format!("{} stands at {} and never comes to {newest}", node.name, *node.at.borrow()));
        }
    }
    for node in nodes {
        node.stop();
    }
    late
}

/// What is wrong with what one node delivered. Prints its counts.
fn deliveries(node: &NodeProcess, journal: &Journal) -> Option<String> {
    let (said, unequal) = Delivery::of(&node.file, &journal.lines);
    let [polls, hushes, rings, connections, resets] = node.counts();
    eprintln!(
        "{}: {said:?}; starts {}, polls {polls}, hushes {hushes}, rings {rings}, connections {connections}, resets {resets}",
        node.name, node.starts
    );
    unequal.map(|why| format!("{} has not delivered the table: {why}\n{}", node.name, node.log()))
}

/// What is wrong with what stands in the database at the end.
async fn wrong_in_the_database(client: &Client, newest: i64) -> Vec<String> {
    let mut faults = Vec::new();
    // A server that was killed may have lost the end of a hush, which was not waited for. Such a deadline has passed by itself.
    let is_left =
        "select last_value > (extract(epoch from pg_postmaster_start_time()) + 1) * 1000 from rowcast.hush_deadline";
    if client.query_one(is_left, &[]).await.unwrap().get(0) {
        faults.push("the last node that hushed has not ended its hush".to_owned());
    }
    let head = "select head, (select last_value from rowcast.events_seq_seq) from rowcast.journal_state";
    let head = client.query_one(head, &[]).await.unwrap();
    let (head, last): (i64, i64) = (head.get(0), head.get(1));
    if head > last || head < newest {
        faults.push(format!("the head is {head}, the newest event {newest}, the last number drawn {last}"));
    }
    faults
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_delivers_exactly_what_was_committed_whatever_is_killed() {
    let time = Duration::from_secs(setting("TORTURE_SECONDS", 8));
    let seed = setting("TORTURE_SEED", getrandom::u64().unwrap() >> 16);
    eprintln!("torture: seed {seed}, {time:?} of it, {WRITERS} writers, {NODES} nodes");

    let server = tokio::task::spawn_blocking(CrashingPostgres::start).await.unwrap();
    let (url, folder) = (server.url.clone(), server.folder.clone());
    migrate(&url).await;
    connect(&url).await.batch_execute(TABLE).await.unwrap();
    let shared = Shared::new(&url);
    let nodes = (0..NODES).map(|number| NodeProcess::start(number, &url, &folder)).collect();
    let mut workload = Workload::start(&shared, seed);
    let begun = Instant::now();
    let mut chaos = Chaos::new(server, nodes, &shared, seed);
    chaos.rage(time).await;
    workload.finish(&shared).await;
    let took = begun.elapsed();

    let client = connect(&url).await;
    // Those whose writer was killed before it knew whether they are.
    for row in client.query("select gid from pg_prepared_xacts", &[]).await.unwrap() {
        client.batch_execute(&format!("rollback prepared '{}'", row.get::<_, String>(0))).await.unwrap();
    }
    let relayed = workload.relayed().await;
    let journal = Journal::read(&client).await;
    let mut faults = catch_up(&mut chaos.nodes, journal.newest).await;
    let naive_lost = journal.works.iter().filter(|(seq, _)| !relayed.contains(seq)).count();
    eprintln!("took {took:?}; rows in the table: {}", journal.lines.len());
    eprintln!("{}\n{chaos}", shared.ledger);
    eprintln!("a naive reader of seq > cursor lost {naive_lost} rows");
    faults.extend(chaos.nodes.iter().filter_map(|node| deliveries(node, &journal)));
    faults.extend(shared.ledger.audit(&journal.works).into_iter().take(20));
    if journal.truncates < shared.ledger.truncated.load(Ordering::Relaxed) {
        faults.push(format!("only {} truncates are told", journal.truncates));
    }
    faults.extend(wrong_in_the_database(&client, journal.newest).await);
    drop(client);
    let server = chaos.server.take().unwrap();
    tokio::task::spawn_blocking(|| server.end()).await.unwrap();
    assert!(faults.is_empty(), "seed {seed}:\n{}\n{}", faults.join("\n"), chaos.story.join("\n"));
    if time >= LONG {
        assert!(naive_lost > 0, "a naive reader has lost nothing: this run could not have failed");
    }
}
