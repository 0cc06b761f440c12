-- Trading: trades, their orders, account snapshots and configuration. An application on the journal, not part of it.
-- It moves by rules, remembers its settings, and is told on the stream by rowcast.publish alone.
--
-- Quantities, prices and money are numeric and exact. NaN and Infinity compare above every number in Postgres, so
-- each check has an upper bound too.

create schema trading;
comment on schema trading is 'Trades, orders, snapshots and configuration of a trading engine.';

-- ---------------------------------------------------------------------------------------------------------
-- Tables
-- ---------------------------------------------------------------------------------------------------------

create table trading.trades (
    id              uuid        not null default gen_random_uuid(),
    client_order_id text collate "C",
    symbol          text collate "C" not null,
    side            text collate "C" not null,
    status          text collate "C" not null default 'open',
    quantity        numeric     not null,
    entry_price     numeric     not null,
    exit_price      numeric,
    fees            numeric     not null default 0,
    profit          numeric generated always as (
        case side when 'long' then exit_price - entry_price when 'short' then entry_price - exit_price end
        * quantity - fees) stored,
    reason          text,
    close_reason    text,
    opened_by       text,
    opened_at       timestamptz not null default clock_timestamp(),
    closed_at       timestamptz,
    -- What the creation asked for, as a hash: fees and states change later, and a retry is compared with what was asked first.
    created_with    bytea,
    constraint trades_pkey primary key (id),
    constraint trades_client_order_id_key unique (client_order_id),
    constraint trades_created_with_check check (octet_length(created_with) = 32),
    constraint trades_client_order_id_check check (octet_length(client_order_id) between 1 and 128),
    constraint trades_symbol_check check (symbol ~ '^[!-~]{1,64}$'),
    constraint trades_side_check check (side in ('long', 'short')),
    constraint trades_status_check check (status in ('open', 'closed')),
    constraint trades_quantity_check check (quantity > 0 and quantity < 1e20 and scale(quantity) <= 18),
    constraint trades_entry_price_check check (entry_price > 0 and entry_price < 1e20 and scale(entry_price) <= 18),
    constraint trades_exit_price_check check (exit_price > 0 and exit_price < 1e20 and scale(exit_price) <= 18),
    constraint trades_fees_check check (fees >= 0 and fees < 1e20 and scale(fees) <= 18),
    constraint trades_reason_check check (octet_length(reason) between 1 and 4000),
    constraint trades_close_reason_check check (octet_length(close_reason) between 1 and 4000),
    constraint trades_opened_by_check check (octet_length(opened_by) between 1 and 256),
    constraint trades_times_check check (closed_at >= opened_at),
    constraint "opened_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(opened_at)),
    constraint "closed_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(closed_at)),
    constraint trades_closed_has_exit check ((status = 'closed') = (exit_price is not null)),
    constraint trades_closed_has_time check ((status = 'closed') = (closed_at is not null))
);
comment on table trading.trades is 'One row a trade: opened with an entry price, closed with an exit price; profit is computed.';
create index trades_opened_at on trading.trades (opened_at, id);
create index trades_symbol_opened_at on trading.trades (symbol, opened_at, id);
create index trades_open on trading.trades (opened_at, id) where status = 'open';

