-- Appending: one event or many in a statement, each perhaps with a dedupe key. docs/JOURNAL.md says what they promise.

-- ---------------------------------------------------------------------------------------------------------
-- Dedupe keys
-- ---------------------------------------------------------------------------------------------------------

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

grant select, insert, update on rowcast.dedupe_keys to rowcast_server;

-- ---------------------------------------------------------------------------------------------------------
-- One event
-- ---------------------------------------------------------------------------------------------------------

-- Runs as its owner, since a writer needs no right on the keys themselves. The arguments cover the columns that a
-- writer may set, so this gives nobody more than the plain insert does.
--
-- Who meets a key that is taken reads it with the next statement. A trim may have deleted it in between: then the key is taken
-- anew, as if it had never been seen, which is what a key becomes when its event is trimmed. Under REPEATABLE READ and above
-- Postgres itself ends the statement with a serialization failure, where a key came or went after the snapshot.
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
    attempts    integer := 0;
    fingerprint bytea;
    first       record;
    new_seq     bigint;
begin
    if dedupe_key is not null then
        fingerprint := sha256(convert_to(
            jsonb_build_array(type, level, public_safe, symbol, trade_id, subject, owner, payload)::text, 'UTF8'));
        loop
            -- Waits for another transaction that holds the same key, and goes on only if that one rolled back.
            insert into rowcast.dedupe_keys (key, digest) values (dedupe_key, fingerprint) on conflict do nothing;
            exit when found;
            select k.seq, k.digest into first from rowcast.dedupe_keys k where k.scope = '' and k.key = dedupe_key;
            if found then
                if first.digest <> fingerprint then
                    raise exception 'dedupe_key was used before with another content, as seq %', first.seq
                        using errcode = 'unique_violation', column = 'dedupe_key',
                              hint = 'A key names one event. Use a new key for a new event.';
                end if;
                return first.seq;
            end if;
            attempts := attempts + 1;
            if attempts >= 16 then
                raise exception 'dedupe_key was taken and trimmed % times while it was asked for', attempts
                    using errcode = 'serialization_failure', hint = 'Nothing was appended. Try again.';
            end if;
        end loop;
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
-- Many events
-- ---------------------------------------------------------------------------------------------------------

-- The keys are taken in one order, so that two batches with the same keys wait for each other and cannot deadlock.
-- nextval runs above the sort, so the seqs follow the order given; so do the rows that come back. The keys, seqs and ids of
-- an answer come from one statement, so that nothing is looked up again after the decision, when a trim may have deleted it.
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
    attempts      integer := 0;
    digests       bytea[];
    fresh         text[]   := '{}';
    undecided     text[];
    found_keys    text[];
    found_seqs    bigint[];
    found_ids     uuid[];
    found_digests bytea[];
    known_keys    text[]   := '{}';
    known_seqs    bigint[] := '{}';
    known_ids     uuid[]   := '{}';
    known_digests bytea[]  := '{}';
    taken         bigint;
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
                                                         g.owner, g.payload::jsonb)::text, 'UTF8')) order by g.ord),
           array_agg(distinct g.key) filter (where g.key is not null)
      into strict digests, undecided
      from unnest(types, payloads, levels, safe, symbols, trade_ids, subjects, owners, append_rows.dedupe_keys)
           with ordinality as g (type, payload, level, safe, symbol, trade_id, subject, owner, key, ord);
    loop
        -- Waits for another transaction that holds one of the keys, and goes on with it only if that one rolled back.
        with mine as (
            insert into rowcast.dedupe_keys (scope, key, digest)
            select key_scope, f.key, f.digest
              from (select distinct on (g.key) g.key, g.digest
                      from unnest(append_rows.dedupe_keys, digests) with ordinality as g (key, digest, ord)
                     where g.key = any (undecided)
                     order by g.key, g.ord) f
             order by f.key
            on conflict do nothing
            returning key)
        select fresh || coalesce(array_agg(mine.key), '{}') into strict fresh from mine;
        -- A statement of its own, so that it sees what the other transaction has committed. It reads all that the answer needs
        -- at once: a trim may delete these rows at any time.
        select array_agg(k.key), array_agg(k.seq), array_agg(k.digest),
               -- By itself, so that the plan is always one look into the primary key.
               array_agg(case when k.seq is not null then (select e.id from rowcast.events e where e.seq = k.seq) end)
          into strict found_keys, found_seqs, found_digests, found_ids
          from unnest(undecided) as u (key)
          join rowcast.dedupe_keys k on k.scope = key_scope and k.key = u.key;
        known_keys := known_keys || found_keys;
        known_seqs := known_seqs || found_seqs;
        known_ids := known_ids || found_ids;
        known_digests := known_digests || found_digests;
        exit when cardinality(undecided) = coalesce(cardinality(found_keys), 0);
        -- A trim has deleted the others in between: they are free.
        undecided := array(select u.key from unnest(undecided) as u (key) where u.key <> all (coalesce(found_keys, '{}')));
        attempts := attempts + 1;
        if attempts >= 16 then
            raise exception 'dedupe_key was taken and trimmed % times while it was asked for', attempts
                using errcode = 'serialization_failure', hint = 'Nothing was appended. Try again.';
        end if;
    end loop;
    select k.seq into taken
      from unnest(append_rows.dedupe_keys, digests) with ordinality as g (key, digest, ord)
      join unnest(known_keys, known_seqs, known_digests) as k (key, seq, digest) on k.key = g.key
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
    select coalesce(p.seq, first.seq, k.seq), coalesce(p.id, first.id, k.id), p.seq is null
      from given g
      left join placed p on p.ord = g.ord
      left join placed first on first.key = g.key
      left join unnest(known_keys, known_seqs, known_ids) as k (key, seq, id) on k.key = g.key
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

