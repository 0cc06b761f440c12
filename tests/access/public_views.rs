//! What everybody sees: byte for byte, and no more by any other way.

use std::time::Duration;

use rowcast::auth::Role;
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{Session, Sse, knock, token};
use crate::support::{TestDb, TestServer, migrated_database, until};

const OPEN: [(&str, &str); 1] = [("ROWCAST_PUBLIC_STREAM", "on")];

/// Two listed types, one of which shows some fields.
pub(crate) async fn listed() -> (TestDb, Client) {
    let db = migrated_database().await;
    let client = db.client().await;
    let sql = "insert into rowcast.event_types (type, description, public_fields) values
                   ('shop.opened', 'A shop opens.', '{city,hours,password}'), ('shop.closed', 'A shop closes.', '{}')";
    client.batch_execute(sql).await.unwrap();
    (db, client)
}

/// Once the node knows the taxonomy, this shows.
pub(crate) async fn knows(server: &TestServer, client: &Client) {
    let sql = "insert into rowcast.events (type, public_safe, symbol) values ('shop.closed', true, 'KNOWN')";
    client.batch_execute(sql).await.unwrap();
    until("the taxonomy is known", || async {
        let page = server.get("/public/v1/events?cursor=0&symbol=KNOWN").await.json();
        page["events"].as_array().is_some_and(|events| !events.is_empty())
    })
    .await;
}

fn seqs(page: &Value) -> Vec<i64> {
    page["events"].as_array().unwrap().iter().map(|event| event["seq"].as_i64().unwrap()).collect()
}

/// Rows that hold secrets, names of owners and markup; four of them are shown, and the one that tells that the taxonomy is known.
const HOSTILE_ROWS: &str = r#"insert into rowcast.events (id, type, public_safe, symbol, trade_id, subject, owner, payload) values
    ('00000000-0000-4000-8000-000000000001', 'shop.opened', true, 'S', '00000000-0000-4000-8000-0000000000ff', 'secret subject', null,
     '{"city": "Bern", "rent": 1, "hours": {"from": 8, "api_key": "k", "n": [{"token": "tok7en"}]}, "password": "hunter2"}'),
    ('00000000-0000-4000-8000-000000000002', 'shop.opened', false, null, null, null, null, '{"city": "hidden: not marked"}'),
    ('00000000-0000-4000-8000-000000000003', 'shop.opened', true, null, null, null, 'alice', '{"city": "hidden: of an owner"}'),
    ('00000000-0000-4000-8000-000000000004', 'shop.unlisted', true, null, null, null, null, '{"city": "hidden: not listed"}'),
    ('00000000-0000-4000-8000-000000000005', 'shop.closed', true, null, null, null, null, '{"city": "hidden: no such field"}'),
    ('00000000-0000-4000-8000-000000000006', 'shop.opened', true, 'postgres://a:b@c/d', null, null, null,
     '{"city": "postgres://user:hunter2@db/x", "hours": "</script><img src=x onerror=alert(1)>", "CITY": "hidden"}'),
    ('00000000-0000-4000-8000-000000000007', 'shop.opened', true, null, null, null, null, '{"city": {"city": {"secret": "7"}}}')"#;

/// What stands in those rows, and nobody may see.
const HIDDEN: [&str; 6] = ["hidden", "hunter2", "secret subject", "alice", "00ff", "rent"];

/// A server over the hostile rows, and the bytes of each that is shown.
struct HostileJournal {
    server: TestServer,
    client: Client,
    shown: Vec<(usize, String)>,
    // Dropped last, when nobody uses it any more.
    _db: TestDb,
}

