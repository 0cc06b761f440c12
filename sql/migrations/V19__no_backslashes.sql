-- No function holds a backslash in a string. With standard_conforming_strings = off, which any session may set, the parser drops it: the
-- rule of a type then let every character pass between its words, a prefix in query_events too, and no bound of a partition was
-- found. A dot, a star and a bracket stand in brackets instead. The functions are otherwise those of V13, V2 and V1.
--
-- Checks of tables are not concerned: they were parsed once, when they were made.

create or replace function rowcast.check_event(
    type    text,
    level   text,
    symbol  text,
    subject text,
    owner   text,
    payload jsonb,
    at      timestamptz
) returns boolean
    language plpgsql
    immutable
    parallel safe
    set search_path = pg_catalog, pg_temp
as $$
declare
    -- One expression, which is quicker than eight branches. A null passes every rule: which columns may be null is said by the
    -- table. Each message begins with its column.
    broken constant text := case
        when octet_length(type) > 128 or type !~ '^[a-z0-9_]+([.][a-z0-9_]+)*$'
            then 'type must be dotted lower-case words of at most 128 bytes'
        when level not in ('debug', 'info', 'warn', 'error', 'critical')
            then 'level must be debug, info, warn, error or critical'
        when octet_length(symbol) not between 1 and 64 then 'symbol must be 1 to 64 bytes'
        when octet_length(subject) not between 1 and 1024 then 'subject must be 1 to 1024 bytes'
        when octet_length(owner) not between 1 and 256 then 'owner must be 1 to 256 bytes'
        when jsonb_typeof(payload) <> 'object' then 'payload must be a JSON object'
        when octet_length(payload::text) > 262144 then 'payload must be at most 262144 bytes (256 KiB)'
        when at < '0001-01-01 00:00:00+00' or at >= '10000-01-01 00:00:00+00'
            then 'at must lie in the years 1 to 9999, in UTC'
    end;
begin
    if broken is null then
        return true;
    end if;
    -- Not the row itself: what was refused may be a secret, and this text goes to the log.
    raise exception '%', broken
        using errcode = 'check_violation', schema = 'rowcast', table = 'events', column = split_part(broken, ' ', 1),
              constraint = broken;
end
$$;

create or replace function rowcast.query_events(
    cursor    bigint  default null,
    max_rows  integer default 100,
    types     text[]  default null,
    min_level text    default null,
    symbol    text    default null,
    trade_id  uuid    default null,
    subject   text    default null,
    owner     text    default null
) returns setof rowcast.events
    language plpgsql
    volatile
    rows 100
    set search_path = pg_catalog, pg_temp
as $$
declare
    levels  constant text[] := '{debug,info,warn,error,critical}';
    trimmed bigint;
    upto    bigint;
    wanted  text;
    by_type text[] := '{}';
    filters text := '';
begin
    if cursor < 0 then
        raise exception 'cursor must not be negative: %', cursor using errcode = 'invalid_parameter_value';
    end if;
    if max_rows is null or max_rows not between 1 and 10000 then
        raise exception 'max_rows must be 1 to 10000: %', max_rows using errcode = 'invalid_parameter_value';
    end if;
    if cardinality(types) > 64 then
        raise exception 'types must be at most 64: %', cardinality(types) using errcode = 'invalid_parameter_value';
    end if;
    if min_level is not null and min_level <> all (levels) then
        raise exception 'min_level must be debug, info, warn, error or critical: %', min_level
            using errcode = 'invalid_parameter_value';
    end if;

    upto := rowcast.safe_head();
    select s.trimmed_through into strict trimmed from rowcast.journal_state s;
    if cursor < trimmed then
        raise exception 'cursor % has expired: events after it were trimmed, through seq %', cursor, trimmed
            using errcode = 'invalid_parameter_value',
                  hint = format('Read on from cursor => %s, or from the oldest kept event with cursor => null.', trimmed);
    end if;

    -- Only the conditions that are asked for stand in the query, so that the planner sees which index fits.
    foreach wanted in array coalesce(types, '{}') loop
        if wanted ~ '^[a-z0-9_]+([.][a-z0-9_]+)*$' then
            by_type := by_type || format('e.type = %L', wanted);
        elsif wanted ~ '^[a-z0-9_]+([.][a-z0-9_]+)*[.][*]$' then
            -- "/" follows "." in the C collation, so this is exactly the prefix "trade."
            by_type := by_type || format('(e.type >= %L and e.type < %L)',
                                         left(wanted, -1), left(wanted, -2) || '/');
        else
            raise exception 'types must hold dotted lower-case words or prefix.*: %', wanted
                using errcode = 'invalid_parameter_value';
        end if;
    end loop;
    if types is not null then
        filters := filters || format(' and (%s)', coalesce(nullif(array_to_string(by_type, ' or '), ''), 'false'));
    end if;
    if min_level is not null and min_level <> 'debug' then
        filters := filters || ' and e.level = any ($4)';
    end if;
    if symbol is not null then filters := filters || ' and e.symbol = $5'; end if;
    if trade_id is not null then filters := filters || ' and e.trade_id = $6'; end if;
    if subject is not null then filters := filters || ' and e.subject = $7'; end if;
    if owner is not null then filters := filters || ' and e.owner = $8'; end if;

    return query execute
        'select e.* from rowcast.events e where e.seq > $1 and e.seq <= $2' || filters || ' order by e.seq limit $3'
        using greatest(coalesce(cursor, 0), trimmed), upto, max_rows,
              levels[array_position(levels, min_level):], symbol, trade_id, subject, owner;

    -- Retention may have dropped a partition since the look above: what is missing then must not pass for a gap.
    select s.trimmed_through into strict trimmed from rowcast.journal_state s;
    if cursor < trimmed then
        raise exception 'cursor % has expired: events after it were trimmed, through seq %', cursor, trimmed
            using errcode = 'invalid_parameter_value',
                  hint = format('Read on from cursor => %s, or from the oldest kept event with cursor => null.', trimmed);
    end if;
end
$$;

create or replace function rowcast.ensure_partitions() returns integer
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
         select (regexp_match(b, 'FROM [(]''([0-9]+)''[)]'))[1]::bigint as lower,
                (regexp_match(b, 'TO [(]''([0-9]+)''[)]'))[1]::bigint as upper
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
