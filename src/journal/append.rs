//! Appending: one event or a batch, in one round trip and one transaction, in the order given.
//!
//! All events are in memory before the statement begins, so no transaction waits for a client. The statements are unnamed, so
//! that they pass through a pooler that hands every transaction to another server connection.

use std::fmt;

use postgres_types::{ToSql, Type};
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::{Client, Error};
use uuid::Uuid;

use super::NewEvent;
use super::weight::{MAX_PAYLOAD, weight};

/// The most events of one batch.
pub const MAX_BATCH: usize = 1000;
/// The longest key of a request, in bytes. The database appends the index of an event to it, and the result must still fit a
/// dedupe key.
pub const MAX_REQUEST_KEY: usize = 240;
/// The scope of the dedupe keys that come by SQL or from the command line.
pub const SQL_SCOPE: &str = "";

/// An event that was appended, or found by its dedupe key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its place in the stream.
    pub seq: i64,
    /// Its identity.
    pub id: Uuid,
    /// True if the dedupe key was used before: this is then the first event of that key, and nothing was inserted.
    pub repeated: bool,
}

/// The reason for which nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// One of the events cannot be stored; none of the batch was.
    #[error(transparent)]
    Refused(#[from] AppendRefusal),
    /// More than [`MAX_BATCH`] events.
    #[error("a batch must be at most {MAX_BATCH} events: {0}")]
    TooMany(usize),
    /// The database could not be asked, or failed. Whether the events are stored is unknown if the connection broke.
    #[error("appending failed: {}", crate::db::DatabaseError::from(.0))]
    Postgres(#[source] Error),
}

/// The reason for which an event cannot be stored. It repeats nothing of the event's content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct AppendRefusal {
    /// The index of the event in its batch, from 0. `None` if the key or scope of the request is at fault, or if the database
    /// refused the batch but none of its events alone.
    pub index: Option<usize>,
    /// The column, if it is known.
    pub column: Option<String>,
    /// A sentence that names the column and the limit.
    pub reason: String,
    /// The SQLSTATE of the error.
    pub code: String,
}

impl fmt::Display for AppendRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Appends one event.
pub async fn append(client: &Client, scope: &str, event: &NewEvent) -> Result<Appended, AppendError> {
    let appended = append_batch(client, scope, std::slice::from_ref(event)).await?;
    // The statement returns a row for each event.
    appended.first().copied().ok_or_else(|| unexplained("the database returned no row for the event"))
}

/// Appends events in one transaction, all or none, and answers in their order.
///
/// Dedupe keys are unique within the scope: [`SQL_SCOPE`], or for HTTP one for each subject.
pub async fn append_batch(client: &Client, scope: &str, events: &[NewEvent]) -> Result<Vec<Appended>, AppendError> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    if events.len() > MAX_BATCH {
        return Err(AppendError::TooMany(events.len()));
    }
    refuse_nul(scope, events)?;
    refuse_heavy(events)?;
    let columns = Columns::of(events);
    let keys: Vec<Option<&str>> = events.iter().map(|e| e.dedupe_key.as_deref()).collect();
    let keys: Parameter<'_> = (&keys, Type::TEXT_ARRAY);
    // Plain writers may only use the scope of SQL, through a function of its own.
    if scope == SQL_SCOPE {
        let sql = "select seq, id, repeated from rowcast.append_events($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        columns.send(client, sql, &[], &[keys]).await
    } else {
        let sql = "select seq, id, repeated from rowcast.append_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        columns.send(client, sql, &[(&scope, Type::TEXT)], &[keys]).await
    }
}

