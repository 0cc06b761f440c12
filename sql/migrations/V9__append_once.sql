-- A key for a whole request: HTTP's Idempotency-Key names all of its events at once, where a dedupe key names one.

-- Each event gets a dedupe key made of the request's key and its place: the unit separator (31) in front, which a visible
-- key cannot hold, keeps it apart from keys that people choose. The first place is part of every request, so whoever comes
-- second with a key waits there for whoever came first, and then finds all of it committed or none.
create function rowcast.append_once(
    key_scope   text,
    request_key text,
    types       text[],
    payloads    text[],
    levels      text[],
    safe        boolean[],
    symbols     text[],
    trade_ids   uuid[],
    subjects    text[],
    owners      text[]
) returns table (seq bigint, id uuid, repeated boolean)
    language plpgsql
    volatile
    security definer
    set search_path = pg_catalog, pg_temp
as $$
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
comment on function rowcast.append_once(text, text, text[], text[], text[], boolean[], text[], uuid[], text[], text[]) is
    'append_batch under one key for all of its events: the same request again gets the first answer and inserts nothing.';

revoke all on function
    rowcast.append_once(text, text, text[], text[], text[], boolean[], text[], uuid[], text[], text[]) from public;
grant execute on function
    rowcast.append_once(text, text, text[], text[], text[], boolean[], text[], uuid[], text[], text[])
    to rowcast_server;
