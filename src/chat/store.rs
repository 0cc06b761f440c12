//! The statements that store a message. They are unnamed, so that they pass through a pooler that hands every transaction to another
//! server connection.

use postgres_types::Type;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, IsolationLevel, Row};
use uuid::Uuid;

use super::answer::MAX_PARTS;
use super::model::{CONVERSATION, UTTERANCE};
use super::{Conversation, Exchange, Kind, Message, Outcome, Turn, Utterance};

/// The number of earlier utterances that a responder is told.
const HISTORY: i64 = 20;
/// The unique constraint on idempotency keys.
const KEY_RULE: &str = "utterances_key";

/// The conversation of a message: the one that it names, or else the open one of its subject.
pub(super) async fn find_conversation(client: &Client, message: &Message) -> Result<Option<Conversation>, Error> {
    let sql = format!(
        "select {CONVERSATION} from chat.conversations c
          where case when $2::uuid is null
                     then c.status = 'open' and c.speaker_id = (select s.id from chat.speakers s where s.subject = $1)
                     else c.id = $2 and c.owner = $1 end"
    );
    let row =
        client.query_typed_opt(&sql, &[(&message.subject, Type::TEXT), (&message.conversation, Type::UUID)]).await?;
    row.as_ref().map(Conversation::read).transpose()
}

/// The last utterances of a conversation, oldest first.
pub(super) async fn history(client: &Client, conversation: Uuid) -> Result<Vec<Turn>, Error> {
    let sql = "select s.kind, u.text from chat.utterances u join chat.speakers s on s.id = u.speaker_id
                where u.conversation_id = $1 order by u.position desc limit $2";
    let rows = client.query_typed(sql, &[(&conversation, Type::UUID), (&HISTORY, Type::INT8)]).await?;
    let turn = |row: &Row| {
        let kind: &str = row.try_get(0)?;
        let speaker = if kind == Kind::Bot.as_str() { Kind::Bot } else { Kind::User };
        Ok(Turn { speaker, text: row.try_get(1)? })
    };
    rows.iter().rev().map(turn).collect()
}

/// The exchange that a subject has stored under an idempotency key.
pub(super) async fn find_exchange(client: &Client, subject: &str, key: &str) -> Result<Option<Exchange>, Error> {
    let sql = format!(
        "select {UTTERANCE}, {CONVERSATION}
           from chat.utterances q
           join chat.conversations c on c.id = q.conversation_id
           join chat.utterances u on u.conversation_id = q.conversation_id
                                 and u.position between q.position and q.position + $3 and (u.id = q.id or u.answers = q.id)
           join chat.speakers s on s.id = u.speaker_id
          where q.owner = $1 and q.key = $2
          order by u.position"
    );
    let parameters = [(&subject as _, Type::TEXT), (&key as _, Type::TEXT), (&MAX_PARTS as _, Type::INT4)];
    exchange(&client.query_typed(&sql, &parameters).await?, true)
}

/// An exchange from its rows, the question first.
fn exchange(rows: &[Row], repeated: bool) -> Result<Option<Exchange>, Error> {
    let Some((first, rest)) = rows.split_first() else { return Ok(None) };
    let conversation = Conversation::read_after(first, UTTERANCE.split(", ").count())?;
    let answer = rest.iter().map(Utterance::read).collect::<Result<_, _>>()?;
    Ok(Some(Exchange { conversation, said: Utterance::read(first)?, answer, repeated }))
}

/// The outcome of storing an exchange.
#[derive(Debug)]
pub(super) enum StoreOutcome {
    /// It is stored.
    Stored(Box<Exchange>),
    /// Its key was used before.
    Repeated,
    /// The subject has no such conversation.
    Missing,
    /// The conversation is closed.
    Closed,
}

