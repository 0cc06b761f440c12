//! Why the copy in Redis cannot be written or read.

use std::time::Duration;

use redis::RedisError;

/// Why the copy in Redis cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// A URL makes no sense. Holds what is wrong with it, without the URL.
    #[error("the URL of Redis is not usable: {0}")]
    Url(String),
    /// Redis has refused something, or the connection broke.
    #[error("{0}")]
    Redis(#[from] RedisError),
    /// Redis did not answer in time.
    #[error("Redis did not answer within {0:?}")]
    Late(Duration),
    /// None of the servers has the keys, or none of those takes writes.
    #[error("none of the {0} configured Redis servers can be used: {1}")]
    NoPrimary(usize, String),
    /// Nobody reports.
    #[error("no report of a relay for {0:?}")]
    Silent(Duration),
    /// The key for sealing cannot be used.
    #[error("the seal failed")]
    Key,
    /// Something does not open with the key of this node.
    #[error("what stands in Redis was sealed with another key, or not for where it stands")]
    Forged,
    /// Something is sealed, and this node has no key.
    #[error("what stands in Redis is sealed: this node lacks ROWCAST_RELAY_KEY")]
    KeyMissing,
    /// Something is not sealed, and this node has a key.
    #[error("what stands in Redis is not sealed, and this node has ROWCAST_RELAY_KEY")]
    NotSealed,
    /// Something is not what the relay writes.
    #[error("what stands in Redis is not what a relay of this version writes: {0}")]
    Garbled(&'static str),
    /// The copy, or the database, is of another history than the one that is followed.
    #[error("the copy in Redis is of another history than this node follows")]
    OtherHistory,
    /// Another node holds the lease.
    #[error("another node has taken over")]
    TakenOver,
    /// The newest entry is not the one that this node has written.
    #[error("the copy ends at {found}, and not at {expected}")]
    Moved {
        /// The id after which this node goes on.
        expected: String,
        /// The id that is there.
        found: String,
    },
    /// The node itself does not follow the journal at the moment.
    #[error("this node does not follow the journal itself")]
    Unfit,
}
