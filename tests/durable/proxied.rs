//! Durable streams through nginx with `deploy/nginx/rowcast.conf`: what it caches, and what it must not.

use std::time::Instant;

use super::{PUBLIC_EVENTS, QUICK, Sse, at, get, get_with, next_offset, read_to_end};
use crate::access::public_views::{knows, listed};
use crate::support::nginx_proxy::Nginx;
use crate::support::raw_http::request;
use crate::support::{TestServer, in_time, until};

const SETTINGS: [(&str, &str); 3] =
    [QUICK, ("ROWCAST_PUBLIC_STREAM", "on"), ("ROWCAST_TRUSTED_PROXIES", "127.0.0.1/32")];
const HISTORY: &str = "insert into rowcast.events (type, public_safe, payload)
    select 'shop.opened', true, jsonb_build_object('city', i) from generate_series(1, 3000) i";

#[tokio::test]
async fn full_pages_come_from_the_cache_and_the_tail_from_a_node() {
    let (db, sql) = listed().await;
    let server = TestServer::ready(&db.url, &SETTINGS).await;
    sql.batch_execute(HISTORY).await.unwrap();
    knows(&server, &sql).await;
    let Some(nginx) = Nginx::start(&[server.address()]).await else { return };
    let proxy = TestServer::at(&nginx.url);
    let direct = read_to_end(&server, None, PUBLIC_EVENTS, "-1").await;
    let first = read_to_end(&proxy, None, PUBLIC_EVENTS, "-1").await;
    assert_eq!(first.bodies, direct.bodies);
    let page = at(PUBLIC_EVENTS, &direct.offsets[0]);
    let cached = get(&proxy, None, &page).await;
    assert_eq!((cached.headers["x-cache-status"].as_str(), &cached.body), ("HIT", &direct.bodies[1]));
    assert!(!cached.headers.contains_key("ratelimit"), "the quota of another client");
    // nginx answers who has the page already.
    let known = get_with(&proxy, None, &page, &[("if-none-match", &cached.headers["etag"])]).await;
    assert_eq!(known.status, 304);
    for uncached in [at(PUBLIC_EVENTS, "now"), format!("{}&live=long-poll", at(PUBLIC_EVENTS, direct.last()))] {
        assert_eq!(get(&proxy, None, &uncached).await.headers["x-cache-status"], "BYPASS", "{uncached}");
    }
    // HEAD asks for the tail, and is not answered with a page of that address.
    let tail = request(proxy.address(), "HEAD", &at(PUBLIC_EVENTS, "-1"), &[], b"").await;
    assert_eq!(next_offset(&tail), direct.last());
    // With the node gone the cache still has what cannot change.
    server.stop().await.unwrap();
    assert_eq!(get(&proxy, None, &page).await.body, direct.bodies[1]);
}

#[tokio::test]
async fn what_is_live_passes_the_proxy_at_once_and_moves_to_the_other_node() {
    let (db, sql) = listed().await;
    let first = TestServer::ready(&db.url, &SETTINGS).await;
    let second = TestServer::ready(&db.url, &SETTINGS).await;
    knows(&first, &sql).await;
    knows(&second, &sql).await;
    // Else the newest event of one node may be older than that of the other, and "now" too.
    for node in [&first, &second] {
        until("it has both events that were asked for", || async {
            let page = node.get("/public/v1/events?cursor=0&symbol=KNOWN").await.json();
            page["events"].as_array().is_some_and(|events| events.len() == 2)
        })
        .await;
    }
    let Some(nginx) = Nginx::start(&[first.address(), second.address()]).await else { return };
    let proxy = TestServer::at(&nginx.url);
    let mut stream = Sse::open(&proxy, None, &format!("{}&live=sse", at(PUBLIC_EVENTS, "now"))).await;
    let (_, mut offset) = stream.until_up_to_date().await;
    let insert = "insert into rowcast.events (type, public_safe) values ('shop.closed', true)";
    let begun = Instant::now();
    sql.batch_execute(insert).await.unwrap();
    let moved = |control: &serde_json::Value| control["streamNextOffset"].as_str() > Some(offset.as_str());
    assert_eq!(stream.until_control(moved).await.0.len(), 1);
    in_time(begun, std::time::Duration::from_secs(2));
    first.stop().await.unwrap();
    // A client goes on at the other node, by long polls, from where it was.
    sql.batch_execute(insert).await.unwrap();
    let mut came = 0;
    until("both events have come", || {
        let path = format!("{}&live=long-poll", at(PUBLIC_EVENTS, &offset));
        let proxy = &proxy;
        async move { get(proxy, None, &path).await.status == 200 }
    })
    .await;
    while came < 2 {
        let answer = get(&proxy, None, &format!("{}&live=long-poll", at(PUBLIC_EVENTS, &offset))).await;
        if answer.status == 200 {
            came += answer.json().as_array().unwrap().len();
            offset = next_offset(&answer);
        }
    }
    assert_eq!(came, 2);
    second.stop().await.unwrap();
}
