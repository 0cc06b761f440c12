//! The list of revoked subjects in the database, and how a node keeps up with it.
//!
//! The list is polled. A bell would not do: it can be lost (by a pooler, by a connection that breaks), and a second is too short
//! to notice that. While nothing changes, a look is one statement that returns a fingerprint alone. The next look sees a row
//! whichever way it was written: by the interface, the command, psql or a restore.

use std::collections::HashMap;
use std::time::Duration;

use postgres_types::{ToSql, Type};
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::{Client, Error};

use super::RevokedSubjects;
use crate::db::{Connector, DatabaseError, Timestamp};
use crate::shutdown::Shutdown;

/// The time from the beginning of one look to that of the next. A revocation must hold within a second: the rest of the second
/// is for the look itself and for the closing of sessions.
const LOOK_INTERVAL: Duration = Duration::from_millis(400);
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
    fingerprint: Option<String>,
}

impl Follower {
    /// A follower that has not looked yet.
    pub fn new(connector: Connector, revoked: RevokedSubjects) -> Self {
        Self { connector, revoked, connection: None, fingerprint: None }
    }

    /// Follows until the shutdown. While the database is away, the last known list goes on to hold.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut error = None;
        loop {
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
                () = self.revoked.hurried() => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Looks once, and takes what has changed.
    async fn look(&mut self) -> Result<(), DatabaseError> {
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
            return Ok(());
        }
        let mut list = HashMap::with_capacity(rows.len());
        for row in &rows {
            // An empty list is one row without a subject.
            if let Some(subject) = row.try_get::<_, Option<&str>>(1)? {
                list.insert(Box::from(subject), row.try_get(2)?);
            }
        }
        let subjects = list.len();
        let (closed, moved) = self.revoked.replace(list);
        for (subject, second) in &moved {
            let known: [(&(dyn ToSql + Sync), Type); 2] = [(&&**subject, Type::TEXT), (second, Type::INT8)];
            let written = tokio::time::timeout(LOOK_LIMIT, client.execute_typed(MOVE_SQL, &known));
            written.await.map_err(|_| DatabaseError::Slow(LOOK_LIMIT))??;
        }
        self.fingerprint = Some(fingerprint);
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
