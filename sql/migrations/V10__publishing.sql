-- Published tables: a table's inserts, updates and deletes become events at commit, in the order they were made.
-- docs/PUBLISHED_TABLES.md is the specification.
--
-- Whose rights? Capturing a row runs code that others may have written: the mapping function, and the casts of
-- user-defined types. As the migration's owner it would be a ladder for every table owner; as the writing user it
-- would need a door into the journal that any writer of the table could open by hand, and so forge events.
-- Hence neither: publish writes one trigger function for each table, SECURITY DEFINER and owned by *the table's owner*,
-- whom it requires to be allowed to append events anyway. So nobody gains a right that he did not have: the owner could
-- append the same events by hand; a writer of the table needs no right on the journal at all, and cannot reach the
-- function except through the trigger, because EXECUTE on it is revoked from everybody (whoever may execute a trigger
-- function may hang it on a table of his own).
--
-- Even so the functions below render values with built-in code only, never through a cast or an operator
-- that a user can define, since the owner of a type need not be the owner of the table. A map is looked at in the catalog alone,
-- and must belong to a role that may act as the table's owner, as whom it runs: at publishing, and at each event, since a
-- function of that name may be another one by then.
--
-- There is no table of settings. They stand as JSON in the argument of the trigger, so they come and go with it, through
-- DROP, ALTER TABLE … RENAME, pg_dump and restore, in the transaction that does it. rowcast.published reads them.

-- ---------------------------------------------------------------------------------------------------------
-- Names and values
-- ---------------------------------------------------------------------------------------------------------

create function rowcast.event_word(name text) returns text
    language sql
    immutable
    strict
    parallel safe
    set search_path = pg_catalog, pg_temp
as $$
    select coalesce(string_agg(case when b = 95 or b between 48 and 57 or b between 97 and 122 then chr(b) else '_' end,
                               '' order by i), '')
      from (select i, get_byte(bytes, i) as b
              from convert_to(name, 'UTF8') as bytes, generate_series(0, length(bytes) - 1) as i) as each_byte
$$;
comment on function rowcast.event_word(text) is
    'A name as one word of an event type: every byte outside [a-z0-9_] becomes "_".';

-- The type under a domain, and under domains over domains.
create function rowcast.base_type(of oid) returns oid
    language sql
    stable
    strict
    set search_path = pg_catalog, pg_temp
as $$
    with recursive under as (
        select t.oid, t.typtype, t.typbasetype from pg_type t where t.oid = $1
        union all
        select t.oid, t.typtype, t.typbasetype from under u join pg_type t on t.oid = u.typbasetype where u.typtype = 'd'
    )
    select oid from under where typtype <> 'd'
$$;

-- The SQL expression that shows a value as JSON. Types made by users go through their output function (format),
-- never through to_jsonb, which would look for a cast to json that the owner of the type may have made.
-- 16384 is where the object ids of users begin; to_jsonb draws the same line. An array whose elements are of a domain follows
-- the type under it, and the way there leads through its text, since the array type belongs to a user too.
create function rowcast.json_expression(type oid, ref text) returns text
    language plpgsql
    stable
    strict
    set search_path = pg_catalog, pg_temp
as $$
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
$$;

-- The same value as text: what stands in the JSON, without its quotes.
create function rowcast.text_expression(type oid, ref text) returns text
    language sql
    stable
    strict
    set search_path = pg_catalog, pg_temp
as $$
    select case
        when b.oid in ('text'::regtype, 'varchar'::regtype) then format('%s::text', ref)
        when b.oid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype, 'uuid'::regtype)
            then format('%s::text', ref)
        when b.oid >= 16384 then format('case when num_nulls(%1$s) = 0 then format(''%%s'', %1$s) end', ref)
        else format('(%s #>> ''{}'')', rowcast.json_expression(type, ref))
    end
      from (select rowcast.base_type(type)) as b (oid)
$$;

