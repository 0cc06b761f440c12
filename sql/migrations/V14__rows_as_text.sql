-- Snapshots of live tables read twice as many rows in a second. docs/LIVE_TABLES.md is the specification.
--
-- A row is shown by the bytes of its event, which are the text of a jsonb. To build a jsonb of each row and to print it took most of the
-- time of a snapshot. The text is put together directly now, in the order that jsonb gives to its keys: shorter ones first, and those of one
-- length by their bytes. The triggers go on as they were.
--
-- publish makes one more function for a table: rowcast_rows_<table>(refcursor, integer) fetches many rows by one FETCH. It is volatile, since
-- Postgres allows FETCH nowhere else; the rows are those of the moment at which the cursor was opened. A table that was published before
-- is read as before until it is published again.

create function rowcast.json_text(type oid, ref text) returns text
    language sql
    stable
    strict
    set search_path = pg_catalog, pg_temp
as $$
    select case
        when b.oid in ('bool'::regtype, 'int2'::regtype, 'int4'::regtype) then format('coalesce(%s::text, ''null'')', ref)
        when b.oid in ('int8'::regtype, 'numeric'::regtype, 'uuid'::regtype) then format('coalesce(''"'' || %s::text || ''"'', ''null'')', ref)
        when b.oid in ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)
            then format('coalesce(to_json(%s)::text, ''null'')', ref)
        else format('coalesce((%s)::text, ''null'')', rowcast.json_expression(type, ref))
    end
      from (select rowcast.base_type(type)) as b (oid)
$$;
comment on function rowcast.json_text(oid, text) is 'The SQL expression that shows a value by the text of its json_expression.';

create function rowcast.object_text(names text[], types oid[], ref text) returns text
    language plpgsql
    stable
    strict
    set search_path = pg_catalog, pg_temp
as $$
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
comment on function rowcast.object_text(text[], oid[], text) is 'The SQL expression that shows some columns of a row by the text of their jsonb object.';

create or replace function rowcast.publish_readers(
    table_name   regclass,
    trigger_id   text,
    pins         text,
    names        text[],
    types        oid[],
    keys         text[],
    owner_column text,
    mapper       regprocedure,
    told         text
) returns void
    language plpgsql
    volatile
    set search_path = pg_catalog, pg_temp
as $publish$
declare
    rel      pg_class;
    row_id   text := regexp_replace(trigger_id, 'rowcast_publish_', 'rowcast_row_');
    rows_id  text := regexp_replace(trigger_id, 'rowcast_publish_', 'rowcast_rows_');
    subject  text := rowcast.subject_expression(table_name, keys, 't');
    mine     text;
    whole    text := rowcast.object_text(names, types, 't');
    sizes    text := '';
    rendered text;
    query    text[];
    base     pg_type;
begin
    select * into strict rel from pg_class c where c.oid = table_name;
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
            sizes := sizes || format(' + coalesce(%s(t.%I), 0)',
                                     case when base.oid in ('text'::regtype, 'varchar'::regtype, 'bytea'::regtype)
                                          then 'octet_length' else 'pg_column_size' end, names[i]);
        end if;
    end loop;
    mine := coalesce((select rowcast.name_expression(a.atttypid, format('t.%I', a.attname))
                             -- The comparison is of bytes, as with the subject of a token.
                             || case when exists (select from pg_collation c where c.oid = a.attcollation and not c.collisdeterministic)
                                     then ' collate "C"' else '' end || ' = $1'
                        from pg_attribute a where a.attrelid = table_name and a.attname = owner_column), 'false');
    rendered := case when mapper is not null then format('%s(t)', row_id)
                     when sizes = '' then whole
                     else format('case when 0%s > 131072 then (%s(t))[2] else %s end', sizes, row_id, whole) end;
    query := array[
        format('select case when octet_length(q.subject) between 1 and 1024 then q.subject else ''sha256:'' || '
               'encode(sha256(convert_to(q.subject, getdatabaseencoding())), ''hex'') end, q.owner, %s '
               'from (select %s as subject, %s as owner, %s as rendered%s from %s',
               case when mapper is not null then 'q.rendered[1], q.rendered[2]'
                    when sizes = '' then 'null::text, q.rendered'
                    else format('null::text, case when octet_length(q.rendered) > 262144 then (%s(q.whole))[2] else q.rendered end', row_id) end,
               subject, coalesce(rowcast.owner_expression(table_name, owner_column, 't'), 'null::text'), rendered,
               case when mapper is null and sizes <> '' then ', t as whole' else '' end,
               case when rel.relkind = 'p' then '' else 'only ' end),
        format(' as t where $1 is null or %s offset 0) as q', mine)
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
$publish$;

-- The rows of a live table: with many null opens the cursor, under the snapshot of the calling statement; else the next so many rows.
create or replace function rowcast.read_rows(source regclass, opened refcursor, owned_by text, for_public boolean, many integer)
    returns table (subject text, owner text, type text, payload text)
    language plpgsql
    stable
    security definer
    set search_path = pg_catalog, pg_temp
as $$
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
$$;

revoke all on function rowcast.json_text(oid, text), rowcast.object_text(text[], oid[], text) from public;
grant execute on function rowcast.json_text(oid, text), rowcast.object_text(text[], oid[], text) to rowcast_writer, rowcast_server;
