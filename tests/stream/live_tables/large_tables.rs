//! Tables that are larger than what is shared: their rows are streamed.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{LiveShop, code_of};
use crate::stream::ws::token;
use crate::support::until;
use rowcast::auth::Role;

/// Some 30 MB of rows: more than are shared.
const TABLE: &str = "
    create table shop.t (id int primary key, v text);
    insert into shop.t select i, repeat('x', 1000) from generate_series(1, 30000) i;
    select rowcast.publish('shop.t')";

/// A request whose answer is not read yet.
async fn ask(shop: &LiveShop, subject: &str) -> TcpStream {
    let mut stream = TcpStream::connect(shop.server.address()).await.unwrap();
    let head = format!(
        "GET /v1/snapshot?table=shop.t HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept: application/x-ndjson\r\n\
         authorization: Bearer {}\r\n\r\n",
        token(Role::Admin, subject)
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// The transactions that read rows.
async fn transactions(shop: &LiveShop) -> i64 {
    let sql = "select count(*) from pg_stat_activity
                where datname = current_database() and application_name like '%snapshot%' and xact_start is not null";
    shop.sql.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_table_beyond_what_is_shared_is_streamed_whole() {
    let shop = LiveShop::start(TABLE, &[]).await;
    for path in ["/v1/snapshot?table=shop.t", "/v1/snapshot?table=shop.t&table=trading.trades"] {
        let answer = shop.admin(path).await;
        assert_eq!(answer.status, 200);
        let json = answer.json();
        assert_eq!(json["tables"][0]["rows"].as_array().unwrap().len(), 30_000);
        assert_eq!(json["tables"].as_array().unwrap().len(), 1 + path.matches('&').count());
    }
    shop.end().await;
}

#[tokio::test]
async fn a_million_rows_are_streamed_in_order_to_the_last() {
    let table = "create table shop.t (id int primary key); insert into shop.t select generate_series(1, 1000000);
                 select rowcast.publish('shop.t')";
    let shop = LiveShop::start(table, &[]).await;
    let mut lines = BufReader::new(ask(&shop, "root").await).lines();
    let mut rows = 0;
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.starts_with(r#"{"table":"shop.t","#) {
            rows += 1;
            assert!(line.ends_with(&format!(r#""payload":{{"id": {rows}}}}}"#)), "{line}");
        } else if line.starts_with(r#"{"cursor":"#) {
            assert_eq!(rows, 1_000_000);
            rows += 1;
        }
    }
    assert_eq!(rows, 1_000_001, "the line with the cursor is the last");
    shop.end().await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_no_transaction_and_no_place_for_longer_than_the_write_stall() {
    let settings = [("ROWCAST_WRITE_STALL", "8s"), ("ROWCAST_SNAPSHOTS", "2")];
    let shop = LiveShop::start(TABLE, &settings).await;
    // One subject has all places but one.
    let (one, two) = (ask(&shop, "one").await, ask(&shop, "two").await);
    until("both are read", || async { transactions(&shop).await == 2 }).await;
    // There is no place for a third, and its answer says so.
    let third = shop.admin("/v1/snapshot?table=shop.t&sync=true").await;
    assert_eq!(code_of(&third), (503, "database_busy".to_owned()));
    assert!(third.headers.contains_key("retry-after"));
    // Meanwhile the stream goes on.
    shop.run("insert into shop.t values (0, 'new')").await;
    let page = shop.admin("/v1/events?cursor=0&sync=true").await;
    assert_eq!(page.json()["events"].as_array().unwrap().len(), 1);
    until("the transactions have ended", || async { transactions(&shop).await == 0 }).await;
    for mut stalled in [one, two] {
        let mut read = Vec::new();
        // The connection may be reset.
        let _ended = stalled.read_to_end(&mut read).await;
        let read = String::from_utf8_lossy(&read);
        assert!(read.contains("200 OK") && !read.contains("{\"cursor\":"), "an answer without its end");
    }
    until("there are places again", || async { shop.admin("/v1/snapshot?table=shop.t").await.status == 200 }).await;
    shop.end().await;
}

#[tokio::test]
async fn whoever_hangs_up_leaves_no_transaction_behind() {
    let shop = LiveShop::start(TABLE, &[]).await;
    for _ in 0..5 {
        let stream = ask(&shop, "root").await;
        until("it is read", || async { transactions(&shop).await == 1 }).await;
        drop(stream);
        until("it has ended", || async { transactions(&shop).await == 0 }).await;
    }
    shop.end().await;
}

#[tokio::test]
async fn a_truncation_waits_for_the_rows_and_never_shows_an_empty_table() {
    let shop = LiveShop::start("create table shop.t (id int primary key); select rowcast.publish('shop.t')", &[]).await;
    let other = shop.db.client().await;
    let truncate = async {
        for _ in 0..40 {
            other.batch_execute("insert into shop.t select generate_series(1, 50)").await.unwrap();
            other.batch_execute("truncate shop.t").await.unwrap();
        }
    };
    let snapshots = async {
        let mut seen = Vec::new();
        for _ in 0..60 {
            let answer = shop.admin("/v1/snapshot?table=shop.t&sync=true").await.json();
            let cursor: i64 = answer["cursor"].as_str().unwrap().split('.').next().unwrap().parse().unwrap();
            seen.push((cursor, answer["tables"][0]["rows"].as_array().unwrap().len()));
        }
        seen
    };
    let ((), seen) = tokio::join!(truncate, snapshots);
    // After every event the table holds the rows since the last truncation: each round is 50 inserts and one truncation.
    for (cursor, rows) in seen {
        assert_eq!(rows, if cursor % 51 == 0 { 0 } else { 50 }, "{rows} rows at {cursor}");
    }
    shop.end().await;
}
