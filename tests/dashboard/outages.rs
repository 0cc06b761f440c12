//! What the dashboard shows when a server is killed or Postgres starts again: it says so, comes back by itself, and misses nothing.

use super::Dashboard;
use crate::operations::failover::postgres::Postgres;
use crate::support::restarted_server::RestartedServer;
use crate::support::{TestServer, connect, migrate, migrated_database};

const INSERT: &str = "insert into rowcast.events (type, payload) select 'job.done', jsonb_build_object('n', i) from generate_series(1, 50) i";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missing_after_the_server_was_killed_and_started_again() {
    let db = migrated_database().await;
    let sql = db.client().await;
    let mut server = RestartedServer::with(&db.url, &[]);
    server.ready().await;
    let Some(page) = Dashboard::of_admin(&server.place, "events").await else { return };
    page.says("connection", "live").await;
    let mut expected = 0;
    for _ in 0..3 {
        sql.batch_execute(INSERT).await.unwrap();
        server.kill();
        page.until("it says so", "return /reconnecting|offline|connecting/.test(document.querySelector('[data-hook=connection]').textContent)").await;
        sql.batch_execute(INSERT).await.unwrap();
        expected += 100;
        server.start();
        server.ready().await;
        page.says("connection", "live").await;
        page.says("events-facts", &format!("{expected} events")).await;
    }
    page.end(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missing_after_postgres_has_started_again() {
    let postgres = Postgres::primary().await;
    migrate(&postgres.url()).await;
    let server = TestServer::ready(&postgres.url(), &[("ROWCAST_HEARTBEAT", "1s")]).await;
    let Some(page) = Dashboard::of_admin(server.address(), "events").await else { return };
    page.says("connection", "live").await;
    let mut expected = 0;
    for _ in 0..2 {
        connect(&postgres.url()).await.batch_execute(INSERT).await.unwrap();
        postgres.crash().await;
        connect(&postgres.url()).await.batch_execute(INSERT).await.unwrap();
        expected += 100;
        page.says("events-facts", &format!("{expected} events")).await;
        page.says("connection", "live").await;
    }
    page.end(true).await;
    server.stop().await.unwrap();
}
