//! Rows are for those whom their events are for.

use rowcast::auth::Role;
use serde_json::json;

use super::{LiveShop, code_of};
use crate::support::until;

const TABLES: &str = "
    create table shop.orders (id int primary key, customer text, secret text);
    create table shop.prices (id int primary key, price int, cost int);
    select rowcast.publish('shop.orders', columns => '{id,secret}', owner_column => 'customer');
    select rowcast.publish('shop.prices', public_safe => true, state_key => '{id}');
    insert into shop.orders values (1, 'ann', 'password=hunter2'), (2, 'bob', ''), (3, null, ''), (4, repeat('x', 300), '');
    insert into shop.prices values (1, 10, 5)";

const LISTED: &str = "
    insert into rowcast.event_types (type, description, public_fields) values
        ('shop.prices.inserted', 'A price.', '{id,price}'), ('shop.prices.updated', 'A price.', '{id,price}'),
        ('shop.prices.deleted', 'A price.', '{id}'), ('shop.prices.truncated', 'All prices.', '{}')";

#[tokio::test]
async fn each_role_sees_the_rows_whose_events_it_sees() {
    let shop = LiveShop::start(TABLES, &[]).await;
    let own = r#"1 {"id":1,"secret":"[redacted]"}"#.to_owned();
    for role in Role::ALL {
        let orders = shop.rows(Some((role, "ann")), "/v1/snapshot?table=shop.orders").await;
        let prices = shop.get(Some((role, "ann")), "/v1/snapshot?table=shop.prices").await;
        let tables = shop.get(Some((role, "ann")), "/v1/tables").await.json();
        let names: Vec<_> = tables["tables"].as_array().unwrap().iter().map(|table| table["table"].clone()).collect();
        match role {
            Role::Admin => assert_eq!((orders.len(), &orders[0]), (4, &own)),
            _ => assert_eq!(orders, std::slice::from_ref(&own), "{role}"),
        }
        // A table without an owner is nothing that a user may know of.
        assert_eq!(prices.status, if role == Role::User { 404 } else { 200 }, "{role}");
        assert!(names.contains(&json!("shop.orders")));
        assert_eq!(names.contains(&json!("shop.prices")), role != Role::User, "{role}");
        assert!(!names.contains(&json!("rowcast.events")));
    }
    let no_token = shop.get(None, "/v1/snapshot?table=shop.prices").await;
    assert_eq!(code_of(&no_token), (401, "unauthorized".to_owned()));
    shop.end().await;
}

#[tokio::test]
async fn a_table_with_owners_and_one_without_are_read_together() {
    let shop = LiveShop::start(TABLES, &[]).await;
    for path in ["/v1/snapshot?table=shop.prices&table=shop.orders", "/v1/snapshot?table=shop.orders&table=shop.prices"]
    {
        let answer = shop.get(Some((Role::Viewer, "ann")), path).await.json();
        let rows: Vec<_> =
            answer["tables"].as_array().unwrap().iter().map(|table| table["rows"].as_array().unwrap().len()).collect();
        assert_eq!(rows, [1, 1], "{path}");
    }
    shop.end().await;
}

#[tokio::test]
async fn each_owner_is_told_of_a_truncation() {
    let shop = LiveShop::start(TABLES, &[]).await;
    shop.run("truncate shop.orders").await;
    for (role, subject, told) in
        [(Role::User, "ann", 1), (Role::User, "carol", 0), (Role::Viewer, "carol", 1), (Role::Viewer, "bob", 2)]
    {
        let events = "/v1/events?cursor=earliest&type=shop.orders.truncated&sync=true";
        let events = shop.get(Some((role, subject)), events).await.json();
        assert_eq!(events["events"].as_array().unwrap().len(), told, "{role} {subject}");
    }
    shop.end().await;
}

