//! Streams of tables: the rows as inserts, and then what changes them. At every offset they are the table.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use rowcast::auth::Role;
use serde_json::Value;
use tokio_postgres::Client;

use super::{Durable, QUICK, Sse, at, code_of, get, next_offset, read_to_end};

const ADMIN: Option<(Role, &str)> = Some((Role::Admin, "root"));
const ORDERS: &str = "/v1/stream/tables/shop.orders";
const SHOP: &str = "create schema shop; create table shop.orders (id int primary key, total numeric);
    select rowcast.publish('shop.orders')";

/// A table as its messages make it.
#[derive(Debug, Default, PartialEq)]
struct Table(BTreeMap<String, Value>);

impl Table {
    fn apply(&mut self, messages: &[Value]) {
        for message in messages {
            if let Some(control) = message["headers"]["control"].as_str() {
                if control == "reset" {
                    self.0.clear();
                }
                continue;
            }
            assert_eq!(message["type"], "shop.orders");
            let key = message["key"].as_str().unwrap().to_owned();
            match message["headers"]["operation"].as_str().unwrap() {
                "delete" => drop(self.0.remove(&key)),
                "insert" | "update" => drop(self.0.insert(key, message["value"].clone())),
                other => panic!("{other}"),
            }
        }
    }

    /// The rows that the database has.
    async fn of(sql: &Client, condition: &str) -> Self {
        let rows = sql.query(&format!("select id::text, to_jsonb(o) from shop.orders o where {condition}"), &[]).await;
        let row = |row: &tokio_postgres::Row| (row.get(0), strings(row.get(1)));
        Self(rows.unwrap().iter().map(row).collect())
    }
}

/// Numerics are strings in payloads, with all their digits.
fn strings(mut row: Value) -> Value {
    if let Some(total) = row.get("total").filter(|total| total.is_number()) {
        row["total"] = total.to_string().into();
    }
    row
}

#[tokio::test]
async fn a_table_begins_with_its_rows_and_goes_on_with_its_changes() {
    let durable = Durable::start(SHOP, &[]).await;
    durable
        .run("insert into shop.orders select i, i from generate_series(1, 20) i; delete from shop.orders where id > 15")
        .await;
    let reading = read_to_end(&durable.server, ADMIN, ORDERS, "-1").await;
    let first: Vec<Value> = serde_json::from_str(&reading.bodies[0]).unwrap();
    assert_eq!(first[0]["headers"]["control"], "snapshot-start");
    assert_eq!(first[16]["headers"]["control"], "snapshot-end");
    assert!(first[1..16].iter().all(|row| row["headers"]["operation"] == "insert"));
    let mut table = Table::default();
    table.apply(&reading.messages);
    assert_eq!(table, Table::of(&durable.sql, "true").await);
    durable.run("update shop.orders set total = 1.25 where id = 3; update shop.orders set id = 99 where id = 4").await;
    durable.run("delete from shop.orders where id = 5; insert into rowcast.events (type) values ('a.b')").await;
    let rest = read_to_end(&durable.server, ADMIN, ORDERS, reading.last()).await;
    table.apply(&rest.messages);
    assert_eq!(table, Table::of(&durable.sql, "true").await);
    durable.run("truncate shop.orders; insert into shop.orders values (1, 1)").await;
    let rest = read_to_end(&durable.server, ADMIN, ORDERS, rest.last()).await;
    assert_eq!(rest.messages[0]["headers"]["control"], "reset");
    table.apply(&rest.messages);
    assert_eq!(table, Table::of(&durable.sql, "true").await);
    durable.end().await;
}

/// Writes until it is told to stop: inserts, updates, keys that change, deletes, rollbacks, now and then a truncation.
async fn write(sql: Client, number: i32, stop: &AtomicBool) {
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let id = (number * 1000) + round % 200;
        let statements = [
            format!(
                "insert into shop.orders values ({id}, {round}) on conflict (id) do update set total = excluded.total + 1"
            ),
            format!("update shop.orders set total = total + 0.5 where id % 7 = {}", round % 7),
            format!("begin; update shop.orders set id = {} where id = {id}; commit", id + 500),
            format!("delete from shop.orders where id = {}", id + 500),
            format!("begin; insert into shop.orders values ({}, 0); rollback", id + 900),
        ];
        // Two writers may wait for each other; then one of them is rolled back.
        let _deadlock = sql.batch_execute(&statements[usize::try_from(round % 5).unwrap()]).await;
        let _left_behind = sql.batch_execute("rollback").await;
        if round % 150 == 0 && number == 0 {
            sql.batch_execute("truncate shop.orders").await.unwrap();
        }
    }
}