impl HostileJournal {
    async fn served() -> Self {
        let (db, client) = listed().await;
        client.batch_execute(HOSTILE_ROWS).await.unwrap();
        let server = TestServer::ready(&db.url, &[OPEN[0], ("ROWCAST_HEARTBEAT", "200ms")]).await;
        knows(&server, &client).await;
        let rows = client.query(
            "select to_char(at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from rowcast.events order by seq",
            &[],
        );
        let at: Vec<String> = rows.await.unwrap().iter().map(|row| row.get(0)).collect();
        let event = |n: usize, kind: &str, symbol: &str, payload: &str| {
            let symbol = if symbol.is_empty() { String::new() } else { format!(r#""symbol":"{symbol}","#) };
            let (id, at) = (format!("00000000-0000-4000-8000-00000000000{n}"), &at[n - 1]);
            let head = format!(r#""seq":{n},"id":"{id}","at":"{at}","type":"{kind}","level":"info""#);
            (n, format!(r#"{{{head},{symbol}"payload":{payload}}}"#))
        };
        let first = r#"{"city": "Bern", "hours": {"n": [{"token": "[redacted]"}], "from": 8, "api_key": "[redacted]"}, "password": "[redacted]"}"#;
        let sixth = r#"{"city": "[redacted]", "hours": "</script><img src=x onerror=alert(1)>"}"#;
        let shown = vec![
            event(1, "shop.opened", "S", first),
            event(5, "shop.closed", "", "{}"),
            event(6, "shop.opened", "postgres://a:[redacted]@c/d", sixth),
            event(7, "shop.opened", "", r#"{"city": {"city": {"secret": "[redacted]"}}}"#),
        ];
        Self { server, client, shown, _db: db }
    }

    /// The bytes of one of them.
    fn bytes(&self, seq: usize) -> &str {
        &self.shown.iter().find(|(n, _)| *n == seq).unwrap().1
    }

    async fn end(self) {
        self.server.stop().await.unwrap();
    }
}

fn parsed(event: &str) -> Value {
    serde_json::from_str(event).unwrap()
}

#[tokio::test]
async fn hostile_rows_come_out_as_these_bytes_and_no_others() {
    let journal = HostileJournal::served().await;
    let page = journal.server.get("/public/v1/events?cursor=0&limit=4").await;
    let events = journal.shown.iter().map(|(_, event)| event.as_str()).collect::<Vec<_>>().join(",");
    assert_eq!(page.body, format!(r#"{{"events":[{events}],"cursor":"7.00000007","head":8,"more":true}}"#));
    assert_eq!(page.headers["content-type"], "application/json");
    for hidden in HIDDEN {
        assert!(!page.body.contains(hidden), "{hidden}");
    }
    journal.end().await;
}

#[tokio::test]
async fn public_streams_send_the_bytes_of_the_page_and_count_nothing_else() {
    let journal = HostileJournal::served().await;
    let mut session = Session::open(&journal.server, "/public/ws?cursor=0", &[]).await;
    let mut sse = Sse::open(&journal.server, "/public/v1/events/stream?cursor=0", None).await;
    assert_eq!(session.next_of("hello").await["view"], "public");
    for (_, event) in &journal.shown {
        assert_eq!(session.next_of("event").await["event"], parsed(event));
        sse.until(event).await;
    }
    // The count and the sum of a heartbeat are of these, and of the one that showed that the list is known.
    let beat = session.next_of("heartbeat").await;
    assert_eq!((&beat["events"], &beat["check"]), (&json!(5), &json!(1 + 5 + 6 + 7 + 8)));
    sse.until("\"seq\":8,").await;
    assert_eq!(sse.text.matches("\"seq\":").count(), 5, "{}", sse.text);
    for hidden in HIDDEN {
        assert!(!sse.text.contains(hidden), "{hidden}");
    }
    journal.end().await;
}

#[tokio::test]
async fn any_filter_and_any_beginning_choose_among_the_same_public_bytes() {
    let journal = HostileJournal::served().await;
    let server = &journal.server;
    for (filter, wanted) in [
        ("type=shop.opened", vec![1, 6, 7]),
        ("type=shop.*&level=info", vec![1, 5, 6, 7]),
        ("type=shop.closed&level=debug", vec![5]),
        ("type=shop.unlisted", vec![]),
        ("symbol=S", vec![1]),
        ("level=warn", vec![]),
    ] {
        let body = server.get(&format!("/public/v1/events?cursor=0&{filter}")).await.body;
        let mut session = Session::open(server, &format!("/public/ws?cursor=0&{filter}"), &[]).await;
        let mut stream = Sse::open(server, &format!("/public/v1/events/stream?cursor=0&{filter}"), None).await;
        let mut newest = Session::open(server, &format!("/public/ws?last=9&{filter}"), &[]).await;
        for n in &wanted {
            let event = journal.bytes(*n);
            assert!(body.contains(event), "{filter}: {body}");
            stream.until(event).await;
            for session in [&mut session, &mut newest] {
                assert_eq!(session.next_of("event").await["event"], parsed(event));
            }
        }
        stream.until(": heartbeat").await;
        // The event that shows that the taxonomy is known.
        let others = usize::from(filter.contains("shop.*") || filter.contains("closed"));
        for text in [&body, &stream.text] {
            assert_eq!(text.matches("\"seq\":").count(), wanted.len() + others, "{filter}: {text}");
        }
        for session in [&mut session, &mut newest] {
            let sum: usize = wanted.iter().sum();
            let beat = session.next_of("heartbeat").await;
            assert_eq!((&beat["events"], &beat["check"]), (&json!(wanted.len() + others), &json!(sum + 8 * others)));
        }
    }
    journal.end().await;
}

#[tokio::test]
async fn a_public_wait_ends_with_the_first_event_that_is_shown_however_many_hidden_ones_come_before() {
    let journal = HostileJournal::served().await;
    let again = "insert into rowcast.events (type, public_safe, trade_id, subject, owner, payload)
                 select type, public_safe, trade_id, subject, owner, payload from rowcast.events
                  where seq between 2 and 5 order by seq";
    let waiting = async { journal.server.get("/public/v1/events?cursor=8&wait=30").await };
    let (answer, ()) = tokio::join!(waiting, async { journal.client.batch_execute(again).await.unwrap() });
    let answer = answer.json();
    assert_eq!((seqs(&answer), &answer["events"][0]["payload"]), (vec![12], &json!({})));
    let mut keys: Vec<_> = answer["events"][0].as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["at", "id", "level", "payload", "seq", "type"]);
    journal.end().await;
}

#[tokio::test]
async fn streams_for_everybody_are_closed_unless_opened_and_pages_are_open() {
    let db = migrated_database().await;
    let server = TestServer::ready(&db.url, &[]).await;
    assert_eq!(knock(&server, "/public/ws", &[]).await.1.status, 404);
    assert_eq!(server.get("/public/v1/events/stream").await.status, 404);
    let page = server.get("/public/v1/events").await;
    assert_eq!(page.json(), json!({"events": [], "cursor": "0", "head": 0, "more": false}));
    let post = crate::support::raw_http::request(server.address(), "POST", "/public/v1/events", &[], b"{}").await;
    assert_eq!((post.status, post.headers["allow"].as_str()), (405, "GET, HEAD"));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_hidden_counts_nowhere() {
    let (db, client) = listed().await;
    let server = TestServer::ready(&db.url, &OPEN).await;
    knows(&server, &client).await;
    let hidden = "insert into rowcast.events (type) select 'shop.opened' from generate_series(1, 50)";
    let shown = "insert into rowcast.events (type, public_safe) values ('shop.opened', true)";
    for sql in [shown, hidden, shown, hidden, shown, hidden] {
        client.batch_execute(sql).await.unwrap();
    }
    until("all is decided", || async { server.get("/public/v1/events").await.json()["head"] == 154 }).await;
    let page = async |query: &str| server.get(&format!("/public/v1/events{query}")).await.json();
    let first = page("?cursor=0&limit=2").await;
    assert_eq!((seqs(&first), &first["more"]), (vec![1, 2], &json!(true)));
    let second = page(&format!("?limit=2&cursor={}", first["cursor"].as_str().unwrap())).await;
    assert_eq!(
        (seqs(&second), &second["more"]),
        (vec![53, 104], &json!(false)),
        "behind it there is nothing to be seen"
    );
    let third = page(&format!("?limit=2&cursor={}", second["cursor"].as_str().unwrap())).await;
    assert_eq!((seqs(&third), &third["more"]), (vec![], &json!(false)));
    for (query, wanted) in [
        ("?limit=3&cursor=0", vec![1, 2, 53]),
        ("?cursor=0", vec![1, 2, 53, 104]),
        ("?cursor=0&type=shop.opened", vec![2, 53, 104]),
    ] {
        assert_eq!(seqs(&page(query).await), wanted, "{query}");
    }

    // What is hidden does not end a wait, and what is shown does.
    let waiting = page("?wait=30");
    let write = async {
        client.batch_execute(hidden).await.unwrap();
        until("it is decided", || async { page("").await["head"] == 204 }).await;
        client.batch_execute(shown).await.unwrap();
    };
    let (found, ()) = tokio::join!(waiting, write);
    assert_eq!(seqs(&found), [205]);
    let begun = std::time::Instant::now();
    let (nothing, ()) = tokio::join!(page("?wait=1"), async { client.batch_execute(hidden).await.unwrap() });
    assert!(seqs(&nothing).is_empty() && begun.elapsed() >= Duration::from_secs(1));

    // The newest three are three that are shown, and the count is of those that were sent.
    let mut session = Session::open(&server, "/public/ws?last=3", &[]).await;
    for seq in [53, 104, 205] {
        assert_eq!(session.next_of("event").await["event"]["seq"], seq);
    }
    session.next_of("live").await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn heartbeats_count_what_was_sent_and_pass_what_was_not() {
    let (db, client) = listed().await;
    let server = TestServer::ready(&db.url, &[OPEN[0], ("ROWCAST_HEARTBEAT", "200ms")]).await;
    knows(&server, &client).await;
    let mut session = Session::open(&server, "/public/ws?cursor=0", &[]).await;
    session.next_of("live").await;
    let sql = "insert into rowcast.events (type) values ('shop.opened')";
    client.batch_execute(sql).await.unwrap();
    // The cursor moves on, if perhaps a heartbeat after the head.
    let beat = loop {
        let beat = session.next_of("heartbeat").await;
        if beat["cursor"].as_str().unwrap().starts_with("2.") {
            break beat;
        }
    };
    assert_eq!((&beat["head"], &beat["events"], &beat["check"]), (&json!(2), &json!(1), &json!(1)));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn nobody_learns_by_asking_and_whoever_says_who_it_is_sees_more() {
    let (db, client) = listed().await;
    let server = TestServer::ready(&db.url, &OPEN).await;
    knows(&server, &client).await;
    for name in ["subject", "trade_id", "owner", "token", "access_token", "nonsense"] {
        let value = "4c0c4b2e-55b1-4a57-9d7e-1b1f4f6f7a10";
        for path in ["/public/v1/events", "/public/v1/events/stream"] {
            let answer = server.get(&format!("{path}?{name}={value}")).await;
            assert_eq!((answer.status, answer.json()["code"].as_str()), (400, Some("bad_request")), "{path} {name}");
            assert!(!answer.body.contains(value), "{}", answer.body);
        }
        let mut session = Session::open(&server, &format!("/public/ws?{name}={value}"), &[]).await;
        assert_eq!(session.end().await, (4400, "bad_request".to_owned()), "{name}");
    }
    let mut session = Session::open(&server, "/public/ws?cursor=0", &[]).await;
    session.next_of("live").await;
    session.say(json!({"op": "subscribe", "cursor": "0", "subject": "x"})).await;
    assert_eq!(session.end().await, (4400, "bad_request".to_owned()));

    let sql = "insert into rowcast.events (type, subject, owner, payload) values
                   ('shop.opened', 'x', null, '{\"rent\": 1}'), ('shop.opened', 'y', 'other', '{}')";
    client.batch_execute(sql).await.unwrap();
    until("both are decided", || async { server.get("/public/v1/events").await.json()["head"] == 3 }).await;
    let mut session = Session::open(&server, "/public/ws?cursor=0", &[]).await;
    session.next_of("live").await;
    session.auth(&token("alice", Role::Viewer)).await;
    session.next_of("auth_ok").await;
    // What has passed by stays passed; what comes is the new reader's.
    client.batch_execute(sql).await.unwrap();
    let event = session.next_of("event").await["event"].clone();
    assert_eq!((&event["seq"], &event["subject"], &event["payload"]), (&json!(4), &json!("x"), &json!({"rent": 1})));
    session.say(json!({"op": "subscribe", "cursor": "0", "subject": "x"})).await;
    assert_eq!(session.next_of("hello").await["view"], "private");
    assert_eq!(session.next_of("event").await["event"]["seq"], 2);
    session.auth(&token("bob", Role::Viewer)).await;
    assert_eq!(session.end().await, (4403, "forbidden".to_owned()));
    server.stop().await.unwrap();
}
