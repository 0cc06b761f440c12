-- The bell's last question, "is there a row?", planned once a session.
--
-- ring_bell asked it by dynamic SQL, so that the plan opened one partition: 0.25 ms of an insert that rings, nearly all of
-- it planning (measured on Postgres 15, one writer). A generic plan locks every partition and looks into one, 0.1 ms; the
-- locks are in nobody's way, and while there are many writers the bell is hushed and does not come this far.

create function rowcast.has_written(newest bigint) returns boolean
    language plpgsql
    volatile
    set search_path = pg_catalog, pg_temp
    set plan_cache_mode = force_generic_plan
as $$
begin
    -- Rows of earlier transactions of this session have an xmin before this transaction's own id, those of its
    -- savepoints one after it.
    return exists (select from rowcast.events e where e.seq = newest and age(e.xmin) <= 0);
end
$$;
comment on function rowcast.has_written(bigint) is
    'Whether this transaction has written the event of this seq.';
revoke all on function rowcast.has_written(bigint) from public;

-- As in V5, where the order of the questions is explained, but for the last of them.
create or replace function rowcast.ring_bell() returns trigger
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    newest bigint;
begin
    if current_setting('rowcast.bell', true) = any ('{off,rung}')
       or not (pg_try_advisory_lock_shared(rowcast.hush_key()) and pg_advisory_unlock_shared(rowcast.hush_key())) then
        return null;
    end if;
    if pg_current_xact_id_if_assigned() is null then
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