-- A value as a name that others give too: the subject of a token, a symbol in a filter. Blanks at the end of char(n) are padding.
create function rowcast.name_expression(type oid, ref text) returns text
    language sql
    stable
    strict
    set search_path = pg_catalog, pg_temp
as $$
    select case when rowcast.base_type(type) = 'bpchar'::regtype then format('rtrim(%s, '' '')', rowcast.text_expression(type, ref))
                else rowcast.text_expression(type, ref) end
$$;
comment on function rowcast.name_expression(oid, text) is
    'The SQL expression that shows a value as an owner or a symbol: its text, without the padding of char(n).';

-- json may hold what jsonb cannot: \u0000, numbers beyond numeric, nesting beyond the stack.
create function rowcast.json_or_text(value json) returns jsonb
    language plpgsql
    immutable
    strict
    set search_path = pg_catalog, pg_temp
as $$
begin
    return value::jsonb;
exception
    when others then return to_jsonb(value::text);
end
$$;
comment on function rowcast.json_or_text(json) is 'A json as jsonb, or as a JSON string of its text where jsonb cannot hold it.';

-- Nulls the largest values until the payload holds, and names them, with those in `lost`, in "_truncated".
create function rowcast.fit_payload(payload jsonb, lost text[] default '{}') returns jsonb
    language plpgsql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
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
comment on function rowcast.fit_payload(jsonb, text[]) is
    'A payload within 256 KiB: its largest values become null and are named in "_truncated".';

-- ---------------------------------------------------------------------------------------------------------
-- Maps
-- ---------------------------------------------------------------------------------------------------------

-- The columns that a map returns, as the types of type, level and payload; null where one is missing or of another kind.
create function rowcast.map_types(map oid) returns oid[]
    language sql
    stable
    strict
    set search_path = pg_catalog, pg_temp
as $$
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
comment on function rowcast.map_types(oid) is
    'The types of the columns type, level and payload that a map returns, or null if it does not return these three.';

-- Only looks at the catalog. Even to plan a query that calls the map may run it, with the rights of whoever publishes.
-- Only looks at the catalog. Even to plan a query that calls the map may run it, with the rights of whoever publishes.
create function rowcast.find_map(map text, table_owner oid) returns regprocedure
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function rowcast.find_map(text, oid) is
    'The map of that name, if the catalog says that it fits and that its owner may act as the owner of the table.';

-- ---------------------------------------------------------------------------------------------------------
-- What is published
-- ---------------------------------------------------------------------------------------------------------

-- Anyone with TRIGGER on a table can make a trigger of this name, with anything in it.
create function rowcast.publish_settings(args bytea) returns jsonb
    language plpgsql
    stable
    strict
    set search_path = pg_catalog, pg_temp
as $$
declare
    settings jsonb;
begin
    settings := convert_from(substr(args, 1, length(args) - 1), getdatabaseencoding())::jsonb;
    return case when jsonb_typeof(settings) = 'object' and jsonb_typeof(settings -> 'columns') = 'array' then settings end;
exception
    when others then return null;
end
$$;

-- Any trigger could have the right name. The trigger function of a published table can be executed by its owner alone, so
-- nobody else can hang it on a table: those count whose function belongs to a role that may append events.
create view rowcast.published as
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
       s.settings @> '{"force": true}'                                              as force
  from pg_catalog.pg_trigger t
  join pg_catalog.pg_class c on c.oid = t.tgrelid
  join pg_catalog.pg_proc p on p.oid = t.tgfoid
 cross join lateral (select rowcast.publish_settings(t.tgargs)) as s (settings)
 where t.tgname = 'rowcast_publish_write' and t.tgparentid = 0 and not t.tgisinternal and s.settings is not null
   and c.relpersistence <> 't'
   and starts_with(p.proname, 'rowcast_publish_') and p.prosecdef
   and has_schema_privilege(p.proowner, 'rowcast', 'usage')
   and has_column_privilege(p.proowner, 'rowcast.events', 'type', 'insert');
