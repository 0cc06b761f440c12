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
-- Name: rowcast_private; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA rowcast_private;

--
-- Name: SCHEMA rowcast_private; Type: COMMENT; Schema: -; Owner: -
--

COMMENT ON SCHEMA rowcast_private IS 'What nobody but the owner can name.';

--
-- Name: trading; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA trading;

--
-- Name: SCHEMA trading; Type: COMMENT; Schema: -; Owner: -
--

COMMENT ON SCHEMA trading IS 'Trades, orders, snapshots and configuration of a trading engine.';

--
-- Name: conversation_events(text, jsonb, jsonb); Type: FUNCTION; Schema: chat; Owner: -
--

CREATE FUNCTION chat.conversation_events(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    told jsonb := coalesce(new, old);
begin
    type := 'chat.conversation.' || case when op = 'delete' then 'removed'
                                         when told ->> 'status' = 'open' then 'opened' else 'closed' end;
    payload := jsonb_strip_nulls(told || jsonb_build_object(
        'opened_at', chat.instant(told ->> 'opened_at'), 'closed_at', chat.instant(told ->> 'closed_at')));
end
$$;

--
-- Name: FUNCTION conversation_events(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb); Type: COMMENT; Schema: chat; Owner: -
--

COMMENT ON FUNCTION chat.conversation_events(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb) IS 'The events of chat.conversations: opened, closed.';

--
-- Name: instant(text); Type: FUNCTION; Schema: chat; Owner: -
--

CREATE FUNCTION chat.instant(at text) RETURNS text
    LANGUAGE sql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select to_char(at::timestamptz at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

--
-- Name: FUNCTION instant(at text); Type: COMMENT; Schema: chat; Owner: -
--

COMMENT ON FUNCTION chat.instant(at text) IS 'A time in UTC with microseconds, as events and answers show it.';

--
-- Name: rowcast_publish_conversations(); Type: FUNCTION; Schema: chat; Owner: -
--

CREATE FUNCTION chat.rowcast_publish_conversations() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET "IntervalStyle" TO 'iso_8601'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET array_nulls TO 'on'
    AS $_$
-- Written by rowcast.publish, form 3. Change it by publishing again.
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
    if op = 'truncate' and tg_when = 'BEFORE' then
        execute 'insert into rowcast.events (type, owner) select distinct ''chat.conversation.truncated'', case when octet_length(t.owner::text) between 1 and 256 then t.owner::text else ''rowcast:nobody'' end from only ' || tg_relid::regclass || ' as t';
        return null;
    elsif op = 'truncate' then
        insert into rowcast.events (type, public_safe) values ('chat.conversation.truncated', 'f');
        return null;
    end if;
    if op = 'update' then
        moved := record_image_ne(row(old.id, old.owner), row(new.id, new.owner));
    end if;
    if op = 'delete' or moved or (op = 'update' and 't') then
        
    lost := '{}';
    begin
        large := 0 + coalesce(octet_length(old.owner), 0) + coalesce(octet_length(old.status), 0) > 131072;
        if not large then
            before := jsonb_build_object('id', to_jsonb(old.id), 'owner', to_jsonb(old.owner), 'status', to_jsonb(old.status), 'opened_at', to_jsonb(old.opened_at), 'closed_at', to_jsonb(old.closed_at));
            large := octet_length(before::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        before := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(pg_column_size(old.id), 0) <= 1048576 then
                value := to_jsonb(old.id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.id) = 0 then lost := lost || 'id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('id', value);

        value := null;
        begin
            if coalesce(octet_length(old.owner), 0) <= 1048576 then
                value := to_jsonb(old.owner);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.owner) = 0 then lost := lost || 'owner'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('owner', value);

        value := null;
        begin
            if coalesce(octet_length(old.status), 0) <= 1048576 then
                value := to_jsonb(old.status);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.status) = 0 then lost := lost || 'status'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('status', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.opened_at), 0) <= 1048576 then
                value := to_jsonb(old.opened_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.opened_at) = 0 then lost := lost || 'opened_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('opened_at', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.closed_at), 0) <= 1048576 then
                value := to_jsonb(old.closed_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.closed_at) = 0 then lost := lost || 'closed_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('closed_at', value);

        before := rowcast.fit_payload(before, lost);
    end if;

    end if;
    if op <> 'delete' and not (moved and 't') then
        
    lost := '{}';
    begin
        large := 0 + coalesce(octet_length(new.owner), 0) + coalesce(octet_length(new.status), 0) > 131072;
        if not large then
            after := jsonb_build_object('id', to_jsonb(new.id), 'owner', to_jsonb(new.owner), 'status', to_jsonb(new.status), 'opened_at', to_jsonb(new.opened_at), 'closed_at', to_jsonb(new.closed_at));
            large := octet_length(after::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        after := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(pg_column_size(new.id), 0) <= 1048576 then
                value := to_jsonb(new.id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.id) = 0 then lost := lost || 'id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('id', value);

        value := null;
        begin
            if coalesce(octet_length(new.owner), 0) <= 1048576 then
                value := to_jsonb(new.owner);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.owner) = 0 then lost := lost || 'owner'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('owner', value);

        value := null;
        begin
            if coalesce(octet_length(new.status), 0) <= 1048576 then
                value := to_jsonb(new.status);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.status) = 0 then lost := lost || 'status'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('status', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.opened_at), 0) <= 1048576 then
                value := to_jsonb(new.opened_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.opened_at) = 0 then lost := lost || 'opened_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('opened_at', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.closed_at), 0) <= 1048576 then
                value := to_jsonb(new.closed_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.closed_at) = 0 then lost := lost || 'closed_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('closed_at', value);

        after := rowcast.fit_payload(after, lost);
    end if;

    end if;
    if op = 'delete' or moved then
        op := 'delete';
        word := 'deleted';
        subject := old.id::text;
        if octet_length(subject) not between 1 and 1024 then
            subject := 'sha256:' || encode(sha256(convert_to(subject, getdatabaseencoding())), 'hex');
        end if;
        if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure('chat.conversation_events(text,jsonb,jsonb)')) is not true then
            raise exception 'the map of % is gone, or belongs to a role that may not act as %: %',
                            tg_relid::regclass, quote_ident(current_user), 'chat.conversation_events(text,jsonb,jsonb)'
                using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
        end if;
        select m.type::text as type, m.level::text as level, m.payload as payload from chat.conversation_events(op, before, after) m into told;
        if told.type is not null and told.payload is not null then
            if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
            if (starts_with(told.type, 'chat.conversation.') and substr(told.type, 19) ~ '^[a-z0-9_]+$' and told.payload ?& '{id}'::text[]
                and (told.type = any ('{chat.conversation.deleted,chat.conversation.removed}'::text[])) = (op = 'delete')) is not true then
                raise exception 'the map of % breaks the promise of state_key: it made an event of type % of the operation %',
                                tg_relid::regclass, told.type, op
                    using errcode = 'data_exception', detail = 'The type of each event is one word behind chat.conversation.; those that remove a row, and no others, are chat.conversation.deleted, chat.conversation.removed; the payload holds id.';
            end if;
            insert into rowcast.events (type, level, payload, public_safe, symbol, trade_id, subject, owner)
            values (told.type, coalesce(told.level, 'info'), told.payload, 'f', null, null, subject, case when octet_length(old.owner::text) between 1 and 256 then old.owner::text else 'rowcast:nobody' end);
        end if;
    end if;
    if tg_op <> 'DELETE' then
        if moved then
            op := 'insert';
            before := null;
    lost := '{}';
    begin
        large := 0 + coalesce(octet_length(new.owner), 0) + coalesce(octet_length(new.status), 0) > 131072;
        if not large then
            after := jsonb_build_object('id', to_jsonb(new.id), 'owner', to_jsonb(new.owner), 'status', to_jsonb(new.status), 'opened_at', to_jsonb(new.opened_at), 'closed_at', to_jsonb(new.closed_at));
            large := octet_length(after::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        after := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(pg_column_size(new.id), 0) <= 1048576 then
                value := to_jsonb(new.id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.id) = 0 then lost := lost || 'id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('id', value);

        value := null;
        begin
            if coalesce(octet_length(new.owner), 0) <= 1048576 then
                value := to_jsonb(new.owner);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.owner) = 0 then lost := lost || 'owner'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('owner', value);

        value := null;
        begin
            if coalesce(octet_length(new.status), 0) <= 1048576 then
                value := to_jsonb(new.status);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.status) = 0 then lost := lost || 'status'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('status', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.opened_at), 0) <= 1048576 then
                value := to_jsonb(new.opened_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.opened_at) = 0 then lost := lost || 'opened_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('opened_at', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.closed_at), 0) <= 1048576 then
                value := to_jsonb(new.closed_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.closed_at) = 0 then lost := lost || 'closed_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('closed_at', value);

        after := rowcast.fit_payload(after, lost);
    end if;

        end if;
        word := case when op = 'insert' then 'inserted' else 'updated' end;
        subject := new.id::text;
        if octet_length(subject) not between 1 and 1024 then
            subject := 'sha256:' || encode(sha256(convert_to(subject, getdatabaseencoding())), 'hex');
        end if;
        if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure('chat.conversation_events(text,jsonb,jsonb)')) is not true then
            raise exception 'the map of % is gone, or belongs to a role that may not act as %: %',
                            tg_relid::regclass, quote_ident(current_user), 'chat.conversation_events(text,jsonb,jsonb)'
                using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
        end if;
        select m.type::text as type, m.level::text as level, m.payload as payload from chat.conversation_events(op, before, after) m into told;
        if told.type is not null and told.payload is not null then
            if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
            if (starts_with(told.type, 'chat.conversation.') and substr(told.type, 19) ~ '^[a-z0-9_]+$' and told.payload ?& '{id}'::text[]
                and (told.type = any ('{chat.conversation.deleted,chat.conversation.removed}'::text[])) = (op = 'delete')) is not true then
                raise exception 'the map of % breaks the promise of state_key: it made an event of type % of the operation %',
                                tg_relid::regclass, told.type, op
                    using errcode = 'data_exception', detail = 'The type of each event is one word behind chat.conversation.; those that remove a row, and no others, are chat.conversation.deleted, chat.conversation.removed; the payload holds id.';
            end if;
            insert into rowcast.events (type, level, payload, public_safe, symbol, trade_id, subject, owner)
            values (told.type, coalesce(told.level, 'info'), told.payload, 'f', null, null, subject, case when octet_length(new.owner::text) between 1 and 256 then new.owner::text else 'rowcast:nobody' end);
        end if;
    end if;
    return null;
end
$_$;

--
-- Name: FUNCTION rowcast_publish_conversations(); Type: COMMENT; Schema: chat; Owner: -
--

COMMENT ON FUNCTION chat.rowcast_publish_conversations() IS 'Made by rowcast.publish; goes with rowcast.unpublish.';

--
-- Name: rowcast_publish_utterances(); Type: FUNCTION; Schema: chat; Owner: -
--

CREATE FUNCTION chat.rowcast_publish_utterances() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET "IntervalStyle" TO 'iso_8601'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET array_nulls TO 'on'
    AS $_$
-- Written by rowcast.publish, form 3. Change it by publishing again.
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
    if op = 'truncate' and tg_when = 'BEFORE' then
        execute 'insert into rowcast.events (type, owner) select distinct ''chat.utterance.truncated'', case when octet_length(t.owner::text) between 1 and 256 then t.owner::text else ''rowcast:nobody'' end from only ' || tg_relid::regclass || ' as t';
        return null;
    elsif op = 'truncate' then
        insert into rowcast.events (type, public_safe) values ('chat.utterance.truncated', 'f');
        return null;
    end if;
    if op = 'update' then
        moved := record_image_ne(row(old.id, old.owner, old.conversation_id), row(new.id, new.owner, new.conversation_id));
    end if;
    if op = 'delete' or moved or (op = 'update' and 't') then
        
    lost := '{}';
    begin
        large := 0 + coalesce(octet_length(old.speaker_name), 0) + coalesce(octet_length(old.text), 0) + coalesce(octet_length(old.outcome), 0) > 131072;
        if not large then
            before := jsonb_build_object('id', to_jsonb(old.id), 'conversation_id', to_jsonb(old.conversation_id), 'position', to_jsonb(old."position"), 'speaker_id', to_jsonb(old.speaker_id), 'speaker_name', to_jsonb(old.speaker_name), 'text', to_jsonb(old.text), 'said_at', to_jsonb(old.said_at), 'answers', to_jsonb(old.answers), 'final', to_jsonb(old.final), 'outcome', to_jsonb(old.outcome));
            large := octet_length(before::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        before := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(pg_column_size(old.id), 0) <= 1048576 then
                value := to_jsonb(old.id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.id) = 0 then lost := lost || 'id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('id', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.conversation_id), 0) <= 1048576 then
                value := to_jsonb(old.conversation_id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.conversation_id) = 0 then lost := lost || 'conversation_id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('conversation_id', value);

        value := null;
        begin
            if coalesce(pg_column_size(old."position"), 0) <= 1048576 then
                value := to_jsonb(old."position");
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old."position") = 0 then lost := lost || 'position'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('position', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.speaker_id), 0) <= 1048576 then
                value := to_jsonb(old.speaker_id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.speaker_id) = 0 then lost := lost || 'speaker_id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('speaker_id', value);

        value := null;
        begin
            if coalesce(octet_length(old.speaker_name), 0) <= 1048576 then
                value := to_jsonb(old.speaker_name);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.speaker_name) = 0 then lost := lost || 'speaker_name'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('speaker_name', value);

        value := null;
        begin
            if coalesce(octet_length(old.text), 0) <= 1048576 then
                value := to_jsonb(old.text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.text) = 0 then lost := lost || 'text'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('text', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.said_at), 0) <= 1048576 then
                value := to_jsonb(old.said_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.said_at) = 0 then lost := lost || 'said_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('said_at', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.answers), 0) <= 1048576 then
                value := to_jsonb(old.answers);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.answers) = 0 then lost := lost || 'answers'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('answers', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.final), 0) <= 1048576 then
                value := to_jsonb(old.final);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.final) = 0 then lost := lost || 'final'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('final', value);

        value := null;
        begin
            if coalesce(octet_length(old.outcome), 0) <= 1048576 then
                value := to_jsonb(old.outcome);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.outcome) = 0 then lost := lost || 'outcome'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('outcome', value);

        before := rowcast.fit_payload(before, lost);
    end if;

    end if;
    if op <> 'delete' and not (moved and 't') then
        
    lost := '{}';
    begin
        large := 0 + coalesce(octet_length(new.speaker_name), 0) + coalesce(octet_length(new.text), 0) + coalesce(octet_length(new.outcome), 0) > 131072;
        if not large then
            after := jsonb_build_object('id', to_jsonb(new.id), 'conversation_id', to_jsonb(new.conversation_id), 'position', to_jsonb(new."position"), 'speaker_id', to_jsonb(new.speaker_id), 'speaker_name', to_jsonb(new.speaker_name), 'text', to_jsonb(new.text), 'said_at', to_jsonb(new.said_at), 'answers', to_jsonb(new.answers), 'final', to_jsonb(new.final), 'outcome', to_jsonb(new.outcome));
            large := octet_length(after::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        after := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(pg_column_size(new.id), 0) <= 1048576 then
                value := to_jsonb(new.id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.id) = 0 then lost := lost || 'id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('id', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.conversation_id), 0) <= 1048576 then
                value := to_jsonb(new.conversation_id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.conversation_id) = 0 then lost := lost || 'conversation_id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('conversation_id', value);

        value := null;
        begin
            if coalesce(pg_column_size(new."position"), 0) <= 1048576 then
                value := to_jsonb(new."position");
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new."position") = 0 then lost := lost || 'position'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('position', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.speaker_id), 0) <= 1048576 then
                value := to_jsonb(new.speaker_id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.speaker_id) = 0 then lost := lost || 'speaker_id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('speaker_id', value);

        value := null;
        begin
            if coalesce(octet_length(new.speaker_name), 0) <= 1048576 then
                value := to_jsonb(new.speaker_name);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.speaker_name) = 0 then lost := lost || 'speaker_name'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('speaker_name', value);

        value := null;
        begin
            if coalesce(octet_length(new.text), 0) <= 1048576 then
                value := to_jsonb(new.text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.text) = 0 then lost := lost || 'text'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('text', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.said_at), 0) <= 1048576 then
                value := to_jsonb(new.said_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.said_at) = 0 then lost := lost || 'said_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('said_at', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.answers), 0) <= 1048576 then
                value := to_jsonb(new.answers);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.answers) = 0 then lost := lost || 'answers'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('answers', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.final), 0) <= 1048576 then
                value := to_jsonb(new.final);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.final) = 0 then lost := lost || 'final'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('final', value);

        value := null;
        begin
            if coalesce(octet_length(new.outcome), 0) <= 1048576 then
                value := to_jsonb(new.outcome);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.outcome) = 0 then lost := lost || 'outcome'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('outcome', value);

        after := rowcast.fit_payload(after, lost);
    end if;

    end if;
    if op = 'delete' or moved then
        op := 'delete';
        word := 'deleted';
        subject := old.conversation_id::text;
        if octet_length(subject) not between 1 and 1024 then
            subject := 'sha256:' || encode(sha256(convert_to(subject, getdatabaseencoding())), 'hex');
        end if;
        if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure('chat.utterance_events(text,jsonb,jsonb)')) is not true then
            raise exception 'the map of % is gone, or belongs to a role that may not act as %: %',
                            tg_relid::regclass, quote_ident(current_user), 'chat.utterance_events(text,jsonb,jsonb)'
                using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
        end if;
        select m.type::text as type, m.level::text as level, m.payload as payload from chat.utterance_events(op, before, after) m into told;
        if told.type is not null and told.payload is not null then
            if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
            if (starts_with(told.type, 'chat.utterance.') and substr(told.type, 16) ~ '^[a-z0-9_]+$' and told.payload ?& '{id}'::text[]
                and (told.type = any ('{chat.utterance.deleted,chat.utterance.removed}'::text[])) = (op = 'delete')) is not true then
                raise exception 'the map of % breaks the promise of state_key: it made an event of type % of the operation %',
                                tg_relid::regclass, told.type, op
                    using errcode = 'data_exception', detail = 'The type of each event is one word behind chat.utterance.; those that remove a row, and no others, are chat.utterance.deleted, chat.utterance.removed; the payload holds id.';
            end if;
            insert into rowcast.events (type, level, payload, public_safe, symbol, trade_id, subject, owner)
            values (told.type, coalesce(told.level, 'info'), told.payload, 'f', null, null, subject, case when octet_length(old.owner::text) between 1 and 256 then old.owner::text else 'rowcast:nobody' end);
        end if;
    end if;
    if tg_op <> 'DELETE' then
        if moved then
            op := 'insert';
            before := null;
    lost := '{}';
    begin
        large := 0 + coalesce(octet_length(new.speaker_name), 0) + coalesce(octet_length(new.text), 0) + coalesce(octet_length(new.outcome), 0) > 131072;
        if not large then
            after := jsonb_build_object('id', to_jsonb(new.id), 'conversation_id', to_jsonb(new.conversation_id), 'position', to_jsonb(new."position"), 'speaker_id', to_jsonb(new.speaker_id), 'speaker_name', to_jsonb(new.speaker_name), 'text', to_jsonb(new.text), 'said_at', to_jsonb(new.said_at), 'answers', to_jsonb(new.answers), 'final', to_jsonb(new.final), 'outcome', to_jsonb(new.outcome));
            large := octet_length(after::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        after := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(pg_column_size(new.id), 0) <= 1048576 then
                value := to_jsonb(new.id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.id) = 0 then lost := lost || 'id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('id', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.conversation_id), 0) <= 1048576 then
                value := to_jsonb(new.conversation_id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.conversation_id) = 0 then lost := lost || 'conversation_id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('conversation_id', value);

        value := null;
        begin
            if coalesce(pg_column_size(new."position"), 0) <= 1048576 then
                value := to_jsonb(new."position");
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new."position") = 0 then lost := lost || 'position'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('position', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.speaker_id), 0) <= 1048576 then
                value := to_jsonb(new.speaker_id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.speaker_id) = 0 then lost := lost || 'speaker_id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('speaker_id', value);

        value := null;
        begin
            if coalesce(octet_length(new.speaker_name), 0) <= 1048576 then
                value := to_jsonb(new.speaker_name);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.speaker_name) = 0 then lost := lost || 'speaker_name'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('speaker_name', value);

        value := null;
        begin
            if coalesce(octet_length(new.text), 0) <= 1048576 then
                value := to_jsonb(new.text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.text) = 0 then lost := lost || 'text'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('text', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.said_at), 0) <= 1048576 then
                value := to_jsonb(new.said_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.said_at) = 0 then lost := lost || 'said_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('said_at', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.answers), 0) <= 1048576 then
                value := to_jsonb(new.answers);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.answers) = 0 then lost := lost || 'answers'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('answers', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.final), 0) <= 1048576 then
                value := to_jsonb(new.final);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.final) = 0 then lost := lost || 'final'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('final', value);

        value := null;
        begin
            if coalesce(octet_length(new.outcome), 0) <= 1048576 then
                value := to_jsonb(new.outcome);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.outcome) = 0 then lost := lost || 'outcome'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('outcome', value);

        after := rowcast.fit_payload(after, lost);
    end if;

        end if;
        word := case when op = 'insert' then 'inserted' else 'updated' end;
        subject := new.conversation_id::text;
        if octet_length(subject) not between 1 and 1024 then
            subject := 'sha256:' || encode(sha256(convert_to(subject, getdatabaseencoding())), 'hex');
        end if;
        if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure('chat.utterance_events(text,jsonb,jsonb)')) is not true then
            raise exception 'the map of % is gone, or belongs to a role that may not act as %: %',
                            tg_relid::regclass, quote_ident(current_user), 'chat.utterance_events(text,jsonb,jsonb)'
                using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
        end if;
        select m.type::text as type, m.level::text as level, m.payload as payload from chat.utterance_events(op, before, after) m into told;
        if told.type is not null and told.payload is not null then
            if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
            if (starts_with(told.type, 'chat.utterance.') and substr(told.type, 16) ~ '^[a-z0-9_]+$' and told.payload ?& '{id}'::text[]
                and (told.type = any ('{chat.utterance.deleted,chat.utterance.removed}'::text[])) = (op = 'delete')) is not true then
                raise exception 'the map of % breaks the promise of state_key: it made an event of type % of the operation %',
                                tg_relid::regclass, told.type, op
                    using errcode = 'data_exception', detail = 'The type of each event is one word behind chat.utterance.; those that remove a row, and no others, are chat.utterance.deleted, chat.utterance.removed; the payload holds id.';
            end if;
            insert into rowcast.events (type, level, payload, public_safe, symbol, trade_id, subject, owner)
            values (told.type, coalesce(told.level, 'info'), told.payload, 'f', null, null, subject, case when octet_length(new.owner::text) between 1 and 256 then new.owner::text else 'rowcast:nobody' end);
        end if;
    end if;
    return null;
end
$_$;

--
-- Name: FUNCTION rowcast_publish_utterances(); Type: COMMENT; Schema: chat; Owner: -
--

COMMENT ON FUNCTION chat.rowcast_publish_utterances() IS 'Made by rowcast.publish; goes with rowcast.unpublish.';

--
-- Name: rowcast_row_conversations(record); Type: FUNCTION; Schema: chat; Owner: -
--

CREATE FUNCTION chat.rowcast_row_conversations(new record) RETURNS text[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET "IntervalStyle" TO 'iso_8601'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET array_nulls TO 'on'
    AS $$
-- Written by rowcast.publish, form 3. Change it by publishing again.
#variable_conflict use_variable
declare
    op       text := 'insert';
    before   jsonb;
    after    jsonb;
    told     record;
    lost     text[];
    value    jsonb;
    large    boolean;
    room     bigint;
    tg_relid oid;
begin
    
    lost := '{}';
    begin
        large := 0 + coalesce(octet_length(new.owner), 0) + coalesce(octet_length(new.status), 0) > 131072;
        if not large then
            after := jsonb_build_object('id', to_jsonb(new.id), 'owner', to_jsonb(new.owner), 'status', to_jsonb(new.status), 'opened_at', to_jsonb(new.opened_at), 'closed_at', to_jsonb(new.closed_at));
            large := octet_length(after::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        after := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(pg_column_size(new.id), 0) <= 1048576 then
                value := to_jsonb(new.id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.id) = 0 then lost := lost || 'id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('id', value);

        value := null;
        begin
            if coalesce(octet_length(new.owner), 0) <= 1048576 then
                value := to_jsonb(new.owner);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.owner) = 0 then lost := lost || 'owner'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('owner', value);

        value := null;
        begin
            if coalesce(octet_length(new.status), 0) <= 1048576 then
                value := to_jsonb(new.status);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.status) = 0 then lost := lost || 'status'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('status', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.opened_at), 0) <= 1048576 then
                value := to_jsonb(new.opened_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.opened_at) = 0 then lost := lost || 'opened_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('opened_at', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.closed_at), 0) <= 1048576 then
                value := to_jsonb(new.closed_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.closed_at) = 0 then lost := lost || 'closed_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('closed_at', value);

        after := rowcast.fit_payload(after, lost);
    end if;

    
    if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure('chat.conversation_events(text,jsonb,jsonb)')) is not true then
        raise exception 'the map % is gone, or belongs to a role that may not act as %', 'chat.conversation_events(text,jsonb,jsonb)', quote_ident(current_user)
            using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
    end if;
    select m.type::text as type, m.level::text as level, m.payload as payload from chat.conversation_events(op, before, after) m into told;
    if told.type is null or told.payload is null then return null; end if;
    if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
    return array[told.type, told.payload::text];
end
$$;

--
-- Name: FUNCTION rowcast_row_conversations(new record); Type: COMMENT; Schema: chat; Owner: -
--

COMMENT ON FUNCTION chat.rowcast_row_conversations(new record) IS 'Made by rowcast.publish; goes with rowcast.unpublish.';

--
-- Name: rowcast_row_utterances(record); Type: FUNCTION; Schema: chat; Owner: -
--

