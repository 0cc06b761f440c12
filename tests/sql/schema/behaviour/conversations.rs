//! Speakers, conversations and utterances.

use super::{number, refused, refused_with, run, until_somebody_waits};
use crate::support;

const ALICE: &str = "00000000-0000-0000-0000-00000000000a";

fn opens() -> String {
    format!("insert into chat.conversations (speaker_id) values ('{ALICE}')")
}

fn alice() -> String {
    format!("insert into chat.speakers (id, kind, subject) values ('{ALICE}', 'user', 'alice')")
}

#[tokio::test]
async fn two_at_once_open_one_conversation() {
    let db = support::migrated_database().await;
    let (first, second, watcher) = (db.client().await, db.client().await, db.client().await);
    run(&first, &alice()).await;
    for (end, second_is_refused) in [("rollback", false), ("commit", true)] {
        run(
            &first,
            "update chat.conversations set status = 'closed', closed_at = clock_timestamp() where status = 'open'",
        )
        .await;
        run(&first, &format!("begin; {}", opens())).await;
        let opens = opens();
        let (answer, ()) = tokio::join!(second.batch_execute(&opens), async {
            until_somebody_waits(&watcher).await;
            run(&first, end).await;
        });
        if second_is_refused {
            let error = answer.unwrap_err();
            let error = error.as_db_error().unwrap();
            assert_eq!((error.code().code(), error.constraint()), ("23505", Some("conversations_one_open_each")));
        } else {
            answer.unwrap();
        }
        assert_eq!(number(&watcher, "select count(*) from chat.conversations where status = 'open'").await, 1);
    }
    assert_eq!(number(&watcher, "select count(*) from chat.conversations").await, 2);
}

#[tokio::test]
async fn speakers_conversations_and_utterances_keep_their_rules() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    run(&client, &alice()).await;
    run(&client, &opens()).await;
    run(&client, "insert into chat.speakers (kind, name) values ('bot', 'helper')").await;
    let speech = |text: &str, position: &str| {
        format!(
            "insert into chat.utterances (conversation_id, position, speaker_id, text) select id, {position}, speaker_id, {text} from chat.conversations"
        )
    };
    run(&client, &speech("'Hello'", "1")).await;
    run(&client, &speech("repeat('ä', 16384)", "2")).await;
    for (sql, constraint) in [
        ("insert into chat.speakers (kind, name) values ('bot', 'helper')".to_owned(), "speakers_bot_name"),
        ("insert into chat.speakers (kind) values ('bot')".to_owned(), "speakers_bot_has_name"),
        ("insert into chat.speakers (kind) values ('user')".to_owned(), "speakers_user_has_subject"),
        ("insert into chat.speakers (kind, subject) values ('user', 'alice')".to_owned(), "speakers_subject_key"),
        ("insert into chat.speakers (kind, subject) values ('cat', 's')".to_owned(), "speakers_kind_check"),
        (
            "insert into chat.speakers (kind, subject) values ('user', repeat('s', 257))".to_owned(),
            "speakers_subject_check",
        ),
        (
            "insert into chat.speakers (kind, name) values ('bot', 'a' || repeat(' ', 200))".to_owned(),
            "speakers_name_check",
        ),
        ("insert into chat.speakers (kind, name) values ('bot', '  ')".to_owned(), "speakers_name_check"),
        (opens(), "conversations_one_open_each"),
        ("update chat.conversations set status = 'closed'".to_owned(), "conversations_closed_has_time"),
        ("update chat.conversations set closed_at = now()".to_owned(), "conversations_closed_has_time"),
        (
            "update chat.conversations set status = 'closed', closed_at = opened_at - interval '1 s'".to_owned(),
            "conversations_times_check",
        ),
        (speech("'Again'", "1"), "utterances_conversation_id_position_key"),
        (speech("'Zero'", "0"), "utterances_position_check"),
        (speech("E' \\t\\n'", "3"), "utterances_text_check"),
        (speech("repeat('a', 32769)", "3"), "utterances_text_check"),
    ] {
        let error = refused(&client, &sql).await;
        assert_eq!(error.constraint(), Some(constraint), "{sql}: {error}");
    }
    refused_with(&client, "delete from chat.speakers where kind = 'user'", "23503", "conversations_speaker_id_fkey")
        .await;
}
