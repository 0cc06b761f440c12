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
    CONSTRAINT "level must be debug, info, warn, error or critical" CHECK ((level = ANY (ARRAY['debug'::text, 'info'::text, 'warn'::text, 'error'::text, 'critical'::text]))),
    CONSTRAINT "owner must be 1 to 256 bytes" CHECK (((octet_length(owner) >= 1) AND (octet_length(owner) <= 256))),
    CONSTRAINT "payload must be a JSON object" CHECK ((jsonb_typeof(payload) = 'object'::text)),
    CONSTRAINT "payload must be at most 262144 bytes (256 KiB)" CHECK ((octet_length((payload)::text) <= 262144)),
    CONSTRAINT "subject must be 1 to 1024 bytes" CHECK (((octet_length(subject) >= 1) AND (octet_length(subject) <= 1024))),
    CONSTRAINT "symbol must be 1 to 64 bytes" CHECK (((octet_length(symbol) >= 1) AND (octet_length(symbol) <= 64))),
    CONSTRAINT "type must be dotted lower-case words of at most 128 bytes" CHECK (((octet_length(type) <= 128) AND (type ~ '^[a-z0-9_]+(\.[a-z0-9_]+)*$'::text)))
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
        select case when is_called then last_value else 0 end into strict reached from rowcast.events_seq_seq;
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
-- Name: FUNCTION append_event(type text, payload jsonb, level text, public_safe boolean, symbol text, trade_id uuid, subject text, owner text, dedupe_key text); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.append_event(type text, payload jsonb, level text, public_safe boolean, symbol text, trade_id uuid, subject text, owner text, dedupe_key text) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.append_event(type text, payload jsonb, level text, public_safe boolean, symbol text, trade_id uuid, subject text, owner text, dedupe_key text) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.append_event(type text, payload jsonb, level text, public_safe boolean, symbol text, trade_id uuid, subject text, owner text, dedupe_key text) TO rowcast_server;

--
-- Name: FUNCTION ensure_partitions(); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.ensure_partitions() FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.ensure_partitions() TO rowcast_server;

--
-- Name: FUNCTION keep_state(); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.keep_state() FROM PUBLIC;

--
-- Name: FUNCTION never_backwards(); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.never_backwards() FROM PUBLIC;

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
-- Name: FUNCTION safe_head(); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.safe_head() FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.safe_head() TO rowcast_reader;
GRANT ALL ON FUNCTION rowcast.safe_head() TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.safe_head() TO rowcast_server;

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
