//! `POST` and `GET /v1/revocations`: whose tokens are no longer believed.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use time::OffsetDateTime;
use tokio_postgres::Client;

use crate::auth::revocations::{MAX_REASON_BYTES, Revocation, is_reason, list, revoke};
use crate::auth::{Identity, MAX_SUBJECT_BYTES, RevokedSubjects, is_subject};
use crate::db::{Database, DatabaseError, Lane};
use crate::http::request::body::{bad_json, needs_json, read_body};
use crate::http::request::query::Query;
use crate::http::request::viewer::requester;
use crate::http::response::json::{Outgoing, json_response};
use crate::http::response::problem::Problem;
use crate::http::response::refusals;
use crate::view::Redaction;
use crate::view::instant;

/// The most of one answer, and how many there are if nothing is said.
const MAX_LIMIT: u16 = 1000;
/// How long an answer waits until this node itself refuses the tokens; other nodes follow within a second.
const KNOWN_HERE_LIMIT: Duration = Duration::from_secs(1);
const USUAL_LIMIT: u16 = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    subject: String,
    reason: Option<String>,
}

#[derive(Serialize)]
struct Told {
    subject: String,
    #[serde(serialize_with = "instant")]
    revoked_at: OffsetDateTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize)]
struct Listed {
    revocations: Vec<Told>,
    /// The last subject of this page: what to come back with.
    cursor: Option<String>,
    more: bool,
}

impl Told {
    /// The reason is anybody's words, so it is shown as the text of an event would be.
    fn of(revocation: Revocation, redaction: &Redaction) -> Self {
        let Revocation { subject, revoked_at, revoked_by, reason } = revocation;
        let reason = reason.map(|reason| redaction.text(&reason).into_owned());
        Self { subject, revoked_at, revoked_by, reason }
    }
}

/// Revokes, and has this node know at once.
pub(in crate::http) async fn post(
    database: &Database,
    revoked: &RevokedSubjects,
    redaction: &Redaction,
    identity: &Identity,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    Query::parse(request.uri().query())?.none()?;
    needs_json(request.headers())?;
    let body = read_body(request.into_body()).await?;
    let wanted = wanted(&body)?;
    if !is_subject(&wanted.subject) {
        return Err(invalid(&format!(
            "subject must be 1 to {MAX_SUBJECT_BYTES} bytes without control characters and not begin with rowcast:."
        )));
    }
    if !wanted.reason.as_deref().is_none_or(is_reason) {
        return Err(invalid(&format!("reason must be 1 to {MAX_REASON_BYTES} bytes without NUL.")));
    }
    let (subject, by, reason) = (&wanted.subject, Some(identity.subject().as_ref()), wanted.reason.as_deref());
    let revoking = async |client: &mut Client| revoke(client, subject, by, reason).await;
    let done = database.run_for(Lane::Write, &requester(identity), revoking).await;
    let done = done.map_err(|error| unavailable(&error))?.map_err(|error| unavailable(&error.into()))?;
    revoked.hurry(&done.subject, done.revoked_at.unix_timestamp(), KNOWN_HERE_LIMIT).await;
    tracing::info!(subject = done.subject, by = %identity.subject(), "a subject is revoked");
    let mut response = json_response(&Told::of(done, redaction));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// Reads the body: an object and nothing else. Left to itself serde would take a list of its values too.
fn wanted(body: &[u8]) -> Result<Wanted, Problem> {
    let not_one = || invalid("The body must be an object with subject and perhaps reason.");
    let wanted = serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => not_one(),
        _ => bad_json(error.line(), error.column()),
    })?;
    if body.trim_ascii_start().first() == Some(&b'{') { Ok(wanted) } else { Err(not_one()) }
}

/// A page of them, by subject.
pub(in crate::http) async fn page(
    database: &Database,
    redaction: &Redaction,
    identity: &Identity,
    query: Option<&str>,
) -> Result<Response<Outgoing>, Problem> {
    let mut query = Query::parse(query)?;
    let limit = query.limit(USUAL_LIMIT, MAX_LIMIT)?;
    let after = query.take("cursor").unwrap_or_default();
    if after.contains('\0') || after.len() > 256 {
        return Err(Problem::bad_request("cursor must be what the page before said"));
    }
    query.none()?;
    let limit = i64::from(limit);
    // One more than asked for tells whether there are more.
    let look = async |client: &mut Client| list(client, &after, limit + 1).await;
    let found = database.run_for(Lane::Search, &requester(identity), look).await;
    let mut found = found.map_err(|error| unavailable(&error))?.map_err(|error| unavailable(&error.into()))?;
    let asked = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > asked;
    found.truncate(asked);
    let cursor = found.last().map(|last| last.subject.clone());
    Ok(json_response(&Listed {
        revocations: found.into_iter().map(|one| Told::of(one, redaction)).collect(),
        cursor,
        more,
    }))
}

fn invalid(detail: &str) -> Problem {
    Problem::because(refusals::INVALID_REVOCATION, detail.to_owned())
}

fn unavailable(error: &DatabaseError) -> Problem {
    Problem::database_away("revocations cannot be reached", error)
}
