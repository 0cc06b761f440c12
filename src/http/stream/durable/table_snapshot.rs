//! The beginning of a table's stream: its rows as of one moment, each an insert, between `snapshot-start` and `snapshot-end`. The answer
//! is one array, streamed as the rows are read, and its next offset is where the changes go on. A client that dies in the middle has no
//! array, and begins again with other rows.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::{HeaderMap, Response};

use super::answer::{self, Ending};
use super::change;
use super::offset::Offset;
use super::request::StreamRequest;
use crate::auth::Presence;
use crate::db::Requester;
use crate::http::request::context::Context;
use crate::http::response::json::Outgoing;
use crate::http::response::problem::Problem;
use crate::http::stream::token_watch;
use crate::snapshot::{Description, KeptRows, RowBlock, RowStream, Rows, SnapshotRequest};

/// The rows of a table on their way to a client, as a JSON array in pieces.
pub(super) struct SnapshotArray {
    table: Arc<Description>,
    /// The offset from which the changes go on.
    pub(super) offset: Offset,
    rows: Blocks,
    state: State,
    /// What stands between two messages.
    separator: &'static [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Beginning,
    Rows,
    Ended,
}

enum Blocks {
    Whole(Arc<KeptRows>, usize),
    Streamed(RowStream),
}

impl SnapshotArray {
    /// Takes a snapshot for a request. Messages are separated by this text, which must be a comma and blanks.
    pub(super) async fn take(
        context: &Context,
        asked: &StreamRequest,
        requester: Requester,
        presence: Option<&Presence>,
        separator: &'static [u8],
    ) -> Result<Self, Problem> {
        let table = asked.table.clone().ok_or_else(Problem::internal)?;
        let wanted = SnapshotRequest {
            tables: vec![table.table.clone()],
            owners: asked.viewer.owners(),
            view: asked.viewer.view(),
            // The rows must not be older than the version that the offset says: those of a reading that began before this request may
            // look as the table was published then. If they are newer, the next request is told that its offset is gone.
            sync: true,
            requester,
        };
        let snapshot = tokio::select! {
            snapshot = context.snapshots.take(wanted) => snapshot?,
            problem = token_watch::access_lost(&context.tokens.clock, &asked.viewer, presence) => return Err(problem),
        };
        let rows = match snapshot.rows {
            Rows::Whole(kept) => Blocks::Whole(kept, 0),
            Rows::Streamed(rows) => Blocks::Streamed(rows),
        };
        Ok(Self { table, offset: asked.offset(snapshot.cursor), rows, state: State::Beginning, separator })
    }

    /// The next piece; none at the end. An error means that the rest of the rows is missing.
    pub(super) async fn next(&mut self) -> Option<io::Result<Bytes>> {
        match self.state {
            State::Ended => None,
            State::Beginning => {
                self.state = State::Rows;
                Some(Ok([&b"["[..], &change::control("snapshot-start", self.offset)].concat().into()))
            }
            State::Rows => Some(match self.next_block().await {
                Some(rows) => rows,
                None => {
                    self.state = State::Ended;
                    let end = change::control("snapshot-end", self.offset);
                    let is_complete = match &self.rows {
                        Blocks::Whole(..) => true,
                        Blocks::Streamed(rows) => rows.is_complete(),
                    };
                    // An array whose rest is missing does not pretend to be whole.
                    if is_complete {
                        Ok([self.separator, &end, b"]"].concat().into())
                    } else {
                        Err(io::ErrorKind::UnexpectedEof.into())
                    }
                }
            }),
        }
    }

    /// The messages of the next block of rows.
    async fn next_block(&mut self) -> Option<io::Result<Bytes>> {
        let rows = match &mut self.rows {
            Blocks::Whole(kept, next) => {
                let block = kept.blocks().get(*next)?;
                *next += 1;
                messages(&self.table, self.separator, block)
            }
            Blocks::Streamed(rows) => messages(&self.table, self.separator, &rows.next().await?),
        };
        // A row that nothing names cannot be told: the rows are not whole without it.
        Some(rows.ok_or_else(|| {
            self.state = State::Ended;
            io::ErrorKind::InvalidData.into()
        }))
    }
}

fn messages(table: &Description, separator: &[u8], block: &RowBlock) -> Option<Bytes> {
    let mut out = Vec::with_capacity(block.weight() * 2);
    for row in block.rows() {
        out.extend_from_slice(separator);
        out.extend_from_slice(&change::of_row(table, row)?);
    }
    Some(out.into())
}

/// Answers with the rows of the table.
pub(super) async fn answer(
    context: &Context,
    headers: &HeaderMap,
    asked: &StreamRequest,
    requester: Requester,
    presence: Option<Presence>,
) -> Result<Response<Outgoing>, Problem> {
    let array = SnapshotArray::take(context, asked, requester, presence.as_ref(), b",").await?;
    let ending = Ending { next: array.offset, up_to_date: false, is_final: false };
    // Two readings at one cursor have the same rows, in any order.
    let tag = format!("W/{}", answer::tag(asked, -1, ending));
    let now = context.tokens.clock.now();
    Ok(answer::messages(asked, headers, Some(&tag), ending, now, || streamed(array, presence)))
}

/// A body that is sent as the rows are read.
fn streamed(array: SnapshotArray, presence: Option<Presence>) -> Outgoing {
    let chunks = stream::unfold((array, presence), |(mut array, presence)| async move {
        if array.state != State::Ended && presence.as_ref().is_some_and(Presence::is_revoked) {
            array.state = State::Ended;
            return Some((Err(io::ErrorKind::PermissionDenied.into()), (array, presence)));
        }
        let chunk = array.next().await?;
        Some((chunk.map(Frame::data), (array, presence)))
    });
    StreamBody::new(chunks).boxed_unsync()
}
