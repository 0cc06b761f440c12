//! The chat, from outside: said over HTTP, read over HTTP and from the stream, and compared with the table.

mod chat_streams;
mod closing;
mod conversation_lists;
mod hostile_texts;
mod responder;
mod speakers;
mod utterances;

use std::time::Duration;

use rowcast::auth::Role;
use rowcast::auth::token::Mint;
use rowcast::chat::{Chat, Responder};
use rowcast::clock::Clock;
use rowcast::config::Secret;
use serde_json::{Value, json};

use crate::support::raw_http::{Answer, request};
use crate::support::{JWT_SECRET, TestDb, TestServer, migrated_database};

/// No limit is met here, and requests that come at once are at the database at once.
const SETTINGS: &[(&str, &str)] = &[
    ("ROWCAST_RATE_LIMITS", "public=1000000/s,private=1000000/s,connect=1000000/s,append=1000000/s,chat=1000000/s"),
    ("ROWCAST_DB_POOL", "32"),
];

/// A server with a chat, and its database, which is dropped last.
struct ChatServer {
    server: TestServer,
    db: TestDb,
}

fn token(subject: &str, role: Role) -> Secret {
    let mint = Mint { subject, role, ttl: Duration::from_secs(3600), issuer: None, audience: None };
    mint.sign(&Secret::new(JWT_SECRET), &Clock::system()).unwrap()
}

/// One who asks.
#[derive(Clone, Copy)]
struct Requester<'a>(&'a str, Role);

impl ChatServer {
    /// With the responder that is built in.
    async fn start() -> Self {
        let db = migrated_database().await;
        Self { server: TestServer::ready(&db.url, SETTINGS).await, db }
    }

    /// With another one, that has so long for an answer.
    async fn start_with(responder: std::sync::Arc<dyn Responder>, limit: Duration) -> Self {
        let db = migrated_database().await;
        let chat = Chat::new(responder, limit);
        let server = TestServer::ready_as(&db.url, SETTINGS, |app| app.with_chat(chat)).await;
        Self { server, db }
    }

    async fn ask(&self, who: Requester<'_>, method: &str, path: &str, more: &[(&str, &str)], body: &[u8]) -> Answer {
        let authorization = format!("Bearer {}", token(who.0, who.1).expose());
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend(more);
        request(self.server.address(), method, path, &headers, body).await
    }

    async fn post(&self, who: Requester<'_>, more: &[(&str, &str)], body: &Value) -> Answer {
        let headers = [&[("content-type", "application/json")], more].concat();
        self.ask(who, "POST", "/v1/chat", &headers, body.to_string().as_bytes()).await
    }

    /// Something said by a user, that must succeed.
    async fn say(&self, subject: &str, text: &str) -> Value {
        let answer = self.post(user(subject), &[], &json!({ "text": text })).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()
    }

    async fn get(&self, who: Requester<'_>, path: &str) -> Answer {
        self.ask(who, "GET", path, &[], b"").await
    }

    async fn close(&self, who: Requester<'_>, conversation: &Value) -> Answer {
        let path = format!("/v1/conversations/{}/close", conversation.as_str().unwrap());
        self.ask(who, "POST", &path, &[], b"").await
    }

    /// A number from the database.
    async fn number(&self, sql: &str) -> i64 {
        self.db.client().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    async fn stop(self) {
        self.server.stop().await.unwrap();
    }
}

fn user(subject: &str) -> Requester<'_> {
    Requester(subject, Role::User)
}

/// Status and code of a refusal.
fn refusal(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{}", answer.body);
    (answer.status, answer.json()["code"].as_str().unwrap().to_owned())
}

/// Positions count from 1 without a gap, and every answer stands right behind what it answers.
const GAPLESS: &str = "select count(*) from (
        select position, row_number() over (partition by conversation_id order by position) as place, answers,
               lag(coalesce(answers, id)) over (partition by conversation_id order by position) as before
          from chat.utterances) u
     where position <> place or (answers is not null and answers is distinct from before)";
