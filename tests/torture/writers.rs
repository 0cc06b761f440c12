//! The writers: everything that a transaction can do to the journal, and every way in which one can end.

mod prepared_transactions;
mod transactions;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Error, SimpleQueryMessage};

pub(crate) use self::prepared_transactions::resolve;
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
        let calm = self.shared.is(&self.shared.calm);
        if self.shared.is(&self.shared.futile) {
            return self.in_vain(client).await;
        }
        match self.dice.within(0..100) {
            0..12 => self.single(client).await,
            12..20 => self.multi_row(client).await,
            20..28 => self.batch(client).await,
            28..40 => self.held(client).await,
            40..48 => self.rolled_back(client).await,
            48..56 => self.savepoint(client).await,
            56..62 => self.nested_savepoints(client).await,
            62..65 => self.caught_exception(client).await,
            65..70 if !calm => self.prepare(client).await,
            65..74 => self.copy(client).await,
            74..82 => self.table(client).await,
            82..86 => self.append_once(client).await,
            86..88 => self.terminated(client).await,
            88..90 => self.dropped(client, carrier).await,
            90..95 => self.bell_off(client).await,
            95..98 => self.serializable(client).await,
            _ => self.long(client, calm).await,
        }
    }
}