/// Appends the events of a request that carries one key for all of them. A repeated request gets the answer of the first; the key
/// with other events is refused.
///
/// The key is 1 to [`MAX_REQUEST_KEY`] bytes, and unique within the scope. The events have no dedupe keys of their own.
pub async fn append_once(
    client: &Client,
    scope: &str,
    key: &str,
    events: &[NewEvent],
) -> Result<Vec<Appended>, AppendError> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    if events.len() > MAX_BATCH {
        return Err(AppendError::TooMany(events.len()));
    }
    refuse_nul(scope, events)?;
    refuse_heavy(events)?;
    if key.is_empty() || key.len() > MAX_REQUEST_KEY || key.contains('\0') {
        return Err(unfit_key(None, format!("the key of a request must be 1 to {MAX_REQUEST_KEY} bytes without NUL")));
    }
    if let Some(index) = events.iter().position(|event| event.dedupe_key.is_some()) {
        return Err(unfit_key(Some(index), "dedupe_key must not be set where the request has a key".to_owned()));
    }
    let sql = "select seq, id, repeated from rowcast.append_once($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    Columns::of(events).send(client, sql, &[(&scope, Type::TEXT), (&key, Type::TEXT)], &[]).await
}

fn unfit_key(index: Option<usize>, reason: String) -> AppendError {
    let code = SqlState::INVALID_PARAMETER_VALUE.code().to_owned();
    AppendRefusal { index, column: Some("dedupe_key".to_owned()), reason, code }.into()
}

