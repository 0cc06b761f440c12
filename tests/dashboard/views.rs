//! Every view, dark and light, wide and narrow: it shows something, logs nothing, scrolls no page sideways, and axe finds nothing serious.

use serde_json::{Value, json};

use super::Dashboard;
use super::chromium::skip;
use crate::support::{TestServer, migrated_database};

const VIEWS: [&str; 5] = ["events", "tables", "trading", "chat", "system"];

/// Something in every view.
const ROWS: &str = "
    insert into trading.trades (symbol, side, quantity, entry_price) values ('BTC-USD', 'long', 1, 1);
    insert into trading.orders (client_order_id, symbol, side, type, quantity) values ('o', 'ETH-USD', 'buy', 'market', 2);
    insert into trading.snapshots (equity, cash) values (1000, 500), (1100, 600);
    insert into rowcast.events (type, level, payload) select 'job.done', l, '{}' from unnest('{debug,info,warn,error,critical}'::text[]) l";

/// The library of axe: from npm, by scripts/client-test or the variable.
fn axe() -> Option<String> {
    let place = std::env::var("ROWCAST_AXE").unwrap_or_else(|_| {
        concat!(env!("CARGO_MANIFEST_DIR"), "/clients/js/node_modules/axe-core/axe.min.js").to_owned()
    });
    std::fs::read_to_string(place).ok()
}

const FINDINGS: &str = "axe.run(document, { resultTypes: ['violations'] }).then((found) => JSON.stringify(found.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => [id, nodes.slice(0, 3).map(({ html, failureSummary }) => [html.slice(0, 200), failureSummary])])))";

async fn findings(page: &Dashboard, axe: &str) -> Value {
    page.browser.devtools("Runtime.evaluate", json!({ "expression": axe })).await;
    let found = page
        .browser
        .devtools("Runtime.evaluate", json!({ "expression": FINDINGS, "awaitPromise": true, "returnByValue": true }));
    found.await["result"]["value"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_view_is_accessible_dark_and_light_wide_and_narrow() {
    let db = migrated_database().await;
    let server = TestServer::ready(&db.url, &[]).await;
    let axe = axe();
    if axe.is_none() {
        skip("axe-core is not installed (scripts/client-test does so where npm is); the views are opened without it");
    }
    for filled in [false, true] {
        if filled {
            db.client().await.batch_execute(ROWS).await.unwrap();
        }
        let Some(page) = Dashboard::of_admin(server.address(), "events").await else { return };
        page.says("connection", "live").await;
        for (scheme, width, height) in
            [("light", 1280, 900), ("dark", 1280, 900), ("light", 360, 780), ("dark", 360, 780)]
        {
            let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
            page.browser.devtools("Emulation.setEmulatedMedia", media).await;
            let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
            page.browser.devtools("Emulation.setDeviceMetricsOverride", size).await;
            for view in VIEWS {
                page.browser.run(&format!("location.hash = '#/{view}'")).await;
                let is_shown =
                    format!("return document.querySelector('section[data-view={view}]:not([hidden])') !== null");
                page.until(&format!("{view} is shown"), &is_shown).await;
                page.until("it has loaded", "return document.querySelector('[aria-busy=true]') === null").await;
                let sideways = page
                    .browser
                    .run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
                    .await;
                assert_eq!(sideways, 0, "{view} scrolls sideways at {width}");
                if let Some(axe) = &axe {
                    assert_eq!(findings(&page, axe).await, "[]", "{view}, {scheme}, {width} wide, filled: {filled}");
                }
            }
        }
        page.end(false).await;
    }
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_view_is_reached_by_its_key_and_help_names_the_keys() {
    let db = migrated_database().await;
    db.client().await.batch_execute(ROWS).await.unwrap();
    let server = TestServer::ready(&db.url, &[]).await;
    let Some(page) = Dashboard::of_admin(server.address(), "events").await else { return };
    page.says("connection", "live").await;
    for (view, key) in VIEWS.iter().zip(["1", "2", "3", "4", "5"]).rev() {
        page.browser.press(key).await;
        let is_shown = format!("return document.querySelector('section[data-view={view}]:not([hidden])') !== null");
        page.until(&format!("{view} is shown"), &is_shown).await;
    }
    page.browser.press("?").await;
    page.until("help is open", "return document.querySelector('dialog[open][data-hook=help]') !== null").await;
    page.browser.press("\u{e00c}").await;
    page.until("Escape closes it", "return document.querySelector('dialog[open]') === null").await;
    page.browser.press(" ").await;
    page.until("Space holds the list", "return document.querySelector('[data-hook=pause]').ariaPressed === 'true'")
        .await;
    page.end(false).await;
    server.stop().await.unwrap();
}
