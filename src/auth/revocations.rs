//! The list of revoked subjects in the database, and how a node keeps up with it.
//!
//! It is polled and not listened to: a bell can be lost (by a pooler, by a connection that breaks), and a second is too
//! short to find that out and make up for it. One statement a look answers with a fingerprint alone while nothing changes,
//! and however a row comes to be there (the interface, the command, psql, a restore), the next look sees it.

use std::collections::HashMap;
use std::time::Duration;

use postgres_types::{ToSql, Type};
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::{Client, Error};

use super::Revoked;
use crate::db::{Connector, DatabaseError, Timestamp};
use crate::shutdown::Shutdown;

/// From the beginning of one look to the next. What lies between this and a second is for the look and for the closing.
const EVERY: Duration = Duration::from_millis(400);
/// A look that takes longer has failed, and so has its connection.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// Every row, if the fingerprint is not the one that is known; else one row with the fingerprint and no subject. A sum
/// needs no order, and so no sort.
const LOOK: &str = "with listed as materialized (
         select subject, floor(extract(epoch from revoked_at))::bigint as second from rowcast.revocations),
     prints as (
         select count(*) || ' ' || coalesce(sum(hashtextextended(second || ' ' || subject, 0)), 0) as print from listed)
     select prints.print, listed.subject, listed.second
       from prints left join listed on prints.print is distinct from $1";

/// A token of the subject was let in before the revocation and claims a later second: it was issued before all the same.
const MOVE: &str =
    "update rowcast.revocations set revoked_at = greatest(revoked_at, to_timestamp($2::bigint)) where subject = $1";

/// One revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Whose tokens.
    pub subject: String,
    /// Those that were issued until then.
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

/// Refuses every token of a subject that was issued until now. Once more, the later time counts.
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

/// The revocations of the subjects after one, in their order, at most so many.
pub async fn list(client: &Client, after: &str, limit: i64) -> Result<Vec<Revocation>, Error> {
    let sql = "select subject, revoked_at, revoked_by, reason from rowcast.revocations
                where subject > $1 order by subject limit $2";
    let rows = client.query_typed(sql, &[(&after, Type::TEXT), (&limit, Type::INT8)]).await?;
    rows.iter().map(Revocation::of).collect()
}

/// Keeps a node's knowledge of the list.
#[derive(Debug)]
pub struct Follower {
    /// A connection of its own: however busy the pool is, this goes on.
    connector: Connector,
    revoked: Revoked,
    line: Option<(Client, JoinHandle<()>)>,
    print: Option<String>,
}

impl Follower {
    /// One that has not looked yet.
    pub fn new(connector: Connector, revoked: Revoked) -> Self {
        Self { connector, revoked, line: None, print: None }
    }

    /// Follows until the shutdown. While the database is away, what was known last goes on to hold.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut error = None;
        loop {
            let next = Instant::now() + EVERY;
            let looked = tokio::select! {
                looked = self.look() => looked,
                () = shutdown.cancelled() => return,
            };
            if looked.is_err() {
                self.line = None;
            }
            tell_changes(&mut error, looked.as_ref().err());
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = self.revoked.hurried() => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Looks once, and takes what has changed.
    async fn look(&mut self) -> Result<(), DatabaseError> {
        let client = match &self.line {
            Some((client, _)) => client,
            None => &self.line.insert(self.connector.connect().await?).0,
        };
        let known: [(&(dyn ToSql + Sync), Type); 1] = [(&self.print, Type::TEXT)];
        let asked = tokio::time::timeout(LOOK_LIMIT, client.query_typed(LOOK, &known));
        let rows = asked.await.map_err(|_| DatabaseError::Slow(LOOK_LIMIT))??;
        let Some(first) = rows.first() else { return Ok(()) };
        let print: String = first.try_get(0)?;
        if self.print.as_ref() == Some(&print) {
            return Ok(());
        }
        let mut list = HashMap::with_capacity(rows.len());
        for row in &rows {
            // A row without a subject is what an empty list comes as.
            if let Some(subject) = row.try_get::<_, Option<&str>>(1)? {
                list.insert(Box::from(subject), row.try_get(2)?);
            }
        }
        let subjects = list.len();
        let (closed, moved) = self.revoked.replace(list);
        for (subject, second) in &moved {
            let known: [(&(dyn ToSql + Sync), Type); 2] = [(&&**subject, Type::TEXT), (second, Type::INT8)];
            let written = tokio::time::timeout(LOOK_LIMIT, client.execute_typed(MOVE, &known));
            written.await.map_err(|_| DatabaseError::Slow(LOOK_LIMIT))??;
        }
        self.print = Some(print);
        tracing::info!(subjects, closed, "the list of revoked subjects is read");
        Ok(())
    }
}

/// Logs when the error becomes another one, not at every look.
fn tell_changes(before: &mut Option<&'static str>, now: Option<&DatabaseError>) {
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
