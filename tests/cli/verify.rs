//! `rowcast verify`: it says that stream and table are the same, and it can say that they are not.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::support::{PATIENCE, TestDb, binary, in_time, migrated_database, run, text};

const INSERT: &str = "insert into rowcast.events (type, payload, subject) values ('verify.test', '{\"n\":1}', 's')";

/// Exit code, standard output, standard error.
async fn verify(db: &TestDb, args: &[&str]) -> (Option<i32>, String, String) {
    let answer = run(&[&["verify"], args].concat(), &[("DATABASE_URL", &db.url)]).await;
    (answer.status.code(), text(&answer.stdout), text(&answer.stderr))
}

/// Runs it with these seconds of following, and `act` once it has begun to follow.
async fn verify_while<F: Future<Output = ()>>(db: &TestDb, seconds: &str, act: F) -> (Option<i32>, String) {
    let mut command =
        tokio::process::Command::from(binary(&["verify", "--seconds", seconds], &[("DATABASE_URL", &db.url)]));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    loop {
        let line = tokio::time::timeout(PATIENCE, said.next_line()).await.unwrap().unwrap();
        if line.expect("it follows").contains("following for") {
            break;
        }
    }
    act.await;
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    (ended.code(), out)
}

/// Two events, of which the first number was burnt: 2 and 3.
async fn two_events(client: &Client) {
    client.batch_execute(&format!("begin; {INSERT}; rollback; {INSERT}; {INSERT}")).await.unwrap();
}

/// Inserts until told to stop, some of it rolled back.
async fn write(client: Client, n: usize) {
    for i in 0.. {
        let end = ["commit", "rollback", "commit"][(n + i) % 3];
        if client.batch_execute(&format!("begin; {INSERT}; {INSERT}; {end}")).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn stream_and_table_are_the_same_while_writers_go_on() {
    let db = migrated_database().await;
    let client = db.client().await;
    let bulk = "insert into rowcast.events (type) select 'bulk.row' from generate_series(1, 3000)";
    client.batch_execute(&format!("begin; {bulk}; rollback; {bulk}; {bulk}")).await.unwrap();
    let mut writers = JoinSet::new();
    for n in 0..4 {
        writers.spawn(write(db.client().await, n));
    }
    let (code, out, err) = verify(&db, &["--seconds", "2"]).await;
    writers.shutdown().await;
    assert_eq!(code, Some(0), "{out}{err}");
    let count: u64 = out.strip_prefix("compared   ").and_then(|o| o.split(' ').next()).unwrap().parse().unwrap();
    assert!(count > 6000, "what came while it followed was compared: {out}");
    assert!(out.ends_with("equal      every event once, in order, with the same content\n"), "{out}");
    let sums: Vec<_> = out.lines().filter_map(|line| line.split_once("sha256 ")).map(|(_, sum)| sum).collect();
    assert_eq!((sums.len(), sums[0]), (2, sums[1]));
    assert!(!err.contains("\u{1b}["), "no progress where nobody watches: {err}");

    // And nothing at all is the same as nothing.
    let (code, out, _) = verify(&migrated_database().await, &[]).await;
    assert_eq!((code, out.lines().next().unwrap()), (Some(0), "compared   0 events, after seq 0 up to 0"));
}

#[tokio::test]
async fn a_row_put_below_the_head_after_it_was_handed_out_is_found() {
    let db = migrated_database().await;
    let client = db.client().await;
    two_events(&client).await;
    let (code, out) = verify_while(&db, "3", async {
        let sql = "insert into rowcast.events (seq, type) overriding system value values (1, 'late.row')";
        client.batch_execute(&format!("{INSERT}; {sql}")).await.unwrap();
    })
    .await;
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("different  at seq 1: the table has an event there that the stream did not deliver"), "{out}");
    assert!(!out.contains("\nequal"), "{out}");
}

#[tokio::test]
async fn a_row_changed_or_deleted_after_it_was_handed_out_is_found() {
    for (change, complaint) in [
        ("update rowcast.events set payload = '{\"n\":2}' where seq = 3", "at seq 3: the event was changed"),
        ("delete from rowcast.events where seq = 2", "at seq 2: the stream delivered an event that the table has not"),
    ] {
        let db = migrated_database().await;
        let client = db.client().await;
        two_events(&client).await;
        let (code, out) = verify_while(&db, "2", async {
            client.batch_execute("alter table rowcast.events disable trigger append_only").await.unwrap();
            client.batch_execute(change).await.unwrap();
        })
        .await;
        assert_eq!(code, Some(1), "{out}");
        assert!(out.contains(complaint), "{out}");
    }
}

#[tokio::test]
async fn rows_beyond_the_sequence_are_found() {
    let db = migrated_database().await;
    let client = db.client().await;
    two_events(&client).await;
    let sql =
        "insert into rowcast.events (seq, type) overriding system value values (900, 'far.row'), (901, 'far.row')";
    client.batch_execute(sql).await.unwrap();
    let (code, out, _) = verify(&db, &[]).await;
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("different  2 rows beyond the sequence, which is at 3: the first has seq 900"), "{out}");
    assert!(out.contains("compared   2 events, after seq 0 up to 3"), "{out}");
}

