//! The checks of the journal in this database.

use std::fmt::Write as _;

use tokio_postgres::Client;

use super::database::one;
use super::finding::{Finding, Patient, fail, ok, warn};
use crate::db::DatabaseError;
use crate::db::migrate::{self, MigrateError, Status};

/// A transaction that has inserted and is idle for so long was forgotten.
const IDLE_SECONDS: f64 = 1.0;

/// Whether there is a journal that further checks could look at.
pub(super) async fn is_there(client: &Client) -> bool {
    // By the catalogs, since a login without any right on the schema must be told of the rights and not of the schema.
    let sql = "select count(*) = 3 from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                where n.nspname = 'rowcast' and c.relname in ('events', 'events_seq_seq', 'journal_state')";
    one(client, sql).await.is_ok_and(|row| row.try_get(0).unwrap_or(false))
}

/// Whether the schema is this binary's.
pub(super) async fn migrations(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    Ok(match migrate::status(patient.client()?).await {
        Ok(Status::Current) => ok("the schema is up to date"),
        Ok(Status::Behind(missing)) => fail(format!("missing: {}; run `rowcast migrate`", missing.join(", "))),
        Ok(Status::Ahead(version)) => warn(format!("the schema is ahead, at V{version}, and allows this binary")),
        Err(MigrateError::Postgres(error)) => fail(DatabaseError::from(error).to_string()),
        Err(error) => fail(error.to_string()),
    })
}

/// The tasks of a server, each with the right that it needs, as a boolean expression.
const RIGHTS: &[(&str, &str)] = &[
    ("read rowcast.events", "has_table_privilege('rowcast.events', 'select')"),
    ("insert into rowcast.events", "has_any_column_privilege('rowcast.events', 'insert')"),
    ("read the sequence", "has_sequence_privilege('rowcast.events_seq_seq', 'select')"),
    ("read rowcast.journal_state", "has_table_privilege('rowcast.journal_state', 'select')"),
    ("write down the head", "has_column_privilege('rowcast.journal_state', 'head', 'update')"),
    ("read the taxonomy", "has_table_privilege('rowcast.event_types', 'select')"),
    ("make partitions", "has_function_privilege('rowcast.ensure_partitions()', 'execute')"),
    (
        "read the migration history",
        "(to_regclass('public.refinery_schema_history') is null \
          or has_table_privilege(to_regclass('public.refinery_schema_history'), 'select'))",
    ),
    ("read the lock table", "has_table_privilege('pg_catalog.pg_locks', 'select')"),
    ("know the history of the cluster", "has_function_privilege('pg_catalog.pg_control_system()', 'execute')"),
];

/// Whether this login may do what a server does, and whether it may do more than it needs.
pub(super) async fn privileges(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    let mut sql = "select pg_has_role(c.relowner, 'usage'), \
                   (select rolsuper from pg_catalog.pg_roles where rolname = current_user), \
                   has_schema_privilege('rowcast', 'usage')"
        .to_owned();
    for (_, right) in RIGHTS {
        // Without the schema, a question about what is in it would be an error.
        let _infallible =
            write!(sql, ", case when has_schema_privilege('rowcast', 'usage') then {right} else false end");
    }
    sql.push_str(
        " from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
           where n.nspname = 'rowcast' and c.relname = 'events'",
    );
    let row = one(patient.client()?, &sql).await?;
    let (owner, superuser): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
    let mut missing = Vec::new();
    for (at, (what, _)) in RIGHTS.iter().enumerate() {
        if !row.try_get::<_, bool>(at + 3)? {
            missing.push(*what);
        }
    }
    Ok(if !missing.is_empty() {
        fail(format!("this login may not {}: grant it rowcast_server", missing.join(", nor ")))
    } else if superuser {
        ok("a superuser; rowcast_server is enough for a server")
    } else if owner {
        ok("the owner of the journal; rowcast_server is enough for a server")
    } else {
        ok("all that a server needs, and not the owner's")
    })
}

