//! The dashboard while its place is lost: retention removed what comes next, or the database has another history.

use super::Dashboard;
use crate::support::restarted_server::RestartedServer;
use crate::support::{binary, migrated_database};

/// So many events of this type.
fn insert(kind: &str, count: u32) -> String {
    format!("insert into rowcast.events (type) select '{kind}' from generate_series(1, {count})")
}

const NOTICE: &str = "(document.querySelector('.list-overlay .notice')?.textContent ?? '')";
const LAST_SEQ: &str =
    "Math.max(...[...document.querySelectorAll('.event:not([hidden])')].map((row) => Number(row.dataset.seq)))";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_retention_removed_meanwhile_are_said_to_be_missing_and_the_rest_comes() {
    let db = migrated_database().await;
    let sql = db.client().await;
    let mut server = RestartedServer::with(&db.url, &[]);
    server.ready().await;
    let Some(page) = Dashboard::of_admin(&server.place, "events").await else { return };
    page.says("connection", "live").await;
    sql.batch_execute(&insert("job.done", 30)).await.unwrap();
    page.says("events-facts", "30 events").await;
    server.kill();
    sql.batch_execute(&insert("job.late", 50)).await.unwrap();
    let trimmed = binary(&["trim", "--before", "71"], &[("DATABASE_URL", &db.url)]).output().unwrap();
    assert!(trimmed.status.success(), "{}", String::from_utf8_lossy(&trimmed.stderr));
    server.start();
    server.ready().await;
    page.until("it says what is missing", &format!("return /^Events after .* are missing/.test({NOTICE})")).await;
    page.says("events-facts", "40 events").await;
    sql.batch_execute(&insert("job.done", 1)).await.unwrap();
    page.until("the next event is seen", &format!("return {LAST_SEQ} === 81")).await;
    // A link to what is gone says so, and shows the oldest that is kept.
    page.browser.run("location.hash = '#/events/7'").await;
    page.says("toast", "no longer kept").await;
    page.says("events-facts", "11 events from the first").await;
    page.end(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_history_of_the_database_is_shown_from_its_beginning() {
    let (db, restored) = (migrated_database().await, migrated_database().await);
    let table =
        "create table public.orders (id int primary key, status text); select rowcast.publish('public.orders');";
    db.client().await.batch_execute(&format!("{table} {}", insert("job.done", 30))).await.unwrap();
    let rows = "insert into public.orders values (1, 'restored')";
    restored.client().await.batch_execute(&format!("{table} {rows}; {}", insert("job.other", 4))).await.unwrap();
    let mut server = RestartedServer::with(&db.url, &[]);
    server.ready().await;
    let Some(page) = Dashboard::of_admin(&server.place, "events").await else { return };
    page.says("connection", "live").await;
    page.says("events-facts", "30 events").await;
    page.browser.click(".event:not([hidden])").await;
    page.says("inspector", "job.done").await;
    server.kill();
    server.move_to(&restored.url);
    server.start();
    server.ready().await;
    page.until("it says so", &format!("return {NOTICE}.startsWith('The database has another history')")).await;
    page.says("events-facts", "5 events from the first").await;
    page.until(
        "the event of the former history is closed",
        "return document.querySelector('[data-hook=inspector]').hidden",
    )
    .await;
    page.browser.press("2").await;
    page.browser.click("a[data-table=\"public.orders\"]").await;
    page.says("grid", "restored").await;
    page.end(true).await;
}
