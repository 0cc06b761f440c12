//! `GET /v1/snapshot` and `GET /v1/tables`: the rows of published tables with the cursor from which their events go on, and which tables
//! there are.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Request, Response};
use serde::Serialize;

use crate::auth::Presence;
use crate::http::request::authenticate::TokenChecks;
use crate::http::request::query::{Query, no_parameters};
use crate::http::request::quota::RequestQuota;
use crate::http::request::viewer::Viewer;
use crate::http::response::json::{Outgoing, json_response};
use crate::http::response::problem::Problem;
use crate::http::response::refusals;
use crate::http::stream::token_watch;
use crate::snapshot::{
    Description, KeptRows, RowBlock, RowStream, Rows, Snapshot, SnapshotError, SnapshotRequest, Snapshots,
};

/// The most tables of one request.
const MAX_TABLES: usize = 16;
/// When a client that found no room may try again.
const BUSY_RETRY: Duration = Duration::from_secs(1);
/// When a client may try again after a writer held the journal for too long.
const STALLED_RETRY: Duration = Duration::from_secs(5);

/// Answers with the tables that the viewer may read.
pub(in crate::http) async fn tables(
    snapshots: &Snapshots,
    viewer: &Viewer,
    query: Option<&str>,
) -> Result<Response<Outgoing>, Problem> {
    #[derive(Serialize)]
    struct Tables {
        tables: Vec<Description>,
    }
    no_parameters(query)?;
    let tables = snapshots.describe(&viewer.owners(), viewer.view()).await?;
    Ok(json_response(&Tables { tables }))
}

/// Answers with the rows of some tables.
pub(in crate::http) async fn get(
    snapshots: &Snapshots,
    tokens: &TokenChecks,
    viewer: &Viewer,
    quota: &RequestQuota,
    request: &Request<Incoming>,
) -> Result<Response<Outgoing>, Problem> {
    let mut query = Query::parse_with_list(request.uri().query(), "table")?;
    let tables = query.take_all("table");
    let sync = query.flag("sync")?;
    query.none()?;
    if tables.is_empty() || tables.len() > MAX_TABLES {
        return Err(Problem::bad_request(format!("table must be given 1 to {MAX_TABLES} times, as table=shop.orders")));
    }
    if let Some(twice) = (1..tables.len()).find(|at| tables[..*at].contains(&tables[*at])) {
        return Err(Problem::bad_request(format!("the table at place {} is named twice", twice + 1)));
    }
    let form = Form::wanted(request.headers());
    let presence = token_watch::register(&tokens.revoked, viewer)?;
    let wanted = SnapshotRequest {
        tables,
        owners: viewer.owners(),
        view: viewer.view(),
        sync,
        requester: quota.requester_of(viewer),
    };
    let snapshot = tokio::select! {
        snapshot = snapshots.take(wanted) => snapshot?,
        problem = token_watch::access_lost(&tokens.clock, viewer, presence.as_ref()) => return Err(problem),
    };
    Ok(form.respond(snapshot, presence))
}

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One JSON object.
    Json,
    /// A line for each row, and one for the end.
    Lines,
}

impl Form {
    /// The form that the client asks for in `Accept`.
    fn wanted(headers: &HeaderMap) -> Self {
        let kinds =
            headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        // `q=0` says that this form is not wanted.
        let wanted = kinds.filter(|kind| !kind.split(';').skip(1).any(|part| matches!(part.trim(), "q=0" | "q=0.0")));
        let mut kinds = wanted.map(|kind| kind.split(';').next().unwrap_or_default().trim());
        let is_lines = |kind: &str| {
            ["application/x-ndjson", "application/ndjson", "application/jsonl"]
                .iter()
                .any(|known| kind.eq_ignore_ascii_case(known))
        };
        if kinds.any(is_lines) { Self::Lines } else { Self::Json }
    }

    fn respond(self, snapshot: Snapshot, presence: Option<Presence>) -> Response<Outgoing> {
        let kind = match self {
            Self::Json => "application/json",
            Self::Lines => "application/x-ndjson",
        };
        let answer = Answer::new(self, snapshot, presence);
        let chunks = stream::unfold(answer, |mut answer| async move {
            let chunk = answer.next().await?;
            Some((chunk.map(Frame::data), answer))
        });
        let mut response = Response::new(StreamBody::new(chunks).boxed_unsync());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }
}

/// The blocks of an answer that are still to be sent.
enum Blocks {
    Whole(Arc<KeptRows>, usize),
    Streamed(RowStream),
}

impl Blocks {
    /// Gives the next block to a function; `None` at the end.
    async fn next(&mut self, write: impl FnOnce(&RowBlock) -> Bytes) -> Option<Bytes> {
        match self {
            Self::Whole(kept, next) => {
                let block = kept.blocks().get(*next)?;
                *next += 1;
                Some(write(block))
            }
            Self::Streamed(rows) => rows.next().await.map(|block| write(&block)),
        }
    }

