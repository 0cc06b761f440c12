//! Live tables: the rows of published tables with the cursor of their events. Each sentence of `docs/LIVE_TABLES.md` that promises something.

mod hostile_owners;
mod large_tables;
mod locked_tables;
mod refused_snapshots;
mod row_bytes;
mod shared_readings;
mod who_sees_what;

use rowcast::auth::Role;
use serde_json::Value;
use tokio_postgres::Client;

use super::ws::token;
use crate::support::raw_http::{Answer, get_chunked};
use crate::support::{TestDb, TestServer, migrated_database};

/// A server over a database with tables in a schema of its own.
struct LiveShop {
    server: TestServer,
    sql: Client,
    // Dropped last, when nobody uses it any more.
    db: TestDb,
}

impl LiveShop {
    async fn start(sql: &str, settings: &[(&str, &str)]) -> Self {
        let db = migrated_database().await;
        let client = db.client().await;
        client.batch_execute("create schema shop").await.unwrap();
        client.batch_execute(sql).await.unwrap();
        let server = TestServer::ready(&db.url, settings).await;
        Self { server, sql: client, db }
    }

    async fn run(&self, sql: &str) {
        self.sql.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// An answer to this role and subject, or to nobody in particular.
    async fn get(&self, who: Option<(Role, &str)>, path: &str) -> Answer {
        let bearer = who.map(|(role, subject)| format!("Bearer {}", token(role, subject)));
        let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        get_chunked(self.server.address(), path, &headers).await
    }

    async fn admin(&self, path: &str) -> Answer {
        self.get(Some((Role::Admin, "root")), path).await
    }

    /// The rows of the first table of a snapshot, as `subject payload`.
    async fn rows(&self, who: Option<(Role, &str)>, path: &str) -> Vec<String> {
        let answer = self.get(who, path).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let mut rows: Vec<String> = answer.json()["tables"][0]["rows"].as_array().unwrap().iter().map(shown).collect();
        rows.sort();
        rows
    }

    async fn end(self) {
        self.server.stop().await.unwrap();
        drop(self.db);
    }
}

fn shown(row: &Value) -> String {
    format!("{} {}", row["subject"].as_str().unwrap_or("-"), row["payload"])
}

fn code_of(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned())
}
