//! Snapshots beside those who want whole tables: nobody waits long for a snapshot that waits itself, and nobody fails because of one.

use crate::support::raw_http::Answer;
use crate::support::until;

use super::{LiveShop, code_of};

const TABLES: &str = "
    create table shop.a (id int primary key);
    create table shop.b (id int primary key);
    create table shop.c (id int primary key);
    insert into shop.a values (1);
    insert into shop.b values (1);
    insert into shop.c values (1);
    select rowcast.publish('shop.a');
    select rowcast.publish('shop.b');
    select rowcast.publish('shop.c')";

/// True if somebody waits for a lock of this kind.
async fn is_awaited(shop: &LiveShop, table: &str, mode: &str) -> bool {
    let sql = "select exists (select from pg_locks where relation = $1::text::regclass and mode = $2 and not granted)";
    shop.sql.query_one(sql, &[&table, &mode]).await.unwrap().get(0)
}

/// How many rows of each table an answer has.
fn rows_of_each(answer: &Answer) -> Vec<usize> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let tables = answer.json()["tables"].as_array().unwrap().clone();
    tables.iter().map(|table| table["rows"].as_array().unwrap().len()).collect()
}

#[tokio::test]
async fn a_snapshot_is_no_part_of_a_deadlock() {
    let shop = LiveShop::start(TABLES, &[]).await;
    let (holder, writer) = (shop.db.client().await, shop.db.client().await);
    holder.batch_execute("begin; lock table shop.c").await.unwrap();
    let snapshot = shop.admin("/v1/snapshot?table=shop.a&table=shop.c&table=shop.b");
    let meanwhile = async {
        until("the snapshot waits", || is_awaited(&shop, "shop.c", "AccessShareLock")).await;
        writer.batch_execute("begin; lock table shop.b").await.unwrap();
        let truncation = tokio::spawn(async move { writer.batch_execute("truncate shop.a; commit").await });
        until("the writer waits, or is done", || async {
            truncation.is_finished() || is_awaited(&shop, "shop.a", "AccessExclusiveLock").await
        })
        .await;
        holder.batch_execute("commit").await.unwrap();
        truncation.await.unwrap().expect("the writer is no victim");
    };
    let (answer, ()) = tokio::join!(snapshot, meanwhile);
    assert_eq!(rows_of_each(&answer), [0, 1, 1]);
    shop.end().await;
}

#[tokio::test]
async fn a_writer_for_whom_a_snapshot_waits_can_truncate_what_it_asks_for() {
    let shop = LiveShop::start(TABLES, &[]).await;
    let writer = shop.db.client().await;
    writer.batch_execute("begin; insert into shop.a values (2); set constraints all immediate").await.unwrap();
    shop.run("insert into shop.a values (3)").await;
    let snapshot = shop.admin("/v1/snapshot?table=shop.a&table=shop.b");
    let meanwhile = async {
        until("the snapshot waits", || async {
            let sql = "select exists (select from pg_stat_activity where datname = current_database()
                        and application_name like '%snapshot%' and state = 'idle in transaction'
                        and state_change < clock_timestamp() - interval '100 ms')";
            shop.sql.query_one(sql, &[]).await.unwrap().get(0)
        })
        .await;
        writer.batch_execute("set local lock_timeout = '2s'; truncate shop.b").await.expect("it waits for no snapshot");
        writer.batch_execute("commit").await.unwrap();
    };
    let (answer, ()) = tokio::join!(snapshot, meanwhile);
    assert_eq!(rows_of_each(&answer), [3, 0]);
    shop.end().await;
}

#[tokio::test]
async fn a_table_that_somebody_keeps_locked_is_told_as_stalled() {
    let shop = LiveShop::start(TABLES, &[]).await;
    let holder = shop.db.client().await;
    holder.batch_execute("begin; lock table shop.b").await.unwrap();
    let answer = shop.admin("/v1/snapshot?table=shop.a&table=shop.b").await;
    assert_eq!(code_of(&answer), (503, "stalled".to_owned()));
    assert!(answer.body.contains("wants all of it") && answer.headers.contains_key("retry-after"), "{}", answer.body);
    holder.batch_execute("commit").await.unwrap();
    assert_eq!(shop.admin("/v1/snapshot?table=shop.a&table=shop.b").await.status, 200);
    shop.end().await;
}
