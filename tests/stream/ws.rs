//! The WebSocket as clients meet it: every frame, every close code, and everything that goes wrong on the way.

mod clocks;
mod database_outage;
mod first_word;
mod following_clients;
mod frames;
mod fuzz;
mod message_limits;
pub(crate) mod raw_websocket;
mod rfc6455;
mod server_process;
mod session_ends;
mod slow_clients;
mod stalled_clients;
mod subscribe;
mod sync;
mod upgrade;

use std::time::{Duration, SystemTime};

use rowcast::auth::Role;
use rowcast::auth::token::Mint;
use rowcast::clock::Clock;
use rowcast::config::Secret;
use tokio_postgres::Client as Postgres;

use self::raw_websocket::Client;
use crate::support::{JWT_SECRET, TestDb, TestServer, migrated_database, until};

/// A token of this role and subject.
pub(crate) fn token(role: Role, subject: &str) -> String {
    aged(role, subject, Duration::ZERO, Duration::from_secs(3600))
}

/// One that was issued so long ago, with this life.
fn aged(role: Role, subject: &str, age: Duration, ttl: Duration) -> String {
    let clock = Clock::fixed(SystemTime::now() - age);
    let token = Mint { subject, role, ttl, issuer: None, audience: None }.sign(&Secret::new(JWT_SECRET), &clock);
    token.unwrap().expose().to_owned()
}

/// A server over a database of its own, and somebody who writes there.
struct ServedJournal {
    server: TestServer,
    writer: Postgres,
    // Dropped last, when nobody uses it any more.
    db: TestDb,
}

impl ServedJournal {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let db = migrated_database().await;
        let server = TestServer::ready(&db.url, settings).await;
        Self { server, writer: db.client().await, db }
    }

    /// Many events of one type.
    async fn append(&self, many: i64) {
        append(&self.writer, many).await;
        settled(&self.server, &self.writer).await;
    }

    /// The server is stopped: a runtime that ends below it would wait for its tail.
    async fn end(self) {
        self.server.stop().await.unwrap();
    }

    /// One event, by what stands in the columns besides payload.
    async fn event(&self, columns: &str, values: &str) -> i64 {
        let sql = format!("insert into rowcast.events (payload, {columns}) values ('{{}}', {values}) returning seq");
        let seq = self.writer.query_one(&sql, &[]).await.unwrap().get(0);
        settled(&self.server, &self.writer).await;
        seq
    }

    /// A session of a viewer.
    async fn viewer(&self, target: &str) -> Client {
        Client::with(self.server.address(), target, &token(Role::Viewer, "vera")).await
    }

    async fn session(&self, role: Role, subject: &str, target: &str) -> Client {
        Client::with(self.server.address(), target, &token(role, subject)).await
    }

    /// The cursor of an event.
    async fn cursor(&self, seq: i64) -> String {
        let sql = "select right(id::text, 8) from rowcast.events where seq = $1";
        let tag: String = self.writer.query_one(sql, &[&seq]).await.unwrap().get(0);
        format!("{seq}.{tag}")
    }
}

async fn append(writer: &Postgres, many: i64) {
    let sql = "insert into rowcast.events (type, payload)
               select 'note.added', jsonb_build_object('n', n) from generate_series(1, $1::bigint) n";
    writer.execute(sql, &[&many]).await.unwrap();
}

/// Waits until the server's head covers all that is written.
async fn settled(server: &TestServer, writer: &Postgres) {
    let newest: i64 = writer.query_one("select max(seq) from rowcast.events", &[]).await.unwrap().get(0);
    until("the head covers what was written", || async {
        let page = server.get("/metrics").await.body;
        let head = page.lines().find_map(|line| line.strip_prefix("rowcast_tail_head "));
        head.and_then(|head| head.parse::<i64>().ok()).is_some_and(|head| head >= newest)
    })
    .await;
}
