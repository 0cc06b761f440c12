//! What caches may keep, tags, and what browsers may read.

use std::collections::HashMap;
use std::time::Duration;

use rowcast::auth::Role;
use tokio_postgres::Client;

use super::{Durable, EVENTS, PUBLIC_EVENTS, QUICK, at, get, get_with, next_offset, read_to_end};
use crate::access::public_views::{knows, listed};
use crate::support::raw_http::request;
use crate::support::{TestDb, TestServer, until};

const KEPT_PAGE: &str = "public, max-age=86400, immutable";
const KEPT_BRIEFLY: &str = "public, max-age=5";

/// A server with three thousand public events.
async fn history() -> (TestDb, Client, TestServer) {
    let (db, sql) = listed().await;
    let events = "insert into rowcast.events (type, public_safe, payload)
                  select 'shop.opened', true, jsonb_build_object('city', i) from generate_series(1, 3000) i";
    sql.batch_execute(events).await.unwrap();
    let server = TestServer::ready(&db.url, &[QUICK]).await;
    knows(&server, &sql).await;
    (db, sql, server)
}

#[tokio::test]
async fn full_pages_of_the_public_are_kept_and_the_rest_is_not() {
    let (_db, _sql, server) = history().await;
    let mut offset = "-1".to_owned();
    let mut kept = Vec::new();
    loop {
        let answer = get(&server, None, &at(PUBLIC_EVENTS, &offset)).await;
        kept.push(answer.headers["cache-control"].clone());
        offset = next_offset(&answer);
        if answer.headers.contains_key("stream-up-to-date") {
            break;
        }
    }
    // The first address is the same for ever; the last page grows.
    assert_eq!(kept, [KEPT_BRIEFLY, KEPT_PAGE, KEPT_BRIEFLY]);
    let poll = get(&server, None, &format!("{}&live=long-poll", at(PUBLIC_EVENTS, &offset))).await;
    assert_eq!((poll.status, poll.headers["cache-control"].as_str()), (204, "no-store"));
    for (query, expected) in [("?offset=now", "no-store"), ("?offset=-1", "private, no-cache")] {
        let answer = get(&server, Some((Role::Admin, "root")), &format!("{EVENTS}{query}")).await;
        assert_eq!(answer.headers["cache-control"], expected, "{query}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn one_address_and_one_tag_stand_for_one_body_while_the_rules_change() {
    let (_db, sql, server) = history().await;
    let (mut of_address, mut of_tag) = (HashMap::new(), HashMap::new());
    let read = async {
        loop {
            let first = get(&server, None, PUBLIC_EVENTS).await;
            let offset = next_offset(&first);
            for (address, answer) in [("", first), (&*offset, get(&server, None, &at(PUBLIC_EVENTS, &offset)).await)] {
                let shows = answer.body.contains("city");
                if answer.headers["cache-control"] == KEPT_PAGE {
                    assert_eq!(
                        of_address.entry(address.to_owned()).or_insert_with(|| answer.body.clone()),
                        &answer.body
                    );
                    assert_eq!(
                        shows,
                        answer.json().as_array().unwrap().iter().all(|event| event["payload"]["city"].is_i64())
                    );
                }
                if let Some(tag) = answer.headers.get("etag") {
                    assert_eq!(of_tag.entry(tag.clone()).or_insert_with(|| answer.body.clone()), &answer.body);
                }
            }
        }
    };
    let change = async {
        for n in 0..24 {
            let fields = if n % 2 == 0 { "{}" } else { "{city}" };
            let update =
                format!("update rowcast.event_types set public_fields = '{fields}' where type = 'shop.opened'");
            sql.batch_execute(&update).await.unwrap();
            tokio::time::sleep(Duration::from_millis(350)).await;
        }
    };
    tokio::select! {
        () = read => {}
        () = change => {}
    }
    assert!(of_address.len() >= 2, "a page of each kind is kept");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_client_that_has_an_answer_is_told_so() {
    let (_db, sql, server) = history().await;
    for (who, path) in [(None, PUBLIC_EVENTS), (Some((Role::Admin, "root")), EVENTS)] {
        let answer = get(&server, who, path).await;
        let tag = answer.headers["etag"].clone();
        for known in [tag.clone(), format!("\"x\", {tag}"), format!("W/{tag}"), "*".to_owned()] {
            let again = get_with(&server, who, path, &[("if-none-match", &known)]).await;
            assert_eq!((again.status, again.body.as_str()), (304, ""), "{known}");
            for header in ["etag", "cache-control", "stream-next-offset"] {
                assert_eq!(again.headers[header], answer.headers[header], "{header}");
            }
        }
        assert_eq!(get_with(&server, who, path, &[("if-none-match", "\"x\"")]).await.body, answer.body);
    }
    // Two viewers who see different events have different tags for one address.
    let server_of = &server;
    let tag = |who| async move { get(server_of, Some(who), EVENTS).await.headers["etag"].clone() };
    assert_ne!(tag((Role::User, "ann")).await, tag((Role::User, "bob")).await);
    assert_eq!(tag((Role::User, "ann")).await, tag((Role::User, "ann")).await);
    // At the tail the tag changes with the next event.
    let tail = read_to_end(&server, None, PUBLIC_EVENTS, "-1").await;
    let before = get(&server, None, &at(PUBLIC_EVENTS, tail.last())).await.headers["etag"].clone();
    sql.batch_execute("insert into rowcast.events (type, public_safe) values ('shop.closed', true)").await.unwrap();
    until("the tag is another one", || async {
        get(&server, None, &at(PUBLIC_EVENTS, tail.last())).await.headers["etag"] != before
    })
    .await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn after_a_change_of_the_public_rules_readers_are_led_to_other_addresses() {
    let (_db, sql, server) = history().await;
    let before = read_to_end(&server, None, PUBLIC_EVENTS, "-1").await;
    sql.batch_execute("update rowcast.event_types set public_fields = '{}' where type = 'shop.opened'").await.unwrap();
    until("the field is hidden", || async {
        !get(&server, None, &at(PUBLIC_EVENTS, &before.offsets[0])).await.body.contains("city")
    })
    .await;
    let after = read_to_end(&server, None, PUBLIC_EVENTS, "-1").await;
    assert_eq!(after.seqs(), before.seqs());
    assert!(before.offsets.iter().all(|offset| !after.offsets.contains(offset)), "{:?}", after.offsets);
    // Who was in the middle goes on, and is not kept from the new rules for long.
    let old = get(&server, None, &at(PUBLIC_EVENTS, &before.offsets[0])).await;
    assert_eq!(old.headers["cache-control"], KEPT_BRIEFLY);
    assert_eq!(next_offset(&old), after.offsets[1]);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn head_tells_the_tail_and_no_message() {
    let durable = Durable::start("insert into rowcast.events (type) values ('a.b'), ('a.c')", &[]).await;
    let bearer = format!("Bearer {}", super::token(Role::Admin, "root"));
    let headers = [("authorization", bearer.as_str())];
    let answer = request(durable.server.address(), "HEAD", EVENTS, &headers, b"").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(durable.admin(&at(EVENTS, &next_offset(&answer))).await.body, "[]");
    durable.end().await;
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_read_the_headers_of_a_stream() {
    let durable = Durable::start("", &[("ROWCAST_ALLOWED_ORIGINS", "https://app.example")]).await;
    let answer = get_with(&durable.server, None, PUBLIC_EVENTS, &[("origin", "https://app.example")]).await;
    let exposed = &answer.headers["access-control-expose-headers"];
    for header in ["stream-next-offset", "stream-cursor", "stream-up-to-date", "etag"] {
        assert!(exposed.contains(header), "{exposed}");
    }
    assert_eq!(answer.headers["vary"], "origin");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    durable.end().await;
}