CREATE FUNCTION chat.rowcast_row_utterances(new record) RETURNS text[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET "IntervalStyle" TO 'iso_8601'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET array_nulls TO 'on'
    AS $$
-- Written by rowcast.publish, form 3. Change it by publishing again.
#variable_conflict use_variable
declare
    op       text := 'insert';
    before   jsonb;
    after    jsonb;
    told     record;
    lost     text[];
    value    jsonb;
    large    boolean;
    room     bigint;
    tg_relid oid;
begin
    
    lost := '{}';
    begin
        large := 0 + coalesce(octet_length(new.speaker_name), 0) + coalesce(octet_length(new.text), 0) + coalesce(octet_length(new.outcome), 0) > 131072;
        if not large then
            after := jsonb_build_object('id', to_jsonb(new.id), 'conversation_id', to_jsonb(new.conversation_id), 'position', to_jsonb(new."position"), 'speaker_id', to_jsonb(new.speaker_id), 'speaker_name', to_jsonb(new.speaker_name), 'text', to_jsonb(new.text), 'said_at', to_jsonb(new.said_at), 'answers', to_jsonb(new.answers), 'final', to_jsonb(new.final), 'outcome', to_jsonb(new.outcome));
            large := octet_length(after::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        after := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(pg_column_size(new.id), 0) <= 1048576 then
                value := to_jsonb(new.id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.id) = 0 then lost := lost || 'id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('id', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.conversation_id), 0) <= 1048576 then
                value := to_jsonb(new.conversation_id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.conversation_id) = 0 then lost := lost || 'conversation_id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('conversation_id', value);

        value := null;
        begin
            if coalesce(pg_column_size(new."position"), 0) <= 1048576 then
                value := to_jsonb(new."position");
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new."position") = 0 then lost := lost || 'position'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('position', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.speaker_id), 0) <= 1048576 then
                value := to_jsonb(new.speaker_id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.speaker_id) = 0 then lost := lost || 'speaker_id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('speaker_id', value);

        value := null;
        begin
            if coalesce(octet_length(new.speaker_name), 0) <= 1048576 then
                value := to_jsonb(new.speaker_name);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.speaker_name) = 0 then lost := lost || 'speaker_name'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('speaker_name', value);

        value := null;
        begin
            if coalesce(octet_length(new.text), 0) <= 1048576 then
                value := to_jsonb(new.text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.text) = 0 then lost := lost || 'text'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('text', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.said_at), 0) <= 1048576 then
                value := to_jsonb(new.said_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.said_at) = 0 then lost := lost || 'said_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('said_at', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.answers), 0) <= 1048576 then
                value := to_jsonb(new.answers);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.answers) = 0 then lost := lost || 'answers'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('answers', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.final), 0) <= 1048576 then
                value := to_jsonb(new.final);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.final) = 0 then lost := lost || 'final'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('final', value);

        value := null;
        begin
            if coalesce(octet_length(new.outcome), 0) <= 1048576 then
                value := to_jsonb(new.outcome);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.outcome) = 0 then lost := lost || 'outcome'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('outcome', value);

        after := rowcast.fit_payload(after, lost);
    end if;

    
    if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure('chat.utterance_events(text,jsonb,jsonb)')) is not true then
        raise exception 'the map % is gone, or belongs to a role that may not act as %', 'chat.utterance_events(text,jsonb,jsonb)', quote_ident(current_user)
            using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
    end if;
    select m.type::text as type, m.level::text as level, m.payload as payload from chat.utterance_events(op, before, after) m into told;
    if told.type is null or told.payload is null then return null; end if;
    if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
    return array[told.type, told.payload::text];
end
$$;

--
-- Name: FUNCTION rowcast_row_utterances(new record); Type: COMMENT; Schema: chat; Owner: -
--

COMMENT ON FUNCTION chat.rowcast_row_utterances(new record) IS 'Made by rowcast.publish; goes with rowcast.unpublish.';

--
-- Name: rowcast_rows_conversations(regclass, refcursor, text, integer); Type: FUNCTION; Schema: chat; Owner: -
--

