-- What stands in this database, one fact a row: (fact, is). Names nest with ": ", so a table that is missing as a
-- whole can be told in one line. Objects of Postgres itself, the table in which refinery keeps its history, and the
-- owner's own rights are left out. Run with search_path = pg_catalog, so that definitions print qualified names.
with spaces as (
    select oid, nspname as name, nspowner as owner, nspacl as acl
      from pg_namespace
     where nspname !~ '^pg_' and nspname <> 'information_schema'
), relations as (
    select c.oid, c.relkind, c.relowner as owner, c.relacl as acl, c.relpersistence, c.reloptions, c.relpartbound,
           c.relispartition, c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.reltype,
           s.name || '.' || c.relname as qualified,
           case c.relkind
               when 'S' then 'sequence' when 'v' then 'view' when 'm' then 'materialized view'
               when 'f' then 'foreign table' when 'c' then 'type' else 'table'
           end || ' ' || s.name || '.' || c.relname as fact
      from pg_class c
      join spaces s on s.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c') and c.relname <> 'refinery_schema_history'
), pieces as (
    select i.inhparent::regclass::text as parent, bound[1]::numeric as lower, bound[2]::numeric as upper
      from pg_inherits i
      join relations r on r.oid = i.inhrelid and r.relispartition and r.relkind in ('r', 'p'),
           regexp_match(pg_get_expr(r.relpartbound, r.oid), 'FROM \(''(-?\d+)''\) TO \(''(-?\d+)''\)') bound
), functions as (
    select p.*, 'function ' || s.name || '.' || p.proname || '(' || oidvectortypes(p.proargtypes) || ')' as fact
      from pg_proc p
      join spaces s on s.oid = p.pronamespace
), types as (
    select t.*, case t.typtype when 'd' then 'domain ' else 'type ' end || s.name || '.' || t.typname as fact
      from pg_type t
      join spaces s on s.oid = t.typnamespace
     where t.typtype in ('d', 'e', 'r', 'b')
       and not exists (select from pg_type e where e.typarray = t.oid)
), privileges as (
    select 'database' as fact, d.datdba as owner, a.grantee, a.privilege_type as privilege, a.is_grantable,
           null::smallint as attnum, null::name as attname
      from pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
     where d.datname = current_database()
    union all
    select 'schema ' || s.name, s.owner, a.grantee, a.privilege_type, a.is_grantable, null, null
      from spaces s, aclexplode(s.acl) a
     where s.name <> 'public'
    union all
    select r.fact, r.owner, a.grantee, a.privilege_type, a.is_grantable, null, null
      from relations r, aclexplode(r.acl) a
    union all
    select r.fact, r.owner, a.grantee, a.privilege_type, a.is_grantable, c.attnum, c.attname
      from relations r
      join pg_attribute c on c.attrelid = r.oid, aclexplode(c.attacl) a
    union all
    select f.fact, f.proowner, a.grantee, a.privilege_type, a.is_grantable, null, null
      from functions f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a
    union all
    select t.fact, t.typowner, a.grantee, a.privilege_type, a.is_grantable, null, null
      from types t, aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) a
    union all
    select 'default privileges of ' || pg_get_userbyid(d.defaclrole) || ' on '
               || case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions'
                                       when 'T' then 'types' when 'n' then 'schemas' else d.defaclobjtype::text end
               || coalesce(' in ' || n.nspname, ''),
           d.defaclrole, a.grantee, a.privilege_type, a.is_grantable, null, null
      from pg_default_acl d
      left join pg_namespace n on n.oid = d.defaclnamespace, aclexplode(d.defaclacl) a
), given as (
    select fact, privilege || coalesce(' (' || string_agg(attname, ', ' order by attnum) || ')', '')
                     || case when is_grantable then ' WITH GRANT OPTION' else '' end as privilege,
           array_position('{CONNECT,CREATE,TEMPORARY,USAGE,EXECUTE,SELECT,INSERT,UPDATE,DELETE,TRUNCATE}', privilege) as rank,
           case when grantee = 0 then 'PUBLIC' else pg_get_userbyid(grantee) end as grantee
      from privileges
     where grantee <> owner
     group by fact, privilege, is_grantable, grantee, attnum is null
), owners as (
    select owner from spaces where name <> 'public' union select owner from relations
    union select proowner from functions where proname <> 'read_rows' union select typowner from types
)
-- One line each: what stands in a definition as a tab or a line end is written as people write it in SQL.
select fact, replace(replace(replace(regexp_replace(btrim(value), '\n\s*(?=(CASE|WHEN|ELSE|END)\M)', ' ', 'g'), E'\t', '\t'), E'\n', '\n'), E'\r', '\r') as is from (

-- The database and its schemas. Roles belong to the cluster: those count that hold something here.
select 'database' as fact, 'present' as value
union all select 'database: owners', case count(*) when 1 then 'one role owns everything but rowcast.read_rows' else count(*) || ' roles' end from owners
union all select 'schema ' || name, 'present' from spaces where name <> 'public'
union all select 'schema ' || name || ': comment', obj_description(oid, 'pg_namespace') from spaces where name <> 'public'
union all select fact || ': grant to ' || grantee, string_agg(privilege, ', ' order by rank, privilege) from given
           where fact not like 'default privileges%' group by fact, grantee
union all select fact || ' to ' || grantee, string_agg(privilege, ', ' order by rank, privilege) from given
           where fact like 'default privileges%' group by fact, grantee
union all select 'role ' || rolname, 'present' from pg_roles where rolname in (select grantee from given)
union all select 'role ' || rolname || ': attributes', concat_ws(', ',
        case when rolcanlogin then 'login' else 'nologin' end, case when rolsuper then 'superuser' end,
        case when rolcreatedb then 'createdb' end, case when rolcreaterole then 'createrole' end,
        case when rolreplication then 'replication' end, case when rolbypassrls then 'bypassrls' end,
        case when not rolinherit then 'noinherit' end,
        (select 'member of ' || string_agg(pg_get_userbyid(m.roleid), ' and ') from pg_auth_members m where m.member = r.oid))
      from pg_roles r where rolname in (select grantee from given)
union all select 'extension ' || extname, 'present' from pg_extension where extname <> 'plpgsql'
union all select 'event trigger ' || evtname, evtevent || ' ' || evtfoid::regprocedure::text || ' ' || evtenabled::text from pg_event_trigger
union all select 'publication ' || pubname, 'present' from pg_publication
union all select 'foreign server ' || srvname, 'present' from pg_foreign_server
union all select 'foreign data wrapper ' || fdwname, 'present' from pg_foreign_data_wrapper
union all select 'language ' || lanname, 'present' from pg_language where oid >= 16384
union all select 'cast ' || castsource::regtype::text || ' as ' || casttarget::regtype::text, 'present' from pg_cast where oid >= 16384
union all select 'collation ' || s.name || '.' || collname, 'present' from pg_collation c join spaces s on s.oid = c.collnamespace
union all select 'operator ' || o.oid::regoperator::text, 'present' from pg_operator o join spaces s on s.oid = o.oprnamespace
union all select 'operator class ' || s.name || '.' || opcname, 'present' from pg_opclass c join spaces s on s.oid = c.opcnamespace
union all select 'text search configuration ' || s.name || '.' || cfgname, 'present' from pg_ts_config c join spaces s on s.oid = c.cfgnamespace
union all select 'text search dictionary ' || s.name || '.' || dictname, 'present' from pg_ts_dict c join spaces s on s.oid = c.dictnamespace

-- Tables, views and sequences
union all select fact, 'present' from relations
union all select fact || ': kind', case when relkind = 'p' then 'partitioned table' when relispartition then 'partition' else 'table' end
      from relations where relkind in ('r', 'p')
union all select fact || ': partition key', pg_get_partkeydef(oid) from relations where relkind = 'p'
union all select fact || ': partition of', (select i.inhparent::regclass::text from pg_inherits i where i.inhrelid = r.oid)
      from relations r where relispartition
union all select fact || ': bound', pg_get_expr(relpartbound, oid) from relations where relispartition
union all select 'partitions of ' || parent || ': count', count(*)::text from pieces group by parent
union all select 'partitions of ' || parent || ': rows in each', string_agg(distinct (upper - lower)::text, ', ') from pieces group by parent
union all select fact || ': inherits', string_agg(i.inhparent::regclass::text, ', ' order by i.inhseqno)
      from relations r join pg_inherits i on i.inhrelid = r.oid where not relispartition group by fact
union all select fact || ': persistence', relpersistence::text from relations where relpersistence <> 'p'
union all select fact || ': storage', array_to_string(reloptions, ', ') from relations
union all select fact || ': row security', case when relforcerowsecurity then 'forced' else 'enabled' end
      from relations where relrowsecurity or relforcerowsecurity
union all select fact || ': replica identity', relreplident::text from relations where relkind in ('r', 'p') and relreplident <> 'd'
union all select fact || ': comment', obj_description(oid, 'pg_class') from relations
union all select fact || ': definition', regexp_replace(pg_get_viewdef(oid), '\s+', ' ', 'g') from relations where relkind in ('v', 'm')
union all select r.fact || ': rule ' || w.rulename, regexp_replace(pg_get_ruledef(w.oid), '\s+', ' ', 'g')
      from relations r join pg_rewrite w on w.ev_class = r.oid where w.rulename <> '_RETURN'
union all select r.fact || ': policy ' || p.polname,
        concat_ws(' ', case when p.polpermissive then 'permissive' else 'restrictive' end,
            'for', case p.polcmd when '*' then 'all' when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' else 'delete' end,
            'to', (select string_agg(case when o = 0 then 'PUBLIC' else pg_get_userbyid(o) end, ', ') from unnest(p.polroles) o),
            'using (' || pg_get_expr(p.polqual, p.polrelid) || ')', 'with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
      from relations r join pg_policy p on p.polrelid = r.oid
union all select 'statistics ' || s.name || '.' || e.stxname, pg_get_statisticsobjdef(e.oid)
      from pg_statistic_ext e join spaces s on s.oid = e.stxnamespace

union all select r.fact || ': column ' || a.attname || v.name, v.value
      from relations r
      join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
      join pg_type t on t.oid = a.atttypid
      left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
     cross join lateral (values
        ('', 'present'),
        (': type', format_type(a.atttypid, a.atttypmod)
            || case when a.attcollation <> t.typcollation
                    then ' collate ' || (select quote_ident(collname) from pg_collation where oid = a.attcollation) else '' end
            || case a.attidentity when 'a' then ' generated always as identity' when 'd' then ' generated by default as identity' else '' end
            || case a.attgenerated when 's' then ' generated always as (' || pg_get_expr(d.adbin, d.adrelid) || ') stored'
                                   when 'v' then ' generated always as (' || pg_get_expr(d.adbin, d.adrelid) || ') virtual' else '' end),
        (': null', case when a.attnotnull then 'no' else 'yes' end),
        (': default', case when a.attgenerated = '' then coalesce(btrim(pg_get_expr(d.adbin, d.adrelid), e' \n'), '') else '' end),
        (': comment', col_description(r.oid, a.attnum))) v (name, value)
     where r.relkind <> 'S'
union all select r.fact || ': columns in order', string_agg(a.attname, ', ' order by a.attnum)
      from relations r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
     where r.relkind <> 'S' group by r.fact
-- Postgres 18 lists NOT NULL as constraints, older ones do not: the columns above say it for all.
union all select r.fact || ': constraint ' || c.conname, pg_get_constraintdef(c.oid)
      from relations r join pg_constraint c on c.conrelid = r.oid where c.contype not in ('n', 't')
union all select r.fact || ': index ' || i.relname, pg_get_indexdef(i.oid)
        || coalesce(' ATTACHED TO ' || (select h.inhparent::regclass::text from pg_inherits h where h.inhrelid = i.oid), '')
        || case when x.indisvalid and x.indisready then '' else ' INVALID' end
      from relations r join pg_index x on x.indrelid = r.oid join pg_class i on i.oid = x.indexrelid
     where not exists (select from pg_constraint c where c.conindid = i.oid and c.conrelid = r.oid and c.contype in ('p', 'u', 'x'))
union all select r.fact || ': trigger ' || t.tgname || v.name, v.value
      from relations r join pg_trigger t on t.tgrelid = r.oid and not t.tgisinternal
     cross join lateral (values ('', 'present'), (': definition', pg_get_triggerdef(t.oid)),
        (': enabled', case t.tgenabled when 'O' then 'origin' when 'A' then 'always' when 'R' then 'replica' else 'disabled' end)) v (name, value)
union all select r.fact || ': internal triggers of ' || coalesce(c.conname, t.tgname), 'not enabled as Postgres made them'
      from relations r join pg_trigger t on t.tgrelid = r.oid and t.tgisinternal left join pg_constraint c on c.oid = t.tgconstraint
     where t.tgenabled <> 'O' group by 1
union all select r.fact || ': ' || v.name, v.value
      from relations r join pg_sequence s on s.seqrelid = r.oid
     cross join lateral (values ('type', format_type(s.seqtypid, null)), ('start', s.seqstart::text), ('increment', s.seqincrement::text),
        ('minimum', s.seqmin::text), ('maximum', s.seqmax::text), ('cache', s.seqcache::text),
        ('cycle', case when s.seqcycle then 'yes' else 'no' end),
        ('owned by', (select d.refobjid::regclass::text || '.' || a.attname || case d.deptype when 'i' then ', as its identity' else '' end
                        from pg_depend d join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
                       where d.objid = r.oid and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i')
                         and d.refclassid = 'pg_class'::regclass))) v (name, value)

-- Functions and types
union all select f.fact || v.name, v.value
      from functions f
      join pg_language l on l.oid = f.prolang
     cross join lateral (values ('', 'present'),
        (': arguments', pg_get_function_arguments(f.oid)), (': returns', pg_get_function_result(f.oid)), (': language', l.lanname),
        (': kind', case f.prokind when 'p' then 'procedure' when 'a' then 'aggregate' when 'w' then 'window function' end),
        (': volatility', case f.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end),
        (': security', case when f.prosecdef then 'definer' else 'invoker' end),
        (': settings', array_to_string(f.proconfig, '; ')),
        (': attributes', concat_ws(', ', case when f.proisstrict then 'strict' end, case when f.proleakproof then 'leakproof' end,
            case f.proparallel when 's' then 'parallel safe' when 'r' then 'parallel restricted' end,
            case when f.proretset then 'rows ' || f.prorows end)),
        (': body', md5(f.prosrc)), (': comment', obj_description(f.oid, 'pg_proc'))) v (name, value)
union all select t.fact || v.name, v.value
      from types t
     cross join lateral (values ('', 'present'),
        (': definition', case t.typtype
            when 'e' then 'enum (' || (select string_agg(enumlabel, ', ' order by enumsortorder) from pg_enum where enumtypid = t.oid) || ')'
            when 'd' then null
            when 'r' then 'range' else 'base' end), (': comment', obj_description(t.oid, 'pg_type'))) v (name, value)
union all select t.fact || v.name, v.value
      from types t
      join pg_type b on b.oid = t.typbasetype
     cross join lateral (values
        (': base type', format_type(b.oid, t.typtypmod)
            || case when t.typcollation <> b.typcollation
                    then ' collate ' || (select quote_ident(collname) from pg_collation where oid = t.typcollation) else '' end),
        (': null', case when t.typnotnull then 'no' end), (': default', t.typdefault)) v (name, value)
     where t.typtype = 'd'
-- A domain's NOT NULL likewise: Postgres 17 lists it as a constraint.
union all select t.fact || ': constraint ' || c.conname, pg_get_constraintdef(c.oid)
      from types t join pg_constraint c on c.contypid = t.oid where c.contype <> 'n'

) facts (fact, value)
-- What is absent is no fact, except that a column without a default says so.
where value <> '' or fact ~ ': column [^:]+: default$'
