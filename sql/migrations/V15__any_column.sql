-- A live table may have a column of any name, and arrays of json. docs/LIVE_TABLES.md is the specification.
--
-- The rows were read under the name t. In a table with a column t that meant the column where the whole row was wanted, and no snapshot
-- could be made. The name is now one that no column has. And one element that jsonb cannot hold, in an array of json, failed the snapshot
-- of its table, while the event named the column in _truncated. The rows of such a table are rendered one by one now, by the statements of
-- the triggers. A table that was published before is read as before until it is published again.

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
$publish$;
