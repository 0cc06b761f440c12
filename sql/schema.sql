-- Written by scripts/schema-dump; do not edit. The roles must exist. The partitions are left out, since
-- they are all alike: the last two statements make them.
--
-- PostgreSQL database dump
--

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: chat; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA chat;

--
-- Name: SCHEMA chat; Type: COMMENT; Schema: -; Owner: -
--

COMMENT ON SCHEMA chat IS 'Speakers, conversations and utterances.';

--
-- Name: rowcast; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA rowcast;

--
-- Name: SCHEMA rowcast; Type: COMMENT; Schema: -; Owner: -
--

COMMENT ON SCHEMA rowcast IS 'The journal: ordered, append-only events, and the machinery that streams them.';

--
-- Name: trading; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA trading;

--
-- Name: SCHEMA trading; Type: COMMENT; Schema: -; Owner: -
--

COMMENT ON SCHEMA trading IS 'Trades, orders, snapshots and configuration of a trading engine.';

--
-- Name: append_batch(text, text[], text[], text[], boolean[], text[], uuid[], text[], text[], text[]); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.append_batch(key_scope text, types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[], dedupe_keys text[]) RETURNS TABLE(seq bigint, id uuid, repeated boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

--
-- Name: FUNCTION append_batch(key_scope text, types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[], dedupe_keys text[]); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.append_batch(key_scope text, types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[], dedupe_keys text[]) IS 'Appends events in the order given, all or none, with dedupe keys that are unique within the scope.';

--
-- Name: append_event(text, jsonb, text, boolean, text, uuid, text, text, text); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.append_event(type text, payload jsonb DEFAULT '{}'::jsonb, level text DEFAULT 'info'::text, public_safe boolean DEFAULT false, symbol text DEFAULT NULL::text, trade_id uuid DEFAULT NULL::uuid, subject text DEFAULT NULL::text, owner text DEFAULT NULL::text, dedupe_key text DEFAULT NULL::text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

--
-- Name: FUNCTION append_event(type text, payload jsonb, level text, public_safe boolean, symbol text, trade_id uuid, subject text, owner text, dedupe_key text); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.append_event(type text, payload jsonb, level text, public_safe boolean, symbol text, trade_id uuid, subject text, owner text, dedupe_key text) IS 'Appends one event and returns its seq; with a dedupe_key seen before, returns the first seq and inserts nothing.';

--
-- Name: append_events(text[], text[], text[], boolean[], text[], uuid[], text[], text[], text[]); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.append_events(types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[], dedupe_keys text[]) RETURNS TABLE(seq bigint, id uuid, repeated boolean)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select * from rowcast.append_batch('', types, payloads, levels, safe, symbols, trade_ids, subjects, owners, dedupe_keys)
$$;

--
-- Name: FUNCTION append_events(types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[], dedupe_keys text[]); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.append_events(types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[], dedupe_keys text[]) IS 'append_event for many events in one statement, in the order given, all or none.';

--
-- Name: append_rows(text, text[], text[], text[], boolean[], text[], uuid[], text[], text[], text[]); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.append_rows(key_scope text, types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[], dedupe_keys text[]) RETURNS TABLE(seq bigint, id uuid, repeated boolean)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

--
-- Name: FUNCTION append_rows(key_scope text, types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[], dedupe_keys text[]); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.append_rows(key_scope text, types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[], dedupe_keys text[]) IS 'The inside of append_batch.';

--
-- Name: base_type(oid); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.base_type(of oid) RETURNS oid
    LANGUAGE sql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    with recursive under as (
        select t.oid, t.typtype, t.typbasetype from pg_type t where t.oid = $1
        union all
        select t.oid, t.typtype, t.typbasetype from under u join pg_type t on t.oid = u.typbasetype where u.typtype = 'd'
    )
    select oid from under where typtype <> 'd'
$_$;

--
-- Name: check_event(text, text, text, text, text, jsonb); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.check_event(type text, level text, symbol text, subject text, owner text, payload jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
$_$;

--
-- Name: FUNCTION check_event(type text, level text, symbol text, subject text, owner text, payload jsonb); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.check_event(type text, level text, symbol text, subject text, owner text, payload jsonb) IS 'The rules of an event''s values: true, or an error that names the column and the limit.';

--
-- Name: ensure_partitions(); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.ensure_partitions() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

--
-- Name: FUNCTION ensure_partitions(); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.ensure_partitions() IS 'Makes the partitions that lie ahead of the sequence and says how many it made. Safe to call at any time.';

--
-- Name: event_word(text); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.event_word(name text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select coalesce(string_agg(case when b = 95 or b between 48 and 57 or b between 97 and 122 then chr(b) else '_' end,
                               '' order by i), '')
      from (select i, get_byte(bytes, i) as b
              from convert_to(name, 'UTF8') as bytes, generate_series(0, length(bytes) - 1) as i) as each_byte
$$;

--
-- Name: FUNCTION event_word(name text); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.event_word(name text) IS 'A name as one word of an event type: every byte outside [a-z0-9_] becomes "_".';

--
-- Name: fit_payload(jsonb, text[]); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.fit_payload(payload jsonb, lost text[] DEFAULT '{}'::text[]) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    most    constant integer := 262144;
    fitted  jsonb := payload;
    biggest record;
    size    bigint;
begin
    if jsonb_typeof(payload) <> 'object' then
        return payload;
    end if;
    if cardinality(lost) > 0 then
        fitted := fitted || jsonb_build_object('_truncated', lost);
    end if;
    size := octet_length(fitted::text);
    if size <= most then
        return fitted;
    end if;
    for biggest in
        select e.key, octet_length(e.value::text) as bytes
          from jsonb_each(fitted) e where e.key <> '_truncated'
         order by 2 desc, 1
    loop
        exit when size + 32 <= most or biggest.bytes <= 4;
        lost := lost || biggest.key;
        fitted := fitted || jsonb_build_object(biggest.key, null);
        -- What is gained, less the null and the name in the list.
        size := size - biggest.bytes + 4 + octet_length(to_jsonb(biggest.key)::text) + 2;
    end loop;
    fitted := fitted || jsonb_build_object('_truncated', lost);
    if octet_length(fitted::text) > most then
        return '{"_truncated": ["*"]}';
    end if;
    return fitted;
end
$$;

--
-- Name: FUNCTION fit_payload(payload jsonb, lost text[]); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.fit_payload(payload jsonb, lost text[]) IS 'A payload within 256 KiB: its largest values become null and are named in "_truncated".';

--
-- Name: has_written(bigint); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.has_written(newest bigint) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
begin
    -- Rows of earlier transactions of this session have an xmin before this transaction's own id, those of its
    -- savepoints one after it.
    return exists (select from rowcast.events e where e.seq = newest and age(e.xmin) <= 0);
end
$$;

--
-- Name: FUNCTION has_written(newest bigint); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.has_written(newest bigint) IS 'Whether this transaction has written the event of this seq.';

--
-- Name: hush_key(); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.hush_key() RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '32210705904137076'::bigint;

--
-- Name: FUNCTION hush_key(); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.hush_key() IS 'The advisory lock of the hush: held exclusively by a tail that polls, tried shared by the bell.';

--
-- Name: json_expression(oid, text); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.json_expression(type oid, ref text) RETURNS text
    LANGUAGE plpgsql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
    base   pg_type;
    item   oid;
    fields text;
begin
    select * into strict base from pg_type t where t.oid = rowcast.base_type(type);
    if base.typtype = 'c' then
        select string_agg(format('jsonb_build_object(%L, %s)', a.attname,
                          rowcast.json_expression(a.atttypid, format('(%s).%I', ref, a.attname))), ' || ' order by a.attnum)
          into fields
          from pg_attribute a where a.attrelid = base.typrelid and a.attnum > 0 and not a.attisdropped;
        -- A composite of nulls "is null" to SQL, but not to num_nulls.
        return format('case when num_nulls(%s) = 0 then %s end', ref, coalesce(fields, '''{}''::jsonb'));
    elsif base.typcategory = 'A' and base.typelem <> 0 then
        item := rowcast.base_type(base.typelem);
        if (select t.typdelim from pg_type t where t.oid = item) = ','
           and (base.typelem >= 16384 or item in ('int8'::regtype, 'numeric'::regtype, 'money'::regtype)) then
            return format('to_jsonb(case when num_nulls(%1$s) = 0 then format(''%%s'', %1$s)::text[] end)', ref);
        end if;
    elsif base.oid in ('int8'::regtype, 'numeric'::regtype) then
        return format('to_jsonb(%s::text)', ref);
    elsif base.oid = 'money'::regtype then
        return format('to_jsonb(%s::numeric::text)', ref);
    elsif base.oid = 'json'::regtype then
        return format('rowcast.json_or_text(%s)', ref);
    end if;
    if base.oid >= 16384 or item is not null and base.typelem >= 16384 then
        return format('to_jsonb(case when num_nulls(%1$s) = 0 then format(''%%s'', %1$s) end)', ref);
    end if;
    return format('to_jsonb(%s)', ref);
end
$_$;

--
-- Name: json_or_text(json); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.json_or_text(value json) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return value::jsonb;
exception
    when others then return to_jsonb(value::text);
end
$$;

--
-- Name: FUNCTION json_or_text(value json); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.json_or_text(value json) IS 'A json as jsonb, or as a JSON string of its text where jsonb cannot hold it.';

--
-- Name: keep_state(); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.keep_state() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    raise exception 'rowcast.journal_state is one row that stays: % is refused', tg_op
        using errcode = 'object_not_in_prerequisite_state';
end
$$;

--
-- Name: never_backwards(); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.never_backwards() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

--
-- Name: publish(regclass, text[], text, boolean, text, text, text, text, text, boolean); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.publish(table_name regclass, columns text[] DEFAULT NULL::text[], owner_column text DEFAULT NULL::text, public_safe boolean DEFAULT false, type_prefix text DEFAULT NULL::text, subject_column text DEFAULT NULL::text, symbol_column text DEFAULT NULL::text, trade_id_column text DEFAULT NULL::text, map text DEFAULT NULL::text, force boolean DEFAULT false) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
    rel         pg_class;
    schema_name text;
    owner_name  text;
    prefix      text;
    names       text[];
    types       oid[];
    keys        text[];
    watched     text[];
    missing     text;
    wanted      record;
    kind        text;
    mapper      regprocedure;
    mapper_call text;
    function_id text;
    other       text;
    grantee     oid;
    subject     text[];
    settings    jsonb;
    body        text;
    emit        text[];
    pairs       text[];
begin
    -- The table -----------------------------------------------------------------------------------------------
    if table_name is null then
        raise exception 'table_name must not be null' using errcode = 'null_value_not_allowed';
    end if;
    select * into strict rel from pg_class c where c.oid = table_name;
    select n.nspname into strict schema_name from pg_namespace n where n.oid = rel.relnamespace;
    select r.rolname into strict owner_name from pg_roles r where r.oid = rel.relowner;
    if rel.relkind not in ('r', 'p') then
        raise exception '% is %, and only tables can be published', table_name,
            case rel.relkind when 'v' then 'a view' when 'm' then 'a materialized view' when 'f' then 'a foreign table'
                             when 'S' then 'a sequence' when 'i' then 'an index' when 'c' then 'a composite type'
                             else 'not a table' end
            using errcode = 'wrong_object_type', hint = 'Publish the tables that it reads from.';
    elsif schema_name in ('pg_catalog', 'information_schema', 'pg_toast') or table_name::oid < 16384 then
        raise exception '% is a system catalog and cannot be published', table_name using errcode = 'wrong_object_type';
    elsif schema_name = 'rowcast' then
        raise exception '% belongs to the journal itself and cannot be published', table_name
            using errcode = 'wrong_object_type';
    elsif rel.relpersistence = 't' then
        raise exception '% is a temporary table and cannot be published', table_name using errcode = 'wrong_object_type';
    elsif rel.relispartition then
        raise exception '% is a partition: publish the whole table %', table_name, pg_partition_root(table_name)
            using errcode = 'wrong_object_type';
    elsif not pg_has_role(rel.relowner, 'usage') then
        raise exception 'must be owner of %', table_name using errcode = 'insufficient_privilege';
    elsif not (has_schema_privilege(rel.relowner, 'rowcast', 'usage')
               and has_column_privilege(rel.relowner, 'rowcast.events', 'type', 'insert')
               and has_function_privilege(rel.relowner, 'rowcast.fit_payload(jsonb, text[])', 'execute')) then
        raise exception 'the owner of %, %, may not append events', table_name, quote_ident(owner_name)
            using errcode = 'insufficient_privilege',
                  hint = format('grant rowcast_writer to %I;', owner_name);
    elsif not has_schema_privilege(rel.relowner, rel.relnamespace, 'create') then
        raise exception 'the owner of %, %, may not create the trigger function in schema %',
                        table_name, quote_ident(owner_name), quote_ident(schema_name)
            using errcode = 'insufficient_privilege',
                  hint = format('grant create on schema %I to %I;', schema_name, owner_name);
    elsif rel.relrowsecurity and owner_column is null and force is not true then
        raise exception '% has row security, which its events would not have', table_name
            using errcode = 'invalid_parameter_value',
                  hint = 'Name an owner_column, so that each event is seen by its owner alone, or say force => true.';
    end if;

    -- The columns ---------------------------------------------------------------------------------------------
    names := coalesce(columns, array(select a.attname::text from pg_attribute a
                                      where a.attrelid = table_name and a.attnum > 0 and not a.attisdropped
                                      order by a.attnum));
    keys := array(select a.attname::text
                    from pg_index i
                   cross join lateral unnest(i.indkey::int2[]) with ordinality as k (attnum, position)
                    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                   where i.indrelid = table_name and i.indisprimary and k.position <= i.indnkeyatts
                   order by k.position);
    if subject_column is not null then
        keys := array[subject_column];
    elsif cardinality(keys) = 0 then
        raise exception '% has no primary key, so nothing names its rows', table_name
            using errcode = 'invalid_parameter_value',
                  hint = 'Add a primary key, or say which column names a row: subject_column => ''…''';
    end if;
    if cardinality(names) = 0 or array_position(names, null) is not null then
        raise exception 'columns must name at least one column, and no null' using errcode = 'invalid_parameter_value';
    elsif (select count(distinct n) from unnest(names) n) < cardinality(names) then
        raise exception 'columns names a column twice' using errcode = 'invalid_parameter_value';
    elsif '_truncated' = any (names) then
        raise exception 'a column named _truncated cannot be published: that name says which values were too large'
            using errcode = 'invalid_parameter_value';
    end if;
    watched := array(select distinct w from unnest(names || keys || owner_column || symbol_column || trade_id_column) w
                      where w is not null order by w);
    select string_agg(quote_ident(w), ', ') into missing from unnest(watched) w
     where not exists (select from pg_attribute a
                        where a.attrelid = table_name and a.attname = w and a.attnum > 0 and not a.attisdropped);
    if missing is not null then
        raise exception '% has no column %', table_name, missing using errcode = 'undefined_column';
    end if;
    select string_agg(quote_ident(a.attname), ', ') into missing from pg_attribute a
     where a.attrelid = table_name and a.attname = any (watched) and a.attgenerated not in ('', 's');
    if missing is not null then
        raise exception 'a virtual generated column has no value that a trigger could see: %', missing
            using errcode = 'feature_not_supported', hint = 'Leave it out of columns, or make it STORED.';
    end if;
    types := array(select a.atttypid from unnest(names) with ordinality as n (name, position)
                     join pg_attribute a on a.attrelid = table_name and a.attname = n.name order by n.position);
    for wanted in
        select o.option, o.name, a.atttypid, t.typtype, t.typcategory, t.oid as base
          from (values ('subject_column', subject_column), ('owner_column', owner_column),
                       ('symbol_column', symbol_column), ('trade_id_column', trade_id_column)) as o (option, name)
          join pg_attribute a on a.attrelid = table_name and a.attname = o.name
          join pg_type t on t.oid = rowcast.base_type(a.atttypid)
    loop
        if wanted.option = 'trade_id_column' and wanted.base <> 'uuid'::regtype then
            raise exception 'trade_id_column % must be of type uuid, not %', quote_ident(wanted.name),
                            format_type(wanted.atttypid, null) using errcode = 'datatype_mismatch';
        elsif wanted.typtype = 'c' or wanted.typcategory = 'A'
              or wanted.base in ('json'::regtype, 'jsonb'::regtype, 'bytea'::regtype) then
            raise exception '% % must hold single values, not %', wanted.option, quote_ident(wanted.name),
                            format_type(wanted.atttypid, null) using errcode = 'datatype_mismatch';
        end if;
    end loop;

    -- The types of its events -------------------------------------------------------------------------------------
    prefix := coalesce(type_prefix, rowcast.event_word(schema_name) || '.' || rowcast.event_word(rel.relname));
    if prefix !~ '^[a-z0-9_]+(\.[a-z0-9_]+)*$' then
        raise exception 'type_prefix must be dotted lower-case words: %', prefix using errcode = 'invalid_parameter_value';
    elsif octet_length(prefix) > 118 then
        -- 128 bytes, less the longest of the words that follow it: ".truncated"
        raise exception 'the types of events would be longer than 128 bytes: %.truncated', prefix
            using errcode = 'invalid_parameter_value', hint = 'Give a shorter one: type_prefix => ''shop.orders''';
    end if;
    select string_agg(p.table_name::text, ', ') into other from rowcast.published p
     where p.type_prefix = prefix and p.table_name <> publish.table_name;
    if other is not null and type_prefix is null then
        raise exception 'the events of % have the types %.* already', other, prefix
            using errcode = 'invalid_parameter_value', hint = 'Say what to call these: type_prefix => ''…''';
    end if;

    -- The mapping function --------------------------------------------------------------------------------------
    if map is not null then
        mapper := coalesce(case when map ~ '\)\s*$' then to_regprocedure(map) end, to_regprocedure(map || '(text,jsonb,jsonb)'));
        if mapper is null then
            raise exception 'there is no function %(text, jsonb, jsonb)', map
                using errcode = 'undefined_function', hint = 'Write its schema: map => ''shop.order_events''';
        elsif not has_function_privilege(rel.relowner, mapper, 'execute') then
            raise exception 'the owner of %, %, may not execute %', table_name, quote_ident(owner_name), mapper
                using errcode = 'insufficient_privilege';
        end if;
        select format('%I.%I', n.nspname, p.proname) into strict mapper_call
          from pg_proc p join pg_namespace n on n.oid = p.pronamespace where p.oid = mapper;
        begin
            -- Never runs it: there is no row to run it for.
            execute format('select m.type::text, m.level::text, m.payload::jsonb
                              from (select null::text, null::jsonb where false) as x (op, row), lateral %s(op, row, row) as m',
                           mapper_call);
        exception
            when undefined_column or wrong_object_type or undefined_function or undefined_table then
                raise exception '% must return type, level and payload', mapper
                    using errcode = 'datatype_mismatch',
                          hint = 'create function … (op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)';
        end;
    end if;

    -- The trigger function ----------------------------------------------------------------------------------------
    for i in 1 .. 2 loop
        kind := (array['old', 'new'])[i];
        subject := array(select rowcast.text_expression(a.atttypid, format('%s.%I', kind, a.attname))
                           from unnest(keys) with ordinality as k (name, position)
                           join pg_attribute a on a.attrelid = table_name and a.attname = k.name order by k.position);
        pairs[i] := format('(%s)', (select string_agg(format('%s.%I', kind, w), ', ')
                                      from unnest(keys || owner_column) w where w is not null));
        emit[i] := format('subject := %s;', case when cardinality(subject) = 1 then subject[1]
                                                 else format('array_to_json(array[%s])::text', array_to_string(subject, ', ')) end)
            || $$
        if octet_length(subject) not between 1 and 1024 then
            subject := 'sha256:' || encode(sha256(convert_to(subject, getdatabaseencoding())), 'hex');
        end if;$$;
        if mapper is not null then
            emit[i] := emit[i] || format($template$
        select m.type, m.level, m.payload into told from %s(op, before, after) m;
        if told.type is not null and told.payload is not null then
            if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
            insert into rowcast.events (type, level, payload, public_safe, symbol, trade_id, subject, owner)
            values (told.type, coalesce(told.level, 'info'), told.payload, $template$, mapper_call);
        else
            emit[i] := emit[i] || format($template$
            insert into rowcast.events (type, payload, public_safe, symbol, trade_id, subject, owner)
            values (%L || word, %s, $template$, prefix || '.', (array['before', 'after'])[i]);
        end if;
        emit[i] := emit[i] || format('%L, %s, %s, subject, %s);', public_safe is true,
            coalesce((select format('case when octet_length(%1$s) between 1 and 64 then %1$s end', rowcast.text_expression(a.atttypid, format('%s.%I', kind, a.attname)))
                        from pg_attribute a where a.attrelid = table_name and a.attname = symbol_column), 'null'),
            case when trade_id_column is null then 'null' else format('%s.%I', kind, trade_id_column) end,
            -- Nobody's row is not everybody's row.
            coalesce((select format('case when octet_length(%1$s) between 1 and 256 then %1$s else ''rowcast:nobody'' end', rowcast.text_expression(a.atttypid, format('%s.%I', kind, a.attname)))
                        from pg_attribute a where a.attrelid = table_name and a.attname = owner_column), 'null'));
        if mapper is not null then
            emit[i] := emit[i] || $$
        end if;$$;
        end if;
    end loop;
    -- A changed key, or a changed owner, is another row: gone for those who knew the one, new to those who may know the other.
    body := format($template$
-- Written by rowcast.publish for %1$s. Change it by publishing again.
#variable_conflict use_variable
declare
    op      text := lower(tg_op);
    word    text;
    moved   boolean := false;
    before  jsonb;
    after   jsonb;
    subject text;
    told    record;
    lost    text[];
    value   jsonb;
    large   boolean;
    room    bigint;
begin
    if op = 'truncate' then
        insert into rowcast.events (type, public_safe) values (%2$L, %3$L);
        return null;
    end if;
    if op = 'update' then
        moved := record_image_ne(row%4$s, row%5$s);
    end if;
    if op = 'delete' or moved or (op = 'update' and %6$L) then
        %7$s
    end if;
    if op <> 'delete' and not (moved and %6$L) then
        %8$s
    end if;
    if op = 'delete' or moved then
        op := 'delete';
        word := 'deleted';
        %9$s
    end if;
    if tg_op <> 'DELETE' then
        if moved then
            op := 'insert';
            %10$s
        end if;
        word := case when op = 'insert' then 'inserted' else 'updated' end;
        %11$s
    end if;
    return null;
end
$template$,
        replace(table_name::text, E'\n', ' '), prefix || '.truncated', public_safe is true, pairs[1], pairs[2], mapper is not null,
        rowcast.render_statements('old', 'before', names, types),
        rowcast.render_statements('new', 'after', names, types),
        emit[1],
        case when mapper is not null then 'before := null;' || rowcast.render_statements('new', 'after', names, types) else '' end,
        emit[2]);

    perform rowcast.unpublish(table_name);
    for i in 0 .. 1000 loop
        function_id := left('rowcast_publish_' || rel.relname, 63)::name;
        if i > 0 then
            function_id := (left(function_id, 40)::name)::text || '_' || i;
        end if;
        exit when not exists (select from pg_proc p where p.pronamespace = rel.relnamespace and p.proname = function_id);
    end loop;
    function_id := format('%I.%I', schema_name, function_id);
    execute format('create function %s() returns trigger language plpgsql security definer
                    set search_path = pg_catalog, pg_temp %s as %L', function_id,
                   -- Each of these costs a little at every call, and few types care for them.
                   case when exists (
                       select from pg_attribute a
                        where a.attrelid = table_name and a.attname = any (watched)
                          and rowcast.base_type(a.atttypid) <> all (array['bool', 'int2', 'int4', 'int8', 'numeric', 'text',
                              'varchar', 'bpchar', 'uuid', 'json', 'jsonb']::regtype[]))
                   then $$set timezone = 'UTC' set datestyle = 'ISO, YMD' set intervalstyle = 'iso_8601'
                          set bytea_output = 'hex' set extra_float_digits = 1$$ end,
                   body);
    execute format('comment on function %s() is %L', function_id, 'Made by rowcast.publish for its triggers; goes with rowcast.unpublish.');
    execute format('alter function %s() owner to %I', function_id, owner_name);
    execute format('revoke all on function %s() from public', function_id);
    -- Default privileges may have granted it to others.
    for grantee in
        select distinct acl.grantee from pg_proc p cross join lateral aclexplode(p.proacl) acl
         where p.oid = to_regprocedure(function_id || '()') and acl.grantee not in (0, rel.relowner)
    loop
        execute format('revoke all on function %s() from %s', function_id, grantee::regrole);
    end loop;

    settings := jsonb_build_object('columns', names, 'type_prefix', prefix, 'subject_column', subject_column,
        'owner_column', owner_column, 'symbol_column', symbol_column, 'trade_id_column', trade_id_column,
        'map', mapper, 'public_safe', public_safe is true);
    execute format('create constraint trigger rowcast_publish_write after insert or delete on %s
                    deferrable initially deferred for each row execute function %s(%L)', table_name, function_id, settings);
    -- An update that changes nothing of what is streamed costs nothing at commit. The comparison is of the stored bytes, so
    -- that it needs no equality operator and calls none made by a user. As an operator, row(…) *<> row(…), it would not
    -- survive pg_dump, which loses the cast to record that keeps it from being taken column by column.
    execute format('create constraint trigger rowcast_publish_update after update on %s
                    deferrable initially deferred for each row
                    when (record_image_ne(row(%s), row(%s))) execute function %s()', table_name,
        (select string_agg(format('old.%I', w), ', ') from unnest(watched) w),
        (select string_agg(format('new.%I', w), ', ') from unnest(watched) w), function_id);
    execute format('create trigger rowcast_publish_truncate after truncate on %s
                    for each statement execute function %s()', table_name, function_id);
    -- Also for rows that arrive by logical replication.
    execute format('alter table %s enable always trigger rowcast_publish_write,
                                   enable always trigger rowcast_publish_update,
                                   enable always trigger rowcast_publish_truncate', table_name);

    if public_safe is true and mapper is null
       and not exists (select from rowcast.event_types e where e.type = prefix || '.inserted') then
        raise notice 'nothing of % reaches a public view until its types and public fields are listed in rowcast.event_types',
            table_name;
    end if;
    return prefix;
end
$_$;

--
-- Name: FUNCTION publish(table_name regclass, columns text[], owner_column text, public_safe boolean, type_prefix text, subject_column text, symbol_column text, trade_id_column text, map text, force boolean); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.publish(table_name regclass, columns text[], owner_column text, public_safe boolean, type_prefix text, subject_column text, symbol_column text, trade_id_column text, map text, force boolean) IS 'Streams a table: its inserts, updates and deletes become events at commit. Returns the prefix of their types.';

--
-- Name: publish_settings(bytea); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.publish_settings(args bytea) RETURNS jsonb
    LANGUAGE plpgsql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    settings jsonb;
begin
    settings := convert_from(substr(args, 1, length(args) - 1), getdatabaseencoding())::jsonb;
    return case when jsonb_typeof(settings) = 'object' and jsonb_typeof(settings -> 'columns') = 'array' then settings end;
exception
    when others then return null;
end
$$;

SET default_tablespace = '';

--
-- Name: events; Type: TABLE; Schema: rowcast; Owner: -
--

CREATE TABLE rowcast.events (
    seq bigint NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    type text NOT NULL COLLATE pg_catalog."C",
    level text DEFAULT 'info'::text NOT NULL COLLATE pg_catalog."C",
    public_safe boolean DEFAULT false NOT NULL,
    symbol text COLLATE pg_catalog."C",
    trade_id uuid,
    subject text COLLATE pg_catalog."C",
    owner text COLLATE pg_catalog."C",
    payload jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT events_values_check CHECK (rowcast.check_event(type, level, symbol, subject, owner, payload))
)
PARTITION BY RANGE (seq);

--
-- Name: TABLE events; Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON TABLE rowcast.events IS 'The journal. Append-only; readers take it in seq order, never beyond the safe head (rowcast.query_events).';

--
-- Name: query_events(bigint, integer, text[], text, text, uuid, text, text); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.query_events(cursor bigint DEFAULT NULL::bigint, max_rows integer DEFAULT 100, types text[] DEFAULT NULL::text[], min_level text DEFAULT NULL::text, symbol text DEFAULT NULL::text, trade_id uuid DEFAULT NULL::uuid, subject text DEFAULT NULL::text, owner text DEFAULT NULL::text) RETURNS SETOF rowcast.events
    LANGUAGE plpgsql ROWS 100
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
$_$;

--
-- Name: FUNCTION query_events(cursor bigint, max_rows integer, types text[], min_level text, symbol text, trade_id uuid, subject text, owner text); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.query_events(cursor bigint, max_rows integer, types text[], min_level text, symbol text, trade_id uuid, subject text, owner text) IS 'Events after the cursor in seq order, never beyond the safe head. A null cursor begins with the oldest kept event.';

--
-- Name: refuse_change(); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

--
-- Name: render_statements(text, text, text[], oid[]); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.render_statements(side text, target text, names text[], types oid[]) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
    whole  text := '';
    piece  text := '';
    sizes  text := '';
    expr   text;
    ref    text;
    base   pg_type;
begin
    for i in 1 .. cardinality(names) loop
        ref := format('%s.%I', side, names[i]);
        expr := rowcast.json_expression(types[i], ref);
        select * into strict base from pg_type t where t.oid = rowcast.base_type(types[i]);
        -- A function takes 100 arguments.
        whole := whole || case when i = 1 then 'jsonb_build_object('
                               when i % 40 = 1 then ') || jsonb_build_object(' else ', ' end
                       || format('%L, %s', names[i], expr);
        if base.typlen < 0 then
            -- octet_length knows the size of a value that lies elsewhere without fetching it.
            sizes := sizes || format(' + coalesce(%s(%s), 0)',
                                     case when base.oid in ('text'::regtype, 'varchar'::regtype, 'bytea'::regtype)
                                          then 'octet_length' else 'pg_column_size' end, ref);
        end if;
        piece := piece || format($template$
        value := null;
        begin
            if %1$s <= 1048576 then
                value := %2$s;
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(%3$s) = 0 then lost := lost || %4$L::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        %5$s := %5$s || jsonb_build_object(%4$L, value);
$template$, case when base.oid in ('text'::regtype, 'varchar'::regtype, 'bytea'::regtype)
                 then format('coalesce(octet_length(%s), 0)', ref) else format('coalesce(pg_column_size(%s), 0)', ref) end,
            expr, ref, names[i], target);
    end loop;
    return format($template$
    lost := '{}';
    begin
        large := %1$s;
        if not large then
            %2$s := %3$s);
            large := %4$s;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of %% is gone or has another name: %%', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        %2$s := '{}';
        room := 16777216;
%5$s
        %2$s := rowcast.fit_payload(%2$s, lost);
    end if;
$template$, case when sizes = '' then 'false' else '0' || sizes || ' > 131072' end,
            target, whole,
            case when sizes = '' then 'false' else format('octet_length(%s::text) > 262144', target) end,
            piece);
end
$_$;

--
-- Name: ring_bell(); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.ring_bell() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    newest bigint;
begin
    if current_setting('rowcast.bell', true) = any ('{off,rung}')
       or not (pg_try_advisory_lock_shared(rowcast.hush_key()) and pg_advisory_unlock_shared(rowcast.hush_key())) then
        return null;
    end if;
    if pg_current_xact_id_if_assigned() is null then
        return null;
    end if;
    begin
        newest := currval('rowcast.events_seq_seq');
    exception
        -- This session has never drawn a number, so it has inserted nothing.
        when object_not_in_prerequisite_state then return null;
    end;
    -- A serializable transaction must not read the journal only to ring: concurrent appenders would then fail for
    -- having read where others write. There a bell without a row is the smaller evil.
    if current_setting('transaction_isolation') = 'serializable' or rowcast.has_written(newest) then
        perform pg_notify('rowcast', newest::text), set_config('rowcast.bell', 'rung', true);
    end if;
    return null;
end
$$;

--
-- Name: FUNCTION ring_bell(); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.ring_bell() IS 'NOTIFY rowcast with the newest seq: once a transaction, not when hushed, silenced or without a row.';

--
-- Name: safe_head(); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.safe_head() RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

--
-- Name: FUNCTION safe_head(); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.safe_head() IS 'A seq up to which everything is decided: visible, or never to come.';

--
-- Name: text_expression(oid, text); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.text_expression(type oid, ref text) RETURNS text
    LANGUAGE sql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    select case
        when b.oid in ('text'::regtype, 'varchar'::regtype) then format('%s::text', ref)
        when b.oid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype, 'uuid'::regtype)
            then format('%s::text', ref)
        when b.oid >= 16384 then format('case when num_nulls(%1$s) = 0 then format(''%%s'', %1$s) end', ref)
        else format('(%s #>> ''{}'')', rowcast.json_expression(type, ref))
    end
      from (select rowcast.base_type(type)) as b (oid)
$_$;

--
-- Name: unpublish(regclass); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.unpublish(table_name regclass) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
    rel     pg_class;
    found_trigger record;
    orphan  regprocedure;
    mode    text;
    any_one boolean := false;
begin
    select * into strict rel from pg_class c where c.oid = table_name;
    if not pg_has_role(rel.relowner, 'usage') then
        raise exception 'must be owner of %', table_name using errcode = 'insufficient_privilege';
    end if;
    -- Postgres drops a trigger together with what it has still to do, so what this transaction wrote is told first.
    if (select count(*) = 2 from pg_trigger t where t.tgrelid = table_name and t.tgdeferrable
           and t.tgname in ('rowcast_publish_write', 'rowcast_publish_update')) then
        foreach mode in array array['immediate', 'deferred'] loop
            execute format('set constraints %1$I.rowcast_publish_write, %1$I.rowcast_publish_update %2$s',
                           (select n.nspname from pg_namespace n where n.oid = rel.relnamespace), mode);
        end loop;
    end if;
    for found_trigger in
        select t.tgname from pg_trigger t
         where t.tgrelid = table_name and t.tgparentid = 0 and not t.tgisinternal
           and t.tgname in ('rowcast_publish_write', 'rowcast_publish_update', 'rowcast_publish_truncate')
    loop
        execute format('drop trigger %I on %s', found_trigger.tgname, table_name);
        any_one := true;
    end loop;
    -- The function goes, and with it those that dropped tables of this schema have left behind.
    for orphan in
        select p.oid from pg_proc p
         where p.pronamespace = rel.relnamespace and p.prorettype = 'trigger'::regtype
           and starts_with(p.proname, 'rowcast_publish_')
           and starts_with(obj_description(p.oid, 'pg_proc'), 'Made by rowcast.publish')
           and pg_has_role(p.proowner, 'usage')
           and not exists (select from pg_trigger t where t.tgfoid = p.oid)
    loop
        execute format('drop function %s', orphan);
    end loop;
    return any_one;
end
$_$;

--
-- Name: FUNCTION unpublish(table_name regclass); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.unpublish(table_name regclass) IS 'Stops publishing a table; says whether it was published. Events already written stay.';

SET default_table_access_method = heap;

--
-- Name: conversations; Type: TABLE; Schema: chat; Owner: -
--

CREATE TABLE chat.conversations (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    speaker_id uuid NOT NULL,
    status text DEFAULT 'open'::text NOT NULL COLLATE pg_catalog."C",
    opened_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    closed_at timestamp with time zone,
    CONSTRAINT conversations_closed_has_time CHECK (((status = 'closed'::text) = (closed_at IS NOT NULL))),
    CONSTRAINT conversations_status_check CHECK ((status = ANY (ARRAY['open'::text, 'closed'::text]))),
    CONSTRAINT conversations_times_check CHECK ((isfinite(opened_at) AND isfinite(closed_at) AND (closed_at >= opened_at)))
);

--
-- Name: TABLE conversations; Type: COMMENT; Schema: chat; Owner: -
--

COMMENT ON TABLE chat.conversations IS 'A user has any number of closed conversations and at most one that is open.';

--
-- Name: speakers; Type: TABLE; Schema: chat; Owner: -
--

CREATE TABLE chat.speakers (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    subject text COLLATE pg_catalog."C",
    name text,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT speakers_bot_has_name CHECK (((kind <> 'bot'::text) OR (name IS NOT NULL))),
    CONSTRAINT speakers_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT speakers_kind_check CHECK ((kind = ANY (ARRAY['user'::text, 'bot'::text]))),
    CONSTRAINT speakers_name_check CHECK (((length(btrim(name)) >= 1) AND (length(name) <= 200))),
    CONSTRAINT speakers_subject_check CHECK (((octet_length(subject) >= 1) AND (octet_length(subject) <= 256))),
    CONSTRAINT speakers_user_has_subject CHECK (((kind = 'user'::text) = (subject IS NOT NULL)))
);

--
-- Name: TABLE speakers; Type: COMMENT; Schema: chat; Owner: -
--

COMMENT ON TABLE chat.speakers IS 'Users, each the subject of a token, and bots, each with a name.';

--
-- Name: utterances; Type: TABLE; Schema: chat; Owner: -
--

CREATE TABLE chat.utterances (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    conversation_id uuid NOT NULL,
    "position" integer NOT NULL,
    speaker_id uuid NOT NULL,
    text text NOT NULL,
    said_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT utterances_position_check CHECK (("position" >= 1)),
    CONSTRAINT utterances_said_at_check CHECK (isfinite(said_at)),
    CONSTRAINT utterances_text_check CHECK (((length(btrim(text, ' 	
'::text)) >= 1) AND (octet_length(text) <= 32768)))
);

--
-- Name: TABLE utterances; Type: COMMENT; Schema: chat; Owner: -
--

COMMENT ON TABLE chat.utterances IS 'What was said, in order: position counts from 1 within its conversation.';

--
-- Name: dedupe_keys; Type: TABLE; Schema: rowcast; Owner: -
--

CREATE TABLE rowcast.dedupe_keys (
    scope text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    seq bigint,
    digest bytea NOT NULL,
    CONSTRAINT "dedupe_key must be 1 to 256 bytes" CHECK (((octet_length(key) >= 1) AND (octet_length(key) <= 256))),
    CONSTRAINT dedupe_keys_digest_check CHECK ((octet_length(digest) = 32)),
    CONSTRAINT dedupe_keys_scope_check CHECK ((octet_length(scope) <= 512))
);

--
-- Name: TABLE dedupe_keys; Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON TABLE rowcast.dedupe_keys IS 'Keys seen by rowcast.append_event, each kept as long as its event. Scope is empty for SQL.';

--
-- Name: event_types; Type: TABLE; Schema: rowcast; Owner: -
--

CREATE TABLE rowcast.event_types (
    type text NOT NULL COLLATE pg_catalog."C",
    description text NOT NULL,
    public_fields text[] DEFAULT '{}'::text[] NOT NULL,
    CONSTRAINT event_types_description_check CHECK (((length(btrim(description)) >= 1) AND (length(description) <= 1000))),
    CONSTRAINT event_types_public_fields_check CHECK (((array_position(public_fields, NULL::text) IS NULL) AND (octet_length((public_fields)::text) <= 16384))),
    CONSTRAINT event_types_type_check CHECK (((octet_length(type) <= 128) AND (type ~ '^[a-z0-9_]+(\.[a-z0-9_]+)*$'::text)))
);

--
-- Name: TABLE event_types; Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON TABLE rowcast.event_types IS 'The taxonomy. Only types listed here, rows marked public_safe and fields named in public_fields reach a public view.';

--
-- Name: events_seq_seq; Type: SEQUENCE; Schema: rowcast; Owner: -
--

ALTER TABLE rowcast.events ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rowcast.events_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

--
-- Name: journal_state; Type: TABLE; Schema: rowcast; Owner: -
--

CREATE TABLE rowcast.journal_state (
    singleton boolean DEFAULT true NOT NULL,
    head bigint DEFAULT 0 NOT NULL,
    trimmed_through bigint DEFAULT 0 NOT NULL,
    min_version integer DEFAULT 1 NOT NULL,
    partition_rows bigint DEFAULT 134217728 NOT NULL,
    partitions_ahead integer DEFAULT 25 NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT journal_state_head_covers_what_was_trimmed CHECK (((trimmed_through >= 0) AND (trimmed_through <= head))),
    CONSTRAINT journal_state_is_one_row CHECK (singleton),
    CONSTRAINT journal_state_min_version_check CHECK ((min_version >= 1)),
    CONSTRAINT journal_state_partition_rows_check CHECK (((partition_rows >= 1000) AND (partition_rows <= '1099511627776'::bigint))),
    CONSTRAINT journal_state_partitions_ahead_check CHECK (((partitions_ahead >= 2) AND (partitions_ahead <= 256)))
)
WITH (fillfactor='50');

--
-- Name: TABLE journal_state; Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON TABLE rowcast.journal_state IS 'One row: the safe head last written, what retention took, which binaries may serve, how partitions are cut.';

--
-- Name: published; Type: VIEW; Schema: rowcast; Owner: -
--

CREATE VIEW rowcast.published AS
 SELECT (t.tgrelid)::regclass AS table_name,
    (s.settings ->> 'type_prefix'::text) AS type_prefix,
    ARRAY( SELECT c.name
           FROM jsonb_array_elements_text((s.settings -> 'columns'::text)) WITH ORDINALITY c(name, "position")
          ORDER BY c."position") AS columns,
    (s.settings ->> 'subject_column'::text) AS subject_column,
    (s.settings ->> 'owner_column'::text) AS owner_column,
    (s.settings ->> 'symbol_column'::text) AS symbol_column,
    (s.settings ->> 'trade_id_column'::text) AS trade_id_column,
    (s.settings ->> 'map'::text) AS map,
    (s.settings @> '{"public_safe": true}'::jsonb) AS public_safe
   FROM (pg_trigger t
     CROSS JOIN LATERAL ( SELECT rowcast.publish_settings(t.tgargs) AS publish_settings) s(settings))
  WHERE ((t.tgname = 'rowcast_publish_write'::name) AND (t.tgparentid = (0)::oid) AND (NOT t.tgisinternal) AND (s.settings IS NOT NULL));

--
-- Name: VIEW published; Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON VIEW rowcast.published IS 'The published tables and their settings, read from the triggers that publish them.';

--
-- Name: revocations; Type: TABLE; Schema: rowcast; Owner: -
--

CREATE TABLE rowcast.revocations (
    subject text NOT NULL COLLATE pg_catalog."C",
    revoked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    revoked_by text,
    reason text,
    CONSTRAINT revocations_reason_check CHECK (((octet_length(reason) >= 1) AND (octet_length(reason) <= 1000))),
    CONSTRAINT revocations_revoked_at_check CHECK (isfinite(revoked_at)),
    CONSTRAINT revocations_revoked_by_check CHECK (((octet_length(revoked_by) >= 1) AND (octet_length(revoked_by) <= 256))),
    CONSTRAINT revocations_subject_check CHECK (((octet_length(subject) >= 1) AND (octet_length(subject) <= 256)))
);

--
-- Name: TABLE revocations; Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON TABLE rowcast.revocations IS 'Tokens of this subject issued until revoked_at are refused, and their live sessions closed.';

--
-- Name: config; Type: TABLE; Schema: trading; Owner: -
--

CREATE TABLE trading.config (
    key text NOT NULL COLLATE pg_catalog."C",
    value jsonb NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_by text,
    CONSTRAINT config_key_check CHECK (((octet_length(key) <= 128) AND (key ~ '^[a-z0-9_]+(\.[a-z0-9_]+)*$'::text))),
    CONSTRAINT config_updated_at_check CHECK (isfinite(updated_at)),
    CONSTRAINT config_updated_by_check CHECK (((octet_length(updated_by) >= 1) AND (octet_length(updated_by) <= 256))),
    CONSTRAINT config_value_check CHECK ((octet_length((value)::text) <= 65536)),
    CONSTRAINT config_version_check CHECK ((version >= 1))
);

--
-- Name: TABLE config; Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON TABLE trading.config IS 'Settings of the engine, by key.';

--
-- Name: orders; Type: TABLE; Schema: trading; Owner: -
--

CREATE TABLE trading.orders (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    client_order_id text NOT NULL COLLATE pg_catalog."C",
    trade_id uuid,
    symbol text NOT NULL COLLATE pg_catalog."C",
    side text NOT NULL COLLATE pg_catalog."C",
    type text NOT NULL COLLATE pg_catalog."C",
    status text DEFAULT 'new'::text NOT NULL COLLATE pg_catalog."C",
    quantity numeric NOT NULL,
    limit_price numeric,
    filled_quantity numeric DEFAULT 0 NOT NULL,
    average_price numeric,
    fees numeric DEFAULT 0 NOT NULL,
    reject_reason text,
    placed_by text,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT orders_average_price_check CHECK (((average_price > (0)::numeric) AND (average_price < '100000000000000000000'::numeric) AND (scale(average_price) <= 18))),
    CONSTRAINT orders_client_order_id_check CHECK (((octet_length(client_order_id) >= 1) AND (octet_length(client_order_id) <= 128))),
    CONSTRAINT orders_fees_check CHECK (((fees >= (0)::numeric) AND (fees < '100000000000000000000'::numeric) AND (scale(fees) <= 18))),
    CONSTRAINT orders_fill_has_price CHECK (((filled_quantity > (0)::numeric) = (average_price IS NOT NULL))),
    CONSTRAINT orders_filled_quantity_check CHECK (((filled_quantity >= (0)::numeric) AND (filled_quantity <= quantity) AND (scale(filled_quantity) <= 18))),
    CONSTRAINT orders_limit_has_price CHECK (((type = 'limit'::text) = (limit_price IS NOT NULL))),
    CONSTRAINT orders_limit_price_check CHECK (((limit_price > (0)::numeric) AND (limit_price < '100000000000000000000'::numeric) AND (scale(limit_price) <= 18))),
    CONSTRAINT orders_placed_by_check CHECK (((octet_length(placed_by) >= 1) AND (octet_length(placed_by) <= 256))),
    CONSTRAINT orders_quantity_check CHECK (((quantity > (0)::numeric) AND (quantity < '100000000000000000000'::numeric) AND (scale(quantity) <= 18))),
    CONSTRAINT orders_reject_reason_check CHECK (((octet_length(reject_reason) >= 1) AND (octet_length(reject_reason) <= 4000))),
    CONSTRAINT orders_rejected_has_reason CHECK (((status = 'rejected'::text) = (reject_reason IS NOT NULL))),
    CONSTRAINT orders_side_check CHECK ((side = ANY (ARRAY['buy'::text, 'sell'::text]))),
    CONSTRAINT orders_status_check CHECK ((status = ANY (ARRAY['new'::text, 'partially_filled'::text, 'filled'::text, 'cancelled'::text, 'rejected'::text]))),
    CONSTRAINT orders_status_fits_fill CHECK (
CASE status
    WHEN 'new'::text THEN (filled_quantity = (0)::numeric)
    WHEN 'rejected'::text THEN (filled_quantity = (0)::numeric)
    WHEN 'partially_filled'::text THEN ((filled_quantity > (0)::numeric) AND (filled_quantity < quantity))
    WHEN 'filled'::text THEN (filled_quantity = quantity)
    WHEN 'cancelled'::text THEN (filled_quantity < quantity)
    ELSE NULL::boolean
END),
    CONSTRAINT orders_symbol_check CHECK ((symbol ~ '^[!-~]{1,64}$'::text)),
    CONSTRAINT orders_times_check CHECK ((isfinite(created_at) AND isfinite(updated_at) AND (updated_at >= created_at))),
    CONSTRAINT orders_type_check CHECK ((type = ANY (ARRAY['market'::text, 'limit'::text])))
);

--
-- Name: TABLE orders; Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON TABLE trading.orders IS 'One row an order, at most one for each client order id; its status fits what was filled.';

--
-- Name: snapshots; Type: TABLE; Schema: trading; Owner: -
--

CREATE TABLE trading.snapshots (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    taken_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    equity numeric NOT NULL,
    cash numeric NOT NULL,
    unrealized_profit numeric DEFAULT 0 NOT NULL,
    positions jsonb DEFAULT '[]'::jsonb NOT NULL,
    taken_by text,
    CONSTRAINT snapshots_cash_check CHECK (((abs(cash) < '100000000000000000000'::numeric) AND (scale(cash) <= 18))),
    CONSTRAINT snapshots_equity_check CHECK (((abs(equity) < '100000000000000000000'::numeric) AND (scale(equity) <= 18))),
    CONSTRAINT snapshots_positions_check CHECK (((jsonb_typeof(positions) = 'array'::text) AND (octet_length((positions)::text) <= 131072))),
    CONSTRAINT snapshots_taken_at_check CHECK (isfinite(taken_at)),
    CONSTRAINT snapshots_taken_by_check CHECK (((octet_length(taken_by) >= 1) AND (octet_length(taken_by) <= 256))),
    CONSTRAINT snapshots_unrealized_profit_check CHECK (((abs(unrealized_profit) < '100000000000000000000'::numeric) AND (scale(unrealized_profit) <= 18)))
);

--
-- Name: TABLE snapshots; Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON TABLE trading.snapshots IS 'The account as it stood at one moment.';

--
-- Name: trades; Type: TABLE; Schema: trading; Owner: -
--

CREATE TABLE trading.trades (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    client_order_id text COLLATE pg_catalog."C",
    symbol text NOT NULL COLLATE pg_catalog."C",
    side text NOT NULL COLLATE pg_catalog."C",
    status text DEFAULT 'open'::text NOT NULL COLLATE pg_catalog."C",
    quantity numeric NOT NULL,
    entry_price numeric NOT NULL,
    exit_price numeric,
    fees numeric DEFAULT 0 NOT NULL,
    profit numeric GENERATED ALWAYS AS (((
CASE side
    WHEN 'long'::text THEN (exit_price - entry_price)
    WHEN 'short'::text THEN (entry_price - exit_price)
    ELSE NULL::numeric
END * quantity) - fees)) STORED,
    reason text,
    close_reason text,
    opened_by text,
    opened_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    closed_at timestamp with time zone,
    CONSTRAINT trades_client_order_id_check CHECK (((octet_length(client_order_id) >= 1) AND (octet_length(client_order_id) <= 128))),
    CONSTRAINT trades_close_reason_check CHECK (((octet_length(close_reason) >= 1) AND (octet_length(close_reason) <= 4000))),
    CONSTRAINT trades_closed_has_exit CHECK (((status = 'closed'::text) = (exit_price IS NOT NULL))),
    CONSTRAINT trades_closed_has_time CHECK (((status = 'closed'::text) = (closed_at IS NOT NULL))),
    CONSTRAINT trades_entry_price_check CHECK (((entry_price > (0)::numeric) AND (entry_price < '100000000000000000000'::numeric) AND (scale(entry_price) <= 18))),
    CONSTRAINT trades_exit_price_check CHECK (((exit_price > (0)::numeric) AND (exit_price < '100000000000000000000'::numeric) AND (scale(exit_price) <= 18))),
    CONSTRAINT trades_fees_check CHECK (((fees >= (0)::numeric) AND (fees < '100000000000000000000'::numeric) AND (scale(fees) <= 18))),
    CONSTRAINT trades_opened_by_check CHECK (((octet_length(opened_by) >= 1) AND (octet_length(opened_by) <= 256))),
    CONSTRAINT trades_quantity_check CHECK (((quantity > (0)::numeric) AND (quantity < '100000000000000000000'::numeric) AND (scale(quantity) <= 18))),
    CONSTRAINT trades_reason_check CHECK (((octet_length(reason) >= 1) AND (octet_length(reason) <= 4000))),
    CONSTRAINT trades_side_check CHECK ((side = ANY (ARRAY['long'::text, 'short'::text]))),
    CONSTRAINT trades_status_check CHECK ((status = ANY (ARRAY['open'::text, 'closed'::text]))),
    CONSTRAINT trades_symbol_check CHECK ((symbol ~ '^[!-~]{1,64}$'::text)),
    CONSTRAINT trades_times_check CHECK ((isfinite(opened_at) AND isfinite(closed_at) AND (closed_at >= opened_at)))
);

--
-- Name: TABLE trades; Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON TABLE trading.trades IS 'One row a trade: opened with an entry price, closed with an exit price; profit is computed.';

--
-- Name: conversations conversations_pkey; Type: CONSTRAINT; Schema: chat; Owner: -
--

ALTER TABLE ONLY chat.conversations
    ADD CONSTRAINT conversations_pkey PRIMARY KEY (id);

--
-- Name: speakers speakers_pkey; Type: CONSTRAINT; Schema: chat; Owner: -
--

ALTER TABLE ONLY chat.speakers
    ADD CONSTRAINT speakers_pkey PRIMARY KEY (id);

--
-- Name: speakers speakers_subject_key; Type: CONSTRAINT; Schema: chat; Owner: -
--

ALTER TABLE ONLY chat.speakers
    ADD CONSTRAINT speakers_subject_key UNIQUE (subject);

--
-- Name: utterances utterances_conversation_id_position_key; Type: CONSTRAINT; Schema: chat; Owner: -
--

ALTER TABLE ONLY chat.utterances
    ADD CONSTRAINT utterances_conversation_id_position_key UNIQUE (conversation_id, "position");

--
-- Name: utterances utterances_pkey; Type: CONSTRAINT; Schema: chat; Owner: -
--

ALTER TABLE ONLY chat.utterances
    ADD CONSTRAINT utterances_pkey PRIMARY KEY (id);

--
-- Name: dedupe_keys dedupe_keys_pkey; Type: CONSTRAINT; Schema: rowcast; Owner: -
--

ALTER TABLE ONLY rowcast.dedupe_keys
    ADD CONSTRAINT dedupe_keys_pkey PRIMARY KEY (scope, key);

--
-- Name: event_types event_types_pkey; Type: CONSTRAINT; Schema: rowcast; Owner: -
--

ALTER TABLE ONLY rowcast.event_types
    ADD CONSTRAINT event_types_pkey PRIMARY KEY (type);

--
-- Name: events events_pkey; Type: CONSTRAINT; Schema: rowcast; Owner: -
--

ALTER TABLE ONLY rowcast.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (seq);

--
-- Name: journal_state journal_state_pkey; Type: CONSTRAINT; Schema: rowcast; Owner: -
--

ALTER TABLE ONLY rowcast.journal_state
    ADD CONSTRAINT journal_state_pkey PRIMARY KEY (singleton);

--
-- Name: revocations revocations_pkey; Type: CONSTRAINT; Schema: rowcast; Owner: -
--

ALTER TABLE ONLY rowcast.revocations
    ADD CONSTRAINT revocations_pkey PRIMARY KEY (subject);

--
-- Name: config config_pkey; Type: CONSTRAINT; Schema: trading; Owner: -
--

ALTER TABLE ONLY trading.config
    ADD CONSTRAINT config_pkey PRIMARY KEY (key);

--
-- Name: orders orders_client_order_id_key; Type: CONSTRAINT; Schema: trading; Owner: -
--

ALTER TABLE ONLY trading.orders
    ADD CONSTRAINT orders_client_order_id_key UNIQUE (client_order_id);

--
-- Name: orders orders_pkey; Type: CONSTRAINT; Schema: trading; Owner: -
--

ALTER TABLE ONLY trading.orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (id);

--
-- Name: snapshots snapshots_pkey; Type: CONSTRAINT; Schema: trading; Owner: -
--

ALTER TABLE ONLY trading.snapshots
    ADD CONSTRAINT snapshots_pkey PRIMARY KEY (id);

--
-- Name: trades trades_client_order_id_key; Type: CONSTRAINT; Schema: trading; Owner: -
--

ALTER TABLE ONLY trading.trades
    ADD CONSTRAINT trades_client_order_id_key UNIQUE (client_order_id);

--
-- Name: trades trades_pkey; Type: CONSTRAINT; Schema: trading; Owner: -
--

ALTER TABLE ONLY trading.trades
    ADD CONSTRAINT trades_pkey PRIMARY KEY (id);

--
-- Name: conversations_one_open_each; Type: INDEX; Schema: chat; Owner: -
--

CREATE UNIQUE INDEX conversations_one_open_each ON chat.conversations USING btree (speaker_id) WHERE (status = 'open'::text);

--
-- Name: conversations_speaker_id; Type: INDEX; Schema: chat; Owner: -
--

CREATE INDEX conversations_speaker_id ON chat.conversations USING btree (speaker_id, opened_at, id);

--
-- Name: speakers_bot_name; Type: INDEX; Schema: chat; Owner: -
--

CREATE UNIQUE INDEX speakers_bot_name ON chat.speakers USING btree (name) WHERE (kind = 'bot'::text);

--
-- Name: dedupe_keys_seq; Type: INDEX; Schema: rowcast; Owner: -
--

CREATE INDEX dedupe_keys_seq ON rowcast.dedupe_keys USING btree (seq);

--
-- Name: events_owner_seq; Type: INDEX; Schema: rowcast; Owner: -
--

CREATE INDEX events_owner_seq ON ONLY rowcast.events USING btree (owner, seq) WHERE (owner IS NOT NULL);

--
-- Name: events_subject_seq; Type: INDEX; Schema: rowcast; Owner: -
--

CREATE INDEX events_subject_seq ON ONLY rowcast.events USING btree (subject, seq) WHERE (subject IS NOT NULL);

--
-- Name: events_symbol_seq; Type: INDEX; Schema: rowcast; Owner: -
--

CREATE INDEX events_symbol_seq ON ONLY rowcast.events USING btree (symbol, seq) WHERE (symbol IS NOT NULL);

--
-- Name: events_trade_id_seq; Type: INDEX; Schema: rowcast; Owner: -
--

CREATE INDEX events_trade_id_seq ON ONLY rowcast.events USING btree (trade_id, seq) WHERE (trade_id IS NOT NULL);

--
-- Name: events_type_seq; Type: INDEX; Schema: rowcast; Owner: -
--

CREATE INDEX events_type_seq ON ONLY rowcast.events USING btree (type, seq);

--
-- Name: events_warnings_seq; Type: INDEX; Schema: rowcast; Owner: -
--

CREATE INDEX events_warnings_seq ON ONLY rowcast.events USING btree (seq) WHERE (level = ANY (ARRAY['warn'::text, 'error'::text, 'critical'::text]));

--
-- Name: orders_created_at; Type: INDEX; Schema: trading; Owner: -
--

CREATE INDEX orders_created_at ON trading.orders USING btree (created_at, id);

--
-- Name: orders_trade_id; Type: INDEX; Schema: trading; Owner: -
--

CREATE INDEX orders_trade_id ON trading.orders USING btree (trade_id, created_at, id) WHERE (trade_id IS NOT NULL);

--
-- Name: snapshots_taken_at; Type: INDEX; Schema: trading; Owner: -
--

CREATE INDEX snapshots_taken_at ON trading.snapshots USING btree (taken_at, id);

--
-- Name: trades_open; Type: INDEX; Schema: trading; Owner: -
--

CREATE INDEX trades_open ON trading.trades USING btree (opened_at, id) WHERE (status = 'open'::text);

--
-- Name: trades_opened_at; Type: INDEX; Schema: trading; Owner: -
--

CREATE INDEX trades_opened_at ON trading.trades USING btree (opened_at, id);

--
-- Name: trades_symbol_opened_at; Type: INDEX; Schema: trading; Owner: -
--

CREATE INDEX trades_symbol_opened_at ON trading.trades USING btree (symbol, opened_at, id);

--
-- Name: events append_only; Type: TRIGGER; Schema: rowcast; Owner: -
--

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON rowcast.events FOR EACH STATEMENT EXECUTE FUNCTION rowcast.refuse_change();

ALTER TABLE rowcast.events ENABLE ALWAYS TRIGGER append_only;

--
-- Name: events bell; Type: TRIGGER; Schema: rowcast; Owner: -
--

CREATE TRIGGER bell AFTER INSERT ON rowcast.events FOR EACH STATEMENT EXECUTE FUNCTION rowcast.ring_bell();

ALTER TABLE rowcast.events ENABLE ALWAYS TRIGGER bell;

--
-- Name: journal_state keep_state; Type: TRIGGER; Schema: rowcast; Owner: -
--

CREATE TRIGGER keep_state BEFORE DELETE OR TRUNCATE ON rowcast.journal_state FOR EACH STATEMENT EXECUTE FUNCTION rowcast.keep_state();

ALTER TABLE rowcast.journal_state ENABLE ALWAYS TRIGGER keep_state;

--
-- Name: journal_state never_backwards; Type: TRIGGER; Schema: rowcast; Owner: -
--

CREATE TRIGGER never_backwards BEFORE UPDATE ON rowcast.journal_state FOR EACH ROW EXECUTE FUNCTION rowcast.never_backwards();

ALTER TABLE rowcast.journal_state ENABLE ALWAYS TRIGGER never_backwards;

--
-- Name: conversations conversations_speaker_id_fkey; Type: FK CONSTRAINT; Schema: chat; Owner: -
--

ALTER TABLE ONLY chat.conversations
    ADD CONSTRAINT conversations_speaker_id_fkey FOREIGN KEY (speaker_id) REFERENCES chat.speakers(id);

--
-- Name: utterances utterances_conversation_id_fkey; Type: FK CONSTRAINT; Schema: chat; Owner: -
--

ALTER TABLE ONLY chat.utterances
    ADD CONSTRAINT utterances_conversation_id_fkey FOREIGN KEY (conversation_id) REFERENCES chat.conversations(id);

--
-- Name: utterances utterances_speaker_id_fkey; Type: FK CONSTRAINT; Schema: chat; Owner: -
--

ALTER TABLE ONLY chat.utterances
    ADD CONSTRAINT utterances_speaker_id_fkey FOREIGN KEY (speaker_id) REFERENCES chat.speakers(id);

--
-- Name: orders orders_trade_id_fkey; Type: FK CONSTRAINT; Schema: trading; Owner: -
--

ALTER TABLE ONLY trading.orders
    ADD CONSTRAINT orders_trade_id_fkey FOREIGN KEY (trade_id) REFERENCES trading.trades(id);

--
-- Name: SCHEMA chat; Type: ACL; Schema: -; Owner: -
--

GRANT USAGE ON SCHEMA chat TO rowcast_server;

--
-- Name: SCHEMA rowcast; Type: ACL; Schema: -; Owner: -
--

GRANT USAGE ON SCHEMA rowcast TO rowcast_reader;
GRANT USAGE ON SCHEMA rowcast TO rowcast_writer;
GRANT USAGE ON SCHEMA rowcast TO rowcast_server;

--
-- Name: SCHEMA trading; Type: ACL; Schema: -; Owner: -
--

GRANT USAGE ON SCHEMA trading TO rowcast_server;

--
-- Name: FUNCTION append_batch(key_scope text, types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[], dedupe_keys text[]); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.append_batch(key_scope text, types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[], dedupe_keys text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.append_batch(key_scope text, types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[], dedupe_keys text[]) TO rowcast_server;

--
-- Name: FUNCTION append_event(type text, payload jsonb, level text, public_safe boolean, symbol text, trade_id uuid, subject text, owner text, dedupe_key text); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.append_event(type text, payload jsonb, level text, public_safe boolean, symbol text, trade_id uuid, subject text, owner text, dedupe_key text) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.append_event(type text, payload jsonb, level text, public_safe boolean, symbol text, trade_id uuid, subject text, owner text, dedupe_key text) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.append_event(type text, payload jsonb, level text, public_safe boolean, symbol text, trade_id uuid, subject text, owner text, dedupe_key text) TO rowcast_server;

--
-- Name: FUNCTION append_events(types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[], dedupe_keys text[]); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.append_events(types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[], dedupe_keys text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.append_events(types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[], dedupe_keys text[]) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.append_events(types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[], dedupe_keys text[]) TO rowcast_server;

--
-- Name: FUNCTION append_rows(key_scope text, types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[], dedupe_keys text[]); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.append_rows(key_scope text, types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[], dedupe_keys text[]) FROM PUBLIC;

--
-- Name: FUNCTION base_type(of oid); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.base_type(of oid) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.base_type(of oid) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.base_type(of oid) TO rowcast_server;

--
-- Name: FUNCTION ensure_partitions(); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.ensure_partitions() FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.ensure_partitions() TO rowcast_server;

--
-- Name: FUNCTION event_word(name text); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.event_word(name text) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.event_word(name text) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.event_word(name text) TO rowcast_server;

--
-- Name: FUNCTION fit_payload(payload jsonb, lost text[]); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.fit_payload(payload jsonb, lost text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.fit_payload(payload jsonb, lost text[]) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.fit_payload(payload jsonb, lost text[]) TO rowcast_server;

--
-- Name: FUNCTION has_written(newest bigint); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.has_written(newest bigint) FROM PUBLIC;

--
-- Name: FUNCTION json_expression(type oid, ref text); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.json_expression(type oid, ref text) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.json_expression(type oid, ref text) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.json_expression(type oid, ref text) TO rowcast_server;

--
-- Name: FUNCTION json_or_text(value json); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.json_or_text(value json) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.json_or_text(value json) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.json_or_text(value json) TO rowcast_server;

--
-- Name: FUNCTION keep_state(); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.keep_state() FROM PUBLIC;

--
-- Name: FUNCTION never_backwards(); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.never_backwards() FROM PUBLIC;

--
-- Name: FUNCTION publish(table_name regclass, columns text[], owner_column text, public_safe boolean, type_prefix text, subject_column text, symbol_column text, trade_id_column text, map text, force boolean); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.publish(table_name regclass, columns text[], owner_column text, public_safe boolean, type_prefix text, subject_column text, symbol_column text, trade_id_column text, map text, force boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.publish(table_name regclass, columns text[], owner_column text, public_safe boolean, type_prefix text, subject_column text, symbol_column text, trade_id_column text, map text, force boolean) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.publish(table_name regclass, columns text[], owner_column text, public_safe boolean, type_prefix text, subject_column text, symbol_column text, trade_id_column text, map text, force boolean) TO rowcast_server;

--
-- Name: FUNCTION publish_settings(args bytea); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.publish_settings(args bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.publish_settings(args bytea) TO rowcast_reader;
GRANT ALL ON FUNCTION rowcast.publish_settings(args bytea) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.publish_settings(args bytea) TO rowcast_server;

--
-- Name: TABLE events; Type: ACL; Schema: rowcast; Owner: -
--

GRANT SELECT ON TABLE rowcast.events TO rowcast_reader;
GRANT SELECT ON TABLE rowcast.events TO rowcast_writer;
GRANT SELECT ON TABLE rowcast.events TO rowcast_server;

--
-- Name: COLUMN events.id; Type: ACL; Schema: rowcast; Owner: -
--

GRANT INSERT(id) ON TABLE rowcast.events TO rowcast_writer;
GRANT INSERT(id) ON TABLE rowcast.events TO rowcast_server;

--
-- Name: COLUMN events.type; Type: ACL; Schema: rowcast; Owner: -
--

GRANT INSERT(type) ON TABLE rowcast.events TO rowcast_writer;
GRANT INSERT(type) ON TABLE rowcast.events TO rowcast_server;

--
-- Name: COLUMN events.level; Type: ACL; Schema: rowcast; Owner: -
--

GRANT INSERT(level) ON TABLE rowcast.events TO rowcast_writer;
GRANT INSERT(level) ON TABLE rowcast.events TO rowcast_server;

--
-- Name: COLUMN events.public_safe; Type: ACL; Schema: rowcast; Owner: -
--

GRANT INSERT(public_safe) ON TABLE rowcast.events TO rowcast_writer;
GRANT INSERT(public_safe) ON TABLE rowcast.events TO rowcast_server;

--
-- Name: COLUMN events.symbol; Type: ACL; Schema: rowcast; Owner: -
--

GRANT INSERT(symbol) ON TABLE rowcast.events TO rowcast_writer;
GRANT INSERT(symbol) ON TABLE rowcast.events TO rowcast_server;

--
-- Name: COLUMN events.trade_id; Type: ACL; Schema: rowcast; Owner: -
--

GRANT INSERT(trade_id) ON TABLE rowcast.events TO rowcast_writer;
GRANT INSERT(trade_id) ON TABLE rowcast.events TO rowcast_server;

--
-- Name: COLUMN events.subject; Type: ACL; Schema: rowcast; Owner: -
--

GRANT INSERT(subject) ON TABLE rowcast.events TO rowcast_writer;
GRANT INSERT(subject) ON TABLE rowcast.events TO rowcast_server;

--
-- Name: COLUMN events.owner; Type: ACL; Schema: rowcast; Owner: -
--

GRANT INSERT(owner) ON TABLE rowcast.events TO rowcast_writer;
GRANT INSERT(owner) ON TABLE rowcast.events TO rowcast_server;

--
-- Name: COLUMN events.payload; Type: ACL; Schema: rowcast; Owner: -
--

GRANT INSERT(payload) ON TABLE rowcast.events TO rowcast_writer;
GRANT INSERT(payload) ON TABLE rowcast.events TO rowcast_server;

--
-- Name: FUNCTION query_events(cursor bigint, max_rows integer, types text[], min_level text, symbol text, trade_id uuid, subject text, owner text); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.query_events(cursor bigint, max_rows integer, types text[], min_level text, symbol text, trade_id uuid, subject text, owner text) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.query_events(cursor bigint, max_rows integer, types text[], min_level text, symbol text, trade_id uuid, subject text, owner text) TO rowcast_reader;
GRANT ALL ON FUNCTION rowcast.query_events(cursor bigint, max_rows integer, types text[], min_level text, symbol text, trade_id uuid, subject text, owner text) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.query_events(cursor bigint, max_rows integer, types text[], min_level text, symbol text, trade_id uuid, subject text, owner text) TO rowcast_server;

--
-- Name: FUNCTION refuse_change(); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.refuse_change() FROM PUBLIC;

--
-- Name: FUNCTION render_statements(side text, target text, names text[], types oid[]); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.render_statements(side text, target text, names text[], types oid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.render_statements(side text, target text, names text[], types oid[]) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.render_statements(side text, target text, names text[], types oid[]) TO rowcast_server;

--
-- Name: FUNCTION ring_bell(); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.ring_bell() FROM PUBLIC;

--
-- Name: FUNCTION safe_head(); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.safe_head() FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.safe_head() TO rowcast_reader;
GRANT ALL ON FUNCTION rowcast.safe_head() TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.safe_head() TO rowcast_server;

--
-- Name: FUNCTION text_expression(type oid, ref text); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.text_expression(type oid, ref text) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.text_expression(type oid, ref text) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.text_expression(type oid, ref text) TO rowcast_server;

--
-- Name: FUNCTION unpublish(table_name regclass); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.unpublish(table_name regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.unpublish(table_name regclass) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.unpublish(table_name regclass) TO rowcast_server;

--
-- Name: TABLE conversations; Type: ACL; Schema: chat; Owner: -
--

GRANT SELECT,INSERT,UPDATE ON TABLE chat.conversations TO rowcast_server;

--
-- Name: TABLE speakers; Type: ACL; Schema: chat; Owner: -
--

GRANT SELECT,INSERT ON TABLE chat.speakers TO rowcast_server;

--
-- Name: COLUMN speakers.name; Type: ACL; Schema: chat; Owner: -
--

GRANT UPDATE(name) ON TABLE chat.speakers TO rowcast_server;

--
-- Name: TABLE utterances; Type: ACL; Schema: chat; Owner: -
--

GRANT SELECT,INSERT ON TABLE chat.utterances TO rowcast_server;

--
-- Name: TABLE dedupe_keys; Type: ACL; Schema: rowcast; Owner: -
--

GRANT SELECT,INSERT,UPDATE ON TABLE rowcast.dedupe_keys TO rowcast_server;

--
-- Name: TABLE event_types; Type: ACL; Schema: rowcast; Owner: -
--

GRANT SELECT ON TABLE rowcast.event_types TO rowcast_reader;
GRANT SELECT ON TABLE rowcast.event_types TO rowcast_writer;
GRANT SELECT ON TABLE rowcast.event_types TO rowcast_server;

--
-- Name: SEQUENCE events_seq_seq; Type: ACL; Schema: rowcast; Owner: -
--

GRANT SELECT ON SEQUENCE rowcast.events_seq_seq TO rowcast_reader;
GRANT SELECT ON SEQUENCE rowcast.events_seq_seq TO rowcast_writer;
GRANT SELECT ON SEQUENCE rowcast.events_seq_seq TO rowcast_server;

--
-- Name: TABLE journal_state; Type: ACL; Schema: rowcast; Owner: -
--

GRANT SELECT ON TABLE rowcast.journal_state TO rowcast_reader;
GRANT SELECT ON TABLE rowcast.journal_state TO rowcast_writer;
GRANT SELECT ON TABLE rowcast.journal_state TO rowcast_server;

--
-- Name: COLUMN journal_state.head; Type: ACL; Schema: rowcast; Owner: -
--

GRANT UPDATE(head) ON TABLE rowcast.journal_state TO rowcast_server;

--
-- Name: TABLE published; Type: ACL; Schema: rowcast; Owner: -
--

GRANT SELECT ON TABLE rowcast.published TO rowcast_reader;
GRANT SELECT ON TABLE rowcast.published TO rowcast_writer;
GRANT SELECT ON TABLE rowcast.published TO rowcast_server;

--
-- Name: TABLE revocations; Type: ACL; Schema: rowcast; Owner: -
--

GRANT SELECT,INSERT,UPDATE ON TABLE rowcast.revocations TO rowcast_server;

--
-- Name: TABLE config; Type: ACL; Schema: trading; Owner: -
--

GRANT SELECT,INSERT,UPDATE ON TABLE trading.config TO rowcast_server;

--
-- Name: TABLE orders; Type: ACL; Schema: trading; Owner: -
--

GRANT SELECT,INSERT,UPDATE ON TABLE trading.orders TO rowcast_server;

--
-- Name: TABLE snapshots; Type: ACL; Schema: trading; Owner: -
--

GRANT SELECT,INSERT ON TABLE trading.snapshots TO rowcast_server;

--
-- Name: TABLE trades; Type: ACL; Schema: trading; Owner: -
--

GRANT SELECT,INSERT,UPDATE ON TABLE trading.trades TO rowcast_server;

--
-- PostgreSQL database dump complete
--

INSERT INTO rowcast.journal_state DEFAULT VALUES;
SELECT rowcast.ensure_partitions();
