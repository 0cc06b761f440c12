-- The bell rings without reading the journal.
--
-- It asked whether the newest number that its session drew is a row of this transaction. The plan of that question opens every
-- partition with all its indexes: a session's first bell took tens of milliseconds and megabytes, every further one locked all
-- partitions, and 64 sessions that began to write spent seconds on it before anybody could hush them. Now a session remembers
-- for which number it rang. A statement without a row draws none, so it finds the number of the last bell and is silent. A number
-- that was drawn and rolled back, or drawn while the bell was hushed, may ring once without a row: a bell is only a hint.
create or replace function rowcast.notify_newest() returns void
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

-- destructive: nothing calls it any more
drop function rowcast.has_written(bigint);

-- As in V22, without a search for tables that inherit from this one, which took as long as the lock.
create or replace function rowcast.hold_writer_lock() returns trigger
    language plpgsql
    security definer
as $$
begin
    lock table only rowcast_private.writer_lock in row share mode;
    return null;
end
$$;
