//! The writers: everything that a transaction can do to the journal, and every way in which one can end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::SinkExt;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, SimpleQueryMessage};

use super::dice::Dice;
use super::ledger::{Fate, Ledger};
use crate::support::connector;

/// How long a piece of work may take before its connection is given up.
const LIMIT: Duration = Duration::from_secs(30);
/// When a statement whose answer was lost has surely been carried out, if it ever is.
const SETTLED: Duration = Duration::from_secs(3);
/// Below `max_prepared_transactions`.
const MOST_PREPARED: usize = 40;

/// What the writers, the resolvers and the chaos share.
pub(crate) struct Shared {
    pub(crate) url: String,
    pub(crate) ledger: Ledger,
    pub(crate) stop: AtomicBool,
    /// No transaction may hold the stream for long, so that one can see what else does.
    pub(crate) calm: AtomicBool,
    /// Nothing may commit: every piece of work rolls back.
    pub(crate) futile: AtomicBool,
    /// Long transactions in flight.
    pub(crate) long: AtomicU64,
    pub(crate) gids: Mutex<HashMap<String, Prepared>>,
}

/// A prepared transaction, as far as its writer knows.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    work: u32,
    rows: u32,
    /// Whether the PREPARE was acknowledged. Then it must be there until somebody ends it.
    sure: bool,
    due: Instant,
}

impl Shared {
    pub(crate) fn new(url: &str) -> Arc<Self> {
        Arc::new(Self {
            url: url.to_owned(),
            ledger: Ledger::default(),
            stop: AtomicBool::new(false),
            calm: AtomicBool::new(false),
            futile: AtomicBool::new(false),
            long: AtomicU64::new(0),
            gids: Mutex::default(),
        })
    }

    fn is(&self, flag: &AtomicBool) -> bool {
        flag.load(Ordering::SeqCst)
    }
}

/// How a piece of work failed.
#[derive(Debug)]
enum Failed {
    Postgres(Error),
    /// The writer has ended its own connection.
    Dropped,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Postgres(error)
    }
}

impl Failed {
    /// Whether the server has said that nothing came of the statement.
    fn is_refusal(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        error.as_db_error().is_some_and(|e| e.severity() == "ERROR")
    }
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    number: u64,
    dice: Dice,
    connection: Option<(Client, JoinHandle<()>)>,
}

/// One insert of so many rows.
fn insert(work: u32, rows: u64) -> String {
    format!(
        "insert into rowcast.events (type, payload) \
         select 'torture.row', jsonb_build_object('op', {work}, 'i', g) from generate_series(1, {rows}) g returning seq"
    )
}

fn one(work: u32) -> String {
    format!(r#"insert into rowcast.events (type, payload) values ('torture.row', '{{"op":{work}}}') returning seq"#)
}

/// Runs statements, and returns the seqs that they return.
async fn seqs(client: &Client, sql: &str) -> Result<Vec<i64>, Failed> {
    let answer = client.simple_query(sql).await?;
    let seq = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => row.get(0).and_then(|text| text.parse().ok()),
        _ => None,
    };
    Ok(answer.iter().filter_map(seq).collect())
}

/// Runs one statement, and returns how many rows it touched.
async fn touched(client: &Client, sql: &str) -> Result<u32, Failed> {
    Ok(u32::try_from(client.execute(sql, &[]).await?).unwrap())
}

impl Writer {
    pub(crate) fn new(shared: &Arc<Shared>, seed: u64, number: u64) -> Self {
        Self { shared: Arc::clone(shared), number, dice: Dice::new(seed, number), connection: None }
    }

    pub(crate) async fn run(mut self) {
        while !self.shared.is(&self.shared.stop) {
            let Some((client, carrier)) = self.connection.take() else {
                let url = format!("{}?application_name=torture_writer", self.shared.url);
                match connector(&url).connect().await {
                    Ok(connection) => self.connection = Some(connection),
                    Err(_) => tokio::time::sleep(self.dice.millis(2..30)).await,
                }
                continue;
            };
            let done = tokio::time::timeout(LIMIT, self.work(&client, &carrier)).await;
            match done {
                Ok(Ok(())) => self.connection = Some((client, carrier)),
                Ok(Err(Failed::Dropped)) => carrier.abort(),
                Ok(Err(Failed::Postgres(_))) => {
                    self.shared.ledger.errors.fetch_add(1, Ordering::Relaxed);
                    if !client.is_closed() && client.batch_execute("rollback; reset rowcast.bell").await.is_ok() {
                        self.connection = Some((client, carrier));
                    } else {
                        carrier.abort();
                    }
                }
                Err(_) => {
                    self.shared.ledger.errors.fetch_add(1, Ordering::Relaxed);
                    self.shared.ledger.timeouts.fetch_add(1, Ordering::Relaxed);
                    carrier.abort();
                }
            }
            if self.dice.one_in(3) {
                tokio::time::sleep(self.dice.millis(1..25)).await;
            }
        }
    }

