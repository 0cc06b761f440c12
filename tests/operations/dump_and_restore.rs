//! A dump of the database, restored into another one: published tables are live tables there too.

use rowcast::auth::Role;

use super::failover::postgres::Postgres;
use crate::stream::ws::token;
use crate::support::raw_http::{Answer, get_chunked};
use crate::support::{TestServer, connect, migrate};

/// A table of an owner who can do little else.
const SHOP: &str = r#"
    create role shop_owner; grant rowcast_writer to shop_owner; create schema shop authorization shop_owner;
    set role shop_owner;
    create table shop.orders (id int, part text, status text, total numeric(12,2), at timestamptz, primary key (id, part));
    insert into shop.orders select i, 'p', 'new', i * 1.5, '2026-01-27 10:00:00+00' from generate_series(1, 300) i;
    reset role;
    select rowcast.publish('shop.orders', public_safe => true);
    update shop.orders set status = 'paid' where id % 3 = 0;
    insert into trading.trades (symbol, side, quantity, entry_price) values ('BTC-USD', 'long', 1, 1)"#;

async fn get(server: &TestServer, path: &str) -> Answer {
    let bearer = format!("Bearer {}", token(Role::Admin, "root"));
    let answer = get_chunked(server.address(), path, &[("authorization", &bearer)]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer
}

fn tables(answer: &Answer) -> serde_json::Value {
    answer.json()["tables"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_tables_are_the_same_after_a_restore_into_another_database() {
    let postgres = Postgres::primary().await;
    migrate(&postgres.url()).await;
    connect(&postgres.url()).await.batch_execute(SHOP).await.unwrap();
    let port = postgres.port.to_string();
    let at = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres"];
    postgres.run("createdb", &[&at[..], &["copy"]].concat());
    postgres.run("pg_dump", &[&at[..], &["-Fc", "-f", "shop.dump", "app"]].concat());
    postgres.run("pg_restore", &[&at[..], &["--exit-on-error", "-d", "copy", "shop.dump"]].concat());

    let (before, after) = (postgres.url(), postgres.url_of("copy"));
    let servers = [TestServer::ready(&before, &[]).await, TestServer::ready(&after, &[]).await];
    let snapshot = "/v1/snapshot?table=shop.orders&table=trading.trades&sync=true";
    assert_eq!(tables(&get(&servers[0], snapshot).await), tables(&get(&servers[1], snapshot).await));
    assert_eq!(get(&servers[0], "/v1/tables").await.body, get(&servers[1], "/v1/tables").await.body);

    let change = "delete from shop.orders where id = 7; update shop.orders set status = 'sent' where id = 8";
    connect(&after).await.batch_execute(change).await.unwrap();
    let rows = tables(&get(&servers[1], snapshot).await)[0]["rows"].as_array().unwrap().len();
    assert_eq!(rows, 299);
    let told = get(&servers[1], "/v1/events?cursor=0&type=shop.orders.*&limit=1000&sync=true").await.json();
    let told: Vec<_> = told["events"].as_array().unwrap().iter().map(|event| event["type"].to_string()).collect();
    assert_eq!(told[told.len() - 2..], [r#""shop.orders.deleted""#, r#""shop.orders.updated""#]);
    for server in servers {
        server.stop().await.unwrap();
    }
}
