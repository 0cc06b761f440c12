//! The partitions of the journal: those made ahead of need, those that retention may drop, and tables that a trim detached and did
//! not drop.

use std::time::Duration;

use tokio_postgres::{Client, Error};

use crate::db::{Database, DatabaseError, Lane};
use crate::shutdown::Shutdown;

/// The interval at which the server makes the partitions that are missing ahead.
const INTERVAL: Duration = Duration::from_secs(3600);
/// The first wait after a failure; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(300);

/// A partition that is attached, or whose detaching is not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its name, quoted where it must be, with its schema.
    pub name: String,
    /// The seq after its last; unknown if somebody wrote bounds that are not two numbers.
    pub upper: Option<i64>,
    /// A DETACH CONCURRENTLY was begun and not finished.
    pub detach_pending: bool,
    /// True if `rowcast.ensure_partitions` has surely made it: its schema, name, owner and trigger say so, and it is a plain table.
    pub ours: bool,
    /// True if it is the DEFAULT partition.
    pub is_default: bool,
    /// Its size on disk with its indexes, in bytes.
    pub bytes: i64,
}

/// The condition in SQL for a table that `rowcast.ensure_partitions` has surely made. To keep a table that was detached by hand,
/// rename it.
const OURS: &str = r"(c.relkind = 'r' and n.nspname = 'rowcast' and c.relname ~ '^events_p[0-9]+$'
    and c.relowner = parent.relowner
    and exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgname = 'append_only' and t.tgenabled = 'A'
                   and t.tgfoid = 'rowcast.refuse_change()'::regprocedure))";

/// Every attached partition, by its bounds.
pub async fn attached(client: &Client) -> Result<Vec<Partition>, Error> {
    let sql = format!(
        r"select format('%I.%I', n.nspname, c.relname),
                 (regexp_match(bound, '^FOR VALUES FROM [(]''[0-9]+''[)] TO [(]''([0-9]+)''[)]$'))[1]::bigint as upper,
                 i.inhdetachpending, {OURS}, bound = 'DEFAULT', pg_total_relation_size(c.oid)
            from pg_inherits i
            join pg_class parent on parent.oid = i.inhparent
            join pg_class c on c.oid = i.inhrelid
            join pg_namespace n on n.oid = c.relnamespace
           cross join lateral pg_get_expr(c.relpartbound, c.oid) bound
           where i.inhparent = 'rowcast.events'::regclass
           order by upper nulls last"
    );
    let read = |row: &tokio_postgres::Row| {
        Ok(Partition {
            name: row.try_get(0)?,
            upper: row.try_get(1)?,
            detach_pending: row.try_get(2)?,
            ours: row.try_get(3)?,
            is_default: row.try_get::<_, Option<bool>>(4)?.unwrap_or(false),
            bytes: row.try_get::<_, Option<i64>>(5)?.unwrap_or(0),
        })
    };
    client.query_typed(&sql, &[]).await?.iter().map(read).collect()
}

/// Tables that are surely ours and no longer attached. A trim leaves them if it ends between detaching and dropping.
pub(super) async fn detached(client: &Client) -> Result<Vec<String>, Error> {
    let sql = format!(
        "select format('%I.%I', n.nspname, c.relname)
           from pg_class c
           join pg_namespace n on n.oid = c.relnamespace
           join pg_class parent on parent.oid = 'rowcast.events'::regclass
          where not c.relispartition and not exists (select from pg_inherits i where i.inhrelid = c.oid) and {OURS}
          order by length(c.relname), c.relname"
    );
    client.query_typed(&sql, &[]).await?.iter().map(|row| row.try_get(0)).collect()
}

/// Makes the partitions that are missing ahead of the sequence, and returns how many it made.
pub async fn ensure_partitions(client: &Client) -> Result<i32, Error> {
    client.query_typed_one("select rowcast.ensure_partitions()", &[]).await?.try_get(0)
}

/// Makes partitions ahead of need, now and every hour. A failure is retried, and logged when it changes. It does not end the
/// server, since inserts go on in the partitions that are already ahead.
pub async fn keep_ahead(database: Database, shutdown: Shutdown) {
    let mut wait = RETRY_MIN;
    let mut last_error = None;
    loop {
        let pause = match make(&database).await {
            Ok(made) => {
                if made > 0 || last_error.is_some() {
                    tracing::info!(made, "the journal has its partitions ahead");
                }
                (wait, last_error) = (RETRY_MIN, None);
                INTERVAL
            }
            Err(error) => {
                if last_error.as_ref() != Some(&error) {
                    tracing::warn!(reason = error.kind(), "partitions ahead could not be made: {error}");
                    last_error = Some(error);
                }
                let now = wait;
                wait = (wait * 2).min(RETRY_MAX);
                now
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn make(database: &Database) -> Result<i32, DatabaseError> {
    Ok(database.run(Lane::Housekeeping, async |client| ensure_partitions(client).await).await??)
}