    /// Enters what came of statements that commit at their end.
    fn enter(&self, work: u32, rows: u32, result: Result<Vec<i64>, Failed>) -> Result<(), Failed> {
        match result {
            Ok(seqs) => self.shared.ledger.committed(work, rows, &seqs),
            Err(failed) => {
                if failed.is_refusal() {
                    self.shared.ledger.set(work, Fate::RolledBack);
                }
                return Err(failed);
            }
        }
        Ok(())
    }

    /// Statements that commit by themselves.
    async fn at_once(&self, client: &Client, work: u32, rows: u32, sql: &str) -> Result<(), Failed> {
        self.shared.ledger.set(work, Fate::Unknown(rows));
        let result = seqs(client, sql).await;
        self.enter(work, rows, result)
    }

    /// The end of a transaction: its commit.
    async fn commit(&self, client: &Client, work: u32, rows: u32, told: Vec<i64>) -> Result<(), Failed> {
        self.shared.ledger.set(work, Fate::Unknown(rows));
        let result = seqs(client, "commit").await.map(|_| told);
        self.enter(work, rows, result)
    }

    async fn hold(&mut self) {
        let most = if self.shared.is(&self.shared.calm) { 100 } else { 300 };
        tokio::time::sleep(self.dice.millis(5..most)).await;
    }

