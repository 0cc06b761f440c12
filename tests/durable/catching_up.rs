//! Catching up: every event once, in order, whatever the filter and the role.

use rowcast::auth::Role;
use serde_json::Value;

use super::{Durable, EVENTS, PUBLIC_EVENTS, at, code_of, get, next_offset, read_to_end};
use crate::access::public_views::{knows, listed};
use crate::support::raw_http::request;
use crate::support::{TestServer, connect, until};

const ADMIN: Option<(Role, &str)> = Some((Role::Admin, "root"));

/// Three thousand events of four types, three of eight of which belong to ann, and burnt numbers.
const MIXED: &str = "insert into rowcast.events (type, level, symbol, subject, owner, payload)
    select (array['a.b', 'a.c', 'b.c', 'b.d'])[1 + i % 4], case when i % 5 = 0 then 'warn' else 'info' end,
           case when i % 100 = 0 then 'S' end, 's' || i % 7, case when i % 8 < 3 then 'ann' end, jsonb_build_object('n', i)
      from generate_series(1, 3000) i where (select nextval('rowcast.events_seq_seq')) > 0 or i % 50 = 0";

#[tokio::test]
async fn a_stream_that_is_read_from_the_beginning_is_the_table() {
    let durable = Durable::start(MIXED, &[]).await;
    let reading = read_to_end(&durable.server, ADMIN, EVENTS, "-1").await;
    let rows = durable.sql.query("select seq, id::text, type, payload from rowcast.events order by seq", &[]).await;
    let rows = rows.unwrap();
    assert_eq!(reading.messages.len(), rows.len());
    for (message, row) in reading.messages.iter().zip(&rows) {
        let seq: i64 = row.get(0);
        assert_eq!(message["seq"], seq);
        assert_eq!(message["id"], row.get::<_, &str>(1));
        assert_eq!(message["type"], row.get::<_, &str>(2));
        assert_eq!(message["payload"], row.get::<_, Value>(3));
    }
    assert!(reading.offsets.len() > 2, "{:?}", reading.offsets);
    // Without an offset a stream begins at its beginning.
    assert_eq!(durable.admin(EVENTS).await.body, reading.bodies[0]);
    // At the tail there is nothing, and the offset stays.
    let tail = durable.admin(&at(EVENTS, reading.last())).await;
    assert_eq!((tail.body.as_str(), next_offset(&tail).as_str()), ("[]", reading.last()));
    durable.end().await;
}

