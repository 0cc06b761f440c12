//! `rowcast verify`: holds what the stream delivers against what the table holds, event by event.
//!
//! The stream comes through the tail's own code and its pages, on connections of its own; the table by plain SQL that
//! shares no code with it. Both are walked in step, a page at a time, so memory does not grow with the journal. Writers
//! go on meanwhile: only what is at or below a safe head is compared, and there the table must never change again.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{self, Context, SHA256};
use clap::ArgMatches;
use postgres_types::Type;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{Failure, output};
use crate::config::Source;
use crate::db::{Connector, Database, DatabaseUrl, Trouble};
use crate::journal::{Cursor, Level, StoredEvent};
use crate::shutdown::{Shutdown, Tasks};
use crate::tail::Tail;
use crate::tail::pages::{Limits, PageError, Pages, PostgresLoad, Seqs};

/// Memory for the pages of the stream.
const PAGE_BYTES: u64 = 64 << 20;
/// How long the tail may take to come to what was committed when this began. An open writer holds it back for longer.
const CATCH_UP: Duration = Duration::from_secs(10);
/// How many delivered events are remembered, 16 bytes each, to hold the table to them once more.
const LEDGER: usize = 1 << 20;
/// Rows of the table read at once for that.
const STEP: i64 = 512;
const DRAIN: Duration = Duration::from_secs(6);
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

const ROWS: &str = "\
    select seq, id, at, type, level, public_safe, symbol, trade_id, subject, owner, payload::text \
      from rowcast.events where seq > $1 and seq <= $2 order by seq limit $3";
const TRIMMED: &str = "select trimmed_through from rowcast.journal_state";
/// Not by reading the sequence's table, which every 32 numbers shows for a moment a number that nobody has drawn yet.
const LAST_VALUE: &str = "select coalesce(pg_sequence_last_value('rowcast.events_seq_seq'::regclass), 0)";
/// The sequence is read after the snapshot is taken, so a row that is being inserted meanwhile is no row beyond it.
const BEYOND: &str = "\
    select count(*), min(seq), (select coalesce(pg_sequence_last_value('rowcast.events_seq_seq'::regclass), 0)) \
      from rowcast.events \
     where seq > (select coalesce(pg_sequence_last_value('rowcast.events_seq_seq'::regclass), 0))";

/// The first place where stream and table are not the same.
#[derive(Debug, PartialEq, Eq)]
enum Difference {
    /// The table has what the stream passed over.
    NotDelivered(i64),
    /// The stream has what the table does not.
    NotInTable(i64),
    /// Both have it, and these columns differ.
    Content(i64, Vec<&'static str>),
    /// It was the same when it was delivered, and is not any more.
    Changed(i64),
    /// The stream went back, or stood still.
    Order(i64, i64),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDelivered(seq) => {
                write!(f, "at seq {seq}: the table has an event there that the stream did not deliver")
            }
            Self::NotInTable(seq) => write!(f, "at seq {seq}: the stream delivered an event that the table has not"),
            Self::Content(seq, columns) => {
                write!(f, "at seq {seq}: stream and table have another {}", columns.join(", "))
            }
            Self::Changed(seq) => write!(f, "at seq {seq}: the event was changed in the table after it was delivered"),
            Self::Order(seq, before) => write!(f, "at seq {seq}: the stream delivered it after seq {before}"),
        }
    }
}

/// Compares, and says how it went.
pub(super) async fn run(source: &Source, args: &ArgMatches) -> Result<(), Failure> {
    let cursor = args.get_one::<Option<Cursor>>("from").copied().flatten();
    let seconds = args.get_one::<u32>("seconds").copied().unwrap_or(0);
    let connector = Connector::new(DatabaseUrl::parse(&source.database_url()?)?)?;
    let (client, _carrier) = connector.connect().await.map_err(Trouble::from)?;
    let from = begin_after(&client, cursor).await?;

    let database = Database::new(connector.clone(), 2)?;
    let (pages, writer) = Pages::new(PostgresLoad::new(database.clone()), Seqs, Limits::within(PAGE_BYTES));
    let tail = Tail::new(connector, database.clone(), writer, None);
    let (shutdown, mut tasks) = (Shutdown::new(), Tasks::default());
    let mut status = tail.status();
    tasks.spawn("tail", tail.run(shutdown.clone()));

    // Not kept as it is: what it answers borrows the status, and the tail could not write there any more.
    let connected = tokio::time::timeout(CATCH_UP, status.wait_for(|s| s.connected)).await.is_ok_and(|s| s.is_ok());
    let compared = if connected {
        Comparison::new(client, pages, from).run(Duration::from_secs(seconds.into())).await
    } else {
        Err(Failure::Said("the tail cannot follow the journal here; the log above says why".to_owned()))
    };
    shutdown.cancel();
    tasks.drain(DRAIN).await;
    database.close();
    if compared? { Ok(()) } else { Err(Failure::Told) }
}

