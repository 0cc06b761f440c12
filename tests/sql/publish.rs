//! Published tables. One test for each sentence of `docs/PUBLISHED_TABLES.md` that promises something.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod column_values;
mod oversized_rows;
mod publish_options;
mod publish_rights;
mod published_tables;
mod row_changes;
mod state_keys;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::support::{TestDb, migrated_database};

/// A database with one session, and what the journal has been told since it was last asked.
pub(crate) struct Shop {
    pub(crate) client: Client,
    /// Dropped last, and the database with it.
    _db: TestDb,
}

pub(crate) async fn shop(sql: &str) -> Shop {
    let db = migrated_database().await;
    let shop = Shop { client: db.client().await, _db: db };
    // What the applications publish is not what these tests are about.
    shop.run("select rowcast.unpublish(table_name) from rowcast.published").await;
    shop.run("create schema shop").await;
    shop.run(sql).await;
    shop
}

pub(crate) fn unique(what: &str) -> String {
    format!("{what}_{}", uuid::Uuid::new_v4().simple())
}

impl Shop {
    /// The URL of the same database for another user.
    pub(crate) fn url_of(&self, user: &str, password: &str) -> String {
        self._db.url_of(user, password)
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }

    /// Runs the statements and returns the events that they made, as `type subject payload`.
    pub(crate) async fn told(&self, sql: &str) -> Vec<String> {
        let before = self.one("select coalesce(max(seq), 0)::text from rowcast.events").await;
        self.run(sql).await;
        self.lines(&format!(
            "select concat_ws(' ', regexp_replace(type, '^shop\\.', ''), coalesce(subject, '-'), payload::text)
               from rowcast.events where seq > {before} order by seq"
        ))
        .await
    }

    pub(crate) async fn lines(&self, sql: &str) -> Vec<String> {
        let answer = self.client.simple_query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        let row = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("null").to_owned()),
            _ => None,
        };
        answer.iter().filter_map(row).collect()
    }

    pub(crate) async fn one(&self, sql: &str) -> String {
        self.lines(sql).await.remove(0)
    }

    /// The error that a statement ends in, and its message.
    pub(crate) async fn refusal(&self, sql: &str) -> (SqlState, String) {
        let error = self.client.batch_execute(sql).await.expect_err(sql);
        let error = error.as_db_error().expect("an error of the database");
        (error.code().clone(), format!("{} / {}", error.message(), error.hint().unwrap_or("")))
    }
}