comment on view rowcast.published is
    'The published tables and their settings, read from the triggers that publish them.';

-- ---------------------------------------------------------------------------------------------------------
-- Publishing
-- ---------------------------------------------------------------------------------------------------------

-- The statements that render the row `side` (old or new) into the variable `target`. First everything at once; where
-- the row is large, or a value cannot be shown, again value by value, and what fails becomes null and is named.
create function rowcast.render_statements(side text, target text, names text[], types oid[]) returns text
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
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
$$;

create function rowcast.unpublish(table_name regclass) returns boolean
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
$$;
comment on function rowcast.unpublish(regclass) is
    'Stops publishing a table; says whether it was published. Events already written stay.';

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
    force           boolean default false
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
        if (select pg_has_role(p.proowner, current_user, 'member') from pg_proc p where p.oid = to_regprocedure(%L)) is not true then
            raise exception 'the map of %% is gone, or belongs to a role that may not act as %%: %%',
                            tg_relid::regclass, quote_ident(current_user), %L
                using errcode = 'insufficient_privilege', hint = 'Give it to the owner of the table, and publish the table again.';
        end if;
        select %s into told;
        if told.type is not null and told.payload is not null then
            if octet_length(told.payload::text) > 262144 then told.payload := rowcast.fit_payload(told.payload); end if;
            insert into rowcast.events (type, level, payload, public_safe, symbol, trade_id, subject, owner)
            values (told.type, coalesce(told.level, 'info'), told.payload, $template$, mapper, mapper, told);
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
            coalesce((select format('case when octet_length(%1$s) between 1 and 256 then %1$s else ''rowcast:nobody'' end', rowcast.name_expression(a.atttypid, format('%s.%I', kind, a.attname)))
                        from pg_attribute a where a.attrelid = table_name and a.attname = owner_column), 'null'));
        if mapper is not null then
            emit[i] := emit[i] || $$
        end if;$$;
        end if;
    end loop;
    -- A changed key, or a changed owner, is another row: gone for those who knew the one, new to those who may know the other.
    body := format($template$
-- Written by rowcast.publish, form 2. Change it by publishing again.
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
                          set bytea_output = 'hex' set extra_float_digits = 1 set array_nulls = on$$ end,
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
        'map', mapper, 'public_safe', public_safe is true)
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
comment on function rowcast.publish(regclass, text[], text, boolean, text, text, text, text, text, boolean) is
    'Streams a table: its inserts, updates and deletes become events at commit. Returns the prefix of their types.';

-- Publishing needs no right beyond the caller's own; the roles that may append events may call it.
revoke all on function
    rowcast.event_word(text), rowcast.base_type(oid), rowcast.json_expression(oid, text), rowcast.text_expression(oid, text),
    rowcast.name_expression(oid, text), rowcast.json_or_text(json), rowcast.fit_payload(jsonb, text[]), rowcast.map_types(oid),
    rowcast.find_map(text, oid), rowcast.publish_settings(bytea), rowcast.render_statements(text, text, text[], oid[]),
    rowcast.unpublish(regclass),
    rowcast.publish(regclass, text[], text, boolean, text, text, text, text, text, boolean) from public;
grant execute on function
    rowcast.event_word(text), rowcast.base_type(oid), rowcast.json_expression(oid, text), rowcast.text_expression(oid, text),
    rowcast.name_expression(oid, text), rowcast.json_or_text(json), rowcast.fit_payload(jsonb, text[]), rowcast.map_types(oid),
    rowcast.find_map(text, oid), rowcast.render_statements(text, text, text[], oid[]), rowcast.unpublish(regclass),
    rowcast.publish(regclass, text[], text, boolean, text, text, text, text, text, boolean)
    to rowcast_writer, rowcast_server;
grant execute on function rowcast.publish_settings(bytea) to rowcast_reader, rowcast_writer, rowcast_server;
grant select on rowcast.published to rowcast_reader, rowcast_writer, rowcast_server;