/// The seq after which to begin: that of the cursor, if this history holds it; none is the earliest.
async fn begin_after(client: &Client, cursor: Option<Cursor>) -> Result<i64, Failure> {
    let trimmed = number(client, TRIMMED).await?;
    let Some(cursor) = cursor else { return Ok(trimmed) };
    let seq = cursor.seq;
    if seq < trimmed {
        return Err(Failure::Said(format!("the cursor has expired: events through seq {trimmed} were trimmed")));
    }
    if cursor.tag.is_some() && seq > trimmed {
        let sql = "select id from rowcast.events where seq = $1";
        let row = client.query_typed(sql, &[(&seq, Type::INT8)]).await.map_err(Trouble::from)?;
        let id: Option<Uuid> = row.first().map(|row| row.try_get(0)).transpose().map_err(Trouble::from)?;
        if !id.is_some_and(|id| cursor.agrees_with(id)) {
            return Err(Failure::Said(format!("the cursor {cursor} is of another history than this database's")));
        }
    } else if seq > number(client, LAST_VALUE).await? {
        return Err(Failure::Said(format!("the cursor {cursor} is ahead of the journal")));
    }
    Ok(seq)
}

async fn number(client: &Client, sql: &str) -> Result<i64, Trouble> {
    Ok(client.query_typed_one(sql, &[]).await?.try_get(0)?)
}

/// The walk along both sides.
struct Comparison {
    client: Client,
    pages: Pages<Seqs>,
    epoch: u64,
    from: i64,
    /// Everything up to here was compared.
    cursor: i64,
    count: u64,
    stream: Context,
    table: Context,
    ledger: Ledger,
    progress: Progress,
}

/// What was delivered lately: every event after `after`, by seq, with a hash of all that it says.
struct Ledger {
    after: i64,
    events: Vec<(i64, u64)>,
}

impl Comparison {
    fn new(client: Client, pages: Pages<Seqs>, from: i64) -> Self {
        let (stream, table) = (Context::new(&SHA256), Context::new(&SHA256));
        let (epoch, ledger) = (pages.position().epoch, Ledger { after: from, events: Vec::new() });
        Self { client, pages, epoch, from, cursor: from, count: 0, stream, table, ledger, progress: Progress::new() }
    }

    /// Everything up to a safe head, and then what comes in so long a time. Whether all is the same.
    async fn run(mut self, follow: Duration) -> Result<bool, Failure> {
        let mut found = self.walk(follow).await?;
        if found.is_none() && !follow.is_zero() {
            // Nothing below a safe head may have changed since it was delivered.
            found = self.recheck(self.ledger.events.len()).await?;
        }
        self.progress.clear();
        let beyond = self.beyond().await?;
        let (stream, table) = (hex(&self.stream.finish()), hex(&self.table.finish()));
        output::print(&format!("compared   {} events, after seq {} up to {}", self.count, self.from, self.cursor));
        output::print(&format!("stream     sha256 {stream}"));
        output::print(&format!("table      sha256 {table}"));
        if let Some(difference) = &found {
            output::print(&format!("different  {difference}"));
        }
        if let Some(beyond) = &beyond {
            output::print(&format!("different  {beyond}"));
        }
        let same = found.is_none() && beyond.is_none() && stream == table;
        if same {
            output::print("equal      every event once, in order, with the same content");
        }
        Ok(same)
    }

    async fn walk(&mut self, follow: Duration) -> Result<Option<Difference>, Failure> {
        let bound = self.safe_head().await?;
        if let Some(found) = self.compare_to(bound, false).await? {
            return Ok(Some(found));
        }
        if follow.is_zero() {
            return Ok(None);
        }
        self.progress.clear();
        output::tell(&format!("everything up to seq {} is the same; following for {follow:?}", self.cursor));
        let end = tokio::time::Instant::now() + follow;
        let mut position = self.pages.subscribe();
        loop {
            let cursor = self.cursor;
            let more = position.wait_for(|p| p.head > cursor || p.epoch != self.epoch);
            let bound = match tokio::time::timeout_at(end, more).await {
                Ok(Ok(position)) => position.head,
                Ok(Err(_)) => return Err(Failure::Said("the tail has ended".to_owned())),
                Err(_time_is_over) => return Ok(None),
            };
            if let Some(found) = self.compare_to(bound, true).await? {
                return Ok(Some(found));
            }
        }
    }

