-- The journal: one append-only table whose seq is the order of every stream, and the little state around it.
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

-- ---------------------------------------------------------------------------------------------------------
-- Events
-- ---------------------------------------------------------------------------------------------------------

-- The rules of an event's values, in one function. Each message names the column and the limit.
--
-- A table's CHECKs are parsed anew by every statement: seven of them, written out, took 20 of the 30 microseconds of a
-- small insert (measured on Postgres 15; 9 without any). This function is planned once a session, and the same insert
-- takes 16. Domains are as quick, but drivers then see the domain's type for a parameter and refuse a plain text.
create function rowcast.check_event(
    type    text,
    level   text,
    symbol  text,
    subject text,
    owner   text,
    payload jsonb
) returns boolean
    language plpgsql
    immutable
    parallel safe
    set search_path = pg_catalog, pg_temp
as $$
declare
    wrong  text;
    broken text;
begin
    -- A null passes every rule: which columns may be null is said by the table.
    if octet_length(type) > 128 or type !~ '^[a-z0-9_]+(\.[a-z0-9_]+)*$' then
        wrong := 'type';
        broken := 'type must be dotted lower-case words of at most 128 bytes';
    elsif level not in ('debug', 'info', 'warn', 'error', 'critical') then
        wrong := 'level';
        broken := 'level must be debug, info, warn, error or critical';
    elsif octet_length(symbol) not between 1 and 64 then
        wrong := 'symbol';
        broken := 'symbol must be 1 to 64 bytes';
    elsif octet_length(subject) not between 1 and 1024 then
        wrong := 'subject';
        broken := 'subject must be 1 to 1024 bytes';
    elsif octet_length(owner) not between 1 and 256 then
        wrong := 'owner';
        broken := 'owner must be 1 to 256 bytes';
    elsif jsonb_typeof(payload) <> 'object' then
        wrong := 'payload';
        broken := 'payload must be a JSON object';
    elsif octet_length(payload::text) > 262144 then
        wrong := 'payload';
        broken := 'payload must be at most 262144 bytes (256 KiB)';
    else
        return true;
    end if;
    -- Not the row itself: what was refused may be a secret, and this text goes to the log.
    raise exception '%', broken
        using errcode = 'check_violation', schema = 'rowcast', table = 'events', column = wrong, constraint = broken;
end
$$;
comment on function rowcast.check_event(text, text, text, text, text, jsonb) is
    'The rules of an event''s values: true, or an error that names the column and the limit.';

-- The sequence must stay CACHE 1: a cached block would let a session use a number that the fence took for decided.
create table rowcast.events (
    seq         bigint generated always as identity (cache 1),
    id          uuid        not null default gen_random_uuid(),
    at          timestamptz not null default clock_timestamp(),
    type        text collate "C" not null,
    level       text collate "C" not null default 'info',
    public_safe boolean     not null default false,
    symbol      text collate "C",
    trade_id    uuid,
    subject     text collate "C",
    owner       text collate "C",
    payload     jsonb       not null default '{}',
    constraint events_pkey primary key (seq),
    constraint events_values_check check (rowcast.check_event(type, level, symbol, subject, owner, payload))
) partition by range (seq);
comment on table rowcast.events is
    'The journal. Append-only; readers take it in seq order, never beyond the safe head (rowcast.query_events).';

-- The reads that filter on one thing, far behind the head, page along (thing, seq). Rows without it cost nothing.
create index events_type_seq on rowcast.events (type, seq);
create index events_trade_id_seq on rowcast.events (trade_id, seq) where trade_id is not null;
create index events_symbol_seq on rowcast.events (symbol, seq) where symbol is not null;
create index events_subject_seq on rowcast.events (subject, seq) where subject is not null;
create index events_owner_seq on rowcast.events (owner, seq) where owner is not null;

-- Statement triggers fire even when no row matches, and cost an insert nothing.
create function rowcast.refuse_change() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'INSERT' then
        raise exception 'insert into rowcast.events, not into its partition %.%', tg_table_schema, tg_table_name
            using errcode = 'object_not_in_prerequisite_state',
                  detail = 'The order of the stream rests on the lock that an insert takes on rowcast.events.';
    end if;
    raise exception 'rowcast.events is append-only: % is refused', tg_op
        using errcode = 'object_not_in_prerequisite_state',
              hint = 'Correct an event by appending another. Old events leave by retention: rowcast trim --keep 30d';