type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// Events column by column, as the SQL functions take them, without their dedupe keys.
struct Columns<'a> {
    types: Vec<&'a str>,
    payloads: Vec<&'a str>,
    levels: Vec<&'a str>,
    safe: Vec<bool>,
    symbols: Vec<Option<&'a str>>,
    trade_ids: Vec<Option<Uuid>>,
    subjects: Vec<Option<&'a str>>,
    owners: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    fn of(events: &'a [NewEvent]) -> Self {
        Self {
            types: events.iter().map(|e| e.kind.as_str()).collect(),
            payloads: events.iter().map(|e| e.payload.get()).collect(),
            levels: events.iter().map(|e| e.level.as_deref().unwrap_or("info")).collect(),
            safe: events.iter().map(|e| e.public_safe).collect(),
            symbols: events.iter().map(|e| e.symbol.as_deref()).collect(),
            trade_ids: events.iter().map(|e| e.trade_id).collect(),
            subjects: events.iter().map(|e| e.subject.as_deref()).collect(),
            owners: events.iter().map(|e| e.owner.as_deref()).collect(),
        }
    }

    /// Sends a statement with these columns between other parameters, and reads what each event became.
    async fn send(
        &self,
        client: &Client,
        sql: &str,
        before: &[Parameter<'_>],
        after: &[Parameter<'_>],
    ) -> Result<Vec<Appended>, AppendError> {
        let columns: [Parameter<'_>; 8] = [
            (&self.types, Type::TEXT_ARRAY),
            (&self.payloads, Type::TEXT_ARRAY),
            (&self.levels, Type::TEXT_ARRAY),
            (&self.safe, Type::BOOL_ARRAY),
            (&self.symbols, Type::TEXT_ARRAY),
            (&self.trade_ids, Type::UUID_ARRAY),
            (&self.subjects, Type::TEXT_ARRAY),
            (&self.owners, Type::TEXT_ARRAY),
        ];
        let all: Vec<Parameter<'_>> = before.iter().chain(&columns).chain(after).cloned().collect();
        let rows = client
            .query_typed(sql, &all)
            .await
            .map_err(|error| refusal(&error, self.types.len()).map_or(AppendError::Postgres(error), Into::into))?;
        let read = |row: &tokio_postgres::Row| {
            Ok(Appended { seq: row.try_get(0)?, id: row.try_get(1)?, repeated: row.try_get(2)? })
        };
        rows.iter().map(read).collect::<Result<_, _>>().map_err(AppendError::Postgres)
    }
}

/// Refuses events with a NUL character. Postgres would fail the whole statement without naming the event.
fn refuse_nul(scope: &str, events: &[NewEvent]) -> Result<(), AppendRefusal> {
    let refused = |index, column: &str| AppendRefusal {
        index,
        column: Some(column.to_owned()),
        reason: format!("{column} must not hold a NUL character"),
        code: SqlState::CHARACTER_NOT_IN_REPERTOIRE.code().to_owned(),
    };
    if scope.contains('\0') {
        return Err(refused(None, "dedupe_key"));
    }
    for (index, event) in events.iter().enumerate() {
        if let Some((column, _)) = event.texts().iter().find(|(_, text)| text.is_some_and(|t| t.contains('\0'))) {
            return Err(refused(Some(index), column));
        }
    }
    Ok(())
}

/// Refuses payloads above [`MAX_PAYLOAD`]. Postgres would first print such a payload, which may take a gigabyte of digits.
fn refuse_heavy(events: &[NewEvent]) -> Result<(), AppendRefusal> {
    let Some(index) = events.iter().position(|event| weight(event.payload.get()) > MAX_PAYLOAD) else { return Ok(()) };
    Err(AppendRefusal {
        index: Some(index),
        column: Some("payload".to_owned()),
        reason: format!("payload must be at most {MAX_PAYLOAD} bytes (256 KiB)"),
        code: SqlState::CHECK_VIOLATION.code().to_owned(),
    })
}

/// The refusal that an error of the database means; `None` if the error says nothing of an event.
fn refusal(error: &Error, events: usize) -> Option<AppendRefusal> {
    let db = error.as_db_error()?;
    let (column, reason) = explain(db)?;
    let index = if events == 1 { Some(0) } else { db.detail().and_then(index_from_detail) };
    Some(AppendRefusal { index, column, reason, code: db.code().code().to_owned() })
}

/// The index of the event from the detail of an error, `event 3 of 7`, which counts from 1. There, 0 means that no event fails
/// alone.
fn index_from_detail(detail: &str) -> Option<usize> {
    let number: usize = detail.strip_prefix("event ")?.split(' ').next()?.parse().ok()?;
    number.checked_sub(1)
}

/// The column and the sentence for an error. The journal's constraints have sentences for names, which begin with the column. Of
/// a constraint that somebody else added, only the name is told.
fn explain(db: &DbError) -> Option<(Option<String>, String)> {
    let constraint = db.constraint().filter(|name| !name.is_empty());
    let payload = |what: &str| Some((Some("payload".to_owned()), format!("payload {what}")));
    match *db.code() {
        // A violation without a constraint's name means that the journal has no partition for the seq.
        SqlState::CHECK_VIOLATION => constraint.map(|name| {
            let sentence = name.contains(" must be ");
            let column = name.split(' ').next().filter(|_| sentence).map(str::to_owned);
            (column, if sentence { name.to_owned() } else { format!("the constraint {name} is broken") })
        }),
        SqlState::NOT_NULL_VIOLATION => {
            let column = db.column().filter(|name| !name.is_empty()).unwrap_or("a column");
            Some((Some(column.to_owned()), format!("{column} must not be null")))
        }
        SqlState::UNIQUE_VIOLATION if db.column() == Some("dedupe_key") => {
            Some((Some("dedupe_key".to_owned()), "dedupe_key was used before with another content".to_owned()))
        }
        SqlState::UNIQUE_VIOLATION => constraint.map(|name| (None, format!("the constraint {name} is broken"))),
        SqlState::INVALID_TEXT_REPRESENTATION => payload("must be JSON"),
        SqlState::UNTRANSLATABLE_CHARACTER => payload("must not hold \\u0000 or an unpaired surrogate"),
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE => payload("must not hold a number beyond what jsonb can"),
        SqlState::STATEMENT_TOO_COMPLEX => payload("must be nested less deeply"),
        SqlState::PROGRAM_LIMIT_EXCEEDED => payload("must be smaller"),
        ref other if other.code().starts_with("22") => payload("must be JSON that Postgres can store"),
        _ => None,
    }
}

fn unexplained(reason: &str) -> AppendError {
    let code = SqlState::INTERNAL_ERROR.code().to_owned();
    AppendRefusal { index: None, column: None, reason: reason.to_owned(), code }.into()
}
