-- The journal's SQL doors: append_event writes one event, query_events reads up to the safe head.

-- ---------------------------------------------------------------------------------------------------------
-- Writing
-- ---------------------------------------------------------------------------------------------------------

-- Runs as its owner, since a writer needs no right on the keys themselves. The arguments cover the columns that a
-- writer may set, so this gives nobody more than the plain insert does.
create function rowcast.append_event(
    type        text,
    payload     jsonb   default '{}',
    level       text    default 'info',
    public_safe boolean default false,
    symbol      text    default null,
    trade_id    uuid    default null,
    subject     text    default null,
    owner       text    default null,
    dedupe_key  text    default null
) returns bigint
    language plpgsql
    volatile
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    fingerprint bytea;
    first       record;
    new_seq     bigint;
begin
    if dedupe_key is not null then
        fingerprint := sha256(convert_to(
            jsonb_build_array(type, level, public_safe, symbol, trade_id, subject, owner, payload)::text, 'UTF8'));
        -- Waits for another transaction that holds the same key, and goes on only if that one rolled back.
        insert into rowcast.dedupe_keys (key, digest) values (dedupe_key, fingerprint) on conflict do nothing;
        if not found then
            select k.seq, k.digest into strict first
              from rowcast.dedupe_keys k where k.scope = '' and k.key = dedupe_key;
            if first.digest <> fingerprint then
                raise exception 'dedupe_key was used before with another content, as seq %', first.seq
                    using errcode = 'unique_violation', column = 'dedupe_key',
                          hint = 'A key names one event. Use a new key for a new event.';
            end if;
            return first.seq;
        end if;
    end if;
    insert into rowcast.events (type, payload, level, public_safe, symbol, trade_id, subject, owner)
    values (type, payload, level, public_safe, symbol, trade_id, subject, owner)
    returning events.seq into strict new_seq;
    if dedupe_key is not null then
        update rowcast.dedupe_keys k set seq = new_seq where k.scope = '' and k.key = dedupe_key;
    end if;
    return new_seq;
end
$$;
comment on function rowcast.append_event(text, jsonb, text, boolean, text, uuid, text, text, text) is
    'Appends one event and returns its seq; with a dedupe_key seen before, returns the first seq and inserts nothing.';

-- ---------------------------------------------------------------------------------------------------------
-- Reading
-- ---------------------------------------------------------------------------------------------------------

-- Who inserts holds RowExclusiveLock on the journal from before the first nextval until after the commit is
-- visible. So when nobody holds it *after* the sequence was read, every seq up to there is decided. VOLATILE, so
-- that each statement takes a snapshot of its own; where the snapshot is older than the look (REPEATABLE READ and
-- above) or the lock table is another server's (a standby), the head last written is the answer.
create function rowcast.safe_head() returns bigint
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
        perform from pg_locks
          where locktype = 'relation' and mode = 'RowExclusiveLock'
            and relation = 'rowcast.events'::regclass
            and database = (select oid from pg_database where datname = current_database());
        if not found then
            return reached;
        end if;
    end if;
    select head into strict reached from rowcast.journal_state;
    return reached;
end
$$;
comment on function rowcast.safe_head() is
    'A seq up to which everything is decided: visible, or never to come.';

create function rowcast.query_events(
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
        if wanted ~ '^[a-z0-9_]+(\.[a-z0-9_]+)*$' then
            by_type := by_type || format('e.type = %L', wanted);
        elsif wanted ~ '^[a-z0-9_]+(\.[a-z0-9_]+)*\.\*$' then
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
comment on function rowcast.query_events(bigint, integer, text[], text, text, uuid, text, text) is
    'Events after the cursor in seq order, never beyond the safe head. A null cursor begins with the oldest kept event.';

revoke all on function
    rowcast.append_event(text, jsonb, text, boolean, text, uuid, text, text, text),
    rowcast.safe_head(),
    rowcast.query_events(bigint, integer, text[], text, text, uuid, text, text) from public;
grant execute on function rowcast.append_event(text, jsonb, text, boolean, text, uuid, text, text, text)
    to rowcast_writer, rowcast_server;
grant execute on function
    rowcast.safe_head(),
    rowcast.query_events(bigint, integer, text[], text, text, uuid, text, text)
    to rowcast_reader, rowcast_writer, rowcast_server;

-- The first entry of the taxonomy (docs/14_EVENT_TAXONOMY.md), for people who try things out by hand.
insert into rowcast.event_types (type, description, public_fields)
values ('note.added', 'A note written by hand, to try things out.', '{text}');
