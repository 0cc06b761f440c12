//! The list of revoked subjects in the database, and how a node keeps up with it.
//!
//! The list is polled. A bell would not do: it can be lost (by a pooler, by a connection that breaks), and a second is too short
//! to notice that. While nothing changes, a look is one statement that returns a fingerprint alone. The next look sees a row
//! whichever way it was written: by the interface, the command, psql or a restore.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use postgres_types::{ToSql, Type};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::{Client, Error};

use super::RevokedSubjects;
use crate::db::{Connector, DatabaseError, Timestamp};
use crate::shared_list::{GivenList, SharedList, given_changed, given_now};
use crate::shutdown::Shutdown;

/// The time from the beginning of one look to that of the next. A revocation must hold within a second: the rest of the second
/// is for the look itself and for the closing of sessions.
const LOOK_INTERVAL: Duration = Duration::from_millis(400);
/// For so long after a look at the database what it found holds beside a given list, which may be older: for longer than the interval
/// of looks, and the time that a relay takes.
const OWN_HOLDS: Duration = Duration::from_secs(3);
/// A look that takes longer has failed, and so has its connection.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// Asks for every row, if the fingerprint of the list differs from the known one ($1); else for one row with the fingerprint
/// and no subject. The fingerprint is a sum, which needs no sort.
const LOOK_SQL: &str = "with listed as materialized (
         select subject, floor(extract(epoch from revoked_at))::bigint as second from rowcast.revocations),
     prints as (
         select count(*) || ' ' || coalesce(sum(hashtextextended(second || ' ' || subject, 0)), 0) as print from listed)
     select prints.print, listed.subject, listed.second
       from prints left join listed on prints.print is distinct from $1";

/// Moves a revocation to a later second: a token that was let in before it claims that second as its `iat`.
const MOVE_SQL: &str =
    "update rowcast.revocations set revoked_at = greatest(revoked_at, to_timestamp($2::bigint)) where subject = $1";

/// One revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The subject whose tokens are refused.
    pub subject: String,
    /// The time through which its tokens are refused, by their `iat`.
    pub revoked_at: OffsetDateTime,
    /// The subject that revoked.
    pub revoked_by: Option<String>,
    /// The reason, for people.
    pub reason: Option<String>,
}

impl Revocation {
    fn of(row: &tokio_postgres::Row) -> Result<Self, Error> {
        Ok(Self {
            subject: row.try_get(0)?,
            revoked_at: row.try_get::<_, Timestamp>(1)?.shown(),
            revoked_by: row.try_get(2)?,
            reason: row.try_get(3)?,
        })
    }
}

/// The longest reason, in bytes, as the table has it.
pub const MAX_REASON_BYTES: usize = 1000;

/// True if the table takes this as a reason.
pub fn is_reason(text: &str) -> bool {
    (1..=MAX_REASON_BYTES).contains(&text.len()) && !text.contains('\0')
}

/// Refuses every token of a subject that was issued until now. If the subject was revoked before, the later time counts.
pub async fn revoke(
    client: &Client,
    subject: &str,
    by: Option<&str>,
    reason: Option<&str>,
) -> Result<Revocation, Error> {
    let sql = "insert into rowcast.revocations as r (subject, revoked_by, reason)
               values ($1, coalesce($2, session_user::text), $3)
               on conflict (subject) do update
                   set revoked_at = greatest(r.revoked_at, excluded.revoked_at),
                       revoked_by = excluded.revoked_by, reason = excluded.reason
               returning subject, revoked_at, revoked_by, reason";
    let row = client.query_typed_one(sql, &[(&subject, Type::TEXT), (&by, Type::TEXT), (&reason, Type::TEXT)]).await?;
    Revocation::of(&row)
}

/// The revocations of the subjects after `after`, by subject, at most `limit`.
pub async fn list(client: &Client, after: &str, limit: i64) -> Result<Vec<Revocation>, Error> {
    let sql = "select subject, revoked_at, revoked_by, reason from rowcast.revocations
                where subject > $1 order by subject limit $2";
    let rows = client.query_typed(sql, &[(&after, Type::TEXT), (&limit, Type::INT8)]).await?;
    rows.iter().map(Revocation::of).collect()
}

/// Keeps a node's knowledge of the list.
#[derive(Debug)]
pub struct Follower {
    /// Makes a connection outside the pool, so that a busy pool does not delay the looks.
    connector: Connector,
    revoked: RevokedSubjects,
    connection: Option<(Client, JoinHandle<()>)>,
    /// The fingerprint of the known list; none if it was given.
    fingerprint: Option<String>,
    given: Option<GivenList>,
    /// The text of the list that was given last.
    taken: Option<Arc<str>>,
    /// The list of the last look at the database, and its moment, where lists are given too: a given one may be older.
    own: Option<(Instant, HashMap<Box<str>, i64>)>,
    /// The list as this node has read it from the database, for a relay.
    read: watch::Sender<Option<SharedList>>,
}

impl Follower {
    /// A follower that has not looked yet.
    pub fn new(connector: Connector, revoked: RevokedSubjects) -> Self {
        let (connection, fingerprint, given, taken, own) = (None, None, None, None, None);
        Self { connector, revoked, connection, fingerprint, given, taken, own, read: watch::Sender::default() }
    }

    /// This follower with a list that others read for it: while one is given, it does not ask the database, except after a
    /// revocation on this node.
    #[must_use]
    pub fn with_given(self, given: Option<GivenList>) -> Self {
        Self { given, ..self }
    }

