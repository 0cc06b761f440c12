-- Chat: who speaks, their conversations, and what was said, in order. An application on the journal, not part of it.

create schema chat;
comment on schema chat is 'Speakers, conversations and utterances.';

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
    constraint speakers_created_at_check check (isfinite(created_at))
);
comment on table chat.speakers is 'Users, each the subject of a token, and bots, each with a name.';
create unique index speakers_bot_name on chat.speakers (name) where kind = 'bot';

create table chat.conversations (
    id         uuid        not null default gen_random_uuid(),
    speaker_id uuid        not null,
    status     text collate "C" not null default 'open',
    opened_at  timestamptz not null default clock_timestamp(),
    closed_at  timestamptz,
    constraint conversations_pkey primary key (id),
    constraint conversations_speaker_id_fkey foreign key (speaker_id) references chat.speakers (id),
    constraint conversations_status_check check (status in ('open', 'closed')),
    constraint conversations_closed_has_time check ((status = 'closed') = (closed_at is not null)),
    constraint conversations_times_check check (isfinite(opened_at) and isfinite(closed_at) and closed_at >= opened_at)
);
comment on table chat.conversations is 'A user has any number of closed conversations and at most one that is open.';
create unique index conversations_one_open_each on chat.conversations (speaker_id) where status = 'open';
create index conversations_speaker_id on chat.conversations (speaker_id, opened_at, id);

create table chat.utterances (
    id              uuid        not null default gen_random_uuid(),
    conversation_id uuid        not null,
    position        integer     not null,
    speaker_id      uuid        not null,
    text            text        not null,
    said_at         timestamptz not null default clock_timestamp(),
    constraint utterances_pkey primary key (id),
    constraint utterances_conversation_id_position_key unique (conversation_id, position),
    constraint utterances_conversation_id_fkey foreign key (conversation_id) references chat.conversations (id),
    constraint utterances_speaker_id_fkey foreign key (speaker_id) references chat.speakers (id),
    constraint utterances_position_check check (position >= 1),
    constraint utterances_text_check check (length(btrim(text, E' \t\n\r')) >= 1 and octet_length(text) <= 32768),
    constraint utterances_said_at_check check (isfinite(said_at))
);
comment on table chat.utterances is 'What was said, in order: position counts from 1 within its conversation.';

grant usage on schema chat to rowcast_server;
grant select, insert on chat.speakers, chat.utterances to rowcast_server;
grant update (name) on chat.speakers to rowcast_server;
grant select, insert, update on chat.conversations to rowcast_server;
