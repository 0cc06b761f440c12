//! Dedupe keys that a trim deletes while a writer asks for them. The interleaving is forced: a trigger on the keys holds the writer
//! between its insert, which meets the key, and its look at the key.

use rowcast::journal::{self, Appended, NewEvent, SQL_SCOPE};
use tokio_postgres::Client;

use super::{append_keyed, number};
use crate::support::{TestDb, migrated_database, until};

/// The lock that holds the writer up. The number is this file's.
const PAUSE: i64 = 7_316_001;

/// A database whose writers pause after they have asked for keys, and a session that can hold them there.
async fn database_with_a_pause() -> (TestDb, Client) {
    let db = migrated_database().await;
    let trimmer = db.client().await;
    let sql = format!(
        "create function public.pause() returns trigger language plpgsql as
             $$ begin perform pg_advisory_xact_lock({PAUSE}); return null; end $$;
         create trigger pause after insert on rowcast.dedupe_keys for each statement execute function public.pause()"
    );
    trimmer.batch_execute(&sql).await.unwrap();
    (db, trimmer)
}

/// Deletes the keys, as a trim does, while `write` stands between its insert and its look.
async fn trimmed_in_between<T: Send + 'static>(
    trimmer: &Client,
    write: impl Future<Output = T> + Send + 'static,
    undo: &str,
) -> T {
    trimmer.batch_execute(&format!("select pg_advisory_lock({PAUSE})")).await.unwrap();
    let writer = tokio::spawn(write);
    let waiting = "select count(*) from pg_locks l where l.locktype = 'advisory' and not l.granted
                      and l.database = (select oid from pg_database where datname = current_database())";
    until("the writer has asked for its keys", || async { number(trimmer, waiting).await == 1 }).await;
    // Committed before the writer goes on: together they were one transaction.
    trimmer.batch_execute(undo).await.unwrap();
    trimmer.batch_execute(&format!("select pg_advisory_unlock({PAUSE})")).await.unwrap();
    writer.await.unwrap()
}

fn keyed(kind: &str, key: &str) -> NewEvent {
    let mut event = NewEvent::new(kind);
    event.dedupe_key = Some(key.to_owned());
    event
}

async fn batch(db: &TestDb, events: Vec<NewEvent>) -> impl Future<Output = Vec<Appended>> + Send + 'static {
    let client = db.client().await;
    async move { journal::append_batch(&client, SQL_SCOPE, &events).await.unwrap() }
}

const TRIM: &str = "delete from rowcast.dedupe_keys";

#[tokio::test]
async fn an_event_whose_key_a_trim_deletes_meanwhile_is_appended_anew() {
    let (db, trimmer) = database_with_a_pause().await;
    let first = append_keyed(&trimmer, "a", "key").await;
    let writer = db.client().await;
    let by_sql = async move { number(&writer, "select rowcast.append_event('a', dedupe_key => 'key')").await };
    let second = trimmed_in_between(&trimmer, by_sql, TRIM).await;
    assert!(second > first.seq, "{second}");
    let third = trimmed_in_between(&trimmer, batch(&db, vec![keyed("a", "key")]).await, TRIM).await[0];
    assert!(third.seq > second && !third.repeated, "{third:?}");
    assert_eq!(append_keyed(&trimmer, "a", "key").await, Appended { repeated: true, ..third });
    assert_eq!(number(&trimmer, "select count(*) from rowcast.events").await, 3);
}

#[tokio::test]
async fn of_a_batch_only_the_keys_that_were_trimmed_are_appended_anew() {
    let (db, trimmer) = database_with_a_pause().await;
    let (kept, gone) = (append_keyed(&trimmer, "a", "kept").await, append_keyed(&trimmer, "b", "gone").await);
    let events =
        vec![keyed("c", "new"), keyed("b", "gone"), keyed("a", "kept"), NewEvent::new("d"), keyed("b", "gone")];
    let answer =
        trimmed_in_between(&trimmer, batch(&db, events).await, "delete from rowcast.dedupe_keys where key = 'gone'")
            .await;
    assert_eq!(answer.iter().map(|a| a.repeated).collect::<Vec<_>>(), [false, false, true, false, true]);
    assert_eq!((answer[2].seq, answer[2].id), (kept.seq, kept.id));
    assert_eq!((answer[4].seq, answer[4].id), (answer[1].seq, answer[1].id));
    assert!(gone.seq < answer[0].seq && answer[0].seq < answer[1].seq && answer[1].seq < answer[3].seq, "{answer:?}");
    let orphans =
        "select count(*) from rowcast.dedupe_keys k left join rowcast.events e using (seq) where e.seq is null";
    assert_eq!(number(&trimmer, orphans).await, 0);
}

#[tokio::test]
async fn another_content_is_appended_too_once_the_key_is_trimmed() {
    let (db, trimmer) = database_with_a_pause().await;
    append_keyed(&trimmer, "a", "key").await;
    let answer = trimmed_in_between(&trimmer, batch(&db, vec![keyed("other", "key")]).await, TRIM).await[0];
    assert!(!answer.repeated);
}

#[tokio::test]
async fn a_key_that_goes_away_every_time_ends_in_a_serialization_failure() {
    let (db, trimmer) = database_with_a_pause().await;
    append_keyed(&trimmer, "a", "key").await;
    // A trigger that passes over every row stands for a key that is always taken when asked for, and gone when looked at.
    let never = "create function public.never() returns trigger language plpgsql as $$ begin return null; end $$;
                 create trigger never before insert on rowcast.dedupe_keys for each row execute function public.never();
                 drop trigger pause on rowcast.dedupe_keys; delete from rowcast.dedupe_keys";
    trimmer.batch_execute(never).await.unwrap();
    let client = db.client().await;
    let batch = "select rowcast.append_events('{a}', '{\"{}\"}', '{info}', '{f}', '{null}', '{null}', '{null}', '{null}', '{key}')";
    for sql in ["select rowcast.append_event('a', dedupe_key => 'key')", batch] {
        let error = client.batch_execute(sql).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), "40001", "{error}");
        assert!(error.message().starts_with("dedupe_key was taken and trimmed"), "{error}");
    }
    assert_eq!(number(&client, "select count(*) from rowcast.events").await, 1);
}

#[tokio::test]
async fn in_repeatable_read_a_key_that_came_or_went_since_the_snapshot_is_a_serialization_failure() {
    let db = migrated_database().await;
    let (old, new) = (db.client().await, db.client().await);
    let batch = "select rowcast.append_events('{a}', '{\"{}\"}', '{info}', '{f}', '{null}', '{null}', '{null}', '{null}', '{key}')";
    for sql in ["select rowcast.append_event('a', dedupe_key => 'key')", batch] {
        let snapshot = "begin isolation level repeatable read; select count(*) from rowcast.events";
        for (before, meanwhile) in [(TRIM, sql), (sql, TRIM)] {
            new.batch_execute(before).await.unwrap();
            old.batch_execute(snapshot).await.unwrap();
            new.batch_execute(meanwhile).await.unwrap();
            let error = old.batch_execute(sql).await.unwrap_err();
            assert_eq!(error.code().unwrap().code(), "40001", "{before}, {meanwhile}: {error:?}");
            old.batch_execute("rollback").await.unwrap();
        }
    }
    assert_eq!(number(&new, "select count(*) from rowcast.events").await, 2);
}
