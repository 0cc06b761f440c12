-- The rules of values that tables check: the values of an event, and the range of times.

-- The rules of an event's values, in one function. Each message names the column and the limit.
--
-- A table's CHECKs are parsed anew by every statement: seven of them, written out, took 20 of the 30 microseconds of a
-- small insert (measured on Postgres 15; 9 without any). This function is planned once a session, and the same insert
-- takes 16. Domains are as quick, but drivers then see the domain's type for a parameter and refuse a plain text.
--
-- It has no setting: to set search_path and put it back takes 6 to 9 % of a small insert (Postgres 15, one writer). It runs
-- under the search path of whoever writes, so every function, type and operator in it is qualified. IN, BETWEEN, LIKE and their
-- opposites look their operators up by the search path and cannot be qualified, so none of them stands here.
create function rowcast.check_event(
    type    text,
    level   text,
    symbol  text,
    subject text,
    owner   text,
    payload jsonb,
    at      timestamptz
) returns boolean
    language plpgsql
    immutable
    parallel safe
as $$
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
$$;
comment on function rowcast.check_event(text, text, text, text, text, jsonb, timestamptz) is
    'The rules of an event''s values: true, or an error that names the column and the limit.';

-- Times of other rows. RFC 3339 has no form for a time outside these years, and one row with such a time made every list that
-- it stood in fail. A writer never sets most of them, but an owner at a prompt can.
create function rowcast.time_fits(at timestamptz) returns boolean
    language plpgsql
    immutable
    parallel safe
    set search_path = pg_catalog, pg_temp
as $$
begin
    return at >= '0001-01-01 00:00:00+00' and at < '10000-01-01 00:00:00+00';
end
$$;
comment on function rowcast.time_fits(timestamptz) is
    'Whether a time can be written down by everybody: in the years 1 to 9999, in UTC. Infinity cannot.';
