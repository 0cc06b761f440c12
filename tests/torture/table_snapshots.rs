//! Live tables under torture: writers that do everything to two tables joined by a foreign key, and snapshots at random moments, from a
//! server that is killed again and again and from a second node. Rows plus events must be the tables, and each later snapshot.

mod table_writers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rowcast::auth::Role;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use super::dice::Dice;
use super::setting;
use crate::stream::ws::token;
use crate::support::raw_http::get_chunked;
use crate::support::restarted_server::RestartedServer;
use crate::support::{TestServer, connect, migrated_database};
use table_writers::write;

const WRITERS: u64 = 12;
const TABLES: [&str; 2] = ["shop.orders", "shop.items"];
const SETUP: &str = "
    create schema shop;
    create table shop.orders (id int primary key, customer text, status text not null, total numeric(12,2), note text);
    create table shop.items (id int, order_id int not null references shop.orders on update cascade on delete cascade,
                             pieces int, primary key (id, order_id));
    select rowcast.publish('shop.orders', owner_column => 'customer');
    select rowcast.publish('shop.items')";

/// The rows of one table by what names them, as texts of JSON.
type Rows = BTreeMap<String, String>;

/// Both tables at one moment of the stream.
#[derive(Debug, Clone)]
struct Seen {
    cursor: i64,
    tables: [Rows; 2],
}

/// An event of a published table.
struct Event {
    seq: i64,
    table: usize,
    word: String,
    subject: Option<String>,
    payload: String,
}

fn seq_of(cursor: &Value) -> i64 {
    cursor.as_str().unwrap().split('.').next().unwrap().parse().unwrap()
}

impl Seen {
    /// A snapshot by one request, in one of the two forms.
    async fn read(place: &str, lines: bool, swapped: bool, more: &str) -> Option<Self> {
        let [first, second] = if swapped { [TABLES[1], TABLES[0]] } else { TABLES };
        let path = format!("/v1/snapshot?table={first}&table={second}{more}");
        let bearer = format!("Bearer {}", token(Role::Admin, "torture"));
        let mut headers = vec![("authorization", bearer.as_str())];
        if lines {
            headers.push(("accept", "application/x-ndjson"));
        }
        let answer = get_chunked(place, &path, &headers).await;
        if answer.status != 200 {
            // The server was killed, or has just come back.
            assert!(matches!(answer.status, 0 | 503), "{answer:?}");
            return None;
        }
        Some(if lines { Self::of_lines(&answer.body)? } else { Self::of_json(&answer.json()) })
    }

    fn add(&mut self, table: &Value, row: &Value) {
        let table = TABLES.iter().position(|name| table == name).unwrap();
        let twice = self.tables[table].insert(row["subject"].as_str().unwrap().to_owned(), row["payload"].to_string());
        assert_eq!(twice, None, "a row comes twice: {row}");
    }

    fn of_json(answer: &Value) -> Self {
        let mut seen = Self { cursor: seq_of(&answer["cursor"]), tables: Default::default() };
        for table in answer["tables"].as_array().unwrap() {
            for row in table["rows"].as_array().unwrap() {
                seen.add(&table["table"], row);
            }
        }
        seen
    }

