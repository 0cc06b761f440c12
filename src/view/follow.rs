//! Keeps up with the public taxonomy in the database. Plain SQL changes it, and a change must hold on every node within a second.
//! So each node asks about once a second, in one statement that returns a fingerprint alone while nothing changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use postgres_types::Type;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::Taxonomy;
use crate::clock::jitter;
use crate::db::{Database, DatabaseError, Lane};
use crate::shared_list::{GivenList, SharedList, given_changed, given_now};
use crate::shutdown::Shutdown;

/// The time from the beginning of one look to that of the next. The rest of a second is for the look itself and for rendering the
/// pages anew.
const LOOK_INTERVAL: Duration = Duration::from_millis(900);
/// A look that takes longer has failed.
const LOOK_LIMIT: Duration = Duration::from_secs(5);
/// The first wait after a failed look; it doubles up to [`RETRY_MAX`]. That is about the interval of looks, since a type that was
/// taken off the list must not stay public.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// Asks for all types, if their fingerprint differs from the known one ($1); else for one row with the fingerprint and no type.
const LOOK_SQL: &str = "with types as materialized (select type, public_fields from rowcast.event_types),
         digests as (select type, sha256(convert_to(type || ' ' || public_fields::text, 'UTF8')) as digest from types),
         prints as (select sha256(coalesce(string_agg(digest, '' order by type), '')) as print from digests)
    select prints.print, types.type, types.public_fields
      from prints left join types on prints.print is distinct from $1";

/// The taxonomy as this node knows it.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// 0 before the first look, when nothing is public yet; then it grows with every change.
    pub version: u64,
    /// The public types and fields.
    pub taxonomy: Arc<Taxonomy>,
}

/// Follows the taxonomy of a database, or the one that a relay gives to this node.
#[derive(Debug)]
pub struct Follower {
    database: Database,
    known: watch::Sender<Known>,
    /// The fingerprint of the known taxonomy; none if it was given.
    fingerprint: Option<Vec<u8>>,
    given: Option<GivenList>,
    /// The text of the taxonomy that was given last.
    taken: Option<Arc<str>>,
    /// The taxonomy as this node has read it from the database, for a relay.
    read: watch::Sender<Option<SharedList>>,
}

impl Follower {
    /// A follower that knows nothing yet.
    pub fn new(database: Database) -> Self {
        let (known, read) = (watch::Sender::default(), watch::Sender::default());
        Self { database, known, fingerprint: None, given: None, taken: None, read }
    }

    /// This follower with a taxonomy that others read for it: while one is given, it does not ask the database.
    #[must_use]
    pub fn with_given(self, given: Option<GivenList>) -> Self {
        Self { given, ..self }
    }

    /// The taxonomy as it was read from the database last, for a relay.
    pub fn shared(&self) -> GivenList {
        self.read.subscribe()
    }

    /// The known taxonomy, now and after each change.
    pub fn subscribe(&self) -> watch::Receiver<Known> {
        self.known.subscribe()
    }

    /// Follows until the shutdown. While the database is away, the last known taxonomy goes on to hold.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut retry = RETRY_MIN;
        let mut error = None;
        loop {
            if let Some(list) = given_now(&mut self.given) {
                self.take(list.text);
                tokio::select! {
                    () = given_changed(&mut self.given) => {}
                    () = shutdown.cancelled() => return,
                }
                continue;
            }
            let begun = Instant::now();
            let looked = tokio::select! {
                looked = tokio::time::timeout(LOOK_LIMIT, self.look()) => looked.unwrap_or(Err(DatabaseError::Slow(LOOK_LIMIT))),
                () = shutdown.cancelled() => return,
            };
            log_change(&mut error, looked.as_ref().err());
            let next = match looked {
                Ok(()) => {
                    retry = RETRY_MIN;
                    begun + LOOK_INTERVAL
                }
                Err(_) => {
                    let next = Instant::now() + retry.mul_f64(jitter());
                    retry = (retry * 2).min(RETRY_MAX);
                    next
                }
            };
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = given_changed(&mut self.given) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Takes a taxonomy that was given.
    fn take(&mut self, text: Arc<str>) {
        if self.taken.as_ref().is_some_and(|taken| Arc::ptr_eq(taken, &text)) {
            return;
        }
        // The next look at the database reads all of it.
        self.fingerprint = None;
        match serde_json::from_str::<BTreeMap<String, Vec<String>>>(&text) {
            Ok(listed) => self.publish(listed.into_iter().collect()),
            Err(error) => tracing::error!(%error, "the public taxonomy that was relayed cannot be read"),
        }
        self.taken = Some(text);
    }

    /// Publishes a taxonomy if it is another one.
    fn publish(&self, taxonomy: Taxonomy) {
        self.known.send_if_modified(|known| {
            if known.version > 0 && *known.taxonomy == taxonomy {
                return false;
            }
            known.version += 1;
            known.taxonomy = Arc::new(taxonomy);
            tracing::info!(version = known.version, types = known.taxonomy.len(), "the public taxonomy is read");
            true
        });
    }

    /// Looks once, and publishes what has changed.
    async fn look(&mut self) -> Result<(), DatabaseError> {
        let read_at = Instant::now();
        let fingerprint = &self.fingerprint;
        let look = async |client: &mut Client| client.query_typed(LOOK_SQL, &[(fingerprint, Type::BYTEA)]).await;
        let rows = self.database.run(Lane::Housekeeping, look).await??;
        let Some(first) = rows.first() else { return Ok(()) };
        let fingerprint: Vec<u8> = first.try_get(0)?;
        if self.fingerprint.as_ref() == Some(&fingerprint) {
            self.read.send_modify(|read| read.iter_mut().for_each(|list| list.read_at = read_at));
            return Ok(());
        }
        let mut listed = BTreeMap::new();
        for row in &rows {
            // An empty list is one row without a type.
            if let Some(name) = row.try_get::<_, Option<String>>(1)? {
                listed.insert(name, row.try_get::<_, Vec<String>>(2)?);
            }
        }
        let text = serde_json::to_string(&listed).unwrap_or_default();
        self.read.send_replace(Some(SharedList { read_at, text: Arc::from(text) }));
        (self.fingerprint, self.taken) = (Some(fingerprint), None);
        self.publish(listed.into_iter().collect());
        Ok(())
    }
}

/// Logs when the error becomes another one, not at every look.
fn log_change(before: &mut Option<&'static str>, now: Option<&DatabaseError>) {
    let kind = now.map(DatabaseError::kind);
    match now {
        Some(error) if *before != kind => {
            tracing::warn!(reason = error.kind(), "the public taxonomy cannot be read, the last one holds: {error}");
        }
        None if before.is_some() => tracing::info!("the public taxonomy can be read again"),
        _ => {}
    }
    *before = kind;
}
