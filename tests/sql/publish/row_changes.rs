//! Which changes become which events, and in which order.
use std::io::Cursor;

use tokio_postgres::error::SqlState;

use super::{shop, unique};

const ITEMS: &str = "create table shop.items (id int primary key, name text, note text);
                     select rowcast.publish('shop.items', columns => '{id,name}')";

#[tokio::test]
async fn inserts_updates_and_deletes_become_events() {
    let shop = shop(ITEMS).await;
    assert_eq!(
        shop.told("insert into shop.items values (1, 'a', 'x')").await,
        [r#"items.inserted 1 {"id": 1, "name": "a"}"#]
    );
    assert_eq!(
        shop.told("update shop.items set name = 'b'").await,
        [r#"items.updated 1 {"id": 1, "name": "b"}"#],
        "new values"
    );
    assert_eq!(
        shop.told("delete from shop.items").await,
        [r#"items.deleted 1 {"id": 1, "name": "b"}"#],
        "the old values"
    );
}

#[tokio::test]
async fn events_appear_at_commit_and_not_before() {
    let shop = shop(ITEMS).await;
    assert!(shop.told("begin; insert into shop.items values (1, 'a')").await.is_empty());
    assert_eq!(shop.told("commit").await.len(), 1);
}

#[tokio::test]
async fn many_changes_of_one_row_come_in_the_order_they_were_made() {
    let shop = shop(ITEMS).await;
    let told = shop
        .told(
            "begin; insert into shop.items values (1, 'a'); update shop.items set name = 'b';
             update shop.items set name = 'c'; delete from shop.items; insert into shop.items values (1, 'd'); commit",
        )
        .await;
    assert_eq!(
        told,
        [
            r#"items.inserted 1 {"id": 1, "name": "a"}"#,
            r#"items.updated 1 {"id": 1, "name": "b"}"#,
            r#"items.updated 1 {"id": 1, "name": "c"}"#,
            r#"items.deleted 1 {"id": 1, "name": "c"}"#,
            r#"items.inserted 1 {"id": 1, "name": "d"}"#,
        ]
    );
}

#[tokio::test]
async fn changes_of_several_tables_come_in_the_order_they_were_made() {
    let shop = shop(ITEMS).await;
    shop.run("create table shop.bins (id int primary key); select rowcast.publish('shop.bins')").await;
    let told = shop
        .told(
            "begin; insert into shop.items values (1); insert into shop.bins values (7);
             insert into shop.items values (2); commit",
        )
        .await;
    let words: Vec<_> = told.iter().map(|line| line.split(" {").next().unwrap()).collect();
    assert_eq!(words, ["items.inserted 1", "bins.inserted 7", "items.inserted 2"]);
}

#[tokio::test]
async fn an_update_that_changes_nothing_named_is_no_event() {
    let shop = shop(ITEMS).await;
    shop.run("insert into shop.items values (1, 'a')").await;
    assert!(shop.told("update shop.items set note = 'y'").await.is_empty());
    assert!(shop.told("update shop.items set name = name").await.is_empty());
    assert_eq!(shop.told("update shop.items set name = null").await, [r#"items.updated 1 {"id": 1, "name": null}"#]);
}

#[tokio::test]
async fn a_change_that_equality_would_miss_is_an_event() {
    let shop = shop(
        "create table shop.prices (id int primary key, price numeric, raw json);
         select rowcast.publish('shop.prices'); insert into shop.prices values (1, 1.0, '{}')",
    )
    .await;
    assert_eq!(
        shop.told("update shop.prices set price = 1.00").await,
        [r#"prices.updated 1 {"id": 1, "raw": {}, "price": "1.00"}"#]
    );
    assert_eq!(shop.told("update shop.prices set raw = '[]'").await.len(), 1, "a type without equality");
}

#[tokio::test]
async fn a_changed_key_is_deleted_and_inserted() {
    let shop = shop(ITEMS).await;
    shop.run("insert into shop.items values (1, 'a')").await;
    assert_eq!(
        shop.told("update shop.items set id = 2, name = 'b'").await,
        [r#"items.deleted 1 {"id": 1, "name": "a"}"#, r#"items.inserted 2 {"id": 2, "name": "b"}"#]
    );
}

#[tokio::test]
async fn a_changed_owner_is_deleted_for_the_old_and_inserted_for_the_new() {
    let shop = shop(
        "create table shop.notes (id int primary key, who text, note text);
         select rowcast.publish('shop.notes', columns => '{id,note}', owner_column => 'who');
         insert into shop.notes values (1, 'ann', 'hi')",
    )
    .await;
    assert_eq!(
        shop.told("update shop.notes set who = 'bob', note = 'secret'").await,
        [r#"notes.deleted 1 {"id": 1, "note": "hi"}"#, r#"notes.inserted 1 {"id": 1, "note": "secret"}"#]
    );
    assert_eq!(shop.lines("select owner from rowcast.events order by seq").await, ["ann", "ann", "bob"]);
}

#[tokio::test]
async fn rolled_back_changes_leave_nothing() {
    let shop = shop(ITEMS).await;
    assert!(shop.told("begin; insert into shop.items values (1); rollback").await.is_empty());
    let part = "begin; insert into shop.items values (1); savepoint s; insert into shop.items values (2);
                rollback to s; insert into shop.items values (3); commit";
    let told = shop.told(part).await;
    assert_eq!(told, [r#"items.inserted 1 {"id": 1, "name": null}"#, r#"items.inserted 3 {"id": 3, "name": null}"#]);
}

#[tokio::test]
async fn copy_merge_and_upsert_are_told() {
    let shop = shop(ITEMS).await;
    let upsert = "insert into shop.items values (1, 'a') on conflict (id) do update set name = excluded.name";
    assert_eq!(shop.told(upsert).await, [r#"items.inserted 1 {"id": 1, "name": "a"}"#]);
    let again = "insert into shop.items values (1, 'b'), (2, 'c') on conflict (id) do update set name = excluded.name";
    assert_eq!(
        shop.told(again).await,
        [r#"items.updated 1 {"id": 1, "name": "b"}"#, r#"items.inserted 2 {"id": 2, "name": "c"}"#]
    );
    assert!(shop.told("insert into shop.items values (1, 'z') on conflict do nothing").await.is_empty());
    let version: i32 = shop.one("select current_setting('server_version_num')").await.parse().unwrap();
    if version >= 150_000 {
        let merge =
            "merge into shop.items i using (values (1, 'd'), (2, null), (3, 'e')) as v (id, name) on i.id = v.id
                     when matched and v.name is null then delete
                     when matched then update set name = v.name
                     when not matched then insert values (v.id, v.name)";
        let mut told = shop.told(merge).await;
        told.sort();
        assert_eq!(
            told,
            [
                r#"items.deleted 2 {"id": 2, "name": "c"}"#,
                r#"items.inserted 3 {"id": 3, "name": "e"}"#,
                r#"items.updated 1 {"id": 1, "name": "d"}"#,
            ]
        );
    }
}

#[tokio::test]
async fn copied_rows_are_told_in_their_order() {
    use futures_util::SinkExt;
    let shop = shop(ITEMS).await;
    let rows: String = (1..=500).map(|id| format!("{id}\tname\tnote\n")).collect();
    let sink = shop.client.copy_in("copy shop.items from stdin").await.unwrap();
    futures_util::pin_mut!(sink);
    sink.send(Cursor::new(rows.into_bytes())).await.unwrap();
    sink.close().await.unwrap();
    let subjects = shop.lines("select subject from rowcast.events order by seq").await;
    assert_eq!(subjects, (1..=500).map(|id| id.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn foreign_key_cascades_are_told_after_their_cause() {
    let shop = shop(
        "create table shop.a (id int primary key);
         create table shop.b (id int primary key, a int references shop.a on delete cascade on update cascade);
         select rowcast.publish('shop.a'), rowcast.publish('shop.b');
         insert into shop.a values (1); insert into shop.b values (10, 1)",
    )
    .await;
    assert_eq!(
        shop.told("update shop.a set id = 2").await,
        [r#"a.deleted 1 {"id": 1}"#, r#"a.inserted 2 {"id": 2}"#, r#"b.updated 10 {"a": 2, "id": 10}"#]
    );
    assert_eq!(
        shop.told("delete from shop.a").await,
        [r#"a.deleted 2 {"id": 2}"#, r#"b.deleted 10 {"a": 2, "id": 10}"#]
    );
}

#[tokio::test]
async fn set_constraints_immediate_tells_at_once_and_still_in_order() {
    let shop = shop(ITEMS).await;
    let told = shop
        .told(
            "begin; insert into shop.items values (1, 'a'); set constraints all immediate;
             update shop.items set name = 'b'; set constraints all deferred; delete from shop.items; commit",
        )
        .await;
    let words: Vec<_> = told.iter().map(|line| line.split(" {").next().unwrap()).collect();
    assert_eq!(words, ["items.inserted 1", "items.updated 1", "items.deleted 1"]);
}

#[tokio::test]
async fn rows_that_arrive_by_replication_are_told() {
    let shop = shop(ITEMS).await;
    let told = shop.told("set session_replication_role = replica; insert into shop.items values (1, 'a')").await;
    assert_eq!(told.len(), 1);
}

#[tokio::test]
async fn truncate_is_an_event_at_once() {
    let shop = shop(ITEMS).await;
    shop.run("insert into shop.items values (1)").await;
    assert_eq!(shop.told("begin; truncate shop.items").await, ["items.truncated - {}"]);
    assert_eq!(shop.told("insert into shop.items values (2); commit").await.len(), 1);
}

#[tokio::test]
async fn postgres_refuses_to_truncate_or_alter_a_table_with_pending_events() {
    let shop = shop(ITEMS).await;
    for then in ["truncate shop.items", "alter table shop.items add column more int", "drop table shop.items"] {
        let (code, message) = shop.refusal(&format!("begin; insert into shop.items values (1); {then}")).await;
        assert_eq!(code, SqlState::OBJECT_IN_USE, "{then}: {message}");
        shop.run("rollback").await;
    }
    let flushed =
        "begin; insert into shop.items values (1); set constraints all immediate; truncate shop.items; commit";
    assert_eq!(shop.told(flushed).await.len(), 2, "unless the events are told first");
}

#[tokio::test]
async fn two_phase_commit_works_in_silence() {
    let shop = shop(ITEMS).await;
    let name = unique("publish");
    let (code, _) =
        shop.refusal(&format!("begin; insert into shop.items values (1); prepare transaction '{name}'")).await;
    assert_eq!(code, SqlState::FEATURE_NOT_SUPPORTED);
    let prepare = format!(
        "begin; set local rowcast.bell = 'off'; insert into shop.items values (1); prepare transaction '{name}'"
    );
    assert!(shop.told(&prepare).await.is_empty());
    assert_eq!(shop.told(&format!("commit prepared '{name}'")).await.len(), 1);
}

#[tokio::test]
async fn what_a_transaction_wrote_is_told_before_it_unpublishes_or_publishes_again() {
    let shop = shop(ITEMS).await;
    let again = "begin; insert into shop.items values (1); select rowcast.publish('shop.items', columns => '{id}');
                 insert into shop.items values (2); commit";
    assert_eq!(
        shop.told(again).await,
        [r#"items.inserted 1 {"id": 1, "name": null}"#, r#"items.inserted 2 {"id": 2}"#]
    );
    let stop = "begin; insert into shop.items values (3); select rowcast.unpublish('shop.items');
                insert into shop.items values (4); commit";
    assert_eq!(shop.told(stop).await, [r#"items.inserted 3 {"id": 3}"#]);
}
