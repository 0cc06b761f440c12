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

/// The role of a server that takes writes, as it says it.
const PRIMARY: &str = "master";

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

    /// Connects to the first server that takes writes for the keys.
    pub(super) async fn connect_for_writing(&self) -> Result<MultiplexedConnection, RelayError> {
        let (connection, role) = self.connect().await?;
        if role == PRIMARY { Ok(connection) } else { Err(self.no_primary(format!("the last one is a {role}"))) }
    }

    /// Connects to the first server that takes writes for the keys, or else to the last replica that has them.
    pub(super) async fn connect_for_reading(&self) -> Result<MultiplexedConnection, RelayError> {
        Ok(self.connect().await?.0)
    }

    async fn connect(&self) -> Result<(MultiplexedConnection, String), RelayError> {
        let (mut replica, mut trouble) = (None, String::new());
        for client in &self.clients {
            match tokio::time::timeout(CONNECT_LIMIT, connect(client)).await {
                Ok(Ok(primary)) if primary.1 == PRIMARY => return Ok(primary),
                Ok(Ok(other)) => replica = Some(other),
                Ok(Err(error)) => trouble = error.to_string(),
                Err(_) => trouble = format!("no answer within {CONNECT_LIMIT:?}"),
            }
        }
        replica.ok_or_else(|| self.no_primary(trouble))
    }

    fn no_primary(&self, trouble: String) -> RelayError {
        RelayError::NoPrimary(self.clients.len(), trouble)
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

/// Connects, asks for the role of the server, and makes sure that it answers for the keys: in Redis Cluster, most servers do not.
async fn connect(client: &Client) -> Result<(MultiplexedConnection, String), RedisError> {
    // A reader waits for as long as it says itself, and whoever asks anything else has a limit of its own.
    let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let role: Vec<redis::Value> = redis::cmd("ROLE").query_async(&mut connection).await?;
    let role: String = role.into_iter().next().map(redis::from_redis_value).transpose()?.unwrap_or_default();
    if role != PRIMARY {
        // A replica in a cluster sends readers away without this, and any other one does not know it.
        let _unknown_without_cluster: Result<(), RedisError> =
            redis::cmd("READONLY").query_async(&mut connection).await;
    }
    let _any: bool = redis::cmd("EXISTS").arg(EVENTS).query_async(&mut connection).await?;
    Ok((connection, role))
}

/// Awaits a command that waits for nothing.
pub(super) async fn within_limit<T>(asked: impl Future<Output = Result<T, RedisError>>) -> Result<T, RelayError> {
    match tokio::time::timeout(COMMAND_LIMIT, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(RelayError::Late(COMMAND_LIMIT)),
    }
}
