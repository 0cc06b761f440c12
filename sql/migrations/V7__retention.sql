-- Batches: many events in one statement, each perhaps with a dedupe key, which retention takes with its event.
-- docs/JOURNAL.md says what they promise.

-- The keys are taken in one order, so that two batches with the same keys wait for each other and cannot deadlock.
-- nextval runs above the sort, so the seqs follow the order given; so do the rows that come back.
create function rowcast.append_rows(
    key_scope   text,
    types       text[],
    payloads    text[],
    levels      text[],
    safe        boolean[],
    symbols     text[],
    trade_ids   uuid[],
    subjects    text[],
    owners      text[],
    dedupe_keys text[]
) returns table (seq bigint, id uuid, repeated boolean)
    language plpgsql
    volatile
    set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    digests bytea[];
    fresh   text[];
    taken   bigint;
begin
    if array_length(array_remove(append_rows.dedupe_keys, null), 1) is null then
        return query
            insert into rowcast.events as e (type, payload, level, public_safe, symbol, trade_id, subject, owner)
            select g.type, g.payload::jsonb, g.level, g.safe, g.symbol, g.trade_id, g.subject, g.owner
              from unnest(types, payloads, levels, safe, symbols, trade_ids, subjects, owners)
                   with ordinality as g (type, payload, level, safe, symbol, trade_id, subject, owner, ord)
             order by g.ord
            returning e.seq, e.id, false;
        return;
    end if;

    -- The same fingerprint as append_event's: a key seen through one door is known at the other.
    select array_agg(sha256(convert_to(jsonb_build_array(g.type, g.level, g.safe, g.symbol, g.trade_id, g.subject,
                                                         g.owner, g.payload::jsonb)::text, 'UTF8')) order by g.ord)
      into strict digests
      from unnest(types, payloads, levels, safe, symbols, trade_ids, subjects, owners)
           with ordinality as g (type, payload, level, safe, symbol, trade_id, subject, owner, ord);
    -- Waits for another transaction that holds one of the keys, and goes on with it only if that one rolled back.
    with mine as (
        insert into rowcast.dedupe_keys (scope, key, digest)
        select key_scope, f.key, f.digest
          from (select distinct on (g.key) g.key, g.digest
                  from unnest(append_rows.dedupe_keys, digests) with ordinality as g (key, digest, ord)
                 where g.key is not null
                 order by g.key, g.ord) f
         order by f.key
        on conflict do nothing
        returning key)
    select coalesce(array_agg(mine.key), '{}') into strict fresh from mine;
    -- A statement of its own, so that it sees what the other transaction has committed.
    select k.seq into taken
      from unnest(append_rows.dedupe_keys, digests) with ordinality as g (key, digest, ord)
      join rowcast.dedupe_keys k on k.scope = key_scope and k.key = g.key
     where k.digest <> g.digest
     order by g.ord limit 1;
    if found then
        raise exception 'dedupe_key was used before with another content%', coalesce(', as seq ' || taken, '')
            using errcode = 'unique_violation', column = 'dedupe_key',
                  hint = 'A key names one event. Use a new key for a new event.';
    end if;

    return query
    with given as materialized (
        select g.*, row_number() over (partition by g.key order by g.ord) as nth
          from unnest(types, payloads, levels, safe, symbols, trade_ids, subjects, owners, append_rows.dedupe_keys)
               with ordinality as g (type, payload, level, safe, symbol, trade_id, subject, owner, key, ord)),
    wanted as materialized (
        select g.*, row_number() over (order by g.ord) as place
          from given g
         where g.key is null or (g.nth = 1 and g.key = any (fresh))),
    inserted as (
        insert into rowcast.events as e (type, payload, level, public_safe, symbol, trade_id, subject, owner)
        select w.type, w.payload::jsonb, w.level, w.safe, w.symbol, w.trade_id, w.subject, w.owner
          from wanted w
         order by w.ord
        returning e.seq, e.id),
    placed as materialized (
        select w.ord, w.key, i.seq, i.id
          from (select inserted.seq, inserted.id, row_number() over (order by inserted.seq) as place from inserted) i
          join wanted w on w.place = i.place),
    linked as (
        update rowcast.dedupe_keys k set seq = p.seq from placed p where k.scope = key_scope and k.key = p.key)
    select coalesce(p.seq, first.seq, k.seq),
           -- By itself, so that the plan is always one look into the primary key.
           coalesce(p.id, first.id, (select e.id from rowcast.events e where e.seq = k.seq)),
           p.seq is null
      from given g
      left join placed p on p.ord = g.ord
      left join placed first on first.key = g.key
      left join rowcast.dedupe_keys k on k.scope = key_scope and k.key = g.key
     order by g.ord;
