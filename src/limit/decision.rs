//! The classes of limited requests, and the decision on one request.

use std::time::Duration;

/// The number of classes.
pub(super) const CLASSES: usize = 7;

/// A kind of request that has a quota of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Requests to public routes, by client address.
    Public,
    /// Requests with a token, by its subject.
    Private,
    /// Streams that are opened, by client address.
    Connect,
    /// Events that are appended, by subject.
    Append,
    /// Messages of the chat, by subject, a long one counting as several.
    Chat,
    /// Snapshots of tables, by subject, or by client address without a token.
    Snapshot,
    /// Files of the dashboard and of the client, by client address.
    Pages,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; CLASSES] =
        [Self::Public, Self::Private, Self::Connect, Self::Append, Self::Chat, Self::Snapshot, Self::Pages];

    /// The name in the configuration, in headers, metrics and keys.
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Connect => "connect",
            Self::Append => "append",
            Self::Chat => "chat",
            Self::Snapshot => "snapshot",
            Self::Pages => "pages",
        }
    }
}

/// The reason for which limits cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// A class without a rate: the configuration always has one.
    #[error("ROWCAST_RATE_LIMITS has no rate for {0}")]
    NoRate(&'static str),
    /// The URL of Redis is malformed. The message does not repeat it, since it may hold a password.
    #[error("ROWCAST_REDIS_URL is not a URL of a Redis server: {0}")]
    Url(String),
}

/// The answer to a request for a part of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// True if the request may pass.
    pub allowed: bool,
    /// The whole quota.
    pub limit: u32,
    /// The number of requests that may pass at once after this one.
    pub remaining: u32,
    /// The time until the quota is whole again, if nothing else is asked.
    pub reset: Duration,
    /// The time until the same request would be allowed; zero if this one is.
    pub retry_after: Duration,
}
