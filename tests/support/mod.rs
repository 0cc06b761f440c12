//! A database per test, on the cluster that `TEST_DATABASE_URL` names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

mod embedded {
    refinery::embed_migrations!("sql/migrations");
}

pub(crate) struct TestDb {
    pub(crate) url: String,
    name: String,
}

fn admin_url() -> String {
    std::env::var("TEST_DATABASE_URL").expect("TEST_DATABASE_URL names a superuser's database")
}

fn url_of(name: &str) -> String {
    let admin = admin_url();
    let (server, _) = admin.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect(url);
    tokio::spawn(connection);
    client
}

async fn create(template: Option<&str>) -> String {
    let name = format!("rowcast_test_{}", uuid::Uuid::new_v4().simple());
    let template = template.map_or(String::new(), |t| format!(" template {t}"));
    connect(&admin_url()).await.batch_execute(&format!("create database {name}{template}")).await.unwrap();
    name
}

pub(crate) async fn migrate(url: &str) {
    let mut client = connect(url).await;
    Box::pin(embedded::migrations::runner().run_async(&mut client)).await.unwrap();
}

pub(crate) async fn empty_database() -> TestDb {
    let name = create(None).await;
    TestDb { url: url_of(&name), name }
}

pub(crate) async fn migrated_database() -> TestDb {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let template = TEMPLATE
        .get_or_init(|| async {
            let name = create(None).await;
            migrate(&url_of(&name)).await;
            name
        })
        .await;
    let name = create(Some(template)).await;
    TestDb { url: url_of(&name), name }
}

impl TestDb {
    pub(crate) async fn client(&self) -> Client {
        connect(&self.url).await
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let name = self.name.clone();
        std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let _ = connect(&admin_url()).await.batch_execute(&format!("drop database {name} with (force)")).await;
            });
        })
        .join()
        .unwrap();
    }
}
