//! `rowcast tail --table` as a person meets it: the rows of a published table, and then each change of them.

use std::process::Stdio;

use rowcast::auth::Role;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio_postgres::Client;

use crate::stream::ws::token;
use crate::support::scripted_server::Script;
use crate::support::{JWT_SECRET, PATIENCE, TestDb, TestServer, binary, migrated_database, run, text};

const ORDERS: &str = "
    create schema shop;
    create table shop.orders (id int primary key, customer text, status text, total numeric(12,2));
    select rowcast.publish('shop.orders', columns => '{id,status,total}', owner_column => 'customer');
    insert into shop.orders values (7, 'ann', 'new', 10.50), (8, 'bob', 'paid by card', 3)";

/// A database with orders.
async fn shop() -> (TestDb, Client) {
    let db = migrated_database().await;
    let client = db.client().await;
    client.batch_execute(ORDERS).await.unwrap();
    (db, client)
}

/// A command that follows.
struct Tail {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
}

impl Tail {
    fn start(url: &str, role: Role, subject: &str, more: &[&str]) -> Self {
        let token = token(role, subject);
        let args = [&["tail", "--url", url], more].concat();
        let mut command = tokio::process::Command::from(binary(&args, &[("ROWCAST_TOKEN", &token)]));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, stdout, stderr }
    }

    /// An admin who follows the orders.
    fn orders(server: &TestServer) -> Self {
        Self::start(&server.url, Role::Admin, "boss", &["--table", "shop.orders"])
    }

    /// The next line of standard output.
    async fn line(&mut self) -> Option<String> {
        tokio::time::timeout(PATIENCE, self.stdout.next_line()).await.expect("a line comes").unwrap()
    }

    /// The next lines, in the order of their texts, since rows come in any order.
    async fn lines<const N: usize>(&mut self) -> [String; N] {
        let mut lines = std::array::from_fn(|_| String::new());
        for line in &mut lines {
            *line = self.line().await.unwrap();
        }
        lines.sort_unstable();
        lines
    }

    /// The next change, without its time.
    async fn change(&mut self) -> String {
        let line = self.line().await.unwrap();
        let (time, change) = line.split_once(' ').unwrap();
        assert!(time.len() == 24 && time.ends_with('Z') && time.starts_with("20"), "{line}");
        change.to_owned()
    }

    /// The next line of standard error in which this stands.
    async fn said(&mut self, part: &str) -> String {
        loop {
            let line = tokio::time::timeout(PATIENCE, self.stderr.next_line()).await.expect(part).unwrap();
            let line = line.unwrap_or_else(|| panic!("it ended before it said {part}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Its exit code.
    async fn ended(mut self) -> Option<i32> {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap().code()
    }
}

/// A server that ends soon after it is told to, and so asks to come back soon.
async fn server_at(db: &TestDb, address: &str) -> TestServer {
    TestServer::ready(&db.url, &[("ROWCAST_LISTEN", address), ("ROWCAST_DRAIN", "1s")]).await
}

/// The same at an address that the machine picks.
async fn any_server(db: &TestDb) -> TestServer {
    server_at(db, "127.0.0.1:0").await
}

#[tokio::test]
async fn the_rows_come_first_and_then_each_change_against_the_row_before() {
    let (db, client) = shop().await;
    let server = any_server(&db).await;
    let mut tail = Tail::orders(&server);
    let rows = tail.lines::<2>().await;
    assert_eq!(rows, ["shop.orders 7 status new total 10.50", "shop.orders 8 status \"paid by card\" total 3.00"]);
    let said = tail.said("rows, at cursor").await;
    assert!(said.starts_with("2 rows, at cursor "), "{said}");
    for (sql, expected) in [
        (
            "update shop.orders set status = 'paid', total = 12 where id = 7",
            &["shop.orders 7 status new -> paid, total 10.50 -> 12.00"][..],
        ),
        ("insert into shop.orders values (9, 'eve', null, 1)", &["+ shop.orders 9 status null total 1.00"]),
        ("delete from shop.orders where id = 8", &["- shop.orders 8 status \"paid by card\" total 3.00"]),
        (
            "update shop.orders set id = 10 where id = 9",
            &["- shop.orders 9 status null total 1.00", "+ shop.orders 10 status null total 1.00"],
        ),
        ("update shop.orders set status = E'\\x1b[2J' where id = 10", &["shop.orders 10 status null -> \\u001b[2J"]),
        ("truncate shop.orders", &["- shop.orders: truncated, all rows are gone"]),
        ("insert into shop.orders values (7, 'ann', 'x', 1)", &["+ shop.orders 7 status x total 1.00"]),
    ] {
        client.batch_execute(sql).await.unwrap();
        for line in expected {
            assert_eq!(tail.change().await, *line, "{sql}");
        }
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_table_whose_name_begins_with_that_of_another_is_another() {
    let (db, client) = shop().await;
    let sql = "create table shop.lines (id int primary key, pieces int);
               select rowcast.publish('shop.lines', type_prefix => 'shop.orders.lines');
               insert into shop.lines values (1, 5)";
    client.batch_execute(sql).await.unwrap();
    let server = any_server(&db).await;
    let (mut one, mut both) = (
        Tail::orders(&server),
        Tail::start(&server.url, Role::Admin, "boss", &["--table", "shop.orders", "--table", "shop.lines"]),
    );
    one.said("2 rows").await;
    one.lines::<2>().await;
    let rows = both.lines::<3>().await;
    assert_eq!(rows[0], "shop.lines 1 pieces 5", "{rows:?}");
    client.batch_execute("update shop.lines set pieces = 6; delete from shop.orders where id = 7").await.unwrap();
    assert_eq!(both.change().await, "shop.lines 1 pieces 5 -> 6");
    for tail in [&mut one, &mut both] {
        assert_eq!(tail.change().await, "- shop.orders 7 status new total 10.50");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_user_follows_the_rows_of_its_own() {
    let (db, client) = shop().await;
    let server = any_server(&db).await;
    let mut tail = Tail::start(&server.url, Role::User, "ann", &["--table", "shop.orders"]);
    tail.said("1 rows").await;
    assert_eq!(tail.line().await.unwrap(), "shop.orders 7 status new total 10.50");
    client
        .batch_execute(
            "update shop.orders set total = 4 where id = 8; update shop.orders set customer = 'ann' where id = 8",
        )
        .await
        .unwrap();
    assert_eq!(tail.change().await, "+ shop.orders 8 status \"paid by card\" total 4.00");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn json_is_the_rows_the_cursor_and_the_events_and_once_ends_at_the_head() {
    let (db, _client) = shop().await;
    let server = any_server(&db).await;
    let mut tail = Tail::start(&server.url, Role::Admin, "boss", &["--table", "shop.orders", "--json", "--once"]);
    let mut lines: Vec<Value> = Vec::new();
    while let Some(line) = tail.line().await {
        lines.push(serde_json::from_str(&line).unwrap());
    }
    let end = tail.said("read up to cursor ").await;
    assert_eq!((tail.ended().await, lines.len()), (Some(0), 3));
    let row = json!({"table": "shop.orders", "subject": "7", "payload": {"id": 7, "status": "new", "total": "10.50"}});
    assert!(lines[..2].contains(&row), "{lines:?}");
    let cursor = lines[2]["cursor"].as_str().unwrap();
    assert!(end.ends_with(cursor), "{end}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn after_a_restart_of_the_server_it_goes_on_from_its_cursor() {
    let (db, client) = shop().await;
    let server = any_server(&db).await;
    let address = server.address().to_owned();
    let mut tail = Tail::orders(&server);
    let mut json = Tail::start(&server.url, Role::Admin, "boss", &["--table", "shop.orders", "--json"]);
    tail.lines::<2>().await;
    let [.., cursor] = [json.line().await, json.line().await, json.line().await].map(Option::unwrap);
    assert!(cursor.starts_with("{\"cursor\":"), "{cursor}");
    tail.said("live").await;
    json.said("live").await;
    server.stop().await.unwrap();
    client.batch_execute("update shop.orders set total = 11 where id = 7").await.unwrap();
    let server = server_at(&db, &address).await;
    tail.said("resumed").await;
    assert_eq!(tail.change().await, "shop.orders 7 total 10.50 -> 11.00");
    let event: Value = serde_json::from_str(&json.line().await.unwrap()).unwrap();
    assert_eq!((&event["type"], &event["payload"]["total"]), (&json!("shop.orders.updated"), &json!("11.00")));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn where_its_cursor_has_expired_it_tells_what_differs_from_what_it_had() {
    let (db, client) = shop().await;
    let server = any_server(&db).await;
    let address = server.address().to_owned();
    let (mut tail, mut json) =
        (Tail::orders(&server), Tail::start(&server.url, Role::Admin, "x", &["--table", "shop.orders", "--json"]));
    tail.lines::<2>().await;
    json.lines::<3>().await;
    tail.said("live").await;
    json.said("live").await;
    server.stop().await.unwrap();
    client
        .batch_execute("insert into shop.orders values (9, 'eve', 'new', 1); delete from shop.orders where id = 8; update shop.orders set total = 12 where id = 7")
        .await
        .unwrap();
    // Another server, which it does not find, takes the head there.
    any_server(&db).await.stop().await.unwrap();
    // Nothing is left of the events that it has not seen.
    client.batch_execute("update rowcast.journal_state set trimmed_through = head").await.unwrap();
    let server = server_at(&db, &address).await;
    let said = tail.said("taking a new snapshot").await;
    assert!(said.starts_with("the cursor has expired"), "{said}");
    let differing = tail.lines::<3>().await;
    let expected = [
        "+ shop.orders 9 status new total 1.00",
        "- shop.orders 8 status \"paid by card\" total 3.00",
        "shop.orders 7 total 10.50 -> 12.00",
    ];
    assert_eq!(differing, expected);
    tail.said("2 rows, of which 3 differ, came or went, at cursor").await;
    assert_eq!(json.line().await.unwrap(), "{\"snapshot\":\"again\"}");
    assert!(json.lines::<3>().await[0].starts_with("{\"cursor\":"));
    client.batch_execute("update shop.orders set total = 13 where id = 7").await.unwrap();
    assert_eq!(tail.change().await, "shop.orders 7 total 12.00 -> 13.00");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn in_another_history_it_takes_a_new_snapshot() {
    let (db, _client) = shop().await;
    let (other, other_client) = shop().await;
    other_client
        .batch_execute("update shop.orders set total = 99 where id = 8; update shop.orders set total = 5 where id = 8")
        .await
        .unwrap();
    let server = any_server(&db).await;
    let address = server.address().to_owned();
    let mut tail = Tail::orders(&server);
    tail.lines::<2>().await;
    tail.said("live").await;
    server.stop().await.unwrap();
    let server = server_at(&other, &address).await;
    tail.said("the cursor is not of this history").await;
    assert_eq!(tail.line().await.unwrap(), "shop.orders 8 total 3.00 -> 5.00");
    other_client.batch_execute("update shop.orders set total = 6 where id = 8").await.unwrap();
    assert_eq!(tail.change().await, "shop.orders 8 total 5.00 -> 6.00");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_the_server_refuses_ends_it_with_the_sentence_of_the_server() {
    let (db, client) = shop().await;
    let map = "create function shop.m(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)
                   language sql as $$ select 'shop.mapped.changed', 'info', new $$;
               create table shop.mapped (id int primary key);
               select rowcast.publish('shop.mapped', map => 'shop.m')";
    client.batch_execute(map).await.unwrap();
    let server = any_server(&db).await;
    for (table, sentence) in [
        ("shop.nowhere", "refused with status 404 (not_found: No such table is published for this viewer.)"),
        ("shop.mapped", "shop.mapped has a map, and was published without a state_key"),
    ] {
        let mut tail = Tail::start(&server.url, Role::Admin, "boss", &["--table", table]);
        assert!(tail.said("rowcast: ").await.contains(sentence), "{table}");
        assert_eq!(tail.ended().await, Some(1));
    }
    let bad = [("ROWCAST_TOKEN", "no.token.this")];
    let answer = run(&["tail", "--url", &server.url, "--table", "shop.orders"], &bad).await;
    let said = text(&answer.stderr);
    assert!(answer.status.code() == Some(1) && said.starts_with("rowcast: not authorized"), "{said}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_has_no_room_is_asked_again_and_a_loss_fails_with_once() {
    let script = Script::start().await;
    let mut tail = Tail::start(&script.url, Role::Admin, "boss", &["--table", "shop.orders", "--table", "a.\"b c\""]);
    let busy = json!({"code": "database_busy", "detail": "Too many requests wait."});
    let head = script.caller().await.refuse(503, "retry-after: 1\r\n", &busy).await;
    assert!(head.starts_with("GET /v1/snapshot?table=shop.orders&table=a.%22b%20c%22 HTTP/1.1"), "{head}");
    assert!(head.contains("accept: application/x-ndjson") && head.contains("authorization: Bearer "), "{head}");
    let said = tail.said("no snapshot").await;
    assert!(said.contains("database_busy: Too many requests wait.") && said.contains("asking again in 1."), "{said}");
    // Whoever wants only what is there now is not kept waiting.
    let mut once = Tail::start(&script.url, Role::Admin, "boss", &["--table", "shop.orders", "--once"]);
    let busy_again = async {
        for _ in 0..2 {
            script.caller().await.refuse(503, "retry-after: 60\r\n", &busy).await;
        }
    };
    let (said, again, ()) = tokio::join!(once.said("rowcast: "), tail.said("asking again in 60."), busy_again);
    assert!(said.contains("not available, status 503") && again.contains("no snapshot"), "{said} {again}");
    assert_eq!(once.ended().await, Some(1));
}

#[tokio::test]
async fn who_gives_no_token_is_told_that_a_viewer_does_not_see_rows_of_an_owner() {
    let (db, _) = shop().await;
    let server = any_server(&db).await;
    let args = ["tail", "--url", &server.url, "--table", "shop.orders", "--once"];
    let answer = run(&args, &[("ROWCAST_JWT_SECRET", JWT_SECRET)]).await;
    let said = text(&answer.stderr);
    assert!(answer.status.success() && said.contains("as a viewer, whom rows of an owner are not shown"), "{said}");
    assert_eq!(text(&answer.stdout), "", "both orders have an owner");
    let answer = run(&args, &[("ROWCAST_TOKEN", &token(Role::Admin, "boss"))]).await;
    assert!(!text(&answer.stderr).contains("viewer"), "{}", text(&answer.stderr));
    assert_eq!(text(&answer.stdout).lines().count(), 2);
}

#[tokio::test]
async fn wrong_usage_of_tables_is_2() {
    let many: Vec<String> = (0..17).flat_map(|n| ["--table".to_owned(), format!("a.t{n}")]).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for args in [
        &["--table", "a.b", "--cursor", "1"][..],
        &["--table", "a.b", "--last", "1"],
        &["--table", "a.b", "--type", "a"],
        &["--table", "a.b", "--level", "info"],
        &["--table", "a.b", "--symbol", "x"],
        &["--table", "a.b", "--subject", "x"],
        &["--table", "a.b", "--table", "a.b"],
        &["--table", "b"],
        &["--table", "a.b", "--url", "http://127.0.0.1:1/public/ws"],
        &["--table"],
        &many,
    ] {
        let answer = run(&[&["tail"], args].concat(), &[("ROWCAST_TOKEN", "t0ken")]).await;
        assert_eq!(answer.status.code(), Some(2), "{args:?}: {}", text(&answer.stderr));
    }
    let help = text(&run(&["tail", "--help"], &[]).await.stdout);
    assert!(help.contains("\n  rowcast tail --table shop.orders\n"), "{help}");
}
