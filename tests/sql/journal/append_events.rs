//! Appending: order, dedupe keys, all or nothing, and what is said of an event that cannot be stored.

use rowcast::journal::{
    AppendError, AppendRefusal, Budget, Level, MAX_BATCH, NewEvent, SQL_SCOPE, append, append_batch, read_range,
};
use serde_json::value::RawValue;

use super::{append_keyed, number};
use crate::support::{connect, migrated_database};

fn event(kind: &str, payload: &str) -> NewEvent {
    let mut event = NewEvent::new(kind);
    event.payload = RawValue::from_string(payload.to_owned()).unwrap();
    event
}

fn keyed(kind: &str, key: &str) -> NewEvent {
    let mut event = NewEvent::new(kind);
    event.dedupe_key = Some(key.to_owned());
    event
}

#[tokio::test]
async fn a_batch_gets_its_seqs_in_the_order_given() {
    let db = migrated_database().await;
    let client = db.client().await;
    // An order that no index, hash or sort of the content would give.
    let kinds: Vec<String> = (0..MAX_BATCH).map(|i| format!("t{}", i * 7919 % 1009)).collect();
    for keys in [false, true] {
        let events: Vec<_> =
            kinds.iter().map(|k| if keys { keyed(k, &format!("key {k}")) } else { NewEvent::new(k) }).collect();
        let appended = append_batch(&client, SQL_SCOPE, &events).await.unwrap();
        assert!(appended.windows(2).all(|w| w[0].seq < w[1].seq) && appended.iter().all(|a| !a.repeated));
        let first = appended[0].seq;
        let stored = read_range(&client, first - 1, i64::MAX, Budget::of_rows(4096)).await.unwrap().events;
        assert_eq!(stored.iter().map(|e| &e.kind).collect::<Vec<_>>(), kinds.iter().collect::<Vec<_>>());
        assert!(stored.iter().zip(&appended).all(|(e, a)| (e.seq, e.id) == (a.seq, a.id)));
    }
    assert!(append_batch(&client, SQL_SCOPE, &[]).await.unwrap().is_empty());
    let many = vec![NewEvent::new("a"); MAX_BATCH + 1];
    assert!(matches!(append_batch(&client, SQL_SCOPE, &many).await, Err(AppendError::TooMany(1001))));
}

#[tokio::test]
async fn every_field_arrives_and_numbers_keep_their_digits() {
    let db = migrated_database().await;
    let client = db.client().await;
    let text = br#"{"type":"trade.opened","payload":{"price":0.10000000000000000000000000001,"id":9007199254740993},
        "level":"warn","public_safe":true,"symbol":"BTC-USD","trade_id":"9f3a11c2-0000-4000-8000-000000000001",
        "subject":"s","owner":"o","dedupe_key":"k"}"#;
    let appended = append(&client, SQL_SCOPE, &NewEvent::from_json(text).unwrap()).await.unwrap();
    let stored =
        read_range(&client, appended.seq - 1, appended.seq, Budget::of_rows(1)).await.unwrap().events.remove(0);
    assert_eq!((stored.kind.as_str(), stored.level, stored.public_safe), ("trade.opened", Level::Warn, true));
    assert_eq!(stored.payload, r#"{"id": 9007199254740993, "price": 0.10000000000000000000000000001}"#);
    assert_eq!((stored.symbol.as_deref(), stored.subject.as_deref()), (Some("BTC-USD"), Some("s")));
    assert_eq!(stored.owner.as_deref(), Some("o"));
    assert_eq!(stored.trade_id.unwrap().to_string(), "9f3a11c2-0000-4000-8000-000000000001");
}

#[tokio::test]
async fn a_key_that_was_seen_answers_with_the_first_event_through_every_door() {
    let db = migrated_database().await;
    let client = db.client().await;
    let by_sql = number(&client, "select rowcast.append_event('a', dedupe_key => 'one')").await;
    let again = append_keyed(&client, "a", "one").await;
    assert_eq!((again.seq, again.repeated), (by_sql, true));
    let two = append_keyed(&client, "b", "two").await;
    assert!(!two.repeated);
    assert_eq!(number(&client, "select rowcast.append_event('b', dedupe_key => 'two')").await, two.seq);

    // Old, new, new again, and one without a key, in one batch.
    let batch = [keyed("b", "two"), keyed("c", "three"), NewEvent::new("d"), keyed("c", "three"), keyed("a", "one")];
    let answer = append_batch(&client, SQL_SCOPE, &batch).await.unwrap();
    assert_eq!(answer.iter().map(|a| a.repeated).collect::<Vec<_>>(), [true, false, false, true, true]);
    assert_eq!((answer[0].seq, answer[0].id, answer[4].seq), (two.seq, two.id, by_sql));
    assert_eq!((answer[1].seq, answer[1].id), (answer[3].seq, answer[3].id));
    assert!(answer[1].seq < answer[2].seq);
    assert_eq!(append_batch(&client, SQL_SCOPE, &batch[..2]).await.unwrap()[1].seq, answer[1].seq);

    // Another scope is another name.
    let elsewhere = append(&client, "subject alice", &keyed("z", "one")).await.unwrap();
    assert!(!elsewhere.repeated);
    assert_eq!(number(&client, "select count(*) from rowcast.events").await, 5);
    assert_eq!(number(&client, "select count(*) from rowcast.dedupe_keys where seq is not null").await, 4);
}

