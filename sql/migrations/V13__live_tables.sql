-- Live tables: the rows of a published table as they are, to be followed by its events. docs/LIVE_TABLES.md is the specification.
--
-- publish makes two more functions for a table, beside the one of its triggers and with the same owner. rowcast_rows_<table> opens a
-- cursor over the rows, and fetches from it; rowcast_row_<table> renders one row with the very statements of the triggers; the cursor calls
-- it for rows that are large, and for tables with a map. All other rows are rendered in the cursor's own query, by the same
-- expressions: that is many times faster.
--
-- Whose rights? The owner of a table can replace these functions at any time, by what he likes. So nothing of them may run with the rights of
-- the server, which may be a superuser: the server calls rowcast.read_rows alone, which belongs to rowcast_snapshots, a role that can do nothing
-- but call these functions. It looks at each call whether the function still runs as its owner. Within read_rows nobody can take on
-- another role: Postgres forbids SET ROLE there.

do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'rowcast_snapshots') then
        begin
            create role rowcast_snapshots nologin;
        exception
            when duplicate_object or unique_violation then null;
        end;
    end if;
    -- Whoever gives a function to a role must be a member of it.
    if not pg_has_role('rowcast_snapshots', 'member') then
        execute format('grant rowcast_snapshots to %I', current_user);
    end if;
end
$$;

-- ---------------------------------------------------------------------------------------------------------
-- What names a row
-- ---------------------------------------------------------------------------------------------------------

create function rowcast.primary_key(of regclass) returns text[]
    language sql
    stable
    strict
    set search_path = pg_catalog, pg_temp
as $$
    select array(select a.attname::text
                   from pg_index i
                  cross join lateral unnest(i.indkey::int2[]) with ordinality as k (attnum, position)
                   join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                  where i.indrelid = $1 and i.indisprimary and k.position <= i.indnkeyatts
                  order by k.position)
$$;
comment on function rowcast.primary_key(regclass) is 'The columns of the primary key, in order.';

create function rowcast.is_row_key(of regclass, names text[]) returns boolean
    language sql
    stable
    strict
    set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from pg_index i
         where i.indrelid = $1 and i.indisunique and i.indimmediate and i.indisvalid
           and i.indpred is null and i.indexprs is null
           and not exists (
               select from unnest(i.indkey::int2[]) with ordinality as k (attnum, position)
                 join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                where k.position <= i.indnkeyatts and (a.attname <> all (names) or not a.attnotnull)))
$$;
comment on function rowcast.is_row_key(regclass, text[]) is
    'Whether these columns name one row: they hold all columns of a unique index without nulls that is checked at once.';

-- The subject of a row's events, before it is hashed where it is empty or too long.
create function rowcast.subject_expression(of regclass, keys text[], ref text) returns text
    language sql
    stable
    strict
    set search_path = pg_catalog, pg_temp
as $$
    select case when cardinality(keys) = 1 then string_agg(e.expression, '')
                else format('array_to_json(array[%s])::text', string_agg(e.expression, ', ' order by e.position)) end
      from (select k.position, rowcast.text_expression(a.atttypid, format('%s.%I', ref, a.attname)) as expression
              from unnest(keys) with ordinality as k (name, position)
              join pg_attribute a on a.attrelid = $1 and a.attname = k.name) e
$$;
comment on function rowcast.subject_expression(regclass, text[], text) is 'The SQL expression that shows the key of a row as one text.';

-- Nobody's row is not everybody's row.
create function rowcast.owner_expression(of regclass, owner_column text, ref text) returns text
    language sql
    stable
    strict
    set search_path = pg_catalog, pg_temp
as $$
    select format('case when octet_length(%1$s) between 1 and 256 then %1$s else ''rowcast:nobody'' end',
                  rowcast.name_expression(a.atttypid, format('%s.%I', ref, a.attname)))
      from pg_attribute a where a.attrelid = $1 and a.attname = owner_column
$$;
comment on function rowcast.owner_expression(regclass, text, text) is 'The SQL expression that shows whose row it is.';

create function rowcast.json_type(type oid) returns text
    language plpgsql
    stable
    strict
    set search_path = pg_catalog, pg_temp