create table trading.orders (
    id              uuid        not null default gen_random_uuid(),
    client_order_id text collate "C" not null,
    trade_id        uuid,
    symbol          text collate "C" not null,
    side            text collate "C" not null,
    type            text collate "C" not null,
    status          text collate "C" not null default 'new',
    quantity        numeric     not null,
    limit_price     numeric,
    filled_quantity numeric     not null default 0,
    average_price   numeric,
    fees            numeric     not null default 0,
    reject_reason   text,
    placed_by       text,
    created_at      timestamptz not null default clock_timestamp(),
    updated_at      timestamptz not null default clock_timestamp(),
    -- What the creation asked for, as a hash: fees and states change later, and a retry is compared with what was asked first.
    created_with    bytea,
    constraint orders_pkey primary key (id),
    constraint orders_client_order_id_key unique (client_order_id),
    constraint orders_trade_id_fkey foreign key (trade_id) references trading.trades (id),
    constraint orders_created_with_check check (octet_length(created_with) = 32),
    constraint orders_client_order_id_check check (octet_length(client_order_id) between 1 and 128),
    constraint orders_symbol_check check (symbol ~ '^[!-~]{1,64}$'),
    constraint orders_side_check check (side in ('buy', 'sell')),
    constraint orders_type_check check (type in ('market', 'limit')),
    constraint orders_status_check check (status in ('new', 'partially_filled', 'filled', 'cancelled', 'rejected')),
    constraint orders_quantity_check check (quantity > 0 and quantity < 1e20 and scale(quantity) <= 18),
    constraint orders_limit_price_check check (limit_price > 0 and limit_price < 1e20 and scale(limit_price) <= 18),
    constraint orders_limit_has_price check ((type = 'limit') = (limit_price is not null)),
    constraint orders_filled_quantity_check check (filled_quantity >= 0 and filled_quantity <= quantity and scale(filled_quantity) <= 18),
    constraint orders_average_price_check check (average_price > 0 and average_price < 1e20 and scale(average_price) <= 18),
    constraint orders_fill_has_price check ((filled_quantity > 0) = (average_price is not null)),
    constraint orders_status_fits_fill check (
        case status
            when 'new' then filled_quantity = 0
            when 'rejected' then filled_quantity = 0
            when 'partially_filled' then filled_quantity > 0 and filled_quantity < quantity
            when 'filled' then filled_quantity = quantity
            when 'cancelled' then filled_quantity < quantity
        end),
    constraint orders_fees_check check (fees >= 0 and fees < 1e20 and scale(fees) <= 18),
    constraint orders_reject_reason_check check (octet_length(reject_reason) between 1 and 4000),
    constraint orders_rejected_has_reason check ((status = 'rejected') = (reject_reason is not null)),
    constraint orders_placed_by_check check (octet_length(placed_by) between 1 and 256),
    constraint orders_times_check check (updated_at >= created_at),
    constraint "created_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(created_at)),
    constraint "updated_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(updated_at))
);
comment on table trading.orders is 'One row an order, at most one for each client order id; its status fits what was filled.';
create index orders_created_at on trading.orders (created_at, id);
create index orders_trade_id on trading.orders (trade_id, created_at, id) where trade_id is not null;

create table trading.snapshots (
    id                uuid        not null default gen_random_uuid(),
    taken_at          timestamptz not null default clock_timestamp(),
    equity            numeric     not null,
    cash              numeric     not null,
    unrealized_profit numeric     not null default 0,
    positions         jsonb       not null default '[]',
    taken_by          text,
    constraint snapshots_pkey primary key (id),
    constraint snapshots_equity_check check (abs(equity) < 1e20 and scale(equity) <= 18),
    constraint snapshots_cash_check check (abs(cash) < 1e20 and scale(cash) <= 18),
    constraint snapshots_unrealized_profit_check check (abs(unrealized_profit) < 1e20 and scale(unrealized_profit) <= 18),
    constraint snapshots_positions_check check (jsonb_typeof(positions) = 'array' and octet_length(positions::text) <= 131072),
    constraint snapshots_taken_by_check check (octet_length(taken_by) between 1 and 256),
    constraint "taken_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(taken_at))
);
comment on table trading.snapshots is 'The account as it stood at one moment.';
create index snapshots_taken_at on trading.snapshots (taken_at, id);

create table trading.config (
    key        text collate "C" not null,
    value      jsonb       not null,
    version    integer     not null default 1,
    updated_at timestamptz not null default clock_timestamp(),
    updated_by text,
    constraint config_pkey primary key (key),
    constraint config_key_check check (octet_length(key) <= 128 and key ~ '^[a-z0-9_]+(\.[a-z0-9_]+)*$'),
    constraint config_value_check check (octet_length(value::text) <= 65536),
    constraint config_version_check check (version >= 1),
    constraint "updated_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(updated_at)),
    constraint config_updated_by_check check (octet_length(updated_by) between 1 and 256)
);
comment on table trading.config is 'Settings of the engine, by key.';

