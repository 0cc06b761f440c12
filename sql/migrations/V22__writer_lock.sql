-- Who writes holds a lock that nobody else can take.
--
-- The fence waits for everyone who may own an undecided number. It knew them by their locks on the journal and on its sequence, and
-- Postgres takes those before it looks at rights: `nextval` called with the oid of whatever relation, from within a savepoint, leaves
-- anybody who may log in with such a lock, and every stream waited for him. So a statement that inserts takes one more lock before it
-- draws its first number, on a table in a schema that nobody may use: that right is looked at before anything is locked. In this mode
-- nothing takes a lock by a relation's oid, and pg_dump takes none.
create schema rowcast_private;
comment on schema rowcast_private is 'What nobody but the owner can name.';
create table rowcast_private.writer_lock ();
comment on table rowcast_private.writer_lock is 'Always empty: whoever inserts into the journal holds a lock on it.';

-- No setting of its own, which would take longer than the lock; it names one table, and that with its schema.
create function rowcast.hold_writer_lock() returns trigger
    language plpgsql
    security definer
as $$
begin
    lock table rowcast_private.writer_lock in row share mode;
    return null;
end
$$;
comment on function rowcast.hold_writer_lock() is 'Locks rowcast_private.writer_lock, which tells the fence who may own an undecided seq.';
revoke all on function rowcast.hold_writer_lock() from public;

-- Waits for those who write already, so that whoever writes once this is committed has the lock.
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

-- As in V20 but for whose lock counts.
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
        perform from rowcast.writers;
        if not found then
            return reached;
        end if;
    end if;
    select head into strict reached from rowcast.journal_state;
    return reached;
end
$$;
