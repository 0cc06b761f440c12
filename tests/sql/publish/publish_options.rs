//! The arguments of `rowcast.publish`, and what becomes of them afterwards.
use tokio_postgres::error::SqlState;

use super::shop;

const ORDERS: &str =
    "create table shop.orders (id int primary key, status text, total numeric, customer text, ref text,
                                               sym text, trade uuid);";

const MAP: &str =
    "create function shop.order_events(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)
    language plpgsql as $$
    begin
        if op = 'update' and new ->> 'status' = 'late' then
            type := 'order.late'; level := 'warn';
            payload := jsonb_build_object('was', old ->> 'status', 'id', new -> 'id');
        elsif op = 'delete' then
            type := 'order.gone'; payload := old;
        elsif op = 'insert' and new ->> 'status' is not null then
            type := 'order.placed'; payload := jsonb_build_object('old', old, 'new', new);
        end if;
    end $$;";

#[tokio::test]
async fn only_named_columns_are_streamed_also_when_more_are_added_later() {
    let shop = shop(ORDERS).await;
    assert_eq!(shop.one("select rowcast.publish('shop.orders', columns => '{id,status}')").await, "shop.orders");
    shop.run("alter table shop.orders add column card text default '4111'").await;
    assert_eq!(
        shop.told("insert into shop.orders (id, customer) values (1, 'ann')").await,
        [r#"orders.inserted 1 {"id": 1, "status": null}"#]
    );
}

#[tokio::test]
async fn without_columns_all_that_exist_now_are_named() {
    let shop = shop("create table shop.t (id int primary key, v int); select rowcast.publish('shop.t')").await;
    shop.run("alter table shop.t add column w int default 3").await;
    assert_eq!(shop.told("insert into shop.t values (1, 2)").await, [r#"t.inserted 1 {"v": 2, "id": 1}"#]);
    shop.run("select rowcast.publish('shop.t')").await;
    assert_eq!(shop.told("update shop.t set v = 5").await, [r#"t.updated 1 {"v": 5, "w": 3, "id": 1}"#]);
}

#[tokio::test]
async fn owner_symbol_trade_and_subject_columns_need_not_be_named() {
    let shop = shop(ORDERS).await;
    shop.run(
        "select rowcast.publish('shop.orders', columns => '{status}', owner_column => 'customer', public_safe => true,
                                subject_column => 'ref', symbol_column => 'sym', trade_id_column => 'trade');
         insert into shop.orders values (1, 'new', 5, 'ann', 'r-1', 'BTC-USD', '9f3a11c2-0000-4000-8000-000000000001')",
    )
    .await;
    let event = "select concat_ws(' ', type, level, public_safe, subject, owner, symbol, trade_id, payload) from rowcast.events";
    assert_eq!(
        shop.one(event).await,
        r#"shop.orders.inserted info t r-1 ann BTC-USD 9f3a11c2-0000-4000-8000-000000000001 {"status": "new"}"#
    );
    assert_eq!(shop.told("update shop.orders set sym = 'ETH-USD'").await.len(), 1, "their changes are events");
    assert!(shop.told("update shop.orders set total = 6").await.is_empty());
}

#[tokio::test]
async fn public_safe_is_false_unless_asked_for() {
    let shop = shop(ORDERS).await;
    shop.run("select rowcast.publish('shop.orders'); insert into shop.orders (id) values (1)").await;
    shop.run("truncate shop.orders").await;
    assert_eq!(shop.lines("select public_safe from rowcast.events").await, ["f", "f"]);
}

#[tokio::test]
async fn a_table_without_a_key_is_published_by_a_subject_column() {
    let shop = shop("create table shop.log (who text, line text)").await;
    let (code, message) = shop.refusal("select rowcast.publish('shop.log')").await;
    assert_eq!(code, SqlState::INVALID_PARAMETER_VALUE);
    assert!(message.contains("no primary key") && message.contains("subject_column"), "{message}");
    shop.run("select rowcast.publish('shop.log', subject_column => 'who')").await;
    let told = shop
        .told(
            "insert into shop.log values ('ann', 'x'), (null, 'y'); update shop.log set who = 'bob' where who = 'ann'",
        )
        .await;
    let words: Vec<_> = told.iter().map(|line| line.split(" {").next().unwrap()).collect();
    assert_eq!(words, ["log.inserted ann", "log.inserted -", "log.deleted ann", "log.inserted bob"]);
}

#[tokio::test]
async fn type_prefix_names_the_types() {
    let shop = shop(ORDERS).await;
    let prefix = shop.one("select rowcast.publish('shop.orders', type_prefix => 'sales.order')").await;
    assert_eq!(prefix, "sales.order");
    assert!(shop.told("insert into shop.orders (id) values (1)").await[0].starts_with("sales.order.inserted 1"));
    assert!(shop.told("truncate shop.orders").await[0].starts_with("sales.order.truncated"));
    for bad in ["", "Sales", "a..b", "a.", "ünder", "a b"] {
        let (code, message) =
            shop.refusal(&format!("select rowcast.publish('shop.orders', type_prefix => '{bad}')")).await;
        assert_eq!(code, SqlState::INVALID_PARAMETER_VALUE);
        assert!(message.contains("type_prefix"), "{message}");
    }
}

#[tokio::test]
async fn a_map_makes_its_own_events_or_none() {
    let shop = shop(&format!("{ORDERS}{MAP}")).await;
    shop.run("select rowcast.publish('shop.orders', columns => '{id,status}', owner_column => 'customer', map => 'shop.order_events')")
        .await;
    assert_eq!(
        shop.told("insert into shop.orders values (1, 'new', 5, 'ann')").await,
        [r#"order.placed 1 {"new": {"id": 1, "status": "new"}, "old": null}"#]
    );
    assert!(shop.told("update shop.orders set status = 'paid'").await.is_empty(), "null is no event");
    assert_eq!(shop.told("update shop.orders set status = 'late'").await, [r#"order.late 1 {"id": 1, "was": "paid"}"#]);
    assert_eq!(
        shop.told("update shop.orders set id = 2").await,
        [
            r#"order.gone 1 {"id": 1, "status": "late"}"#,
            r#"order.placed 2 {"new": {"id": 2, "status": "late"}, "old": null}"#
        ],
        "a changed key is asked for as a delete and an insert"
    );
    assert_eq!(shop.lines("select level || ' ' || owner from rowcast.events order by seq").await[1..2], ["warn ann"]);
    // One for the owner of the rows, and one for everybody.
    let truncated = ["orders.truncated - {}", "orders.truncated - {}"];
    assert_eq!(shop.told("truncate shop.orders").await, truncated, "not asked about a truncate");
}

#[tokio::test]
async fn a_map_whose_payload_is_too_large_is_cut_as_well() {
    let shop = shop(ORDERS).await;
    shop.run(
        "create function shop.big(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb) language sql
             as $$ select 'big.one', null, jsonb_build_object('a', repeat('x', 300000), 'b', 1) $$;
         select rowcast.publish('shop.orders', map => 'shop.big(text,jsonb,jsonb)')",
    )
    .await;
    assert_eq!(
        shop.told("insert into shop.orders (id) values (1)").await,
        [r#"big.one 1 {"a": null, "b": 1, "_truncated": ["a"]}"#]
    );
}

#[tokio::test]
async fn a_map_that_does_not_fit_is_refused() {
    let shop = shop(ORDERS).await;
    shop.run("create function shop.odd(text, jsonb, jsonb) returns int language sql as 'select 1'").await;
    let (code, _) = shop.refusal("select rowcast.publish('shop.orders', map => 'shop.missing')").await;
    assert_eq!(code, SqlState::UNDEFINED_FUNCTION);
    let (code, message) = shop.refusal("select rowcast.publish('shop.orders', map => 'shop.odd')").await;
    assert_eq!(code, SqlState::DATATYPE_MISMATCH);
    assert!(message.contains("type, level and payload"), "{message}");
    // Of a set all but the first would be dropped; who is strict is not asked where old or new is null.
    shop.run(
        "create function shop.many(op text, old jsonb, new jsonb) returns table (type text, level text, payload jsonb) language sql
             as $$ select 'a', null, new union all select 'b', null, new $$;
         create function shop.strict(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb) language sql
             strict as $$ select 'a', null, new $$;",
    )
    .await;
    for (map, part) in [("many", "returns a set"), ("strict", "called on null input")] {
        let (code, message) =
            shop.refusal(&format!("select rowcast.publish('shop.orders', map => 'shop.{map}')")).await;
        assert_eq!(code, SqlState::INVALID_PARAMETER_VALUE, "{map}");
        assert!(message.contains(part) && message.contains(map), "{message}");
    }
    shop.run(
        "alter function shop.strict called on null input; select rowcast.publish('shop.orders', map => 'shop.strict')",
    )
    .await;
    assert_eq!(shop.told("insert into shop.orders (id) values (1)").await.len(), 1);
}

#[tokio::test]
async fn columns_that_do_not_exist_or_do_not_fit_are_refused_by_name() {
    let shop = shop(&format!("{ORDERS} create table shop.bad (id int primary key, _truncated text, j jsonb)")).await;
    for (sql, code, part) in [
        ("'shop.orders', columns => '{id,nope}'", SqlState::UNDEFINED_COLUMN, "nope"),
        ("'shop.orders', owner_column => 'nope'", SqlState::UNDEFINED_COLUMN, "nope"),
        ("'shop.orders', columns => '{}'", SqlState::INVALID_PARAMETER_VALUE, "at least one"),
        ("'shop.orders', columns => '{id,null}'", SqlState::INVALID_PARAMETER_VALUE, "no null"),
        ("'shop.orders', columns => '{id,id}'", SqlState::INVALID_PARAMETER_VALUE, "twice"),
        ("'shop.orders', columns => '{xmin}'", SqlState::UNDEFINED_COLUMN, "xmin"),
        ("'shop.orders', trade_id_column => 'id'", SqlState::DATATYPE_MISMATCH, "uuid"),
        ("'shop.bad', columns => '{id}', owner_column => 'j'", SqlState::DATATYPE_MISMATCH, "jsonb"),
        ("'shop.bad'", SqlState::INVALID_PARAMETER_VALUE, "_truncated"),
        ("null", SqlState::NULL_VALUE_NOT_ALLOWED, "table_name"),
    ] {
        let (found, message) = shop.refusal(&format!("select rowcast.publish({sql})")).await;
        assert_eq!(found, code, "{sql}: {message}");
        assert!(message.contains(part), "{sql}: {message}");
    }
}

#[tokio::test]
async fn publishing_again_replaces_the_settings() {
    let shop = shop(ORDERS).await;
    shop.run("select rowcast.publish('shop.orders', type_prefix => 'old.name', owner_column => 'customer')").await;
    shop.run("select rowcast.publish('shop.orders', columns => '{id}')").await;
    assert_eq!(
        shop.told("insert into shop.orders (id, customer) values (1, 'x')").await,
        [r#"orders.inserted 1 {"id": 1}"#]
    );
    let listed = "select concat_ws(' ', table_name, type_prefix, columns, coalesce(owner_column, '-'), public_safe) from rowcast.published";
    assert_eq!(shop.lines(listed).await, ["shop.orders shop.orders {id} - f"]);
    assert_eq!(shop.one("select count(*) from pg_proc where proname like 'rowcast_publish%'").await, "1");
}

#[tokio::test]
async fn unpublish_says_what_is_no_table() {
    let shop = shop("").await;
    for (table, said) in [("null", "not be null"), ("0::regclass", "not be -")] {
        let (code, message) = shop.refusal(&format!("select rowcast.unpublish({table})")).await;
        assert_eq!(code, SqlState::INVALID_PARAMETER_VALUE);
        assert!(message.contains("table_name") && message.contains(said), "{message}");
    }
}

#[tokio::test]
async fn unpublish_stops_the_stream_and_leaves_nothing_behind() {
    let shop = shop(ORDERS).await;
    shop.run("select rowcast.publish('shop.orders')").await;
    assert_eq!(shop.one("select rowcast.unpublish('shop.orders')").await, "t");
    assert_eq!(shop.one("select rowcast.unpublish('shop.orders')").await, "f");
    assert!(shop.told("insert into shop.orders (id) values (1)").await.is_empty());
    let left = "select (select count(*) from pg_proc where proname like 'rowcast_publish%')
                     + (select count(*) from pg_trigger where tgname like 'rowcast_publish%') + (select count(*) from rowcast.published)";
    assert_eq!(shop.one(left).await, "0");
}

#[tokio::test]
async fn a_dropped_table_leaves_only_a_function_that_the_next_publish_clears_away() {
    let shop = shop(ORDERS).await;
    shop.run("select rowcast.publish('shop.orders'); drop table shop.orders").await;
    assert_eq!(shop.one("select count(*) from rowcast.published").await, "0");
    shop.run("create table shop.other (id int primary key); select rowcast.publish('shop.other')").await;
    assert_eq!(
        shop.lines("select proname from pg_proc where proname like 'rowcast_publish%'").await,
        ["rowcast_publish_other"]
    );
}

#[tokio::test]
async fn a_renamed_table_keeps_its_types_until_it_is_published_again() {
    let shop = shop(ORDERS).await;
    shop.run("select rowcast.publish('shop.orders', columns => '{id}'); alter table shop.orders rename to sales").await;
    assert_eq!(shop.told("insert into shop.sales (id) values (1)").await, [r#"orders.inserted 1 {"id": 1}"#]);
    // Another table may take the name meanwhile, but must not be taken for the first.
    shop.run("create table shop.orders (id int primary key)").await;
    let (_, message) = shop.refusal("select rowcast.publish('shop.orders')").await;
    assert!(message.contains("shop.sales") && message.contains("type_prefix"), "{message}");
    shop.run("select rowcast.publish('shop.sales', columns => '{id}'); select rowcast.publish('shop.orders')").await;
    assert_eq!(
        shop.told("insert into shop.sales (id) values (2); insert into shop.orders (id) values (3)").await,
        [r#"sales.inserted 2 {"id": 2}"#, r#"orders.inserted 3 {"id": 3}"#]
    );
}

#[tokio::test]
async fn a_renamed_column_fails_with_advice_and_a_dropped_one_is_refused() {
    let shop = shop(ORDERS).await;
    shop.run("select rowcast.publish('shop.orders', columns => '{id,status}')").await;
    let (code, message) = shop.refusal("alter table shop.orders drop column status").await;
    assert_eq!(code, SqlState::DEPENDENT_OBJECTS_STILL_EXIST, "{message}");
    shop.run("alter table shop.orders rename column status to state").await;
    let (code, message) = shop.refusal("insert into shop.orders (id) values (1)").await;
    assert_eq!(code, SqlState::UNDEFINED_COLUMN);
    assert!(message.contains("Publish the table again"), "{message}");
    shop.run("select rowcast.publish('shop.orders', columns => '{id,state}')").await;
    assert_eq!(
        shop.told("insert into shop.orders (id) values (1)").await,
        [r#"orders.inserted 1 {"id": 1, "state": null}"#]
    );
}

#[tokio::test]
async fn settings_survive_dump_and_restore_of_the_catalog() {
    // What pg_dump writes: the function as text, and the triggers with their arguments as text.
    let shop = shop(ORDERS).await;
    shop.run("select rowcast.publish('shop.orders', columns => '{id}', type_prefix => 'sales')").await;
    let dump = shop
        .lines(
            "select pg_get_functiondef(p.oid) || ';' from pg_proc p where p.proname = 'rowcast_publish_orders' union all
             select pg_get_triggerdef(t.oid) || ';' from pg_trigger t where t.tgname like 'rowcast_publish%'",
        )
        .await
        .join("\n");
    shop.run("drop table shop.orders; drop function shop.rowcast_publish_orders()").await;
    shop.run(ORDERS).await;
    shop.run(&dump).await;
    assert_eq!(shop.one("select table_name || ' ' || type_prefix from rowcast.published").await, "shop.orders sales");
    assert!(shop.told("insert into shop.orders (id) values (1)").await[0].starts_with("sales.inserted 1"));
}
