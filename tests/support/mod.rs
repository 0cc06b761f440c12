//! A fresh, migrated database for each test, on the cluster that `TEST_DATABASE_URL` names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

use std::path::Path;

use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

#[derive(Debug)]
pub struct TestDb {
    pub url: String,
}

impl TestDb {
    pub async fn client(&self) -> Client {
        connect(&self.url).await
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connect");
    tokio::spawn(connection);
    client
}

fn server() -> String {
    std::env::var("TEST_DATABASE_URL").expect("TEST_DATABASE_URL names a cluster to test on")
}

fn within(database: &str) -> String {
    let server = server();
    let (base, _) = server.rsplit_once('/').expect("TEST_DATABASE_URL ends in /database");
    format!("{base}/{database}")
}

/// Migrated once for each run of the tests, copied for each test.
static TEMPLATE: OnceCell<String> = OnceCell::const_new();

async fn template() -> String {
    let name = format!("rowcast_template_{}", uuid::Uuid::new_v4().simple());
    connect(&server()).await.batch_execute(&format!("create database {name}")).await.expect("create template");
    let client = connect(&within(&name)).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let sql = std::fs::read_to_string(&file).unwrap();
        client.batch_execute(&format!("begin; {sql}\n; commit")).await.unwrap_or_else(|e| panic!("{file:?}: {e:?}"));
    }
    name
}

pub async fn migrated_database() -> TestDb {
    let template = TEMPLATE.get_or_init(template).await;
    let name = format!("rowcast_test_{}", uuid::Uuid::new_v4().simple());
    let admin = connect(&server()).await;
    // The connection that migrated the template may take a moment to be gone.
    loop {
        match admin.batch_execute(&format!("create database {name} template {template}")).await {
            Ok(()) => break,
            Err(e) if e.code() == Some(&tokio_postgres::error::SqlState::OBJECT_IN_USE) => {
                tokio::task::yield_now().await
            }
            Err(e) => panic!("create {name}: {e:?}"),
        }
    }
    TestDb { url: within(&name) }
}