CREATE FUNCTION chat.rowcast_rows_conversations(source regclass, opened refcursor, owned_by text, many integer) RETURNS TABLE(subject text, owner text, type text, payload text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET cursor_tuple_fraction TO '1'
    SET row_security TO 'off'
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET "IntervalStyle" TO 'iso_8601'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET array_nulls TO 'on'
    AS $_$
-- Written by rowcast.publish, form 3. Change it by publishing again.
declare
    place refcursor := opened;
begin
    if many is null then
        if not exists (select from pg_trigger t join pg_proc p on p.oid = t.tgfoid
                        where t.tgrelid = source and t.tgname = 'rowcast_publish_write' and p.proname = 'rowcast_publish_conversations'
                          and pg_has_role(current_user, p.proowner, 'usage')) then
            raise exception '% is not published by this function', source using errcode = 'wrong_object_type';
        end if;
        open place no scroll for execute 'select case when octet_length(q.subject) between 1 and 1024 then q.subject else ''sha256:'' || encode(sha256(convert_to(q.subject, getdatabaseencoding())), ''hex'') end, q.owner, q.rendered[1], q.rendered[2] from (select t.id::text as subject, case when octet_length(t.owner::text) between 1 and 256 then t.owner::text else ''rowcast:nobody'' end as owner, chat.rowcast_row_conversations(t) as rendered from only ' || source || ' as t where $1 is null or t.owner::text = $1 offset 0) as q where q.rendered is not null' using owned_by;
    end if;
    for i in 1 .. coalesce(many, 0) loop
        fetch place into subject, owner, type, payload;
        exit when not found;
        return next;
    end loop;
end
$_$;

--
-- Name: FUNCTION rowcast_rows_conversations(source regclass, opened refcursor, owned_by text, many integer); Type: COMMENT; Schema: chat; Owner: -
--

COMMENT ON FUNCTION chat.rowcast_rows_conversations(source regclass, opened refcursor, owned_by text, many integer) IS 'Made by rowcast.publish; goes with rowcast.unpublish.';

--
-- Name: rowcast_rows_utterances(regclass, refcursor, text, integer); Type: FUNCTION; Schema: chat; Owner: -
--

CREATE FUNCTION chat.rowcast_rows_utterances(source regclass, opened refcursor, owned_by text, many integer) RETURNS TABLE(subject text, owner text, type text, payload text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET cursor_tuple_fraction TO '1'
    SET row_security TO 'off'
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET "IntervalStyle" TO 'iso_8601'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET array_nulls TO 'on'
    AS $_$
-- Written by rowcast.publish, form 3. Change it by publishing again.
declare
    place refcursor := opened;
begin
    if many is null then
        if not exists (select from pg_trigger t join pg_proc p on p.oid = t.tgfoid
                        where t.tgrelid = source and t.tgname = 'rowcast_publish_write' and p.proname = 'rowcast_publish_utterances'
                          and pg_has_role(current_user, p.proowner, 'usage')) then
            raise exception '% is not published by this function', source using errcode = 'wrong_object_type';
        end if;
        open place no scroll for execute 'select case when octet_length(q.subject) between 1 and 1024 then q.subject else ''sha256:'' || encode(sha256(convert_to(q.subject, getdatabaseencoding())), ''hex'') end, q.owner, q.rendered[1], q.rendered[2] from (select t.conversation_id::text as subject, case when octet_length(t.owner::text) between 1 and 256 then t.owner::text else ''rowcast:nobody'' end as owner, chat.rowcast_row_utterances(t) as rendered from only ' || source || ' as t where $1 is null or t.owner::text = $1 offset 0) as q where q.rendered is not null' using owned_by;
    end if;
    for i in 1 .. coalesce(many, 0) loop
        fetch place into subject, owner, type, payload;
        exit when not found;
        return next;
    end loop;
end
$_$;

--
-- Name: FUNCTION rowcast_rows_utterances(source regclass, opened refcursor, owned_by text, many integer); Type: COMMENT; Schema: chat; Owner: -
--

COMMENT ON FUNCTION chat.rowcast_rows_utterances(source regclass, opened refcursor, owned_by text, many integer) IS 'Made by rowcast.publish; goes with rowcast.unpublish.';

--
-- Name: set_owner(); Type: FUNCTION; Schema: chat; Owner: -
--

CREATE FUNCTION chat.set_owner() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if tg_table_name = 'conversations' then
        new.owner := (select s.subject from chat.speakers s where s.id = new.speaker_id);
    else
        new.owner := (select c.owner from chat.conversations c where c.id = new.conversation_id);
        new.speaker_name := (select s.name from chat.speakers s where s.id = new.speaker_id);
    end if;
    return new;
end
$$;

--
-- Name: FUNCTION set_owner(); Type: COMMENT; Schema: chat; Owner: -
--

COMMENT ON FUNCTION chat.set_owner() IS 'Whose row this is: the subject of the user whose conversation it belongs to.';

--
-- Name: utterance_events(text, jsonb, jsonb); Type: FUNCTION; Schema: chat; Owner: -
--

CREATE FUNCTION chat.utterance_events(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    told jsonb := coalesce(new, old);
begin
    type := 'chat.utterance.' || case op when 'insert' then 'added' when 'update' then 'changed' else 'removed' end;
    select jsonb_strip_nulls(told - 'speaker_id' - 'speaker_name' || jsonb_build_object(
               'said_at', chat.instant(told ->> 'said_at'), 'speaker', s.kind, 'name', told ->> 'speaker_name'))
      into payload
      from chat.speakers s where s.id = (told ->> 'speaker_id')::uuid;
end
$$;

--
-- Name: FUNCTION utterance_events(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb); Type: COMMENT; Schema: chat; Owner: -
--

COMMENT ON FUNCTION chat.utterance_events(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb) IS 'The events of chat.utterances: added.';

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
-- Name: append_once(text, text, text[], text[], text[], boolean[], text[], uuid[], text[], text[]); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.append_once(key_scope text, request_key text, types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[]) RETURNS TABLE(seq bigint, id uuid, repeated boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

--
-- Name: FUNCTION append_once(key_scope text, request_key text, types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[]); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.append_once(key_scope text, request_key text, types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[]) IS 'append_batch under one key for all of its events: the same request again gets the first answer and inserts nothing.';

--
-- Name: append_rows(text, text[], text[], text[], boolean[], text[], uuid[], text[], text[], text[]); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.append_rows(key_scope text, types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[], dedupe_keys text[]) RETURNS TABLE(seq bigint, id uuid, repeated boolean)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
-- Name: check_event(text, text, text, text, text, jsonb, timestamp with time zone); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.check_event(type text, level text, symbol text, subject text, owner text, payload jsonb, at timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $_$
declare
    -- One expression, which is quicker than eight branches. A null passes every rule: which columns may be null is said by the
    -- table. Each message begins with its column.
    broken constant pg_catalog.text := case
        when pg_catalog.octet_length(type) operator(pg_catalog.>) 128
             or type operator(pg_catalog.!~) '^[a-z0-9_]+([.][a-z0-9_]+)*$'
            then 'type must be dotted lower-case words of at most 128 bytes'
        when level operator(pg_catalog.<>) all ('{debug,info,warn,error,critical}'::pg_catalog.text[])
            then 'level must be debug, info, warn, error or critical'
        when pg_catalog.octet_length(symbol) operator(pg_catalog.<) 1 or pg_catalog.octet_length(symbol) operator(pg_catalog.>) 64
            then 'symbol must be 1 to 64 bytes'
        when pg_catalog.octet_length(subject) operator(pg_catalog.<) 1 or pg_catalog.octet_length(subject) operator(pg_catalog.>) 1024
            then 'subject must be 1 to 1024 bytes'
        when pg_catalog.octet_length(owner) operator(pg_catalog.<) 1 or pg_catalog.octet_length(owner) operator(pg_catalog.>) 256
            then 'owner must be 1 to 256 bytes'
        when pg_catalog.jsonb_typeof(payload) operator(pg_catalog.<>) 'object' then 'payload must be a JSON object'
        when pg_catalog.octet_length(payload::pg_catalog.text) operator(pg_catalog.>) 262144
            then 'payload must be at most 262144 bytes (256 KiB)'
        when at operator(pg_catalog.<) '0001-01-01 00:00:00+00'::pg_catalog.timestamptz
             or at operator(pg_catalog.>=) '10000-01-01 00:00:00+00'::pg_catalog.timestamptz
            then 'at must lie in the years 1 to 9999, in UTC'
    end;
begin
    if broken is null then
        return true;
    end if;
    -- Not the row itself: what was refused may be a secret, and this text goes to the log.
    raise exception '%', broken
        using errcode = 'check_violation', schema = 'rowcast', table = 'events', column = pg_catalog.split_part(broken, ' ', 1),
              constraint = broken;
end
$_$;

--
-- Name: FUNCTION check_event(type text, level text, symbol text, subject text, owner text, payload jsonb, at timestamp with time zone); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.check_event(type text, level text, symbol text, subject text, owner text, payload jsonb, at timestamp with time zone) IS 'The rules of an event''s values: true, or an error that names the column and the limit.';

--
-- Name: ensure_partitions(); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.ensure_partitions() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '10s'
    AS $$
declare
    size    bigint;
    wanted  integer;
    used    bigint;
    upper   bigint;
    ahead   integer;
    made    integer := 0;
    name    text;
    holders text;
begin
    -- One maker at a time; the others then find nothing to do.
    lock table rowcast.journal_state in share update exclusive mode;
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
exception when lock_not_available then
    select string_agg(coalesce(format('pid %s', l.pid), 'a prepared transaction')
                      || coalesce(format(' (%s)', nullif(a.application_name, '')), ''), ', ' order by l.pid)
      into holders
      from (select distinct k.pid from pg_locks k
             where k.locktype = 'relation' and k.granted and k.pid is distinct from pg_backend_pid()
               and k.database = (select oid from pg_database where datname = current_database())
               and k.relation in ('rowcast.journal_state'::regclass, 'rowcast.events'::regclass)
               and k.mode in ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                              'AccessExclusiveLock')) l
      left join pg_stat_activity a on a.pid = l.pid;
    raise exception 'partitions ahead could not be made within 10 seconds: rowcast.journal_state or rowcast.events is locked by %',
                    coalesce(holders, 'somebody who is gone by now')
        using errcode = 'lock_not_available', hint = 'Only sessions with the rights of the owner can do that.';
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
-- Name: find_map(text, oid); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.find_map(map text, table_owner oid) RETURNS regprocedure
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
    form   constant text := 'create function … (op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)';
    mapper regprocedure;
    found_map record;
begin
    mapper := coalesce(case when map ~ '[)] *$' then to_regprocedure(map) end, to_regprocedure(map || '(text,jsonb,jsonb)'));
    if mapper is null then
        raise exception 'there is no function %(text, jsonb, jsonb)', map
            using errcode = 'undefined_function', hint = 'Write its schema: map => ''shop.order_events''';
    elsif not has_function_privilege(table_owner, mapper, 'execute') then
        raise exception 'the owner of the table, %, may not execute %', table_owner::regrole, mapper
            using errcode = 'insufficient_privilege', hint = format('grant execute on function %s to %s;', mapper, table_owner::regrole);
    end if;
    select p.proowner, p.prokind, p.proretset, p.proisstrict, oidvectortypes(p.proargtypes) as takes, n.nspname
      into strict found_map
      from pg_proc p join pg_namespace n on n.oid = p.pronamespace where p.oid = mapper;
    if starts_with(found_map.nspname, 'pg_temp_') then
        raise exception '% is temporary, and would be gone with this session', mapper using errcode = 'wrong_object_type';
    elsif found_map.prokind <> 'f' or found_map.takes <> 'text, jsonb, jsonb' then
        raise exception '% must be a function of (text, jsonb, jsonb)', mapper using errcode = 'datatype_mismatch', hint = form;
    elsif found_map.proretset then
        raise exception '% returns a set, and a change is one event or none', mapper
            using errcode = 'invalid_parameter_value', hint = form;
    elsif found_map.proisstrict then
        raise exception '% is STRICT, and would not be asked about inserts and deletes: old or new is null then', mapper
            using errcode = 'invalid_parameter_value', hint = format('alter function %s called on null input;', mapper);
    elsif rowcast.map_types(mapper) is null then
        raise exception '% must return type, level and payload: two texts and a jsonb', mapper
            using errcode = 'datatype_mismatch', hint = form;
    elsif not pg_has_role(found_map.proowner, table_owner, 'member') then
        raise exception '% belongs to %, and would run with the rights of the owner of the table, %',
                        mapper, found_map.proowner::regrole, table_owner::regrole
            using errcode = 'insufficient_privilege',
                  hint = format('Read it first. Then: alter function %s owner to %s;', mapper, table_owner::regrole);
    end if;
    return mapper;
end
$_$;

--
-- Name: FUNCTION find_map(map text, table_owner oid); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.find_map(map text, table_owner oid) IS 'The map of that name, if the catalog says that it fits and that its owner may act as the owner of the table.';

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
-- Name: hold_writer_lock(); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.hold_writer_lock() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
begin
    lock table only rowcast_private.writer_lock in row share mode;
    return null;
end
$$;

--
-- Name: FUNCTION hold_writer_lock(); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.hold_writer_lock() IS 'Locks rowcast_private.writer_lock, which tells the fence who may own an undecided seq.';

--
-- Name: is_row_key(regclass, text[]); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.is_row_key(of regclass, names text[]) RETURNS boolean
    LANGUAGE sql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    select exists (
        select from pg_index i
         where i.indrelid = $1 and i.indisunique and i.indimmediate and i.indisvalid
           and i.indpred is null and i.indexprs is null
           and not exists (
               select from unnest(i.indkey::int2[]) with ordinality as k (attnum, position)
                 join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                where k.position <= i.indnkeyatts and (a.attname <> all (names) or not a.attnotnull)))
$_$;

--
-- Name: FUNCTION is_row_key(of regclass, names text[]); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.is_row_key(of regclass, names text[]) IS 'Whether these columns name one row: they hold all columns of a unique index without nulls that is checked at once.';

--
-- Name: json_expression(oid, text); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.json_expression(type oid, ref text) RETURNS text
    LANGUAGE plpgsql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
    base   pg_type;
    item   pg_type;
    fields text;
    elements text := ref;
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
        select * into strict item from pg_type t where t.oid = rowcast.base_type(base.typelem);
        if base.typelem >= 16384 and item.oid < 16384 and item.typcategory <> 'A' and item.typtype <> 'c' and item.typarray <> 0 then
            elements := format('case when num_nulls(%1$s) = 0 then format(''%%s'', %1$s)::pg_catalog.%2$I end', ref,
                               (select t.typname from pg_type t where t.oid = item.typarray));
        end if;
        if item.typdelim = ',' and (item.oid >= 16384 or item.oid in ('int8'::regtype, 'numeric'::regtype)) then
            return format('to_jsonb(case when num_nulls(%1$s) = 0 then format(''%%s'', %1$s)::text[] end)', ref);
        elsif item.oid = 'money'::regtype then
            return format('to_jsonb((%s)::numeric[]::text[])', elements);
        elsif elements <> ref then
            return format('to_jsonb(%s)', elements);
        end if;
    elsif base.oid in ('int8'::regtype, 'numeric'::regtype) then
        return format('to_jsonb(%s::text)', ref);
    elsif base.oid = 'money'::regtype then
        return format('to_jsonb(%s::numeric::text)', ref);
    elsif base.oid = 'json'::regtype then
        return format('rowcast.json_or_text(%s)', ref);
    end if;
    if base.oid >= 16384 or base.typcategory = 'A' and base.typelem >= 16384 then
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
-- Name: json_text(oid, text); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.json_text(type oid, ref text) RETURNS text
    LANGUAGE sql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select case
        when b.oid in ('bool'::regtype, 'int2'::regtype, 'int4'::regtype) then format('coalesce(%s::text, ''null'')', ref)
        when b.oid in ('int8'::regtype, 'numeric'::regtype, 'uuid'::regtype) then format('coalesce(''"'' || %s::text || ''"'', ''null'')', ref)
        when b.oid in ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)
            then format('coalesce(to_json(%s)::text, ''null'')', ref)
        else format('coalesce((%s)::text, ''null'')', rowcast.json_expression(type, ref))
    end
      from (select rowcast.base_type(type)) as b (oid)
$$;

--
-- Name: FUNCTION json_text(type oid, ref text); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.json_text(type oid, ref text) IS 'The SQL expression that shows a value by the text of its json_expression.';

--
-- Name: json_type(oid); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.json_type(type oid) RETURNS text
    LANGUAGE plpgsql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    base pg_type;
    item pg_type;
begin
    select * into strict base from pg_type t where t.oid = rowcast.base_type(type);
    if base.typtype = 'c' then
        return 'object';
    elsif base.typcategory = 'A' and base.typelem <> 0 then
        select * into strict item from pg_type t where t.oid = rowcast.base_type(base.typelem);
        return case when base.oid < 16384 and base.typelem < 16384
                      or item.typdelim = ',' and (item.oid >= 16384 or item.oid in ('int8'::regtype, 'numeric'::regtype))
                      or item.oid = 'money'::regtype
                      or base.typelem >= 16384 and item.oid < 16384 and item.typcategory <> 'A' and item.typarray <> 0
                    then 'array' else 'string' end;
    end if;
    return case when base.oid = 'bool'::regtype then 'boolean'
                when base.oid in ('int2'::regtype, 'int4'::regtype, 'float4'::regtype, 'float8'::regtype, 'oid'::regtype) then 'number'
                when base.oid in ('json'::regtype, 'jsonb'::regtype) then 'any'
                else 'string' end;
end
$$;

--
-- Name: FUNCTION json_type(type oid); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.json_type(type oid) IS 'What JSON a value of this type becomes: string, number, boolean, array, object, or any for json itself.';

--
-- Name: keep_for_owner(text, oid); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.keep_for_owner(signature text, table_owner oid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    grantee oid;
begin
    execute format('comment on function %s is %L', signature, 'Made by rowcast.publish; goes with rowcast.unpublish.');
    execute format('alter function %s owner to %s', signature, table_owner::regrole);
    execute format('revoke all on function %s from public', signature);
    for grantee in
        select distinct acl.grantee from pg_proc p cross join lateral aclexplode(p.proacl) acl
         where p.oid = to_regprocedure(signature) and acl.grantee not in (0, table_owner)
    loop
        execute format('revoke all on function %s from %s', signature, grantee::regrole);
    end loop;
end
$$;

--
-- Name: FUNCTION keep_for_owner(signature text, table_owner oid); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.keep_for_owner(signature text, table_owner oid) IS 'Gives a function that publish has made to the owner of the table, and to nobody else.';

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
-- Name: map_types(oid); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.map_types(map oid) RETURNS oid[]
    LANGUAGE sql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    with returned as (
        select a.name, a.type
          from pg_proc p
         cross join lateral unnest(p.proallargtypes, p.proargmodes, p.proargnames) as a (type, mode, name)
         where p.oid = map and p.prorettype = 'record'::regtype and a.mode in ('o', 'b', 't')
        union all
        select a.attname, a.atttypid
          from pg_proc p
          join pg_type t on t.oid = rowcast.base_type(p.prorettype)
          join pg_attribute a on a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
         where p.oid = map and t.typtype = 'c')
    select array_agg(r.type order by w.position)
      from (values (1, 'type'), (2, 'level'), (3, 'payload')) as w (position, name)
      join returned r on r.name = w.name
      join pg_type t on t.oid = rowcast.base_type(r.type)
     where case when w.name = 'payload' then t.oid in ('jsonb'::regtype, 'json'::regtype)
                else t.typtype = 'e' or t.oid in ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'name'::regtype) end
    having count(*) = 3
$$;

--
-- Name: FUNCTION map_types(map oid); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.map_types(map oid) IS 'The types of the columns type, level and payload that a map returns, or null if it does not return these three.';

--
-- Name: name_expression(oid, text); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.name_expression(type oid, ref text) RETURNS text
    LANGUAGE sql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select case when rowcast.base_type(type) = 'bpchar'::regtype then format('rtrim(%s, '' '')', rowcast.text_expression(type, ref))
                else rowcast.text_expression(type, ref) end
$$;

--
-- Name: FUNCTION name_expression(type oid, ref text); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.name_expression(type oid, ref text) IS 'The SQL expression that shows a value as an owner or a symbol: its text, without the padding of char(n).';

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
-- Name: object_text(text[], oid[], text); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.object_text(names text[], types oid[], ref text) RETURNS text
    LANGUAGE plpgsql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    parts text := '';
    opens text := '{';
    ends  text;
    field record;
begin
    for field in
        select to_json(f.name)::text || ': ' as key, rowcast.json_text(f.type, format('%s.%I', ref, f.name)) as value,
               row_number() over w as position, count(*) over () = row_number() over w as is_last
          from unnest(names, types) as f (name, type)
        window w as (order by octet_length(f.name), f.name collate "C")
    loop
        ends := case when field.is_last then ', ''}'')' when field.position % 40 = 0 then ') || ' else '' end;
        parts := parts || case when field.position % 40 = 1 then 'concat(' else ', ' end
                       || format('%L, %s', opens || field.key, field.value) || ends;
        opens := ', ';
    end loop;
    return parts;
end
$$;

--
-- Name: FUNCTION object_text(names text[], types oid[], ref text); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.object_text(names text[], types oid[], ref text) IS 'The SQL expression that shows some columns of a row by the text of their jsonb object.';

--
-- Name: owner_expression(regclass, text, text); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.owner_expression(of regclass, owner_column text, ref text) RETURNS text
    LANGUAGE sql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    select format('case when octet_length(%1$s) between 1 and 256 then %1$s else ''rowcast:nobody'' end',
                  rowcast.name_expression(a.atttypid, format('%s.%I', ref, a.attname)))
      from pg_attribute a where a.attrelid = $1 and a.attname = owner_column
$_$;

--
-- Name: FUNCTION owner_expression(of regclass, owner_column text, ref text); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.owner_expression(of regclass, owner_column text, ref text) IS 'The SQL expression that shows whose row it is.';

--
-- Name: primary_key(regclass); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.primary_key(of regclass) RETURNS text[]
    LANGUAGE sql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    select array(select a.attname::text
                   from pg_index i
                  cross join lateral unnest(i.indkey::int2[]) with ordinality as k (attnum, position)
                   join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                  where i.indrelid = $1 and i.indisprimary and k.position <= i.indnkeyatts
                  order by k.position)
$_$;

--
-- Name: FUNCTION primary_key(of regclass); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.primary_key(of regclass) IS 'The columns of the primary key, in order.';

--
-- Name: publish(regclass, text[], text, boolean, text, text, text, text, text, boolean, text[], text[]); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.publish(table_name regclass, columns text[] DEFAULT NULL::text[], owner_column text DEFAULT NULL::text, public_safe boolean DEFAULT false, type_prefix text DEFAULT NULL::text, subject_column text DEFAULT NULL::text, symbol_column text DEFAULT NULL::text, trade_id_column text DEFAULT NULL::text, map text DEFAULT NULL::text, force boolean DEFAULT false, state_key text[] DEFAULT NULL::text[], removed_types text[] DEFAULT NULL::text[]) RETURNS text
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
    told        text;
    function_id text;
    other       text;
    settings    jsonb;
    body        text;
    emit        text[];
    pairs       text[];
    named_by    jsonb;
    removes     text[];
    row_keys    text[];
    pins        text;
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
    keys := rowcast.primary_key(table_name);
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
    -- What names a row in the table's state. A change of it, or of what decides it, is another row.
    row_keys := keys;
    if state_key is not null then
        if cardinality(state_key) not between 1 and 16 or array_position(state_key, null) is not null
           or (select count(distinct k) from unnest(state_key) k) < cardinality(state_key) then
            raise exception 'state_key must name 1 to 16 fields, none twice and no null' using errcode = 'invalid_parameter_value';
        end if;
        row_keys := row_keys || rowcast.primary_key(table_name);
        if map is null then
            select string_agg(quote_ident(k), ', ') into missing from unnest(state_key) k where k <> all (names);
            if missing is not null then
                raise exception 'state_key names what is not among the columns: %', missing using errcode = 'invalid_parameter_value';
            end if;
            row_keys := row_keys || state_key;
        end if;
    end if;
    watched := array(select distinct w from unnest(names || row_keys || owner_column || symbol_column || trade_id_column) w
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
    if prefix !~ '^[a-z0-9_]+([.][a-z0-9_]+)*$' then
        raise exception 'type_prefix must be dotted lower-case words: %', prefix using errcode = 'invalid_parameter_value';
    elsif octet_length(prefix) > 118 then
        -- 128 bytes, less the longest of the words that follow it: ".truncated"
        raise exception 'the types of events would be longer than 128 bytes: %.truncated', prefix
            using errcode = 'invalid_parameter_value', hint = 'Give a shorter one: type_prefix => ''shop.orders''';
    end if;
    select string_agg(p.table_name::text, ', ') into other from rowcast.published p
     where p.type_prefix = prefix and p.table_name <> publish.table_name;
    if other is not null then
        raise exception 'the events of % have the types %.* already', other, prefix
            using errcode = 'invalid_parameter_value', hint = 'Say what else to call these: type_prefix => ''…''';
    end if;

    -- The state ---------------------------------------------------------------------------------------------------
    -- A name that two rows may exchange within one transaction (a deferrable key) names no row: the events of the one
    -- would remove the other.
    if state_key is not null then
        named_by := case when map is not null or rowcast.is_row_key(table_name, state_key) then to_jsonb(state_key) end;
        if named_by is null then
            raise exception 'state_key does not name a row of %', table_name using errcode = 'invalid_parameter_value',
                hint = 'Name the columns of the primary key, or of a unique index without nulls that is not deferrable.';
        end if;
    elsif map is null and rowcast.is_row_key(table_name, keys) then
        named_by := '"subject"';
    end if;
    if removed_types is not null and (map is null or state_key is null) then
        raise exception 'removed_types is for a table with a map and a state_key' using errcode = 'invalid_parameter_value';
    elsif cardinality(removed_types) not between 1 and 16
          or exists (select from unnest(removed_types) r
                      where (starts_with(r, prefix || '.') and substr(r, length(prefix) + 2) ~ '^[a-z0-9_]+$') is not true) then
        raise exception 'removed_types must be 1 to 16 types of one word behind the prefix, as %.removed', prefix
            using errcode = 'invalid_parameter_value';
    end if;
    removes := coalesce(removed_types, case when map is null then array[prefix || '.deleted']
                                            else array[prefix || '.deleted', prefix || '.removed'] end);

    -- The mapping function --------------------------------------------------------------------------------------
    if map is not null then
        mapper := rowcast.find_map(map, rel.relowner);
        -- As events need them, by built-in code: a cast that the owner of a type has made is never called.
        select format('%s as type, %s as level, %s as payload from %I.%I(op, before, after) m',
                      rowcast.text_expression(f.types[1], 'm.type'), rowcast.text_expression(f.types[2], 'm.level'),
                      case when rowcast.base_type(f.types[3]) = 'jsonb'::regtype then 'm.payload' else 'm.payload::jsonb' end,
                      n.nspname, p.proname)
          into strict told
          from pg_proc p
          join pg_namespace n on n.oid = p.pronamespace
         cross join lateral (select rowcast.map_types(p.oid)) as f (types)
         where p.oid = mapper;
    end if;

    -- The trigger function ----------------------------------------------------------------------------------------
    for i in 1 .. 2 loop
        kind := (array['old', 'new'])[i];
        pairs[i] := format('(%s)', (select string_agg(format('%s.%I', kind, w), ', ')
                                      from (select distinct w from unnest(row_keys || owner_column) w where w is not null) w));
        emit[i] := format('subject := %s;', rowcast.subject_expression(table_name, keys, kind))
            || $$
        if octet_length(subject) not between 1 and 1024 then
            subject := 'sha256:' || encode(sha256(convert_to(subject, getdatabaseencoding())), 'hex');
        end if;$$;
        if mapper is not null then
            emit[i] := emit[i] || format($template$
        if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure(%L)) is not true then
            raise exception 'the map of %% is gone, or belongs to a role that may not act as %%: %%',
                            tg_relid::regclass, quote_ident(current_user), %L
                using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
        end if;
        select %s into told;
        if told.type is not null and told.payload is not null then
            if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;%s
            insert into rowcast.events (type, level, payload, public_safe, symbol, trade_id, subject, owner)
            values (told.type, coalesce(told.level, 'info'), told.payload, $template$, mapper, mapper, told,
            case when state_key is not null then format($template$
            if (starts_with(told.type, %L) and substr(told.type, %s) ~ '^[a-z0-9_]+$' and told.payload ?& %L::text[]
                and (told.type = any (%L::text[])) = (op = 'delete')) is not true then
                raise exception 'the map of %% breaks the promise of state_key: it made an event of type %% of the operation %%',
                                tg_relid::regclass, told.type, op
                    using errcode = 'data_exception', detail = %L;
            end if;$template$, prefix || '.', length(prefix) + 2, state_key, removes,
            format('The type of each event is one word behind %s.; those that remove a row, and no others, are %s; the payload holds %s.',
                   prefix, array_to_string(removes, ', '), array_to_string(state_key, ', '))) end);
        else
            emit[i] := emit[i] || format($template$
            insert into rowcast.events (type, payload, public_safe, symbol, trade_id, subject, owner)
            values (%L || word, %s, $template$, prefix || '.', (array['before', 'after'])[i]);
        end if;
        emit[i] := emit[i] || format('%L, %s, %s, subject, %s);', public_safe is true,
            coalesce((select format('case when octet_length(%1$s) between 1 and 64 then %1$s end', rowcast.name_expression(a.atttypid, format('%s.%I', kind, a.attname)))
                        from pg_attribute a where a.attrelid = table_name and a.attname = symbol_column), 'null'),
            case when trade_id_column is null then 'null' else format('%s.%I', kind, trade_id_column) end,
            -- Nobody's row is not everybody's row.
            coalesce(rowcast.owner_expression(table_name, owner_column, kind), 'null'));
        if mapper is not null then
            emit[i] := emit[i] || $$
        end if;$$;
        end if;
    end loop;
    -- A changed key, or a changed owner, is another row: gone for those who knew the one, new to those who may know the other.
    body := format($template$
-- Written by rowcast.publish, form 3. Change it by publishing again.
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
    if op = 'truncate' and tg_when = 'BEFORE' then
        %11$s
        return null;
    elsif op = 'truncate' then
        insert into rowcast.events (type, public_safe) values (%1$L, %2$L);
        return null;
    end if;
    if op = 'update' then
        moved := record_image_ne(row%3$s, row%4$s);
    end if;
    if op = 'delete' or moved or (op = 'update' and %5$L) then
        %6$s
    end if;
    if op <> 'delete' and not (moved and %5$L) then
        %7$s
    end if;
    if op = 'delete' or moved then
        op := 'delete';
        word := 'deleted';
        %8$s
    end if;
    if tg_op <> 'DELETE' then
        if moved then
            op := 'insert';
            %9$s
        end if;
        word := case when op = 'insert' then 'inserted' else 'updated' end;
        %10$s
    end if;
    return null;
end
$template$,
        prefix || '.truncated', public_safe is true, pairs[1], pairs[2], mapper is not null,
        rowcast.render_statements('old', 'before', names, types),
        rowcast.render_statements('new', 'after', names, types),
        emit[1],
        case when mapper is not null then 'before := null;' || rowcast.render_statements('new', 'after', names, types) else '' end,
        emit[2],
        -- Whoever sees rows of his own alone is told that they are gone; the event for all others has no owner.
        case when owner_column is null then '' else format('execute %L || tg_relid::regclass || %L;',
            format('insert into rowcast.events (type, owner) select distinct %L, %s from %s', prefix || '.truncated',
                   rowcast.owner_expression(table_name, owner_column, 't'), case when rel.relkind = 'p' then '' else 'only ' end),
            ' as t') end);

    perform rowcast.unpublish(table_name);
    for i in 0 .. 1000 loop
        function_id := left('rowcast_publish_' || rel.relname, 63)::name;
        if i > 0 then
            function_id := (left(function_id, 40)::name)::text || '_' || i;
        end if;
        exit when not exists (select from pg_proc p where p.pronamespace = rel.relnamespace and p.proname = function_id);
    end loop;
    function_id := format('%I.%I', schema_name, function_id);
    -- Each of these costs a little at every call, and few types care for them.
    pins := 'set search_path = pg_catalog, pg_temp set quote_all_identifiers = off' || case when exists (
                select from pg_attribute a
                 where a.attrelid = table_name and a.attname = any (watched)
                   and rowcast.base_type(a.atttypid) <> all (array['bool', 'int2', 'int4', 'int8', 'numeric', 'text',
                       'varchar', 'bpchar', 'uuid', 'json', 'jsonb']::regtype[]))
            then $$ set timezone = 'UTC' set datestyle = 'ISO, YMD' set intervalstyle = 'iso_8601'
                    set bytea_output = 'hex' set extra_float_digits = 1 set array_nulls = on$$ else '' end;
    execute format('create function %s() returns trigger language plpgsql security definer %s as %L', function_id, pins, body);
    perform rowcast.keep_for_owner(function_id || '()', rel.relowner);
    if named_by is not null then
        perform rowcast.publish_readers(table_name, function_id, pins, names, types, keys, owner_column, mapper, told);
    end if;

    settings := jsonb_build_object('columns', names, 'type_prefix', prefix, 'subject_column', subject_column,
        'owner_column', owner_column, 'symbol_column', symbol_column, 'trade_id_column', trade_id_column,
        'map', mapper, 'public_safe', public_safe is true, 'state_key', named_by, 'removed_types', removes, 'keys', keys)
        || case when force then '{"force": true}'::jsonb else '{}'::jsonb end;
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
    if owner_column is not null then
        execute format('create trigger rowcast_publish_owners before truncate on %s
                        for each statement execute function %s()', table_name, function_id);
        execute format('alter table %s enable always trigger rowcast_publish_owners', table_name);
    end if;
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
-- Name: FUNCTION publish(table_name regclass, columns text[], owner_column text, public_safe boolean, type_prefix text, subject_column text, symbol_column text, trade_id_column text, map text, force boolean, state_key text[], removed_types text[]); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.publish(table_name regclass, columns text[], owner_column text, public_safe boolean, type_prefix text, subject_column text, symbol_column text, trade_id_column text, map text, force boolean, state_key text[], removed_types text[]) IS 'Streams a table: its inserts, updates and deletes become events at commit. Returns the prefix of their types.';

--
-- Name: publish_readers(regclass, text, text, text[], oid[], text[], text, regprocedure, text); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.publish_readers(table_name regclass, trigger_id text, pins text, names text[], types oid[], keys text[], owner_column text, mapper regprocedure, told text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
    rel      pg_class;
    row_id   text := regexp_replace(trigger_id, 'rowcast_publish_', 'rowcast_row_');
    rows_id  text := regexp_replace(trigger_id, 'rowcast_publish_', 'rowcast_rows_');
    ref      text := 't';
    subject  text;
    mine     text;
    whole    text;
    sizes    text := '';
    rendered text;
    query    text[];
    base     pg_type;
begin
    select * into strict rel from pg_class c where c.oid = table_name;
    -- Where a column has the name of the table, the name alone means the column and not the row.
    while exists (select from pg_attribute a where a.attrelid = table_name and a.attname = ref) loop
        ref := ref || '_';
    end loop;
    subject := rowcast.subject_expression(table_name, keys, ref);
    whole := rowcast.object_text(names, types, ref);
    -- One row, by the statements of the triggers.
    execute format('create function %s(new record) returns text[] language plpgsql stable security definer %s as %L', row_id, pins,
                   format($template$
-- Written by rowcast.publish, form 3. Change it by publishing again.
#variable_conflict use_variable
declare
    op       text := 'insert';
    before   jsonb;
    after    jsonb;
    told     record;
    lost     text[];
    value    jsonb;
    large    boolean;
    room     bigint;
    tg_relid oid;
begin
    %s
    %s
end
$template$, rowcast.render_statements('new', 'after', names, types),
            case when mapper is null then 'return array[null, after::text];' else format($template$
    if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure(%L)) is not true then
        raise exception 'the map %% is gone, or belongs to a role that may not act as %%', %L, quote_ident(current_user)
            using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
    end if;
    select %s into told;
    if told.type is null or told.payload is null then return null; end if;
    if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
    return array[told.type, told.payload::text];$template$, mapper, mapper, told) end));
    perform rowcast.keep_for_owner(row_id || '(record)', rel.relowner);

    -- All rows. A row within the limits is rendered where it is read.
    for i in 1 .. cardinality(names) loop
        select * into strict base from pg_type t where t.oid = rowcast.base_type(types[i]);
        if base.typlen < 0 then
            sizes := sizes || format(' + coalesce(%s(%s.%I), 0)',
                                     case when base.oid in ('text'::regtype, 'varchar'::regtype, 'bytea'::regtype)
                                          then 'octet_length' else 'pg_column_size' end, ref, names[i]);
        end if;
    end loop;
    -- An array of json may hold what jsonb cannot: that makes its value null, as in the events, and must not end the reading.
    if exists (
        with recursive held as (
            select rowcast.base_type(u.type) as oid from unnest(types) as u (type)
            union
            select rowcast.base_type(a.atttypid)
              from held h
              join pg_type t on t.oid = h.oid and t.typtype = 'c'
              join pg_attribute a on a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
        )
        select from held h join pg_type t on t.oid = h.oid
         where t.typcategory = 'A' and t.typelem <> 0 and rowcast.base_type(t.typelem) = 'json'::regtype) then
        whole := format('(%s(%s))[2]', row_id, ref);
        sizes := '';
    end if;
    mine := coalesce((select rowcast.name_expression(a.atttypid, format('%s.%I', ref, a.attname))
                             -- The comparison is of bytes, as with the subject of a token.
                             || case when exists (select from pg_collation c where c.oid = a.attcollation and not c.collisdeterministic)
                                     then ' collate "C"' else '' end || ' = $1'
                        from pg_attribute a where a.attrelid = table_name and a.attname = owner_column), 'false');
    rendered := case when mapper is not null then format('%s(%s)', row_id, ref)
                     when sizes = '' then whole
                     else format('case when 0%s > 131072 then (%s(%s))[2] else %s end', sizes, row_id, ref, whole) end;
    query := array[
        format('select case when octet_length(q.subject) between 1 and 1024 then q.subject else ''sha256:'' || '
               'encode(sha256(convert_to(q.subject, getdatabaseencoding())), ''hex'') end, q.owner, %s '
               'from (select %s as subject, %s as owner, %s as rendered%s from %s',
               case when mapper is not null then 'q.rendered[1], q.rendered[2]'
                    when sizes = '' then 'null::text, q.rendered'
                    else format('null::text, case when octet_length(q.rendered) > 262144 then (%s(q.whole))[2] else q.rendered end', row_id) end,
               subject, coalesce(rowcast.owner_expression(table_name, owner_column, ref), 'null::text'), rendered,
               case when mapper is null and sizes <> '' then format(', %s as whole', ref) else '' end,
               case when rel.relkind = 'p' then '' else 'only ' end),
        format(' as %s where $1 is null or %s offset 0) as q', ref, mine)
        || case when mapper is not null then ' where q.rendered is not null' else '' end];
    execute format('create function %s(source regclass, opened refcursor, owned_by text, many integer)
                    returns table (subject text, owner text, type text, payload text)
                    language plpgsql stable security definer set cursor_tuple_fraction = 1 set row_security = off %s as %L', rows_id, pins,
                   format($template$
-- Written by rowcast.publish, form 3. Change it by publishing again.
declare
    place refcursor := opened;
begin
    if many is null then
        if not exists (select from pg_trigger t join pg_proc p on p.oid = t.tgfoid
                        where t.tgrelid = source and t.tgname = 'rowcast_publish_write' and p.proname = %L
                          and pg_has_role(current_user, p.proowner, 'usage')) then
            raise exception '%% is not published by this function', source using errcode = 'wrong_object_type';
        end if;
        open place no scroll for execute %L || source || %L using owned_by;
    end if;
    for i in 1 .. coalesce(many, 0) loop
        fetch place into subject, owner, type, payload;
        exit when not found;
        return next;
    end loop;
end
$template$, (parse_ident(trigger_id))[2], query[1], query[2]));
    perform rowcast.keep_for_owner(rows_id || '(regclass, refcursor, text, integer)', rel.relowner);
    execute format('grant execute on function %s(regclass, refcursor, text, integer) to rowcast_snapshots', rows_id);

    -- Many rows at once.
    execute format('create function %s(opened refcursor, many integer)
                    returns table (subject text, owner text, type text, payload text)
                    language plpgsql volatile security definer set row_security = off %s as %L', rows_id, pins, $template$
-- Written by rowcast.publish, form 3. Change it by publishing again.
begin
    return query execute format('fetch forward %s from %I', many, opened);
end
$template$);
    perform rowcast.keep_for_owner(rows_id || '(refcursor, integer)', rel.relowner);
    execute format('grant execute on function %s(refcursor, integer) to rowcast_snapshots', rows_id);
    if not has_schema_privilege('rowcast_snapshots', rel.relnamespace, 'usage') then
        if has_schema_privilege(rel.relnamespace, 'usage with grant option') then
            execute format('grant usage on schema %s to rowcast_snapshots', rel.relnamespace::regnamespace);
        else
            raise notice 'the server cannot read the rows of %', table_name
                using hint = format('grant usage on schema %s to rowcast_snapshots;', rel.relnamespace::regnamespace);
        end if;
    end if;
end
$_$;

--
-- Name: FUNCTION publish_readers(table_name regclass, trigger_id text, pins text, names text[], types oid[], keys text[], owner_column text, mapper regprocedure, told text); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.publish_readers(table_name regclass, trigger_id text, pins text, names text[], types oid[], keys text[], owner_column text, mapper regprocedure, told text) IS 'Makes the functions by which the server reads the rows of a published table. Called by rowcast.publish.';

--
-- Name: publish_settings(bytea); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.publish_settings(args bytea) RETURNS jsonb
    LANGUAGE plpgsql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
    settings jsonb;
begin
    settings := convert_from(substr(args, 1, length(args) - 1), getdatabaseencoding())::jsonb;
    return case when jsonb_typeof(settings) = 'object' and jsonb_typeof(settings -> 'columns') = 'array'
                 and not exists (
                     select from unnest(array['columns', 'keys', 'state_key', 'removed_types']) as l (list)
                      cross join lateral jsonb_array_elements(case when jsonb_typeof(settings -> l.list) = 'array' then settings -> l.list
                                                                   else '[]'::jsonb end) as e (item)
                      where jsonb_typeof(e.item) <> 'string')
                 and settings ->> 'type_prefix' ~ '^[a-z0-9_]+([.][a-z0-9_]+)*$' and octet_length(settings ->> 'type_prefix') <= 118
                then settings end;
exception
    when others then return null;
end
$_$;

--
-- Name: ring_bell(); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.ring_bell() RETURNS timestamp with time zone
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if pg_notification_queue_usage() < 0.5 then
        perform pg_notify('rowcast', pg_sequence_last_value('rowcast.events_seq_seq'::regclass)::text);
    end if;
    perform set_config('rowcast.bell', pg_current_xact_id()::text, true);
    return clock_timestamp();
end
$$;

--
-- Name: FUNCTION ring_bell(); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.ring_bell() IS 'NOTIFY rowcast with the newest seq, unless the queue is half full, and no further bell in this transaction; says what time it is.';

--
-- Name: hush_deadline; Type: SEQUENCE; Schema: rowcast; Owner: -
--

CREATE SEQUENCE rowcast.hush_deadline
    START WITH 0
    INCREMENT BY 1
    MINVALUE 0
    NO MAXVALUE
    CACHE 1;

--
-- Name: SEQUENCE hush_deadline; Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON SEQUENCE rowcast.hush_deadline IS 'Until when the bell is hushed: milliseconds since 1970 by the database''s clock.';

SET default_tablespace = '';

--
-- Name: events; Type: TABLE; Schema: rowcast; Owner: -
--

CREATE TABLE rowcast.events (
    seq bigint NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    at timestamp with time zone DEFAULT 
CASE
    WHEN ((date_part('epoch'::text, clock_timestamp()) * (1000)::double precision) < (pg_sequence_last_value('rowcast.hush_deadline'::regclass))::double precision) THEN clock_timestamp()
    WHEN (current_setting('rowcast.bell'::text, true) = ANY (ARRAY['off'::text, (pg_current_xact_id())::text])) THEN clock_timestamp()
    ELSE rowcast.ring_bell()
END NOT NULL,
    type text NOT NULL COLLATE pg_catalog."C",
    level text DEFAULT 'info'::text NOT NULL COLLATE pg_catalog."C",
    public_safe boolean DEFAULT false NOT NULL,
    symbol text COLLATE pg_catalog."C",
    trade_id uuid,
    subject text COLLATE pg_catalog."C",
    owner text COLLATE pg_catalog."C",
    payload jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT events_values_check CHECK (rowcast.check_event(type, level, symbol, subject, owner, payload, at))
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
$_$;

--
-- Name: FUNCTION query_events(cursor bigint, max_rows integer, types text[], min_level text, symbol text, trade_id uuid, subject text, owner text); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.query_events(cursor bigint, max_rows integer, types text[], min_level text, symbol text, trade_id uuid, subject text, owner text) IS 'Events after the cursor in seq order, never beyond the safe head. A null cursor begins with the oldest kept event.';

--
-- Name: read_rows(regclass, refcursor, text, boolean, integer); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.read_rows(source regclass, opened refcursor, owned_by text, for_public boolean, many integer) RETURNS TABLE(subject text, owner text, type text, payload text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
    reader text;
begin
    -- The one that fetches many rows at once comes first.
    select format('%I.%I', n.nspname, r.proname) || case r.pronargs when 2 then '($2, $4)' else '($1, $2, $3, $4)' end into reader
      from pg_trigger t
      join pg_proc w on w.oid = t.tgfoid
      join pg_proc r on r.pronamespace = w.pronamespace and r.proowner = w.proowner and r.prosecdef
                    and r.proname = 'rowcast_rows_' || substr(w.proname, length('rowcast_publish_') + 1)
                    and (oidvectortypes(r.proargtypes) = 'regclass, refcursor, text, integer'
                         or many is not null and oidvectortypes(r.proargtypes) = 'refcursor, integer')
      join pg_namespace n on n.oid = r.pronamespace
     where t.tgrelid = source and t.tgname = 'rowcast_publish_write' and t.tgparentid = 0
     order by r.pronargs
     limit 1;
    if reader is null then
        raise exception 'the rows of % cannot be read', source using errcode = 'undefined_function';
    elsif for_public and many is null
          and not exists (select from rowcast.published p where p.table_name = source and p.public_safe and p.owner_column is null) then
        raise exception 'the rows of % are not public', source using errcode = 'insufficient_privilege';
    end if;
    -- No payload of the journal is longer. What an owner's own function makes longer is cut, and then refused as no JSON.
    return query execute format('select case when octet_length(r.subject) <= 1024 then r.subject else left(r.subject, 1024) end,
                                        case when octet_length(r.owner) <= 256 then r.owner else left(r.owner, 257) end,
                                        case when octet_length(r.type) <= 128 then r.type else left(r.type, 129) end,
                                        case when octet_length(r.payload) <= 262144 then r.payload else left(r.payload, 262145) end
                                   from %s r', reader)
        using source, opened, owned_by, many;
end
$_$;

--
-- Name: FUNCTION read_rows(source regclass, opened refcursor, owned_by text, for_public boolean, many integer); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.read_rows(source regclass, opened refcursor, owned_by text, for_public boolean, many integer) IS 'Opens a cursor over the rows of a published table, or fetches from it. Whatever the owner of the table has made runs as that owner.';

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
        perform from rowcast.writers;
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
-- Name: subject_expression(regclass, text[], text); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.subject_expression(of regclass, keys text[], ref text) RETURNS text
    LANGUAGE sql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    select case when cardinality(keys) = 1 then string_agg(e.expression, '')
                else format('array_to_json(array[%s])::text', string_agg(e.expression, ', ' order by e.position)) end
      from (select k.position, rowcast.text_expression(a.atttypid, format('%s.%I', ref, a.attname)) as expression
              from unnest(keys) with ordinality as k (name, position)
              join pg_attribute a on a.attrelid = $1 and a.attname = k.name) e
$_$;

--
-- Name: FUNCTION subject_expression(of regclass, keys text[], ref text); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.subject_expression(of regclass, keys text[], ref text) IS 'The SQL expression that shows the key of a row as one text.';

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
-- Name: time_fits(timestamp with time zone); Type: FUNCTION; Schema: rowcast; Owner: -
--

CREATE FUNCTION rowcast.time_fits(at timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return at >= '0001-01-01 00:00:00+00' and at < '10000-01-01 00:00:00+00';
end
$$;

--
-- Name: FUNCTION time_fits(at timestamp with time zone); Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON FUNCTION rowcast.time_fits(at timestamp with time zone) IS 'Whether a time can be written down by everybody: in the years 1 to 9999, in UTC. Infinity cannot.';

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
    select * into rel from pg_class c where c.oid = table_name;
    if not found then
        raise exception 'table_name must name a table, and not be %', coalesce(table_name::text, 'null')
            using errcode = 'invalid_parameter_value';
    end if;
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
           and t.tgname in ('rowcast_publish_write', 'rowcast_publish_update', 'rowcast_publish_truncate', 'rowcast_publish_owners')
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
    -- What read the rows of a table goes when the function of its triggers is gone.
    for orphan in
        select p.oid from pg_proc p
         where p.pronamespace = rel.relnamespace and p.proname ~ '^rowcast_rows?_'
           and starts_with(obj_description(p.oid, 'pg_proc'), 'Made by rowcast.publish')
           and pg_has_role(p.proowner, 'usage')
           and not exists (select from pg_proc f
                            where f.pronamespace = p.pronamespace and f.prorettype = 'trigger'::regtype
                              and f.proname = 'rowcast_publish_' || regexp_replace(p.proname, '^rowcast_rows?_', ''))
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

--
-- Name: config_event(text, jsonb, jsonb); Type: FUNCTION; Schema: trading; Owner: -
--

CREATE FUNCTION trading.config_event(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb) RETURNS record
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select case when op = 'delete' then 'config.removed' else 'config.changed' end,
           case when op = 'delete' then 'warn' else 'info' end,
           (now_is - 'value') || jsonb_build_object('setting', jsonb_build_object(now_is ->> 'key', now_is -> 'value'))
      from (select coalesce(new, old)) as row (now_is)
$$;

--
-- Name: FUNCTION config_event(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb); Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON FUNCTION trading.config_event(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb) IS 'What a change of trading.config is called on the stream.';

--
-- Name: keep_config_versions(); Type: FUNCTION; Schema: trading; Owner: -
--

CREATE FUNCTION trading.keep_config_versions() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if new.key <> old.key then
        raise exception 'a setting keeps its key' using errcode = 'object_not_in_prerequisite_state';
    elsif new is distinct from old then
        if new.version = old.version then
            new.version := old.version + 1;
            -- Nor is it known then who it was, unless that was said.
            if new.updated_by is not distinct from old.updated_by then
                new.updated_by := null;
            end if;
        end if;
        -- The history is ordered by this.
        if new.updated_at <= old.updated_at then
            new.updated_at := greatest(clock_timestamp(), old.updated_at + interval '1 microsecond');
        end if;
    end if;
    return new;
end
$$;

--
-- Name: FUNCTION keep_config_versions(); Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON FUNCTION trading.keep_config_versions() IS 'Counts the versions of a setting, also for whoever forgets to.';

--
-- Name: keep_order_states(); Type: FUNCTION; Schema: trading; Owner: -
--

CREATE FUNCTION trading.keep_order_states() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    told trading.orders;
begin
    -- A report that is repeated is no change, also where it writes a number with other zeros.
    if new is not distinct from old then
        return old;
    end if;
    told := new;
    told.trade_id := old.trade_id;
    if row(new.id, new.client_order_id, new.symbol, new.side, new.type, new.quantity, new.limit_price, new.placed_by,
           new.created_at, new.created_with)
       is distinct from row(old.id, old.client_order_id, old.symbol, old.side, old.type, old.quantity, old.limit_price,
           old.placed_by, old.created_at, old.created_with) then
        raise exception 'what was ordered does not change'
            using errcode = 'object_not_in_prerequisite_state', detail = old.status;
    elsif new.trade_id is distinct from old.trade_id and old.trade_id is not null then
        raise exception 'the order belongs to a trade already'
            using errcode = 'object_not_in_prerequisite_state', detail = old.status;
    elsif old.status in ('filled', 'cancelled', 'rejected') and told is distinct from old then
        raise exception 'the order has ended'
            using errcode = 'object_not_in_prerequisite_state', detail = old.status;
    elsif old.status = 'partially_filled' and new.status in ('new', 'rejected') then
        raise exception 'the order is filled in part already'
            using errcode = 'object_not_in_prerequisite_state', detail = old.status;
    elsif new.filled_quantity < old.filled_quantity then
        raise exception 'more was filled already'
            using errcode = 'object_not_in_prerequisite_state', detail = old.status;
    end if;
    new.updated_at := greatest(clock_timestamp(), old.updated_at);
    return new;
end
$$;

--
-- Name: FUNCTION keep_order_states(); Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON FUNCTION trading.keep_order_states() IS 'Lets an order go from state to state as orders do; what was ordered never changes.';

--
-- Name: keep_trade_states(); Type: FUNCTION; Schema: trading; Owner: -
--

CREATE FUNCTION trading.keep_trade_states() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if row(new.id, new.client_order_id, new.symbol, new.side, new.status, new.quantity, new.entry_price, new.exit_price,
           new.fees, new.reason, new.close_reason, new.opened_by, new.opened_at, new.closed_at, new.created_with)
       is distinct from row(old.id, old.client_order_id, old.symbol, old.side, old.status, old.quantity, old.entry_price,
           old.exit_price, old.fees, old.reason, old.close_reason, old.opened_by, old.opened_at, old.closed_at,
           old.created_with) then
        raise exception 'the trade is closed'
            using errcode = 'object_not_in_prerequisite_state', detail = old.status;
    end if;
    return old;
end
$$;

--
-- Name: FUNCTION keep_trade_states(); Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON FUNCTION trading.keep_trade_states() IS 'Keeps a closed trade as it is.';

--
-- Name: order_event(text, jsonb, jsonb); Type: FUNCTION; Schema: trading; Owner: -
--

CREATE FUNCTION trading.order_event(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb) RETURNS record
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select case
               when op = 'delete' then 'order.deleted'
               when op = 'insert' and new ->> 'status' = 'new' then 'order.placed'
               when op = 'insert' or old ->> 'status' <> new ->> 'status'
                    or old ->> 'filled_quantity' <> new ->> 'filled_quantity' then 'order.' || (new ->> 'status')
               else 'order.updated'
           end,
           case when op = 'delete' or op = 'insert' and new ->> 'status' = 'rejected'
                     or old ->> 'status' <> 'rejected' and new ->> 'status' = 'rejected' then 'warn' else 'info' end,
           coalesce(new, old)
$$;

--
-- Name: FUNCTION order_event(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb); Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON FUNCTION trading.order_event(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb) IS 'What a change of trading.orders is called on the stream.';

--
-- Name: remember_config(); Type: FUNCTION; Schema: trading; Owner: -
--

CREATE FUNCTION trading.remember_config() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if tg_op = 'DELETE' then
        insert into trading.config_history (key, version) values (old.key, old.version + 1);
    else
        insert into trading.config_history (key, version, value, changed_at, changed_by)
        values (new.key, new.version, new.value, new.updated_at, new.updated_by);
    end if;
    return null;
end
$$;

--
-- Name: FUNCTION remember_config(); Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON FUNCTION trading.remember_config() IS 'Writes every version of a setting into trading.config_history.';

--
-- Name: rowcast_publish_config(); Type: FUNCTION; Schema: trading; Owner: -
--

CREATE FUNCTION trading.rowcast_publish_config() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET "IntervalStyle" TO 'iso_8601'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET array_nulls TO 'on'
    AS $_$
-- Written by rowcast.publish, form 3. Change it by publishing again.
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
    if op = 'truncate' and tg_when = 'BEFORE' then
        
        return null;
    elsif op = 'truncate' then
        insert into rowcast.events (type, public_safe) values ('config.truncated', 'f');
        return null;
    end if;
    if op = 'update' then
        moved := record_image_ne(row(old.key), row(new.key));
    end if;
    if op = 'delete' or moved or (op = 'update' and 't') then
        
    lost := '{}';
    begin
        large := 0 + coalesce(octet_length(old.key), 0) + coalesce(pg_column_size(old.value), 0) + coalesce(octet_length(old.updated_by), 0) > 131072;
        if not large then
            before := jsonb_build_object('key', to_jsonb(old.key), 'value', to_jsonb(old.value), 'version', to_jsonb(old.version), 'updated_at', to_jsonb(old.updated_at), 'updated_by', to_jsonb(old.updated_by));
            large := octet_length(before::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        before := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(octet_length(old.key), 0) <= 1048576 then
                value := to_jsonb(old.key);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.key) = 0 then lost := lost || 'key'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('key', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.value), 0) <= 1048576 then
                value := to_jsonb(old.value);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.value) = 0 then lost := lost || 'value'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('value', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.version), 0) <= 1048576 then
                value := to_jsonb(old.version);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.version) = 0 then lost := lost || 'version'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('version', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.updated_at), 0) <= 1048576 then
                value := to_jsonb(old.updated_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.updated_at) = 0 then lost := lost || 'updated_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('updated_at', value);

        value := null;
        begin
            if coalesce(octet_length(old.updated_by), 0) <= 1048576 then
                value := to_jsonb(old.updated_by);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.updated_by) = 0 then lost := lost || 'updated_by'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('updated_by', value);

        before := rowcast.fit_payload(before, lost);
    end if;

    end if;
    if op <> 'delete' and not (moved and 't') then
        
    lost := '{}';
    begin
        large := 0 + coalesce(octet_length(new.key), 0) + coalesce(pg_column_size(new.value), 0) + coalesce(octet_length(new.updated_by), 0) > 131072;
        if not large then
            after := jsonb_build_object('key', to_jsonb(new.key), 'value', to_jsonb(new.value), 'version', to_jsonb(new.version), 'updated_at', to_jsonb(new.updated_at), 'updated_by', to_jsonb(new.updated_by));
            large := octet_length(after::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        after := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(octet_length(new.key), 0) <= 1048576 then
                value := to_jsonb(new.key);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.key) = 0 then lost := lost || 'key'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('key', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.value), 0) <= 1048576 then
                value := to_jsonb(new.value);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.value) = 0 then lost := lost || 'value'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('value', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.version), 0) <= 1048576 then
                value := to_jsonb(new.version);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.version) = 0 then lost := lost || 'version'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('version', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.updated_at), 0) <= 1048576 then
                value := to_jsonb(new.updated_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.updated_at) = 0 then lost := lost || 'updated_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('updated_at', value);

        value := null;
        begin
            if coalesce(octet_length(new.updated_by), 0) <= 1048576 then
                value := to_jsonb(new.updated_by);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.updated_by) = 0 then lost := lost || 'updated_by'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('updated_by', value);

        after := rowcast.fit_payload(after, lost);
    end if;

    end if;
    if op = 'delete' or moved then
        op := 'delete';
        word := 'deleted';
        subject := old.key::text;
        if octet_length(subject) not between 1 and 1024 then
            subject := 'sha256:' || encode(sha256(convert_to(subject, getdatabaseencoding())), 'hex');
        end if;
        if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure('trading.config_event(text,jsonb,jsonb)')) is not true then
            raise exception 'the map of % is gone, or belongs to a role that may not act as %: %',
                            tg_relid::regclass, quote_ident(current_user), 'trading.config_event(text,jsonb,jsonb)'
                using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
        end if;
        select m.type::text as type, m.level::text as level, m.payload as payload from trading.config_event(op, before, after) m into told;
        if told.type is not null and told.payload is not null then
            if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
            if (starts_with(told.type, 'config.') and substr(told.type, 8) ~ '^[a-z0-9_]+$' and told.payload ?& '{key}'::text[]
                and (told.type = any ('{config.deleted,config.removed}'::text[])) = (op = 'delete')) is not true then
                raise exception 'the map of % breaks the promise of state_key: it made an event of type % of the operation %',
                                tg_relid::regclass, told.type, op
                    using errcode = 'data_exception', detail = 'The type of each event is one word behind config.; those that remove a row, and no others, are config.deleted, config.removed; the payload holds key.';
            end if;
            insert into rowcast.events (type, level, payload, public_safe, symbol, trade_id, subject, owner)
            values (told.type, coalesce(told.level, 'info'), told.payload, 'f', null, null, subject, null);
        end if;
    end if;
    if tg_op <> 'DELETE' then
        if moved then
            op := 'insert';
            before := null;
    lost := '{}';
    begin
        large := 0 + coalesce(octet_length(new.key), 0) + coalesce(pg_column_size(new.value), 0) + coalesce(octet_length(new.updated_by), 0) > 131072;
        if not large then
            after := jsonb_build_object('key', to_jsonb(new.key), 'value', to_jsonb(new.value), 'version', to_jsonb(new.version), 'updated_at', to_jsonb(new.updated_at), 'updated_by', to_jsonb(new.updated_by));
            large := octet_length(after::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        after := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(octet_length(new.key), 0) <= 1048576 then
                value := to_jsonb(new.key);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.key) = 0 then lost := lost || 'key'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('key', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.value), 0) <= 1048576 then
                value := to_jsonb(new.value);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.value) = 0 then lost := lost || 'value'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('value', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.version), 0) <= 1048576 then
                value := to_jsonb(new.version);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.version) = 0 then lost := lost || 'version'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('version', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.updated_at), 0) <= 1048576 then
                value := to_jsonb(new.updated_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.updated_at) = 0 then lost := lost || 'updated_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('updated_at', value);

        value := null;
        begin
            if coalesce(octet_length(new.updated_by), 0) <= 1048576 then
                value := to_jsonb(new.updated_by);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.updated_by) = 0 then lost := lost || 'updated_by'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('updated_by', value);

        after := rowcast.fit_payload(after, lost);
    end if;

        end if;
        word := case when op = 'insert' then 'inserted' else 'updated' end;
        subject := new.key::text;
        if octet_length(subject) not between 1 and 1024 then
            subject := 'sha256:' || encode(sha256(convert_to(subject, getdatabaseencoding())), 'hex');
        end if;
        if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure('trading.config_event(text,jsonb,jsonb)')) is not true then
            raise exception 'the map of % is gone, or belongs to a role that may not act as %: %',
                            tg_relid::regclass, quote_ident(current_user), 'trading.config_event(text,jsonb,jsonb)'
                using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
        end if;
        select m.type::text as type, m.level::text as level, m.payload as payload from trading.config_event(op, before, after) m into told;
        if told.type is not null and told.payload is not null then
            if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
            if (starts_with(told.type, 'config.') and substr(told.type, 8) ~ '^[a-z0-9_]+$' and told.payload ?& '{key}'::text[]
                and (told.type = any ('{config.deleted,config.removed}'::text[])) = (op = 'delete')) is not true then
                raise exception 'the map of % breaks the promise of state_key: it made an event of type % of the operation %',
                                tg_relid::regclass, told.type, op
                    using errcode = 'data_exception', detail = 'The type of each event is one word behind config.; those that remove a row, and no others, are config.deleted, config.removed; the payload holds key.';
            end if;
            insert into rowcast.events (type, level, payload, public_safe, symbol, trade_id, subject, owner)
            values (told.type, coalesce(told.level, 'info'), told.payload, 'f', null, null, subject, null);
        end if;
    end if;
    return null;
