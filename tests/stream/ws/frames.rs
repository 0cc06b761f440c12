//! What a session says: every frame with its fields, cursors, filters and the tally.

use std::time::Duration;

use rowcast::auth::Role;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::raw_websocket::{Client, PONG, TEXT, frame, head};
use super::{ServedJournal, token};

/// The names of an object's fields, in order of the alphabet.
fn fields(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

fn is_time(value: &Value) -> bool {
    let text = value.as_str().unwrap();
    text.len() >= 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T'
}

const BEAT: (&str, &str) = ("ROWCAST_HEARTBEAT", "100ms");

#[tokio::test]
async fn every_frame_has_its_fields_and_no_others() {
    let journal = ServedJournal::start(&[BEAT]).await;
    // Of an empty journal.
    let mut client = journal.viewer("/ws").await;
    let hello = client.op("hello").await;
    assert_eq!(fields(&hello), ["cursor", "head", "heartbeat_ms", "oldest", "op", "session", "view"]);
    assert_eq!((&hello["cursor"], &hello["head"], &hello["oldest"]), (&json!("0"), &json!(0), &json!(1)));
    assert_eq!((&hello["heartbeat_ms"], &hello["view"]), (&json!(100), &json!("private")));
    assert!(!hello["session"].as_str().unwrap().is_empty());
    assert_eq!(client.op("live").await, json!({"op": "live", "cursor": "0"}));

    let insert = "insert into rowcast.events (type, level, symbol, trade_id, subject, payload) values ('trade.opened',
                  'warn', 'BTC-USD', '4c0c4b2e-55b1-4a57-9d7e-1b1f4f6f7a10', 'o-1', '{\"qty\": 1}') returning id::text";
    let id: String = journal.writer.query_one(insert, &[]).await.unwrap().get(0);
    let said = client.past_heartbeats("event").await;
    let event = &said["event"];
    assert_eq!(fields(&said), ["event", "op"]);
    assert!(is_time(&event["at"]));
    let expected = json!({"seq": 1, "id": id, "at": event["at"], "type": "trade.opened", "level": "warn",
        "symbol": "BTC-USD", "trade_id": "4c0c4b2e-55b1-4a57-9d7e-1b1f4f6f7a10", "subject": "o-1",
        "payload": {"qty": 1}});
    assert_eq!(event, &expected);
    journal.append(1).await;
    let event = client.past_heartbeats("event").await;
    assert_eq!(fields(&event["event"]), ["at", "id", "level", "payload", "seq", "type"]);

    let beat = loop {
        let beat = client.op("heartbeat").await;
        if beat["events"] == 2 {
            break beat;
        }
    };
    assert_eq!(fields(&beat), ["at", "check", "cursor", "events", "head", "op", "stalled"]);
    assert_eq!((&beat["head"], &beat["check"], &beat["stalled"]), (&json!(2), &json!(3), &Value::Null));
    assert!(is_time(&beat["at"]));
    assert_eq!(beat["cursor"], journal.cursor(2).await);

    client.send(&json!({"op": "ping"})).await;
    assert_eq!(client.past_heartbeats("pong").await, json!({"op": "pong"}));
    client.send(&json!({"op": "auth", "token": token(Role::Viewer, "vera")})).await;
    let ok = client.past_heartbeats("auth_ok").await;
    assert_eq!(fields(&ok), ["expires", "op"]);
    assert!(is_time(&ok["expires"]));
    client.text("nonsense").await;
    let error = client.refused(4400, "bad_request").await;
    assert_eq!(fields(&error), ["code", "message", "op"]);
    journal.end().await;
}

#[tokio::test]
async fn nothing_is_said_before_the_hello() {
    let journal = ServedJournal::start(&[]).await;
    let token = token(Role::Viewer, "vera");
    let (bearer, auth) = (format!("Bearer {token}"), json!({"op": "auth", "token": token}).to_string());
    let ping = r#"{"op":"ping"}"#;
    // All of it comes together with the upgrade.
    for (known, messages, answer) in [
        (true, vec![ping], "pong"),
        (true, vec![auth.as_str()], "auth_ok"),
        (false, vec![auth.as_str(), ping], "pong"),
        (false, vec![auth.as_str(), auth.as_str()], "auth_ok"),
    ] {
        let header = [("authorization", bearer.as_str())];
        let mut bytes = head("/ws", if known { &header } else { &[] }).into_bytes();
        bytes.extend(messages.iter().flat_map(|message| frame(TEXT, message.as_bytes())));
        let mut client = Client::over(TcpStream::connect(journal.server.address()).await.unwrap(), &bytes).await;
        client.op("hello").await;
        let said = [client.json().await, client.json().await];
        assert!(
            said.iter().any(|said| said["op"] == answer) && said.iter().any(|said| said["op"] == "live"),
            "{said:?}"
        );
    }
    journal.end().await;
}

