-- The roles that applications are granted, and the schemas of the journal.
-- docs/04_DB_SCHEMA.md is the specification; a test compares it with the migrated database in both directions.

-- Roles belong to the whole cluster, so another database may have made them already, even at this moment.
do $$
declare
    name text;
begin
    foreach name in array array['rowcast_reader', 'rowcast_writer', 'rowcast_server'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = name) then
            begin
                execute format('create role %I nologin', name);
            exception
                when duplicate_object or unique_violation then null;
            end;
        end if;
    end loop;
end
$$;

-- By the default search_path, "$user", public, a user named like one of our schemas would look for the history of the
-- migrations in that schema from the second run on, find none, and begin anew.
do $$
begin
    if current_user in ('rowcast', 'trading', 'chat') then
        execute format('alter role %I in database %I set search_path = public', current_user, current_database());
    end if;
end
$$;

create schema rowcast;
comment on schema rowcast is 'The journal: ordered, append-only events, and the machinery that streams them.';
grant usage on schema rowcast to rowcast_reader, rowcast_writer, rowcast_server;

create schema rowcast_private;
comment on schema rowcast_private is 'What nobody but the owner can name.';

-- A server looks at the history before it serves; refinery has made the table before it runs this.
do $$
begin
    if to_regclass('public.refinery_schema_history') is not null then
        grant select on public.refinery_schema_history to rowcast_server;
    end if;
end
$$;
