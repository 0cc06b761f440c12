//! The connection of the relay to Redis: which server, which keys, and how long anything may take.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError};

use super::entry::{Entry, HistoryTag, decode};
use super::error::RelayError;
use super::seal::Seal;
use crate::config::{RelayConfig, Secret};
use crate::journal::StoredEvent;
use crate::redis_client::redis_client;

/// How long making a connection may take, with TLS and login.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// How long a command may take that does not wait for anything.
pub(super) const COMMAND_LIMIT: Duration = Duration::from_secs(1);

/// All keys have one hash tag, so that Redis Cluster keeps them on one node, where a script may touch them together.
pub(super) const EVENTS: &str = "rowcast:{relay}:events";
pub(super) const REPORT: &str = "rowcast:{relay}:report";
pub(super) const HOLDER: &str = "rowcast:{relay}:holder";
/// The lists: the public taxonomy, and the revoked subjects.
pub(super) const LISTS: [&str; 2] = ["rowcast:{relay}:taxonomy", "rowcast:{relay}:revocations"];

/// The Redis servers of a deployment, and its seal.
#[derive(Debug)]
pub(super) struct RedisLink {
    clients: Vec<Client>,
    pub(super) seal: Seal,
}

impl RedisLink {
    pub(super) fn new(config: &RelayConfig) -> Result<Self, RelayError> {
        let client = |url: &Secret| redis_client(url).map_err(|error| RelayError::Url(error.to_string()));
        Ok(Self {
            clients: config.urls.iter().map(client).collect::<Result<_, _>>()?,
            seal: Seal::new(config.key.as_ref())?,
        })
    }

    /// Connects to the first server that is a primary.
    pub(super) async fn connect(&self) -> Result<MultiplexedConnection, RelayError> {
        let mut trouble = String::new();
        for client in &self.clients {
            match tokio::time::timeout(CONNECT_LIMIT, connect(client)).await {
                Ok(Ok((connection, role))) if role == "master" => return Ok(connection),
                Ok(Ok((_, role))) => trouble = format!("the last one is a {role}"),
                Ok(Err(error)) => trouble = error.to_string(),
                Err(_) => trouble = format!("no answer within {CONNECT_LIMIT:?}"),
            }
        }
        Err(RelayError::NoPrimary(self.clients.len(), trouble))
    }

    /// Seals an event for its place.
    pub(super) fn seal_event(
        &self,
        event: &StoredEvent,
        previous: i64,
        tag: &HistoryTag,
    ) -> Result<Vec<u8>, RelayError> {
        self.seal.close(&place_of(event.seq), &super::entry::encode(event, previous, tag)?)
    }

    /// Opens what stands under the id of an event.
    pub(super) fn open_event(&self, id: &str, sealed: &[u8]) -> Result<Entry, RelayError> {
        let seq = id.strip_suffix("-0").and_then(|seq| seq.parse().ok()).ok_or(RelayError::Garbled("an id"))?;
        decode(seq, &self.seal.open(&place_of(seq), sealed)?)
    }
}

/// The id of an event in Redis.
pub(super) fn id_of(seq: i64) -> String {
    format!("{seq}-0")
}

/// The place for which an event is sealed.
fn place_of(seq: i64) -> String {
    format!("{EVENTS} {seq}")
}

/// Connects, and asks for the role of the server.
async fn connect(client: &Client) -> Result<(MultiplexedConnection, String), RedisError> {
    // A reader waits for as long as it says itself, and whoever asks anything else has a limit of its own.
    let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let role: Vec<redis::Value> = redis::cmd("ROLE").query_async(&mut connection).await?;
    let role = role.into_iter().next().map(redis::from_redis_value).transpose()?;
    Ok((connection, role.unwrap_or_default()))
}

/// Awaits a command that waits for nothing.
pub(super) async fn within_limit<T>(asked: impl Future<Output = Result<T, RedisError>>) -> Result<T, RelayError> {
    match tokio::time::timeout(COMMAND_LIMIT, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(RelayError::Late(COMMAND_LIMIT)),
    }
}
