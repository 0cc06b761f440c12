//! `rowcast append`, as a person and as a script meets it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Output, Stdio};
use std::time::Duration;

use crate::sql::journal::number;
use crate::support::{TestDb, binary, migrated_database, run, text, until};

async fn append(db: &TestDb, args: &[&str]) -> Output {
    let args: Vec<_> = ["append"].iter().chain(args).copied().collect();
    run(&args, &[("DATABASE_URL", &db.url)]).await
}

fn begin(db: &TestDb) -> Child {
    let mut command = binary(&["append", "-"], &[("DATABASE_URL", &db.url)]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Feeds the binary and waits for its end.
async fn feed(db: &TestDb, input: Vec<u8>) -> Output {
    let mut child = begin(db);
    tokio::task::spawn_blocking(move || {
        let mut stdin = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || {
            // It may end before it has read all.
            let _gone = stdin.write_all(&input);
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    })
    .await
    .unwrap()
}

fn lines(from: usize, to: usize) -> String {
    (from..to).map(|i| format!("{{\"type\":\"line.read\",\"payload\":{{\"n\":{i}}}}}\n")).collect()
}

#[tokio::test]
async fn one_event_prints_its_seq() {
    let db = migrated_database().await;
    let client = db.client().await;
    assert_eq!(text(&append(&db, &["note.added"]).await.stdout), "1\n");
    let trade = "9f3a11c2-0000-4000-8000-000000000001";
    let args =
        ["trade.opened", r#"{"qty":1.50}"#, "--level", "warn", "--public-safe", "--symbol", "S", "--trade-id", trade];
    let all: Vec<_> = args.into_iter().chain(["--subject", "s", "--owner", "o", "--dedupe-key", "k"]).collect();
    for _ in 0..2 {
        assert_eq!(text(&append(&db, &all).await.stdout), "2\n");
    }
    let stored = "select count(*) from rowcast.events where type = 'trade.opened' and payload::text = '{\"qty\": 1.50}'
                     and level = 'warn' and public_safe and symbol = 'S' and subject = 's' and owner = 'o'
                     and trade_id = '9f3a11c2-0000-4000-8000-000000000001'";
    assert_eq!(number(&client, stored).await, 1);
    for (args, code, complaint) in [
        (&["Wrong"][..], 1, "type must be dotted lower-case words of at most 128 bytes"),
        (&["a", "[]"], 1, "payload must be a JSON object"),
        (&["a", "--level", "loud"], 1, "level must be"),
        (&["trade.opened", "--dedupe-key", "k"], 1, "dedupe_key was used before with another content"),
        (&["a", "{"], 2, "JSON is not valid JSON"),
        (&["a", "--trade-id", "x"], 2, "invalid value 'x'"),
        (&[], 2, "TYPE"),
        (&["-", "{}"], 2, "with - each line says it all"),
        (&["-", "--owner", "o"], 2, "with - each line says it all"),
    ] {
        let answer = append(&db, args).await;
        assert_eq!(answer.status.code(), Some(code), "{args:?}");
        assert!(text(&answer.stderr).contains(complaint) && answer.stdout.is_empty(), "{}", text(&answer.stderr));
    }
    assert_eq!(number(&client, "select count(*) from rowcast.events").await, 2);
}

#[tokio::test]
async fn lines_are_appended_in_order_and_each_seq_printed() {
    let db = migrated_database().await;
    let client = db.client().await;
    let answer = feed(&db, format!("{}\n  \r\n{}", lines(0, 2500), lines(2500, 2600).trim_end()).into_bytes()).await;
    assert_eq!(answer.status.code(), Some(0), "{}", text(&answer.stderr));
    let seqs: Vec<i64> = text(&answer.stdout).lines().map(|l| l.parse().unwrap()).collect();
    assert_eq!(seqs, (1..=2600).collect::<Vec<_>>());
    let misordered = "select count(*) from rowcast.events where (payload->>'n')::bigint <> seq - 1";
    assert_eq!(number(&client, misordered).await, 0);
    assert!(answer.stderr.is_empty());
    // Batches of a thousand, not a transaction a line.
    assert!(number(&client, "select count(distinct xmin::text) from rowcast.events").await <= 10);
    let nothing = feed(&db, Vec::new()).await;
    assert_eq!((nothing.status.code(), nothing.stdout.len()), (Some(0), 0));
}

#[tokio::test]
async fn a_bad_line_is_named_and_what_is_before_it_stays() {
    let db = migrated_database().await;
    let client = db.client().await;
    let long = format!("{{\"type\":\"a\",\"payload\":{{\"a\":\"{}\"}}}}", "x".repeat(1 << 20));
    let mut before = 0;
    for (bad, complaint) in [
        ("{\"type\":\"hunter2", "the JSON ends too early"),
        ("{\"type\":\"a\",\"hunter\":1}", "unknown field `hunter`"),
        ("{\"type\":\"Hunter2\"}", "type must be dotted lower-case words"),
        ("{\"type\":\"a\",\"payload\":[]}", "payload must be a JSON object"),
        ("{\"type\":\"a\",\"owner\":\"\\u0000\"}", "owner must not hold a NUL"),
        ("\u{feff}{}", "not JSON at column 1"),
        (long.as_str(), "it is longer than 1 MiB"),
    ] {
        let answer = feed(&db, format!("{}{bad}\n{}", lines(0, 1200), lines(0, 10)).into_bytes()).await;
        let told = text(&answer.stderr);
        assert_eq!(answer.status.code(), Some(1), "{told}");
        assert!(told.starts_with("rowcast: line 1201: ") && told.contains(complaint), "{told}");
        assert!(!told.contains("unter2") && told.lines().count() == 1, "{told}");
        assert_eq!(text(&answer.stdout).lines().count(), 1200, "{complaint}");
        before += 1200;
        assert_eq!(number(&client, "select count(*) from rowcast.events").await, before);
    }
}

#[tokio::test]
async fn a_slow_source_is_committed_after_a_tenth_of_a_second_and_an_interrupt_ends_after_the_batch() {
    let db = migrated_database().await;
    let client = db.client().await;
    let mut child = begin(&db);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(lines(0, 3).as_bytes()).unwrap();
    stdin.flush().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let (first, stdout) = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        (line, stdout)
    })
    .await
    .unwrap();
    assert_eq!(first, "1\n");
    assert_eq!(number(&client, "select count(*) from rowcast.events").await, 3);
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap()),
        nix::sys::signal::Signal::SIGINT,
    )
    .unwrap();
    // Its standard input is still open: a read under way does not hold up the end.
    let (status, mut stderr) =
        tokio::task::spawn_blocking(move || (child.wait().unwrap(), child.stderr.take().unwrap())).await.unwrap();
    let mut told = String::new();
    stderr.read_to_string(&mut told).unwrap();
    assert_eq!((status.code(), told.as_str()), (Some(1), "rowcast: stopped: 3 lines are stored\n"));
    drop((stdin, stdout));
}

#[tokio::test]
async fn a_database_that_is_slow_holds_up_the_source_and_not_the_memory() {
    let db = migrated_database().await;
    let client = db.client().await;
    client.batch_execute("begin; lock table rowcast.events in exclusive mode").await.unwrap();
    let mut child = begin(&db);
    let mut stdin = child.stdin.take().unwrap();
    let written = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = written.clone();
    let writer = std::thread::spawn(move || {
        let block = lines(0, 1000);
        for _ in 0..100 {
            stdin.write_all(block.as_bytes()).unwrap();
            seen.fetch_add(1000, std::sync::atomic::Ordering::Relaxed);
        }
    });
    let waiting =
        "select count(*) > 0 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let other = db.client().await;
    until("it waits for the lock", || async { other.query_one(waiting, &[]).await.unwrap().get(0) }).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let held = written.load(std::sync::atomic::Ordering::Relaxed);
    assert!(held < 10_000, "{held} lines were taken while nothing was stored");
    client.batch_execute("commit").await.unwrap();
    let answer = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    writer.join().unwrap();
    assert_eq!((answer.status.code(), text(&answer.stdout).lines().count()), (Some(0), 100_000));
}
