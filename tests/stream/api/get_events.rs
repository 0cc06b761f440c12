//! `GET /v1/events` and `GET /v1/me`: pages, cursors, and who may see what.

use std::time::Duration;

use rowcast::auth::Role;
use serde_json::json;

use super::viewer;
use super::{Api, bearer, code_of, send, seqs_of};
use crate::access::tokens::{AUDIENCE, ISSUER, attacks, jwks};
use crate::support::{TestServer, migrated_database, run, until};

#[tokio::test]
async fn each_role_sees_what_the_table_of_roles_says() {
    let api = Api::start(&[]).await;
    // Of 60 events, 30 belong to nobody, 20 to alice, 10 to bob.
    let insert = "insert into rowcast.events (type, owner) select 'a.b', (array[null, null, null, 'alice', 'alice', 'bob'])[1 + i % 6]
                  from generate_series(1, 60) i";
    api.insert(insert).await;
    for subject in ["alice", "bob", "carol", "Alice", "root"] {
        for role in Role::ALL {
            let sees = match role {
                Role::Admin => "true".to_owned(),
                Role::User => format!("owner = '{subject}'"),
                Role::Viewer | Role::Engine | Role::Operator => format!("owner is null or owner = '{subject}'"),
            };
            let answer = api.get(&bearer(role, subject), "/v1/events?cursor=0&limit=1000").await;
            assert_eq!(seqs_of(&answer), api.seqs(&sees).await, "{role} {subject}");
            // The head is no secret, and the cursor goes past what was not shown.
            let (head, cursor) = (answer.json()["head"].clone(), answer.json()["cursor"].as_str().unwrap().to_owned());
            assert_eq!((head, cursor.starts_with("60."), &answer.json()["more"]), (json!(60), true, &json!(false)));
            assert!(!answer.body.contains("owner"));
        }
    }
    let counts = [(Role::Admin, 60), (Role::Viewer, 50), (Role::Engine, 50), (Role::Operator, 50), (Role::User, 20)];
    for (role, count) in counts {
        let answer = api.get(&bearer(role, "alice"), "/v1/events?cursor=earliest&limit=1000").await;
        assert_eq!(seqs_of(&answer).len(), count, "{role}");
    }
    // Owners are not to be asked for, by nobody.
    let asked = api.get(&bearer(Role::Admin, "root"), "/v1/events?owner=bob").await;
    assert_eq!(code_of(&asked), (400, "bad_request".to_owned()));
    api.stop().await;
}

/// Queries that no page and no stream is asked with.
const BAD_QUERIES: &[&str] = &[
    "cursor=",
    "cursor=-1",
    "cursor=+1",
    "cursor=1.",
    "cursor=1.xyz",
    "cursor=1.9f3a11c",
    "cursor=%00",
    "cursor=1%00",
    "cursor=9223372036854775808",
    "cursor=99999999999999999999999999",
    "cursor=0x10",
    "cursor=newest",
    "cursor=1&cursor=1",
    "cursor=%31&%63ursor=1",
    "limit=",
    "limit=0",
    "limit=1001",
    "limit=-1",
    "limit=1.5",
    "limit=1e2",
    "limit=%2B5",
    "limit=18446744073709551617",
    "limit=%00",
    "limit=5&limit=5",
    "wait=",
    "wait=31",
    "wait=-1",
    "wait=1s",
    "wait=0.5",
    "wait=99999999999999999999",
    "type=",
    "type=A",
    "type=*",
    "type=a.*.b",
    "type=a,",
    "type=a%00",
    "type=a%20b",
    "level=",
    "level=loud",
    "level=INFO",
    "level=%00",
    "symbol=",
    "symbol=%00",
    "symbol=a%00b",
    "subject=",
    "subject=%00",
    "trade_id=",
    "trade_id=7",
    "trade_id=%00",
    "symbol=%ff",
    "symbol=%c3%28",
    "symbol=%",
    "symbol=%2",
    "symbol=%zz",
    "owner=v",
    "last=5",
    "since=1",
    "types=a",
    "Cursor=0",
    "token=x",
    "=",
    "%00=1",
];