#[tokio::test]
async fn what_is_public_no_more_is_not_read_for_the_public_even_within_the_second() {
    let shop = LiveShop::start(TABLES, &[("ROWCAST_PUBLIC_STREAM", "on")]).await;
    shop.run(LISTED).await;
    let path = "/public/v1/snapshot?table=shop.prices";
    until("the taxonomy is known", || async { shop.get(None, path).await.status == 200 }).await;
    let listed = shop.get(None, "/public/v1/tables").await.json();
    let prices = listed["tables"].as_array().unwrap().iter().find(|table| table["table"] == "shop.prices").unwrap();
    assert_eq!(prices["key"], serde_json::json!(["id"]));
    assert!(listed["tables"].as_array().unwrap().iter().all(|table| table["table"] != "shop.orders"), "{listed}");
    shop.run("select rowcast.publish('shop.prices', state_key => '{id}'); insert into shop.prices values (9, 9, 9)")
        .await;
    let answer = shop.get(None, &format!("{path}&sync=true")).await;
    assert_eq!(answer.status, 404, "{}", answer.body);
    shop.end().await;
}

#[tokio::test]
async fn five_hundred_viewers_see_their_own_rows_and_changes_and_no_others() {
    let shop = LiveShop::start(
        "create table shop.notes (id int primary key, owner text, text text);
         select rowcast.publish('shop.notes', owner_column => 'owner');
         insert into shop.notes select i, 'u' || i % 500, 'note' from generate_series(1, 1500) i",
        &[],
    )
    .await;
    let snapshots = (0..500).map(|number| {
        let shop = &shop;
        async move {
            let subject = format!("u{number}");
            let role = if number % 2 == 0 { Role::User } else { Role::Viewer };
            let rows = shop.rows(Some((role, &subject)), "/v1/snapshot?table=shop.notes").await;
            let ids: Vec<_> = (1..=1500).filter(|id| id % 500 == number).map(|id| format!("{id} ")).collect();
            assert_eq!(rows.len(), 3, "{subject}: {rows:?}");
            assert!(ids.iter().all(|id| rows.iter().any(|row| row.starts_with(id))), "{subject}: {rows:?}");
        }
    });
    // Not more at once than there are places: a place is waited for by asking again, which is not what this is about.
    for snapshot in snapshots {
        snapshot.await;
    }
    // Another owner's row is gone for the one and new to the other.
    shop.run("update shop.notes set owner = 'u8' where id = 7").await;
    for (subject, rows) in [("u7", 2), ("u8", 4)] {
        let path = "/v1/snapshot?table=shop.notes&sync=true";
        assert_eq!(shop.rows(Some((Role::User, subject)), path).await.len(), rows, "{subject}");
        let events = shop.get(Some((Role::User, subject)), "/v1/events?cursor=1500&sync=true").await.json();
        assert_eq!(events["events"].as_array().unwrap().len(), 1, "{subject}: {events}");
    }
    shop.end().await;
}

#[tokio::test]
async fn the_public_sees_listed_fields_of_tables_that_are_public_and_nothing_else() {
    let shop = LiveShop::start(TABLES, &[("ROWCAST_PUBLIC_STREAM", "on")]).await;
    let path = "/public/v1/snapshot?table=shop.prices";
    let refused = shop.get(None, path).await;
    assert_eq!(code_of(&refused), (409, "not_snapshottable".to_owned()));
    assert!(refused.json()["detail"].as_str().unwrap().contains("shop.prices."), "{}", refused.body);
    shop.run(LISTED).await;
    until("the taxonomy is known", || async { shop.get(None, path).await.status == 200 }).await;
    let answer = shop.get(None, path).await.json();
    assert_eq!(answer["tables"][0]["columns"], json!(["id", "price"]));
    assert_eq!(answer["tables"][0]["rows"], json!([{"payload": {"id": 1, "price": 10}}]));
    for hidden in ["shop.orders", "trading.config", "rowcast.events", "shop.nothing"] {
        let answer = shop.get(None, &format!("/public/v1/snapshot?table={hidden}")).await;
        assert_eq!(code_of(&answer), (404, "not_found".to_owned()), "{hidden}");
    }
    shop.end().await;
}
