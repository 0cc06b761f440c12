//! The page that the README shows, run as it is printed there.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use rowcast::auth::Role;
use rowcast::auth::token::Mint;
use rowcast::clock::Clock;
use rowcast::config::Secret;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::{JWT_SECRET, PATIENCE, TestServer, migrated_database};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
/// What a browser has and Node has not. A browser ends a WebSocket that could not be opened with `onclose` too, Node 20 with
/// `onerror` alone.
const BROWSER: &str = "\
    globalThis.document = { getElementById: () => ({ append: (text) => process.stdout.write(text) }) };
    globalThis.prompt = () => process.env.TOKEN;
    globalThis.WebSocket = class extends WebSocket {
      constructor(...how) {
        super(...how);
        let closed = false;
        this.addEventListener('close', () => { closed = true; });
        this.addEventListener('error', () => setTimeout(() => closed || this.onclose({ code: 1006 }), 50));
      }
    };
";

/// The script of the page, for a server at this address.
fn script(address: &str) -> String {
    let page = std::fs::read_to_string(README).unwrap();
    let script =
        page.split("<script type=\"module\">\n").nth(1).and_then(|rest| rest.split("</script>").next()).unwrap();
    assert_eq!(script.matches("ws://127.0.0.1:8080/").count(), 1);
    format!("{BROWSER}{}", script.replace("127.0.0.1:8080", address))
}

/// The page, open in a tab; none where there is no Node with WebSockets.
async fn open(address: &str, token: &str) -> Option<(Child, Lines<BufReader<ChildStdout>>)> {
    let can = "process.exit(typeof WebSocket === 'function' ? 0 : 1)";
    let probe = Command::new("node").args(["--experimental-websocket", "-e", can]).stderr(Stdio::null()).status().await;
    if !probe.is_ok_and(|status| status.success()) {
        let why = "skipped: the README's page needs Node 20.10 or newer (Debian: apt-get install nodejs)\n";
        std::io::stderr().write_all(why.as_bytes()).unwrap();
        return None;
    }
    let mut tab = Command::new("node")
        .args(["--experimental-websocket", "--input-type=module", "-e", &script(address)])
        .env("TOKEN", token)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let lines = BufReader::new(tab.stdout.take().unwrap()).lines();
    Some((tab, lines))
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap()
}

fn token(ttl: Duration) -> String {
    let mint = Mint { subject: "me", role: Role::Viewer, ttl, issuer: None, audience: None };
    mint.sign(&Secret::new(JWT_SECRET), &Clock::system()).unwrap().expose().to_owned()
}

#[tokio::test]
async fn the_page_of_the_readme_follows_and_comes_back_where_it_was() {
    let db = migrated_database().await;
    let insert = async |text: &str| {
        let sql =
            "insert into rowcast.events (type, payload) values ('note.added', jsonb_build_object('text', $1::text))";
        db.client().await.execute(sql, &[&text]).await.unwrap();
    };
    let server = TestServer::ready(&db.url, &[]).await;
    let address = server.address().to_owned();
    let Some((_tab, mut lines)) = open(&address, &token(Duration::from_secs(600))).await else { return };
    insert("one").await;
    assert_eq!(next(&mut lines).await, "1 note.added {\"text\":\"one\"}");
    server.stop().await.unwrap();
    insert("two").await;
    let server = TestServer::ready(&db.url, &[("ROWCAST_LISTEN", &address)]).await;
    assert_eq!(next(&mut lines).await, "2 note.added {\"text\":\"two\"}");
    insert("three").await;
    assert_eq!(next(&mut lines).await, "3 note.added {\"text\":\"three\"}");
    server.stop().await.unwrap();
}
#[tokio::test]
async fn the_page_of_the_readme_does_not_hammer_with_a_token_that_is_refused() {
    let db = migrated_database().await;
    let server = TestServer::ready(&db.url, &[]).await;
    let Some((mut tab, mut lines)) = open(server.address(), "not.a.token").await else { return };
    assert!(next(&mut lines).await.starts_with("unauthorized "));
    assert_eq!(next(&mut lines).await, "stopped: the token or the request is refused");
    let ended = tokio::time::timeout(PATIENCE, tab.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "nothing is left that would try again");
    server.stop().await.unwrap();
}
