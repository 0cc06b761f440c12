//! Requests for snapshots that are refused, and what the answer says.

use std::time::{Duration, Instant};

use rowcast::auth::Role;

use super::{LiveShop, code_of};

#[tokio::test]
async fn a_request_that_makes_no_sense_is_named() {
    let shop = LiveShop::start(
        "create table shop.\"Odd.one\" (id int primary key); select rowcast.publish('shop.\"Odd.one\"')",
        &[],
    )
    .await;
    let seventeen: Vec<String> = (0..17).map(|number| format!("table=shop.t{number}")).collect();
    for (query, said) in [
        ("", "1 to 16 times"),
        (seventeen.join("&").as_str(), "1 to 16 times"),
        ("table=shop.a&table=shop.a", "named twice"),
        ("table=shop.a&sync=1", "sync must be one of true, false"),
        ("table=shop.a&sync=true&sync=true", "sync must be given at most once"),
        ("table=shop.a&cursor=1", "cursor is not known"),
        ("table=shop.a&token=x", "send the token in"),
    ] {
        let answer = shop.admin(&format!("/v1/snapshot?{query}")).await;
        assert_eq!(code_of(&answer), (400, "bad_request".to_owned()), "{query}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(said), "{query}: {}", answer.body);
    }
    for unknown in ["orders", "shop", "shop.Odd.one", "", "shop.%22Odd.one", "%00", "shop.orders%3Bdrop"] {
        let answer = shop.admin(&format!("/v1/snapshot?table={unknown}")).await;
        assert_eq!(code_of(&answer), (404, "not_found".to_owned()), "{unknown}");
    }
    assert_eq!(shop.admin("/v1/snapshot?table=shop.%22Odd.one%22").await.status, 200);
    assert_eq!(shop.admin("/v1/tables?x=1").await.status, 400);
    shop.end().await;
}

#[tokio::test]
async fn a_table_whose_rows_cannot_be_read_says_what_to_do() {
    let shop = LiveShop::start(
        "create function shop.m(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)
             language sql as $$ select 'shop.mapped.' || op, 'info', coalesce(new, old) $$;
         create table shop.mapped (id int primary key); select rowcast.publish('shop.mapped', map => 'shop.m');
         create table shop.swapped (id int primary key deferrable); select rowcast.publish('shop.swapped');
         create table shop.many (who text); select rowcast.publish('shop.many', subject_column => 'who');
         create table shop.renamed (id int primary key, v int); select rowcast.publish('shop.renamed');
         create table shop.hidden (id text primary key); select rowcast.publish('shop.hidden');
         insert into shop.hidden values ('AKIAIOSFODNN7EXAMPLE');
         create table shop.unkeyed (id int primary key); select rowcast.publish('shop.unkeyed');
         alter table shop.unkeyed drop constraint unkeyed_pkey;
         create table shop.fine (id int primary key); select rowcast.publish('shop.fine');
         alter table shop.renamed rename v to w",
        &[],
    )
    .await;
    for (table, said) in [
        ("mapped", "state_key => '{id}'"),
        ("swapped", "not deferrable"),
        ("many", "not deferrable"),
        ("renamed", "Publish the table again"),
        ("hidden", "looks like a secret"),
        ("unkeyed", "not deferrable"),
    ] {
        let answer = shop.admin(&format!("/v1/snapshot?table=shop.{table}")).await;
        assert_eq!(code_of(&answer), (409, "not_snapshottable".to_owned()), "{table}: {}", answer.body);
        assert!(answer.json()["detail"].as_str().unwrap().contains(said), "{table}: {}", answer.body);
    }
    // The connection of the one that failed serves nobody else.
    assert_eq!(shop.admin("/v1/snapshot?table=shop.fine").await.status, 200);
    shop.run("select rowcast.publish('shop.renamed')").await;
    assert_eq!(shop.admin("/v1/snapshot?table=shop.renamed").await.status, 200);
    shop.run("select rowcast.unpublish('shop.fine')").await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(shop.admin("/v1/snapshot?table=shop.fine").await.status, 404);
    shop.end().await;
}

#[tokio::test]
async fn a_writer_that_holds_the_journal_is_told_as_stalled_after_ten_seconds() {
    let shop = LiveShop::start("create table shop.t (id int primary key); select rowcast.publish('shop.t')", &[]).await;
    let holder = shop.db.client().await;
    holder.batch_execute("begin; insert into rowcast.events (type) values ('a.b')").await.unwrap();
    shop.run("insert into shop.t values (1)").await;
    let begun = Instant::now();
    let (answer, live) = tokio::join!(shop.admin("/v1/snapshot?table=shop.t"), shop.admin("/v1/events?cursor=0"));
    assert_eq!(code_of(&answer), (503, "stalled".to_owned()));
    assert!(answer.headers["retry-after"].parse::<u32>().unwrap() >= 1);
    assert!(begun.elapsed() >= Duration::from_secs(10) && live.status == 200);
    holder.batch_execute("commit").await.unwrap();
    let rows = shop.rows(Some((Role::Viewer, "vera")), "/v1/snapshot?table=shop.t").await;
    assert_eq!(rows, [r#"1 {"id":1}"#]);
    shop.end().await;
}