#[tokio::test]
async fn parameters_that_make_no_sense_are_400_and_harm_nothing() {
    let api = Api::start(&[]).await;
    let who = viewer();
    let too_many_types = format!("type={}", vec!["a"; 65].join(","));
    let too_long = format!("subject={}", "x".repeat(1025));
    let bad: Vec<&str> = BAD_QUERIES.iter().copied().chain([too_many_types.as_str(), &too_long]).collect();
    for query in &bad {
        let answer = api.get(&who, &format!("/v1/events?{query}")).await;
        assert_eq!(code_of(&answer), (400, "bad_request".to_owned()), "{query}: {}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    for query in bad.iter().filter(|query| !["limit", "wait", "last"].iter().any(|name| query.starts_with(name))) {
        let answer = api.get(&who, &format!("/v1/events/stream?{query}")).await;
        assert_eq!(code_of(&answer), (400, "bad_request".to_owned()), "{query}: {}", answer.body);
    }
    let fine = ["", "?", "?&", "?cursor=0&limit=1000&wait=0&type=a,b.*&level=warn&symbol=a%20b+c&subject=s"];
    for query in fine {
        assert_eq!(api.get(&who, &format!("/v1/events{query}")).await.status, 200, "{query}");
    }
    api.stop().await;
}

#[tokio::test]
async fn a_walk_in_steps_of_any_size_is_the_filtered_journal() {
    let api = Api::start(&[]).await;
    // Long enough for searches through an index, with burnt seqs in between.
    let insert = "do $$ begin
            for part in 0..8 loop
                insert into rowcast.events (type, level, symbol, subject, trade_id, owner)
                select case when i % 3 = 0 then 'trade.opened' else 'note.added' end, case when i % 500 = 0 then 'error' else 'info' end,
                       case when i % 400 = 0 then 'RARE' else 'OFTEN' end, case when i = 77 then 's' || part end,
                       case when i % 900 = 1 then '4c0c4b2e-55b1-4a57-9d7e-1b1f4f6f7a10'::uuid end, case when i % 450 = 2 then 'v' when i % 7 = 0 then 'w' end
                  from generate_series(1, 1000) i;
                perform nextval('rowcast.events_seq_seq') from generate_series(1, 700);
            end loop;
        end $$";
    api.insert(insert).await;
    let mine = "(owner is null or owner = 'v')";
    let rare: [(&str, &str, &[usize]); 5] = [
        ("symbol=RARE", "symbol = 'RARE'", &[1, 2, 3, 7, 16, 1000]),
        ("level=error", "level = 'error'", &[1, 5, 13, 14, 16]),
        ("trade_id=4c0c4b2e-55b1-4a57-9d7e-1b1f4f6f7a10", "trade_id is not null", &[1, 8, 16, 17]),
        ("subject=s3", "subject = 's3'", &[1, 2]),
        ("type=nothing.such,trade.opened&level=error", "type = 'trade.opened' and level = 'error'", &[1, 3]),
    ];
    for (query, condition, limits) in rare {
        let expected = api.seqs(&format!("{condition} and {mine}")).await;
        for limit in limits {
            assert_eq!(walk(&api, &viewer(), query, *limit).await, expected, "{query} by {limit}");
        }
    }
    let own = api.seqs("owner = 'v'").await;
    for limit in [1, 4, own.len(), own.len() + 1] {
        assert_eq!(walk(&api, &bearer(Role::User, "v"), "", limit).await, own, "own rows by {limit}");
    }
    let all = api.seqs(mine).await;
    for limit in [999, 1000] {
        assert_eq!(walk(&api, &viewer(), "", limit).await, all, "all by {limit}");
    }
    assert_eq!(
        walk(&api, &viewer(), "type=trade.*", 333).await,
        api.seqs(&format!("type like 'trade.%' and {mine}")).await
    );
    api.stop().await;
}

/// Goes through the journal in steps, each of which must be as large as it may, and say rightly whether there is more.
async fn walk(api: &Api, who: &str, query: &str, limit: usize) -> Vec<i64> {
    let (mut cursor, mut seqs) = ("0".to_owned(), Vec::new());
    loop {
        let answer = api.get(who, &format!("/v1/events?cursor={cursor}&limit={limit}&{query}")).await;
        let (page, body) = (seqs_of(&answer), answer.json());
        let more = body["more"].as_bool().unwrap();
        cursor = body["cursor"].as_str().unwrap().to_owned();
        assert!(page.len() == limit || !more, "{query}: {} of {limit}, more: {more}", page.len());
        assert!(!page.is_empty() || (seqs.is_empty() && !more), "{query}: a page of nothing");
        seqs.extend(page);
        if !more {
            // The end is the end, also for who comes back with the last cursor.
            let last = api.get(who, &format!("/v1/events?cursor={cursor}&{query}")).await;
            assert_eq!((seqs_of(&last), &last.json()["more"]), (vec![], &json!(false)));
            let head = body["head"].as_i64().unwrap();
            assert!(cursor.starts_with(&format!("{head}.")), "{cursor} and {head}");
            return seqs;
        }
        let newest = seqs.last().unwrap();
        assert!(cursor.starts_with(&format!("{newest}.")), "{cursor} and {newest}");
    }
}

#[tokio::test]
async fn cursors_are_believed_by_their_tag() {
    let api = Api::start(&[]).await;
    let who = viewer();
    let empty = api.get(&who, "/v1/events?cursor=earliest").await.json();
    assert_eq!(empty, json!({ "events": [], "cursor": "0", "head": 0, "more": false }));
    api.insert("insert into rowcast.events (type) select 'a.b' from generate_series(1, 5)").await;
    let page = api.get(&who, "/v1/events?cursor=0").await.json();
    let cursor_of = |index: usize| {
        let (seq, id) = (&page["events"][index]["seq"], page["events"][index]["id"].as_str().unwrap());
        format!("{seq}.{}", &id[id.len() - 8..])
    };
    assert_eq!(page["cursor"], cursor_of(4));
    let after = async |cursor: &str| api.get(&who, &format!("/v1/events?cursor={cursor}")).await;
    for good in ["2", cursor_of(1).as_str(), &cursor_of(1).to_uppercase()] {
        assert_eq!(seqs_of(&after(good).await), [3, 4, 5], "{good}");
    }
    for none in ["5", "latest"] {
        let answer = after(none).await;
        assert_eq!((seqs_of(&answer), &answer.json()["cursor"]), (vec![], &page["cursor"]), "{none}");
    }
    assert_eq!(seqs_of(&after("earliest").await).len(), 5);
    let foreign = cursor_of(1).replacen('2', "3", 1);
    for invalid in [foreign.as_str(), "6", "6.00000000", "9223372036854775807", "9223372036854775807.ffffffff"] {
        assert_eq!(code_of(&after(invalid).await), (400, "cursor_invalid".to_owned()), "{invalid}");
    }
    // Drawn and not decided: the place is there, and nothing behind it yet. So it is for the cursor of a committed event.
    let mut open = api.db.client().await;
    let open = open.transaction().await.unwrap();
    open.batch_execute("insert into rowcast.events (type) values ('a.open')").await.unwrap();
    assert_eq!(seqs_of(&after("6").await), Vec::<i64>::new());
    let id: String = {
        api.sql.batch_execute("insert into rowcast.events (type) values ('a.late')").await.unwrap();
        api.sql.query_one("select id::text from rowcast.events where seq = 7", &[]).await.unwrap().get(0)
    };
    let ahead = after(&format!("7.{}", &id[id.len() - 8..])).await.json();
    assert_eq!((&ahead["events"], &ahead["more"]), (&json!([]), &json!(false)));
    open.rollback().await.unwrap();
    api.stop().await;
}

#[tokio::test]
async fn what_was_trimmed_is_gone_with_the_oldest_that_is_kept() {
    let api = Api::start(&[]).await;
    let who = viewer();
    api.insert("insert into rowcast.events (type, symbol) select 'a.b', 'S' from generate_series(1, 9)").await;
    let trimmed = run(&["trim", "--before", "6"], &[("DATABASE_URL", &api.db.url)]).await;
    assert!(trimmed.status.success(), "{trimmed:?}");
    until("the server knows", || async { api.get(&who, "/v1/events?cursor=0").await.status == 410 }).await;
    for cursor in ["0", "1", "4", "3.00000000"] {
        for path in ["events", "events/stream"] {
            let answer = api.get(&who, &format!("/v1/{path}?cursor={cursor}&symbol=S")).await;
            assert_eq!(code_of(&answer), (410, "cursor_expired".to_owned()), "{cursor} {path}");
            assert_eq!(answer.json()["oldest"], 6);
        }
    }
    // Nothing after these was trimmed.
    for cursor in ["5", "5.00000000", "earliest"] {
        assert_eq!(seqs_of(&api.get(&who, &format!("/v1/events?cursor={cursor}")).await), [6, 7, 8, 9], "{cursor}");
    }
    let resumed = [("authorization", who.as_str()), ("last-event-id", "2.00000000")];
    let gone = send(api.address(), "GET", "/v1/events/stream?cursor=7", &resumed, b"").await;
    assert_eq!((gone.status, &gone.json()["oldest"]), (410, &json!(6)));
    api.stop().await;
}

#[tokio::test]
async fn large_events_come_in_answers_of_about_two_mebibytes() {
    let api = Api::start(&[]).await;
    let insert = "insert into rowcast.events (type, symbol, payload)
                  select 'a.large', 'S', jsonb_build_object('x', repeat('y', 250000)) from generate_series(1, 70)";
    api.insert(insert).await;
    for query in ["", "symbol=S", "type=a.*"] {
        let (mut cursor, mut sizes) = ("0".to_owned(), Vec::new());
        loop {
            let answer = api.get(&viewer(), &format!("/v1/events?limit=1000&cursor={cursor}&{query}")).await;
            assert!(answer.body.len() < (2 << 20) + 300_000, "{}", answer.body.len());
            let body = answer.json();
            sizes.push(seqs_of(&answer).len());
            cursor = body["cursor"].as_str().unwrap().to_owned();
            if body["more"] == false {
                break;
            }
        }
        assert_eq!(sizes, [9, 9, 9, 9, 9, 9, 9, 7], "{query}");
    }
    // What is left over exactly fills the last answer: then there is no more.
    let answer = api.get(&viewer(), "/v1/events?limit=1000&cursor=61").await;
    assert_eq!((seqs_of(&answer).len(), &answer.json()["more"]), (9, &json!(false)));
    api.stop().await;
}

#[tokio::test]
async fn far_behind_a_rare_event_is_found_by_its_index_and_not_by_pages() {
    let api = Api::start(&[]).await;
    let insert = "insert into rowcast.events (type, symbol, owner) select 'a.b', case when i in (5, 9000) then 'RARE' else 's' || i % 7 end,
                  case when i % 2 = 0 then 'x' end from generate_series(1, 60000) i";
    api.insert(insert).await;
    let answer = api.get(&bearer(Role::Admin, "a"), "/v1/events?cursor=0&symbol=RARE").await;
    assert_eq!(seqs_of(&answer), [5, 9000]);
    let cached = api.server.get("/metrics").await.body;
    let cached = cached.lines().find_map(|line| line.strip_prefix("rowcast_page_cache_bytes ")).unwrap().to_owned();
    assert_eq!(cached.parse::<f64>().unwrap(), 0.0, "pages were loaded for it");
    assert_eq!(seqs_of(&api.get(&viewer(), "/v1/events?cursor=0&symbol=RARE").await), [5]);
    api.stop().await;
}

#[tokio::test]
async fn head_tells_the_same_without_a_body() {
    let api = Api::start(&[]).await;
    let who = viewer();
    for path in ["/v1/events", "/v1/me"] {
        let get = api.get(&who, path).await;
        let head = send(api.address(), "HEAD", path, &[("authorization", &who)], b"").await;
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        assert_eq!(
            (&head.headers["content-type"], &head.headers["content-length"]),
            (&get.headers["content-type"], &get.headers["content-length"])
        );
    }
    let refused = send(api.address(), "HEAD", "/v1/events?limit=0", &[("authorization", &who)], b"").await;
    assert_eq!((refused.status, refused.body.as_str()), (400, ""));
    for (method, path, allow) in [
        ("PUT", "/v1/events", "GET, HEAD, POST"),
        ("HEAD", "/v1/events/stream", "GET"),
        ("POST", "/v1/me", "GET, HEAD"),
    ] {
        let answer = send(api.address(), method, path, &[("authorization", &who)], b"").await;
        assert_eq!((answer.status, answer.headers["allow"].as_str()), (405, allow));
    }
    api.stop().await;
}

#[tokio::test]
async fn no_attack_on_tokens_gets_in_and_all_are_answered_alike() {
    let db = migrated_database().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), jwks()).unwrap();
    let place = file.path().to_str().unwrap();
    let settings = [("ROWCAST_JWKS", place), ("ROWCAST_JWT_ISSUER", ISSUER), ("ROWCAST_JWT_AUDIENCE", AUDIENCE)];
    let server = TestServer::ready(&db.url, &settings).await;
    let ask = async |path: &str, token: &str| {
        let value = format!("Bearer {token}");
        let answer = send(server.address(), "GET", path, &[("authorization", &value)], b"").await;
        let mut body = answer.json();
        let id = body.as_object_mut().unwrap().remove("request_id");
        assert_eq!(id.as_ref().and_then(|id| id.as_str()), Some(answer.headers["x-request-id"].as_str()));
        (answer.status, body, answer.headers.get("www-authenticate").cloned())
    };
    let expected = json!({
        "type": "about:blank", "title": "Unauthorized", "status": 401, "code": "unauthorized",
        "detail": "The token is not accepted.",
    });
    let mut sent = 0;
    for attack in attacks().iter().filter(|attack| attack.fits_a_header()) {
        if attack.token.len() > 16 << 10 {
            // No head of a request is so large.
            let value = format!("Bearer {}", attack.token);
            let answer = send(server.address(), "GET", "/v1/me", &[("authorization", &value)], b"").await;
            assert!([401, 431].contains(&answer.status), "{}: {}", attack.name, answer.status);
            continue;
        }
        let answer = ask("/v1/me", &attack.token).await;
        assert_eq!(answer, (401, expected.clone(), Some("Bearer".to_owned())), "{}", attack.name);
        sent += 1;
    }
    assert!(sent >= 45, "{sent}");
    for path in ["/v1/events", "/v1/events/stream"] {
        assert_eq!(ask(path, &attacks()[0].token).await.0, 401, "{path}");
    }
    for headers in
        [&[][..], &[("authorization", "Basic YTpi")], &[("authorization", "Bearer")], &[("authorization", "Bearer  ")]]
    {
        let answer = send(server.address(), "GET", "/v1/me", headers, b"").await;
        assert_eq!(code_of(&answer), (401, "unauthorized".to_owned()), "{headers:?}");
    }
    let mint = rowcast::auth::token::Mint {
        subject: "alice",
        role: Role::Operator,
        ttl: Duration::from_secs(60),
        issuer: Some(ISSUER),
        audience: Some(AUDIENCE),
    };
    let secret = rowcast::config::Secret::new(crate::support::JWT_SECRET);
    let token = mint.sign(&secret, &rowcast::clock::Clock::system()).unwrap();
    let good = format!("bearer {}", token.expose());
    let me = send(server.address(), "GET", "/v1/me", &[("authorization", &good)], b"").await;
    assert_eq!((me.status, &me.json()["subject"], &me.json()["role"]), (200, &json!("alice"), &json!("operator")));
    server.stop().await.unwrap();
}
