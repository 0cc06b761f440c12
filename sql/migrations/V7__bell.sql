-- The bell: an insert into the journal wakes the tail with NOTIFY, unless the tail is awake anyway (the hush).
-- A bell is only a hint. Its payload moves no head, and a node that misses one looks for itself once a second.

-- The hush is a deadline: until when a tail polls and wants no bell, in a sequence that only the server may set. It ends by
-- itself, and nobody else can take the bell away, as any login could by holding an advisory lock.
--
-- It is a sequence, because setting and reading it takes no snapshot and leaves no dead rows. It holds milliseconds of the
-- database's clock; one that was never set, or is set to 0, hushes nothing. A deadline that lies further ahead than the longest
-- hush, one second, hushes nothing either: so a clock that is set back, or a dump restored under another clock, ends a hush too.
create sequence rowcast.hush_deadline as bigint minvalue 0 start with 0 no cycle cache 1;
comment on sequence rowcast.hush_deadline is
    'Until when the bell is hushed: milliseconds since 1970 by the database''s clock, at most a second ahead.';
grant select, update on sequence rowcast.hush_deadline to rowcast_server;

-- The setting rowcast.bell says both "silent" and "rung already". A session may set it to 'off'; a ring sets it to 'rung' for the
-- rest of the transaction. A setting made locally within a savepoint is undone with it, exactly as its NOTIFY is, so the next
-- insert after a rollback to a savepoint rings anew.
--
-- The journal is not read. A plan that asks whether a number is a row opens every partition with all its indexes: a session's
-- first bell then took tens of milliseconds and megabytes. Instead a session remembers, in rowcast.rung_for, the newest number
-- that it has rung for, or passed over because its transaction had rung already. A statement without a row draws none, so it
-- finds that number and is silent. A number that was drawn and rolled back, or drawn while the bell was hushed, may ring once
-- without a row.
create function rowcast.notify_newest() returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    newest text;
begin
    if current_setting('rowcast.bell', true) = 'off' or pg_current_xact_id_if_assigned() is null then
        return;
    end if;
    begin
        newest := currval('rowcast.events_seq_seq');
    exception
        -- This session has never drawn a number, so it has inserted nothing.
        when object_not_in_prerequisite_state then return;
    end;
    if newest is distinct from current_setting('rowcast.rung_for', true) then
        perform set_config('rowcast.rung_for', newest, false);
        if current_setting('rowcast.bell', true) is distinct from 'rung' then
            perform pg_notify('rowcast', newest), set_config('rowcast.bell', 'rung', true);
        end if;
    end if;
end
$$;
comment on function rowcast.notify_newest() is
    'NOTIFY rowcast with the newest seq: once a transaction, not when silenced or when this session has drawn no seq since its last bell.';
revoke all on function rowcast.notify_newest() from public;

-- Hushed while the deadline lies between now and a second from now; one that was never set is null, and hushes nothing. Whoever
-- skips the bell has drawn its numbers and holds the lock of writers, so the tail's next fence waits for it. The longest hush
-- stands in src/tail/statements.rs too.
--
-- A WHEN clause of the trigger would be parsed and planned anew by every statement, which takes longer than entering a function
-- of plpgsql (7 % of what 64 writers have to do: perf, Postgres 15, two cores). The function has no setting, since putting
-- search_path back and forth takes as long as its question. It runs as its owner under the search path of whoever writes, so
-- every name in it is qualified, operators too.
create function rowcast.ring_bell() returns trigger
    language plpgsql
    security definer
as $$
begin
    if pg_catalog.abs((pg_catalog.pg_sequence_last_value('rowcast.hush_deadline'::pg_catalog.regclass)::pg_catalog.float8
                       operator(pg_catalog.-) 500::pg_catalog.float8)
                      operator(pg_catalog.-)
                      (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) operator(pg_catalog.*) 1000::pg_catalog.float8))
       operator(pg_catalog.<=) 500::pg_catalog.float8 then
        return null;
    end if;
    perform rowcast.notify_newest();
    return null;
end
$$;
comment on function rowcast.ring_bell() is
    'NOTIFY rowcast with the newest seq: once a transaction, not when hushed, silenced or without a row.';
revoke all on function rowcast.ring_bell() from public;

-- A trigger on the journal needs a lock that is in the way of writers, and of anybody who has locked it by its oid.
set local lock_timeout = '10s';
create trigger bell after insert on rowcast.events for each statement execute function rowcast.ring_bell();
alter table rowcast.events enable always trigger bell;