#[tokio::test]
async fn a_session_begins_where_it_is_told_to() {
    let journal = ServedJournal::start(&[]).await;
    journal.append(10).await;
    let five = journal.cursor(5).await;
    let forms = [
        (String::new(), 11),
        ("?cursor=latest".to_owned(), 11),
        ("?cursor=earliest".to_owned(), 1),
        ("?cursor=0".to_owned(), 1),
        ("?cursor=5".to_owned(), 6),
        (format!("?cursor={five}"), 6),
        ("?cursor=10".to_owned(), 11),
        ("?last=3".to_owned(), 8),
        ("?last=0".to_owned(), 11),
        ("?last=10000".to_owned(), 1),
    ];
    let mut clients = Vec::new();
    for (query, first) in &forms {
        let mut client = journal.viewer(&format!("/ws{query}")).await;
        let hello = client.op("hello").await;
        assert_eq!((&hello["head"], &hello["oldest"]), (&json!(10), &json!(1)), "{query}");
        // The cursors that it names exist, or stand before everything.
        let behind = if *first == 1 { "0".to_owned() } else { journal.cursor(first - 1).await };
        assert_eq!(hello["cursor"], behind, "{query}");
        let many = usize::try_from(11 - first).unwrap();
        assert_eq!(client.seqs(many).await, (*first..11).collect::<Vec<_>>(), "{query}");
        assert_eq!(client.op("live").await["cursor"], journal.cursor(10).await, "{query}");
        clients.push(client);
    }
    journal.append(1).await;
    for client in &mut clients {
        assert_eq!(client.seqs(1).await, [11]);
    }
    for wrong in ["x", "-1", "5.", "5.xyz", "5.12345678.9", "99999999999999999999", "%00", "5%20"] {
        let mut client = journal.viewer(&format!("/ws?cursor={wrong}")).await;
        client.refused(4400, "bad_request").await;
    }
    for wrong in [
        "last=-1",
        "last=x",
        "last=",
        "last=10001",
        "cursor=1&last=1",
        "cursor=1&cursor=2",
        "nonsense=1",
        "type=%ff",
        "type=a..b",
        "level=loud",
        "trade_id=x",
        "owner=x",
        "cursor=%zz",
    ] {
        let mut client = journal.viewer(&format!("/ws?{wrong}")).await;
        client.refused(4400, "bad_request").await;
    }
    journal.end().await;
}

#[tokio::test]
async fn a_cursor_that_is_not_of_this_history_or_gone_is_refused_and_one_a_little_ahead_is_waited_for() {
    let journal = ServedJournal::start(&[]).await;
    journal.append(10).await;
    let mut other = journal.cursor(5).await;
    let last = if other.pop() == Some('0') { '1' } else { '0' };
    other.push(last);
    for cursor in [other.as_str(), "11", "11.00000000", "9223372036854775807"] {
        let mut client = journal.viewer(&format!("/ws?cursor={cursor}")).await;
        client.refused(4411, "cursor_invalid").await;
    }
    // Drawn by somebody who has not committed yet: this node's head is still behind it.
    let mut open = journal.db.client().await;
    let transaction = open.transaction().await.unwrap();
    transaction.batch_execute("insert into rowcast.events (type) values ('a.b'), ('a.b')").await.unwrap();
    let mut ahead = journal.viewer("/ws?cursor=11").await;
    assert_eq!(ahead.op("hello").await["head"], 10);
    ahead.silent(Duration::from_millis(200)).await;
    transaction.commit().await.unwrap();
    assert_eq!(ahead.seqs(1).await, [12]);
    ahead.op("live").await;

    let trim = crate::support::run(&["trim", "--before", "7"], &[("DATABASE_URL", &journal.db.url)]).await;
    assert!(trim.status.success(), "{trim:?}");
    crate::support::until("the trim is noticed", || async {
        let mut client = journal.viewer("/ws?cursor=earliest").await;
        client.op("hello").await["oldest"] == 7
    })
    .await;
    for cursor in ["0", "5", "5.00000000"] {
        let mut client = journal.viewer(&format!("/ws?cursor={cursor}")).await;
        let error = client.refused(4410, "cursor_expired").await;
        assert_eq!((&error["oldest"], fields(&error)), (&json!(7), vec!["code", "message", "oldest", "op"]));
    }
    // Nothing after it was trimmed, and a trimmed event's tag is not checked.
    let mut client = journal.viewer("/ws?cursor=6.00000000").await;
    client.op("hello").await;
    assert_eq!(client.seqs(1).await, [7]);
    journal.end().await;
}