    /// Without its last line a snapshot is not complete.
    fn of_lines(answer: &str) -> Option<Self> {
        let mut seen = Self { cursor: -1, tables: Default::default() };
        for line in answer.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            match line.get("cursor") {
                Some(cursor) => seen.cursor = seq_of(cursor),
                None => seen.add(&line["table"], &line),
            }
        }
        (seen.cursor >= 0).then_some(seen)
    }

    /// What a naive reader does: the rows in one transaction, and the safe head behind them.
    async fn naive(client: &Client) -> Result<Self, Error> {
        let mut tables = [Rows::new(), Rows::new()];
        client.batch_execute("begin isolation level repeatable read read only").await?;
        for (rows, sql) in tables.iter_mut().zip(AS_EVENTS) {
            *rows = rows_of(client, sql).await?;
        }
        client.batch_execute("commit").await?;
        let cursor = client.query_one("select rowcast.safe_head()", &[]).await?.get(0);
        Ok(Self { cursor, tables })
    }

    /// These tables after the events up to a seq.
    fn fold(&self, events: &[Event], upto: i64) -> [Rows; 2] {
        let mut tables = self.tables.clone();
        let first = events.partition_point(|event| event.seq <= self.cursor);
        for event in events[first..].iter().take_while(|event| event.seq <= upto) {
            let (rows, subject) = (&mut tables[event.table], event.subject.clone().unwrap_or_default());
            match event.word.as_str() {
                "truncated" => rows.clear(),
                "deleted" => drop(rows.remove(&subject)),
                _ => drop(rows.insert(subject, event.payload.clone())),
            }
        }
        tables
    }
}

/// The tables by plain SQL, in the form of their events.
const AS_EVENTS: [&str; 2] = [
    "select id::text, jsonb_build_object('id', id, 'customer', customer, 'status', status, 'total', total::text, 'note', note)::text
       from shop.orders",
    "select jsonb_build_array(id::text, order_id::text)::text,
            jsonb_build_object('id', id, 'order_id', order_id, 'pieces', pieces)::text from shop.items",
];

fn compact(json: &str) -> String {
    serde_json::from_str::<Value>(json).unwrap().to_string()
}

async fn rows_of(client: &Client, sql: &str) -> Result<Rows, Error> {
    let rows = client.query(sql, &[]).await?;
    Ok(rows.iter().map(|row| (row.get::<_, String>(0).replace(", ", ","), compact(row.get(1)))).collect())
}

async fn events_of(client: &Client) -> Vec<Event> {
    let sql = "select seq, type, subject, payload::text from rowcast.events where type like 'shop.%' order by seq";
    let events = client.query(sql, &[]).await.unwrap();
    let event = |row: &tokio_postgres::Row| {
        let (table, word) = row.get::<_, &str>(1).rsplit_once('.').unwrap();
        let table = TABLES.iter().position(|name| *name == table).unwrap();
        Event { seq: row.get(0), table, word: word.to_owned(), subject: row.get(2), payload: compact(row.get(3)) }
    };
    events.iter().map(event).collect()
}

/// Takes snapshots until it is told to stop: from the server that is killed and from the other one, by turns.
async fn snap(places: [String; 2], mut dice: Dice, stop: Arc<AtomicBool>, taken: Arc<AtomicU64>) -> Vec<Seen> {
    let mut all = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let place = &places[dice.index(2)];
        if let Some(seen) = Seen::read(place, dice.one_in(2), dice.one_in(2), "").await {
            taken.fetch_add(1, Ordering::SeqCst);
            all.push(seen);
        }
        tokio::time::sleep(dice.millis(0..40)).await;
    }
    all
}

/// Reads as a naive reader does until it is told to stop. It reads one table while somebody truncates them in the other order, and may be the
/// one that Postgres chooses to end the deadlock.
async fn read_naively(url: &str, stop: &AtomicBool) -> Vec<Seen> {
    let (client, mut all) = (connect(url).await, Vec::new());
    while !stop.load(Ordering::SeqCst) {
        match Seen::naive(&client).await {
            Ok(seen) => all.push(seen),
            Err(error) => {
                assert_eq!(error.code(), Some(&SqlState::T_R_DEADLOCK_DETECTED), "{error:?}");
                client.batch_execute("rollback").await.unwrap();
            }
        }
    }
    all
}

/// The pairs of snapshots of which the earlier one, folded to the cursor of the later one, is not the later one.
fn unequal(snapshots: &[Seen], events: &[Event]) -> Vec<String> {
    let pair = |two: &[Seen]| {
        let folded = two[0].fold(events, two[1].cursor);
        let differs = |table: usize| (folded[table] != two[1].tables[table]).then_some(TABLES[table]);
        let tables: Vec<_> = (0..2).filter_map(differs).collect();
        (!tables.is_empty()).then(|| format!("{tables:?} at {} from {}", two[1].cursor, two[0].cursor))
    };
    snapshots.windows(2).filter_map(pair).collect()
}