end
$_$;

--
-- Name: FUNCTION rowcast_publish_config(); Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON FUNCTION trading.rowcast_publish_config() IS 'Made by rowcast.publish; goes with rowcast.unpublish.';

--
-- Name: rowcast_publish_orders(); Type: FUNCTION; Schema: trading; Owner: -
--

CREATE FUNCTION trading.rowcast_publish_orders() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET "IntervalStyle" TO 'iso_8601'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET array_nulls TO 'on'
    AS $_$
-- Written by rowcast.publish, form 3. Change it by publishing again.
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
    if op = 'truncate' and tg_when = 'BEFORE' then
        
        return null;
    elsif op = 'truncate' then
        insert into rowcast.events (type, public_safe) values ('order.truncated', 'f');
        return null;
    end if;
    if op = 'update' then
        moved := record_image_ne(row(old.id), row(new.id));
    end if;
    if op = 'delete' or moved or (op = 'update' and 't') then
        
    lost := '{}';
    begin
        large := 0 + coalesce(octet_length(old.client_order_id), 0) + coalesce(octet_length(old.symbol), 0) + coalesce(octet_length(old.side), 0) + coalesce(octet_length(old.type), 0) + coalesce(octet_length(old.status), 0) + coalesce(pg_column_size(old.quantity), 0) + coalesce(pg_column_size(old.limit_price), 0) + coalesce(pg_column_size(old.filled_quantity), 0) + coalesce(pg_column_size(old.average_price), 0) + coalesce(pg_column_size(old.fees), 0) + coalesce(octet_length(old.reject_reason), 0) + coalesce(octet_length(old.placed_by), 0) > 131072;
        if not large then
            before := jsonb_build_object('id', to_jsonb(old.id), 'client_order_id', to_jsonb(old.client_order_id), 'trade_id', to_jsonb(old.trade_id), 'symbol', to_jsonb(old.symbol), 'side', to_jsonb(old.side), 'type', to_jsonb(old.type), 'status', to_jsonb(old.status), 'quantity', to_jsonb(old.quantity::text), 'limit_price', to_jsonb(old.limit_price::text), 'filled_quantity', to_jsonb(old.filled_quantity::text), 'average_price', to_jsonb(old.average_price::text), 'fees', to_jsonb(old.fees::text), 'reject_reason', to_jsonb(old.reject_reason), 'placed_by', to_jsonb(old.placed_by), 'created_at', to_jsonb(old.created_at), 'updated_at', to_jsonb(old.updated_at));
            large := octet_length(before::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        before := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(pg_column_size(old.id), 0) <= 1048576 then
                value := to_jsonb(old.id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.id) = 0 then lost := lost || 'id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('id', value);

        value := null;
        begin
            if coalesce(octet_length(old.client_order_id), 0) <= 1048576 then
                value := to_jsonb(old.client_order_id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.client_order_id) = 0 then lost := lost || 'client_order_id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('client_order_id', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.trade_id), 0) <= 1048576 then
                value := to_jsonb(old.trade_id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.trade_id) = 0 then lost := lost || 'trade_id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('trade_id', value);

        value := null;
        begin
            if coalesce(octet_length(old.symbol), 0) <= 1048576 then
                value := to_jsonb(old.symbol);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.symbol) = 0 then lost := lost || 'symbol'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('symbol', value);

        value := null;
        begin
            if coalesce(octet_length(old.side), 0) <= 1048576 then
                value := to_jsonb(old.side);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.side) = 0 then lost := lost || 'side'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('side', value);

        value := null;
        begin
            if coalesce(octet_length(old.type), 0) <= 1048576 then
                value := to_jsonb(old.type);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.type) = 0 then lost := lost || 'type'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('type', value);

        value := null;
        begin
            if coalesce(octet_length(old.status), 0) <= 1048576 then
                value := to_jsonb(old.status);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.status) = 0 then lost := lost || 'status'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('status', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.quantity), 0) <= 1048576 then
                value := to_jsonb(old.quantity::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.quantity) = 0 then lost := lost || 'quantity'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('quantity', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.limit_price), 0) <= 1048576 then
                value := to_jsonb(old.limit_price::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.limit_price) = 0 then lost := lost || 'limit_price'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('limit_price', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.filled_quantity), 0) <= 1048576 then
                value := to_jsonb(old.filled_quantity::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.filled_quantity) = 0 then lost := lost || 'filled_quantity'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('filled_quantity', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.average_price), 0) <= 1048576 then
                value := to_jsonb(old.average_price::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.average_price) = 0 then lost := lost || 'average_price'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('average_price', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.fees), 0) <= 1048576 then
                value := to_jsonb(old.fees::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.fees) = 0 then lost := lost || 'fees'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('fees', value);

        value := null;
        begin
            if coalesce(octet_length(old.reject_reason), 0) <= 1048576 then
                value := to_jsonb(old.reject_reason);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.reject_reason) = 0 then lost := lost || 'reject_reason'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('reject_reason', value);

        value := null;
        begin
            if coalesce(octet_length(old.placed_by), 0) <= 1048576 then
                value := to_jsonb(old.placed_by);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.placed_by) = 0 then lost := lost || 'placed_by'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('placed_by', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.created_at), 0) <= 1048576 then
                value := to_jsonb(old.created_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.created_at) = 0 then lost := lost || 'created_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('created_at', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.updated_at), 0) <= 1048576 then
                value := to_jsonb(old.updated_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.updated_at) = 0 then lost := lost || 'updated_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('updated_at', value);

        before := rowcast.fit_payload(before, lost);
    end if;

    end if;
    if op <> 'delete' and not (moved and 't') then
        
    lost := '{}';
    begin
        large := 0 + coalesce(octet_length(new.client_order_id), 0) + coalesce(octet_length(new.symbol), 0) + coalesce(octet_length(new.side), 0) + coalesce(octet_length(new.type), 0) + coalesce(octet_length(new.status), 0) + coalesce(pg_column_size(new.quantity), 0) + coalesce(pg_column_size(new.limit_price), 0) + coalesce(pg_column_size(new.filled_quantity), 0) + coalesce(pg_column_size(new.average_price), 0) + coalesce(pg_column_size(new.fees), 0) + coalesce(octet_length(new.reject_reason), 0) + coalesce(octet_length(new.placed_by), 0) > 131072;
        if not large then
            after := jsonb_build_object('id', to_jsonb(new.id), 'client_order_id', to_jsonb(new.client_order_id), 'trade_id', to_jsonb(new.trade_id), 'symbol', to_jsonb(new.symbol), 'side', to_jsonb(new.side), 'type', to_jsonb(new.type), 'status', to_jsonb(new.status), 'quantity', to_jsonb(new.quantity::text), 'limit_price', to_jsonb(new.limit_price::text), 'filled_quantity', to_jsonb(new.filled_quantity::text), 'average_price', to_jsonb(new.average_price::text), 'fees', to_jsonb(new.fees::text), 'reject_reason', to_jsonb(new.reject_reason), 'placed_by', to_jsonb(new.placed_by), 'created_at', to_jsonb(new.created_at), 'updated_at', to_jsonb(new.updated_at));
            large := octet_length(after::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        after := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(pg_column_size(new.id), 0) <= 1048576 then
                value := to_jsonb(new.id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.id) = 0 then lost := lost || 'id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('id', value);

        value := null;
        begin
            if coalesce(octet_length(new.client_order_id), 0) <= 1048576 then
                value := to_jsonb(new.client_order_id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.client_order_id) = 0 then lost := lost || 'client_order_id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('client_order_id', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.trade_id), 0) <= 1048576 then
                value := to_jsonb(new.trade_id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.trade_id) = 0 then lost := lost || 'trade_id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('trade_id', value);

        value := null;
        begin
            if coalesce(octet_length(new.symbol), 0) <= 1048576 then
                value := to_jsonb(new.symbol);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.symbol) = 0 then lost := lost || 'symbol'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('symbol', value);

        value := null;
        begin
            if coalesce(octet_length(new.side), 0) <= 1048576 then
                value := to_jsonb(new.side);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.side) = 0 then lost := lost || 'side'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('side', value);

        value := null;
        begin
            if coalesce(octet_length(new.type), 0) <= 1048576 then
                value := to_jsonb(new.type);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.type) = 0 then lost := lost || 'type'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('type', value);

        value := null;
        begin
            if coalesce(octet_length(new.status), 0) <= 1048576 then
                value := to_jsonb(new.status);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.status) = 0 then lost := lost || 'status'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('status', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.quantity), 0) <= 1048576 then
                value := to_jsonb(new.quantity::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.quantity) = 0 then lost := lost || 'quantity'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('quantity', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.limit_price), 0) <= 1048576 then
                value := to_jsonb(new.limit_price::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.limit_price) = 0 then lost := lost || 'limit_price'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('limit_price', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.filled_quantity), 0) <= 1048576 then
                value := to_jsonb(new.filled_quantity::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.filled_quantity) = 0 then lost := lost || 'filled_quantity'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('filled_quantity', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.average_price), 0) <= 1048576 then
                value := to_jsonb(new.average_price::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.average_price) = 0 then lost := lost || 'average_price'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('average_price', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.fees), 0) <= 1048576 then
                value := to_jsonb(new.fees::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.fees) = 0 then lost := lost || 'fees'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('fees', value);

        value := null;
        begin
            if coalesce(octet_length(new.reject_reason), 0) <= 1048576 then
                value := to_jsonb(new.reject_reason);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.reject_reason) = 0 then lost := lost || 'reject_reason'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('reject_reason', value);

        value := null;
        begin
            if coalesce(octet_length(new.placed_by), 0) <= 1048576 then
                value := to_jsonb(new.placed_by);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.placed_by) = 0 then lost := lost || 'placed_by'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('placed_by', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.created_at), 0) <= 1048576 then
                value := to_jsonb(new.created_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.created_at) = 0 then lost := lost || 'created_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('created_at', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.updated_at), 0) <= 1048576 then
                value := to_jsonb(new.updated_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.updated_at) = 0 then lost := lost || 'updated_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('updated_at', value);

        after := rowcast.fit_payload(after, lost);
    end if;

    end if;
    if op = 'delete' or moved then
        op := 'delete';
        word := 'deleted';
        subject := old.id::text;
        if octet_length(subject) not between 1 and 1024 then
            subject := 'sha256:' || encode(sha256(convert_to(subject, getdatabaseencoding())), 'hex');
        end if;
        if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure('trading.order_event(text,jsonb,jsonb)')) is not true then
            raise exception 'the map of % is gone, or belongs to a role that may not act as %: %',
                            tg_relid::regclass, quote_ident(current_user), 'trading.order_event(text,jsonb,jsonb)'
                using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
        end if;
        select m.type::text as type, m.level::text as level, m.payload as payload from trading.order_event(op, before, after) m into told;
        if told.type is not null and told.payload is not null then
            if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
            if (starts_with(told.type, 'order.') and substr(told.type, 7) ~ '^[a-z0-9_]+$' and told.payload ?& '{id}'::text[]
                and (told.type = any ('{order.deleted,order.removed}'::text[])) = (op = 'delete')) is not true then
                raise exception 'the map of % breaks the promise of state_key: it made an event of type % of the operation %',
                                tg_relid::regclass, told.type, op
                    using errcode = 'data_exception', detail = 'The type of each event is one word behind order.; those that remove a row, and no others, are order.deleted, order.removed; the payload holds id.';
            end if;
            insert into rowcast.events (type, level, payload, public_safe, symbol, trade_id, subject, owner)
            values (told.type, coalesce(told.level, 'info'), told.payload, 'f', case when octet_length(old.symbol::text) between 1 and 64 then old.symbol::text end, old.trade_id, subject, null);
        end if;
    end if;
    if tg_op <> 'DELETE' then
        if moved then
            op := 'insert';
            before := null;
    lost := '{}';
    begin
        large := 0 + coalesce(octet_length(new.client_order_id), 0) + coalesce(octet_length(new.symbol), 0) + coalesce(octet_length(new.side), 0) + coalesce(octet_length(new.type), 0) + coalesce(octet_length(new.status), 0) + coalesce(pg_column_size(new.quantity), 0) + coalesce(pg_column_size(new.limit_price), 0) + coalesce(pg_column_size(new.filled_quantity), 0) + coalesce(pg_column_size(new.average_price), 0) + coalesce(pg_column_size(new.fees), 0) + coalesce(octet_length(new.reject_reason), 0) + coalesce(octet_length(new.placed_by), 0) > 131072;
        if not large then
            after := jsonb_build_object('id', to_jsonb(new.id), 'client_order_id', to_jsonb(new.client_order_id), 'trade_id', to_jsonb(new.trade_id), 'symbol', to_jsonb(new.symbol), 'side', to_jsonb(new.side), 'type', to_jsonb(new.type), 'status', to_jsonb(new.status), 'quantity', to_jsonb(new.quantity::text), 'limit_price', to_jsonb(new.limit_price::text), 'filled_quantity', to_jsonb(new.filled_quantity::text), 'average_price', to_jsonb(new.average_price::text), 'fees', to_jsonb(new.fees::text), 'reject_reason', to_jsonb(new.reject_reason), 'placed_by', to_jsonb(new.placed_by), 'created_at', to_jsonb(new.created_at), 'updated_at', to_jsonb(new.updated_at));
            large := octet_length(after::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        after := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(pg_column_size(new.id), 0) <= 1048576 then
                value := to_jsonb(new.id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.id) = 0 then lost := lost || 'id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('id', value);

        value := null;
        begin
            if coalesce(octet_length(new.client_order_id), 0) <= 1048576 then
                value := to_jsonb(new.client_order_id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.client_order_id) = 0 then lost := lost || 'client_order_id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('client_order_id', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.trade_id), 0) <= 1048576 then
                value := to_jsonb(new.trade_id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.trade_id) = 0 then lost := lost || 'trade_id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('trade_id', value);

        value := null;
        begin
            if coalesce(octet_length(new.symbol), 0) <= 1048576 then
                value := to_jsonb(new.symbol);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.symbol) = 0 then lost := lost || 'symbol'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('symbol', value);

        value := null;
        begin
            if coalesce(octet_length(new.side), 0) <= 1048576 then
                value := to_jsonb(new.side);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.side) = 0 then lost := lost || 'side'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('side', value);

        value := null;
        begin
            if coalesce(octet_length(new.type), 0) <= 1048576 then
                value := to_jsonb(new.type);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.type) = 0 then lost := lost || 'type'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('type', value);

        value := null;
        begin
            if coalesce(octet_length(new.status), 0) <= 1048576 then
                value := to_jsonb(new.status);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.status) = 0 then lost := lost || 'status'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('status', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.quantity), 0) <= 1048576 then
                value := to_jsonb(new.quantity::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.quantity) = 0 then lost := lost || 'quantity'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('quantity', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.limit_price), 0) <= 1048576 then
                value := to_jsonb(new.limit_price::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.limit_price) = 0 then lost := lost || 'limit_price'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('limit_price', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.filled_quantity), 0) <= 1048576 then
                value := to_jsonb(new.filled_quantity::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.filled_quantity) = 0 then lost := lost || 'filled_quantity'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('filled_quantity', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.average_price), 0) <= 1048576 then
                value := to_jsonb(new.average_price::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.average_price) = 0 then lost := lost || 'average_price'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('average_price', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.fees), 0) <= 1048576 then
                value := to_jsonb(new.fees::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.fees) = 0 then lost := lost || 'fees'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('fees', value);

        value := null;
        begin
            if coalesce(octet_length(new.reject_reason), 0) <= 1048576 then
                value := to_jsonb(new.reject_reason);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.reject_reason) = 0 then lost := lost || 'reject_reason'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('reject_reason', value);

        value := null;
        begin
            if coalesce(octet_length(new.placed_by), 0) <= 1048576 then
                value := to_jsonb(new.placed_by);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.placed_by) = 0 then lost := lost || 'placed_by'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('placed_by', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.created_at), 0) <= 1048576 then
                value := to_jsonb(new.created_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.created_at) = 0 then lost := lost || 'created_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('created_at', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.updated_at), 0) <= 1048576 then
                value := to_jsonb(new.updated_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.updated_at) = 0 then lost := lost || 'updated_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('updated_at', value);

        after := rowcast.fit_payload(after, lost);
    end if;

        end if;
        word := case when op = 'insert' then 'inserted' else 'updated' end;
        subject := new.id::text;
        if octet_length(subject) not between 1 and 1024 then
            subject := 'sha256:' || encode(sha256(convert_to(subject, getdatabaseencoding())), 'hex');
        end if;
        if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure('trading.order_event(text,jsonb,jsonb)')) is not true then
            raise exception 'the map of % is gone, or belongs to a role that may not act as %: %',
                            tg_relid::regclass, quote_ident(current_user), 'trading.order_event(text,jsonb,jsonb)'
                using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
        end if;
        select m.type::text as type, m.level::text as level, m.payload as payload from trading.order_event(op, before, after) m into told;
        if told.type is not null and told.payload is not null then
            if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
            if (starts_with(told.type, 'order.') and substr(told.type, 7) ~ '^[a-z0-9_]+$' and told.payload ?& '{id}'::text[]
                and (told.type = any ('{order.deleted,order.removed}'::text[])) = (op = 'delete')) is not true then
                raise exception 'the map of % breaks the promise of state_key: it made an event of type % of the operation %',
                                tg_relid::regclass, told.type, op
                    using errcode = 'data_exception', detail = 'The type of each event is one word behind order.; those that remove a row, and no others, are order.deleted, order.removed; the payload holds id.';
            end if;
            insert into rowcast.events (type, level, payload, public_safe, symbol, trade_id, subject, owner)
            values (told.type, coalesce(told.level, 'info'), told.payload, 'f', case when octet_length(new.symbol::text) between 1 and 64 then new.symbol::text end, new.trade_id, subject, null);
        end if;
    end if;
    return null;
