-- The taxonomy: which types of events there are on purpose, and which of their fields the public may see.
-- docs/14_EVENT_TAXONOMY.md explains it, and lists the types that come with Rowcast.

create table rowcast.event_types (
    type          text collate "C" not null,
    description   text   not null,
    public_fields text[] not null default '{}',
    constraint event_types_pkey primary key (type),
    constraint event_types_type_check
        check (octet_length(type) <= 128 and type ~ '^[a-z0-9_]+(\.[a-z0-9_]+)*$'),
    constraint event_types_description_check check (length(btrim(description)) >= 1 and length(description) <= 1000),
    constraint event_types_public_fields_check
        check (array_position(public_fields, null) is null and octet_length(public_fields::text) <= 16384)
);
comment on table rowcast.event_types is
    'The taxonomy. Only types listed here, rows marked public_safe and fields named in public_fields reach a public view.';

grant select on rowcast.event_types to rowcast_reader, rowcast_writer, rowcast_server;

-- For people who try things out by hand.
insert into rowcast.event_types (type, description, public_fields)
values ('note.added', 'A note written by hand, to try things out.', '{text}');
