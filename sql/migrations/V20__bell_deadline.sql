-- The hush as a deadline: until when a tail polls and wants no bell, in a sequence that only the server may set.
--
-- It was an advisory lock, and whoever may log in may take any of those: one session that held it took the bell away from
-- everybody for as long as it liked. A deadline ends by itself, and it costs writers less: the trigger compares it in its WHEN
-- clause, so that plpgsql is not entered at all while the bell is hushed.
--
-- A sequence, because setting and reading it takes no snapshot and leaves no dead rows. It holds milliseconds of the database's
-- clock; one that was never set, or is set to 0, hushes nothing. A deadline that lies further ahead than the longest hush, one
-- second, hushes nothing either: so a clock that is set back, or a dump restored under another clock, ends a hush too.
create sequence rowcast.hush_deadline as bigint minvalue 0 start with 0 no cycle cache 1;
comment on sequence rowcast.hush_deadline is
    'Until when the bell is hushed: milliseconds since 1970 by the database''s clock, at most a second ahead.';

-- A trigger's WHEN clause runs as whoever writes, who may have no other right here than to insert. So everybody may read it;
-- reading takes no lock that is in anybody's way, and without a right on the schema it cannot even be named.
grant select on sequence rowcast.hush_deadline to public;
grant select, update on sequence rowcast.hush_deadline to rowcast_server;

-- As in V8 but for the hush, which the trigger has looked at. What was said there about it holds: every statement looks, after it
-- has drawn its numbers, so that whoever skips the bell holds the journal's row lock at that moment and the tail's next fence
-- waits for it.
create or replace function rowcast.ring_bell() returns trigger
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    newest bigint;
begin
    if current_setting('rowcast.bell', true) = any ('{off,rung}') or pg_current_xact_id_if_assigned() is null then
        return null;
    end if;
    begin
        newest := currval('rowcast.events_seq_seq');
    exception
        -- This session has never drawn a number, so it has inserted nothing.
        when object_not_in_prerequisite_state then return null;
    end;
    -- A serializable transaction must not read the journal only to ring: concurrent appenders would then fail for
    -- having read where others write. There a bell without a row is the smaller evil.
    if current_setting('transaction_isolation') = 'serializable' or rowcast.has_written(newest) then
        perform pg_notify('rowcast', newest::text), set_config('rowcast.bell', 'rung', true);
    end if;
    return null;
end
$$;

-- Parsed and planned anew by every statement, so it is short and in one type: hushed while the deadline lies between now and
-- a second from now. The longest hush stands in src/tail/statements.rs too.
set local lock_timeout = '10s';
create or replace trigger bell after insert on rowcast.events
    for each statement
    when (coalesce(abs(pg_sequence_last_value('rowcast.hush_deadline'::regclass)::float8
                       - date_part('epoch', clock_timestamp()) * float8 '1000' - float8 '500') > float8 '500', true))
    execute function rowcast.ring_bell();
alter table rowcast.events enable always trigger bell;

-- destructive: the advisory lock hushes nothing any more, and nothing depends on the function that named it
drop function rowcast.hush_key();
-- destructive: a binary that looks for that function when it connects must not begin to serve
update rowcast.journal_state set min_version = 20;

-- ---------------------------------------------------------------------------------------------------------
-- Partitions ahead: a lock that only the owner can hold
-- ---------------------------------------------------------------------------------------------------------

-- As in V19 but for the lock. It was an advisory lock, with which any login could hang `rowcast migrate`. SHARE UPDATE EXCLUSIVE
-- conflicts with itself and with no reader or writer, and nobody can take it here who has not the owner's rights.
create or replace function rowcast.ensure_partitions() returns integer
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
    set lock_timeout = '10s'
as $$
declare
    size    bigint;
    wanted  integer;
    used    bigint;
    upper   bigint;
    ahead   integer;
    made    integer := 0;
    name    text;
    holders text;
begin
    -- One maker at a time; the others then find nothing to do.
    lock table rowcast.journal_state in share update exclusive mode;
    select partition_rows, partitions_ahead into strict size, wanted from rowcast.journal_state;
    select case when is_called then last_value else 0 end into strict used from rowcast.events_seq_seq;
    select coalesce(max(bound.upper), 1), count(*) filter (where bound.lower > used)
      into strict upper, ahead
      from pg_inherits i
      join pg_class c on c.oid = i.inhrelid
     cross join lateral (
         select (regexp_match(b, 'FROM [(]''([0-9]+)''[)]'))[1]::bigint as lower,
                (regexp_match(b, 'TO [(]''([0-9]+)''[)]'))[1]::bigint as upper
           from pg_get_expr(c.relpartbound, c.oid) b) bound
     where i.inhparent = 'rowcast.events'::regclass;
    while ahead < wanted or upper <= used + 1 loop
        name := 'events_p' || upper;
        execute format('create table rowcast.%I (like rowcast.events including defaults including constraints)', name);
        execute format('create trigger append_only before insert or update or delete or truncate on rowcast.%I
                        for each statement execute function rowcast.refuse_change()', name);
        execute format('alter table rowcast.%I enable always trigger append_only', name);
        execute format('alter table rowcast.events attach partition rowcast.%I for values from (%s) to (%s)',
                       name, upper, upper + size);
        ahead := ahead + case when upper > used then 1 else 0 end;
        upper := upper + size;
        made := made + 1;
    end loop;
    return made;
exception when lock_not_available then
    select string_agg(coalesce(format('pid %s', l.pid), 'a prepared transaction')
                      || coalesce(format(' (%s)', nullif(a.application_name, '')), ''), ', ' order by l.pid)
      into holders
      from (select distinct k.pid from pg_locks k
             where k.locktype = 'relation' and k.granted and k.pid is distinct from pg_backend_pid()
               and k.database = (select oid from pg_database where datname = current_database())
               and k.relation in ('rowcast.journal_state'::regclass, 'rowcast.events'::regclass)
               and k.mode in ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                              'AccessExclusiveLock')) l
      left join pg_stat_activity a on a.pid = l.pid;
    raise exception 'partitions ahead could not be made within 10 seconds: rowcast.journal_state or rowcast.events is locked by %',
                    coalesce(holders, 'somebody who is gone by now')
        using errcode = 'lock_not_available', hint = 'Only sessions with the rights of the owner can do that.';
end
$$;

-- ---------------------------------------------------------------------------------------------------------
-- Whose lock counts
-- ---------------------------------------------------------------------------------------------------------

-- As in V2 but for whose lock counts. A statement takes the journal's lock while it is parsed, before rights are looked at, so that
-- a reader who only prepared an insert held every stream back. Who draws a number has taken a lock on the sequence as well before
-- drawing it, and keeps it as long; so only who holds both can own a number.
create or replace function rowcast.safe_head() returns bigint
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
        perform from pg_locks
          where locktype = 'relation' and mode = 'RowExclusiveLock' and granted
            and relation in ('rowcast.events'::regclass, 'rowcast.events_seq_seq'::regclass)
            and database = (select oid from pg_database where datname = current_database())
          group by virtualtransaction having count(distinct relation) = 2;
        if not found then
            return reached;
        end if;
    end if;
    select head into strict reached from rowcast.journal_state;
    return reached;
end
$$;