    fn is_complete(&self) -> bool {
        match self {
            Self::Whole(..) => true,
            Self::Streamed(rows) => rows.is_complete(),
        }
    }
}

/// An answer on its way. The connection asks for the next chunk when it has room for it.
struct Answer {
    form: Form,
    cursor: String,
    tables: Vec<Description>,
    blocks: Blocks,
    /// How many tables were begun, in JSON.
    begun: usize,
    /// True while the table that was begun last has no row yet.
    first: bool,
    ended: bool,
    /// The registration by which a revocation ends the answer; none for the public.
    presence: Option<Presence>,
}

impl Answer {
    fn new(form: Form, snapshot: Snapshot, presence: Option<Presence>) -> Self {
        let Snapshot { cursor, tables, rows } = snapshot;
        let blocks = match rows {
            Rows::Whole(kept) => Blocks::Whole(kept, 0),
            Rows::Streamed(rows) => Blocks::Streamed(rows),
        };
        Self { form, cursor: cursor.to_string(), tables, blocks, begun: 0, first: true, ended: false, presence }
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.ended {
            return None;
        }
        if self.presence.as_ref().is_some_and(Presence::is_revoked) {
            self.ended = true;
            return Some(Err(io::ErrorKind::PermissionDenied.into()));
        }
        let Self { form, cursor, tables, blocks, begun, first, .. } = self;
        let chunk = match form {
            Form::Lines => blocks.next(|block| lines(&tables[block.table], block)).await,
            Form::Json => blocks.next(|block| members(cursor, tables, begun, first, block)).await,
        };
        if let Some(chunk) = chunk {
            return Some(Ok(chunk));
        }
        self.ended = true;
        // An answer whose rest is missing does not pretend to be whole.
        Some(if self.blocks.is_complete() { Ok(self.end()) } else { Err(io::ErrorKind::UnexpectedEof.into()) })
    }

    fn end(&mut self) -> Bytes {
        let mut out = Vec::new();
        match self.form {
            Form::Lines => out.extend_from_slice(format!("{{\"cursor\":\"{}\"}}\n", self.cursor).as_bytes()),
            Form::Json => {
                begin_tables(&mut out, &self.cursor, &self.tables, &mut self.begun, self.tables.len());
                out.extend_from_slice(b"]}]}");
            }
        }
        out.into()
    }
}

/// The lines of a block.
fn lines(table: &Description, block: &RowBlock) -> Bytes {
    let head = format!("{{\"table\":{},", json(&table.table));
    let mut out = Vec::with_capacity(block.weight() + block.rows().count() * (head.len() + 2));
    for row in block.rows() {
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(row);
        out.extend_from_slice(b"}\n");
    }
    out.into()
}

/// The rows of a block as members of an array, and before them what begins the object and its tables.
fn members(cursor: &str, tables: &[Description], begun: &mut usize, first: &mut bool, block: &RowBlock) -> Bytes {
    let mut out = Vec::with_capacity(block.weight() + 256);
    if *begun <= block.table {
        begin_tables(&mut out, cursor, tables, begun, block.table + 1);
        *first = true;
    }
    for row in block.rows() {
        out.extend_from_slice(if std::mem::replace(first, false) { b"{" } else { b",{" });
        out.extend_from_slice(row);
        out.push(b'}');
    }
    out.into()
}

/// Begins the tables up to this number, and ends those before the last of them.
fn begin_tables(out: &mut Vec<u8>, cursor: &str, tables: &[Description], begun: &mut usize, upto: usize) {
    while *begun < upto {
        match *begun {
            0 => out.extend_from_slice(format!("{{\"cursor\":\"{cursor}\",\"tables\":[").as_bytes()),
            _ => out.extend_from_slice(b"]},"),
        }
        let table = &tables[*begun];
        let columns: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        let (name, prefix, columns) = (json(&table.table), json(&table.prefix), json(&columns));
        out.extend_from_slice(
            format!("{{\"table\":{name},\"prefix\":{prefix},\"columns\":{columns},\"rows\":[").as_bytes(),
        );
        *begun += 1;
    }
}

/// Texts always serialize.
fn json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

impl From<SnapshotError> for Problem {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::NoTable(_) => {
                Self::because(refusals::NOT_FOUND, "No such table is published for this viewer.")
            }
            SnapshotError::NotSnapshottable(why) => Self::because(refusals::NOT_SNAPSHOTTABLE, why.to_string()),
            SnapshotError::Stalled(why) => Self::because(refusals::STALLED, why).retry_after(STALLED_RETRY),
            SnapshotError::Busy | SnapshotError::ClientStalled => {
                Self::of(refusals::DATABASE_BUSY).retry_after(BUSY_RETRY)
            }
            SnapshotError::Read(error) => error.into(),
        }
    }
}
