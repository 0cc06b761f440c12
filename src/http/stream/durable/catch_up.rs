//! One answer with the messages after an offset. A long poll waits until there is one.

use std::pin::pin;
use std::time::Duration;

use hyper::{HeaderMap, Response};
use tokio::time::Instant;

use super::answer::{self, Ending};
use super::page::Page;
use super::request::{From, Live, StreamRequest, gone};
use crate::auth::Presence;
use crate::db::Requester;
use crate::http::request::context::Context;
use crate::http::response::json::{Outgoing, whole};
use crate::http::response::problem::Problem;
use crate::http::stream::token_watch;
use crate::journal::Cursor;
use crate::session::{ReadError, Step, StreamReader};

/// The longest that one request reads on while it finds few events for its viewer. Then the answer has the offset that was reached,
/// so that no single request reads a whole journal.
const READ_LIMIT: Duration = Duration::from_secs(2);
/// The longest wait of a long poll. It ends earlier where `ROWCAST_HEARTBEAT` is shorter.
const LONG_POLL: Duration = Duration::from_secs(20);

/// Answers with the messages after an offset.
pub(super) async fn answer(
    context: &Context,
    headers: &HeaderMap,
    asked: &StreamRequest,
    requester: Requester,
    presence: Option<Presence>,
) -> Result<Response<Outgoing>, Problem> {
    let start = context.announcer.start_point(&requester, asked.start(), &asked.filter).await.map_err(read_problem)?;
    if asked.from == From::Now && asked.live.is_none() {
        return Ok(answer::at_tail(asked.offset(start.cursor)));
    }
    let reader = StreamReader::new(&context.announcer, start, asked.filter.clone(), asked.viewer.view());
    let reader = reader.on_behalf_of(requester);
    let (page, ending) = read(context, asked, reader, start.cursor, presence.as_ref()).await?;
    let now = context.tokens.clock.now();
    if asked.live == Some(Live::LongPoll) && page.is_empty() && ending.up_to_date {
        return Ok(answer::nothing_came(asked, ending.next, now));
    }
    // If the rules of the view have changed meanwhile, some of the messages may follow the old ones.
    let tag = asked.rules_hold(context).then(|| answer::tag(asked, start.after, ending));
    Ok(answer::messages(asked, headers, tag.as_deref(), ending, now, || whole(page.body())))
}

/// An error of a reader as this protocol tells it: an offset of another history is gone.
pub(super) fn read_problem(error: ReadError) -> Problem {
    match error {
        ReadError::CursorInvalid => gone(),
        error => error.into(),
    }
}

/// Reads a page. At the end of the stream a long poll waits for its first message.
async fn read(
    context: &Context,
    asked: &StreamRequest,
    mut reader: StreamReader,
    begun_at: Cursor,
    presence: Option<&Presence>,
) -> Result<(Page, Ending), Problem> {
    let is_poll = asked.live == Some(Live::LongPoll);
    let wait = if is_poll { LONG_POLL.min(context.streams.heartbeat) } else { Duration::ZERO };
    let begun = Instant::now();
    let (until, mut wait_is_over) = (begun + wait, !is_poll);
    let mut access_lost = pin!(token_watch::access_lost(&context.tokens.clock, &asked.viewer, presence));
    let mut page = Page::default();
    let up_to_date = loop {
        match reader.step(page.budget()) {
            Step::Advanced(runs) => {
                runs.iter().for_each(|run| page.extend(asked.messages(run)));
                if page.is_full() || begun.elapsed() >= READ_LIMIT.max(wait) {
                    break false;
                }
            }
            Step::CaughtUp => {}
            Step::Idle(_) if wait_is_over || !page.is_empty() => break true,
            // After the wait the reader takes one more step: events that are not for this viewer still move the offset.
            Step::Idle(_) => tokio::select! {
                () = reader.ready() => {}
                () = tokio::time::sleep_until(until) => wait_is_over = true,
                () = context.shutdown.cancelled() => wait_is_over = true,
                problem = &mut access_lost => return Err(problem),
            },
            Step::Loading => tokio::select! {
                () = reader.ready() => {}
                problem = &mut access_lost => return Err(problem),
            },
            // The messages found so far are answered, and the client comes back for the rest.
            Step::Unavailable(_) if reader.cursor().seq != begun_at.seq => break false,
            Step::Unavailable(error) | Step::Failed(error) => return Err(read_problem(error)),
        }
    };
    Ok(end(asked, &mut reader, page, up_to_date))
}

/// Ends a page: a full one at a place that is the same for all readers, another one where the reader is.
fn end(asked: &StreamRequest, reader: &mut StreamReader, mut page: Page, up_to_date: bool) -> (Page, Ending) {
    if page.is_full()
        && let Some((last, is_whole)) = page.end()
    {
        let head = reader.look().head;
        let up_to_date = is_whole && reader.has_passed(head);
        return (page, Ending { next: asked.offset(last), up_to_date, is_final: !up_to_date });
    }
    let next = asked.offset(reader.cursor());
    (page, Ending { next, up_to_date, is_final: false })
}