end
$$;
comment on function rowcast.append_rows(text, text[], text[], text[], boolean[], text[], uuid[], text[], text[], text[]) is
    'The inside of append_batch.';

-- Runs as its owner, as append_event does. All or nothing; the error of a batch says in its DETAIL which event it was.
create function rowcast.append_batch(
    key_scope   text,
    types       text[],
    payloads    text[],
    levels      text[],
    safe        boolean[],
    symbols     text[],
    trade_ids   uuid[],
    subjects    text[],
    owners      text[],
    dedupe_keys text[]
) returns table (seq bigint, id uuid, repeated boolean)
    language plpgsql
    volatile
    security definer
    set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    total  constant integer := coalesce(cardinality(types), 0);
    state  text;
    said   text;
    broken text;
    wrong  text;
    at_row integer := 0;
begin
    if total > 1000 then
        raise exception 'a batch must be at most 1000 events: %', total using errcode = 'program_limit_exceeded';
    end if;
    -- One event needs no search, and so no subtransaction.
    if total <= 1 then
        return query select * from rowcast.append_rows(key_scope, types, payloads, levels, safe, symbols, trade_ids,
                                                       subjects, owners, dedupe_keys);
        return;
    end if;
    begin
        return query select * from rowcast.append_rows(key_scope, types, payloads, levels, safe, symbols, trade_ids,
                                                       subjects, owners, dedupe_keys);
    exception when integrity_constraint_violation or data_exception or program_limit_exceeded then
        get stacked diagnostics state = returned_sqlstate, said = message_text,
                                broken = constraint_name, wrong = column_name;
        -- One after the other until the first that fails; what they write is undone with this block.
        begin
            for i in 1 .. total loop
                at_row := i;
                perform from rowcast.append_rows(key_scope, types[i:i], payloads[i:i], levels[i:i], safe[i:i],
                                                 symbols[i:i], trade_ids[i:i], subjects[i:i], owners[i:i],
                                                 dedupe_keys[i:i]);
            end loop;
            at_row := 0;
            raise exception 'none of them' using errcode = 'RC001';
        exception when others then null;
        end;
        raise exception using errcode = state, message = said, constraint = broken, column = wrong,
                              detail = format('event %s of %s', at_row, total);
    end;
end
$$;
comment on function rowcast.append_batch(text, text[], text[], text[], boolean[], text[], uuid[], text[], text[], text[]) is
    'Appends events in the order given, all or none, with dedupe keys that are unique within the scope.';

-- What append_event is for one event: its keys are those of SQL, whose scope is empty.
create function rowcast.append_events(
    types       text[],
    payloads    text[],
    levels      text[],
    safe        boolean[],
    symbols     text[],
    trade_ids   uuid[],
    subjects    text[],
    owners      text[],
    dedupe_keys text[]
) returns table (seq bigint, id uuid, repeated boolean)
    language sql
    volatile
    security definer
    set search_path = pg_catalog, pg_temp
as $$
    select * from rowcast.append_batch('', types, payloads, levels, safe, symbols, trade_ids, subjects, owners, dedupe_keys)
$$;
comment on function rowcast.append_events(text[], text[], text[], boolean[], text[], uuid[], text[], text[], text[]) is
    'append_event for many events in one statement, in the order given, all or none.';

revoke all on function
    rowcast.append_rows(text, text[], text[], text[], boolean[], text[], uuid[], text[], text[], text[]),
    rowcast.append_batch(text, text[], text[], text[], boolean[], text[], uuid[], text[], text[], text[]),
    rowcast.append_events(text[], text[], text[], boolean[], text[], uuid[], text[], text[], text[]) from public;
grant execute on function
    rowcast.append_batch(text, text[], text[], text[], boolean[], text[], uuid[], text[], text[], text[])
    to rowcast_server;
grant execute on function
    rowcast.append_events(text[], text[], text[], boolean[], text[], uuid[], text[], text[], text[])
    to rowcast_writer, rowcast_server;

-- ---------------------------------------------------------------------------------------------------------
-- Levels
-- ---------------------------------------------------------------------------------------------------------

-- A reader that wants warnings and worse, far behind the head, would otherwise scan whole partitions for a few rows.
-- In the order of seq, and it costs the others (nearly all) nothing.
create index events_warnings_seq on rowcast.events (seq) where level in ('warn', 'error', 'critical');