/// Whether inserts have somewhere to go, now and for a while. The sequence's table may show for a moment 32 numbers more than are
/// drawn, which makes no difference here, and it can be read on a standby, where `pg_sequence_last_value` fails.
pub(super) async fn partitions(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    let sql = "\
        select coalesce(max(b.upper), 1) - 1 - s.used, count(*) filter (where b.lower > s.used), j.partitions_ahead \
          from (select case when is_called then last_value else 0 end as used from rowcast.events_seq_seq) s \
         cross join rowcast.journal_state j \
          left join (select (regexp_match(x.bound, 'FROM [(]''([0-9]+)''[)]'))[1]::bigint as lower, \
                            (regexp_match(x.bound, 'TO [(]''([0-9]+)''[)]'))[1]::bigint as upper \
                       from pg_catalog.pg_inherits i \
                       join pg_catalog.pg_class c on c.oid = i.inhrelid \
                      cross join lateral (select pg_get_expr(c.relpartbound, c.oid) as bound) x \
                      where i.inhparent = 'rowcast.events'::regclass) b on true \
         group by s.used, j.partitions_ahead";
    let row = one(patient.client()?, sql).await?;
    let (left, ahead, wanted): (i64, i64, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let detail = format!("{left} rows fit before the last partition ends, {ahead} of {wanted} partitions are unused");
    Ok(if left <= 0 {
        fail("no partition is left: every insert fails; run `rowcast migrate` or select rowcast.ensure_partitions()")
    } else if ahead < 2 {
        warn(format!("{detail}: run `rowcast migrate` or select rowcast.ensure_partitions()"))
    } else {
        ok(detail)
    })
}

/// A session that draws numbers in blocks could use one that was taken for decided.
pub(super) async fn sequence(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    let sql = "select seqcache, seqincrement, seqcycle from pg_catalog.pg_sequence \
                where seqrelid = 'rowcast.events_seq_seq'::regclass";
    let row = one(patient.client()?, sql).await?;
    let (cache, step, cycle): (i64, i64, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(if (cache, step, cycle) == (1, 1, false) {
        ok("CACHE 1")
    } else {
        fail(format!(
            "CACHE {cache}, INCREMENT {step}{}: rows may be skipped; \
             alter sequence rowcast.events_seq_seq cache 1 increment 1 no cycle",
            if cycle { ", CYCLE" } else { "" }
        ))
    })
}

/// Rows that no draw from the sequence accounts for. The sequence is read after the snapshot is taken, so a row that is
/// being inserted meanwhile is none of them.
pub(super) async fn beyond(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    let last_value = "(select case when is_called then last_value else 0 end from rowcast.events_seq_seq)";
    let sql = format!("select count(*), min(seq), {last_value} from rowcast.events where seq > {last_value}");
    let row = one(patient.client()?, &sql).await?;
    let (count, first, last): (i64, Option<i64>, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(match first {
        None => ok(format!("no row beyond the sequence, which is at {last}")),
        Some(first) => fail(format!(
            "{count} rows beyond the sequence, which is at {last}, from seq {first} on: \
             the insert that draws that number will fail"
        )),
    })
}

/// The triggers without which rows could be changed or misordered, which must fire for replicas too; and the bell, without which rows
/// would be streamed late.
pub(super) async fn triggers(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    let sql = "\
        with wanted (relation, name) as ( \
            values ('rowcast.events'::regclass, 'append_only'), ('rowcast.events', 'hold_writer_lock'), \
                   ('rowcast.journal_state', 'never_backwards'), ('rowcast.journal_state', 'keep_state') \
            union all \
            select i.inhrelid, 'append_only' from pg_catalog.pg_inherits i \
             where i.inhparent = 'rowcast.events'::regclass) \
        select count(*), string_agg(format('%s on %s', w.name, w.relation), ', ') filter (where t.tgname is null), \
               (select replace(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '\"', '') like '%rowcast.ring_bell()%' \
                  from pg_catalog.pg_attrdef d join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum \
                 where d.adrelid = 'rowcast.events'::regclass and a.attname = 'at') \
          from wanted w \
          left join pg_catalog.pg_trigger t on t.tgrelid = w.relation and t.tgname = w.name and t.tgenabled = 'A'";
    let row = one(patient.client()?, sql).await?;
    let (count, missing): (i64, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
    let rings: Option<bool> = row.try_get(2)?;
    Ok(match missing {
        Some(missing) => fail(format!("gone, or not enabled always: {missing}")),
        None if rings != Some(true) => {
            fail("the default of rowcast.events.at does not ring the bell: events come late".to_owned())
        }
        None => ok(format!("{count} triggers fire always, and the bell rings")),
    })
}

/// Transactions that have inserted and sit idle, or are prepared: the stream waits for them.
pub(super) async fn blockers(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    let sql = format!(
        "select count(*), string_agg(x.name, ', ') from ( \
             select coalesce('pid ' || l.pid, 'a prepared transaction') as name \
               from rowcast.writers l left join pg_catalog.pg_stat_activity a on a.pid = l.pid \
              where (l.pid is null or a.state like 'idle in transaction%' \
                     and clock_timestamp() - a.state_change > interval '{IDLE_SECONDS} s') \
              limit 8) x"
    );
    let row = one(patient.client()?, &sql).await?;
    let (count, names): (i64, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
    Ok(match names {
        None => ok("nobody idles in a transaction that has inserted"),
        Some(names) => warn(format!("{count} transactions have inserted and idle, and the stream waits: {names}")),
    })
}
