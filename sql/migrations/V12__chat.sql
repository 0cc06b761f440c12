-- Chat: who speaks, their conversations, and what was said, in order. An application on the journal, not part of it.
-- Both tables of talk are published, so that everything that is said reaches the tabs of whoever the conversation belongs to,
-- and nobody else's.

create schema chat;
comment on schema chat is 'Speakers, conversations and utterances.';

-- ---------------------------------------------------------------------------------------------------------
-- Tables
-- ---------------------------------------------------------------------------------------------------------

create table chat.speakers (
    id         uuid        not null default gen_random_uuid(),
    kind       text collate "C" not null,
    subject    text collate "C",
    name       text,
    created_at timestamptz not null default clock_timestamp(),
    constraint speakers_pkey primary key (id),
    constraint speakers_subject_key unique (subject),
    constraint speakers_kind_check check (kind in ('user', 'bot')),
    constraint speakers_user_has_subject check ((kind = 'user') = (subject is not null)),
    constraint speakers_bot_has_name check (kind <> 'bot' or name is not null),
    constraint speakers_subject_check check (octet_length(subject) between 1 and 256),
    constraint speakers_name_check check (length(btrim(name)) >= 1 and length(name) <= 200),
    constraint "created_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(created_at))
);
comment on table chat.speakers is 'Users, each the subject of a token, and bots, each with a name.';
create unique index speakers_bot_name on chat.speakers (name) where kind = 'bot';

create table chat.conversations (
    id         uuid        not null default gen_random_uuid(),
    speaker_id uuid        not null,
    status     text collate "C" not null default 'open',
    opened_at  timestamptz not null default clock_timestamp(),
    closed_at  timestamptz,
    owner      text collate "C" not null,
    constraint conversations_pkey primary key (id),
    constraint conversations_speaker_id_fkey foreign key (speaker_id) references chat.speakers (id),
    constraint conversations_status_check check (status in ('open', 'closed')),
    constraint conversations_closed_has_time check ((status = 'closed') = (closed_at is not null)),
    constraint conversations_owner_check check (octet_length(owner) between 1 and 256),
    constraint conversations_times_check check (closed_at >= opened_at),
    constraint "opened_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(opened_at)),
    constraint "closed_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(closed_at))
);
comment on table chat.conversations is 'A user has any number of closed conversations and at most one that is open.';
create unique index conversations_one_open_each on chat.conversations (speaker_id) where status = 'open';
create index conversations_speaker_id on chat.conversations (speaker_id, opened_at, id);
create index conversations_opened_at on chat.conversations (opened_at, id);

create table chat.utterances (
    id              uuid        not null default gen_random_uuid(),
    conversation_id uuid        not null,
    position        integer     not null,
    speaker_id      uuid        not null,
    text            text        not null,
    said_at         timestamptz not null default clock_timestamp(),
    owner           text collate "C" not null,
    answers         uuid,
    final           boolean     not null default true,
    outcome         text collate "C",
    key             text collate "C",
    constraint utterances_pkey primary key (id),
    constraint utterances_conversation_id_position_key unique (conversation_id, position),
    constraint utterances_conversation_id_fkey foreign key (conversation_id) references chat.conversations (id),
    constraint utterances_speaker_id_fkey foreign key (speaker_id) references chat.speakers (id),
    constraint utterances_answers_fkey foreign key (answers) references chat.utterances (id),
    constraint utterances_owner_check check (octet_length(owner) between 1 and 256),
    constraint utterances_only_answers_have_parts check (final or answers is not null),
    constraint utterances_outcome_check check (outcome in ('answered', 'timeout', 'failed')),
    constraint utterances_key_check check (octet_length(key) between 1 and 256),
    constraint utterances_position_check check (position >= 1),
    constraint utterances_text_check check (length(btrim(text, E' \t\n\r')) >= 1 and octet_length(text) <= 32768),
    constraint "said_at must lie in the years 1 to 9999, in UTC" check (rowcast.time_fits(said_at))
);
comment on table chat.utterances is 'What was said, in order: position counts from 1 within its conversation.';
create unique index utterances_key on chat.utterances (owner, key) where key is not null;

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

create trigger set_owner before insert on chat.conversations for each row execute function chat.set_owner();
create trigger set_owner before insert on chat.utterances for each row execute function chat.set_owner();

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

-- ---------------------------------------------------------------------------------------------------------
-- Rights
-- ---------------------------------------------------------------------------------------------------------

-- What the stream calls runs as the owner of the tables, by the triggers alone.
revoke all on function chat.set_owner(), chat.instant(text), chat.conversation_events(text, jsonb, jsonb),
    chat.utterance_events(text, jsonb, jsonb) from public;
grant usage on schema chat to rowcast_server;
-- The server closes conversations and changes nothing else of them. Nobody alters what was said.
grant select, insert on chat.speakers, chat.conversations, chat.utterances to rowcast_server;
grant update (name) on chat.speakers to rowcast_server;
grant update (status, closed_at) on chat.conversations to rowcast_server;
