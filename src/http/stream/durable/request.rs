//! What a request for a stream asks for: which events, from where, and whether it waits for more.

use std::sync::Arc;

use bytes::Bytes;

use super::change;
use super::offset::Offset;
use crate::http::request::context::Context;
use crate::http::request::query::Query;
use crate::http::request::viewer::Viewer;
use crate::http::response::problem::Problem;
use crate::http::response::refusals;
use crate::journal::{Cursor, Filter};
use crate::session::{EventRun, Start};
use crate::snapshot::Description;
use crate::view::Fingerprint;

/// The longest cursor of a client, in digits.
const CURSOR_DIGITS: usize = 18;

/// The position from which a request reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Beginning,
    Now,
    After(Offset),
}

/// How a request waits for messages that do not exist yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Live {
    LongPoll,
    Sse,
}

/// A request for one stream.
#[derive(Debug)]
pub(super) struct StreamRequest {
    pub(super) viewer: Viewer,
    pub(super) filter: Arc<Filter>,
    /// The table of a table's stream; none for the stream of events.
    pub(super) table: Option<Arc<Description>>,
    pub(super) from: From,
    pub(super) live: Option<Live>,
    /// The cursor of an earlier live answer.
    pub(super) poll_cursor: Option<u64>,
    /// The version of what the stream shows to this viewer.
    pub(super) version: u32,
    /// The version of the rules of the view from which that one was made.
    rules: u64,
}

impl StreamRequest {
    /// Reads a request for the stream of events.
    pub(super) fn of_events(context: &Context, viewer: Viewer, query: Option<&str>) -> Result<Self, Problem> {
        let mut query = Query::parse(query)?;
        let (from, live, poll_cursor) = protocol_parameters(&mut query)?;
        let filter = viewer.filter(query.rest()).map_err(|error| Problem::bad_request(error.to_string()))?;
        let rules = rules_of(context, &viewer);
        let version = version_of_events(context, &viewer)?;
        Ok(Self { viewer, filter: Arc::new(filter), table: None, from, live, poll_cursor, version, rules })
    }

    /// Reads a request for the stream of a table, which the viewer must be able to read.
    pub(super) async fn of_table(
        context: &Context,
        viewer: Viewer,
        name: &str,
        query: Option<&str>,
    ) -> Result<Self, Problem> {
        let mut query = Query::parse(query)?;
        let (from, live, poll_cursor) = protocol_parameters(&mut query)?;
        query.none()?;
        let rules = rules_of(context, &viewer);
        let (table, version) = context.snapshots.versioned_table(name, &viewer.owners(), viewer.view()).await?;
        let types = format!("{}.*", table.prefix);
        let filter =
            viewer.filter([("type", types.as_str())]).map_err(|error| Problem::bad_request(error.to_string()))?;
        match from {
            // The rows that the reader has are not those that the events after this offset would change.
            From::After(offset) if offset.version != version => return Err(gone()),
            _ => {}
        }
        let (filter, table) = (Arc::new(filter), Some(Arc::new(table)));
        Ok(Self { viewer, filter, table, from, live, poll_cursor, version, rules })
    }

    /// The point at which the journal is read.
    pub(super) fn start(&self) -> Start {
        match self.from {
            From::Beginning => Start::Earliest,
            From::Now => Start::Latest,
            From::After(offset) => Start::After(offset.cursor),
        }
    }

    /// The offset of a cursor.
    pub(super) fn offset(&self, cursor: Cursor) -> Offset {
        Offset { cursor, version: self.version }
    }

    /// True if the address of the request is the one that a reader who began today would come by. Other addresses lead to the same
    /// events, and should not be kept for long.
    pub(super) fn is_canonical(&self) -> bool {
        matches!(self.from, From::After(offset) if offset.version == self.version)
    }

    /// True if the rules of the view are still those of the request, so that everything that was shown in between follows them.
    pub(super) fn rules_hold(&self, context: &Context) -> bool {
        rules_of(context, &self.viewer) == self.rules
    }

    /// The messages that these events are in this stream.
    pub(super) fn messages(&self, run: &EventRun) -> impl Iterator<Item = (Cursor, Bytes)> {
        run.objects().filter_map(|(cursor, object)| {
            let Some(table) = &self.table else { return Some((cursor, object)) };
            Some((cursor, change::of_event(table, &object, || self.offset(cursor))?))
        })
    }
}

/// 410 for an offset of another history, or of a table that looks otherwise now.
pub(super) fn gone() -> Problem {
    Problem::of(refusals::OFFSET_GONE)
}

/// The version of the rules by which this node shows events to a viewer. It never comes back, as that of the stream does with the rules.
fn rules_of(context: &Context, viewer: &Viewer) -> u64 {
    context.announcer.pages().version(viewer.view())
}

/// The version of the stream of events: which journal it is, and the rules of the view. Caches keep pages under addresses that hold it,
/// so that after a failover or a change of the rules new readers are led to new addresses.
fn version_of_events(context: &Context, viewer: &Viewer) -> Result<u32, Problem> {
    let pages = context.announcer.pages();
    let mut version = Fingerprint::default();
    let journal = pages.journal().known().map_err(|error| Problem::database_away("a stream was not read", &error))?;
    version.add(journal.history_bytes());
    pages.renderer().add_rules(viewer.view(), &mut version);
    Ok(version.finish())
}

/// Takes out the parameters of the protocol.
fn protocol_parameters(query: &mut Query) -> Result<(From, Option<Live>, Option<u64>), Problem> {
    let live = query.one_of("live", &["long-poll", "sse"])?;
    let live = live.map(|mode| if mode == "sse" { Live::Sse } else { Live::LongPoll });
    let from = match query.take("offset").as_deref() {
        None if live.is_some() => {
            return Err(Problem::bad_request("live needs an offset: -1, now, or one of this stream"));
        }
        None | Some("-1") => From::Beginning,
        Some("now") => From::Now,
        Some(offset) => {
            From::After(offset.parse().map_err(|bad: super::offset::BadOffset| Problem::bad_request(bad.to_string()))?)
        }
    };
    let poll_cursor = query.take("cursor").map(|text| poll_cursor(&text)).transpose()?;
    Ok((from, live, poll_cursor))
}

fn poll_cursor(text: &str) -> Result<u64, Problem> {
    let digits = text.len() <= CURSOR_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| Problem::bad_request("cursor must be the Stream-Cursor of an earlier answer"))
}
