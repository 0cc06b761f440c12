//! The list of what is public, changed by plain SQL while servers run: by the new one everybody reads, on every server, within
//! about a second, whatever a server has kept of what it showed before.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{Session, Sse};
use crate::support::{TestDb, TestServer, in_time, migrated_database, until};

/// A second, the look itself, and a machine that has much to do.
const SOON: Duration = Duration::from_millis(2500);

/// What a new reader sees of the whole journal: types and payloads.
async fn seen(server: &TestServer) -> Value {
    let page = server.get("/public/v1/events?cursor=0&limit=1000").await.json();
    let events = page["events"].as_array().unwrap().iter();
    events.map(|event| json!([event["type"], event["payload"]])).collect()
}

/// Changes the list, and waits until both servers show exactly this, at every door.
async fn change(client: &Client, servers: &[TestServer], sql: &str, mut wanted: Value) {
    wanted.as_array_mut().unwrap().push(json!(["shop.end", {}]));
    client.batch_execute(sql).await.unwrap();
    let begun = Instant::now();
    join_all(servers.iter().map(async |server| until(sql, || async { seen(server).await == wanted }).await)).await;
    in_time(begun, SOON);
    for server in servers {
        let mut session = Session::open(server, "/public/ws?cursor=0", &[]).await;
        let mut sse = Sse::open(server, "/public/v1/events/stream?cursor=0", None).await;
        let mut told = Vec::new();
        loop {
            let frame = session.next().await;
            match frame["op"].as_str() {
                Some("event") => told.push(json!([frame["event"]["type"], frame["event"]["payload"]])),
                Some("live") => break,
                _ => assert_eq!(frame["op"], "hello", "{frame}"),
            }
        }
        assert_eq!(json!(told), wanted, "{sql}");
        // The last of them in every list.
        sse.until("shop.end").await;
        // An id stands behind the data of its event.
        let text = sse.until("}\nid: ").await;
        let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
        let events = events.filter(|event| event.get("seq").is_some());
        let told: Vec<_> = events.map(|event| json!([event["type"], event["payload"]])).collect();
        assert_eq!(json!(told), wanted, "{sql}");
        let last = Session::open(server, "/public/ws?last=1", &[]).await.next_of("hello").await;
        assert_eq!(last["view"], "public");
    }
}

/// Two servers over one journal of two events of which nothing is public, and a third that tells that the list is known.
async fn two_servers() -> (TestDb, Client, [TestServer; 2]) {
    let db = migrated_database().await;
    let client = db.client().await;
    let open = [("ROWCAST_PUBLIC_STREAM", "on")];
    let servers = [TestServer::ready(&db.url, &open).await, TestServer::ready(&db.url, &open).await];
    let sql = "insert into rowcast.events (type, public_safe, payload) values
                   ('shop.opened', true, '{\"city\": \"Bern\", \"rent\": 1}'), ('shop.closed', true, '{\"city\": \"Rome\"}'),
                   ('shop.end', true, '{}');
               insert into rowcast.event_types (type, description) values ('shop.end', 'The last of them.')";
    client.batch_execute(sql).await.unwrap();
    for server in &servers {
        until("both are decided", || async { server.get("/public/v1/events").await.json()["head"] == 3 }).await;
        // This is kept from now on.
        until("the list is known", || async { seen(server).await == json!([["shop.end", {}]]) }).await;
    }
    (db, client, servers)
}

async fn stop(servers: [TestServer; 2]) {
    for server in servers {
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_change_of_the_list_holds_on_every_server_for_what_is_kept_too() {
    let (_db, client, servers) = two_servers().await;
    let steps = [
        (
            "insert into rowcast.event_types (type, description, public_fields) values ('shop.opened', 'It opens.', '{city}')",
            json!([["shop.opened", {"city": "Bern"}]]),
        ),
        (
            "insert into rowcast.event_types (type, description, public_fields) values ('shop.closed', 'It closes.', '{}')",
            json!([["shop.opened", {"city": "Bern"}], ["shop.closed", {}]]),
        ),
        (
            "update rowcast.event_types set public_fields = '{city,rent}' where type = 'shop.opened'",
            json!([["shop.opened", {"city": "Bern", "rent": 1}], ["shop.closed", {}]]),
        ),
        (
            "update rowcast.event_types set public_fields = '{}' where type = 'shop.opened'",
            json!([["shop.opened", {}], ["shop.closed", {}]]),
        ),
        ("delete from rowcast.event_types where type = 'shop.opened'", json!([["shop.closed", {}]])),
        (
            "begin; delete from rowcast.event_types where type <> 'shop.end'; insert into rowcast.event_types (type, description, public_fields)
                 values ('shop.opened', 'It opens.', '{rent}'); commit",
            json!([["shop.opened", {"rent": 1}]]),
        ),
        ("delete from rowcast.event_types where type <> 'shop.end'", json!([])),
    ];
    for (sql, wanted) in steps {
        change(&client, &servers, sql, wanted).await;
    }
    stop(servers).await;
}

#[tokio::test]
async fn a_session_sees_what_comes_by_the_list_that_holds_when_it_comes() {
    let (_db, client, servers) = two_servers().await;
    let event = |n: u8| {
        format!(
            "insert into rowcast.events (type, public_safe, payload) values ('shop.opened', true, '{{\"rent\": {n}}}')"
        )
    };
    let mut sessions = Vec::new();
    for server in &servers {
        let mut session = Session::open(server, "/public/ws", &[]).await;
        session.next_of("live").await;
        sessions.push(session);
    }
    client.batch_execute(&event(2)).await.unwrap();
    for server in &servers {
        until("it is decided", || async { server.get("/public/v1/events").await.json()["head"] == 4 }).await;
    }
    let list =
        "insert into rowcast.event_types (type, description, public_fields) values ('shop.opened', 'Again.', '{rent}')";
    client.batch_execute(list).await.unwrap();
    for server in &servers {
        until(list, || async { seen(server).await.to_string().contains("\"rent\":2") }).await;
    }
    client.batch_execute(&event(3)).await.unwrap();
    for session in &mut sessions {
        // What was hidden when it passed by stays passed.
        assert_eq!(session.next_of("event").await["event"]["payload"], json!({"rent": 3}));
    }
    stop(servers).await;
}
