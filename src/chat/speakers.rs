//! Making speakers ahead of their first word: bots by their name, users by the subject of their tokens.

use postgres_types::Type;
use tokio_postgres::{Client, Error};
use uuid::Uuid;

/// Makes a bot, or finds the one of this name.
pub async fn make_bot(client: &Client, name: &str) -> Result<Uuid, Error> {
    // The update changes nothing: it lets the statement return the row that was there.
    let sql = "insert into chat.speakers (kind, name) values ('bot', $1)
               on conflict (name) where kind = 'bot' do update set name = excluded.name returning id";
    client.query_typed_one(sql, &[(&name, Type::TEXT)]).await?.try_get(0)
}

/// Makes a user, or finds the one of this subject; a name replaces the one that the user had.
pub async fn make_user(client: &Client, subject: &str, name: Option<&str>) -> Result<Uuid, Error> {
    let sql = "insert into chat.speakers as s (kind, subject, name) values ('user', $1, $2)
               on conflict (subject) do update set name = coalesce(excluded.name, s.name) returning id";
    client.query_typed_one(sql, &[(&subject, Type::TEXT), (&name, Type::TEXT)]).await?.try_get(0)
}