    /// A head that covers what was committed when this was called, unless somebody's open transaction keeps it back.
    async fn safe_head(&self) -> Result<i64, Failure> {
        let wanted = number(&self.client, LAST_VALUE).await?;
        let mut position = self.pages.subscribe();
        let waited = tokio::time::timeout(CATCH_UP, position.wait_for(|p| p.head >= wanted)).await;
        if let Ok(Ok(position)) = waited {
            return Ok(position.head);
        }
        let head = self.pages.position().head;
        output::tell(&format!("the stream is held back at seq {head} of {wanted}: comparing up to there"));
        Ok(head)
    }

    async fn compare_to(&mut self, bound: i64, live: bool) -> Result<Option<Difference>, Failure> {
        while self.cursor < bound {
            let page = self.pages.page_after(self.cursor).await.map_err(|error| match error {
                PageError::Reset => another_history(),
                PageError::Load(trouble) => trouble.into(),
                PageError::Ended => Failure::Said(error.to_string()),
            })?;
            if page.epoch() != self.epoch || page.upto() <= self.cursor {
                return Err(another_history());
            }
            let upto = page.upto().min(bound);
            let delivered: Vec<&StoredEvent> =
                page.after(self.cursor).flat_map(|part| part.events()).take_while(|event| event.seq <= upto).collect();
            if let Some(found) = self.compare(&delivered, upto).await? {
                return Ok(Some(found));
            }
            self.cursor = upto;
            self.progress.show(self.count, self.cursor, bound);
            if self.ledger.events.len() >= LEDGER {
                let half = LEDGER / 2;
                if live && let Some(found) = self.recheck(half).await? {
                    return Ok(Some(found));
                }
                self.ledger.forget(half);
            }
        }
        Ok(None)
    }

    /// Compares one page with its range of the table. One row more than the page has is enough to find the first that
    /// differs.
    async fn compare(&mut self, delivered: &[&StoredEvent], upto: i64) -> Result<Option<Difference>, Failure> {
        let most = i64::try_from(delivered.len()).unwrap_or(i64::MAX).saturating_add(1);
        let held = rows(&self.client, self.cursor, upto, most).await?;
        let mut found = difference(self.cursor, delivered, &held);
        let mut kept = delivered;
        if found.is_some() {
            // Retention may have gone on since the page was read: what it took is missing on purpose.
            let trimmed = number(&self.client, TRIMMED).await?;
            if trimmed > self.cursor {
                kept = &delivered[delivered.partition_point(|event| event.seq <= trimmed)..];
                let held: Vec<_> = held.into_iter().filter(|event| event.seq > trimmed).collect();
                found = difference(self.cursor, kept, &held);
                if found.is_none() {
                    held.iter().for_each(|event| self.table.update(&fingerprint(event)));
                }
            }
        } else {
            held.iter().for_each(|event| self.table.update(&fingerprint(event)));
        }
        if found.is_none() {
            for event in kept {
                let fingerprint = fingerprint(event);
                self.stream.update(&fingerprint);
                self.ledger.events.push((event.seq, short(&fingerprint)));
                self.count += 1;
            }
        }
        Ok(found)
    }

    /// Reads the table again where the first `many` remembered events are.
    async fn recheck(&self, many: usize) -> Result<Option<Difference>, Failure> {
        let remembered = self.ledger.events.get(..many).unwrap_or_default();
        let whole = many == self.ledger.events.len();
        let end = if whole { self.cursor } else { remembered.last().map_or(self.ledger.after, |last| last.0) };
        let mut after = self.ledger.after;
        let mut left = remembered;
        while after < end {
            let held = rows(&self.client, after, end, STEP).await?;
            let full = i64::try_from(held.len()).unwrap_or(i64::MAX) >= STEP;
            let upto = held.last().filter(|_| full).map_or(end, |last| last.seq);
            let (now, later) = left.split_at(left.partition_point(|(seq, _)| *seq <= upto));
            if let Some(found) = changed(now, &held) {
                let trimmed = number(&self.client, TRIMMED).await?;
                let still = |seq: i64| seq > trimmed;
                let now: Vec<_> = now.iter().copied().filter(|(seq, _)| still(*seq)).collect();
                let held: Vec<_> = held.into_iter().filter(|event| still(event.seq)).collect();
                if trimmed <= after || changed(&now, &held).is_some() {
                    return Ok(Some(changed(&now, &held).unwrap_or(found)));
                }
            }
            (after, left) = (upto, later);
        }
        Ok(None)
    }

