//! `POST /v1/events`: the body is read whole, and only then does one transaction begin, which takes all of it or nothing.

use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::auth::Identity;
use crate::db::{Database, DatabaseError, Lane};
use crate::http::api::application::owns_type;
use crate::http::request::body::{Format, MAX_BODY_BYTES, bad_json, line_and_column, read_body};
use crate::http::request::idempotency;
use crate::http::request::query::no_parameters;
use crate::http::request::quota::RequestQuota;
use crate::http::request::viewer::requester;
use crate::http::response::json::{Outgoing, json_response};
use crate::http::response::problem::Problem;
use crate::http::response::refusals::{self, sentence};
use crate::journal::{self, AppendError, Appended, MAX_BATCH, NewEvent, weight};
use crate::limit::Class;

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The place of one appended event.
#[derive(Serialize)]
struct Told {
    seq: i64,
    id: Uuid,
}

/// Appends what the body holds.
pub(in crate::http) async fn post(
    database: &Database,
    identity: &Identity,
    quota: &RequestQuota,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    no_parameters(request.uri().query())?;
    let format = Format::of(request.headers())?;
    let key = idempotency::key(request.headers())?;
    let body = read_body(request.into_body()).await?;
    let events = parse(format, &body);
    // What makes no sense costs as one event: to read it cost something too.
    let cost = events.as_ref().map_or(1, |events| u32::try_from(events.list.len()).unwrap_or(u32::MAX));
    quota.spend_of(Class::Append, identity.subject(), cost).await?;
    let events = events?;
    check_weight(&events.list)?;
    if key.is_some() && events.list.iter().any(|event| event.dedupe_key.is_some()) {
        return Err(Problem::bad_request("Idempotency-Key and a dedupe_key in an event exclude each other."));
    }
    are_free(&events.list)?;
    let append = async |client: &mut Client| match &key {
        Some(key) => journal::append_once(client, identity.subject(), key, &events.list).await,
        None => journal::append_batch(client, identity.subject(), &events.list).await,
    };
    let appended = database.run_for(Lane::Write, &requester(identity), append).await;
    let appended = appended.map_err(|error| unavailable(&error))?;
    let appended = appended.map_err(|error| problem(error, key.is_some()))?;
    Ok(created(&appended, events.single))
}

/// The types of an application are what its own tables say, by its own routes: appended by somebody else they would tell of
/// trades that are not there, or put words into another's chat.
fn are_free(events: &[NewEvent]) -> Result<(), Problem> {
    match events.iter().position(|event| owns_type(&event.kind)) {
        None => Ok(()),
        index => Err(Problem::of(refusals::RESERVED_TYPE).at(index)),
    }
}