as $$
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
comment on function rowcast.json_type(oid) is
    'What JSON a value of this type becomes: string, number, boolean, array, object, or any for json itself.';

-- ---------------------------------------------------------------------------------------------------------
-- Publishing
-- ---------------------------------------------------------------------------------------------------------

-- What publish has made belongs to the table's owner and can be executed by nobody else: default privileges may have granted it.
create function rowcast.keep_for_owner(signature text, table_owner oid) returns void
    language plpgsql
    volatile
    set search_path = pg_catalog, pg_temp
as $$
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
comment on function rowcast.keep_for_owner(text, oid) is 'Gives a function that publish has made to the owner of the table, and to nobody else.';

create function rowcast.publish_readers(
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
    whole    text := '';
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
        whole := whole || case when i = 1 then 'jsonb_build_object(' when i % 40 = 1 then ') || jsonb_build_object(' else ', ' end
                       || format('%L, %s', names[i], rowcast.json_expression(types[i], format('t.%I', names[i])));
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
                     when sizes = '' then format('(%s))::text', whole)
                     else format('case when 0%s > 131072 then (%s(t))[2] else (%s))::text end', sizes, row_id, whole) end;
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
comment on function rowcast.publish_readers(regclass, text, text, text[], oid[], text[], text, regprocedure, text) is
    'Makes the functions by which the server reads the rows of a published table. Called by rowcast.publish.';

create or replace function rowcast.unpublish(table_name regclass) returns boolean
    language plpgsql
    volatile
    set search_path = pg_catalog, pg_temp
as $$
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
$$;

-- destructive: replaced below by one that takes two more arguments; two of them would make every call ambiguous.
drop function rowcast.publish(regclass, text[], text, boolean, text, text, text, text, text, boolean);

create function rowcast.publish(
    table_name      regclass,
    columns         text[]  default null,
    owner_column    text    default null,
    public_safe     boolean default false,
    type_prefix     text    default null,
    subject_column  text    default null,
    symbol_column   text    default null,
    trade_id_column text    default null,
    map             text    default null,
    force           boolean default false,
    state_key       text[]  default null,
    removed_types   text[]  default null
) returns text
    language plpgsql
    volatile
    set search_path = pg_catalog, pg_temp
as $publish$
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
$publish$;
comment on function rowcast.publish(regclass, text[], text, boolean, text, text, text, text, text, boolean, text[], text[]) is
    'Streams a table: its inserts, updates and deletes become events at commit. Returns the prefix of their types.';

-- ---------------------------------------------------------------------------------------------------------
-- What is published, and what of it can be read
-- ---------------------------------------------------------------------------------------------------------

-- Anyone with TRIGGER on a table can make a trigger of this name, with anything in it.
create or replace function rowcast.publish_settings(args bytea) returns jsonb
    language plpgsql
    stable
    strict
    set search_path = pg_catalog, pg_temp
as $$
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
$$;

create or replace view rowcast.published as
select t.tgrelid::regclass                                                          as table_name,
       s.settings ->> 'type_prefix'                                                 as type_prefix,
       array(select c.name from jsonb_array_elements_text(s.settings -> 'columns')
                  with ordinality as c (name, position) order by c.position)        as columns,
       s.settings ->> 'subject_column'                                              as subject_column,
       s.settings ->> 'owner_column'                                                as owner_column,
       s.settings ->> 'symbol_column'                                               as symbol_column,
       s.settings ->> 'trade_id_column'                                             as trade_id_column,
       s.settings ->> 'map'                                                         as map,
       s.settings @> '{"public_safe": true}'                                        as public_safe,
       s.settings @> '{"force": true}'                                              as force,
       case jsonb_typeof(s.settings -> 'state_key') when 'array'
            then array(select jsonb_array_elements_text(s.settings -> 'state_key')) end as state_key,
       s.settings -> 'state_key' is not null and s.settings -> 'state_key' <> 'null' as has_state,
       case jsonb_typeof(s.settings -> 'removed_types') when 'array'
            then array(select jsonb_array_elements_text(s.settings -> 'removed_types')) end as removed_types,
       case jsonb_typeof(s.settings -> 'keys') when 'array'
            then array(select jsonb_array_elements_text(s.settings -> 'keys')) end as subject_keys
  from pg_catalog.pg_trigger t
  join pg_catalog.pg_class c on c.oid = t.tgrelid
  join pg_catalog.pg_proc p on p.oid = t.tgfoid
 cross join lateral (select rowcast.publish_settings(t.tgargs)) as s (settings)
 where t.tgname = 'rowcast_publish_write' and t.tgparentid = 0 and not t.tgisinternal and s.settings is not null
   and c.relpersistence <> 't'
   and starts_with(p.proname, 'rowcast_publish_') and p.prosecdef
   and has_schema_privilege(p.proowner, 'rowcast', 'usage')
   and has_column_privilege(p.proowner, 'rowcast.events', 'type', 'insert');

-- The rows of a live table: with many null opens the cursor, under the snapshot of the calling statement; else the next so many rows.
create function rowcast.read_rows(source regclass, opened refcursor, owned_by text, for_public boolean, many integer)
    returns table (subject text, owner text, type text, payload text)
    language plpgsql
    stable
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    reader text;
begin
    select format('%I.%I', n.nspname, r.proname) into reader
      from pg_trigger t
      join pg_proc w on w.oid = t.tgfoid
      join pg_proc r on r.pronamespace = w.pronamespace and r.proowner = w.proowner and r.prosecdef
                    and r.proname = 'rowcast_rows_' || substr(w.proname, length('rowcast_publish_') + 1)
                    and oidvectortypes(r.proargtypes) = 'regclass, refcursor, text, integer'
      join pg_namespace n on n.oid = r.pronamespace
     where t.tgrelid = source and t.tgname = 'rowcast_publish_write' and t.tgparentid = 0;
    if reader is null then
        raise exception 'the rows of % cannot be read', source using errcode = 'undefined_function';
    elsif for_public and many is null
          and not exists (select from rowcast.published p where p.table_name = source and p.public_safe and p.owner_column is null) then
        raise exception 'the rows of % are not public', source using errcode = 'insufficient_privilege';
    end if;
    -- No payload of the journal is longer. What an owner's own function makes longer is cut, and then refused as no JSON.
    return query execute format('select left(r.subject, 1024), left(r.owner, 257), left(r.type, 129), left(r.payload, 262145) from %s($1, $2, $3, $4) r', reader)
        using source, opened, owned_by, many;
end
$$;
comment on function rowcast.read_rows(regclass, refcursor, text, boolean, integer) is
    'Opens a cursor over the rows of a published table, or fetches from it. Whatever the owner of the table has made runs as that owner.';

-- What names a row is looked at anew: a unique index may have gone since the table was published.
create view rowcast.live_tables as
select c.oid                                        as source,
       format('%I.%I', n.nspname, c.relname)        as name,
       p.type_prefix                                as prefix,
       p.columns                                    as columns,
       array(select coalesce(rowcast.json_type(a.atttypid), 'any')
               from unnest(p.columns) with ordinality as k (name, position)
               left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = k.name and not a.attisdropped
              order by k.position)                  as json_types,
       p.owner_column is not null                   as has_owner,
       p.public_safe                                as public_safe,
       p.map is not null                            as has_map,
       p.has_state and (p.map is not null or rowcast.is_row_key(c.oid, coalesce(p.state_key, p.subject_keys))) is true as has_state,
       p.state_key                                  as state_key,
       p.removed_types                              as removed_types,
       exists (select from pg_catalog.pg_proc r
                where r.pronamespace = w.pronamespace and r.proowner = w.proowner and r.prosecdef
                  and r.proname = 'rowcast_rows_' || substr(w.proname, length('rowcast_publish_') + 1)
                  and oidvectortypes(r.proargtypes) = 'regclass, refcursor, text, integer'
                  and has_function_privilege('rowcast_snapshots', r.oid, 'execute')
                  and has_schema_privilege('rowcast_snapshots', r.pronamespace, 'usage')) as has_reader
  from rowcast.published p
  join pg_catalog.pg_class c on c.oid = p.table_name
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_trigger t on t.tgrelid = c.oid and t.tgname = 'rowcast_publish_write' and t.tgparentid = 0
  join pg_catalog.pg_proc w on w.oid = t.tgfoid;
comment on view rowcast.live_tables is
    'The published tables as the server reads them: what names a row, what removes one, and the function that reads the rows.';

-- ---------------------------------------------------------------------------------------------------------
-- Rights
-- ---------------------------------------------------------------------------------------------------------

revoke all on function
    rowcast.primary_key(regclass), rowcast.is_row_key(regclass, text[]), rowcast.subject_expression(regclass, text[], text),
    rowcast.owner_expression(regclass, text, text), rowcast.json_type(oid), rowcast.keep_for_owner(text, oid),
    rowcast.publish_readers(regclass, text, text, text[], oid[], text[], text, regprocedure, text),
    rowcast.publish(regclass, text[], text, boolean, text, text, text, text, text, boolean, text[], text[]) from public;
grant execute on function
    rowcast.primary_key(regclass), rowcast.is_row_key(regclass, text[]), rowcast.subject_expression(regclass, text[], text),
    rowcast.owner_expression(regclass, text, text), rowcast.json_type(oid), rowcast.keep_for_owner(text, oid),
    rowcast.publish_readers(regclass, text, text, text[], oid[], text[], text, regprocedure, text),
    rowcast.publish(regclass, text[], text, boolean, text, text, text, text, text, boolean, text[], text[])
    to rowcast_writer, rowcast_server;
revoke all on function rowcast.read_rows(regclass, refcursor, text, boolean, integer) from public;
grant execute on function rowcast.read_rows(regclass, refcursor, text, boolean, integer) to rowcast_server;
grant select on rowcast.live_tables to rowcast_server;
grant select on rowcast.published to rowcast_snapshots;
grant execute on function rowcast.publish_settings(bytea) to rowcast_snapshots;
grant usage, create on schema rowcast to rowcast_snapshots;
alter function rowcast.read_rows(regclass, refcursor, text, boolean, integer) owner to rowcast_snapshots;
revoke create on schema rowcast from rowcast_snapshots;

-- ---------------------------------------------------------------------------------------------------------
-- The tables of the applications
-- ---------------------------------------------------------------------------------------------------------

-- The name under which something was said stays as it was then, so that a row and its event are always the same.
alter table chat.utterances add column speaker_name text;
-- destructive: fills the new column, which no trigger watches yet; nothing else of a row changes.
update chat.utterances u set speaker_name = s.name from chat.speakers s where s.id = u.speaker_id;

create or replace function chat.set_owner() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
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

create or replace function chat.utterance_events(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
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

select rowcast.publish('trading.trades',
    columns => '{id,client_order_id,symbol,side,status,quantity,entry_price,exit_price,fees,profit,reason,close_reason,opened_by,opened_at,closed_at}',
    type_prefix => 'trade', symbol_column => 'symbol', trade_id_column => 'id', public_safe => true, map => 'trading.trade_event',
    state_key => '{id}');
select rowcast.publish('trading.orders',
    columns => '{id,client_order_id,trade_id,symbol,side,type,status,quantity,limit_price,filled_quantity,average_price,fees,reject_reason,placed_by,created_at,updated_at}',
    type_prefix => 'order', symbol_column => 'symbol', trade_id_column => 'trade_id', map => 'trading.order_event',
    state_key => '{id}');
select rowcast.publish('trading.snapshots',
    columns => '{id,taken_at,equity,cash,unrealized_profit,positions,taken_by}',
    type_prefix => 'snapshot', public_safe => true, map => 'trading.snapshot_event', state_key => '{id}');
select rowcast.publish('trading.config',
    columns => '{key,value,version,updated_at,updated_by}',
    type_prefix => 'config', map => 'trading.config_event', state_key => '{key}');
select rowcast.publish('chat.conversations', columns => '{id,owner,status,opened_at,closed_at}', owner_column => 'owner',
    type_prefix => 'chat.conversation', map => 'chat.conversation_events', state_key => '{id}');
select rowcast.publish('chat.utterances',
    columns => '{id,conversation_id,position,speaker_id,speaker_name,text,said_at,answers,final,outcome}',
    owner_column => 'owner', subject_column => 'conversation_id', type_prefix => 'chat.utterance',
    map => 'chat.utterance_events', state_key => '{id}');