#[tokio::test]
async fn filters_pass_what_they_name_and_heartbeats_move_the_cursor_past_the_rest() {
    let journal = ServedJournal::start(&[("ROWCAST_HEARTBEAT", "500ms")]).await;
    let trade = "4c0c4b2e-55b1-4a57-9d7e-1b1f4f6f7a10";
    for (columns, values) in [
        ("type", "'trade.opened'".to_owned()),
        ("type, level", "'trade.closed', 'error'".to_owned()),
        ("type, symbol", "'order.placed', 'BTC-USD'".to_owned()),
        ("type, trade_id", format!("'order.filled', '{trade}'")),
        ("type, subject", "'shop.orders.inserted', 'o-1'".to_owned()),
        ("type, level, symbol", "'trade.opened', 'warn', 'BTC-USD'".to_owned()),
    ] {
        journal.event(columns, &values).await;
    }
    let mut clients = Vec::new();
    for (query, seqs) in [
        ("type=trade.*", vec![1, 2, 6]),
        ("type=trade.opened,shop.*", vec![1, 5, 6]),
        ("type=trade", vec![]),
        ("level=warn", vec![2, 6]),
        ("level=debug", vec![1, 2, 3, 4, 5, 6]),
        ("symbol=BTC-USD", vec![3, 6]),
        (&format!("trade_id={trade}"), vec![4]),
        ("subject=o-1", vec![5]),
        ("type=trade.*&level=warn&symbol=BTC-USD", vec![6]),
        ("type=nothing.*", vec![]),
    ] {
        let mut client = journal.viewer(&format!("/ws?cursor=0&{query}")).await;
        client.op("hello").await;
        assert_eq!(client.seqs(seqs.len()).await, seqs, "{query}");
        assert_eq!(client.past_heartbeats("live").await["cursor"], journal.cursor(6).await, "{query}");
        let last: Vec<_> = seqs.iter().rev().take(2).rev().copied().collect();
        let mut newest = journal.viewer(&format!("/ws?last=2&{query}")).await;
        newest.op("hello").await;
        assert_eq!(newest.seqs(last.len()).await, last, "{query}");
        newest.past_heartbeats("live").await;
        clients.push((query.to_owned(), client, seqs));
    }
    journal.append(1).await;
    let seventh = journal.cursor(7).await;
    for (query, client, seqs) in &mut clients {
        if query == "level=debug" {
            assert_eq!(client.seqs(1).await, [7]);
            seqs.push(7);
        }
        // Nothing of it is for the others, and yet they hear how far they are.
        loop {
            let beat = client.op("heartbeat").await;
            let sum: i64 = seqs.iter().sum();
            assert_eq!((&beat["events"], &beat["check"]), (&json!(seqs.len()), &json!(sum)), "{query}");
            if beat["cursor"] == seventh {
                break;
            }
        }
    }
    journal.end().await;
}

#[tokio::test]
async fn each_role_sees_what_it_may() {
    let journal = ServedJournal::start(&[]).await;
    journal.event("type", "'a.b'").await;
    journal.event("type, owner", "'a.b', 'una'").await;
    journal.event("type, owner", "'a.b', 'vera'").await;
    for (role, subject, seqs) in [
        (Role::User, "una", vec![2]),
        (Role::User, "nobody", vec![]),
        (Role::Viewer, "vera", vec![1, 3]),
        (Role::Engine, "e", vec![1]),
        (Role::Operator, "una", vec![1, 2]),
        (Role::Admin, "root", vec![1, 2, 3]),
    ] {
        let mut client = journal.session(role, subject, "/ws?cursor=0").await;
        client.op("hello").await;
        assert_eq!(client.seqs(seqs.len()).await, seqs, "{role} {subject}");
        client.op("live").await;
    }
    journal.end().await;
}

#[tokio::test]
async fn an_event_of_the_greatest_size_comes_whole() {
    let journal = ServedJournal::start(&[]).await;
    let mut client = journal.viewer("/ws").await;
    client.op("hello").await;
    client.op("live").await;
    for size in [100, 126, 60_000, 65_536, 255 << 10] {
        let insert = "insert into rowcast.events (type, payload)
                      values ('a.b', jsonb_build_object('x', repeat('y', $1::int)))";
        journal.writer.execute(insert, &[&size]).await.unwrap();
        let event = client.past_heartbeats("event").await;
        assert_eq!(event["event"]["payload"]["x"].as_str().unwrap().len(), usize::try_from(size).unwrap());
    }
    client.bytes(&frame(PONG, b"unasked")).await;
    client.leave().await;
    journal.end().await;
}
