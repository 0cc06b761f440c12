//! Live events: what is inserted is seen, filtered, held still while one reads, and looked at.

use super::Dashboard;
use crate::support::{TestServer, migrated_database};

/// The types of the rows in sight, newest first or last, as the list shows them.
const TYPES: &str =
    "return [...document.querySelectorAll('.event:not([hidden])')].map((row) => row.textContent).join('\\n')";

fn insert(kind: &str, count: u32) -> String {
    format!("insert into rowcast.events (type, level, symbol, payload) select '{kind}', 'warn', 'SYM' || i % 3, jsonb_build_object('n', i)
             from generate_series(1, {count}) i")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_inserted_is_seen_filtered_and_looked_at() {
    let db = migrated_database().await;
    let sql = db.client().await;
    let server = TestServer::ready(&db.url, &[]).await;
    let Some(page) = Dashboard::of_admin(server.address(), "events").await else { return };
    page.says("connection", "live").await;
    page.says("blank", "insert into rowcast.events").await;
    sql.batch_execute(&insert("job.done", 1)).await.unwrap();
    page.until("the row is seen", "return document.querySelectorAll('.event:not([hidden])').length === 1").await;
    assert!(page.browser.run(TYPES).await.as_str().unwrap().contains("job.done"));
    let address = page.browser.run("return location.href").await;
    assert!(!address.as_str().unwrap().contains("token"), "the token stays in the address: {address}");

    sql.batch_execute(&insert("job.failed", 5)).await.unwrap();
    page.says("events-facts", "6 events").await;
    page.enter("filter-type", "job.failed").await;
    page.says("events-facts", "5 events").await;
    assert!(!page.browser.run(TYPES).await.as_str().unwrap().contains("job.done"));
    sql.batch_execute(&format!("{}; {}", insert("job.done", 3), insert("job.failed", 2))).await.unwrap();
    page.says("events-facts", "7 events").await;
    page.enter("filter-symbol", "SYM1").await;
    page.says("events-facts", "3 events").await;

    page.browser.click(".event:not([hidden])").await;
    page.says("payload", "\"n\"").await;
    // The address of an event leads to it, wherever one is.
    let cursor: String = sql
        .query_one(
            "select seq || '.' || right(id::text, 8) from rowcast.events where type = 'job.done' order by seq limit 1",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    page.browser.run(&format!("location.hash = '#/events/{cursor}'")).await;
    page.says("inspector", "job.done").await;
    page.end(false).await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_shown_and_copied_as_they_were_sent() {
    let db = migrated_database().await;
    let sql = db.client().await;
    let server = TestServer::ready(&db.url, &[]).await;
    let Some(page) = Dashboard::of_admin(server.address(), "events").await else { return };
    page.says("connection", "live").await;
    let payload = r#"{"large": 9007199254740993, "amount": 1.50, "tiny": 0.0000001, "list": [12345678901234567890.1234567890, -7]}"#;
    // Nested deeper than a browser can go through value by value.
    let deep = "('{\"large\": 9007199254740993, \"deep\": ' || repeat('[', 3000) || repeat(']', 3000) || '}')::jsonb";
    let rows =
        format!("insert into rowcast.events (type, payload) values ('job.deep', {deep}), ('job.priced', '{payload}')");
    sql.batch_execute(&rows).await.unwrap();
    page.says("events", "12345678901234567890.1234567890").await;
    page.browser.click(".event:not([hidden])[data-seq=\"2\"]").await;
    for number in ["9007199254740993,", "1.50", "0.0000001,", "12345678901234567890.1234567890,", "-7"] {
        page.says("payload", number).await;
    }
    page.browser.run("navigator.clipboard.writeText = async (text) => { window.copied = text; }").await;
    page.click("copy-payload").await;
    page.until("it is copied", "return window.copied !== undefined").await;
    let copied = page.browser.run("return window.copied.replaceAll(/\\s/g, '')").await;
    let kept: String =
        sql.query_one("select payload::text from rowcast.events where seq = 2", &[]).await.unwrap().get(0);
    assert_eq!(copied, kept.replace(' ', ""));
    page.end(false).await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_stands_still_while_one_reads_and_catches_up_without_losing_any() {
    let db = migrated_database().await;
    let sql = db.client().await;
    let server = TestServer::ready(&db.url, &[]).await;
    let Some(page) = Dashboard::of_admin(server.address(), "events").await else { return };
    page.says("connection", "live").await;
    sql.batch_execute(&insert("job.done", 40)).await.unwrap();
    page.says("events-facts", "40 events").await;
    page.click("pause").await;
    page.until("it stands still", "return document.querySelector('[data-hook=pause]').ariaPressed === 'true'").await;
    let places = "return [...document.querySelectorAll('.event:not([hidden])')].filter((row) => row.dataset.seq <= 40)
                  .map((row) => [row.dataset.seq, row.getBoundingClientRect().top, row.textContent]).sort()";
    let before = page.browser.run(places).await;
    for _ in 0..10 {
        sql.batch_execute(&insert("job.late", 100)).await.unwrap();
    }
    page.says("follow", "1,000").await;
    assert_eq!(page.browser.run(places).await, before, "what one reads has moved");
    page.click("follow").await;
    page.says("events-facts", "1,040 events").await;
    let newest: i64 = sql.query_one("select max(seq) from rowcast.events", &[]).await.unwrap().get(0);
    let seen = format!("return !!document.querySelector('.event:not([hidden])[data-seq=\"{newest}\"]')");
    page.until("the newest is in sight", &seen).await;
    page.end(false).await;
    server.stop().await.unwrap();
}