/// 201, in the form in which the events came: an object for an object, a list for the rest.
fn created(appended: &[Appended], single: bool) -> Response<Outgoing> {
    let told = |a: &Appended| Told { seq: a.seq, id: a.id };
    let mut response = match appended {
        [one] if single => json_response(&told(one)),
        all => json_response(&all.iter().map(told).collect::<Vec<_>>()),
    };
    *response.status_mut() = StatusCode::CREATED;
    if appended.iter().all(|a| a.repeated) {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// The events of a body.
struct Events {
    list: Vec<NewEvent>,
    /// The body was one object and no list.
    single: bool,
}

/// The events of a body in this format.
fn parse(format: Format, body: &[u8]) -> Result<Events, Problem> {
    // All of it at once: what is skipped on the way to an event (spaces, values) would not be looked at otherwise.
    if let Err(error) = std::str::from_utf8(body) {
        let (line, column) = line_and_column(body, error.valid_up_to());
        return Err(bad_json(line, column));
    }
    match format {
        Format::Json if body.trim_ascii_start().first() == Some(&b'[') => list(body),
        Format::Json => {
            well_formed(body, 0, 0)?;
            Ok(Events { list: vec![event(body, 0)?], single: true })
        }
        Format::Lines => lines(body),
    }
}

/// A JSON list of events.
fn list(body: &[u8]) -> Result<Events, Problem> {
    let raw: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| bad_json(error.line(), error.column()))?;
    check_count(raw.len())?;
    let list = raw.iter().enumerate().map(|(index, raw)| event(raw.get().as_bytes(), index));
    Ok(Events { list: list.collect::<Result<_, _>>()?, single: false })
}

/// An event a line; blank lines are passed over.
fn lines(body: &[u8]) -> Result<Events, Problem> {
    let mut texts = Vec::new();
    for (number, line) in body.split(|byte| *byte == b'\n').enumerate() {
        let text = line.trim_ascii_start();
        if !text.is_empty() {
            well_formed(text, number, line.len() - text.len())?;
            texts.push(text);
        }
    }
    check_count(texts.len())?;
    let list = texts.iter().enumerate().map(|(index, text)| event(text, index));
    Ok(Events { list: list.collect::<Result<_, _>>()?, single: false })
}

fn check_count(events: usize) -> Result<(), Problem> {
    match events {
        0 => Err(Problem::bad_request("There is no event in the body.")),
        1..=MAX_BATCH => Ok(()),
        _ => Err(too_many()),
    }
}

/// A number may be a hundred thousand digits that are written in eight bytes, so the limit on a body says little about what its
/// events weigh when they are sent to every viewer. The payloads together are held to the same limit.
fn check_weight(events: &[NewEvent]) -> Result<(), Problem> {
    let limit = usize::try_from(MAX_BODY_BYTES).unwrap_or(usize::MAX);
    let mut total = 0_usize;
    let past = |event: &NewEvent| {
        total = total.saturating_add(weight(event.payload.get()));
        total > limit
    };
    let Some(index) = events.iter().position(past) else { return Ok(()) };
    let detail = format!(
        "payload must be at most {limit} bytes (1 MiB) over all events of a request, with every digit of its numbers."
    );
    Err(Problem::because(refusals::INVALID_EVENT, detail).at(Some(index)))
}

fn too_many() -> Problem {
    Problem::because(refusals::TOO_MANY_EVENTS, format!("At most {MAX_BATCH} events at once."))
}

/// Malformed JSON is the client's error. What stands before the text in the body is so many lines and columns.
fn well_formed(text: &[u8], lines: usize, columns: usize) -> Result<(), Problem> {
    match serde_json::from_slice::<IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(error) if error.line() <= 1 => Err(bad_json(lines + 1, columns + error.column().max(1))),
        Err(error) => Err(bad_json(lines + error.line(), error.column())),
    }
}

/// JSON that is no event is the client's error too, with another code.
fn event(text: &[u8], index: usize) -> Result<NewEvent, Problem> {
    NewEvent::from_json(text)
        .map_err(|bad| Problem::because(refusals::INVALID_EVENT, sentence(&bad.to_string())).at(Some(index)))
}

fn unavailable(error: &DatabaseError) -> Problem {
    Problem::database_away("nothing was appended", error)
}

fn problem(error: AppendError, keyed: bool) -> Problem {
    match error {
        AppendError::Refused(refusal) => {
            let conflict = refusal.column.as_deref() == Some("dedupe_key") && refusal.code == "23505";
            if conflict && keyed {
                return Problem::of(refusals::IDEMPOTENCY_CONFLICT).at(refusal.index);
            }
            // A number that overflows is malformed, as it would be in an address.
            if refusal.code == "22003" {
                return Problem::bad_request(sentence(&refusal.reason)).at(refusal.index);
            }
            let row = if conflict { refusals::IDEMPOTENCY_CONFLICT } else { refusals::INVALID_EVENT };
            Problem::because(row, sentence(&refusal.reason)).at(refusal.index)
        }
        AppendError::TooMany(_) => too_many(),
        AppendError::Postgres(error) => unavailable(&DatabaseError::from(error)),
    }
}