end
$_$;

--
-- Name: FUNCTION rowcast_publish_orders(); Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON FUNCTION trading.rowcast_publish_orders() IS 'Made by rowcast.publish; goes with rowcast.unpublish.';

--
-- Name: rowcast_publish_snapshots(); Type: FUNCTION; Schema: trading; Owner: -
--

CREATE FUNCTION trading.rowcast_publish_snapshots() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET "IntervalStyle" TO 'iso_8601'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET array_nulls TO 'on'
    AS $_$
-- Written by rowcast.publish, form 3. Change it by publishing again.
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
    if op = 'truncate' and tg_when = 'BEFORE' then
        
        return null;
    elsif op = 'truncate' then
        insert into rowcast.events (type, public_safe) values ('snapshot.truncated', 't');
        return null;
    end if;
    if op = 'update' then
        moved := record_image_ne(row(old.id), row(new.id));
    end if;
    if op = 'delete' or moved or (op = 'update' and 't') then
        
    lost := '{}';
    begin
        large := 0 + coalesce(pg_column_size(old.equity), 0) + coalesce(pg_column_size(old.cash), 0) + coalesce(pg_column_size(old.unrealized_profit), 0) + coalesce(pg_column_size(old.positions), 0) + coalesce(octet_length(old.taken_by), 0) > 131072;
        if not large then
            before := jsonb_build_object('id', to_jsonb(old.id), 'taken_at', to_jsonb(old.taken_at), 'equity', to_jsonb(old.equity::text), 'cash', to_jsonb(old.cash::text), 'unrealized_profit', to_jsonb(old.unrealized_profit::text), 'positions', to_jsonb(old.positions), 'taken_by', to_jsonb(old.taken_by));
            large := octet_length(before::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        before := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(pg_column_size(old.id), 0) <= 1048576 then
                value := to_jsonb(old.id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.id) = 0 then lost := lost || 'id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('id', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.taken_at), 0) <= 1048576 then
                value := to_jsonb(old.taken_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.taken_at) = 0 then lost := lost || 'taken_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('taken_at', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.equity), 0) <= 1048576 then
                value := to_jsonb(old.equity::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.equity) = 0 then lost := lost || 'equity'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('equity', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.cash), 0) <= 1048576 then
                value := to_jsonb(old.cash::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.cash) = 0 then lost := lost || 'cash'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('cash', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.unrealized_profit), 0) <= 1048576 then
                value := to_jsonb(old.unrealized_profit::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.unrealized_profit) = 0 then lost := lost || 'unrealized_profit'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('unrealized_profit', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.positions), 0) <= 1048576 then
                value := to_jsonb(old.positions);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.positions) = 0 then lost := lost || 'positions'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('positions', value);

        value := null;
        begin
            if coalesce(octet_length(old.taken_by), 0) <= 1048576 then
                value := to_jsonb(old.taken_by);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.taken_by) = 0 then lost := lost || 'taken_by'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('taken_by', value);

        before := rowcast.fit_payload(before, lost);
    end if;

    end if;
    if op <> 'delete' and not (moved and 't') then
        
    lost := '{}';
    begin
        large := 0 + coalesce(pg_column_size(new.equity), 0) + coalesce(pg_column_size(new.cash), 0) + coalesce(pg_column_size(new.unrealized_profit), 0) + coalesce(pg_column_size(new.positions), 0) + coalesce(octet_length(new.taken_by), 0) > 131072;
        if not large then
            after := jsonb_build_object('id', to_jsonb(new.id), 'taken_at', to_jsonb(new.taken_at), 'equity', to_jsonb(new.equity::text), 'cash', to_jsonb(new.cash::text), 'unrealized_profit', to_jsonb(new.unrealized_profit::text), 'positions', to_jsonb(new.positions), 'taken_by', to_jsonb(new.taken_by));
            large := octet_length(after::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        after := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(pg_column_size(new.id), 0) <= 1048576 then
                value := to_jsonb(new.id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.id) = 0 then lost := lost || 'id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('id', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.taken_at), 0) <= 1048576 then
                value := to_jsonb(new.taken_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.taken_at) = 0 then lost := lost || 'taken_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('taken_at', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.equity), 0) <= 1048576 then
                value := to_jsonb(new.equity::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.equity) = 0 then lost := lost || 'equity'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('equity', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.cash), 0) <= 1048576 then
                value := to_jsonb(new.cash::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.cash) = 0 then lost := lost || 'cash'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('cash', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.unrealized_profit), 0) <= 1048576 then
                value := to_jsonb(new.unrealized_profit::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.unrealized_profit) = 0 then lost := lost || 'unrealized_profit'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('unrealized_profit', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.positions), 0) <= 1048576 then
                value := to_jsonb(new.positions);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.positions) = 0 then lost := lost || 'positions'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('positions', value);

        value := null;
        begin
            if coalesce(octet_length(new.taken_by), 0) <= 1048576 then
                value := to_jsonb(new.taken_by);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.taken_by) = 0 then lost := lost || 'taken_by'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('taken_by', value);

        after := rowcast.fit_payload(after, lost);
    end if;

    end if;
    if op = 'delete' or moved then
        op := 'delete';
        word := 'deleted';
        subject := old.id::text;
        if octet_length(subject) not between 1 and 1024 then
            subject := 'sha256:' || encode(sha256(convert_to(subject, getdatabaseencoding())), 'hex');
        end if;
        if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure('trading.snapshot_event(text,jsonb,jsonb)')) is not true then
            raise exception 'the map of % is gone, or belongs to a role that may not act as %: %',
                            tg_relid::regclass, quote_ident(current_user), 'trading.snapshot_event(text,jsonb,jsonb)'
                using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
        end if;
        select m.type::text as type, m.level::text as level, m.payload as payload from trading.snapshot_event(op, before, after) m into told;
        if told.type is not null and told.payload is not null then
            if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
            if (starts_with(told.type, 'snapshot.') and substr(told.type, 10) ~ '^[a-z0-9_]+$' and told.payload ?& '{id}'::text[]
                and (told.type = any ('{snapshot.deleted,snapshot.removed}'::text[])) = (op = 'delete')) is not true then
                raise exception 'the map of % breaks the promise of state_key: it made an event of type % of the operation %',
                                tg_relid::regclass, told.type, op
                    using errcode = 'data_exception', detail = 'The type of each event is one word behind snapshot.; those that remove a row, and no others, are snapshot.deleted, snapshot.removed; the payload holds id.';
            end if;
            insert into rowcast.events (type, level, payload, public_safe, symbol, trade_id, subject, owner)
            values (told.type, coalesce(told.level, 'info'), told.payload, 't', null, null, subject, null);
        end if;
    end if;
    if tg_op <> 'DELETE' then
        if moved then
            op := 'insert';
            before := null;
    lost := '{}';
    begin
        large := 0 + coalesce(pg_column_size(new.equity), 0) + coalesce(pg_column_size(new.cash), 0) + coalesce(pg_column_size(new.unrealized_profit), 0) + coalesce(pg_column_size(new.positions), 0) + coalesce(octet_length(new.taken_by), 0) > 131072;
        if not large then
            after := jsonb_build_object('id', to_jsonb(new.id), 'taken_at', to_jsonb(new.taken_at), 'equity', to_jsonb(new.equity::text), 'cash', to_jsonb(new.cash::text), 'unrealized_profit', to_jsonb(new.unrealized_profit::text), 'positions', to_jsonb(new.positions), 'taken_by', to_jsonb(new.taken_by));
            large := octet_length(after::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        after := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(pg_column_size(new.id), 0) <= 1048576 then
                value := to_jsonb(new.id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.id) = 0 then lost := lost || 'id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('id', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.taken_at), 0) <= 1048576 then
                value := to_jsonb(new.taken_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.taken_at) = 0 then lost := lost || 'taken_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('taken_at', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.equity), 0) <= 1048576 then
                value := to_jsonb(new.equity::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.equity) = 0 then lost := lost || 'equity'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('equity', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.cash), 0) <= 1048576 then
                value := to_jsonb(new.cash::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.cash) = 0 then lost := lost || 'cash'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('cash', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.unrealized_profit), 0) <= 1048576 then
                value := to_jsonb(new.unrealized_profit::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.unrealized_profit) = 0 then lost := lost || 'unrealized_profit'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('unrealized_profit', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.positions), 0) <= 1048576 then
                value := to_jsonb(new.positions);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.positions) = 0 then lost := lost || 'positions'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('positions', value);

        value := null;
        begin
            if coalesce(octet_length(new.taken_by), 0) <= 1048576 then
                value := to_jsonb(new.taken_by);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.taken_by) = 0 then lost := lost || 'taken_by'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('taken_by', value);

        after := rowcast.fit_payload(after, lost);
    end if;

        end if;
        word := case when op = 'insert' then 'inserted' else 'updated' end;
        subject := new.id::text;
        if octet_length(subject) not between 1 and 1024 then
            subject := 'sha256:' || encode(sha256(convert_to(subject, getdatabaseencoding())), 'hex');
        end if;
        if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure('trading.snapshot_event(text,jsonb,jsonb)')) is not true then
            raise exception 'the map of % is gone, or belongs to a role that may not act as %: %',
                            tg_relid::regclass, quote_ident(current_user), 'trading.snapshot_event(text,jsonb,jsonb)'
                using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
        end if;
        select m.type::text as type, m.level::text as level, m.payload as payload from trading.snapshot_event(op, before, after) m into told;
        if told.type is not null and told.payload is not null then
            if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
            if (starts_with(told.type, 'snapshot.') and substr(told.type, 10) ~ '^[a-z0-9_]+$' and told.payload ?& '{id}'::text[]
                and (told.type = any ('{snapshot.deleted,snapshot.removed}'::text[])) = (op = 'delete')) is not true then
                raise exception 'the map of % breaks the promise of state_key: it made an event of type % of the operation %',
                                tg_relid::regclass, told.type, op
                    using errcode = 'data_exception', detail = 'The type of each event is one word behind snapshot.; those that remove a row, and no others, are snapshot.deleted, snapshot.removed; the payload holds id.';
            end if;
            insert into rowcast.events (type, level, payload, public_safe, symbol, trade_id, subject, owner)
            values (told.type, coalesce(told.level, 'info'), told.payload, 't', null, null, subject, null);
        end if;
    end if;
    return null;
end
$_$;

--
-- Name: FUNCTION rowcast_publish_snapshots(); Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON FUNCTION trading.rowcast_publish_snapshots() IS 'Made by rowcast.publish; goes with rowcast.unpublish.';

--
-- Name: rowcast_publish_trades(); Type: FUNCTION; Schema: trading; Owner: -
--

CREATE FUNCTION trading.rowcast_publish_trades() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET "IntervalStyle" TO 'iso_8601'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET array_nulls TO 'on'
    AS $_$
-- Written by rowcast.publish, form 3. Change it by publishing again.
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
    if op = 'truncate' and tg_when = 'BEFORE' then
        
        return null;
    elsif op = 'truncate' then
        insert into rowcast.events (type, public_safe) values ('trade.truncated', 't');
        return null;
    end if;
    if op = 'update' then
        moved := record_image_ne(row(old.id), row(new.id));
    end if;
    if op = 'delete' or moved or (op = 'update' and 't') then
        
    lost := '{}';
    begin
        large := 0 + coalesce(octet_length(old.client_order_id), 0) + coalesce(octet_length(old.symbol), 0) + coalesce(octet_length(old.side), 0) + coalesce(octet_length(old.status), 0) + coalesce(pg_column_size(old.quantity), 0) + coalesce(pg_column_size(old.entry_price), 0) + coalesce(pg_column_size(old.exit_price), 0) + coalesce(pg_column_size(old.fees), 0) + coalesce(pg_column_size(old.profit), 0) + coalesce(octet_length(old.reason), 0) + coalesce(octet_length(old.close_reason), 0) + coalesce(octet_length(old.opened_by), 0) > 131072;
        if not large then
            before := jsonb_build_object('id', to_jsonb(old.id), 'client_order_id', to_jsonb(old.client_order_id), 'symbol', to_jsonb(old.symbol), 'side', to_jsonb(old.side), 'status', to_jsonb(old.status), 'quantity', to_jsonb(old.quantity::text), 'entry_price', to_jsonb(old.entry_price::text), 'exit_price', to_jsonb(old.exit_price::text), 'fees', to_jsonb(old.fees::text), 'profit', to_jsonb(old.profit::text), 'reason', to_jsonb(old.reason), 'close_reason', to_jsonb(old.close_reason), 'opened_by', to_jsonb(old.opened_by), 'opened_at', to_jsonb(old.opened_at), 'closed_at', to_jsonb(old.closed_at));
            large := octet_length(before::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        before := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(pg_column_size(old.id), 0) <= 1048576 then
                value := to_jsonb(old.id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.id) = 0 then lost := lost || 'id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('id', value);

        value := null;
        begin
            if coalesce(octet_length(old.client_order_id), 0) <= 1048576 then
                value := to_jsonb(old.client_order_id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.client_order_id) = 0 then lost := lost || 'client_order_id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('client_order_id', value);

        value := null;
        begin
            if coalesce(octet_length(old.symbol), 0) <= 1048576 then
                value := to_jsonb(old.symbol);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.symbol) = 0 then lost := lost || 'symbol'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('symbol', value);

        value := null;
        begin
            if coalesce(octet_length(old.side), 0) <= 1048576 then
                value := to_jsonb(old.side);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.side) = 0 then lost := lost || 'side'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('side', value);

        value := null;
        begin
            if coalesce(octet_length(old.status), 0) <= 1048576 then
                value := to_jsonb(old.status);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.status) = 0 then lost := lost || 'status'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('status', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.quantity), 0) <= 1048576 then
                value := to_jsonb(old.quantity::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.quantity) = 0 then lost := lost || 'quantity'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('quantity', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.entry_price), 0) <= 1048576 then
                value := to_jsonb(old.entry_price::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.entry_price) = 0 then lost := lost || 'entry_price'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('entry_price', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.exit_price), 0) <= 1048576 then
                value := to_jsonb(old.exit_price::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.exit_price) = 0 then lost := lost || 'exit_price'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('exit_price', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.fees), 0) <= 1048576 then
                value := to_jsonb(old.fees::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.fees) = 0 then lost := lost || 'fees'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('fees', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.profit), 0) <= 1048576 then
                value := to_jsonb(old.profit::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.profit) = 0 then lost := lost || 'profit'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('profit', value);

        value := null;
        begin
            if coalesce(octet_length(old.reason), 0) <= 1048576 then
                value := to_jsonb(old.reason);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.reason) = 0 then lost := lost || 'reason'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('reason', value);

        value := null;
        begin
            if coalesce(octet_length(old.close_reason), 0) <= 1048576 then
                value := to_jsonb(old.close_reason);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.close_reason) = 0 then lost := lost || 'close_reason'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('close_reason', value);

        value := null;
        begin
            if coalesce(octet_length(old.opened_by), 0) <= 1048576 then
                value := to_jsonb(old.opened_by);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.opened_by) = 0 then lost := lost || 'opened_by'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('opened_by', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.opened_at), 0) <= 1048576 then
                value := to_jsonb(old.opened_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.opened_at) = 0 then lost := lost || 'opened_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('opened_at', value);

        value := null;
        begin
            if coalesce(pg_column_size(old.closed_at), 0) <= 1048576 then
                value := to_jsonb(old.closed_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(old.closed_at) = 0 then lost := lost || 'closed_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        before := before || jsonb_build_object('closed_at', value);

        before := rowcast.fit_payload(before, lost);
    end if;

    end if;
    if op <> 'delete' and not (moved and 't') then
        
    lost := '{}';
    begin
        large := 0 + coalesce(octet_length(new.client_order_id), 0) + coalesce(octet_length(new.symbol), 0) + coalesce(octet_length(new.side), 0) + coalesce(octet_length(new.status), 0) + coalesce(pg_column_size(new.quantity), 0) + coalesce(pg_column_size(new.entry_price), 0) + coalesce(pg_column_size(new.exit_price), 0) + coalesce(pg_column_size(new.fees), 0) + coalesce(pg_column_size(new.profit), 0) + coalesce(octet_length(new.reason), 0) + coalesce(octet_length(new.close_reason), 0) + coalesce(octet_length(new.opened_by), 0) > 131072;
        if not large then
            after := jsonb_build_object('id', to_jsonb(new.id), 'client_order_id', to_jsonb(new.client_order_id), 'symbol', to_jsonb(new.symbol), 'side', to_jsonb(new.side), 'status', to_jsonb(new.status), 'quantity', to_jsonb(new.quantity::text), 'entry_price', to_jsonb(new.entry_price::text), 'exit_price', to_jsonb(new.exit_price::text), 'fees', to_jsonb(new.fees::text), 'profit', to_jsonb(new.profit::text), 'reason', to_jsonb(new.reason), 'close_reason', to_jsonb(new.close_reason), 'opened_by', to_jsonb(new.opened_by), 'opened_at', to_jsonb(new.opened_at), 'closed_at', to_jsonb(new.closed_at));
            large := octet_length(after::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        after := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(pg_column_size(new.id), 0) <= 1048576 then
                value := to_jsonb(new.id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.id) = 0 then lost := lost || 'id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('id', value);

        value := null;
        begin
            if coalesce(octet_length(new.client_order_id), 0) <= 1048576 then
                value := to_jsonb(new.client_order_id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.client_order_id) = 0 then lost := lost || 'client_order_id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('client_order_id', value);

        value := null;
        begin
            if coalesce(octet_length(new.symbol), 0) <= 1048576 then
                value := to_jsonb(new.symbol);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.symbol) = 0 then lost := lost || 'symbol'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('symbol', value);

        value := null;
        begin
            if coalesce(octet_length(new.side), 0) <= 1048576 then
                value := to_jsonb(new.side);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.side) = 0 then lost := lost || 'side'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('side', value);

        value := null;
        begin
            if coalesce(octet_length(new.status), 0) <= 1048576 then
                value := to_jsonb(new.status);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.status) = 0 then lost := lost || 'status'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('status', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.quantity), 0) <= 1048576 then
                value := to_jsonb(new.quantity::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.quantity) = 0 then lost := lost || 'quantity'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('quantity', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.entry_price), 0) <= 1048576 then
                value := to_jsonb(new.entry_price::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.entry_price) = 0 then lost := lost || 'entry_price'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('entry_price', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.exit_price), 0) <= 1048576 then
                value := to_jsonb(new.exit_price::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.exit_price) = 0 then lost := lost || 'exit_price'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('exit_price', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.fees), 0) <= 1048576 then
                value := to_jsonb(new.fees::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.fees) = 0 then lost := lost || 'fees'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('fees', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.profit), 0) <= 1048576 then
                value := to_jsonb(new.profit::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.profit) = 0 then lost := lost || 'profit'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('profit', value);

        value := null;
        begin
            if coalesce(octet_length(new.reason), 0) <= 1048576 then
                value := to_jsonb(new.reason);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.reason) = 0 then lost := lost || 'reason'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('reason', value);

        value := null;
        begin
            if coalesce(octet_length(new.close_reason), 0) <= 1048576 then
                value := to_jsonb(new.close_reason);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.close_reason) = 0 then lost := lost || 'close_reason'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('close_reason', value);

        value := null;
        begin
            if coalesce(octet_length(new.opened_by), 0) <= 1048576 then
                value := to_jsonb(new.opened_by);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.opened_by) = 0 then lost := lost || 'opened_by'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('opened_by', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.opened_at), 0) <= 1048576 then
                value := to_jsonb(new.opened_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.opened_at) = 0 then lost := lost || 'opened_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('opened_at', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.closed_at), 0) <= 1048576 then
                value := to_jsonb(new.closed_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.closed_at) = 0 then lost := lost || 'closed_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('closed_at', value);

        after := rowcast.fit_payload(after, lost);
    end if;

    end if;
    if op = 'delete' or moved then
        op := 'delete';
        word := 'deleted';
        subject := old.id::text;
        if octet_length(subject) not between 1 and 1024 then
            subject := 'sha256:' || encode(sha256(convert_to(subject, getdatabaseencoding())), 'hex');
        end if;
        if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure('trading.trade_event(text,jsonb,jsonb)')) is not true then
            raise exception 'the map of % is gone, or belongs to a role that may not act as %: %',
                            tg_relid::regclass, quote_ident(current_user), 'trading.trade_event(text,jsonb,jsonb)'
                using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
        end if;
        select m.type::text as type, m.level::text as level, m.payload as payload from trading.trade_event(op, before, after) m into told;
        if told.type is not null and told.payload is not null then
            if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
            if (starts_with(told.type, 'trade.') and substr(told.type, 7) ~ '^[a-z0-9_]+$' and told.payload ?& '{id}'::text[]
                and (told.type = any ('{trade.deleted,trade.removed}'::text[])) = (op = 'delete')) is not true then
                raise exception 'the map of % breaks the promise of state_key: it made an event of type % of the operation %',
                                tg_relid::regclass, told.type, op
                    using errcode = 'data_exception', detail = 'The type of each event is one word behind trade.; those that remove a row, and no others, are trade.deleted, trade.removed; the payload holds id.';
            end if;
            insert into rowcast.events (type, level, payload, public_safe, symbol, trade_id, subject, owner)
            values (told.type, coalesce(told.level, 'info'), told.payload, 't', case when octet_length(old.symbol::text) between 1 and 64 then old.symbol::text end, old.id, subject, null);
        end if;
    end if;
    if tg_op <> 'DELETE' then
        if moved then
            op := 'insert';
            before := null;
    lost := '{}';
    begin
        large := 0 + coalesce(octet_length(new.client_order_id), 0) + coalesce(octet_length(new.symbol), 0) + coalesce(octet_length(new.side), 0) + coalesce(octet_length(new.status), 0) + coalesce(pg_column_size(new.quantity), 0) + coalesce(pg_column_size(new.entry_price), 0) + coalesce(pg_column_size(new.exit_price), 0) + coalesce(pg_column_size(new.fees), 0) + coalesce(pg_column_size(new.profit), 0) + coalesce(octet_length(new.reason), 0) + coalesce(octet_length(new.close_reason), 0) + coalesce(octet_length(new.opened_by), 0) > 131072;
        if not large then
            after := jsonb_build_object('id', to_jsonb(new.id), 'client_order_id', to_jsonb(new.client_order_id), 'symbol', to_jsonb(new.symbol), 'side', to_jsonb(new.side), 'status', to_jsonb(new.status), 'quantity', to_jsonb(new.quantity::text), 'entry_price', to_jsonb(new.entry_price::text), 'exit_price', to_jsonb(new.exit_price::text), 'fees', to_jsonb(new.fees::text), 'profit', to_jsonb(new.profit::text), 'reason', to_jsonb(new.reason), 'close_reason', to_jsonb(new.close_reason), 'opened_by', to_jsonb(new.opened_by), 'opened_at', to_jsonb(new.opened_at), 'closed_at', to_jsonb(new.closed_at));
            large := octet_length(after::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        after := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(pg_column_size(new.id), 0) <= 1048576 then
                value := to_jsonb(new.id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.id) = 0 then lost := lost || 'id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('id', value);

        value := null;
        begin
            if coalesce(octet_length(new.client_order_id), 0) <= 1048576 then
                value := to_jsonb(new.client_order_id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.client_order_id) = 0 then lost := lost || 'client_order_id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('client_order_id', value);

        value := null;
        begin
            if coalesce(octet_length(new.symbol), 0) <= 1048576 then
                value := to_jsonb(new.symbol);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.symbol) = 0 then lost := lost || 'symbol'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('symbol', value);

        value := null;
        begin
            if coalesce(octet_length(new.side), 0) <= 1048576 then
                value := to_jsonb(new.side);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.side) = 0 then lost := lost || 'side'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('side', value);

        value := null;
        begin
            if coalesce(octet_length(new.status), 0) <= 1048576 then
                value := to_jsonb(new.status);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.status) = 0 then lost := lost || 'status'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('status', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.quantity), 0) <= 1048576 then
                value := to_jsonb(new.quantity::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.quantity) = 0 then lost := lost || 'quantity'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('quantity', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.entry_price), 0) <= 1048576 then
                value := to_jsonb(new.entry_price::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.entry_price) = 0 then lost := lost || 'entry_price'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('entry_price', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.exit_price), 0) <= 1048576 then
                value := to_jsonb(new.exit_price::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.exit_price) = 0 then lost := lost || 'exit_price'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('exit_price', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.fees), 0) <= 1048576 then
                value := to_jsonb(new.fees::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.fees) = 0 then lost := lost || 'fees'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('fees', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.profit), 0) <= 1048576 then
                value := to_jsonb(new.profit::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.profit) = 0 then lost := lost || 'profit'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('profit', value);

        value := null;
        begin
            if coalesce(octet_length(new.reason), 0) <= 1048576 then
                value := to_jsonb(new.reason);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.reason) = 0 then lost := lost || 'reason'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('reason', value);

        value := null;
        begin
            if coalesce(octet_length(new.close_reason), 0) <= 1048576 then
                value := to_jsonb(new.close_reason);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.close_reason) = 0 then lost := lost || 'close_reason'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('close_reason', value);

        value := null;
        begin
            if coalesce(octet_length(new.opened_by), 0) <= 1048576 then
                value := to_jsonb(new.opened_by);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.opened_by) = 0 then lost := lost || 'opened_by'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('opened_by', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.opened_at), 0) <= 1048576 then
                value := to_jsonb(new.opened_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.opened_at) = 0 then lost := lost || 'opened_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('opened_at', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.closed_at), 0) <= 1048576 then
                value := to_jsonb(new.closed_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.closed_at) = 0 then lost := lost || 'closed_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('closed_at', value);

        after := rowcast.fit_payload(after, lost);
    end if;

        end if;
        word := case when op = 'insert' then 'inserted' else 'updated' end;
        subject := new.id::text;
        if octet_length(subject) not between 1 and 1024 then
            subject := 'sha256:' || encode(sha256(convert_to(subject, getdatabaseencoding())), 'hex');
        end if;
        if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure('trading.trade_event(text,jsonb,jsonb)')) is not true then
            raise exception 'the map of % is gone, or belongs to a role that may not act as %: %',
                            tg_relid::regclass, quote_ident(current_user), 'trading.trade_event(text,jsonb,jsonb)'
                using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
        end if;
        select m.type::text as type, m.level::text as level, m.payload as payload from trading.trade_event(op, before, after) m into told;
        if told.type is not null and told.payload is not null then
            if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
            if (starts_with(told.type, 'trade.') and substr(told.type, 7) ~ '^[a-z0-9_]+$' and told.payload ?& '{id}'::text[]
                and (told.type = any ('{trade.deleted,trade.removed}'::text[])) = (op = 'delete')) is not true then
                raise exception 'the map of % breaks the promise of state_key: it made an event of type % of the operation %',
                                tg_relid::regclass, told.type, op
                    using errcode = 'data_exception', detail = 'The type of each event is one word behind trade.; those that remove a row, and no others, are trade.deleted, trade.removed; the payload holds id.';
            end if;
            insert into rowcast.events (type, level, payload, public_safe, symbol, trade_id, subject, owner)
            values (told.type, coalesce(told.level, 'info'), told.payload, 't', case when octet_length(new.symbol::text) between 1 and 64 then new.symbol::text end, new.id, subject, null);
        end if;
    end if;
    return null;
