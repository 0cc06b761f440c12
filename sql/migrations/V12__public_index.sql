-- Public readers: what the whole world may see is usually little of much, and must not be looked for row by row. Rows that are not
-- marked cost nothing here.
create index events_world_seq on rowcast.events (seq) where public_safe and owner is null;
