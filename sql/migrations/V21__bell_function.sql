-- The bell asks for the deadline inside its function again, and is quicker for it.
--
-- Postgres parses and plans a WHEN clause anew for every statement: 7 % of what 64 writers have to do (perf, Postgres 15, two
-- cores), more than entering a function of plpgsql costs, which plans its expression once a session. So the trigger has no WHEN
-- clause, and its function has no setting, since putting `search_path` back and forth takes as long as the question. Every name
-- in it is qualified instead, operators too: it runs as its owner under the search path of whoever writes.

-- What the bell does when it rings: as in V20, without the question of the trigger.
create function rowcast.notify_newest() returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    newest bigint;
begin
    if current_setting('rowcast.bell', true) = any ('{off,rung}') or pg_current_xact_id_if_assigned() is null then
        return;
    end if;
    begin
        newest := currval('rowcast.events_seq_seq');
    exception
        -- This session has never drawn a number, so it has inserted nothing.
        when object_not_in_prerequisite_state then return;
    end;
    -- A serializable transaction must not read the journal only to ring: concurrent appenders would then fail for
    -- having read where others write. There a bell without a row is the smaller evil.
    if current_setting('transaction_isolation') = 'serializable' or rowcast.has_written(newest) then
        perform pg_notify('rowcast', newest::text), set_config('rowcast.bell', 'rung', true);
    end if;
end
$$;
comment on function rowcast.notify_newest() is
    'NOTIFY rowcast with the newest seq: once a transaction, not when silenced or without a row.';
revoke all on function rowcast.notify_newest() from public;

-- Hushed while the deadline lies between now and a second from now; one that was never set is null, and hushes nothing. The
-- statement has drawn its numbers when this runs. The longest hush stands in src/tail/statements.rs too.
create or replace function rowcast.ring_bell() returns trigger
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

set local lock_timeout = '10s';
create or replace trigger bell after insert on rowcast.events for each statement execute function rowcast.ring_bell();
alter table rowcast.events enable always trigger bell;

-- Only the trigger's WHEN clause ran as whoever writes.
revoke select on sequence rowcast.hush_deadline from public;
