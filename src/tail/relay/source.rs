//! The copy as an edge reads it: one connection, one blocking read for everything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;

use super::entry::{Entry, HistoryTag};
use super::error::RelayError;
use super::redis_link::{COMMAND_LIMIT, EVENTS, LISTS, REPORT, RedisLink, id_of};
use super::report::Report;
use crate::config::RelayConfig;
use crate::journal::{JournalIdentity, StoredEvent};

/// How long an edge goes without a report before it reads Postgres. The proof of the history in a report is up to a second old, and a node
/// is ready for two seconds after its last proof.
pub(in crate::tail) const PATIENCE: Duration = Duration::from_secs(1);

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
    lateness: Lateness,
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
    /// How much later than the quickest one the report has come.
    pub(in crate::tail) late_by: Duration,
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
        let connection = self.0.connect_for_reading().await?;
        let read = ["0-0", "$", "0-0", "0-0"].map(str::to_owned);
        let mut connection_of_report = connection.clone();
        let found = blocking_read(&mut connection_of_report, &[(REPORT, "$")], 1, PATIENCE).await?;
        let (id, sealed) = newest_of(found, REPORT).ok_or(RelayError::Silent(PATIENCE))?;
        let report = Report::decode(&self.0.seal.open(REPORT, &sealed)?)?;
        let tag = HistoryTag::of(&report.journal);
        let mut lateness = Lateness::new();
        lateness.of(&id);
        let mut reader = Reader { link: Arc::clone(&self.0), connection, read, tag, lateness };
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

    fn take(&mut self, arrival: &mut Arrival, key: &str, id: &str, sealed: &[u8]) -> Result<(), RelayError> {
        let list = LISTS.iter().position(|list| *list == key);
        if key == EVENTS {
            let Entry { event, previous, history } = self.link.open_event(id, sealed)?;
            if history != self.tag {
                return Err(RelayError::OtherHistory);
            }
            arrival.events.push(Arrived { event, previous });
        } else if key == REPORT {
            arrival.report = Some(Report::decode(&self.link.seal.open(REPORT, sealed)?)?);
            arrival.late_by = self.lateness.of(id);
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

/// How late reports come: the id of an entry is the time at which it was written, by the clock of Redis. A link that is too slow for the
/// events shows nothing else, as reports still come one after the other.
#[derive(Debug)]
struct Lateness {
    since: Instant,
    /// The least difference between the clock of this node and an id, in milliseconds: that of the quickest report.
    least: i64,
}

impl Lateness {
    fn new() -> Self {
        Self { since: Instant::now(), least: i64::MAX }
    }

    /// How much later than the quickest one a report has come that comes now.
    fn of(&mut self, id: &str) -> Duration {
        let written = id.split_once('-').and_then(|(millis, _)| millis.parse::<i64>().ok());
        let now = i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX);
        let difference = now.saturating_sub(written.unwrap_or_default());
        self.least = self.least.min(difference);
        Duration::from_millis(u64::try_from(difference.saturating_sub(self.least)).unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_late_by_as_much_as_it_took_longer_than_the_quickest_one() {
        let mut lateness = Lateness::new();
        assert_eq!(lateness.of("5000-0"), Duration::ZERO);
        // Written three seconds before the other one, and here at the same time.
        assert!(lateness.of("2000-3") >= Duration::from_secs(3));
        assert_eq!(lateness.of("9000-0"), Duration::ZERO, "it was quicker");
        assert!(lateness.of("5000-1") >= Duration::from_secs(4));
    }
}
