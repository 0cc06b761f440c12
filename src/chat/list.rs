//! Reading conversations and closing them. `owner` is the only owner whose conversations may be seen; `None` allows all.

use std::fmt;
use std::str::FromStr;

use postgres_types::Type;
use tokio_postgres::{Client, Error};
use uuid::Uuid;

use super::model::{CONVERSATION, UTTERANCE};
use super::{Conversation, Status, Utterance};
use crate::db::Timestamp;

/// A page of a list, and whether more items follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListPage<T> {
    /// The items, in the order of the list.
    pub(super) items: Vec<T>,
    /// True if others follow.
    pub(super) more: bool,
}

impl<T> ListPage<T> {
    /// A page of these items. The statement asks for one item more than the limit, which tells whether more follow.
    fn of(mut items: Vec<T>, limit: usize) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        Self { items, more }
    }
}

/// A cursor of the list of conversations: the time and id of the last one that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListCursor {
    opened_at: Timestamp,
    id: Uuid,
}

impl ListCursor {
    /// The cursor that stands on this conversation.
    pub(super) fn of(conversation: &Conversation) -> Self {
        Self { opened_at: conversation.opened_at, id: conversation.id }
    }
}

impl fmt::Display for ListCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.opened_at, self.id)
    }
}

impl FromStr for ListCursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (micros, id) = text.split_once('.').ok_or(())?;
        let opened_at = micros.parse().map_err(|_| ())?;
        let id = Uuid::parse_str(id).map_err(|_| ())?;
        let cursor = Self { opened_at, id };
        // Only one way to write a cursor is accepted.
        if cursor.to_string() == text { Ok(cursor) } else { Err(()) }
    }
}

/// A page of the conversations, newest first, after a cursor.
pub(super) async fn conversations(
    client: &Client,
    owner: Option<&str>,
    status: Option<Status>,
    after: Option<ListCursor>,
    limit: u16,
) -> Result<ListPage<Conversation>, Error> {
    // Two statements, since each has an index of its own.
    let whose = if owner.is_some() {
        "c.speaker_id = (select s.id from chat.speakers s where s.subject = $1)"
    } else {
        "$1::text is null"
    };
    let sql = format!(
        "select {CONVERSATION} from chat.conversations c
          where {whose} and ($2::text is null or c.status = $2)
            and ($3::timestamptz is null or (c.opened_at, c.id) < ($3, $4))
          order by c.opened_at desc, c.id desc limit $5"
    );
    let (status, at, id) = (status.map(Status::as_str), after.map(|a| a.opened_at), after.map(|a| a.id));
    let one_more = i64::from(limit) + 1;
    let parameters = [
        (&owner as &(dyn postgres_types::ToSql + Sync), Type::TEXT),
        (&status, Type::TEXT),
        (&at, Type::TIMESTAMPTZ),
        (&id, Type::UUID),
        (&one_more, Type::INT8),
    ];
    let rows = client.query_typed(&sql, &parameters).await?;
    let items = rows.iter().map(Conversation::read).collect::<Result<_, _>>()?;
    Ok(ListPage::of(items, usize::from(limit)))
}

/// A page of the utterances of a conversation after a position, in order; `None` if the conversation may not be seen.
pub(super) async fn utterances(
    client: &Client,
    owner: Option<&str>,
    conversation: Uuid,
    after: i32,
    limit: u16,
) -> Result<Option<ListPage<Utterance>>, Error> {
    if find(client, owner, conversation).await?.is_none() {
        return Ok(None);
    }
    let sql = format!(
        "select {UTTERANCE} from chat.utterances u join chat.speakers s on s.id = u.speaker_id
          where u.conversation_id = $1 and u.position > $2 order by u.position limit $3"
    );
    let one_more = i64::from(limit) + 1;
    let parameters = [(&conversation as _, Type::UUID), (&after as _, Type::INT4), (&one_more as _, Type::INT8)];
    let rows = client.query_typed(&sql, &parameters).await?;
    let items = rows.iter().map(Utterance::read).collect::<Result<_, _>>()?;
    Ok(Some(ListPage::of(items, usize::from(limit))))
}

/// Closes a conversation and returns it; a closed one stays as it is. `None` if the conversation may not be seen.
pub(super) async fn close(
    client: &Client,
    owner: Option<&str>,
    conversation: Uuid,
) -> Result<Option<Conversation>, Error> {
    // The table refuses a closing before the opening, as a clock that was set back would make it.
    let sql = format!(
        "update chat.conversations c set status = 'closed', closed_at = greatest(clock_timestamp(), c.opened_at)
          where c.id = $1 and ($2::text is null or c.owner = $2) and c.status = 'open'
         returning {CONVERSATION}"
    );
    let closed = client.query_typed_opt(&sql, &[(&conversation, Type::UUID), (&owner, Type::TEXT)]).await?;
    match closed {
        Some(row) => Conversation::read(&row).map(Some),
        None => find(client, owner, conversation).await,
    }
}

async fn find(client: &Client, owner: Option<&str>, conversation: Uuid) -> Result<Option<Conversation>, Error> {
    let sql = format!(
        "select {CONVERSATION} from chat.conversations c where c.id = $1 and ($2::text is null or c.owner = $2)"
    );
    let row = client.query_typed_opt(&sql, &[(&conversation, Type::UUID), (&owner, Type::TEXT)]).await?;
    row.as_ref().map(Conversation::read).transpose()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_has_one_form() {
        let id = Uuid::from_u128(7);
        let text = format!("1769508000000001.{id}");
        let cursor: ListCursor = text.parse().unwrap();
        assert_eq!((cursor.to_string(), cursor.id), (text.clone(), id));
        for bad in
            ["", "1", ".", "-1.", "1.2", &text[1..8], &format!("0{text}"), &format!("+{text}"), &text.to_uppercase()]
        {
            assert!(bad.parse::<ListCursor>().is_err() || *bad == text, "{bad}");
        }
        assert!(format!("99999999999999999999.{id}").parse::<ListCursor>().is_err());
        assert!(format!("9300000000000000000.{id}").parse::<ListCursor>().is_err());
    }
}