/// Stores a message and its answer, one behind the other, in one transaction.
///
/// The row of the conversation is locked from the first statement that touches it, so positions are given out one after
/// the other, and a conversation is not closed in between. The tables' events come at the commit, all at once.
pub(super) async fn store_exchange(
    client: &mut Client,
    message: &Message,
    bot: &str,
    answer: &Result<Vec<String>, Outcome>,
) -> Result<StoreOutcome, Error> {
    // Each statement must see what was committed while it waited.
    let transaction = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await?;
    let speakers = "insert into chat.speakers (kind, subject, name) values ('user', $1, null), ('bot', null, $2)
                    on conflict do nothing";
    transaction.query_typed(speakers, &[(&message.subject, Type::TEXT), (&bot, Type::TEXT)]).await?;
    let place = if let Some(id) = message.conversation {
        let sql = format!(
            "select {CONVERSATION} from chat.conversations c where c.id = $1 and c.owner = $2 for no key update"
        );
        transaction.query_typed_opt(&sql, &[(&id, Type::UUID), (&message.subject, Type::TEXT)]).await?
    } else {
        // An upsert that changes nothing locks the row and returns it, whoever made it; if it is closed at the same time,
        // Postgres begins anew. So of any number of first messages one opens the conversation, and none fails.
        let sql = format!(
            "insert into chat.conversations as c (speaker_id) select s.id from chat.speakers s where s.subject = $1
             on conflict (speaker_id) where status = 'open' do update set status = excluded.status
             returning {CONVERSATION}"
        );
        transaction.query_typed_opt(&sql, &[(&message.subject, Type::TEXT)]).await?
    };
    let Some(place) = place else { return Ok(StoreOutcome::Missing) };
    let conversation = Conversation::read(&place)?;
    if conversation.status == super::Status::Closed {
        return Ok(StoreOutcome::Closed);
    }
    let rows = match insert(&transaction, message, conversation.id, bot, answer).await {
        Err(error) if is_repeated(&error) => return Ok(StoreOutcome::Repeated),
        rows => rows?,
    };
    transaction.commit().await?;
    let mut said = rows.iter().map(Utterance::read);
    // The statement returns a row for the message, and one for each part of the answer.
    let Some(first) = said.next().transpose()? else { return Ok(StoreOutcome::Missing) };
    let answer = said.collect::<Result<_, _>>()?;
    Ok(StoreOutcome::Stored(Box::new(Exchange { conversation, said: first, answer, repeated: false })))
}

async fn insert(
    transaction: &tokio_postgres::Transaction<'_>,
    message: &Message,
    conversation: Uuid,
    bot: &str,
    answer: &Result<Vec<String>, Outcome>,
) -> Result<Vec<Row>, Error> {
    let sql = format!(
        "with said as (
             insert into chat.utterances (conversation_id, position, speaker_id, text, outcome, key)
             select $1, 1 + coalesce((select max(u.position) from chat.utterances u where u.conversation_id = $1), 0),
                    (select s.id from chat.speakers s where s.subject = $2), $3, $4, $5
             returning *),
         told as (
             insert into chat.utterances (conversation_id, position, speaker_id, text, answers, final)
             select said.conversation_id, said.position + part.place,
                    (select s.id from chat.speakers s where s.kind = 'bot' and s.name = $6), part.text, said.id,
                    part.place = cardinality($7)
               from said, unnest($7) with ordinality as part (text, place)
              order by part.place
             returning *)
         select {UTTERANCE}
           from (select * from said union all select * from told) u join chat.speakers s on s.id = u.speaker_id
          order by u.position"
    );
    let none = Vec::new();
    let (outcome, parts) = match answer {
        Ok(parts) => (Outcome::Answered, parts),
        Err(outcome) => (*outcome, &none),
    };
    let (text, outcome) = (message.text.as_str(), outcome.as_str());
    let parameters = [
        (&conversation as &(dyn postgres_types::ToSql + Sync), Type::UUID),
        (&message.subject, Type::TEXT),
        (&text, Type::TEXT),
        (&outcome, Type::TEXT),
        (&message.key, Type::TEXT),
        (&bot, Type::TEXT),
        (parts, Type::TEXT_ARRAY),
    ];
    transaction.query_typed(&sql, &parameters).await
}

fn is_repeated(error: &Error) -> bool {
    error.as_db_error().is_some_and(|db| *db.code() == SqlState::UNIQUE_VIOLATION && db.constraint() == Some(KEY_RULE))
}