    /// Rows that no draw from the sequence accounts for: it will come to their numbers, and that insert will fail.
    async fn beyond(&self) -> Result<Option<String>, Failure> {
        let row = self.client.query_typed_one(BEYOND, &[]).await.map_err(Trouble::from)?;
        let values = (|| Ok::<_, tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))();
        let (count, first, last_value): (i64, Option<i64>, i64) = values.map_err(Trouble::from)?;
        Ok(first.map(|first| {
            format!("{count} rows beyond the sequence, which is at {last_value}: the first has seq {first}")
        }))
    }
}

impl Ledger {
    fn forget(&mut self, many: usize) {
        if let Some((seq, _)) = many.checked_sub(1).and_then(|last| self.events.get(last)) {
            self.after = *seq;
            self.events.drain(..many);
        }
    }
}

fn another_history() -> Failure {
    Failure::Said("the database became another one (restored, promoted) while it was compared".to_owned())
}

/// Not the statement that the pages are read by: a fault in that must show.
async fn rows(client: &Client, after: i64, upto: i64, most: i64) -> Result<Vec<StoredEvent>, Trouble> {
    let rows = client.query_typed(ROWS, &[(&after, Type::INT8), (&upto, Type::INT8), (&most, Type::INT8)]).await?;
    let event = |row: &tokio_postgres::Row| {
        let level: &str = row.try_get("level")?;
        Ok(StoredEvent {
            seq: row.try_get("seq")?,
            id: row.try_get("id")?,
            at: row.try_get("at")?,
            kind: row.try_get("type")?,
            level: Level::ALL.into_iter().find(|known| known.as_str() == level).unwrap_or(Level::Critical),
            public_safe: row.try_get("public_safe")?,
            symbol: row.try_get("symbol")?,
            trade_id: row.try_get("trade_id")?,
            subject: row.try_get("subject")?,
            owner: row.try_get("owner")?,
            payload: row.try_get("payload")?,
        })
    };
    Ok(rows.iter().map(event).collect::<Result<_, tokio_postgres::Error>>()?)
}

/// The first difference between what was delivered and what is held, both after the same seq and up to the same.
fn difference(after: i64, delivered: &[&StoredEvent], held: &[StoredEvent]) -> Option<Difference> {
    let mut before = after;
    let mut held = held.iter();
    for event in delivered {
        if event.seq <= before {
            return Some(Difference::Order(event.seq, before));
        }
        before = event.seq;
        match held.next() {
            None => return Some(Difference::NotInTable(event.seq)),
            Some(row) if row.seq < event.seq => return Some(Difference::NotDelivered(row.seq)),
            Some(row) if row.seq > event.seq => return Some(Difference::NotInTable(event.seq)),
            Some(row) if row != *event => return Some(Difference::Content(row.seq, columns_that_differ(event, row))),
            Some(_) => {}
        }
    }
    held.next().map(|row| Difference::NotDelivered(row.seq))
}

/// The same for what is only remembered.
fn changed(remembered: &[(i64, u64)], held: &[StoredEvent]) -> Option<Difference> {
    let mut held = held.iter();
    for (seq, hash) in remembered {
        match held.next() {
            None => return Some(Difference::NotInTable(*seq)),
            Some(row) if row.seq < *seq => return Some(Difference::NotDelivered(row.seq)),
            Some(row) if row.seq > *seq => return Some(Difference::NotInTable(*seq)),
            Some(row) if short(&fingerprint(row)) != *hash => return Some(Difference::Changed(*seq)),
            Some(_) => {}
        }
    }
    held.next().map(|row| Difference::NotDelivered(row.seq))
}

fn columns_that_differ(a: &StoredEvent, b: &StoredEvent) -> Vec<&'static str> {
    let all = [
        ("id", a.id != b.id),
        ("at", a.at != b.at),
        ("type", a.kind != b.kind),
        ("level", a.level != b.level),
        ("public_safe", a.public_safe != b.public_safe),
        ("symbol", a.symbol != b.symbol),
        ("trade_id", a.trade_id != b.trade_id),
        ("subject", a.subject != b.subject),
        ("owner", a.owner != b.owner),
        ("payload", a.payload != b.payload),
    ];
    all.into_iter().filter(|(_, differs)| *differs).map(|(column, _)| column).collect()
}