end
$_$;

--
-- Name: FUNCTION rowcast_publish_trades(); Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON FUNCTION trading.rowcast_publish_trades() IS 'Made by rowcast.publish; goes with rowcast.unpublish.';

--
-- Name: rowcast_row_config(record); Type: FUNCTION; Schema: trading; Owner: -
--

CREATE FUNCTION trading.rowcast_row_config(new record) RETURNS text[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET "IntervalStyle" TO 'iso_8601'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET array_nulls TO 'on'
    AS $$
-- Written by rowcast.publish, form 3. Change it by publishing again.
#variable_conflict use_variable
declare
    op       text := 'insert';
    before   jsonb;
    after    jsonb;
    told     record;
    lost     text[];
    value    jsonb;
    large    boolean;
    room     bigint;
    tg_relid oid;
begin
    
    lost := '{}';
    begin
        large := 0 + coalesce(octet_length(new.key), 0) + coalesce(pg_column_size(new.value), 0) + coalesce(octet_length(new.updated_by), 0) > 131072;
        if not large then
            after := jsonb_build_object('key', to_jsonb(new.key), 'value', to_jsonb(new.value), 'version', to_jsonb(new.version), 'updated_at', to_jsonb(new.updated_at), 'updated_by', to_jsonb(new.updated_by));
            large := octet_length(after::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        after := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(octet_length(new.key), 0) <= 1048576 then
                value := to_jsonb(new.key);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.key) = 0 then lost := lost || 'key'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('key', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.value), 0) <= 1048576 then
                value := to_jsonb(new.value);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.value) = 0 then lost := lost || 'value'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('value', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.version), 0) <= 1048576 then
                value := to_jsonb(new.version);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.version) = 0 then lost := lost || 'version'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('version', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.updated_at), 0) <= 1048576 then
                value := to_jsonb(new.updated_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.updated_at) = 0 then lost := lost || 'updated_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('updated_at', value);

        value := null;
        begin
            if coalesce(octet_length(new.updated_by), 0) <= 1048576 then
                value := to_jsonb(new.updated_by);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.updated_by) = 0 then lost := lost || 'updated_by'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('updated_by', value);

        after := rowcast.fit_payload(after, lost);
    end if;

    
    if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure('trading.config_event(text,jsonb,jsonb)')) is not true then
        raise exception 'the map % is gone, or belongs to a role that may not act as %', 'trading.config_event(text,jsonb,jsonb)', quote_ident(current_user)
            using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
    end if;
    select m.type::text as type, m.level::text as level, m.payload as payload from trading.config_event(op, before, after) m into told;
    if told.type is null or told.payload is null then return null; end if;
    if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
    return array[told.type, told.payload::text];
end
$$;

--
-- Name: FUNCTION rowcast_row_config(new record); Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON FUNCTION trading.rowcast_row_config(new record) IS 'Made by rowcast.publish; goes with rowcast.unpublish.';

--
-- Name: rowcast_row_orders(record); Type: FUNCTION; Schema: trading; Owner: -
--

CREATE FUNCTION trading.rowcast_row_orders(new record) RETURNS text[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET "IntervalStyle" TO 'iso_8601'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET array_nulls TO 'on'
    AS $$
-- Written by rowcast.publish, form 3. Change it by publishing again.
#variable_conflict use_variable
declare
    op       text := 'insert';
    before   jsonb;
    after    jsonb;
    told     record;
    lost     text[];
    value    jsonb;
    large    boolean;
    room     bigint;
    tg_relid oid;
begin
    
    lost := '{}';
    begin
        large := 0 + coalesce(octet_length(new.client_order_id), 0) + coalesce(octet_length(new.symbol), 0) + coalesce(octet_length(new.side), 0) + coalesce(octet_length(new.type), 0) + coalesce(octet_length(new.status), 0) + coalesce(pg_column_size(new.quantity), 0) + coalesce(pg_column_size(new.limit_price), 0) + coalesce(pg_column_size(new.filled_quantity), 0) + coalesce(pg_column_size(new.average_price), 0) + coalesce(pg_column_size(new.fees), 0) + coalesce(octet_length(new.reject_reason), 0) + coalesce(octet_length(new.placed_by), 0) > 131072;
        if not large then
            after := jsonb_build_object('id', to_jsonb(new.id), 'client_order_id', to_jsonb(new.client_order_id), 'trade_id', to_jsonb(new.trade_id), 'symbol', to_jsonb(new.symbol), 'side', to_jsonb(new.side), 'type', to_jsonb(new.type), 'status', to_jsonb(new.status), 'quantity', to_jsonb(new.quantity::text), 'limit_price', to_jsonb(new.limit_price::text), 'filled_quantity', to_jsonb(new.filled_quantity::text), 'average_price', to_jsonb(new.average_price::text), 'fees', to_jsonb(new.fees::text), 'reject_reason', to_jsonb(new.reject_reason), 'placed_by', to_jsonb(new.placed_by), 'created_at', to_jsonb(new.created_at), 'updated_at', to_jsonb(new.updated_at));
            large := octet_length(after::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        after := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(pg_column_size(new.id), 0) <= 1048576 then
                value := to_jsonb(new.id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.id) = 0 then lost := lost || 'id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('id', value);

        value := null;
        begin
            if coalesce(octet_length(new.client_order_id), 0) <= 1048576 then
                value := to_jsonb(new.client_order_id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.client_order_id) = 0 then lost := lost || 'client_order_id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('client_order_id', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.trade_id), 0) <= 1048576 then
                value := to_jsonb(new.trade_id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.trade_id) = 0 then lost := lost || 'trade_id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('trade_id', value);

        value := null;
        begin
            if coalesce(octet_length(new.symbol), 0) <= 1048576 then
                value := to_jsonb(new.symbol);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.symbol) = 0 then lost := lost || 'symbol'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('symbol', value);

        value := null;
        begin
            if coalesce(octet_length(new.side), 0) <= 1048576 then
                value := to_jsonb(new.side);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.side) = 0 then lost := lost || 'side'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('side', value);

        value := null;
        begin
            if coalesce(octet_length(new.type), 0) <= 1048576 then
                value := to_jsonb(new.type);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.type) = 0 then lost := lost || 'type'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('type', value);

        value := null;
        begin
            if coalesce(octet_length(new.status), 0) <= 1048576 then
                value := to_jsonb(new.status);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.status) = 0 then lost := lost || 'status'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('status', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.quantity), 0) <= 1048576 then
                value := to_jsonb(new.quantity::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.quantity) = 0 then lost := lost || 'quantity'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('quantity', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.limit_price), 0) <= 1048576 then
                value := to_jsonb(new.limit_price::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.limit_price) = 0 then lost := lost || 'limit_price'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('limit_price', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.filled_quantity), 0) <= 1048576 then
                value := to_jsonb(new.filled_quantity::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.filled_quantity) = 0 then lost := lost || 'filled_quantity'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('filled_quantity', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.average_price), 0) <= 1048576 then
                value := to_jsonb(new.average_price::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.average_price) = 0 then lost := lost || 'average_price'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('average_price', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.fees), 0) <= 1048576 then
                value := to_jsonb(new.fees::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.fees) = 0 then lost := lost || 'fees'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('fees', value);

        value := null;
        begin
            if coalesce(octet_length(new.reject_reason), 0) <= 1048576 then
                value := to_jsonb(new.reject_reason);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.reject_reason) = 0 then lost := lost || 'reject_reason'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('reject_reason', value);

        value := null;
        begin
            if coalesce(octet_length(new.placed_by), 0) <= 1048576 then
                value := to_jsonb(new.placed_by);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.placed_by) = 0 then lost := lost || 'placed_by'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('placed_by', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.created_at), 0) <= 1048576 then
                value := to_jsonb(new.created_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.created_at) = 0 then lost := lost || 'created_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('created_at', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.updated_at), 0) <= 1048576 then
                value := to_jsonb(new.updated_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.updated_at) = 0 then lost := lost || 'updated_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('updated_at', value);

        after := rowcast.fit_payload(after, lost);
    end if;

    
    if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure('trading.order_event(text,jsonb,jsonb)')) is not true then
        raise exception 'the map % is gone, or belongs to a role that may not act as %', 'trading.order_event(text,jsonb,jsonb)', quote_ident(current_user)
            using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
    end if;
    select m.type::text as type, m.level::text as level, m.payload as payload from trading.order_event(op, before, after) m into told;
    if told.type is null or told.payload is null then return null; end if;
    if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
    return array[told.type, told.payload::text];
end
$$;

--
-- Name: FUNCTION rowcast_row_orders(new record); Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON FUNCTION trading.rowcast_row_orders(new record) IS 'Made by rowcast.publish; goes with rowcast.unpublish.';

--
-- Name: rowcast_row_snapshots(record); Type: FUNCTION; Schema: trading; Owner: -
--

CREATE FUNCTION trading.rowcast_row_snapshots(new record) RETURNS text[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET "IntervalStyle" TO 'iso_8601'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET array_nulls TO 'on'
    AS $$
-- Written by rowcast.publish, form 3. Change it by publishing again.
#variable_conflict use_variable
declare
    op       text := 'insert';
    before   jsonb;
    after    jsonb;
    told     record;
    lost     text[];
    value    jsonb;
    large    boolean;
    room     bigint;
    tg_relid oid;
begin
    
    lost := '{}';
    begin
        large := 0 + coalesce(pg_column_size(new.equity), 0) + coalesce(pg_column_size(new.cash), 0) + coalesce(pg_column_size(new.unrealized_profit), 0) + coalesce(pg_column_size(new.positions), 0) + coalesce(octet_length(new.taken_by), 0) > 131072;
        if not large then
            after := jsonb_build_object('id', to_jsonb(new.id), 'taken_at', to_jsonb(new.taken_at), 'equity', to_jsonb(new.equity::text), 'cash', to_jsonb(new.cash::text), 'unrealized_profit', to_jsonb(new.unrealized_profit::text), 'positions', to_jsonb(new.positions), 'taken_by', to_jsonb(new.taken_by));
            large := octet_length(after::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        after := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(pg_column_size(new.id), 0) <= 1048576 then
                value := to_jsonb(new.id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.id) = 0 then lost := lost || 'id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('id', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.taken_at), 0) <= 1048576 then
                value := to_jsonb(new.taken_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.taken_at) = 0 then lost := lost || 'taken_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('taken_at', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.equity), 0) <= 1048576 then
                value := to_jsonb(new.equity::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.equity) = 0 then lost := lost || 'equity'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('equity', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.cash), 0) <= 1048576 then
                value := to_jsonb(new.cash::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.cash) = 0 then lost := lost || 'cash'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('cash', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.unrealized_profit), 0) <= 1048576 then
                value := to_jsonb(new.unrealized_profit::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.unrealized_profit) = 0 then lost := lost || 'unrealized_profit'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('unrealized_profit', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.positions), 0) <= 1048576 then
                value := to_jsonb(new.positions);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.positions) = 0 then lost := lost || 'positions'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('positions', value);

        value := null;
        begin
            if coalesce(octet_length(new.taken_by), 0) <= 1048576 then
                value := to_jsonb(new.taken_by);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.taken_by) = 0 then lost := lost || 'taken_by'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('taken_by', value);

        after := rowcast.fit_payload(after, lost);
    end if;

    
    if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure('trading.snapshot_event(text,jsonb,jsonb)')) is not true then
        raise exception 'the map % is gone, or belongs to a role that may not act as %', 'trading.snapshot_event(text,jsonb,jsonb)', quote_ident(current_user)
            using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
    end if;
    select m.type::text as type, m.level::text as level, m.payload as payload from trading.snapshot_event(op, before, after) m into told;
    if told.type is null or told.payload is null then return null; end if;
    if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
    return array[told.type, told.payload::text];
end
$$;

--
-- Name: FUNCTION rowcast_row_snapshots(new record); Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON FUNCTION trading.rowcast_row_snapshots(new record) IS 'Made by rowcast.publish; goes with rowcast.unpublish.';

--
-- Name: rowcast_row_trades(record); Type: FUNCTION; Schema: trading; Owner: -
--

CREATE FUNCTION trading.rowcast_row_trades(new record) RETURNS text[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET "IntervalStyle" TO 'iso_8601'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET array_nulls TO 'on'
    AS $$
-- Written by rowcast.publish, form 3. Change it by publishing again.
#variable_conflict use_variable
declare
    op       text := 'insert';
    before   jsonb;
    after    jsonb;
    told     record;
    lost     text[];
    value    jsonb;
    large    boolean;
    room     bigint;
    tg_relid oid;
begin
    
    lost := '{}';
    begin
        large := 0 + coalesce(octet_length(new.client_order_id), 0) + coalesce(octet_length(new.symbol), 0) + coalesce(octet_length(new.side), 0) + coalesce(octet_length(new.status), 0) + coalesce(pg_column_size(new.quantity), 0) + coalesce(pg_column_size(new.entry_price), 0) + coalesce(pg_column_size(new.exit_price), 0) + coalesce(pg_column_size(new.fees), 0) + coalesce(pg_column_size(new.profit), 0) + coalesce(octet_length(new.reason), 0) + coalesce(octet_length(new.close_reason), 0) + coalesce(octet_length(new.opened_by), 0) > 131072;
        if not large then
            after := jsonb_build_object('id', to_jsonb(new.id), 'client_order_id', to_jsonb(new.client_order_id), 'symbol', to_jsonb(new.symbol), 'side', to_jsonb(new.side), 'status', to_jsonb(new.status), 'quantity', to_jsonb(new.quantity::text), 'entry_price', to_jsonb(new.entry_price::text), 'exit_price', to_jsonb(new.exit_price::text), 'fees', to_jsonb(new.fees::text), 'profit', to_jsonb(new.profit::text), 'reason', to_jsonb(new.reason), 'close_reason', to_jsonb(new.close_reason), 'opened_by', to_jsonb(new.opened_by), 'opened_at', to_jsonb(new.opened_at), 'closed_at', to_jsonb(new.closed_at));
            large := octet_length(after::text) > 262144;
        end if;
    exception
        when undefined_column then
            raise exception 'a published column of % is gone or has another name: %', tg_relid::regclass, sqlerrm
                using errcode = 'undefined_column',
                      hint = 'Publish the table again, in the transaction that renames the column.';
        when others then large := true;
    end;
    if large then
        after := '{}';
        room := 16777216;

        value := null;
        begin
            if coalesce(pg_column_size(new.id), 0) <= 1048576 then
                value := to_jsonb(new.id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.id) = 0 then lost := lost || 'id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('id', value);

        value := null;
        begin
            if coalesce(octet_length(new.client_order_id), 0) <= 1048576 then
                value := to_jsonb(new.client_order_id);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.client_order_id) = 0 then lost := lost || 'client_order_id'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('client_order_id', value);

        value := null;
        begin
            if coalesce(octet_length(new.symbol), 0) <= 1048576 then
                value := to_jsonb(new.symbol);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.symbol) = 0 then lost := lost || 'symbol'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('symbol', value);

        value := null;
        begin
            if coalesce(octet_length(new.side), 0) <= 1048576 then
                value := to_jsonb(new.side);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.side) = 0 then lost := lost || 'side'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('side', value);

        value := null;
        begin
            if coalesce(octet_length(new.status), 0) <= 1048576 then
                value := to_jsonb(new.status);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.status) = 0 then lost := lost || 'status'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('status', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.quantity), 0) <= 1048576 then
                value := to_jsonb(new.quantity::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.quantity) = 0 then lost := lost || 'quantity'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('quantity', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.entry_price), 0) <= 1048576 then
                value := to_jsonb(new.entry_price::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.entry_price) = 0 then lost := lost || 'entry_price'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('entry_price', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.exit_price), 0) <= 1048576 then
                value := to_jsonb(new.exit_price::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.exit_price) = 0 then lost := lost || 'exit_price'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('exit_price', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.fees), 0) <= 1048576 then
                value := to_jsonb(new.fees::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.fees) = 0 then lost := lost || 'fees'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('fees', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.profit), 0) <= 1048576 then
                value := to_jsonb(new.profit::text);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.profit) = 0 then lost := lost || 'profit'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('profit', value);

        value := null;
        begin
            if coalesce(octet_length(new.reason), 0) <= 1048576 then
                value := to_jsonb(new.reason);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.reason) = 0 then lost := lost || 'reason'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('reason', value);

        value := null;
        begin
            if coalesce(octet_length(new.close_reason), 0) <= 1048576 then
                value := to_jsonb(new.close_reason);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.close_reason) = 0 then lost := lost || 'close_reason'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('close_reason', value);

        value := null;
        begin
            if coalesce(octet_length(new.opened_by), 0) <= 1048576 then
                value := to_jsonb(new.opened_by);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.opened_by) = 0 then lost := lost || 'opened_by'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('opened_by', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.opened_at), 0) <= 1048576 then
                value := to_jsonb(new.opened_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.opened_at) = 0 then lost := lost || 'opened_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('opened_at', value);

        value := null;
        begin
            if coalesce(pg_column_size(new.closed_at), 0) <= 1048576 then
                value := to_jsonb(new.closed_at);
                if octet_length(value::text) > 262144 or room < 0 then value := null; end if;
            end if;
        exception when others then value := null;
        end;
        if value is null and num_nulls(new.closed_at) = 0 then lost := lost || 'closed_at'::text; end if;
        room := room - coalesce(octet_length(value::text), 4);
        after := after || jsonb_build_object('closed_at', value);

        after := rowcast.fit_payload(after, lost);
    end if;

    
    if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure('trading.trade_event(text,jsonb,jsonb)')) is not true then
        raise exception 'the map % is gone, or belongs to a role that may not act as %', 'trading.trade_event(text,jsonb,jsonb)', quote_ident(current_user)
            using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
    end if;
    select m.type::text as type, m.level::text as level, m.payload as payload from trading.trade_event(op, before, after) m into told;
    if told.type is null or told.payload is null then return null; end if;
    if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
    return array[told.type, told.payload::text];
end
$$;

--
-- Name: FUNCTION rowcast_row_trades(new record); Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON FUNCTION trading.rowcast_row_trades(new record) IS 'Made by rowcast.publish; goes with rowcast.unpublish.';

--
-- Name: rowcast_rows_config(regclass, refcursor, text, integer); Type: FUNCTION; Schema: trading; Owner: -
--

