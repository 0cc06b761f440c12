//! Who looks: the public view becomes a private one in place, and a token that expires is asked for without losing the place.

use std::time::Duration;

use rowcast::auth::Role;
use rowcast::auth::token::Mint;
use rowcast::clock::Clock;
use rowcast::config::Secret;

use super::Dashboard;
use crate::stream::ws::token;
use crate::support::{JWT_SECRET, TestServer, migrated_database};

const EVENTS: &str = "insert into rowcast.event_types (type, description, public_fields) values ('news.told', 'News', '{title}');
    insert into rowcast.events (type, public_safe, payload) values ('news.told', true, '{\"title\": \"open\", \"author\": \"hidden\"}');
    insert into rowcast.events (type, payload) values ('job.done', '{}')";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_public_view_becomes_a_private_one_in_place() {
    let db = migrated_database().await;
    db.client().await.batch_execute(EVENTS).await.unwrap();
    let server = TestServer::ready(&db.url, &[("ROWCAST_PUBLIC_STREAM", "on")]).await;
    let Some(page) = Dashboard::open(server.address(), "").await else { return };
    page.says("connection", "live").await;
    page.says("view", "public").await;
    page.says("events-facts", "1 event").await;
    let shown = page.browser.run("return document.querySelector('[data-hook=events]').textContent").await;
    assert!(!shown.as_str().unwrap().contains("hidden") && shown.as_str().unwrap().contains("news.told"));
    page.click("account").await;
    page.enter("token", &token(Role::Viewer, "vera")).await;
    page.says("account", "vera").await;
    page.says("events-facts", "2 events").await;
    page.end(false).await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_expires_is_asked_for_and_the_place_is_kept() {
    let db = migrated_database().await;
    let sql = db.client().await;
    sql.batch_execute(EVENTS).await.unwrap();
    let server = TestServer::ready(&db.url, &[]).await;
    // Less than the 30 seconds before which a server warns: it does at once.
    let mint = Mint { subject: "vera", role: Role::Viewer, ttl: Duration::from_secs(20), issuer: None, audience: None };
    let short = mint.sign(&Secret::new(JWT_SECRET), &Clock::system()).unwrap().expose().to_owned();
    let Some(page) = Dashboard::open(server.address(), &format!("#token={short}&view=events")).await else { return };
    page.until("the dialog asks", "return document.querySelector('dialog[open]')?.dataset.reason === 'expiring'").await;
    page.enter("token", &token(Role::Viewer, "vera")).await;
    page.until("the dialog is gone", "return document.querySelector('dialog[open]') === null").await;
    sql.batch_execute("insert into rowcast.events (type) values ('job.done')").await.unwrap();
    page.says("events-facts", "3 events").await;
    page.says("account", "vera").await;
    page.end(false).await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_whose_token_has_ended_says_so_and_whose_it_was() {
    let db = migrated_database().await;
    let server = TestServer::ready(&db.url, &[]).await;
    // Servers take a token for a minute longer than it says.
    let earlier = Clock::fixed(std::time::SystemTime::now() - Duration::from_secs(7200));
    let mint = Mint { subject: "vera", role: Role::Viewer, ttl: Duration::from_secs(60), issuer: None, audience: None };
    let ended = mint.sign(&Secret::new(JWT_SECRET), &earlier).unwrap().expose().to_owned();
    let Some(page) = Dashboard::open(server.address(), &format!("#token={ended}&view=events")).await else { return };
    page.until("the dialog asks", "return document.querySelector('dialog[open]')?.dataset.reason === 'expired'").await;
    page.says("sign-in", "The token of vera (viewer) ended").await;
    page.enter("token", &ended).await;
    page.says("sign-in", "This token has ended").await;
    page.enter("token", &token(Role::Viewer, "vera")).await;
    page.says("connection", "live").await;
    page.end(true).await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_is_told_and_another_one_is_asked_for() {
    let db = migrated_database().await;
    let server = TestServer::ready(&db.url, &[]).await;
    let Some(page) = Dashboard::open(server.address(), "#token=nonsense").await else { return };
    page.until("the dialog asks", "return document.querySelector('dialog[open]')?.dataset.reason === 'refused'").await;
    page.enter("token", &token(Role::Viewer, "vera")).await;
    page.says("connection", "live").await;
    page.end(true).await;
    server.stop().await.unwrap();
}
