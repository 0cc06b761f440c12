-- The state of the journal, one row, and the partitions that are made ahead of need.

-- ---------------------------------------------------------------------------------------------------------
-- State
-- ---------------------------------------------------------------------------------------------------------

create table rowcast.journal_state (
    singleton        boolean     not null default true,
    head             bigint      not null default 0,
    trimmed_through  bigint      not null default 0,
    min_version      integer     not null default 1,
    partition_rows   bigint      not null default 134217728,
    partitions_ahead integer     not null default 25,
    updated_at       timestamptz not null default clock_timestamp(),
    constraint journal_state_pkey primary key (singleton),
    constraint journal_state_is_one_row check (singleton),
    constraint journal_state_head_covers_what_was_trimmed check (trimmed_through between 0 and head),
    constraint journal_state_min_version_check check (min_version >= 1),
    constraint journal_state_partition_rows_check check (partition_rows between 1000 and 1099511627776),
    constraint journal_state_partitions_ahead_check check (partitions_ahead between 2 and 256)
) with (fillfactor = 50);
comment on table rowcast.journal_state is
    'One row: the safe head last written, what retention took, which binaries may serve, how partitions are cut.';
insert into rowcast.journal_state default values;

create function rowcast.never_backwards() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    if new.head < old.head or new.trimmed_through < old.trimmed_through then
        raise exception 'rowcast.journal_state never goes backwards: head % to %, trimmed_through % to %',
            old.head, new.head, old.trimmed_through, new.trimmed_through
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    new.updated_at := clock_timestamp();
    return new;
end
$$;
create trigger never_backwards before update on rowcast.journal_state
    for each row execute function rowcast.never_backwards();
alter table rowcast.journal_state enable always trigger never_backwards;

create function rowcast.keep_state() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception 'rowcast.journal_state is one row that stays: % is refused', tg_op
        using errcode = 'object_not_in_prerequisite_state';
end
$$;
create trigger keep_state before delete or truncate on rowcast.journal_state
    for each statement execute function rowcast.keep_state();
alter table rowcast.journal_state enable always trigger keep_state;

revoke all on function rowcast.never_backwards(), rowcast.keep_state() from public;
grant select on rowcast.journal_state to rowcast_reader, rowcast_writer, rowcast_server;
grant update (head) on rowcast.journal_state to rowcast_server;

-- ---------------------------------------------------------------------------------------------------------
-- Partitions
-- ---------------------------------------------------------------------------------------------------------

-- Each is made apart and ATTACHed, which takes SHARE UPDATE EXCLUSIVE on the journal and so stops no writer.
-- The defaults, 25 partitions of 2^27 rows, hold a year without any server at 100 rows a second (3.2e9 rows).
-- LIKE never INCLUDING IDENTITY: the one sequence belongs to the parent. A partition's own trigger refuses what
-- addresses it directly, because triggers of the parent do not see that; an insert routed to it passes.
--
-- One maker works at a time. The lock that says so is a table lock: SHARE UPDATE EXCLUSIVE conflicts with itself and with no
-- reader or writer, and takes the rights of the owner. Any login could take an advisory lock and hang `rowcast migrate` with it.
create function rowcast.ensure_partitions() returns integer
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
comment on function rowcast.ensure_partitions() is
    'Makes the partitions that lie ahead of the sequence and says how many it made. Safe to call at any time.';
select rowcast.ensure_partitions();

revoke all on function rowcast.ensure_partitions() from public;
grant execute on function rowcast.ensure_partitions() to rowcast_server;