#[tokio::test]
async fn an_open_transaction_holds_the_bound_back_and_not_the_comparison() {
    let db = migrated_database().await;
    let (client, holder) = (db.client().await, db.client().await);
    two_events(&client).await;
    assert_eq!(verify(&db, &[]).await.0, Some(0));
    holder.batch_execute(&format!("begin; {INSERT}")).await.unwrap();
    client.batch_execute(INSERT).await.unwrap();
    let (code, out, err) = verify(&db, &[]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(err.contains("the stream is held back at seq") && out.contains("compared   2 events"), "{out}{err}");
}

#[tokio::test]
async fn it_begins_where_it_is_told() {
    let db = migrated_database().await;
    let client = db.client().await;
    two_events(&client).await;
    let tags =
        "select right(id::text, 8), left(encode(sha256(uuid_send(id)), 'hex'), 8) from rowcast.events where seq = 2";
    let tags = client.query_one(tags, &[]).await.unwrap();
    let (tag, hidden): (String, String) = (tags.get(0), tags.get(1));
    for cursor in ["2".to_owned(), format!("2.{tag}"), format!("2.{}", tag.to_uppercase()), format!("2.{hidden}")] {
        let (code, out, err) = verify(&db, &["--from", &cursor]).await;
        assert_eq!(code, Some(0), "{out}{err}");
        assert!(out.starts_with("compared   1 events, after seq 2 up to 3\n"), "{out}");
    }
    client.batch_execute("update rowcast.journal_state set head = 3, trimmed_through = 2").await.unwrap();
    assert!(verify(&db, &[]).await.1.starts_with("compared   1 events, after seq 2"));
    for (cursor, complaint) in [
        ("1", "has expired: events through seq 2 were trimmed"),
        ("3.00000000", "another history"),
        ("4", "ahead of the journal"),
    ] {
        let (code, out, err) = verify(&db, &["--from", cursor]).await;
        assert_eq!((code, out.as_str(), err.lines().count()), (Some(1), "", 1), "{cursor}: {err}");
        assert!(err.contains(complaint), "{cursor}: {err}");
    }
    for wrong in ["x", "3.xyz", "99999999999999999999", "+3", "latest", ""] {
        let (code, out, err) = verify(&db, &["--from", wrong]).await;
        assert_eq!((code, out.as_str()), (Some(2), ""), "{wrong}: {err}");
        assert!(err.contains("--from <CURSOR>"), "{wrong}: {err}");
    }
}

#[tokio::test]
async fn a_login_that_may_not_read_is_told_so_at_once() {
    let db = migrated_database().await;
    let user = format!("{}_nobody", db.name);
    let client = db.client().await;
    client.batch_execute(&format!("create user {user} password 'secret'")).await.unwrap();
    let url = db.url_of(&user, "secret");
    let begun = Instant::now();
    let answer = run(&["verify"], &[("DATABASE_URL", &url)]).await;
    in_time(begun, Duration::from_secs(8));
    assert_eq!(answer.status.code(), Some(1));
    assert!(text(&answer.stderr).contains("permission denied"), "{}", text(&answer.stderr));
    client.batch_execute(&format!("drop user {user}")).await.unwrap();
}