/// Kills a server and starts it again until enough snapshots were taken.
async fn kill_at_random(
    mut server: RestartedServer,
    mut dice: Dice,
    wanted: u64,
    taken: &AtomicU64,
    time: Duration,
) -> u32 {
    let (begun, mut kills) = (Instant::now(), 0);
    while taken.load(Ordering::SeqCst) < wanted || begun.elapsed() < time {
        assert!(
            begun.elapsed() < time + Duration::from_secs(300),
            "{} snapshots were taken",
            taken.load(Ordering::SeqCst)
        );
        tokio::time::sleep(dice.millis(500..2500)).await;
        server.kill();
        kills += 1;
        server.start();
        tokio::time::sleep(dice.millis(100..300)).await;
        server.tend();
    }
    kills
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_and_events_are_the_tables_whatever_writers_do_and_whichever_server_dies() {
    let (seconds, wanted) = (setting("TORTURE_SECONDS", 8), setting("TORTURE_SNAPSHOTS", 200));
    let seed = setting("TORTURE_SEED", getrandom::u64().unwrap() >> 16);
    eprintln!("live tables: seed {seed}, {WRITERS} writers, at least {wanted} snapshots and {seconds} s");
    let db = migrated_database().await;
    let client = db.client().await;
    client.batch_execute(SETUP).await.unwrap();
    let node = TestServer::ready(&db.url, &[]).await;
    let killed = RestartedServer::new(&db.url);
    let places = [killed.place.clone(), node.address().to_owned()];
    let (stop, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        writers.spawn(write(db.url.clone(), Dice::new(seed, number), Arc::clone(&stop)));
    }
    let snaps: Vec<_> = (0..3)
        .map(|number| {
            let dice = Dice::new(seed, 100 + number);
            tokio::spawn(snap(places.clone(), dice, Arc::clone(&stop), Arc::clone(&taken)))
        })
        .collect();
    let naive = read_naively(&db.url, &stop);
    let rage = async {
        let dice = Dice::new(seed, 200);
        let kills = kill_at_random(killed, dice, wanted, &taken, Duration::from_secs(seconds)).await;
        stop.store(true, Ordering::SeqCst);
        kills
    };
    let (mut naive, kills) = tokio::join!(naive, rage);
    let commits: u64 = writers.join_all().await.into_iter().sum();
    let mut snapshots = Vec::new();
    for snap in snaps {
        snapshots.extend(snap.await.unwrap());
    }
    let last = Seen::read(node.address(), false, false, "&sync=true").await.unwrap();
    let events = events_of(&client).await;
    for (table, sql) in AS_EVENTS.into_iter().enumerate() {
        assert_eq!(last.tables[table], rows_of(&client, sql).await.unwrap(), "the last snapshot of {}", TABLES[table]);
    }
    snapshots.push(last.clone());
    snapshots.sort_by_key(|seen| seen.cursor);
    naive.sort_by_key(|seen| seen.cursor);
    let (wrong, naive_wrong) = (unequal(&snapshots, &events), unequal(&naive, &events));
    eprintln!(
        "{commits} commits, {} events, {} snapshots, {kills} kills; {} naive readings, {} of them unequal",
        events.len(),
        snapshots.len(),
        naive.len(),
        naive_wrong.len()
    );
    assert_eq!(wrong, Vec::<String>::new(), "seed {seed}");
    assert!(snapshots.iter().all(|seen| seen.fold(&events, i64::MAX) == last.tables), "seed {seed}");
    assert!(!naive_wrong.is_empty(), "a naive reader was never wrong: this run could not have failed");
    node.stop().await.unwrap();
}
