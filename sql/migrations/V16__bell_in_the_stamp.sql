-- The bell is rung by the default of rowcast.events.at, and no longer by a trigger. docs/ARCHITECTURE.md, "The hush", is the
-- specification.
--
-- Every insert asks whether the bell is hushed, and while it is, nothing else of the bell is to cost a writer anything. A trigger costs
-- that: entering a function, at the end of the statement, took three times as long as the question. A default is a part of the
-- statement's own plan. The column at has one that every writer needs, since only the owner may set it; it is evaluated once a
-- row, after seq, whose number is drawn by then, and not at all for a statement without rows.
--
-- An owner who does set at, as an import does, rings no bell; the tail looks once a second. The lock of writers stays with its
-- trigger: it must be taken before a number is drawn, and by everybody.

-- The default is evaluated with the rights of whoever writes. It tells when a tail looks again, and nothing else.
grant select on sequence rowcast.hush_deadline to public;

-- A trigger and a default of the journal need a lock that is in the way of writers, and of anybody who has locked it by its oid.
set local lock_timeout = '10s';
-- destructive: the default below does what this trigger did.
drop trigger bell on rowcast.events;
-- destructive: of that trigger; made again below, for the default.
drop function rowcast.ring_bell();
-- destructive: called by that trigger alone.
drop function rowcast.notify_newest();

-- The setting rowcast.bell says both "silent" and "rung already". A session may set it to 'off'; a ring sets it to 'rung' for the
-- rest of the transaction. A setting made locally within a savepoint is undone with it, exactly as its NOTIFY is, so the next
-- row after a rollback to a savepoint rings anew.
create function rowcast.ring_bell() returns timestamptz
    language plpgsql
    volatile
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_notify('rowcast', pg_sequence_last_value('rowcast.events_seq_seq'::regclass)::text),
            set_config('rowcast.bell', 'rung', true);
    return clock_timestamp();
end
$$;
comment on function rowcast.ring_bell() is
    'NOTIFY rowcast with the newest seq, and no further bell in this transaction; says what time it is.';
-- Whoever writes rings. Anybody may say NOTIFY anyway, and a bell is only a hint.
grant execute on function rowcast.ring_bell() to public;

-- Hushed until the deadline. Whoever skips the bell has drawn its number and holds the lock of writers, so the tail's next fence
-- waits for it. Each function in here costs every insert something. So a deadline that lies too far ahead, since the clock was set
-- back or a dump was restored, is ended by the tails (src/tail/statements.rs), and not looked for here.
alter table rowcast.events alter column at set default
    case when date_part('epoch', clock_timestamp()) * 1000 < pg_sequence_last_value('rowcast.hush_deadline'::regclass) then clock_timestamp()
         when current_setting('rowcast.bell', true) = any ('{rung,off}') then clock_timestamp()
         else rowcast.ring_bell()
    end;
comment on sequence rowcast.hush_deadline is
    'Until when the bell is hushed: milliseconds since 1970 by the database''s clock.';
