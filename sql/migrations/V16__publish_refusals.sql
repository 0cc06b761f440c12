-- What rowcast.publish took and then told wrongly, or not at all, is refused at once: a map that returns a set (all events but the
-- first were dropped), a map that is STRICT (it is not called when old or new is null, so inserts and deletes were no events),
-- and a type_prefix that another published table has, whose types and subjects would be the same. Both functions are those of V6
-- but for these refusals and what unpublish says of a table that is none.

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

create or replace function rowcast.publish(
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
    mapper_call text;
    mapper_is_set    boolean;
    mapper_is_strict boolean;
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
    if other is not null then
        raise exception 'the events of % have the types %.* already', other, prefix
            using errcode = 'invalid_parameter_value', hint = 'Say what else to call these: type_prefix => ''…''';
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
        select format('%I.%I', n.nspname, p.proname), p.proretset, p.proisstrict
          into strict mapper_call, mapper_is_set, mapper_is_strict
          from pg_proc p join pg_namespace n on n.oid = p.pronamespace where p.oid = mapper;
        if mapper_is_set then
            raise exception '% returns a set, and a change is one event or none', mapper
                using errcode = 'invalid_parameter_value',
                      hint = 'create function … (op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)';
        elsif mapper_is_strict then
            raise exception '% is STRICT, and would not be asked about inserts and deletes: old or new is null then', mapper
                using errcode = 'invalid_parameter_value',
                      hint = format('alter function %s called on null input;', mapper);
        end if;
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
$publish$;
