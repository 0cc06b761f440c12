-- The journal: one append-only table whose seq is the order of every stream.

-- The sequence must stay CACHE 1: a cached block would let a session use a number that the fence took for decided.
create table rowcast.events (
    seq         bigint generated always as identity (cache 1),
    id          uuid        not null default gen_random_uuid(),
    at          timestamptz not null default clock_timestamp(),
    type        text collate "C" not null,
    level       text collate "C" not null default 'info',
    public_safe boolean     not null default false,
    symbol      text collate "C",
    trade_id    uuid,
    subject     text collate "C",
    owner       text collate "C",
    payload     jsonb       not null default '{}',
    constraint events_pkey primary key (seq),
    constraint events_values_check check (rowcast.check_event(type, level, symbol, subject, owner, payload, at))
) partition by range (seq);
comment on table rowcast.events is
    'The journal. Append-only; readers take it in seq order, never beyond the safe head (rowcast.query_events).';

-- The reads that filter on one thing, far behind the head, page along (thing, seq). Rows without it cost nothing.
create index events_type_seq on rowcast.events (type, seq);
create index events_trade_id_seq on rowcast.events (trade_id, seq) where trade_id is not null;
create index events_symbol_seq on rowcast.events (symbol, seq) where symbol is not null;
create index events_subject_seq on rowcast.events (subject, seq) where subject is not null;
create index events_owner_seq on rowcast.events (owner, seq) where owner is not null;
-- A reader that wants warnings and worse, far behind the head, would otherwise scan whole partitions for a few rows.
create index events_warnings_seq on rowcast.events (seq) where level in ('warn', 'error', 'critical');
-- The same for public readers: what the whole world may see is usually little of much.
create index events_world_seq on rowcast.events (seq) where public_safe and owner is null;

-- Statement triggers fire even when no row matches, and cost an insert nothing.
create function rowcast.refuse_change() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
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

create trigger append_only before update or delete or truncate on rowcast.events
    for each statement execute function rowcast.refuse_change();
alter table rowcast.events enable always trigger append_only;

revoke all on function rowcast.refuse_change() from public;
-- Column grants: nobody but the owner can choose a seq or a time, not even by COPY.
grant insert (id, type, level, public_safe, symbol, trade_id, subject, owner, payload)
    on rowcast.events to rowcast_writer, rowcast_server;
grant select on rowcast.events to rowcast_reader, rowcast_writer, rowcast_server;
grant select on sequence rowcast.events_seq_seq to rowcast_reader, rowcast_writer, rowcast_server;