/// A hash of all that an event says; each text goes in with its length, so that none runs into the next.
fn fingerprint(event: &StoredEvent) -> [u8; 32] {
    let mut hash = Context::new(&SHA256);
    hash.update(&event.seq.to_be_bytes());
    hash.update(event.id.as_bytes());
    hash.update(&event.at.unix_timestamp_nanos().to_be_bytes());
    hash.update(&[u8::from(event.public_safe)]);
    let trade = event.trade_id.map(|id| id.to_string());
    let texts = [
        Some(&event.kind),
        event.symbol.as_ref(),
        trade.as_ref(),
        event.subject.as_ref(),
        event.owner.as_ref(),
        Some(&event.payload),
    ];
    for text in texts {
        // A text that is not there is not an empty one.
        hash.update(&text.map_or(u64::MAX, |text| text.len() as u64).to_be_bytes());
        hash.update(text.map_or(&[], |text| text.as_bytes()));
    }
    hash.update(event.level.as_str().as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.finish().as_ref());
    bytes
}

fn short(fingerprint: &[u8; 32]) -> u64 {
    fingerprint.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

fn hex(digest: &digest::Digest) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A line that is written over, for somebody who watches.
struct Progress {
    shown: Option<Instant>,
    terminal: bool,
}

impl Progress {
    fn new() -> Self {
        Self { shown: None, terminal: std::io::stderr().is_terminal() }
    }

    fn show(&mut self, count: u64, seq: i64, bound: i64) {
        if self.terminal && self.shown.is_none_or(|at| at.elapsed() >= PROGRESS_EVERY) {
            self.shown = Some(Instant::now());
            let _reader_gone = write!(std::io::stderr(), "\r\x1b[K{count} events the same, at seq {seq} of {bound}");
        }
    }

    fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _reader_gone = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: i64, payload: &str) -> StoredEvent {
        StoredEvent {
            seq,
            id: Uuid::nil(),
            at: time::OffsetDateTime::UNIX_EPOCH,
            kind: "a".to_owned(),
            level: Level::Info,
            public_safe: false,
            symbol: None,
            trade_id: None,
            subject: None,
            owner: None,
            payload: payload.to_owned(),
        }
    }

    #[test]
    fn the_first_difference_is_named_precisely() {
        let [a, b, c, b2] = [event(1, "1"), event(2, "2"), event(3, "3"), event(2, "x")];
        let held = [a.clone(), b.clone(), c.clone()];
        assert_eq!(difference(0, &[&a, &b, &c], &held), None);
        assert_eq!(difference(0, &[&a, &c], &held), Some(Difference::NotDelivered(2)));
        assert_eq!(difference(0, &[&a, &b], &held), Some(Difference::NotDelivered(3)));
        assert_eq!(difference(0, &[&a, &b, &c], &held[..2]), Some(Difference::NotInTable(3)));
        assert_eq!(difference(1, &[&b, &c], &held[2..]), Some(Difference::NotInTable(2)));
        assert_eq!(difference(0, &[&a, &b2, &c], &held), Some(Difference::Content(2, vec!["payload"])));
        assert_eq!(difference(0, &[&a, &b, &b], &held), Some(Difference::Order(2, 2)));
        assert_eq!(difference(1, &[&a], &held), Some(Difference::Order(1, 1)), "delivered again");
    }

    #[test]
    fn what_is_remembered_is_held_against_the_table() {
        let (a, b) = (event(1, "1"), event(2, "2"));
        let remembered = [&a, &b].map(|e| (e.seq, short(&fingerprint(e))));
        assert_eq!(changed(&remembered, &[a.clone(), b.clone()]), None);
        assert_eq!(changed(&remembered, &[a.clone(), event(2, "x")]), Some(Difference::Changed(2)));
        assert_eq!(changed(&remembered, std::slice::from_ref(&b)), Some(Difference::NotInTable(1)));
        assert_eq!(changed(&remembered[1..], &[a, b]), Some(Difference::NotDelivered(1)));
    }

    #[test]
    fn texts_do_not_run_into_each_other_in_the_checksum() {
        let with = |symbol: Option<&str>, subject: Option<&str>| {
            fingerprint(&StoredEvent {
                symbol: symbol.map(str::to_owned),
                subject: subject.map(str::to_owned),
                ..event(1, "{}")
            })
        };
        let all = [with(None, None), with(Some("a"), None), with(None, Some("a")), with(Some("ab"), Some("c"))];
        assert_ne!(with(Some("a"), Some("bc")), all[3]);
        for (i, one) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|other| other != one));
        }
    }
}