#[tokio::test]
async fn under_writers_every_beginning_and_its_changes_are_the_table() {
    let durable = Durable::start(SHOP, &[]).await;
    let stop = AtomicBool::new(false);
    let mut writers = Vec::new();
    for _ in 0..3 {
        writers.push(durable.db.client().await);
    }
    let writing = async {
        let writers = writers.into_iter().zip(0..).map(|(sql, number)| write(sql, number, &stop));
        futures_util::future::join_all(writers).await
    };
    let reading = async {
        let mut tables = Vec::new();
        for _ in 0..12 {
            let (mut table, mut offset) = (Table::default(), "-1".to_owned());
            for _ in 0..5 {
                let part = read_to_end(&durable.server, ADMIN, ORDERS, &offset).await;
                table.apply(&part.messages);
                offset = part.last().to_owned();
            }
            tables.push((table, offset));
        }
        stop.store(true, Ordering::Relaxed);
        tables
    };
    let (_, tables) = tokio::join!(writing, reading);
    durable.settle().await;
    let expected = Table::of(&durable.sql, "true").await;
    for (mut table, offset) in tables {
        let rest = read_to_end(&durable.server, ADMIN, ORDERS, &offset).await;
        table.apply(&rest.messages);
        assert_eq!(table, expected, "from {offset}");
    }
    durable.end().await;
}

#[tokio::test]
async fn a_large_table_comes_over_server_sent_events_too() {
    let durable = Durable::start(SHOP, &[]).await;
    durable.run("insert into shop.orders select i, i from generate_series(1, 5000) i").await;
    let mut stream = Sse::open(&durable.server, ADMIN, &format!("{ORDERS}?offset=-1&live=sse")).await;
    let mut table = Table::default();
    let (rows, offset) = stream.until_up_to_date().await;
    table.apply(&rows);
    assert_eq!(table, Table::of(&durable.sql, "true").await);
    durable.run("update shop.orders set total = 8 where id = 7").await;
    table.apply(&stream.until_control(|_| true).await.0);
    assert_eq!(table, Table::of(&durable.sql, "true").await);
    let rest = read_to_end(&durable.server, ADMIN, ORDERS, &offset).await;
    assert_eq!(rest.messages.len(), 1, "{offset} {rest:?}");
    durable.end().await;
}

#[tokio::test]
async fn rows_that_look_otherwise_now_must_be_read_again() {
    let durable = Durable::start(SHOP, &[QUICK]).await;
    durable.run("insert into shop.orders values (1, 1)").await;
    let before = read_to_end(&durable.server, ADMIN, ORDERS, "-1").await;
    let mut open = Sse::open(&durable.server, ADMIN, &format!("{}&live=sse", at(ORDERS, before.last()))).await;
    open.until_up_to_date().await;
    durable.run("select rowcast.publish('shop.orders', columns => '{id}')").await;
    while open.event().await.is_some() {}
    let gone = durable.admin(&at(ORDERS, before.last())).await;
    assert_eq!(code_of(&gone), (410, "offset_gone".to_owned()));
    let after = read_to_end(&durable.server, ADMIN, ORDERS, "-1").await;
    assert_eq!(after.messages[1]["value"], serde_json::json!({"id": 1}));
    durable.end().await;
}

#[tokio::test]
async fn a_table_shows_each_viewer_its_own_rows_and_is_not_there_for_others() {
    let durable = Durable::start(
        "create schema shop; create table shop.orders (id int primary key, total numeric, customer text);
         create table shop.hidden (id int); select rowcast.publish('shop.orders', owner_column => 'customer')",
        &[],
    )
    .await;
    durable
        .run("insert into shop.orders select i, i, (array['ann', 'bob'])[1 + i % 2] from generate_series(1, 10) i")
        .await;
    for (who, condition) in [((Role::User, "ann"), "customer = 'ann'"), ((Role::Admin, "root"), "true")] {
        let mut table = Table::default();
        let first = get(&durable.server, Some(who), &at(ORDERS, "-1")).await;
        table.apply(first.json().as_array().unwrap());
        durable
            .run("update shop.orders set customer = case customer when 'ann' then 'bob' else 'ann' end where id < 5")
            .await;
        table.apply(&read_to_end(&durable.server, Some(who), ORDERS, &next_offset(&first)).await.messages);
        assert_eq!(table, Table::of(&durable.sql, condition).await, "{who:?}");
        // What somebody else was told is of other rows.
        let other = get(&durable.server, Some((Role::User, "eve")), &at(ORDERS, &next_offset(&first))).await;
        assert_eq!(code_of(&other), (410, "offset_gone".to_owned()));
    }
    for path in ["/v1/stream/tables/shop.hidden", "/v1/stream/tables/no.table", "/v1/stream/tables/%"] {
        assert_eq!(durable.admin(path).await.status, 404, "{path}");
    }
    assert_eq!(durable.public("/public/v1/stream/tables/shop.orders").await.status, 404);
    durable.end().await;
}
