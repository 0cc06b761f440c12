//! `rowcast tail` as a person meets it: what stands on which output, and how it ends.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::scripted_server::{Peer, Script, cursor, event, id};
use crate::support::{JWT_SECRET, binary, run, text};

const TOKEN: (&str, &str) = ("ROWCAST_TOKEN", "t0ken");

fn tail(url: &str, args: &[&str]) -> Child {
    let args = [&["tail", "--url", url], args].concat();
    binary(&args, &[TOKEN]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Its exit code and both outputs, once it has ended.
async fn ended(child: Child) -> (Option<i32>, String, String) {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

async fn interrupt(child: &Child) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
}

async fn until_gone(peer: &mut Peer) {
    while peer.heard().await.is_some() {}
}

#[tokio::test]
async fn a_person_reads_a_line_an_event_and_a_terminal_is_safe_from_it() {
    let script = Script::start().await;
    let child = tail(&script.url, &["--once", "--last", "9", "--type", "note.*,a.b", "--type", "c", "--level", "info"]);
    let mut peer = script.greet(&cursor(5)).await;
    assert_eq!(peer.target(), "/ws?last=9&type=note.*,a.b,c&level=info");
    assert_eq!(peer.header("authorization"), Some("Bearer t0ken"));
    peer.event(6).await;
    let nasty = json!({
        "seq": 7, "id": id(7), "at": "2026-01-27T10:00:01.5Z", "type": "a.b", "level": "critical",
        "symbol": "\u{1b}]0;x\u{7}", "subject": "o\u{9b}1", "payload": {"a": "\u{1b}[2J\u{9b}\u{202e}", "b": [1, " "]},
    });
    peer.send(json!({"op": "event", "event": nasty})).await;
    peer.live(7).await;
    until_gone(&mut peer).await;
    let (code, stdout, stderr) = ended(child).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(
        stdout,
        "2026-01-27 10:00:00.123  info      note.added            BTC-USD  {\"n\":6}\n\
         2026-01-27T10:00:01.5Z  critical  a.b                   \\u001b]0;x\\u0007 o\\u009b1  \
         {\"a\":\"\\u001b[2J\\u009b\\u202e\",\"b\":[1,\" \"]}\n"
    );
    assert_eq!(stderr, format!("connected at cursor {}, head 100\ngo on with --cursor {}\n", cursor(5), cursor(7)));
}

#[tokio::test]
async fn json_is_the_events_and_nothing_else() {
    let script = Script::start().await;
    let child = tail(&script.url, &["--json", "--once", "--cursor", "earliest"]);
    let mut peer = script.greet("0").await;
    assert_eq!(peer.target(), "/ws?cursor=earliest");
    for seq in 1..=50 {
        peer.event(seq).await;
    }
    peer.send(json!({"op": "event", "event": {"seq": 51, "id": id(51), "at": "x", "type": "a", "level": "info",
        "payload": {"x": "\u{9b}31m"}}}))
        .await;
    peer.live(51).await;
    until_gone(&mut peer).await;
    let (code, stdout, _) = ended(child).await;
    let events: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, events.len(), &events[49]), (Some(0), 51, &event(50)));
    assert!(stdout.contains("\\u009b31m") && events[50]["payload"]["x"] == "\u{9b}31m", "{stdout}");
}

#[tokio::test]
async fn it_comes_back_by_itself_and_a_signal_ends_it_with_the_cursor() {
    let script = Script::start().await;
    let mut child = tail(&script.url, &["--json"]);
    let mut peer = script.greet(&cursor(5)).await;
    peer.live(5).await;
    peer.event(6).await;
    peer.close(1011).await;
    let mut peer = script.greet(&cursor(6)).await;
    assert_eq!(peer.target(), format!("/ws?cursor={}", cursor(6)));
    peer.event(9).await;
    // The line is out although nothing more comes.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let lines = tokio::task::spawn_blocking(move || [lines.next(), lines.next()].map(|line| line.unwrap().unwrap()));
    let seqs = lines.await.unwrap().map(|line| serde_json::from_str::<Value>(&line).unwrap()["seq"].clone());
    assert_eq!(seqs, [json!(6), json!(9)]);
    interrupt(&child).await;
    let mut closed = false;
    while let Some(message) = peer.heard().await {
        closed |= message.is_close();
    }
    assert!(closed);
    let (code, _, stderr) = ended(child).await;
    let said: Vec<_> = stderr.lines().collect();
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(
        said[..2],
        [format!("connected at cursor {}, head 100", cursor(5)), "live: the backlog is read".to_owned()]
    );
    assert!(said[2].starts_with("the server closed with 1011 (no reason given); trying again in 0."), "{stderr}");
    assert_eq!(said[3..], [format!("resumed at cursor {}", cursor(6)), format!("go on with --cursor {}", cursor(9))]);
}

#[tokio::test]
async fn it_ends_quietly_when_nobody_reads_any_more() {
    let script = Script::start().await;
    let mut child = tail(&script.url, &[]);
    let mut peer = script.greet(&cursor(5)).await;
    peer.event(6).await;
    let mut stdout = child.stdout.take().unwrap();
    tokio::task::spawn_blocking(move || stdout.read_exact(&mut [0]).unwrap()).await.unwrap();
    // Another process that is being started just now may have the pipe for a moment: so one line may yet find a reader.
    for seq in 7.. {
        if peer.tell(seq).await.is_err() || peer.is_gone_within(Duration::from_millis(100)).await {
            break;
        }
    }
    let (code, _, stderr) = ended(child).await;
    assert_eq!((code, stderr.lines().count()), (Some(0), 1), "{stderr}");
}