CREATE FUNCTION trading.rowcast_rows_config(source regclass, opened refcursor, owned_by text, many integer) RETURNS TABLE(subject text, owner text, type text, payload text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET cursor_tuple_fraction TO '1'
    SET row_security TO 'off'
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET "IntervalStyle" TO 'iso_8601'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET array_nulls TO 'on'
    AS $_$
-- Written by rowcast.publish, form 3. Change it by publishing again.
declare
    place refcursor := opened;
begin
    if many is null then
        if not exists (select from pg_trigger t join pg_proc p on p.oid = t.tgfoid
                        where t.tgrelid = source and t.tgname = 'rowcast_publish_write' and p.proname = 'rowcast_publish_config'
                          and pg_has_role(current_user, p.proowner, 'usage')) then
            raise exception '% is not published by this function', source using errcode = 'wrong_object_type';
        end if;
        open place no scroll for execute 'select case when octet_length(q.subject) between 1 and 1024 then q.subject else ''sha256:'' || encode(sha256(convert_to(q.subject, getdatabaseencoding())), ''hex'') end, q.owner, q.rendered[1], q.rendered[2] from (select t.key::text as subject, null::text as owner, trading.rowcast_row_config(t) as rendered from only ' || source || ' as t where $1 is null or false offset 0) as q where q.rendered is not null' using owned_by;
    end if;
    for i in 1 .. coalesce(many, 0) loop
        fetch place into subject, owner, type, payload;
        exit when not found;
        return next;
    end loop;
end
$_$;

--
-- Name: FUNCTION rowcast_rows_config(source regclass, opened refcursor, owned_by text, many integer); Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON FUNCTION trading.rowcast_rows_config(source regclass, opened refcursor, owned_by text, many integer) IS 'Made by rowcast.publish; goes with rowcast.unpublish.';

--
-- Name: rowcast_rows_orders(regclass, refcursor, text, integer); Type: FUNCTION; Schema: trading; Owner: -
--

CREATE FUNCTION trading.rowcast_rows_orders(source regclass, opened refcursor, owned_by text, many integer) RETURNS TABLE(subject text, owner text, type text, payload text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET cursor_tuple_fraction TO '1'
    SET row_security TO 'off'
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET "IntervalStyle" TO 'iso_8601'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET array_nulls TO 'on'
    AS $_$
-- Written by rowcast.publish, form 3. Change it by publishing again.
declare
    place refcursor := opened;
begin
    if many is null then
        if not exists (select from pg_trigger t join pg_proc p on p.oid = t.tgfoid
                        where t.tgrelid = source and t.tgname = 'rowcast_publish_write' and p.proname = 'rowcast_publish_orders'
                          and pg_has_role(current_user, p.proowner, 'usage')) then
            raise exception '% is not published by this function', source using errcode = 'wrong_object_type';
        end if;
        open place no scroll for execute 'select case when octet_length(q.subject) between 1 and 1024 then q.subject else ''sha256:'' || encode(sha256(convert_to(q.subject, getdatabaseencoding())), ''hex'') end, q.owner, q.rendered[1], q.rendered[2] from (select t.id::text as subject, null::text as owner, trading.rowcast_row_orders(t) as rendered from only ' || source || ' as t where $1 is null or false offset 0) as q where q.rendered is not null' using owned_by;
    end if;
    for i in 1 .. coalesce(many, 0) loop
        fetch place into subject, owner, type, payload;
        exit when not found;
        return next;
    end loop;
end
$_$;

--
-- Name: FUNCTION rowcast_rows_orders(source regclass, opened refcursor, owned_by text, many integer); Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON FUNCTION trading.rowcast_rows_orders(source regclass, opened refcursor, owned_by text, many integer) IS 'Made by rowcast.publish; goes with rowcast.unpublish.';

--
-- Name: rowcast_rows_snapshots(regclass, refcursor, text, integer); Type: FUNCTION; Schema: trading; Owner: -
--

CREATE FUNCTION trading.rowcast_rows_snapshots(source regclass, opened refcursor, owned_by text, many integer) RETURNS TABLE(subject text, owner text, type text, payload text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET cursor_tuple_fraction TO '1'
    SET row_security TO 'off'
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET "IntervalStyle" TO 'iso_8601'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET array_nulls TO 'on'
    AS $_$
-- Written by rowcast.publish, form 3. Change it by publishing again.
declare
    place refcursor := opened;
begin
    if many is null then
        if not exists (select from pg_trigger t join pg_proc p on p.oid = t.tgfoid
                        where t.tgrelid = source and t.tgname = 'rowcast_publish_write' and p.proname = 'rowcast_publish_snapshots'
                          and pg_has_role(current_user, p.proowner, 'usage')) then
            raise exception '% is not published by this function', source using errcode = 'wrong_object_type';
        end if;
        open place no scroll for execute 'select case when octet_length(q.subject) between 1 and 1024 then q.subject else ''sha256:'' || encode(sha256(convert_to(q.subject, getdatabaseencoding())), ''hex'') end, q.owner, q.rendered[1], q.rendered[2] from (select t.id::text as subject, null::text as owner, trading.rowcast_row_snapshots(t) as rendered from only ' || source || ' as t where $1 is null or false offset 0) as q where q.rendered is not null' using owned_by;
    end if;
    for i in 1 .. coalesce(many, 0) loop
        fetch place into subject, owner, type, payload;
        exit when not found;
        return next;
    end loop;
end
$_$;

--
-- Name: FUNCTION rowcast_rows_snapshots(source regclass, opened refcursor, owned_by text, many integer); Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON FUNCTION trading.rowcast_rows_snapshots(source regclass, opened refcursor, owned_by text, many integer) IS 'Made by rowcast.publish; goes with rowcast.unpublish.';

--
-- Name: rowcast_rows_trades(regclass, refcursor, text, integer); Type: FUNCTION; Schema: trading; Owner: -
--

CREATE FUNCTION trading.rowcast_rows_trades(source regclass, opened refcursor, owned_by text, many integer) RETURNS TABLE(subject text, owner text, type text, payload text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET cursor_tuple_fraction TO '1'
    SET row_security TO 'off'
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET "IntervalStyle" TO 'iso_8601'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET array_nulls TO 'on'
    AS $_$
-- Written by rowcast.publish, form 3. Change it by publishing again.
declare
    place refcursor := opened;
begin
    if many is null then
        if not exists (select from pg_trigger t join pg_proc p on p.oid = t.tgfoid
                        where t.tgrelid = source and t.tgname = 'rowcast_publish_write' and p.proname = 'rowcast_publish_trades'
                          and pg_has_role(current_user, p.proowner, 'usage')) then
            raise exception '% is not published by this function', source using errcode = 'wrong_object_type';
        end if;
        open place no scroll for execute 'select case when octet_length(q.subject) between 1 and 1024 then q.subject else ''sha256:'' || encode(sha256(convert_to(q.subject, getdatabaseencoding())), ''hex'') end, q.owner, q.rendered[1], q.rendered[2] from (select t.id::text as subject, null::text as owner, trading.rowcast_row_trades(t) as rendered from only ' || source || ' as t where $1 is null or false offset 0) as q where q.rendered is not null' using owned_by;
    end if;
    for i in 1 .. coalesce(many, 0) loop
        fetch place into subject, owner, type, payload;
        exit when not found;
        return next;
    end loop;
end
$_$;

--
-- Name: FUNCTION rowcast_rows_trades(source regclass, opened refcursor, owned_by text, many integer); Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON FUNCTION trading.rowcast_rows_trades(source regclass, opened refcursor, owned_by text, many integer) IS 'Made by rowcast.publish; goes with rowcast.unpublish.';

--
-- Name: snapshot_event(text, jsonb, jsonb); Type: FUNCTION; Schema: trading; Owner: -
--

CREATE FUNCTION trading.snapshot_event(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb) RETURNS record
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select case op when 'insert' then 'snapshot.taken' when 'update' then 'snapshot.updated' else 'snapshot.deleted' end,
           case op when 'insert' then 'info' else 'warn' end,
           coalesce(new, old)
$$;

--
-- Name: FUNCTION snapshot_event(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb); Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON FUNCTION trading.snapshot_event(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb) IS 'What a change of trading.snapshots is called on the stream.';

--
-- Name: trade_event(text, jsonb, jsonb); Type: FUNCTION; Schema: trading; Owner: -
--

CREATE FUNCTION trading.trade_event(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb) RETURNS record
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select case
               when op = 'delete' then 'trade.deleted'
               when new ->> 'status' = 'closed' and (op = 'insert' or old ->> 'status' = 'open') then 'trade.closed'
               when op = 'insert' then 'trade.opened'
               else 'trade.updated'
           end,
           case when op = 'insert' or new ->> 'status' = 'closed' then 'info' else 'warn' end,
           coalesce(new, old)
$$;

--
-- Name: FUNCTION trade_event(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb); Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON FUNCTION trading.trade_event(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb) IS 'What a change of trading.trades is called on the stream.';

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
    owner text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT "closed_at must lie in the years 1 to 9999, in UTC" CHECK (rowcast.time_fits(closed_at)),
    CONSTRAINT conversations_closed_has_time CHECK (((status = 'closed'::text) = (closed_at IS NOT NULL))),
    CONSTRAINT conversations_owner_check CHECK (((octet_length(owner) >= 1) AND (octet_length(owner) <= 256))),
    CONSTRAINT conversations_status_check CHECK ((status = ANY (ARRAY['open'::text, 'closed'::text]))),
    CONSTRAINT conversations_times_check CHECK ((closed_at >= opened_at)),
    CONSTRAINT "opened_at must lie in the years 1 to 9999, in UTC" CHECK (rowcast.time_fits(opened_at))
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
    CONSTRAINT "created_at must lie in the years 1 to 9999, in UTC" CHECK (rowcast.time_fits(created_at)),
    CONSTRAINT speakers_bot_has_name CHECK (((kind <> 'bot'::text) OR (name IS NOT NULL))),
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
    owner text NOT NULL COLLATE pg_catalog."C",
    answers uuid,
    final boolean DEFAULT true NOT NULL,
    outcome text COLLATE pg_catalog."C",
    key text COLLATE pg_catalog."C",
    speaker_name text,
    CONSTRAINT "said_at must lie in the years 1 to 9999, in UTC" CHECK (rowcast.time_fits(said_at)),
    CONSTRAINT utterances_key_check CHECK (((octet_length(key) >= 1) AND (octet_length(key) <= 256))),
    CONSTRAINT utterances_only_answers_have_parts CHECK ((final OR (answers IS NOT NULL))),
    CONSTRAINT utterances_outcome_check CHECK ((outcome = ANY (ARRAY['answered'::text, 'timeout'::text, 'failed'::text]))),
    CONSTRAINT utterances_owner_check CHECK (((octet_length(owner) >= 1) AND (octet_length(owner) <= 256))),
    CONSTRAINT utterances_position_check CHECK (("position" >= 1)),
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
    ARRAY( SELECT c_1.name
           FROM jsonb_array_elements_text((s.settings -> 'columns'::text)) WITH ORDINALITY c_1(name, "position")
          ORDER BY c_1."position") AS columns,
    (s.settings ->> 'subject_column'::text) AS subject_column,
    (s.settings ->> 'owner_column'::text) AS owner_column,
    (s.settings ->> 'symbol_column'::text) AS symbol_column,
    (s.settings ->> 'trade_id_column'::text) AS trade_id_column,
    (s.settings ->> 'map'::text) AS map,
    (s.settings @> '{"public_safe": true}'::jsonb) AS public_safe,
    (s.settings @> '{"force": true}'::jsonb) AS force,
        CASE jsonb_typeof((s.settings -> 'state_key'::text))
            WHEN 'array'::text THEN ARRAY( SELECT jsonb_array_elements_text((s.settings -> 'state_key'::text)) AS jsonb_array_elements_text)
            ELSE NULL::text[]
        END AS state_key,
    (((s.settings -> 'state_key'::text) IS NOT NULL) AND ((s.settings -> 'state_key'::text) <> 'null'::jsonb)) AS has_state,
        CASE jsonb_typeof((s.settings -> 'removed_types'::text))
            WHEN 'array'::text THEN ARRAY( SELECT jsonb_array_elements_text((s.settings -> 'removed_types'::text)) AS jsonb_array_elements_text)
            ELSE NULL::text[]
        END AS removed_types,
        CASE jsonb_typeof((s.settings -> 'keys'::text))
            WHEN 'array'::text THEN ARRAY( SELECT jsonb_array_elements_text((s.settings -> 'keys'::text)) AS jsonb_array_elements_text)
            ELSE NULL::text[]
        END AS subject_keys
   FROM (((pg_trigger t
     JOIN pg_class c ON ((c.oid = t.tgrelid)))
     JOIN pg_proc p ON ((p.oid = t.tgfoid)))
     CROSS JOIN LATERAL ( SELECT rowcast.publish_settings(t.tgargs) AS publish_settings) s(settings))
  WHERE ((t.tgname = 'rowcast_publish_write'::name) AND (t.tgparentid = (0)::oid) AND (NOT t.tgisinternal) AND (s.settings IS NOT NULL) AND (c.relpersistence <> 't'::"char") AND starts_with((p.proname)::text, 'rowcast_publish_'::text) AND p.prosecdef AND has_schema_privilege(p.proowner, 'rowcast'::text, 'usage'::text) AND has_column_privilege(p.proowner, 'rowcast.events'::text, 'type'::text, 'insert'::text));

--
-- Name: VIEW published; Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON VIEW rowcast.published IS 'The published tables and their settings, read from the triggers that publish them.';

--
-- Name: live_tables; Type: VIEW; Schema: rowcast; Owner: -
--

CREATE VIEW rowcast.live_tables AS
 SELECT c.oid AS source,
    format('%I.%I'::text, n.nspname, c.relname) AS name,
    p.type_prefix AS prefix,
    p.columns,
    ARRAY( SELECT COALESCE(rowcast.json_type(a.atttypid), 'any'::text) AS "coalesce"
           FROM (unnest(p.columns) WITH ORDINALITY k(name, "position")
             LEFT JOIN pg_attribute a ON (((a.attrelid = c.oid) AND (a.attname = k.name) AND (NOT a.attisdropped))))
          ORDER BY k."position") AS json_types,
    (p.owner_column IS NOT NULL) AS has_owner,
    p.public_safe,
    (p.map IS NOT NULL) AS has_map,
    (p.has_state AND (((p.map IS NOT NULL) OR rowcast.is_row_key((c.oid)::regclass, COALESCE(p.state_key, p.subject_keys))) IS TRUE)) AS has_state,
    p.state_key,
    p.removed_types,
    (EXISTS ( SELECT
           FROM pg_proc r
          WHERE ((r.pronamespace = w.pronamespace) AND (r.proowner = w.proowner) AND r.prosecdef AND (r.proname = ('rowcast_rows_'::text || substr((w.proname)::text, (length('rowcast_publish_'::text) + 1)))) AND (oidvectortypes(r.proargtypes) = 'regclass, refcursor, text, integer'::text) AND has_function_privilege('rowcast_snapshots'::name, r.oid, 'execute'::text) AND has_schema_privilege('rowcast_snapshots'::name, r.pronamespace, 'usage'::text)))) AS has_reader
   FROM ((((rowcast.published p
     JOIN pg_class c ON ((c.oid = (p.table_name)::oid)))
     JOIN pg_namespace n ON ((n.oid = c.relnamespace)))
     JOIN pg_trigger t ON (((t.tgrelid = c.oid) AND (t.tgname = 'rowcast_publish_write'::name) AND (t.tgparentid = (0)::oid))))
     JOIN pg_proc w ON ((w.oid = t.tgfoid)));

--
-- Name: VIEW live_tables; Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON VIEW rowcast.live_tables IS 'The published tables as the server reads them: what names a row, what removes one, and the function that reads the rows.';

--
-- Name: revocations; Type: TABLE; Schema: rowcast; Owner: -
--

CREATE TABLE rowcast.revocations (
    subject text NOT NULL COLLATE pg_catalog."C",
    revoked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    revoked_by text,
    reason text,
    CONSTRAINT revocations_reason_check CHECK (((octet_length(reason) >= 1) AND (octet_length(reason) <= 1000))),
    CONSTRAINT revocations_revoked_by_check CHECK (((octet_length(revoked_by) >= 1) AND (octet_length(revoked_by) <= 256))),
    CONSTRAINT revocations_subject_check CHECK (((octet_length(subject) >= 1) AND (octet_length(subject) <= 256))),
    CONSTRAINT "revoked_at must lie in the years 1 to 9999, in UTC" CHECK (rowcast.time_fits(revoked_at))
);

--
-- Name: TABLE revocations; Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON TABLE rowcast.revocations IS 'Tokens of this subject issued until revoked_at are refused, and their live sessions closed.';

--
-- Name: writer_lock; Type: TABLE; Schema: rowcast_private; Owner: -
--

CREATE TABLE rowcast_private.writer_lock (
);

--
-- Name: TABLE writer_lock; Type: COMMENT; Schema: rowcast_private; Owner: -
--

COMMENT ON TABLE rowcast_private.writer_lock IS 'Always empty: whoever inserts into the journal holds a lock on it.';

--
-- Name: writers; Type: VIEW; Schema: rowcast; Owner: -
--

CREATE VIEW rowcast.writers AS
 SELECT l.virtualtransaction,
    l.pid
   FROM pg_locks l
  WHERE ((l.locktype = 'relation'::text) AND l.granted AND (l.database = ( SELECT d.oid
           FROM pg_database d
          WHERE (d.datname = current_database()))) AND
        CASE
            WHEN ( SELECT (t.tgenabled = 'A'::"char")
               FROM pg_trigger t
              WHERE ((t.tgrelid = ('rowcast.events'::regclass)::oid) AND (t.tgname = 'hold_writer_lock'::name))) THEN ((l.relation = ('rowcast_private.writer_lock'::regclass)::oid) AND (l.mode = 'RowShareLock'::text))
            ELSE ((l.relation = ('rowcast.events'::regclass)::oid) AND (l.mode = 'RowExclusiveLock'::text))
        END);

--
-- Name: VIEW writers; Type: COMMENT; Schema: rowcast; Owner: -
--

COMMENT ON VIEW rowcast.writers IS 'The transactions that may own an undecided seq. One without a pid is a prepared one.';

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
    CONSTRAINT config_updated_by_check CHECK (((octet_length(updated_by) >= 1) AND (octet_length(updated_by) <= 256))),
    CONSTRAINT config_value_check CHECK ((octet_length((value)::text) <= 65536)),
    CONSTRAINT config_version_check CHECK ((version >= 1)),
    CONSTRAINT "updated_at must lie in the years 1 to 9999, in UTC" CHECK (rowcast.time_fits(updated_at))
);

--
-- Name: TABLE config; Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON TABLE trading.config IS 'Settings of the engine, by key.';

--
-- Name: config_history; Type: TABLE; Schema: trading; Owner: -
--

CREATE TABLE trading.config_history (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    version integer NOT NULL,
    value jsonb,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    changed_by text,
    CONSTRAINT "changed_at must lie in the years 1 to 9999, in UTC" CHECK (rowcast.time_fits(changed_at))
);

--
-- Name: TABLE config_history; Type: COMMENT; Schema: trading; Owner: -
--

COMMENT ON TABLE trading.config_history IS 'Every version that a setting has had. Written by the trigger of trading.config alone.';

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
    created_with bytea,
    CONSTRAINT "created_at must lie in the years 1 to 9999, in UTC" CHECK (rowcast.time_fits(created_at)),
    CONSTRAINT orders_average_price_check CHECK (((average_price > (0)::numeric) AND (average_price < '100000000000000000000'::numeric) AND (scale(average_price) <= 18))),
    CONSTRAINT orders_client_order_id_check CHECK (((octet_length(client_order_id) >= 1) AND (octet_length(client_order_id) <= 128))),
    CONSTRAINT orders_created_with_check CHECK ((octet_length(created_with) = 32)),
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
    CONSTRAINT orders_times_check CHECK ((updated_at >= created_at)),
    CONSTRAINT orders_type_check CHECK ((type = ANY (ARRAY['market'::text, 'limit'::text]))),
    CONSTRAINT "updated_at must lie in the years 1 to 9999, in UTC" CHECK (rowcast.time_fits(updated_at))
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
    CONSTRAINT snapshots_taken_by_check CHECK (((octet_length(taken_by) >= 1) AND (octet_length(taken_by) <= 256))),
    CONSTRAINT snapshots_unrealized_profit_check CHECK (((abs(unrealized_profit) < '100000000000000000000'::numeric) AND (scale(unrealized_profit) <= 18))),
    CONSTRAINT "taken_at must lie in the years 1 to 9999, in UTC" CHECK (rowcast.time_fits(taken_at))
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
    created_with bytea,
    CONSTRAINT "closed_at must lie in the years 1 to 9999, in UTC" CHECK (rowcast.time_fits(closed_at)),
    CONSTRAINT "opened_at must lie in the years 1 to 9999, in UTC" CHECK (rowcast.time_fits(opened_at)),
    CONSTRAINT trades_client_order_id_check CHECK (((octet_length(client_order_id) >= 1) AND (octet_length(client_order_id) <= 128))),
    CONSTRAINT trades_close_reason_check CHECK (((octet_length(close_reason) >= 1) AND (octet_length(close_reason) <= 4000))),
    CONSTRAINT trades_closed_has_exit CHECK (((status = 'closed'::text) = (exit_price IS NOT NULL))),
    CONSTRAINT trades_closed_has_time CHECK (((status = 'closed'::text) = (closed_at IS NOT NULL))),
    CONSTRAINT trades_created_with_check CHECK ((octet_length(created_with) = 32)),
    CONSTRAINT trades_entry_price_check CHECK (((entry_price > (0)::numeric) AND (entry_price < '100000000000000000000'::numeric) AND (scale(entry_price) <= 18))),
    CONSTRAINT trades_exit_price_check CHECK (((exit_price > (0)::numeric) AND (exit_price < '100000000000000000000'::numeric) AND (scale(exit_price) <= 18))),
    CONSTRAINT trades_fees_check CHECK (((fees >= (0)::numeric) AND (fees < '100000000000000000000'::numeric) AND (scale(fees) <= 18))),
    CONSTRAINT trades_opened_by_check CHECK (((octet_length(opened_by) >= 1) AND (octet_length(opened_by) <= 256))),
    CONSTRAINT trades_quantity_check CHECK (((quantity > (0)::numeric) AND (quantity < '100000000000000000000'::numeric) AND (scale(quantity) <= 18))),
    CONSTRAINT trades_reason_check CHECK (((octet_length(reason) >= 1) AND (octet_length(reason) <= 4000))),
    CONSTRAINT trades_side_check CHECK ((side = ANY (ARRAY['long'::text, 'short'::text]))),
    CONSTRAINT trades_status_check CHECK ((status = ANY (ARRAY['open'::text, 'closed'::text]))),
    CONSTRAINT trades_symbol_check CHECK ((symbol ~ '^[!-~]{1,64}$'::text)),
    CONSTRAINT trades_times_check CHECK ((closed_at >= opened_at))
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
-- Name: config_history config_history_pkey; Type: CONSTRAINT; Schema: trading; Owner: -
--

ALTER TABLE ONLY trading.config_history
    ADD CONSTRAINT config_history_pkey PRIMARY KEY (id);

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
-- Name: conversations_opened_at; Type: INDEX; Schema: chat; Owner: -
--

CREATE INDEX conversations_opened_at ON chat.conversations USING btree (opened_at, id);

--
-- Name: conversations_speaker_id; Type: INDEX; Schema: chat; Owner: -
--

CREATE INDEX conversations_speaker_id ON chat.conversations USING btree (speaker_id, opened_at, id);

--
-- Name: speakers_bot_name; Type: INDEX; Schema: chat; Owner: -
--

CREATE UNIQUE INDEX speakers_bot_name ON chat.speakers USING btree (name) WHERE (kind = 'bot'::text);

--
-- Name: utterances_key; Type: INDEX; Schema: chat; Owner: -
--

CREATE UNIQUE INDEX utterances_key ON chat.utterances USING btree (owner, key) WHERE (key IS NOT NULL);

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
-- Name: events_world_seq; Type: INDEX; Schema: rowcast; Owner: -
--

CREATE INDEX events_world_seq ON ONLY rowcast.events USING btree (seq) WHERE (public_safe AND (owner IS NULL));

--
-- Name: config_history_changed_at; Type: INDEX; Schema: trading; Owner: -
--

CREATE INDEX config_history_changed_at ON trading.config_history USING btree (changed_at, id);

--
-- Name: config_history_key; Type: INDEX; Schema: trading; Owner: -
--

CREATE INDEX config_history_key ON trading.config_history USING btree (key, changed_at, id);

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
-- Name: conversations rowcast_publish_owners; Type: TRIGGER; Schema: chat; Owner: -
--

CREATE TRIGGER rowcast_publish_owners BEFORE TRUNCATE ON chat.conversations FOR EACH STATEMENT EXECUTE FUNCTION chat.rowcast_publish_conversations();

ALTER TABLE chat.conversations ENABLE ALWAYS TRIGGER rowcast_publish_owners;

--
-- Name: utterances rowcast_publish_owners; Type: TRIGGER; Schema: chat; Owner: -
--

CREATE TRIGGER rowcast_publish_owners BEFORE TRUNCATE ON chat.utterances FOR EACH STATEMENT EXECUTE FUNCTION chat.rowcast_publish_utterances();

ALTER TABLE chat.utterances ENABLE ALWAYS TRIGGER rowcast_publish_owners;

--
-- Name: conversations rowcast_publish_truncate; Type: TRIGGER; Schema: chat; Owner: -
--

CREATE TRIGGER rowcast_publish_truncate AFTER TRUNCATE ON chat.conversations FOR EACH STATEMENT EXECUTE FUNCTION chat.rowcast_publish_conversations();

ALTER TABLE chat.conversations ENABLE ALWAYS TRIGGER rowcast_publish_truncate;

--
-- Name: utterances rowcast_publish_truncate; Type: TRIGGER; Schema: chat; Owner: -
--

CREATE TRIGGER rowcast_publish_truncate AFTER TRUNCATE ON chat.utterances FOR EACH STATEMENT EXECUTE FUNCTION chat.rowcast_publish_utterances();

ALTER TABLE chat.utterances ENABLE ALWAYS TRIGGER rowcast_publish_truncate;

--
-- Name: conversations rowcast_publish_update; Type: TRIGGER; Schema: chat; Owner: -
--

CREATE CONSTRAINT TRIGGER rowcast_publish_update AFTER UPDATE ON chat.conversations DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (record_image_ne(ROW(old.closed_at, old.id, old.opened_at, old.owner, old.status), ROW(new.closed_at, new.id, new.opened_at, new.owner, new.status))) EXECUTE FUNCTION chat.rowcast_publish_conversations();

ALTER TABLE chat.conversations ENABLE ALWAYS TRIGGER rowcast_publish_update;

--
-- Name: utterances rowcast_publish_update; Type: TRIGGER; Schema: chat; Owner: -
--

CREATE CONSTRAINT TRIGGER rowcast_publish_update AFTER UPDATE ON chat.utterances DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (record_image_ne(ROW(old.answers, old.conversation_id, old.final, old.id, old.outcome, old.owner, old."position", old.said_at, old.speaker_id, old.speaker_name, old.text), ROW(new.answers, new.conversation_id, new.final, new.id, new.outcome, new.owner, new."position", new.said_at, new.speaker_id, new.speaker_name, new.text))) EXECUTE FUNCTION chat.rowcast_publish_utterances();

ALTER TABLE chat.utterances ENABLE ALWAYS TRIGGER rowcast_publish_update;

--
-- Name: conversations rowcast_publish_write; Type: TRIGGER; Schema: chat; Owner: -
--

CREATE CONSTRAINT TRIGGER rowcast_publish_write AFTER INSERT OR DELETE ON chat.conversations DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION chat.rowcast_publish_conversations('{"map": "chat.conversation_events(text,jsonb,jsonb)", "keys": ["id"], "columns": ["id", "owner", "status", "opened_at", "closed_at"], "state_key": ["id"], "public_safe": false, "type_prefix": "chat.conversation", "owner_column": "owner", "removed_types": ["chat.conversation.deleted", "chat.conversation.removed"], "symbol_column": null, "subject_column": null, "trade_id_column": null}');

ALTER TABLE chat.conversations ENABLE ALWAYS TRIGGER rowcast_publish_write;

--
-- Name: utterances rowcast_publish_write; Type: TRIGGER; Schema: chat; Owner: -
--

CREATE CONSTRAINT TRIGGER rowcast_publish_write AFTER INSERT OR DELETE ON chat.utterances DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION chat.rowcast_publish_utterances('{"map": "chat.utterance_events(text,jsonb,jsonb)", "keys": ["conversation_id"], "columns": ["id", "conversation_id", "position", "speaker_id", "speaker_name", "text", "said_at", "answers", "final", "outcome"], "state_key": ["id"], "public_safe": false, "type_prefix": "chat.utterance", "owner_column": "owner", "removed_types": ["chat.utterance.deleted", "chat.utterance.removed"], "symbol_column": null, "subject_column": "conversation_id", "trade_id_column": null}');

ALTER TABLE chat.utterances ENABLE ALWAYS TRIGGER rowcast_publish_write;

--
-- Name: conversations set_owner; Type: TRIGGER; Schema: chat; Owner: -
--

CREATE TRIGGER set_owner BEFORE INSERT ON chat.conversations FOR EACH ROW EXECUTE FUNCTION chat.set_owner();

--
-- Name: utterances set_owner; Type: TRIGGER; Schema: chat; Owner: -
--

CREATE TRIGGER set_owner BEFORE INSERT ON chat.utterances FOR EACH ROW EXECUTE FUNCTION chat.set_owner();

--
-- Name: events append_only; Type: TRIGGER; Schema: rowcast; Owner: -
--

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON rowcast.events FOR EACH STATEMENT EXECUTE FUNCTION rowcast.refuse_change();

ALTER TABLE rowcast.events ENABLE ALWAYS TRIGGER append_only;

--
-- Name: events hold_writer_lock; Type: TRIGGER; Schema: rowcast; Owner: -
--

CREATE TRIGGER hold_writer_lock BEFORE INSERT ON rowcast.events FOR EACH STATEMENT EXECUTE FUNCTION rowcast.hold_writer_lock();

ALTER TABLE rowcast.events ENABLE ALWAYS TRIGGER hold_writer_lock;

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
-- Name: orders keep_states; Type: TRIGGER; Schema: trading; Owner: -
--

CREATE TRIGGER keep_states BEFORE UPDATE ON trading.orders FOR EACH ROW EXECUTE FUNCTION trading.keep_order_states();

--
-- Name: trades keep_states; Type: TRIGGER; Schema: trading; Owner: -
--

CREATE TRIGGER keep_states BEFORE UPDATE ON trading.trades FOR EACH ROW WHEN ((old.status = 'closed'::text)) EXECUTE FUNCTION trading.keep_trade_states();

--
-- Name: config keep_versions; Type: TRIGGER; Schema: trading; Owner: -
--

CREATE TRIGGER keep_versions BEFORE UPDATE ON trading.config FOR EACH ROW EXECUTE FUNCTION trading.keep_config_versions();

--
-- Name: config remember; Type: TRIGGER; Schema: trading; Owner: -
--

CREATE TRIGGER remember AFTER INSERT OR DELETE ON trading.config FOR EACH ROW EXECUTE FUNCTION trading.remember_config();

--
-- Name: config remember_update; Type: TRIGGER; Schema: trading; Owner: -
--

CREATE TRIGGER remember_update AFTER UPDATE ON trading.config FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) EXECUTE FUNCTION trading.remember_config();

--
-- Name: config rowcast_publish_truncate; Type: TRIGGER; Schema: trading; Owner: -
--

CREATE TRIGGER rowcast_publish_truncate AFTER TRUNCATE ON trading.config FOR EACH STATEMENT EXECUTE FUNCTION trading.rowcast_publish_config();

ALTER TABLE trading.config ENABLE ALWAYS TRIGGER rowcast_publish_truncate;

--
-- Name: orders rowcast_publish_truncate; Type: TRIGGER; Schema: trading; Owner: -
--

CREATE TRIGGER rowcast_publish_truncate AFTER TRUNCATE ON trading.orders FOR EACH STATEMENT EXECUTE FUNCTION trading.rowcast_publish_orders();

ALTER TABLE trading.orders ENABLE ALWAYS TRIGGER rowcast_publish_truncate;

--
-- Name: snapshots rowcast_publish_truncate; Type: TRIGGER; Schema: trading; Owner: -
--

CREATE TRIGGER rowcast_publish_truncate AFTER TRUNCATE ON trading.snapshots FOR EACH STATEMENT EXECUTE FUNCTION trading.rowcast_publish_snapshots();

ALTER TABLE trading.snapshots ENABLE ALWAYS TRIGGER rowcast_publish_truncate;

--
-- Name: trades rowcast_publish_truncate; Type: TRIGGER; Schema: trading; Owner: -
--

CREATE TRIGGER rowcast_publish_truncate AFTER TRUNCATE ON trading.trades FOR EACH STATEMENT EXECUTE FUNCTION trading.rowcast_publish_trades();

ALTER TABLE trading.trades ENABLE ALWAYS TRIGGER rowcast_publish_truncate;

--
-- Name: config rowcast_publish_update; Type: TRIGGER; Schema: trading; Owner: -
--

CREATE CONSTRAINT TRIGGER rowcast_publish_update AFTER UPDATE ON trading.config DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (record_image_ne(ROW(old.key, old.updated_at, old.updated_by, old.value, old.version), ROW(new.key, new.updated_at, new.updated_by, new.value, new.version))) EXECUTE FUNCTION trading.rowcast_publish_config();

ALTER TABLE trading.config ENABLE ALWAYS TRIGGER rowcast_publish_update;

--
-- Name: orders rowcast_publish_update; Type: TRIGGER; Schema: trading; Owner: -
--

CREATE CONSTRAINT TRIGGER rowcast_publish_update AFTER UPDATE ON trading.orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (record_image_ne(ROW(old.average_price, old.client_order_id, old.created_at, old.fees, old.filled_quantity, old.id, old.limit_price, old.placed_by, old.quantity, old.reject_reason, old.side, old.status, old.symbol, old.trade_id, old.type, old.updated_at), ROW(new.average_price, new.client_order_id, new.created_at, new.fees, new.filled_quantity, new.id, new.limit_price, new.placed_by, new.quantity, new.reject_reason, new.side, new.status, new.symbol, new.trade_id, new.type, new.updated_at))) EXECUTE FUNCTION trading.rowcast_publish_orders();

ALTER TABLE trading.orders ENABLE ALWAYS TRIGGER rowcast_publish_update;

--
-- Name: snapshots rowcast_publish_update; Type: TRIGGER; Schema: trading; Owner: -
--

CREATE CONSTRAINT TRIGGER rowcast_publish_update AFTER UPDATE ON trading.snapshots DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (record_image_ne(ROW(old.cash, old.equity, old.id, old.positions, old.taken_at, old.taken_by, old.unrealized_profit), ROW(new.cash, new.equity, new.id, new.positions, new.taken_at, new.taken_by, new.unrealized_profit))) EXECUTE FUNCTION trading.rowcast_publish_snapshots();

ALTER TABLE trading.snapshots ENABLE ALWAYS TRIGGER rowcast_publish_update;

--
-- Name: trades rowcast_publish_update; Type: TRIGGER; Schema: trading; Owner: -
--

CREATE CONSTRAINT TRIGGER rowcast_publish_update AFTER UPDATE ON trading.trades DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (record_image_ne(ROW(old.client_order_id, old.close_reason, old.closed_at, old.entry_price, old.exit_price, old.fees, old.id, old.opened_at, old.opened_by, old.profit, old.quantity, old.reason, old.side, old.status, old.symbol), ROW(new.client_order_id, new.close_reason, new.closed_at, new.entry_price, new.exit_price, new.fees, new.id, new.opened_at, new.opened_by, new.profit, new.quantity, new.reason, new.side, new.status, new.symbol))) EXECUTE FUNCTION trading.rowcast_publish_trades();

ALTER TABLE trading.trades ENABLE ALWAYS TRIGGER rowcast_publish_update;

--
-- Name: config rowcast_publish_write; Type: TRIGGER; Schema: trading; Owner: -
--

CREATE CONSTRAINT TRIGGER rowcast_publish_write AFTER INSERT OR DELETE ON trading.config DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trading.rowcast_publish_config('{"map": "trading.config_event(text,jsonb,jsonb)", "keys": ["key"], "columns": ["key", "value", "version", "updated_at", "updated_by"], "state_key": ["key"], "public_safe": false, "type_prefix": "config", "owner_column": null, "removed_types": ["config.deleted", "config.removed"], "symbol_column": null, "subject_column": null, "trade_id_column": null}');

ALTER TABLE trading.config ENABLE ALWAYS TRIGGER rowcast_publish_write;

--
-- Name: orders rowcast_publish_write; Type: TRIGGER; Schema: trading; Owner: -
--

CREATE CONSTRAINT TRIGGER rowcast_publish_write AFTER INSERT OR DELETE ON trading.orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trading.rowcast_publish_orders('{"map": "trading.order_event(text,jsonb,jsonb)", "keys": ["id"], "columns": ["id", "client_order_id", "trade_id", "symbol", "side", "type", "status", "quantity", "limit_price", "filled_quantity", "average_price", "fees", "reject_reason", "placed_by", "created_at", "updated_at"], "state_key": ["id"], "public_safe": false, "type_prefix": "order", "owner_column": null, "removed_types": ["order.deleted", "order.removed"], "symbol_column": "symbol", "subject_column": null, "trade_id_column": "trade_id"}');

ALTER TABLE trading.orders ENABLE ALWAYS TRIGGER rowcast_publish_write;

--
-- Name: snapshots rowcast_publish_write; Type: TRIGGER; Schema: trading; Owner: -
--

CREATE CONSTRAINT TRIGGER rowcast_publish_write AFTER INSERT OR DELETE ON trading.snapshots DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trading.rowcast_publish_snapshots('{"map": "trading.snapshot_event(text,jsonb,jsonb)", "keys": ["id"], "columns": ["id", "taken_at", "equity", "cash", "unrealized_profit", "positions", "taken_by"], "state_key": ["id"], "public_safe": true, "type_prefix": "snapshot", "owner_column": null, "removed_types": ["snapshot.deleted", "snapshot.removed"], "symbol_column": null, "subject_column": null, "trade_id_column": null}');

ALTER TABLE trading.snapshots ENABLE ALWAYS TRIGGER rowcast_publish_write;

--
-- Name: trades rowcast_publish_write; Type: TRIGGER; Schema: trading; Owner: -
--

CREATE CONSTRAINT TRIGGER rowcast_publish_write AFTER INSERT OR DELETE ON trading.trades DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trading.rowcast_publish_trades('{"map": "trading.trade_event(text,jsonb,jsonb)", "keys": ["id"], "columns": ["id", "client_order_id", "symbol", "side", "status", "quantity", "entry_price", "exit_price", "fees", "profit", "reason", "close_reason", "opened_by", "opened_at", "closed_at"], "state_key": ["id"], "public_safe": true, "type_prefix": "trade", "owner_column": null, "removed_types": ["trade.deleted", "trade.removed"], "symbol_column": "symbol", "subject_column": null, "trade_id_column": "id"}');

ALTER TABLE trading.trades ENABLE ALWAYS TRIGGER rowcast_publish_write;

--
-- Name: conversations conversations_speaker_id_fkey; Type: FK CONSTRAINT; Schema: chat; Owner: -
--

ALTER TABLE ONLY chat.conversations
    ADD CONSTRAINT conversations_speaker_id_fkey FOREIGN KEY (speaker_id) REFERENCES chat.speakers(id);

--
-- Name: utterances utterances_answers_fkey; Type: FK CONSTRAINT; Schema: chat; Owner: -
--

ALTER TABLE ONLY chat.utterances
    ADD CONSTRAINT utterances_answers_fkey FOREIGN KEY (answers) REFERENCES chat.utterances(id);

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
GRANT USAGE ON SCHEMA chat TO rowcast_snapshots;

--
-- Name: SCHEMA rowcast; Type: ACL; Schema: -; Owner: -
--

GRANT USAGE ON SCHEMA rowcast TO rowcast_reader;
GRANT USAGE ON SCHEMA rowcast TO rowcast_writer;
GRANT USAGE ON SCHEMA rowcast TO rowcast_server;
GRANT USAGE ON SCHEMA rowcast TO rowcast_snapshots;

--
-- Name: SCHEMA trading; Type: ACL; Schema: -; Owner: -
--

GRANT USAGE ON SCHEMA trading TO rowcast_server;
GRANT USAGE ON SCHEMA trading TO rowcast_snapshots;

--
-- Name: FUNCTION conversation_events(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb); Type: ACL; Schema: chat; Owner: -
--

REVOKE ALL ON FUNCTION chat.conversation_events(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb) FROM PUBLIC;

--
-- Name: FUNCTION instant(at text); Type: ACL; Schema: chat; Owner: -
--

REVOKE ALL ON FUNCTION chat.instant(at text) FROM PUBLIC;

--
-- Name: FUNCTION rowcast_publish_conversations(); Type: ACL; Schema: chat; Owner: -
--

REVOKE ALL ON FUNCTION chat.rowcast_publish_conversations() FROM PUBLIC;

--
-- Name: FUNCTION rowcast_publish_utterances(); Type: ACL; Schema: chat; Owner: -
--

REVOKE ALL ON FUNCTION chat.rowcast_publish_utterances() FROM PUBLIC;

--
-- Name: FUNCTION rowcast_row_conversations(new record); Type: ACL; Schema: chat; Owner: -
--

REVOKE ALL ON FUNCTION chat.rowcast_row_conversations(new record) FROM PUBLIC;

--
-- Name: FUNCTION rowcast_row_utterances(new record); Type: ACL; Schema: chat; Owner: -
--

REVOKE ALL ON FUNCTION chat.rowcast_row_utterances(new record) FROM PUBLIC;

--
-- Name: FUNCTION rowcast_rows_conversations(source regclass, opened refcursor, owned_by text, many integer); Type: ACL; Schema: chat; Owner: -
--

REVOKE ALL ON FUNCTION chat.rowcast_rows_conversations(source regclass, opened refcursor, owned_by text, many integer) FROM PUBLIC;
GRANT ALL ON FUNCTION chat.rowcast_rows_conversations(source regclass, opened refcursor, owned_by text, many integer) TO rowcast_snapshots;

--
-- Name: FUNCTION rowcast_rows_utterances(source regclass, opened refcursor, owned_by text, many integer); Type: ACL; Schema: chat; Owner: -
--

REVOKE ALL ON FUNCTION chat.rowcast_rows_utterances(source regclass, opened refcursor, owned_by text, many integer) FROM PUBLIC;
GRANT ALL ON FUNCTION chat.rowcast_rows_utterances(source regclass, opened refcursor, owned_by text, many integer) TO rowcast_snapshots;

--
-- Name: FUNCTION set_owner(); Type: ACL; Schema: chat; Owner: -
--

REVOKE ALL ON FUNCTION chat.set_owner() FROM PUBLIC;

--
-- Name: FUNCTION utterance_events(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb); Type: ACL; Schema: chat; Owner: -
--

REVOKE ALL ON FUNCTION chat.utterance_events(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb) FROM PUBLIC;

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
-- Name: FUNCTION append_once(key_scope text, request_key text, types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[]); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.append_once(key_scope text, request_key text, types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.append_once(key_scope text, request_key text, types text[], payloads text[], levels text[], safe boolean[], symbols text[], trade_ids uuid[], subjects text[], owners text[]) TO rowcast_server;

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
-- Name: FUNCTION find_map(map text, table_owner oid); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.find_map(map text, table_owner oid) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.find_map(map text, table_owner oid) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.find_map(map text, table_owner oid) TO rowcast_server;

--
-- Name: FUNCTION fit_payload(payload jsonb, lost text[]); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.fit_payload(payload jsonb, lost text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.fit_payload(payload jsonb, lost text[]) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.fit_payload(payload jsonb, lost text[]) TO rowcast_server;

--
-- Name: FUNCTION hold_writer_lock(); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.hold_writer_lock() FROM PUBLIC;

--
-- Name: FUNCTION is_row_key(of regclass, names text[]); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.is_row_key(of regclass, names text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.is_row_key(of regclass, names text[]) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.is_row_key(of regclass, names text[]) TO rowcast_server;

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
-- Name: FUNCTION json_text(type oid, ref text); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.json_text(type oid, ref text) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.json_text(type oid, ref text) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.json_text(type oid, ref text) TO rowcast_server;

--
-- Name: FUNCTION json_type(type oid); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.json_type(type oid) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.json_type(type oid) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.json_type(type oid) TO rowcast_server;

--
-- Name: FUNCTION keep_for_owner(signature text, table_owner oid); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.keep_for_owner(signature text, table_owner oid) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.keep_for_owner(signature text, table_owner oid) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.keep_for_owner(signature text, table_owner oid) TO rowcast_server;

--
-- Name: FUNCTION keep_state(); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.keep_state() FROM PUBLIC;

--
-- Name: FUNCTION map_types(map oid); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.map_types(map oid) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.map_types(map oid) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.map_types(map oid) TO rowcast_server;

--
-- Name: FUNCTION name_expression(type oid, ref text); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.name_expression(type oid, ref text) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.name_expression(type oid, ref text) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.name_expression(type oid, ref text) TO rowcast_server;

--
-- Name: FUNCTION never_backwards(); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.never_backwards() FROM PUBLIC;

--
-- Name: FUNCTION object_text(names text[], types oid[], ref text); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.object_text(names text[], types oid[], ref text) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.object_text(names text[], types oid[], ref text) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.object_text(names text[], types oid[], ref text) TO rowcast_server;

--
-- Name: FUNCTION owner_expression(of regclass, owner_column text, ref text); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.owner_expression(of regclass, owner_column text, ref text) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.owner_expression(of regclass, owner_column text, ref text) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.owner_expression(of regclass, owner_column text, ref text) TO rowcast_server;

--
-- Name: FUNCTION primary_key(of regclass); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.primary_key(of regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.primary_key(of regclass) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.primary_key(of regclass) TO rowcast_server;

--
-- Name: FUNCTION publish(table_name regclass, columns text[], owner_column text, public_safe boolean, type_prefix text, subject_column text, symbol_column text, trade_id_column text, map text, force boolean, state_key text[], removed_types text[]); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.publish(table_name regclass, columns text[], owner_column text, public_safe boolean, type_prefix text, subject_column text, symbol_column text, trade_id_column text, map text, force boolean, state_key text[], removed_types text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.publish(table_name regclass, columns text[], owner_column text, public_safe boolean, type_prefix text, subject_column text, symbol_column text, trade_id_column text, map text, force boolean, state_key text[], removed_types text[]) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.publish(table_name regclass, columns text[], owner_column text, public_safe boolean, type_prefix text, subject_column text, symbol_column text, trade_id_column text, map text, force boolean, state_key text[], removed_types text[]) TO rowcast_server;

--
-- Name: FUNCTION publish_readers(table_name regclass, trigger_id text, pins text, names text[], types oid[], keys text[], owner_column text, mapper regprocedure, told text); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.publish_readers(table_name regclass, trigger_id text, pins text, names text[], types oid[], keys text[], owner_column text, mapper regprocedure, told text) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.publish_readers(table_name regclass, trigger_id text, pins text, names text[], types oid[], keys text[], owner_column text, mapper regprocedure, told text) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.publish_readers(table_name regclass, trigger_id text, pins text, names text[], types oid[], keys text[], owner_column text, mapper regprocedure, told text) TO rowcast_server;

--
-- Name: FUNCTION publish_settings(args bytea); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.publish_settings(args bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.publish_settings(args bytea) TO rowcast_reader;
GRANT ALL ON FUNCTION rowcast.publish_settings(args bytea) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.publish_settings(args bytea) TO rowcast_server;
GRANT ALL ON FUNCTION rowcast.publish_settings(args bytea) TO rowcast_snapshots;

--
-- Name: SEQUENCE hush_deadline; Type: ACL; Schema: rowcast; Owner: -
--

GRANT SELECT,UPDATE ON SEQUENCE rowcast.hush_deadline TO rowcast_server;
GRANT SELECT ON SEQUENCE rowcast.hush_deadline TO PUBLIC;

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
-- Name: FUNCTION read_rows(source regclass, opened refcursor, owned_by text, for_public boolean, many integer); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.read_rows(source regclass, opened refcursor, owned_by text, for_public boolean, many integer) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.read_rows(source regclass, opened refcursor, owned_by text, for_public boolean, many integer) TO rowcast_server;

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
-- Name: FUNCTION safe_head(); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.safe_head() FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.safe_head() TO rowcast_reader;
GRANT ALL ON FUNCTION rowcast.safe_head() TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.safe_head() TO rowcast_server;

--
-- Name: FUNCTION subject_expression(of regclass, keys text[], ref text); Type: ACL; Schema: rowcast; Owner: -
--

REVOKE ALL ON FUNCTION rowcast.subject_expression(of regclass, keys text[], ref text) FROM PUBLIC;
GRANT ALL ON FUNCTION rowcast.subject_expression(of regclass, keys text[], ref text) TO rowcast_writer;
GRANT ALL ON FUNCTION rowcast.subject_expression(of regclass, keys text[], ref text) TO rowcast_server;

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
-- Name: FUNCTION config_event(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb); Type: ACL; Schema: trading; Owner: -
--

REVOKE ALL ON FUNCTION trading.config_event(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb) FROM PUBLIC;

--
-- Name: FUNCTION keep_config_versions(); Type: ACL; Schema: trading; Owner: -
--

REVOKE ALL ON FUNCTION trading.keep_config_versions() FROM PUBLIC;

--
-- Name: FUNCTION keep_order_states(); Type: ACL; Schema: trading; Owner: -
--

REVOKE ALL ON FUNCTION trading.keep_order_states() FROM PUBLIC;

--
-- Name: FUNCTION keep_trade_states(); Type: ACL; Schema: trading; Owner: -
--

REVOKE ALL ON FUNCTION trading.keep_trade_states() FROM PUBLIC;

--
-- Name: FUNCTION order_event(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb); Type: ACL; Schema: trading; Owner: -
--

REVOKE ALL ON FUNCTION trading.order_event(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb) FROM PUBLIC;

--
-- Name: FUNCTION remember_config(); Type: ACL; Schema: trading; Owner: -
--

REVOKE ALL ON FUNCTION trading.remember_config() FROM PUBLIC;

--
-- Name: FUNCTION rowcast_publish_config(); Type: ACL; Schema: trading; Owner: -
--

REVOKE ALL ON FUNCTION trading.rowcast_publish_config() FROM PUBLIC;

--
-- Name: FUNCTION rowcast_publish_orders(); Type: ACL; Schema: trading; Owner: -
--

REVOKE ALL ON FUNCTION trading.rowcast_publish_orders() FROM PUBLIC;

--
-- Name: FUNCTION rowcast_publish_snapshots(); Type: ACL; Schema: trading; Owner: -
--

REVOKE ALL ON FUNCTION trading.rowcast_publish_snapshots() FROM PUBLIC;

--
-- Name: FUNCTION rowcast_publish_trades(); Type: ACL; Schema: trading; Owner: -
--

REVOKE ALL ON FUNCTION trading.rowcast_publish_trades() FROM PUBLIC;

--
-- Name: FUNCTION rowcast_row_config(new record); Type: ACL; Schema: trading; Owner: -
--

REVOKE ALL ON FUNCTION trading.rowcast_row_config(new record) FROM PUBLIC;

--
-- Name: FUNCTION rowcast_row_orders(new record); Type: ACL; Schema: trading; Owner: -
--

REVOKE ALL ON FUNCTION trading.rowcast_row_orders(new record) FROM PUBLIC;

--
-- Name: FUNCTION rowcast_row_snapshots(new record); Type: ACL; Schema: trading; Owner: -
--

REVOKE ALL ON FUNCTION trading.rowcast_row_snapshots(new record) FROM PUBLIC;

--
-- Name: FUNCTION rowcast_row_trades(new record); Type: ACL; Schema: trading; Owner: -
--

REVOKE ALL ON FUNCTION trading.rowcast_row_trades(new record) FROM PUBLIC;

--
-- Name: FUNCTION rowcast_rows_config(source regclass, opened refcursor, owned_by text, many integer); Type: ACL; Schema: trading; Owner: -
--

REVOKE ALL ON FUNCTION trading.rowcast_rows_config(source regclass, opened refcursor, owned_by text, many integer) FROM PUBLIC;
GRANT ALL ON FUNCTION trading.rowcast_rows_config(source regclass, opened refcursor, owned_by text, many integer) TO rowcast_snapshots;

--
-- Name: FUNCTION rowcast_rows_orders(source regclass, opened refcursor, owned_by text, many integer); Type: ACL; Schema: trading; Owner: -
--

REVOKE ALL ON FUNCTION trading.rowcast_rows_orders(source regclass, opened refcursor, owned_by text, many integer) FROM PUBLIC;
GRANT ALL ON FUNCTION trading.rowcast_rows_orders(source regclass, opened refcursor, owned_by text, many integer) TO rowcast_snapshots;

--
-- Name: FUNCTION rowcast_rows_snapshots(source regclass, opened refcursor, owned_by text, many integer); Type: ACL; Schema: trading; Owner: -
--

REVOKE ALL ON FUNCTION trading.rowcast_rows_snapshots(source regclass, opened refcursor, owned_by text, many integer) FROM PUBLIC;
GRANT ALL ON FUNCTION trading.rowcast_rows_snapshots(source regclass, opened refcursor, owned_by text, many integer) TO rowcast_snapshots;

--
-- Name: FUNCTION rowcast_rows_trades(source regclass, opened refcursor, owned_by text, many integer); Type: ACL; Schema: trading; Owner: -
--

REVOKE ALL ON FUNCTION trading.rowcast_rows_trades(source regclass, opened refcursor, owned_by text, many integer) FROM PUBLIC;
GRANT ALL ON FUNCTION trading.rowcast_rows_trades(source regclass, opened refcursor, owned_by text, many integer) TO rowcast_snapshots;

--
-- Name: FUNCTION snapshot_event(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb); Type: ACL; Schema: trading; Owner: -
--

REVOKE ALL ON FUNCTION trading.snapshot_event(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb) FROM PUBLIC;

--
-- Name: FUNCTION trade_event(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb); Type: ACL; Schema: trading; Owner: -
--

REVOKE ALL ON FUNCTION trading.trade_event(op text, old jsonb, new jsonb, OUT type text, OUT level text, OUT payload jsonb) FROM PUBLIC;

--
-- Name: TABLE conversations; Type: ACL; Schema: chat; Owner: -
--

GRANT SELECT,INSERT ON TABLE chat.conversations TO rowcast_server;

--
-- Name: COLUMN conversations.status; Type: ACL; Schema: chat; Owner: -
--

GRANT UPDATE(status) ON TABLE chat.conversations TO rowcast_server;

--
-- Name: COLUMN conversations.closed_at; Type: ACL; Schema: chat; Owner: -
--

GRANT UPDATE(closed_at) ON TABLE chat.conversations TO rowcast_server;

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
GRANT SELECT ON TABLE rowcast.published TO rowcast_snapshots;

--
-- Name: TABLE live_tables; Type: ACL; Schema: rowcast; Owner: -
--

GRANT SELECT ON TABLE rowcast.live_tables TO rowcast_server;

--
-- Name: TABLE revocations; Type: ACL; Schema: rowcast; Owner: -
--

GRANT SELECT,INSERT,UPDATE ON TABLE rowcast.revocations TO rowcast_server;

--
-- Name: TABLE writers; Type: ACL; Schema: rowcast; Owner: -
--

GRANT SELECT ON TABLE rowcast.writers TO rowcast_reader;
GRANT SELECT ON TABLE rowcast.writers TO rowcast_writer;
GRANT SELECT ON TABLE rowcast.writers TO rowcast_server;

--
-- Name: TABLE config; Type: ACL; Schema: trading; Owner: -
--

GRANT SELECT,INSERT ON TABLE trading.config TO rowcast_server;

--
-- Name: COLUMN config.value; Type: ACL; Schema: trading; Owner: -
--

GRANT UPDATE(value) ON TABLE trading.config TO rowcast_server;

--
-- Name: COLUMN config.version; Type: ACL; Schema: trading; Owner: -
--

GRANT UPDATE(version) ON TABLE trading.config TO rowcast_server;

--
-- Name: COLUMN config.updated_at; Type: ACL; Schema: trading; Owner: -
--

GRANT UPDATE(updated_at) ON TABLE trading.config TO rowcast_server;

--
-- Name: COLUMN config.updated_by; Type: ACL; Schema: trading; Owner: -
--

GRANT UPDATE(updated_by) ON TABLE trading.config TO rowcast_server;

--
-- Name: TABLE config_history; Type: ACL; Schema: trading; Owner: -
--

GRANT SELECT ON TABLE trading.config_history TO rowcast_server;

--
-- Name: TABLE orders; Type: ACL; Schema: trading; Owner: -
--

GRANT SELECT,INSERT ON TABLE trading.orders TO rowcast_server;

--
-- Name: COLUMN orders.trade_id; Type: ACL; Schema: trading; Owner: -
--

GRANT UPDATE(trade_id) ON TABLE trading.orders TO rowcast_server;

--
-- Name: COLUMN orders.status; Type: ACL; Schema: trading; Owner: -
--

GRANT UPDATE(status) ON TABLE trading.orders TO rowcast_server;

--
-- Name: COLUMN orders.filled_quantity; Type: ACL; Schema: trading; Owner: -
--

GRANT UPDATE(filled_quantity) ON TABLE trading.orders TO rowcast_server;

--
-- Name: COLUMN orders.average_price; Type: ACL; Schema: trading; Owner: -
--

GRANT UPDATE(average_price) ON TABLE trading.orders TO rowcast_server;

--
-- Name: COLUMN orders.fees; Type: ACL; Schema: trading; Owner: -
--

GRANT UPDATE(fees) ON TABLE trading.orders TO rowcast_server;

--
-- Name: COLUMN orders.reject_reason; Type: ACL; Schema: trading; Owner: -
--

GRANT UPDATE(reject_reason) ON TABLE trading.orders TO rowcast_server;

--
-- Name: TABLE snapshots; Type: ACL; Schema: trading; Owner: -
--

GRANT SELECT,INSERT ON TABLE trading.snapshots TO rowcast_server;

--
-- Name: TABLE trades; Type: ACL; Schema: trading; Owner: -
--

GRANT SELECT,INSERT ON TABLE trading.trades TO rowcast_server;

--
-- Name: COLUMN trades.status; Type: ACL; Schema: trading; Owner: -
--

GRANT UPDATE(status) ON TABLE trading.trades TO rowcast_server;

--
-- Name: COLUMN trades.exit_price; Type: ACL; Schema: trading; Owner: -
--

GRANT UPDATE(exit_price) ON TABLE trading.trades TO rowcast_server;

--
-- Name: COLUMN trades.fees; Type: ACL; Schema: trading; Owner: -
--

GRANT UPDATE(fees) ON TABLE trading.trades TO rowcast_server;

--
-- Name: COLUMN trades.close_reason; Type: ACL; Schema: trading; Owner: -
--

GRANT UPDATE(close_reason) ON TABLE trading.trades TO rowcast_server;

--
-- Name: COLUMN trades.closed_at; Type: ACL; Schema: trading; Owner: -
--

GRANT UPDATE(closed_at) ON TABLE trading.trades TO rowcast_server;

--
-- PostgreSQL database dump complete
--

INSERT INTO rowcast.journal_state DEFAULT VALUES;
SELECT rowcast.ensure_partitions();