    /// The list as it was read from the database last, for a relay.
    pub fn shared(&self) -> GivenList {
        self.read.subscribe()
    }

    /// Follows until the shutdown. While the database is away, the last known list goes on to hold.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut error = None;
        loop {
            if let Some(list) = given_now(&mut self.given) {
                let taken = self.take_given(list.text).await;
                log_change(&mut error, taken.as_ref().err());
                let own_ends = self.own.as_ref().map(|(looked_at, _)| *looked_at + OWN_HOLDS);
                tokio::select! {
                    () = given_changed(&mut self.given) => continue,
                    () = tokio::time::sleep_until(own_ends.unwrap_or_else(Instant::now)), if own_ends.is_some() => {
                        (self.own, self.taken) = (None, None);
                        continue;
                    }
                    () = self.revoked.hurried() => {}
                    () = shutdown.cancelled() => return,
                }
            }
            let next = Instant::now() + LOOK_INTERVAL;
            let looked = tokio::select! {
                looked = self.look() => looked,
                () = shutdown.cancelled() => return,
            };
            if looked.is_err() {
                self.connection = None;
            }
            log_change(&mut error, looked.as_ref().err());
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = given_changed(&mut self.given) => {}
                () = self.revoked.hurried() => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Takes a list that was given.
    async fn take_given(&mut self, text: Arc<str>) -> Result<(), DatabaseError> {
        if self.taken.as_ref().is_some_and(|taken| Arc::ptr_eq(taken, &text)) {
            return Ok(());
        }
        // The next look at the database reads all of it.
        self.fingerprint = None;
        self.connection = None;
        let mut list = match serde_json::from_str::<HashMap<Box<str>, i64>>(&text) {
            Ok(list) => list,
            Err(error) => {
                tracing::error!(%error, "the revocations that were relayed cannot be read");
                return Ok(());
            }
        };
        self.taken = Some(text);
        for (subject, second) in self.own.iter().flat_map(|(_, own)| own) {
            let known = list.entry(subject.clone()).or_insert(*second);
            *known = (*known).max(*second);
        }
        let subjects = list.len();
        let (closed, moved) = self.revoked.replace(list);
        tracing::info!(subjects, closed, "the list of revoked subjects is taken from the relay");
        if moved.is_empty() { Ok(()) } else { self.write_moved(&moved).await }
    }

    /// Writes revocations down that were moved to a later second.
    async fn write_moved(&mut self, moved: &[(Box<str>, i64)]) -> Result<(), DatabaseError> {
        let client = match &self.connection {
            Some((client, _)) => client,
            None => &self.connection.insert(self.connector.connect().await?).0,
        };
        for (subject, second) in moved {
            let known: [(&(dyn ToSql + Sync), Type); 2] = [(&&**subject, Type::TEXT), (second, Type::INT8)];
            let written = tokio::time::timeout(LOOK_LIMIT, client.execute_typed(MOVE_SQL, &known));
            written.await.map_err(|_| DatabaseError::Slow(LOOK_LIMIT))??;
        }
        Ok(())
    }

    /// Looks once, and takes what has changed.
    async fn look(&mut self) -> Result<(), DatabaseError> {
        let read_at = Instant::now();
        let client = match &self.connection {
            Some((client, _)) => client,
            None => &self.connection.insert(self.connector.connect().await?).0,
        };
        let known: [(&(dyn ToSql + Sync), Type); 1] = [(&self.fingerprint, Type::TEXT)];
        let asked = tokio::time::timeout(LOOK_LIMIT, client.query_typed(LOOK_SQL, &known));
        let rows = asked.await.map_err(|_| DatabaseError::Slow(LOOK_LIMIT))??;
        let Some(first) = rows.first() else { return Ok(()) };
        let fingerprint: String = first.try_get(0)?;
        if self.fingerprint.as_ref() == Some(&fingerprint) {
            self.own.iter_mut().for_each(|(looked_at, _)| *looked_at = read_at);
            self.read.send_modify(|read| read.iter_mut().for_each(|list| list.read_at = read_at));
            return Ok(());
        }
        let mut list: HashMap<Box<str>, i64> = HashMap::with_capacity(rows.len());
        for row in &rows {
            // An empty list is one row without a subject.
            if let Some(subject) = row.try_get::<_, Option<&str>>(1)? {
                list.insert(Box::from(subject), row.try_get(2)?);
            }
        }
        let subjects = list.len();
        let text = serde_json::to_string(&list).unwrap_or_default();
        self.own = self.given.is_some().then(|| (read_at, list.clone()));
        let (closed, moved) = self.revoked.replace(list);
        self.read.send_replace(Some(SharedList { read_at, text: Arc::from(text) }));
        self.write_moved(&moved).await?;
        (self.fingerprint, self.taken) = (Some(fingerprint), None);
        tracing::info!(subjects, closed, "the list of revoked subjects is read");
        Ok(())
    }
}

/// Logs when the error becomes another one, not at every look.
fn log_change(before: &mut Option<&'static str>, now: Option<&DatabaseError>) {
    let kind = now.map(DatabaseError::kind);
    match now {
        Some(error) if *before != kind => {
            tracing::warn!(reason = error.kind(), "revocations cannot be read, the last ones hold: {error}");
        }
        None if before.is_some() => tracing::info!("revocations can be read again"),
        _ => {}
    }
    *before = kind;
}
