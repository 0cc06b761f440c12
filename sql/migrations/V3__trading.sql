-- Trading: trades, their orders, account snapshots and configuration. An application on the journal, not part of it.
-- Quantities, prices and money are numeric and exact. NaN and Infinity compare above every number in Postgres, so
-- each check has an upper bound too.

create schema trading;
comment on schema trading is 'Trades, orders, snapshots and configuration of a trading engine.';

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
    constraint trades_pkey primary key (id),
    constraint trades_client_order_id_key unique (client_order_id),
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
    constraint trades_times_check check (isfinite(opened_at) and isfinite(closed_at) and closed_at >= opened_at),
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
    constraint orders_pkey primary key (id),
    constraint orders_client_order_id_key unique (client_order_id),
    constraint orders_trade_id_fkey foreign key (trade_id) references trading.trades (id),
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
    constraint orders_times_check check (isfinite(created_at) and isfinite(updated_at) and updated_at >= created_at)
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
    constraint snapshots_taken_at_check check (isfinite(taken_at))
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
    constraint config_updated_at_check check (isfinite(updated_at)),
    constraint config_updated_by_check check (octet_length(updated_by) between 1 and 256)
);
comment on table trading.config is 'Settings of the engine, by key.';

grant usage on schema trading to rowcast_server;
grant select, insert, update on trading.trades, trading.orders, trading.config to rowcast_server;
grant select, insert on trading.snapshots to rowcast_server;