create table trading.config_history (
    id         uuid        not null default gen_random_uuid(),
    key        text collate "C" not null,
    version    integer     not null,
    value      jsonb,
    changed_at timestamptz not null default clock_timestamp(),
    changed_by text,
    constraint config_history_pkey primary key (id),
    constraint "changed_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(changed_at))
);
comment on table trading.config_history is 'Every version that a setting has had. Written by the trigger of trading.config alone.';
create index config_history_changed_at on trading.config_history (changed_at, id);
create index config_history_key on trading.config_history (key, changed_at, id);

-- ---------------------------------------------------------------------------------------------------------
-- States
-- ---------------------------------------------------------------------------------------------------------

-- A state that has ended stays as it is, for SQL as for HTTP: the rules are triggers. They come before the constraints,
-- so that whoever asks for what the state forbids is told of the state (SQLSTATE 55000, the current one in DETAIL) and not of
-- a number that would not fit either.

create function trading.keep_order_states() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
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
comment on function trading.keep_order_states() is 'Lets an order go from state to state as orders do; what was ordered never changes.';

create function trading.keep_trade_states() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
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
comment on function trading.keep_trade_states() is 'Keeps a closed trade as it is.';

create function trading.keep_config_versions() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
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
comment on function trading.keep_config_versions() is 'Counts the versions of a setting, also for whoever forgets to.';

create trigger keep_states before update on trading.orders for each row execute function trading.keep_order_states();
create trigger keep_states before update on trading.trades for each row when (old.status = 'closed')
    execute function trading.keep_trade_states();
create trigger keep_versions before update on trading.config for each row execute function trading.keep_config_versions();

-- ---------------------------------------------------------------------------------------------------------
-- The history of settings
-- ---------------------------------------------------------------------------------------------------------

-- Runs as its owner, so that nobody needs a right to write history.
create function trading.remember_config() returns trigger
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
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
comment on function trading.remember_config() is 'Writes every version of a setting into trading.config_history.';

create trigger remember after insert or delete on trading.config for each row execute function trading.remember_config();
create trigger remember_update after update on trading.config for each row when (old.* is distinct from new.*)
    execute function trading.remember_config();

-- ---------------------------------------------------------------------------------------------------------
-- The stream
-- ---------------------------------------------------------------------------------------------------------

create function trading.trade_event(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)
    language sql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
    select case
               when op = 'delete' then 'trade.deleted'
               when new ->> 'status' = 'closed' and (op = 'insert' or old ->> 'status' = 'open') then 'trade.closed'
               when op = 'insert' then 'trade.opened'
               else 'trade.updated'
           end,
           case when op = 'insert' or new ->> 'status' = 'closed' then 'info' else 'warn' end,
           coalesce(new, old)
$$;
comment on function trading.trade_event(text, jsonb, jsonb) is 'What a change of trading.trades is called on the stream.';

create function trading.order_event(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)
    language sql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
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
comment on function trading.order_event(text, jsonb, jsonb) is 'What a change of trading.orders is called on the stream.';

create function trading.snapshot_event(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)
    language sql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
    select case op when 'insert' then 'snapshot.taken' when 'update' then 'snapshot.updated' else 'snapshot.deleted' end,
           case op when 'insert' then 'info' else 'warn' end,
           coalesce(new, old)
$$;
comment on function trading.snapshot_event(text, jsonb, jsonb) is 'What a change of trading.snapshots is called on the stream.';

-- The value stands under the setting's own key, so that whoever hides secrets by their keys hides this one too.
create function trading.config_event(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)
    language sql
    immutable
    set search_path = pg_catalog, pg_temp
