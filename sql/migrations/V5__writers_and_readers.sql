-- Reading up to the safe head: who may own an undecided seq, how far everything is decided, and the events up to there.

-- ---------------------------------------------------------------------------------------------------------
-- Writers
-- ---------------------------------------------------------------------------------------------------------

-- Who writes holds a lock that nobody else can take, and the fence waits for its holders.
--
-- The locks on the journal and on its sequence do not say who writes. Postgres takes them before it looks at rights: `nextval`
-- called with the oid of any relation, from within a savepoint, leaves anybody who may log in with such a lock. So a statement
-- that inserts takes one more lock before it draws its first number, on a table in a schema that nobody may use: that right is
-- looked at before anything is locked. In this mode nothing takes a lock by a relation's oid, and pg_dump takes none.
create table rowcast_private.writer_lock ();
comment on table rowcast_private.writer_lock is 'Always empty: whoever inserts into the journal holds a lock on it.';

-- It has no setting, which would take longer than the lock. It names one table, and that with its schema; ONLY spares a search
-- for tables that inherit from it, which took as long as the lock.
create function rowcast.hold_writer_lock() returns trigger
    language plpgsql
    security definer
as $$
begin
    lock table only rowcast_private.writer_lock in row share mode;
    return null;
end
$$;
comment on function rowcast.hold_writer_lock() is 'Locks rowcast_private.writer_lock, which tells the fence who may own an undecided seq.';
revoke all on function rowcast.hold_writer_lock() from public;

-- A trigger on the journal needs a lock that is in the way of writers, and of anybody who has locked it by its oid.
set local lock_timeout = '10s';
create trigger hold_writer_lock before insert on rowcast.events for each statement execute function rowcast.hold_writer_lock();
alter table rowcast.events enable always trigger hold_writer_lock;

-- An owner can disable triggers, for a restore or by mistake. Then the lock on the journal counts, which nothing but reading goes
-- without. Switching the trigger waits for all writers, so a look that finds it enabled looks for no writer from before.
create view rowcast.writers as
select l.virtualtransaction, l.pid
  from pg_catalog.pg_locks l
 where l.locktype = 'relation'
   and l.granted
   and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
   and case when (select t.tgenabled = 'A' from pg_catalog.pg_trigger t
                   where t.tgrelid = 'rowcast.events'::regclass and t.tgname = 'hold_writer_lock')
            then l.relation = 'rowcast_private.writer_lock'::regclass and l.mode = 'RowShareLock'
            else l.relation = 'rowcast.events'::regclass and l.mode = 'RowExclusiveLock'
       end;
comment on view rowcast.writers is 'The transactions that may own an undecided seq. One without a pid is a prepared one.';
grant select on rowcast.writers to rowcast_reader, rowcast_writer, rowcast_server;

-- ---------------------------------------------------------------------------------------------------------
-- The safe head
-- ---------------------------------------------------------------------------------------------------------

-- Who inserts holds the lock of writers from before the first nextval until after the commit is visible. So when nobody
-- holds it *after* the sequence was read, every seq up to there is decided. VOLATILE, so that each statement takes a
-- snapshot of its own; where the snapshot is older than the look (REPEATABLE READ and above) or the lock table is another
-- server's (a standby), the head last written is the answer.
create function rowcast.safe_head() returns bigint
    language plpgsql
    volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    reached bigint;
begin
    if not pg_is_in_recovery() and current_setting('transaction_isolation') in ('read committed', 'read uncommitted') then
        -- Not "select last_value": without the buffer's lock it may see what nextval logs, 32 ahead of what was drawn.
        reached := coalesce(pg_sequence_last_value('rowcast.events_seq_seq'::regclass), 0);
        perform from rowcast.writers;
        if not found then
            return reached;
        end if;
    end if;
    select head into strict reached from rowcast.journal_state;
    return reached;
end
$$;
comment on function rowcast.safe_head() is
    'A seq up to which everything is decided: visible, or never to come.';

create function rowcast.query_events(
    cursor    bigint  default null,
    max_rows  integer default 100,
    types     text[]  default null,
    min_level text    default null,
    symbol    text    default null,
    trade_id  uuid    default null,
    subject   text    default null,
    owner     text    default null
) returns setof rowcast.events
    language plpgsql
    volatile
    rows 100
    set search_path = pg_catalog, pg_temp
