//! A thousand events a second: nothing is lost. `scripts/torture browser` holds the page to its pace too: no task over 200 ms, and memory that
//! stays flat.

use std::time::Duration;

use serde_json::{Value, json};

use super::Dashboard;
use super::chromium::say;
use crate::support::{TestServer, migrated_database};

const WATCH: &str = "window.longest = 0; new PerformanceObserver((list) => {
    for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
}).observe({ type: 'longtask', buffered: false })";

/// Inserts a thousand events a second, ten times in each.
async fn write(sql: &tokio_postgres::Client, seconds: u64) {
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..seconds * 10 {
        pace.tick().await;
        let rows = "insert into rowcast.events (type, level, symbol, subject, payload) select 'tick.' || i % 7, 'info', 'SYM' || i % 20, 's' || i % 50,
                    jsonb_build_object('price', random() * 100, 'n', i) from generate_series(1, 100) i";
        sql.batch_execute(rows).await.unwrap();
    }
}

/// The bytes that are in use on the heap once what is not needed is gone.
async fn heap(page: &Dashboard) -> f64 {
    page.browser.devtools("HeapProfiler.collectGarbage", json!({})).await;
    page.browser.run("return performance.memory.usedJSHeapSize").await.as_f64().unwrap()
}

async fn follow(seconds: u64) -> Option<(f64, f64, f64)> {
    let db = migrated_database().await;
    let sql = db.client().await;
    let server = TestServer::ready(&db.url, &[]).await;
    let page = Dashboard::of_admin(server.address(), "events").await?;
    page.says("connection", "live").await;
    // The list is full before memory is looked at for the first time.
    write(&sql, seconds).await;
    page.until("all have come", &all_seen(&sql).await).await;
    let before = heap(&page).await;
    page.browser.run(WATCH).await;
    write(&sql, seconds).await;
    page.until("all have come", &all_seen(&sql).await).await;
    let Value::Number(longest) = page.browser.run("return window.longest").await else { panic!("no number") };
    let after = heap(&page).await;
    page.end(false).await;
    server.stop().await.unwrap();
    Some((longest.as_f64().unwrap(), before, after))
}

async fn all_seen(sql: &tokio_postgres::Client) -> String {
    let newest: i64 = sql.query_one("select max(seq) from rowcast.events", &[]).await.unwrap().get(0);
    format!("return !!document.querySelector('.event:not([hidden])[data-seq=\"{newest}\"]')")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_events_a_second_are_all_seen() {
    follow(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures times, and wants a quiet machine: scripts/torture browser"]
async fn a_thousand_events_a_second_block_the_page_for_no_longer_than_200_ms_and_fill_no_memory() {
    let (longest, before, after) = follow(30).await.expect("Chromium");
    say(&format!("longest task {longest} ms, heap {:.1} MB before and {:.1} MB after", before / 1e6, after / 1e6));
    assert!(longest < 200.0, "a task took {longest} ms");
    assert!(after < before * 1.3 + 5e6, "the heap grew from {before} to {after}");
}