as $$
    select case when op = 'delete' then 'config.removed' else 'config.changed' end,
           case when op = 'delete' then 'warn' else 'info' end,
           (now_is - 'value') || jsonb_build_object('setting', jsonb_build_object(now_is ->> 'key', now_is -> 'value'))
      from (select coalesce(new, old)) as row (now_is)
$$;
comment on function trading.config_event(text, jsonb, jsonb) is 'What a change of trading.config is called on the stream.';

insert into rowcast.event_types (type, description, public_fields) values
    ('trade.opened', 'A trade was opened.', '{side,status,entry_price,opened_at}'),
    ('trade.updated', 'An open trade was corrected by hand.', '{}'),
    ('trade.closed', 'A trade was closed; its profit is final.', '{side,status,entry_price,exit_price,opened_at,closed_at}'),
    ('trade.deleted', 'A trade was deleted by hand.', '{}'),
    ('order.placed', 'An order was placed.', '{}'),
    ('order.partially_filled', 'More of an order was filled, and not all of it.', '{}'),
    ('order.filled', 'All of an order is filled.', '{}'),
    ('order.cancelled', 'An order was cancelled; what was filled before stays.', '{}'),
    ('order.rejected', 'An order was refused by the exchange.', '{}'),
    ('order.updated', 'An order got its trade, or other fees, and is in the same state.', '{}'),
    ('order.deleted', 'An order was deleted by hand.', '{}'),
    ('snapshot.taken', 'The account as it stood at one moment.', '{taken_at,equity}'),
    ('snapshot.updated', 'A snapshot was corrected by hand.', '{}'),
    ('snapshot.deleted', 'A snapshot was deleted by hand.', '{}'),
    ('config.changed', 'A setting was made or changed.', '{}'),
    ('config.removed', 'A setting was removed by hand.', '{}'),
    ('decision.made', 'The engine decided to act, and says why.', '{action}');

select rowcast.publish('trading.trades',
    columns => '{id,client_order_id,symbol,side,status,quantity,entry_price,exit_price,fees,profit,reason,close_reason,opened_by,opened_at,closed_at}',
    type_prefix => 'trade', symbol_column => 'symbol', trade_id_column => 'id', public_safe => true, map => 'trading.trade_event');
select rowcast.publish('trading.orders',
    columns => '{id,client_order_id,trade_id,symbol,side,type,status,quantity,limit_price,filled_quantity,average_price,fees,reject_reason,placed_by,created_at,updated_at}',
    type_prefix => 'order', symbol_column => 'symbol', trade_id_column => 'trade_id', map => 'trading.order_event');
select rowcast.publish('trading.snapshots',
    columns => '{id,taken_at,equity,cash,unrealized_profit,positions,taken_by}',
    type_prefix => 'snapshot', public_safe => true, map => 'trading.snapshot_event');
select rowcast.publish('trading.config',
    columns => '{key,value,version,updated_at,updated_by}',
    type_prefix => 'config', map => 'trading.config_event');

-- ---------------------------------------------------------------------------------------------------------
-- Rights
-- ---------------------------------------------------------------------------------------------------------

grant usage on schema trading to rowcast_server;
revoke all on function
    trading.keep_order_states(), trading.keep_trade_states(), trading.keep_config_versions(), trading.remember_config(),
    trading.trade_event(text, jsonb, jsonb), trading.order_event(text, jsonb, jsonb),
    trading.snapshot_event(text, jsonb, jsonb), trading.config_event(text, jsonb, jsonb) from public;
-- What was agreed does not change: the server may write what becomes of it, and nothing else.
grant select, insert on trading.trades, trading.orders, trading.snapshots, trading.config to rowcast_server;
grant update (status, exit_price, fees, close_reason, closed_at) on trading.trades to rowcast_server;
grant update (trade_id, status, filled_quantity, average_price, fees, reject_reason) on trading.orders to rowcast_server;
grant update (value, version, updated_at, updated_by) on trading.config to rowcast_server;
grant select on trading.config_history to rowcast_server;