-- ---------------------------------------------------------------------------------------------------------
-- One key for a request
-- ---------------------------------------------------------------------------------------------------------

-- HTTP's Idempotency-Key names all events of a request at once, where a dedupe key names one.
--
-- Each event gets a dedupe key made of the request's key and its place: the unit separator (31) in front, which a visible
-- key cannot hold, keeps it apart from keys that people choose. The first place is part of every request, so whoever comes
-- second with a key waits there for whoever came first, and then finds all of it committed or none.
create function rowcast.append_once(
    key_scope   text,
    request_key text,
    types       text[],
    payloads    text[],
    levels      text[],
    safe        boolean[],
    symbols     text[],
    trade_ids   uuid[],
    subjects    text[],
    owners      text[]
) returns table (seq bigint, id uuid, repeated boolean)
    language plpgsql
    volatile
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    total constant integer := coalesce(cardinality(types), 0);
    stem  constant text    := chr(31) || request_key || chr(31);
    again integer := 0;
begin
    if request_key is null or octet_length(request_key) not between 1 and 240 then
        raise exception 'request_key must be 1 to 240 bytes' using errcode = 'invalid_parameter_value';
    end if;
    for seq, id, repeated in
        select b.seq, b.id, b.repeated
          from rowcast.append_batch(key_scope, types, payloads, levels, safe, symbols, trade_ids, subjects, owners,
                                    array(select stem || place from generate_series(1, total) as place order by place)) b
    loop
        again := again + repeated::integer;
        return next;
    end loop;
    -- Another content is refused by append_batch already. What is left: more events than the first request had, and fewer.
    if again not in (0, total)
       or exists (select from rowcast.dedupe_keys k where k.scope = key_scope and k.key = stem || (total + 1)) then
        raise exception 'request_key was used before with another number of events'
            using errcode = 'unique_violation', column = 'dedupe_key',
                  hint = 'A key names one request. Use a new key for a new request.';
    end if;
end
$$;
comment on function rowcast.append_once(text, text, text[], text[], text[], boolean[], text[], uuid[], text[], text[]) is
    'append_batch under one key for all of its events: the same request again gets the first answer and inserts nothing.';

revoke all on function
    rowcast.append_event(text, jsonb, text, boolean, text, uuid, text, text, text),
    rowcast.append_rows(text, text[], text[], text[], boolean[], text[], uuid[], text[], text[], text[]),
    rowcast.append_batch(text, text[], text[], text[], boolean[], text[], uuid[], text[], text[], text[]),
    rowcast.append_events(text[], text[], text[], boolean[], text[], uuid[], text[], text[], text[]),
    rowcast.append_once(text, text, text[], text[], text[], boolean[], text[], uuid[], text[], text[]) from public;
grant execute on function
    rowcast.append_event(text, jsonb, text, boolean, text, uuid, text, text, text),
    rowcast.append_events(text[], text[], text[], boolean[], text[], uuid[], text[], text[], text[])
    to rowcast_writer, rowcast_server;
grant execute on function
    rowcast.append_batch(text, text[], text[], text[], boolean[], text[], uuid[], text[], text[], text[]),
    rowcast.append_once(text, text, text[], text[], text[], boolean[], text[], uuid[], text[], text[])
    to rowcast_server;
