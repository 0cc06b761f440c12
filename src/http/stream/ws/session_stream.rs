//! The stream of a session, before and after it has begun.

use futures_util::future::BoxFuture;

use crate::http::connection::socket::{Input, SocketError};
use crate::journal::Filter;
use crate::session::{ReadError, StartPoint, StreamReader};

/// The stream of a session. The messages of a client are read only while there is a stream, so that each `subscribe` is answered by a
/// `hello`, and nothing is answered before the first one.
#[allow(clippy::large_enum_variant, reason = "almost always it is the largest")]
pub(super) enum SessionStream {
    /// There is none yet.
    None,
    /// The start point is looked for.
    Finding(BoxFuture<'static, FoundStart>),
    /// The `hello` was sent, and the reader gives the events.
    Reading(StreamReader),
}

/// The filter that was asked for, with the start point and the seq of the oldest event.
pub(super) type FoundStart = (Filter, Result<(StartPoint, i64), ReadError>);

/// The reason for which a waiting session goes on.
pub(super) enum Wake {
    Input(Result<Input, SocketError>),
    StartFound(FoundStart),
    /// The next step may be of use.
    Step,
    /// The deadline has passed.
    Deadline,
    Drain,
    Revoked,
}

impl SessionStream {
    pub(super) fn is_reading(&self) -> bool {
        matches!(self, Self::Reading(_))
    }

    pub(super) fn reader(&mut self) -> Option<&mut StreamReader> {
        match self {
            Self::Reading(reader) => Some(reader),
            Self::None | Self::Finding(_) => None,
        }
    }

    /// Waits until the start point is found, or until a step may be of use. The future can be dropped and made again.
    pub(super) async fn wait(&mut self) -> Wake {
        match self {
            Self::None => std::future::pending().await,
            Self::Finding(start) => {
                let start = start.await;
                *self = Self::None;
                Wake::StartFound(start)
            }
            Self::Reading(reader) => {
                reader.ready().await;
                Wake::Step
            }
        }
    }
}