end
$$;

create trigger append_only before update or delete or truncate on rowcast.events
    for each statement execute function rowcast.refuse_change();
alter table rowcast.events enable always trigger append_only;

-- ---------------------------------------------------------------------------------------------------------
-- State of the journal: one row
-- ---------------------------------------------------------------------------------------------------------

create table rowcast.journal_state (
    singleton        boolean     not null default true,
    head             bigint      not null default 0,
    trimmed_through  bigint      not null default 0,
    min_version      integer     not null default 1,
    partition_rows   bigint      not null default 134217728,
    partitions_ahead integer     not null default 25,
    updated_at       timestamptz not null default clock_timestamp(),
    constraint journal_state_pkey primary key (singleton),
    constraint journal_state_is_one_row check (singleton),
    constraint journal_state_head_covers_what_was_trimmed check (trimmed_through between 0 and head),
    constraint journal_state_min_version_check check (min_version >= 1),
    constraint journal_state_partition_rows_check check (partition_rows between 1000 and 1099511627776),
    constraint journal_state_partitions_ahead_check check (partitions_ahead between 2 and 256)
) with (fillfactor = 50);
comment on table rowcast.journal_state is
    'One row: the safe head last written, what retention took, which binaries may serve, how partitions are cut.';
insert into rowcast.journal_state default values;

create function rowcast.never_backwards() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    if new.head < old.head or new.trimmed_through < old.trimmed_through then
        raise exception 'rowcast.journal_state never goes backwards: head % to %, trimmed_through % to %',
            old.head, new.head, old.trimmed_through, new.trimmed_through
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    new.updated_at := clock_timestamp();
    return new;
end
$$;
create trigger never_backwards before update on rowcast.journal_state
    for each row execute function rowcast.never_backwards();
alter table rowcast.journal_state enable always trigger never_backwards;

create function rowcast.keep_state() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception 'rowcast.journal_state is one row that stays: % is refused', tg_op
        using errcode = 'object_not_in_prerequisite_state';
end
$$;
create trigger keep_state before delete or truncate on rowcast.journal_state
    for each statement execute function rowcast.keep_state();
alter table rowcast.journal_state enable always trigger keep_state;

-- ---------------------------------------------------------------------------------------------------------
-- Partitions, made ahead of need
-- ---------------------------------------------------------------------------------------------------------

-- Each is made apart and ATTACHed, which takes SHARE UPDATE EXCLUSIVE on the journal and so stops no writer.
-- The defaults, 25 partitions of 2^27 rows, hold a year without any server at 100 rows a second (3.2e9 rows).
-- LIKE never INCLUDING IDENTITY: the one sequence belongs to the parent. A partition's own trigger refuses what
-- addresses it directly, because triggers of the parent do not see that; an insert routed to it passes.
create function rowcast.ensure_partitions() returns integer
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    size    bigint;
    wanted  integer;
    used    bigint;
    upper   bigint;
    ahead   integer;
    made    integer := 0;
    name    text;