    async fn work(&mut self, client: &Client, carrier: &JoinHandle<()>) -> Result<(), Failed> {
        let shared = Arc::clone(&self.shared);
        let ledger = &shared.ledger;
        let calm = shared.is(&shared.calm);
        if shared.is(&shared.futile) {
            let work = ledger.open("in vain");
            seqs(client, &format!("begin; {}; rollback", insert(work, self.dice.within(1..4)))).await?;
            tokio::time::sleep(self.dice.millis(1..5)).await;
            return Ok(());
        }
        match self.dice.within(0..100) {
            0..12 => {
                let work = ledger.open("single");
                self.at_once(client, work, 1, &one(work)).await
            }
            12..20 => {
                let work = ledger.open("multi-row");
                let rows = if self.dice.one_in(40) { 700 } else { self.dice.within(2..20) };
                self.at_once(client, work, u32::try_from(rows).unwrap(), &insert(work, rows)).await
            }
            20..28 => {
                let work = ledger.open("batch");
                let rows = self.dice.within(2..12);
                let mut told = seqs(client, "begin").await?;
                for _ in 0..rows {
                    told.extend(seqs(client, &one(work)).await?);
                }
                self.commit(client, work, u32::try_from(rows).unwrap(), told).await
            }
            28..40 => {
                let work = ledger.open("held");
                let told = seqs(client, &format!("begin; {}", insert(work, 2))).await?;
                self.hold().await;
                self.commit(client, work, 2, told).await
            }
            40..48 => {
                let work = ledger.open("rolled back");
                seqs(client, &format!("begin; {}", insert(work, 3))).await?;
                if self.dice.one_in(2) {
                    self.hold().await;
                }
                seqs(client, "rollback").await.map(drop)
            }
            48..56 => {
                let work = ledger.open("savepoint");
                let (kept, lost) = (one(work), insert(work, 4));
                // The seqs of the rows that are rolled back are not returned.
                let mut told = seqs(client, &format!("begin; {kept}; savepoint a")).await?;
                seqs(client, &format!("{lost}; rollback to savepoint a")).await?;
                if self.dice.one_in(2) {
                    self.hold().await;
                }
                told.extend(seqs(client, &kept).await?);
                self.commit(client, work, 2, told).await
            }
            56..62 => {
                let work = ledger.open("nested savepoints");
                let row = one(work);
                let mut told = seqs(client, &format!("begin; savepoint a; {row}; savepoint b")).await?;
                seqs(client, &format!("{row}; savepoint c; {row}; release savepoint c; rollback to savepoint b"))
                    .await?;
                told.extend(seqs(client, &format!("{row}; release savepoint a; {row}")).await?);
                self.commit(client, work, 3, told).await
            }
            62..65 => {
                let work = ledger.open("caught exception");
                let sql = format!(
                    "do $$ begin
                         begin perform set_config('a.b', 'c', true); insert into rowcast.events (type, payload)
                             values ('torture.row', '{{\"op\":{work}}}'); raise 'no';
                         exception when others then insert into rowcast.events (type, payload)
                             values ('torture.row', '{{\"op\":{work}}}'); end;
                     end $$"
                );
                self.at_once(client, work, 1, &sql).await
            }
            65..70 if !calm => self.prepare(client).await,
            65..74 => {
                let work = ledger.open("copy");
                let rows = self.dice.within(1..60);
                let result = async {
                    let sql = "copy rowcast.events (type, payload) from stdin";
                    let mut sink = Box::pin(client.copy_in::<_, Bytes>(sql).await?);
                    for i in 0..rows {
                        let line = format!("torture.row\t{{\"op\": {work}, \"i\": {i}}}\n");
                        sink.send(Bytes::from(line)).await?;
                    }
                    ledger.set(work, Fate::Unknown(u32::try_from(rows).unwrap()));
                    sink.as_mut().finish().await?;
                    Ok(Vec::new())
                };
                let result = result.await;
                self.enter(work, u32::try_from(rows).unwrap(), result)
            }
            74..82 => self.table(client).await,
            82..86 => self.append_once(client).await,
            86..88 => {
                let work = ledger.open("terminated");
                seqs(client, &format!("begin; {}", insert(work, 2))).await?;
                seqs(client, "select null from pg_terminate_backend(pg_backend_pid()); select 1").await.map(drop)
            }
            88..90 => {
                let work = ledger.open("dropped");
                seqs(client, &format!("begin; {}", insert(work, 2))).await?;
                carrier.abort();
                Err(Failed::Dropped)
            }
            90..95 => {
                let work = ledger.open("bell off");
                seqs(client, "set rowcast.bell = 'off'").await?;
                self.at_once(client, work, 1, &one(work)).await?;
                seqs(client, "reset rowcast.bell").await.map(drop)
            }
            95..98 => {
                let work = ledger.open("serializable");
                let sql = format!("begin isolation level serializable; {}", insert(work, 2));
                let told = seqs(client, &sql).await?;
                self.commit(client, work, 2, told).await
            }
            _ => {
                let long = !calm && self.dice.one_in(4) && shared.long.fetch_add(1, Ordering::SeqCst) == 0;
                if !long {
                    let work = ledger.open("single");
                    return self.at_once(client, work, 1, &one(work)).await;
                }
                let work = ledger.open("long");
                let told = seqs(client, &format!("begin; {}", one(work))).await;
                tokio::time::sleep(self.dice.millis(1000..3000)).await;
                let ended = match told {
                    Ok(told) => self.commit(client, work, 1, told).await,
                    Err(failed) => Err(failed),
                };
                shared.long.store(0, Ordering::SeqCst);
                ended
            }
        }
    }

    /// A published table: the events are told at commit. Each carries the number of the work that changed the row.
    async fn table(&mut self, client: &Client) -> Result<(), Failed> {
        let shared = Arc::clone(&self.shared);
        let ledger = &shared.ledger;
        let number = self.number;
        if self.dice.one_in(60) {
            // It waits for whoever has written the table, and everyone else then waits for it.
            ledger.open("truncate");
            let sql = "set lock_timeout = '100ms'; truncate torture.things; reset lock_timeout";
            let result = seqs(client, sql).await;
            ledger.truncated.fetch_add(u64::from(result.is_ok()), Ordering::Relaxed);
            seqs(client, "reset lock_timeout").await?;
            return Ok(());
        }
        let work = ledger.open("table");
        seqs(client, "begin").await?;
        let sql = format!("insert into torture.things (writer, op) select {number}, {work} from generate_series(1, 3)");
        let mut rows = touched(client, &sql).await?;
        if self.dice.one_in(2) {
            // An update that changes nothing is no event.
            let sql = format!("update torture.things set op = {work} where writer = {number} and op <> {work}");
            rows += touched(client, &sql).await?;
        }
        if self.dice.one_in(2) {
            self.hold().await;
        }
        if self.dice.one_in(3) {
            let sql = format!("update torture.things set op = {work} where writer = {number} and op <> {work}");
            rows += touched(client, &sql).await?;
            rows += touched(client, &format!("delete from torture.things where writer = {number}")).await?;
        }
        if self.dice.one_in(5) {
            return seqs(client, "rollback").await.map(drop);
        }
        self.commit(client, work, rows, Vec::new()).await
    }

