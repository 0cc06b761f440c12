//! The writes of the relay: scripts, each of which checks in one step with its write that this node may write.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::error::RelayError;
use super::redis_link::{EVENTS, HOLDER, LISTS, REPORT, within_limit};

/// How long the lease stays with its holder after its last write. Another node takes over within twice this time.
pub(super) const LEASE: Duration = Duration::from_secs(1);

const APPEND: &str = include_str!("append.lua");
const TELL: &str = include_str!("tell.lua");

/// A connection over which the relay of one node writes.
pub(super) struct Writer {
    connection: MultiplexedConnection,
    append: String,
    tell: String,
    /// The name under which this node holds the lease; another one for each connection.
    name: String,
}

/// A number of newest entries, and the oldest seq that is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    pub(super) entries: usize,
    pub(super) from: i64,
}

impl Writer {
    pub(super) async fn new(mut connection: MultiplexedConnection, name: String) -> Result<Self, RelayError> {
        let append = within_limit(load(&mut connection, APPEND)).await?;
        let tell = within_limit(load(&mut connection, TELL)).await?;
        Ok(Self { connection, append, tell, name })
    }

    /// Takes the lease, if nobody holds it.
    pub(super) async fn take(&mut self) -> Result<bool, RelayError> {
        let mut set = redis::cmd("SET");
        set.arg(HOLDER).arg(&self.name).arg("NX").arg("PX").arg(milliseconds(LEASE));
        let set: Option<String> = within_limit(set.query_async(&mut self.connection)).await?;
        Ok(set.is_some())
    }

    /// Gives the lease back, so that another node need not wait for the end of the lease.
    pub(super) async fn give_back(&mut self) -> Result<(), RelayError> {
        let mine = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end";
        let mut eval = redis::cmd("EVAL");
        eval.arg(mine).arg(1).arg(HOLDER).arg(&self.name);
        within_limit(eval.query_async(&mut self.connection)).await
    }

    /// The id and the text of the newest entry.
    pub(super) async fn newest(&mut self) -> Result<Option<(String, Vec<u8>)>, RelayError> {
        let mut range = redis::cmd("XREVRANGE");
        range.arg(EVENTS).arg("+").arg("-").arg("COUNT").arg(1);
        let found: Vec<(String, Vec<Vec<u8>>)> = within_limit(range.query_async(&mut self.connection)).await?;
        Ok(found.into_iter().next().map(|(id, fields)| (id, fields.into_iter().nth(1).unwrap_or_default())))
    }

    /// How much memory the events take.
    pub(super) async fn memory(&mut self) -> Result<u64, RelayError> {
        let mut usage = redis::cmd("MEMORY");
        usage.arg("USAGE").arg(EVENTS);
        let bytes: Option<u64> = within_limit(usage.query_async(&mut self.connection)).await?;
        Ok(bytes.unwrap_or_default())
    }

    /// Drops all events, since they are of another history, or of a time too long ago.
    pub(super) async fn drop_events(&mut self) -> Result<(), RelayError> {
        let mine = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'taken'} end redis.call('DEL', KEYS[2]) return {'ok'}";
        let mut eval = redis::cmd("EVAL");
        eval.arg(mine).arg(2).arg(HOLDER).arg(EVENTS).arg(&self.name);
        written(within_limit(eval.query_async(&mut self.connection)).await?, "")
    }

    /// Appends entries after the one that is expected to be the newest.
    pub(super) async fn append(
        &mut self,
        expected: &str,
        keep: Keep,
        entries: &[(String, Vec<u8>)],
    ) -> Result<(), RelayError> {
        let Self { connection, append, name, .. } = self;
        let mut command = command(append, &[HOLDER, EVENTS]);
        command.arg(&*name).arg(milliseconds(LEASE)).arg(expected).arg(keep.entries).arg(keep.from);
        for (id, text) in entries {
            command.arg(id).arg(text);
        }
        written(within_limit(command.query_async(connection)).await?, expected)
    }

    /// Renews the lease, and tells what is not empty: the report, and a text for each list.
    pub(super) async fn tell(&mut self, report: &[u8], lists: &[Vec<u8>; LISTS.len()]) -> Result<(), RelayError> {
        let Self { connection, tell, name, .. } = self;
        let mut command = command(tell, &[HOLDER, REPORT, LISTS[0], LISTS[1]]);
        command.arg(&*name).arg(milliseconds(LEASE)).arg(report);
        for list in lists {
            command.arg(list);
        }
        written(within_limit(command.query_async(connection)).await?, "")
    }
}

/// True if Redis has forgotten a script: it was restarted. The next connection loads it again.
pub(super) fn is_forgotten(error: &RelayError) -> bool {
    matches!(error, RelayError::Redis(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
}

async fn load(connection: &mut MultiplexedConnection, script: &str) -> Result<String, RedisError> {
    redis::cmd("SCRIPT").arg("LOAD").arg(script).query_async(connection).await
}

fn command(hash: &str, keys: &[&str]) -> redis::Cmd {
    let mut command = redis::cmd("EVALSHA");
    command.arg(hash).arg(keys.len()).arg(keys);
    command
}

/// Reads the answer of a script.
fn written(answer: Vec<String>, expected: &str) -> Result<(), RelayError> {
    let mut answer = answer.into_iter();
    match (answer.next().as_deref(), answer.next()) {
        (Some("ok"), _) => Ok(()),
        (Some("moved"), found) => {
            Err(RelayError::Moved { expected: expected.to_owned(), found: found.unwrap_or_default() })
        }
        _ => Err(RelayError::TakenOver),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
