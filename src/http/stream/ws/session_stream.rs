//! The stream of a session, before and after it has begun.

use futures_util::future::BoxFuture;

use crate::http::connection::socket::{Input, SocketError};
use crate::journal::Filter;
use crate::session::{Refused, StartPoint, StreamReader};

/// The stream of a session. A client is heard only while there is a stream, so that each `subscribe` has its `hello`, and nothing goes
/// before the first one.
#[allow(clippy::large_enum_variant, reason = "almost always it is the largest")]
pub(super) enum SessionStream {
    /// There is none yet.
    None,
    /// The place to begin at is looked for.
    Sought(BoxFuture<'static, Begun>),
    /// From its `hello` on.
    Followed(StreamReader),
}

/// The filter that was asked for, and the place to begin at with the seq of the oldest event.
pub(super) type Begun = (Filter, Result<(StartPoint, i64), Refused>);

/// Why a session that waits goes on.
pub(super) enum Wake {
    Input(Result<Input, SocketError>),
    Begun(Begun),
    Step,
    Time,
    Drain,
    Revoked,
}

impl SessionStream {
    pub(super) fn is_followed(&self) -> bool {
        matches!(self, Self::Followed(_))
    }

    pub(super) fn reader(&mut self) -> Option<&mut StreamReader> {
        match self {
            Self::Followed(reader) => Some(reader),
            Self::None | Self::Sought(_) => None,
        }
    }

    /// Waits until there is a place to begin at, or until a step may come to something. Can be dropped and called again.
    pub(super) async fn goes_on(&mut self) -> Wake {
        match self {
            Self::None => std::future::pending().await,
            Self::Sought(begun) => {
                let begun = begun.await;
                *self = Self::None;
                Wake::Begun(begun)
            }
            Self::Followed(reader) => {
                reader.ready().await;
                Wake::Step
            }
        }
    }
}