#[tokio::test]
async fn batches_with_the_same_keys_at_the_same_time_insert_each_once() {
    let db = migrated_database().await;
    let mut all = tokio::task::JoinSet::new();
    for shift in 0..8 {
        let client = db.client().await;
        all.spawn(async move {
            for round in 0..10 {
                let mut batch: Vec<_> = (0..20).map(|i| keyed("a", &format!("{round} {i}"))).collect();
                batch.rotate_left(shift * 2);
                append_batch(&client, SQL_SCOPE, &batch).await.unwrap();
            }
        });
    }
    while let Some(end) = all.join_next().await {
        end.unwrap();
    }
    let client = db.client().await;
    assert_eq!(number(&client, "select count(*) from rowcast.events").await, 200);
    assert_eq!(number(&client, "select count(distinct seq) from rowcast.dedupe_keys").await, 200);
}

#[tokio::test]
async fn an_event_that_cannot_be_stored_is_named_and_none_of_its_batch_is_stored() {
    let db = migrated_database().await;
    let client = db.client().await;
    append_keyed(&client, "a", "taken").await;
    let with = |set: fn(&mut NewEvent)| {
        let mut event = NewEvent::new("a");
        set(&mut event);
        event
    };
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let huge = format!("{{\"a\":\"hunter2{}\"}}", "x".repeat(262_144));
    let cases = [
        (event("Hunter2", "{}"), "type", "23514", "type must be dotted lower-case words of at most 128 bytes"),
        (
            with(|e| e.level = Some("hunter2".into())),
            "level",
            "23514",
            "level must be debug, info, warn, error or critical",
        ),
        (with(|e| e.symbol = Some(String::new())), "symbol", "23514", "symbol must be 1 to 64 bytes"),
        (with(|e| e.subject = Some("hunter2".repeat(200))), "subject", "23514", "subject must be 1 to 1024 bytes"),
        (with(|e| e.owner = Some("hunter2".repeat(40))), "owner", "23514", "owner must be 1 to 256 bytes"),
        (with(|e| e.owner = Some("hunter2\0".into())), "owner", "22021", "owner must not hold a NUL character"),
        (
            with(|e| e.dedupe_key = Some("hunter2".repeat(40))),
            "dedupe_key",
            "23514",
            "dedupe_key must be 1 to 256 bytes",
        ),
        (keyed("other", "taken"), "dedupe_key", "23505", "dedupe_key was used before with another content"),
        (event("a", "\"hunter2\""), "payload", "23514", "payload must be a JSON object"),
        (event("a", "null"), "payload", "23514", "payload must be a JSON object"),
        (event("a", &huge), "payload", "23514", "payload must be at most 262144 bytes (256 KiB)"),
        (event("a", r#"{"hunter2":"\u0000"}"#), "payload", "22P05", "payload must not hold \\u0000"),
        (event("a", r#"{"hunter2":"\ud800"}"#), "payload", "22P02", "payload must be JSON"),
        (event("a", r#"{"hunter2":1e999999}"#), "payload", "22003", "payload must not hold a number"),
        (event("a", &deep), "payload", "54001", "payload must be nested less deeply"),
    ];
    for (bad, column, code, reason) in cases {
        let batch = [NewEvent::new("a"), keyed("a", "fresh"), bad.clone(), event("Wrong too", "{}")];
        for (events, index) in [(&batch[..], 2), (&batch[2..3], 0)] {
            let Err(AppendError::Refused(refusal)) = append_batch(&client, SQL_SCOPE, events).await else {
                panic!("{reason}: not refused");
            };
            let AppendRefusal { index: at, column: wrong, reason: said, code: state } = &refusal;
            assert!(said.starts_with(reason) && !said.contains("hunter2"), "{said}");
            assert_eq!((*at, wrong.as_deref(), state.as_str()), (Some(index), Some(column), code), "{reason}");
        }
    }
    assert_eq!(number(&client, "select count(*) from rowcast.events").await, 1);
    assert_eq!(number(&client, "select count(*) from rowcast.dedupe_keys").await, 1);
    // The keys of what was refused are free.
    assert!(!append_keyed(&client, "b", "fresh").await.repeated);
}

#[tokio::test]
async fn a_plain_writer_appends_and_has_no_scope_but_that_of_sql() {
    let db = migrated_database().await;
    let owner = db.client().await;
    let (writer, server) = (format!("{}_w", db.name), format!("{}_s", db.name));
    let sql = format!(
        "create role {writer} login password 'x' in role rowcast_writer;
         create role {server} login password 'x' in role rowcast_server;"
    );
    owner.batch_execute(&sql).await.unwrap();
    let as_writer = connect(&db.url_of(&writer, "x")).await;
    append_keyed(&as_writer, "a", "one").await;
    let Err(AppendError::Postgres(error)) = append(&as_writer, "someone", &keyed("a", "one")).await else { panic!() };
    assert_eq!(error.code().unwrap().code(), "42501");
    let as_server = connect(&db.url_of(&server, "x")).await;
    assert!(append_keyed(&as_server, "a", "one").await.repeated);
    assert!(!append(&as_server, "someone", &keyed("a", "one")).await.unwrap().repeated);
    drop((as_writer, as_server));
    let sql = format!("drop owned by {writer}, {server}; drop role {writer}, {server}");
    owner.batch_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn appending_uses_no_named_statement() {
    let db = migrated_database().await;
    let client = db.client().await;
    append_keyed(&client, "a", "one").await;
    read_range(&client, 0, 10, Budget::of_rows(10)).await.unwrap();
    rowcast::journal::query(&client, &Default::default(), 0, 10, Budget::of_rows(10)).await.unwrap();
    rowcast::journal::oldest(&client).await.unwrap();
    let rows = client.query_typed("select count(*) from pg_prepared_statements where name <> ''", &[]).await.unwrap();
    assert_eq!(rows[0].get::<_, i64>(0), 0);
}
