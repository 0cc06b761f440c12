-- The bell: an insert into the journal wakes the tail with NOTIFY, unless the tail is awake anyway (the hush).
-- A bell is only a hint. Its payload moves no head, and a node that misses one looks for itself once a second.

-- The advisory lock that a tail holds exclusively while it polls and wants no bell: the ASCII bytes of "rowcast".
-- Advisory locks belong to one database, so journals in other databases of the cluster are not meant by it.
create function rowcast.hush_key() returns bigint
    language sql
    immutable
    parallel safe
    return 32210705904137076;
comment on function rowcast.hush_key() is
    'The advisory lock of the hush: held exclusively by a tail that polls, tried shared by the bell.';

-- What is cheapest and most often decides stands first.
--
-- 1. One setting answers both "silent" and "rung already". A session may set rowcast.bell = 'off'; a ring sets it to
--    'rung' for the rest of the transaction. A setting made locally within a savepoint is undone with it, exactly as
--    its NOTIFY is, so the next insert after a rollback to a savepoint rings anew.
-- 2. The hush: the shared lock is tried and given back in one expression, so that nothing is held afterwards. The
--    transaction-level lock would stay with a prepared transaction and keep the tail from ever hushing again. Whoever
--    finds the bell hushed holds the journal's row lock at that moment, so the tail's next fence waits for it. That
--    is true of the rows inserted so far, hence every statement asks again and no answer is remembered.
-- 3. Only now, where a NOTIFY would follow anyway, is it worth asking whether there is any row to tell of. A transition
--    table would keep a copy of every row and stop COPY from inserting in batches; a row trigger would be called per
--    row. But the session knows the last seq that it drew, and the journal whether a row of this transaction has it:
--    rows of earlier transactions of this session have an xmin before this transaction's own id, those of
--    its savepoints one after it.
create function rowcast.ring_bell() returns trigger
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    newest bigint;
    mine   boolean;
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
    if current_setting('transaction_isolation') = 'serializable' then
        mine := true;
    else
        -- Dynamic, so that the plan knows the seq: it opens one partition. A generic plan would lock every one of them.
        execute format('select exists (select from rowcast.events where seq = %s and age(xmin) <= 0)', newest) into mine;
    end if;
    if mine then
        perform pg_notify('rowcast', newest::text), set_config('rowcast.bell', 'rung', true);
    end if;
    return null;
end
$$;
comment on function rowcast.ring_bell() is
    'NOTIFY rowcast with the newest seq: once a transaction, not when hushed, silenced or without a row.';
revoke all on function rowcast.ring_bell() from public;

create trigger bell after insert on rowcast.events
    for each statement execute function rowcast.ring_bell();
alter table rowcast.events enable always trigger bell;
