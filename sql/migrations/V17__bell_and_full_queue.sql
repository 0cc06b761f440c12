-- Two things about the bell that an attack from outside found. docs/ARCHITECTURE.md, "The hush", is the specification.
--
-- Any login may fill the queue of notifications: one session that listens and stays in a transaction keeps all that others notify. A commit
-- that notifies fails then. The bell is a hint, so an insert does without it when half of the queue is full.
--
-- The setting rowcast.bell said "rung" for this transaction, and a session that saves and restores its settings could keep that for ever.
-- It names the transaction now.

create or replace function rowcast.ring_bell() returns timestamptz
    language plpgsql
    volatile
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    if pg_notification_queue_usage() < 0.5 then
        perform pg_notify('rowcast', pg_sequence_last_value('rowcast.events_seq_seq'::regclass)::text);
    end if;
    perform set_config('rowcast.bell', pg_current_xact_id()::text, true);
    return clock_timestamp();
end
$$;
comment on function rowcast.ring_bell() is
    'NOTIFY rowcast with the newest seq, unless the queue is half full, and no further bell in this transaction; says what time it is.';

-- A default of the journal needs a lock that is in the way of writers, and of anybody who has locked it by its oid.
set local lock_timeout = '10s';
alter table rowcast.events alter column at set default
    case when date_part('epoch', clock_timestamp()) * 1000 < pg_sequence_last_value('rowcast.hush_deadline'::regclass) then clock_timestamp()
         when current_setting('rowcast.bell', true) = any (array['off', pg_current_xact_id()::text]) then clock_timestamp()
         else rowcast.ring_bell()
    end;
