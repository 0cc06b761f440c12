-- Chat as a stream: whose each row is, what an utterance answers, and both tables published, so that everything that is
-- said reaches the tabs of whoever the conversation belongs to, and nobody else's.

-- ---------------------------------------------------------------------------------------------------------
-- Whose it is
-- ---------------------------------------------------------------------------------------------------------

-- A published row names its owner in a column. It follows from what the row belongs to, so nobody writes it: not a
-- client, not the server, not a person at a prompt. A wrong one would show a talk to a stranger.
create function chat.set_owner() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_table_name = 'conversations' then
        new.owner := (select s.subject from chat.speakers s where s.id = new.speaker_id);
    else
        new.owner := (select c.owner from chat.conversations c where c.id = new.conversation_id);
    end if;
    return new;
end
$$;
comment on function chat.set_owner() is 'Whose row this is: the subject of the user whose conversation it belongs to.';

alter table chat.conversations add column owner text collate "C";
-- destructive: fills the column that was just added
update chat.conversations c set owner = s.subject from chat.speakers s where s.id = c.speaker_id;
alter table chat.conversations
    alter column owner set not null,
    add constraint conversations_owner_check check (octet_length(owner) between 1 and 256);
create trigger set_owner before insert on chat.conversations for each row execute function chat.set_owner();
create index conversations_opened_at on chat.conversations (opened_at, id);

alter table chat.utterances
    add column owner   text collate "C",
    add column answers uuid,
    add column final   boolean not null default true,
    add column outcome text collate "C",
    add column key     text collate "C";
-- destructive: fills the column that was just added
update chat.utterances u set owner = c.owner from chat.conversations c where c.id = u.conversation_id;
alter table chat.utterances
    alter column owner set not null,
    add constraint utterances_owner_check check (octet_length(owner) between 1 and 256),
    add constraint utterances_answers_fkey foreign key (answers) references chat.utterances (id),
    add constraint utterances_only_answers_have_parts check (final or answers is not null),
    add constraint utterances_outcome_check check (outcome in ('answered', 'timeout', 'failed')),
    add constraint utterances_key_check check (octet_length(key) between 1 and 256);
create trigger set_owner before insert on chat.utterances for each row execute function chat.set_owner();
create unique index utterances_key on chat.utterances (owner, key) where key is not null;

-- The server closes conversations and changes nothing else of them.
revoke update on chat.conversations from rowcast_server;
grant update (status, closed_at) on chat.conversations to rowcast_server;

-- ---------------------------------------------------------------------------------------------------------
-- What becomes of the rows in the stream
-- ---------------------------------------------------------------------------------------------------------

-- A time as events and answers show it.
create function chat.instant(at text) returns text
    language sql
    stable
    strict
    set search_path = pg_catalog, pg_temp
as $$
    select to_char(at::timestamptz at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;
comment on function chat.instant(text) is 'A time in UTC with microseconds, as events and answers show it.';

create function chat.conversation_events(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    told jsonb := coalesce(new, old);
begin
    type := 'chat.conversation.' || case when op = 'delete' then 'removed'
                                         when told ->> 'status' = 'open' then 'opened' else 'closed' end;
    payload := jsonb_strip_nulls(told || jsonb_build_object(
        'opened_at', chat.instant(told ->> 'opened_at'), 'closed_at', chat.instant(told ->> 'closed_at')));
end
$$;
comment on function chat.conversation_events(text, jsonb, jsonb) is 'The events of chat.conversations: opened, closed.';

create function chat.utterance_events(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    told jsonb := coalesce(new, old);
begin
    type := 'chat.utterance.' || case op when 'insert' then 'added' when 'update' then 'changed' else 'removed' end;
    select jsonb_strip_nulls(told - 'speaker_id' || jsonb_build_object(
               'said_at', chat.instant(told ->> 'said_at'), 'speaker', s.kind, 'name', s.name))
      into payload
      from chat.speakers s where s.id = (told ->> 'speaker_id')::uuid;
end
$$;
comment on function chat.utterance_events(text, jsonb, jsonb) is 'The events of chat.utterances: added.';

-- They run as the owner of the tables, by the triggers alone.
revoke all on function chat.set_owner(), chat.instant(text), chat.conversation_events(text, jsonb, jsonb),
    chat.utterance_events(text, jsonb, jsonb) from public;

select rowcast.publish('chat.conversations', columns => '{id,owner,status,opened_at,closed_at}', owner_column => 'owner',
                       type_prefix => 'chat.conversation', map => 'chat.conversation_events');
select rowcast.publish('chat.utterances',
                       columns => '{id,conversation_id,position,speaker_id,text,said_at,answers,final,outcome}',
                       owner_column => 'owner', subject_column => 'conversation_id', type_prefix => 'chat.utterance',
                       map => 'chat.utterance_events');

-- Never public: each has an owner. Listed so that what exists on purpose can be looked up.
insert into rowcast.event_types (type, description, public_fields) values
    ('chat.conversation.opened', 'A user has begun a conversation.', '{}'),
    ('chat.conversation.closed', 'A conversation was closed; the next message opens another.', '{}'),
    ('chat.conversation.removed', 'A conversation was deleted by hand.', '{}'),
    ('chat.utterance.added', 'Something was said in a conversation, by the user or by a bot.', '{}'),
    ('chat.utterance.changed', 'Something that was said was altered by hand.', '{}'),
    ('chat.utterance.removed', 'Something that was said was deleted by hand.', '{}');
