-- The other times that are read and shown: in the years 1 to 9999, as the times of events (V13). One row beyond them made every
-- list that it stood in fail.

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

-- Not valid, so that no row is read under the lock, and one that breaks the rule already does not stop the migration: see V13.
-- The checks that a time is finite go: the new ones say it too, and name the column.
set local lock_timeout = '10s';

-- destructive: isfinite is part of the new check
alter table rowcast.revocations
    drop constraint revocations_revoked_at_check,
    add constraint "revoked_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(revoked_at)) not valid;

-- destructive: isfinite is part of the new checks
alter table trading.trades
    drop constraint trades_times_check,
    add constraint trades_times_check check (closed_at >= opened_at) not valid,
    add constraint "opened_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(opened_at)) not valid,
    add constraint "closed_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(closed_at)) not valid;

-- destructive: isfinite is part of the new checks
alter table trading.orders
    drop constraint orders_times_check,
    add constraint orders_times_check check (updated_at >= created_at) not valid,
    add constraint "created_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(created_at)) not valid,
    add constraint "updated_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(updated_at)) not valid;

-- destructive: isfinite is part of the new check
alter table trading.snapshots
    drop constraint snapshots_taken_at_check,
    add constraint "taken_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(taken_at)) not valid;

-- destructive: isfinite is part of the new check
alter table trading.config
    drop constraint config_updated_at_check,
    add constraint "updated_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(updated_at)) not valid;

alter table trading.config_history
    add constraint "changed_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(changed_at)) not valid;

-- destructive: isfinite is part of the new check
alter table chat.speakers
    drop constraint speakers_created_at_check,
    add constraint "created_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(created_at)) not valid;

-- destructive: isfinite is part of the new checks
alter table chat.conversations
    drop constraint conversations_times_check,
    add constraint conversations_times_check check (closed_at >= opened_at) not valid,
    add constraint "opened_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(opened_at)) not valid,
    add constraint "closed_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(closed_at)) not valid;

-- destructive: isfinite is part of the new check
alter table chat.utterances
    drop constraint utterances_said_at_check,
    add constraint "said_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(said_at)) not valid;