#[tokio::test]
async fn a_reader_resumes_anywhere_and_misses_nothing() {
    let durable = Durable::start(MIXED, &[]).await;
    let whole = read_to_end(&durable.server, ADMIN, EVENTS, "-1").await;
    for (index, offset) in whole.offsets.iter().enumerate() {
        let rest = read_to_end(&durable.server, ADMIN, EVENTS, offset).await;
        let read: usize = whole.bodies[..=index].iter().map(|body| body.matches(r#"{"seq":"#).count()).sum();
        assert_eq!(rest.messages, whole.messages[read..], "{offset}");
    }
    let now = durable.admin(&at(EVENTS, "now")).await;
    assert_eq!((now.body.as_str(), now.headers["stream-up-to-date"].as_str()), ("[]", "true"));
    durable.run("insert into rowcast.events (type) values ('a.b')").await;
    let rest = read_to_end(&durable.server, ADMIN, EVENTS, &next_offset(&now)).await;
    assert_eq!(rest.seqs(), durable.seqs("payload = '{}'").await);
    durable.end().await;
}

#[tokio::test]
async fn filters_and_roles_show_what_they_show_elsewhere() {
    let durable = Durable::start(MIXED, &[]).await;
    for (query, condition) in [
        ("?type=a.*", "type like 'a.%'"),
        ("?type=b.c,a.b&level=warn", "type in ('b.c', 'a.b') and level = 'warn'"),
        ("?symbol=S", "symbol = 'S'"),
        ("?subject=s3", "subject = 's3'"),
        ("?type=none.*", "false"),
    ] {
        let reading = read_to_end(&durable.server, ADMIN, &format!("{EVENTS}{query}"), "-1").await;
        assert_eq!(reading.seqs(), durable.seqs(condition).await, "{query}");
    }
    for (role, subject, condition) in [
        (Role::User, "ann", "owner = 'ann'"),
        (Role::User, "bob", "false"),
        (Role::Viewer, "ann", "true"),
        (Role::Viewer, "bob", "owner is null"),
    ] {
        let reading = read_to_end(&durable.server, Some((role, subject)), EVENTS, "-1").await;
        assert_eq!(reading.seqs(), durable.seqs(condition).await, "{role} {subject}");
    }
    durable.end().await;
}

#[tokio::test]
async fn the_public_sees_the_public_view_and_nothing_else() {
    let (db, sql) = listed().await;
    sql.batch_execute(
        r#"insert into rowcast.events (type, public_safe, payload)
           select (array['shop.opened', 'shop.secret', 'shop.closed'])[1 + i % 3], i % 2 = 0,
                  jsonb_build_object('city', 'Bern', 'rent', i, 'password', 'hunter2')
             from generate_series(1, 3000) i"#,
    )
    .await
    .unwrap();
    let server = TestServer::ready(&db.url, &[]).await;
    knows(&server, &sql).await;
    let reading = read_to_end(&server, None, PUBLIC_EVENTS, "-1").await;
    let page = get(&server, None, "/public/v1/events?cursor=earliest&limit=1000").await.json();
    assert_eq!(reading.messages[..1000], page["events"].as_array().unwrap()[..]);
    let shown = connect(&db.url).await;
    let shown: i64 = shown
        .query_one(
            "select count(*) from rowcast.events where public_safe and type in ('shop.opened', 'shop.closed')",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    assert_eq!(reading.messages.len(), usize::try_from(shown).unwrap());
    let all = reading.bodies.concat();
    assert!(!all.contains("hunter2") && !all.contains("rent") && !all.contains("shop.secret"));
    assert_eq!(code_of(&get(&server, None, &format!("{PUBLIC_EVENTS}?subject=x")).await).0, 400);
    server.stop().await.unwrap();
}

/// A node knows the public taxonomy some moments after its start. Who asks before must not be told that nothing is public.
#[tokio::test]
async fn a_node_that_has_just_started_passes_over_no_public_event() {
    let (db, sql) = listed().await;
    let events =
        "insert into rowcast.events (type, public_safe) select 'shop.closed', true from generate_series(1, 20)";
    sql.batch_execute(events).await.unwrap();
    // One that was there before has written down that all of them are decided.
    let before = TestServer::ready(&db.url, &[]).await;
    until("all is decided", || async { before.get("/public/v1/events").await.json()["head"] == 20 }).await;
    before.stop().await.unwrap();
    for path in [PUBLIC_EVENTS, "/public/v1/events?cursor=earliest"] {
        let server = TestServer::start(&db.url, &[]).await;
        let answer = loop {
            let answer = get(&server, None, path).await;
            if answer.status == 200 {
                break answer;
            }
            assert_eq!(answer.status, 503, "{}", answer.body);
        };
        assert_eq!(answer.body.matches(r#"{"seq":"#).count(), 20, "{path}");
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_nothing_can_be_written() {
    let durable = Durable::start("insert into rowcast.events (type) values ('a.b')", &[]).await;
    let tail = next_offset(&durable.admin(EVENTS).await);
    for query in [
        "?offset=",
        "?offset=1",
        "?offset=0_0",
        "?offset=-2",
        "?offset=NOW",
        "?offset=-1&offset=-1",
        "?offset=-1&live=true",
        "?live=long-poll",
        "?live=sse",
        "?offset=-1&live=long-poll&cursor=x",
        "?offset=-1&cursor=-1",
        "?offset=-1&limit=5",
        "?offset=-1&token=x",
        "?type=*",
    ] {
        let answer = durable.admin(&format!("{EVENTS}{query}")).await;
        assert_eq!(code_of(&answer), (400, "bad_request".to_owned()), "{query}");
    }
    assert_eq!(durable.admin(&format!("{}&cursor=7", at(EVENTS, &tail))).await.status, 200);
    for path in ["/v1/stream", "/v1/stream/", "/v1/stream/other", "/v1/stream/tables", "/v1/stream/tables/"] {
        assert_eq!(durable.admin(path).await.status, 404, "{path}");
    }
    assert_eq!(code_of(&durable.public(EVENTS).await), (401, "unauthorized".to_owned()));
    for method in ["PUT", "POST", "DELETE", "PATCH"] {
        let answer = request(durable.server.address(), method, EVENTS, &[], b"").await;
        assert_eq!((answer.status, answer.headers["allow"].as_str()), (405, "GET, HEAD"), "{method}");
    }
    durable.end().await;
}