    /// With a key: whatever becomes of the connection, the event is there once.
    async fn append_once(&mut self, client: &Client) -> Result<(), Failed> {
        let ledger = &self.shared.ledger;
        let work = ledger.open("dedupe key");
        let sql = format!(
            "select rowcast.append_event('torture.once', '{{\"op\":{work}}}', dedupe_key => 'work {work}') as seq"
        );
        let first = self.at_once(client, work, 1, &sql).await;
        let ambiguous = first.as_ref().is_err_and(|failed| !failed.is_refusal());
        if !ambiguous && !self.dice.one_in(4) {
            return first;
        }
        loop {
            let Ok((client, _carrier)) = connector(&self.shared.url).connect().await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            if let Ok(told) = seqs(&client, &sql).await {
                ledger.committed(work, 1, &told);
                return first;
            }
        }
    }

    async fn prepare(&mut self, client: &Client) -> Result<(), Failed> {
        let shared = Arc::clone(&self.shared);
        let ledger = &shared.ledger;
        if shared.gids.lock().unwrap().len() >= MOST_PREPARED {
            return Ok(());
        }
        let work = ledger.open("prepared");
        let gid = format!("work {work}");
        let (rows, sql) = if self.dice.one_in(3) {
            let number = self.number + 1000;
            (2, format!("insert into torture.things (writer, op) values ({number}, {work}), ({number}, {work})"))
        } else {
            (3, insert(work, 3))
        };
        seqs(client, &format!("set rowcast.bell = 'off'; begin; {sql}")).await?;
        let most = if self.dice.one_in(10) { 4000 } else { 400 };
        let due = Instant::now() + self.dice.millis(5..most);
        let prepared = Prepared { work, rows, sure: false, due };
        ledger.set(work, Fate::Unknown(rows));
        shared.gids.lock().unwrap().insert(gid.clone(), prepared);
        match seqs(client, &format!("prepare transaction '{gid}'")).await {
            Ok(_) => {
                ledger.prepared.fetch_add(1, Ordering::Relaxed);
                if let Some(prepared) = shared.gids.lock().unwrap().get_mut(&gid) {
                    prepared.sure = true;
                }
            }
            Err(failed) => {
                if failed.is_refusal() {
                    shared.gids.lock().unwrap().remove(&gid);
                    ledger.set(work, Fate::RolledBack);
                }
                return Err(failed);
            }
        }
        seqs(client, "reset rowcast.bell").await.map(drop)
    }
}

/// Ends what others have prepared, from a session of its own, until told to stop and nothing is left.
pub(crate) async fn resolve(shared: Arc<Shared>, seed: u64, number: u64) {
    let mut dice = Dice::new(seed, number);
    let mut connection: Option<(Client, JoinHandle<()>)> = None;
    loop {
        let now = Instant::now();
        let taken = {
            let mut gids = shared.gids.lock().unwrap();
            let stopping = shared.is(&shared.stop);
            // One that was sent and not answered is left alone until the server has surely answered it.
            let ripe = |p: &Prepared| if p.sure { stopping || p.due <= now } else { p.due + SETTLED <= now };
            let gid = gids.iter().find(|(_, p)| ripe(p)).map(|(gid, _)| gid.clone());
            if gid.is_none() && gids.is_empty() && stopping {
                return;
            }
            gid.and_then(|gid| gids.remove_entry(&gid))
        };
        let Some((gid, prepared)) = taken else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let commit = !dice.one_in(3);
        let sql = format!("{} prepared '{gid}'", if commit { "commit" } else { "rollback" });
        let mut tried = false;
        loop {
            let Some((client, _)) = connection.as_ref().filter(|(client, _)| !client.is_closed()) else {
                let url = format!("{}?application_name=torture_resolver", shared.url);
                match connector(&url).connect().await {
                    Ok(new) => connection = Some(new),
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
                continue;
            };
            let gone = match client.batch_execute(&sql).await {
                Ok(()) => false,
                Err(error) if error.code() == Some(&SqlState::UNDEFINED_OBJECT) => true,
                Err(error) => {
                    // Busy: the session that prepares it has not let go of it yet.
                    tried |= error.as_db_error().is_none_or(|e| e.severity() != "ERROR");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            };
            assert!(!gone || tried || !prepared.sure, "{gid} was prepared, and is gone");
            match (gone && !prepared.sure, commit) {
                (true, _) => {}
                (false, true) => shared.ledger.committed(prepared.work, prepared.rows, &[]),
                (false, false) => shared.ledger.set(prepared.work, Fate::RolledBack),
            }
            break;
        }
    }
}
