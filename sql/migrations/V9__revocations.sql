-- Revocations: whose tokens are refused, and from when on.

create table rowcast.revocations (
    subject    text collate "C" not null,
    revoked_at timestamptz not null default clock_timestamp(),
    revoked_by text,
    reason     text,
    constraint revocations_pkey primary key (subject),
    constraint revocations_subject_check check (octet_length(subject) between 1 and 256),
    constraint "revoked_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(revoked_at)),
    constraint revocations_revoked_by_check check (octet_length(revoked_by) between 1 and 256),
    constraint revocations_reason_check check (octet_length(reason) between 1 and 1000)
);
comment on table rowcast.revocations is
    'Tokens of this subject issued until revoked_at are refused, and their live sessions closed.';

grant select, insert, update on rowcast.revocations to rowcast_server;
