//! The copy as an edge reads it: one connection, one blocking read for everything.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;

use super::entry::{Entry, HistoryTag};
use super::error::RelayError;
use super::redis_link::{COMMAND_LIMIT, EVENTS, LISTS, REPORT, RedisLink, id_of};
use super::report::Report;
use crate::config::RelayConfig;
use crate::journal::{JournalIdentity, StoredEvent};

/// How long an edge goes without a report before it reads Postgres.
pub(in crate::tail) const PATIENCE: Duration = Duration::from_secs(2);

/// A stream of one read: its key, and its entries, each an id with its fields.
type ReadStream = (String, Vec<(String, Vec<Vec<u8>>)>);

/// Where the copy is.
#[derive(Debug, Clone)]
pub struct Source(Arc<RedisLink>);

/// A connection of an edge to the copy.
#[derive(Debug)]
pub(in crate::tail) struct Reader {
    link: Arc<RedisLink>,
    connection: MultiplexedConnection,
    /// The ids up to which everything was read: events, report, lists.
    read: [String; 2 + LISTS.len()],
    tag: HistoryTag,
}

/// An event that has arrived, and the seq of the one before it.
#[derive(Debug)]
pub(in crate::tail) struct Arrived {
    pub(in crate::tail) event: StoredEvent,
    pub(in crate::tail) previous: i64,
}

/// Everything that one read has brought.
#[derive(Debug, Default)]
pub(in crate::tail) struct Arrival {
    /// In order. Those of another history end the read with an error.
    pub(in crate::tail) events: Vec<Arrived>,
    pub(in crate::tail) report: Option<Report>,
    /// Texts of lists, each with its place among the lists.
    pub(in crate::tail) lists: Vec<(usize, String)>,
}

impl Source {
    /// The copy that a configuration names.
    pub fn new(config: &RelayConfig) -> Result<Self, RelayError> {
        Ok(Self(Arc::new(RedisLink::new(config)?)))
    }

    /// Connects, and waits for the next report: only a report that was made after this call shows that a relay is at work.
    pub(in crate::tail) async fn open(&self) -> Result<(Reader, Report), RelayError> {
        let connection = self.0.connect().await?;
        let read = ["0-0", "$", "0-0", "0-0"].map(str::to_owned);
        let mut connection_of_report = connection.clone();
        let found = blocking_read(&mut connection_of_report, &[(REPORT, "$")], 1, PATIENCE).await?;
        let (id, sealed) = newest_of(found, REPORT).ok_or(RelayError::Silent(PATIENCE))?;
        let report = Report::decode(&self.0.seal.open(REPORT, &sealed)?)?;
        let tag = HistoryTag::of(&report.journal);
        let mut reader = Reader { link: Arc::clone(&self.0), connection, read, tag };
        reader.read[1] = id;
        Ok((reader, report))
    }
}

impl Reader {
    /// Events up to this seq are not wanted any more.
    pub(in crate::tail) fn skip_to(&mut self, seq: i64) {
        self.read[0] = id_of(seq);
    }

    /// Waits for anything new, but no longer than this; at most so many events.
    pub(in crate::tail) async fn next(&mut self, events: i64, wait: Duration) -> Result<Arrival, RelayError> {
        let streams =
            [(EVENTS, &*self.read[0]), (REPORT, &self.read[1]), (LISTS[0], &self.read[2]), (LISTS[1], &self.read[3])];
        let found = blocking_read(&mut self.connection, &streams, events, wait).await?;
        let mut arrival = Arrival::default();
        for (key, entries) in found {
            let newest = entries.last().map(|(id, _)| id.clone());
            for (id, fields) in entries {
                let sealed = fields.get(1).ok_or(RelayError::Garbled("an entry without its text"))?;
                self.take(&mut arrival, &key, &id, sealed)?;
            }
            if let (Some(newest), Some(at)) = (newest, place_of(&key)) {
                self.read[at] = newest;
            }
        }
        Ok(arrival)
    }

    fn take(&self, arrival: &mut Arrival, key: &str, id: &str, sealed: &[u8]) -> Result<(), RelayError> {
        let list = LISTS.iter().position(|list| *list == key);
        if key == EVENTS {
            let Entry { event, previous, history } = self.link.open_event(id, sealed)?;
            if history != self.tag {
                return Err(RelayError::OtherHistory);
            }
            arrival.events.push(Arrived { event, previous });
        } else if key == REPORT {
            arrival.report = Some(Report::decode(&self.link.seal.open(REPORT, sealed)?)?);
        } else if let Some(list) = list {
            let text = String::from_utf8(self.link.seal.open(key, sealed)?);
            arrival.lists.push((list, text.map_err(|_| RelayError::Garbled("a list"))?));
        }
        Ok(())
    }

    /// True if this is the history whose events are read.
    pub(in crate::tail) fn is_of(&self, journal: &JournalIdentity) -> bool {
        HistoryTag::of(journal) == self.tag
    }
}

fn place_of(key: &str) -> Option<usize> {
    [EVENTS, REPORT, LISTS[0], LISTS[1]].iter().position(|known| *known == key)
}

/// The newest entry of a stream: its id and its text.
fn newest_of(found: Vec<ReadStream>, key: &str) -> Option<(String, Vec<u8>)> {
    let (_, entries) = found.into_iter().find(|(found, _)| found == key)?;
    let (id, fields) = entries.into_iter().next_back()?;
    Some((id, fields.into_iter().nth(1)?))
}

async fn blocking_read(
    connection: &mut MultiplexedConnection,
    streams: &[(&str, &str)],
    count: i64,
    wait: Duration,
) -> Result<Vec<ReadStream>, RelayError> {
    let mut read = redis::cmd("XREAD");
    // A block of 0 would last for ever.
    read.arg("COUNT").arg(count).arg("BLOCK").arg(wait.as_millis().max(1).to_string()).arg("STREAMS");
    for (key, _) in streams {
        read.arg(key);
    }
    for (_, id) in streams {
        read.arg(id);
    }
    let limit = wait + COMMAND_LIMIT;
    match tokio::time::timeout(limit, read.query_async::<Option<Vec<ReadStream>>>(connection)).await {
        Ok(found) => Ok(found?.unwrap_or_default()),
        Err(_) => Err(RelayError::Late(limit)),
    }
}
