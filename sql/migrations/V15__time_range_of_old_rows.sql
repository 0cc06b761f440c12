-- The rows that were there before V13 and V14 are read, under a lock that stops neither readers nor writers, however long it takes.
-- Where one breaks its rule the constraint stays NOT VALID, and holds for what is written from now on: nobody can change an event, and
-- what should become of another row is for people to say.
do $$
declare
    later record;
begin
    for later in
        select c.conrelid::regclass as table_name, c.conname as name
          from pg_catalog.pg_constraint c
         where not c.convalidated and c.contype = 'c' and c.conrelid in (
             'rowcast.revocations'::regclass, 'trading.trades'::regclass, 'trading.orders'::regclass,
             'trading.snapshots'::regclass, 'trading.config'::regclass, 'trading.config_history'::regclass,
             'chat.speakers'::regclass, 'chat.conversations'::regclass, 'chat.utterances'::regclass, 'rowcast.events'::regclass)
         -- The journal last, since its partitions may not be attached or detached meanwhile.
         order by c.conrelid = 'rowcast.events'::regclass, c.conrelid, c.conname
    loop
        begin
            execute format('alter table %s validate constraint %I', later.table_name, later.name);
        exception
            when check_violation then
                raise warning '% has rows from before the constraint "%" that break it', later.table_name, later.name;
        end;
    end loop;
end
$$;
