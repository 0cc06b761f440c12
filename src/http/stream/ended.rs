//! The end of a stream over HTTP, as it is counted and logged.

use tokio::time::Instant;

use crate::http::connection::guarded::StalledFlag;
use crate::http::request::context::Context;
use crate::http::response::refusals;
use crate::http::response::request_id::RequestId;

/// Counts and logs the end of a stream. The server has not ended it if there is no close code: its client has stalled, or is gone. A
/// client over HTTP sends no close, so leaving counts as 1000.
pub(super) fn note_end(
    context: &Context,
    close_code: Option<u16>,
    stalled: &StalledFlag,
    request_id: Option<&RequestId>,
    since: Instant,
) {
    let stalled = if stalled.is_set() { refusals::STALLED.close } else { None };
    let code = close_code.or(stalled).unwrap_or(1000);
    context.counts.session_ended(code);
    let request_id = request_id.map(RequestId::as_str);
    tracing::info!(request_id, code, seconds = since.elapsed().as_secs(), "a stream has ended");
}