begin
    -- One maker at a time; the others then find nothing to do.
    perform pg_advisory_xact_lock(hashtextextended('rowcast.ensure_partitions', 0));
    select partition_rows, partitions_ahead into strict size, wanted from rowcast.journal_state;
    select case when is_called then last_value else 0 end into strict used from rowcast.events_seq_seq;
    select coalesce(max(bound.upper), 1), count(*) filter (where bound.lower > used)
      into strict upper, ahead
      from pg_inherits i
      join pg_class c on c.oid = i.inhrelid
     cross join lateral (
         select (regexp_match(b, 'FROM \(''(\d+)''\)'))[1]::bigint as lower,
                (regexp_match(b, 'TO \(''(\d+)''\)'))[1]::bigint as upper
           from pg_get_expr(c.relpartbound, c.oid) b) bound
     where i.inhparent = 'rowcast.events'::regclass;
    while ahead < wanted or upper <= used + 1 loop
        name := 'events_p' || upper;
        execute format('create table rowcast.%I (like rowcast.events including defaults including constraints)', name);
        execute format('create trigger append_only before insert or update or delete or truncate on rowcast.%I
                        for each statement execute function rowcast.refuse_change()', name);
        execute format('alter table rowcast.%I enable always trigger append_only', name);
        execute format('alter table rowcast.events attach partition rowcast.%I for values from (%s) to (%s)',
                       name, upper, upper + size);
        ahead := ahead + case when upper > used then 1 else 0 end;
        upper := upper + size;
        made := made + 1;
    end loop;
    return made;
end
$$;
comment on function rowcast.ensure_partitions() is
    'Makes the partitions that lie ahead of the sequence and says how many it made. Safe to call at any time.';
select rowcast.ensure_partitions();

-- ---------------------------------------------------------------------------------------------------------
-- Taxonomy, deduplication, revocations
-- ---------------------------------------------------------------------------------------------------------

create table rowcast.event_types (
    type          text collate "C" not null,
    description   text   not null,
    public_fields text[] not null default '{}',
    constraint event_types_pkey primary key (type),
    constraint event_types_type_check
        check (octet_length(type) <= 128 and type ~ '^[a-z0-9_]+(\.[a-z0-9_]+)*$'),
    constraint event_types_description_check check (length(btrim(description)) >= 1 and length(description) <= 1000),
    constraint event_types_public_fields_check
        check (array_position(public_fields, null) is null and octet_length(public_fields::text) <= 16384)
);
comment on table rowcast.event_types is
    'The taxonomy. Only types listed here, rows marked public_safe and fields named in public_fields reach a public view.';

create table rowcast.dedupe_keys (
    scope  text collate "C" not null default '',
    key    text collate "C" not null,
    seq    bigint,
    digest bytea  not null,
    constraint dedupe_keys_pkey primary key (scope, key),
    constraint "dedupe_key must be 1 to 256 bytes" check (octet_length(key) between 1 and 256),
    constraint dedupe_keys_scope_check check (octet_length(scope) <= 512),
    constraint dedupe_keys_digest_check check (octet_length(digest) = 32)
);
comment on table rowcast.dedupe_keys is
    'Keys seen by rowcast.append_event, each kept as long as its event. Scope is empty for SQL.';
-- Retention takes the keys of trimmed events along this.
create index dedupe_keys_seq on rowcast.dedupe_keys (seq);

create table rowcast.revocations (
    subject    text collate "C" not null,
    revoked_at timestamptz not null default clock_timestamp(),
    revoked_by text,
    reason     text,
    constraint revocations_pkey primary key (subject),
    constraint revocations_subject_check check (octet_length(subject) between 1 and 256),
    constraint revocations_revoked_at_check check (isfinite(revoked_at)),
    constraint revocations_revoked_by_check check (octet_length(revoked_by) between 1 and 256),
    constraint revocations_reason_check check (octet_length(reason) between 1 and 1000)
);
comment on table rowcast.revocations is
    'Tokens of this subject issued until revoked_at are refused, and their live sessions closed.';

-- ---------------------------------------------------------------------------------------------------------
-- Least privilege
-- ---------------------------------------------------------------------------------------------------------

revoke all on function rowcast.refuse_change(), rowcast.never_backwards(), rowcast.keep_state(),
                       rowcast.ensure_partitions() from public;
grant usage on schema rowcast to rowcast_reader, rowcast_writer, rowcast_server;

-- Column grants: nobody but the owner can choose a seq or a time, not even by COPY.
grant insert (id, type, level, public_safe, symbol, trade_id, subject, owner, payload)
    on rowcast.events to rowcast_writer, rowcast_server;
grant select on rowcast.events, rowcast.journal_state, rowcast.event_types
    to rowcast_reader, rowcast_writer, rowcast_server;
grant select on sequence rowcast.events_seq_seq to rowcast_reader, rowcast_writer, rowcast_server;
grant update (head) on rowcast.journal_state to rowcast_server;
grant select, insert, update on rowcast.dedupe_keys, rowcast.revocations to rowcast_server;
grant execute on function rowcast.ensure_partitions() to rowcast_server;

-- A server looks at the history before it serves; refinery has made the table before it runs this.
do $$
begin
    if to_regclass('public.refinery_schema_history') is not null then
        grant select on public.refinery_schema_history to rowcast_server;
    end if;
end
$$;
