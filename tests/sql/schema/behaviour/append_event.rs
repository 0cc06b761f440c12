//! `rowcast.append_event` and its keys.

use super::{number, numbers, refused, run, until_somebody_waits};
use crate::support;

#[tokio::test]
async fn an_event_is_what_its_arguments_say() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    run(&client, "insert into rowcast.events (type) values ('first')").await;
    let append = "select rowcast.append_event('trade.opened', '{\"qty\":1}', level => 'warn', public_safe => true, symbol => 'BTC-USD',
        trade_id => '00000000-0000-0000-0000-000000000001', subject => 's', owner => 'o', dedupe_key => 'k')";
    assert_eq!(number(&client, append).await, 2);
    let row = "select count(*) from rowcast.events where (seq, type, level, public_safe, symbol, trade_id, subject, owner, payload)
        = (2, 'trade.opened', 'warn', true, 'BTC-USD', '00000000-0000-0000-0000-000000000001', 's', 'o', '{\"qty\":1}')";
    assert_eq!(number(&client, row).await, 1);
    assert_eq!(number(&client, "select rowcast.append_event('bare')").await, 3);
    let bare = "select count(*) from rowcast.events where type = 'bare' and level = 'info' and not public_safe and payload = '{}'
        and num_nulls(symbol, trade_id, subject, owner) = 4";
    assert_eq!(number(&client, bare).await, 1);
    assert_eq!(number(&client, "select seq from rowcast.dedupe_keys where scope = '' and key = 'k'").await, 2);
}

#[tokio::test]
async fn ten_sessions_with_one_key_append_one_event() {
    let db = support::migrated_database().await;
    let mut sessions = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let session = db.client().await;
        sessions.spawn(async move {
            number(&session, "select rowcast.append_event('a', '{\"n\":1}', dedupe_key => 'k')").await
        });
    }
    let seqs = sessions.join_all().await;
    assert!(seqs.iter().all(|seq| *seq == seqs[0]), "{seqs:?}");
    assert_eq!(numbers(&db.client().await, "select seq from rowcast.events").await, [seqs[0]]);
}

#[tokio::test]
async fn a_key_is_refused_for_any_other_content() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    let first = "select rowcast.append_event('a', '{\"x\":1,\"y\":2}', dedupe_key => 'k')";
    assert_eq!(number(&client, first).await, 1);
    assert_eq!(number(&client, first).await, 1);
    // The same JSON written otherwise is the same content.
    assert_eq!(
        number(&client, "select rowcast.append_event('a', '{\"y\": 2, \"x\": 1}', level => 'info', dedupe_key => 'k')")
            .await,
        1
    );
    for other in [
        "'b', '{\"x\":1,\"y\":2}'",
        "'a', '{\"x\":1}'",
        "'a', '{\"x\":1,\"y\":2}', level => 'warn'",
        "'a', '{\"x\":1,\"y\":2}', public_safe => true",
        "'a', '{\"x\":1,\"y\":2}', symbol => 's'",
        "'a', '{\"x\":1,\"y\":2}', trade_id => gen_random_uuid()",
        "'a', '{\"x\":1,\"y\":2}', subject => 's'",
        "'a', '{\"x\":1,\"y\":2}', owner => 's'",
    ] {
        let error = refused(&client, &format!("select rowcast.append_event({other}, dedupe_key => 'k')")).await;
        assert_eq!((error.code().code(), error.column()), ("23505", Some("dedupe_key")), "{other}: {error}");
        assert_eq!(error.message(), "dedupe_key was used before with another content, as seq 1");
    }
    assert_eq!(number(&client, "select count(*) from rowcast.events").await, 1);
}

#[tokio::test]
async fn a_key_has_1_to_256_bytes() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    for bad in ["''", "repeat('ä', 128) || 'a'"] {
        let error = refused(&client, &format!("select rowcast.append_event('a', dedupe_key => {bad})")).await;
        assert_eq!(
            (error.code().code(), error.constraint()),
            ("23514", Some("dedupe_key must be 1 to 256 bytes")),
            "{error}"
        );
    }
    run(&client, "select rowcast.append_event('a', dedupe_key => repeat('ä', 128)), rowcast.append_event('a', dedupe_key => 'k')").await;
}

#[tokio::test]
async fn a_key_that_was_rolled_back_is_free_and_one_that_commits_is_taken() {
    let db = support::migrated_database().await;
    let (first, second, watcher) = (db.client().await, db.client().await, db.client().await);
    let append = "select rowcast.append_event('a', dedupe_key => 'k')";
    run(&first, "begin").await;
    assert_eq!(number(&first, append).await, 1);
    let (seq, ()) = tokio::join!(number(&second, append), async {
        until_somebody_waits(&watcher).await;
        run(&first, "rollback").await;
    });
    assert_eq!(seq, 2);

    let append = "select rowcast.append_event('a', dedupe_key => 'l')";
    run(&first, "begin").await;
    assert_eq!(number(&first, append).await, 3);
    let (seq, ()) = tokio::join!(number(&second, append), async {
        until_somebody_waits(&watcher).await;
        run(&first, "commit").await;
    });
    assert_eq!(seq, 3);
    assert_eq!(numbers(&watcher, "select seq from rowcast.events order by seq").await, [2, 3]);
}

#[tokio::test]
async fn a_key_whose_event_was_refused_is_free() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    refused(&client, "select rowcast.append_event('No', dedupe_key => 'k')").await;
    run(&client, "select rowcast.append_event('yes', dedupe_key => 'k')").await;
    assert_eq!(number(&client, "select count(*) from rowcast.events where type = 'yes'").await, 1);
}
