//! The dashboard and pages of others, in a real Chromium against a real server. `docs/DASHBOARD.md` says what they do. Where Chromium and its
//! driver are not installed, each test says so by name.

mod accounts;
mod chromium;
mod events;
mod kept_tables;
mod load;
mod long_answers;
mod lost_places;
mod outages;
mod own_page;
mod views;

use rowcast::auth::Role;
use serde_json::Value;

use self::chromium::Browser;
use crate::stream::ws::token;
use crate::support::until;

/// The dashboard of a server, in a browser.
struct Dashboard {
    browser: Browser,
}

impl Dashboard {
    /// Opens it at a place behind the `#`; none where there is no browser.
    async fn open(address: &str, place: &str) -> Option<Self> {
        let browser = Browser::start().await?;
        browser.open(&format!("http://{address}/{place}")).await;
        Some(Self { browser })
    }

    /// Opens it and signs in as an administrator.
    async fn of_admin(address: &str, view: &str) -> Option<Self> {
        Self::open(address, &format!("#token={}&view={view}", token(Role::Admin, "root"))).await
    }

    /// The text of what has this hook, or null.
    async fn text(&self, hook: &str) -> Option<String> {
        let found = self
            .browser
            .run(&format!("return document.querySelector('[data-hook=\"{hook}\"]')?.textContent ?? null"))
            .await;
        found.as_str().map(str::to_owned)
    }

    async fn says(&self, hook: &str, expected: &str) {
        until(&format!("{hook} says {expected}"), || async {
            self.text(hook).await.is_some_and(|text| text.contains(expected))
        })
        .await;
    }

    /// Waits until a script returns true.
    async fn until(&self, what: &str, script: &str) {
        until(what, || async { self.browser.run(script).await == Value::Bool(true) }).await;
    }

    async fn click(&self, hook: &str) {
        self.browser.click(&format!("[data-hook=\"{hook}\"]")).await;
    }

    /// Writes into a field and leaves it with Enter.
    async fn enter(&self, hook: &str, text: &str) {
        self.browser.type_into(&format!("[data-hook=\"{hook}\"]"), text).await;
    }

    /// Ends the browser. Nothing may have been logged but what browsers log by themselves of requests that fail.
    async fn end(self, requests_may_fail: bool) {
        let logged = self.browser.logged().await;
        let faults: Vec<_> =
            logged.iter().filter(|line| !(requests_may_fail && line.contains("\"network\""))).collect();
        assert!(faults.is_empty(), "{faults:#?}");
        self.browser.end().await;
    }
}