#[tokio::test]
async fn a_reader_that_pauses_does_not_keep_a_signal_from_being_heard() {
    let script = Script::start().await;
    let mut child = tail(&script.url, &["--json"]);
    let mut peer = script.greet(&cursor(5)).await;
    // More than a pipe holds.
    for seq in 6..3_000 {
        peer.event(seq).await;
    }
    let mut stdout = child.stdout.take().unwrap();
    let (first, mut stdout) = tokio::task::spawn_blocking(move || {
        let mut first = [0];
        stdout.read_exact(&mut first).unwrap();
        (first, stdout)
    })
    .await
    .unwrap();
    interrupt(&child).await;
    until_gone(&mut peer).await;
    let (code, rest, stderr) = tokio::task::spawn_blocking(move || {
        let code = child.wait().unwrap().code();
        let (mut rest, mut stderr) = (String::new(), String::new());
        stdout.read_to_string(&mut rest).unwrap();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (code, rest, stderr)
    })
    .await
    .unwrap();
    assert_eq!((code, first), (Some(0), *b"{"), "{stderr}");
    // What it says to go on with is nothing that did not come out.
    let (_, told) = stderr.trim_end().rsplit_once("--cursor ").unwrap();
    let seq: i64 = told.split_once('.').unwrap().0.parse().unwrap();
    assert!(seq == 5 || format!("{{{rest}").contains(&format!("\"seq\":{seq},")), "{told}");
}

#[tokio::test]
async fn a_failure_is_one_safe_line_and_says_from_where_to_go_on() {
    let script = Script::start().await;
    let child = tail(&script.url, &["--cursor", &cursor(3)]);
    let mut peer = script.greet(&cursor(3)).await;
    peer.event(6).await;
    peer.event(6).await;
    let (code, _, stderr) = ended(child).await;
    let last = stderr.lines().last().unwrap();
    assert_eq!(
        (code, last),
        (
            Some(1),
            format!("rowcast: out of order: seq 6 came after 6 had passed; go on with --cursor {}", cursor(6)).as_str()
        )
    );

    let child = tail(&script.url, &["--cursor", "3"]);
    script.caller().await.accept().await.end(4410, "cursor_expired").await;
    let (code, stdout, stderr) = ended(child).await;
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert_eq!(
        stderr,
        "rowcast: the cursor has expired; --cursor earliest begins with the oldest event, which is at seq 40\n"
    );

    let child = tail(&script.url, &[]);
    script.caller().await.refuse(403, "", &json!({"code": "forbidden", "detail": "\u{1b}[2Jno"})).await;
    let (code, _, stderr) = ended(child).await;
    assert_eq!((code, stderr.as_str()), (Some(1), "rowcast: forbidden (forbidden: \\u001b[2Jno)\n"));

    // Whoever wants the backlog alone is not kept waiting for a server.
    let url = script.url.clone();
    drop(script);
    let (code, _, stderr) = ended(tail(&url, &["--once"])).await;
    assert!(code == Some(1) && stderr.starts_with("rowcast: cannot connect: "), "{stderr}");
}

#[tokio::test]
async fn wrong_usage_is_2_and_no_token_is_said_before_anything_is_asked() {
    for args in [
        &["--url", "ftp://x"][..],
        &["--url", "http://u:p@x"],
        &["--cursor", "x"],
        &["--cursor", "1", "--last", "2"],
        &["--last", "-1"],
        &["--level", "loud"],
        &["--trade-id", "x"],
        &[],
    ] {
        let answer = run(&[&["tail"], args].concat(), &[]).await;
        assert_eq!(answer.status.code(), Some(2), "{args:?}: {}", text(&answer.stderr));
    }
    let help = text(&run(&["tail", "--help"], &[]).await.stdout);
    assert!(help.contains("Example:\n  rowcast tail"), "{help}");
}

#[tokio::test]
async fn with_the_secret_it_mints_its_own_token_and_the_public_stream_needs_none() {
    let script = Script::start().await;
    let args = ["tail", "--url", &script.url, "--once"];
    let child = binary(&args, &[("ROWCAST_JWT_SECRET", JWT_SECRET)]).stderr(Stdio::piped()).spawn().unwrap();
    let mut peer = script.greet(&cursor(5)).await;
    let token = peer.header("authorization").unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    assert_eq!(token.split('.').count(), 3);
    peer.live(5).await;
    until_gone(&mut peer).await;
    assert_eq!(ended(child).await.0, Some(0));

    let url = format!("{}/public/ws", script.url);
    let child = binary(&["tail", "--url", &url, "--once"], &[]).stderr(Stdio::piped()).spawn().unwrap();
    let mut peer = script.greet(&cursor(5)).await;
    assert_eq!((peer.target(), peer.header("authorization")), ("/public/ws", None));
    peer.live(5).await;
    until_gone(&mut peer).await;
    assert_eq!(ended(child).await.0, Some(0));
}