as $$
declare
    levels  constant text[] := '{debug,info,warn,error,critical}';
    trimmed bigint;
    upto    bigint;
    wanted  text;
    by_type text[] := '{}';
    filters text := '';
begin
    if cursor < 0 then
        raise exception 'cursor must not be negative: %', cursor using errcode = 'invalid_parameter_value';
    end if;
    if max_rows is null or max_rows not between 1 and 10000 then
        raise exception 'max_rows must be 1 to 10000: %', max_rows using errcode = 'invalid_parameter_value';
    end if;
    if cardinality(types) > 64 then
        raise exception 'types must be at most 64: %', cardinality(types) using errcode = 'invalid_parameter_value';
    end if;
    if min_level is not null and min_level <> all (levels) then
        raise exception 'min_level must be debug, info, warn, error or critical: %', min_level
            using errcode = 'invalid_parameter_value';
    end if;

    upto := rowcast.safe_head();
    select s.trimmed_through into strict trimmed from rowcast.journal_state s;
    if cursor < trimmed then
        raise exception 'cursor % has expired: events after it were trimmed, through seq %', cursor, trimmed
            using errcode = 'invalid_parameter_value',
                  hint = format('Read on from cursor => %s, or from the oldest kept event with cursor => null.', trimmed);
    end if;

    -- Only the conditions that are asked for stand in the query, so that the planner sees which index fits.
    foreach wanted in array coalesce(types, '{}') loop
        if wanted ~ '^[a-z0-9_]+([.][a-z0-9_]+)*$' then
            by_type := by_type || format('e.type = %L', wanted);
        elsif wanted ~ '^[a-z0-9_]+([.][a-z0-9_]+)*[.][*]$' then
            -- "/" follows "." in the C collation, so this is exactly the prefix "trade."
            by_type := by_type || format('(e.type >= %L and e.type < %L)',
                                         left(wanted, -1), left(wanted, -2) || '/');
        else
            raise exception 'types must hold dotted lower-case words or prefix.*: %', wanted
                using errcode = 'invalid_parameter_value';
        end if;
    end loop;
    if types is not null then
        filters := filters || format(' and (%s)', coalesce(nullif(array_to_string(by_type, ' or '), ''), 'false'));
    end if;
    if min_level is not null and min_level <> 'debug' then
        filters := filters || ' and e.level = any ($4)';
    end if;
    if symbol is not null then filters := filters || ' and e.symbol = $5'; end if;
    if trade_id is not null then filters := filters || ' and e.trade_id = $6'; end if;
    if subject is not null then filters := filters || ' and e.subject = $7'; end if;
    if owner is not null then filters := filters || ' and e.owner = $8'; end if;

    return query execute
        'select e.* from rowcast.events e where e.seq > $1 and e.seq <= $2' || filters || ' order by e.seq limit $3'
        using greatest(coalesce(cursor, 0), trimmed), upto, max_rows,
              levels[array_position(levels, min_level):], symbol, trade_id, subject, owner;

    -- Retention may have dropped a partition since the look above: what is missing then must not pass for a gap.
    select s.trimmed_through into strict trimmed from rowcast.journal_state s;
    if cursor < trimmed then
        raise exception 'cursor % has expired: events after it were trimmed, through seq %', cursor, trimmed
            using errcode = 'invalid_parameter_value',
                  hint = format('Read on from cursor => %s, or from the oldest kept event with cursor => null.', trimmed);
    end if;
end
$$;
comment on function rowcast.query_events(bigint, integer, text[], text, text, uuid, text, text) is
    'Events after the cursor in seq order, never beyond the safe head. A null cursor begins with the oldest kept event.';

revoke all on function
    rowcast.safe_head(),
    rowcast.query_events(bigint, integer, text[], text, text, uuid, text, text) from public;
grant execute on function
    rowcast.safe_head(),
    rowcast.query_events(bigint, integer, text[], text, text, uuid, text, text)
    to rowcast_reader, rowcast_writer, rowcast_server;
