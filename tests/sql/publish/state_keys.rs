//! What `publish` makes so that the rows of a table can be read, and what it refuses.

use tokio_postgres::error::SqlState;

use super::{shop, unique};
use crate::support::connect;

#[tokio::test]
async fn the_functions_belong_to_the_owner_and_nobody_but_the_server_may_call_the_one_that_reads() {
    let shop = shop("alter default privileges in schema shop grant execute on functions to public").await;
    let (owner, writer) = (unique("owner"), unique("writer"));
    shop.run(&format!(
        "create role {owner}; create role {writer}; grant rowcast_writer to {owner}; grant all on schema shop to {owner};
         create table shop.t (id int primary key, v text); alter table shop.t owner to {owner};
         grant usage on schema shop to {writer}; grant all on shop.t to {writer}; select rowcast.publish('shop.t')"
    ))
    .await;
    let sql = format!(
        "select concat_ws(' ', p.oid::regprocedure, p.proowner = '{owner}'::regrole, p.prosecdef,
                has_function_privilege('rowcast_server', p.oid, 'execute'), has_function_privilege('{writer}', p.oid, 'execute'))
           from pg_proc p where p.pronamespace = 'shop'::regnamespace order by 1"
    );
    let made = [
        "shop.rowcast_publish_t() t t f f",
        "shop.rowcast_row_t(record) t t f f",
        "shop.rowcast_rows_t(regclass,refcursor,text) t t t f",
    ];
    assert_eq!(shop.lines(&sql).await, made);
    assert_eq!(shop.one("select has_schema_privilege('rowcast_server', 'shop', 'usage')::text").await, "true");
    // Again, and under another name of the table, there are as many.
    shop.run(
        "select rowcast.publish('shop.t'); alter table shop.t rename to other; select rowcast.publish('shop.other')",
    )
    .await;
    assert_eq!(shop.lines(&sql).await.len(), 3);
    shop.run("select rowcast.unpublish('shop.other')").await;
    assert_eq!(shop.lines(&sql).await, Vec::<String>::new());
    shop.run("create table shop.gone (id int primary key); select rowcast.publish('shop.gone'); drop table shop.gone")
        .await;
    shop.run("select rowcast.publish('shop.other')").await;
    assert_eq!(shop.lines(&sql).await.len(), 3, "those of a table that was dropped are gone");
    shop.run(&format!("drop owned by {owner} cascade; drop owned by {writer} cascade; drop role {owner}, {writer}"))
        .await;
}

#[tokio::test]
async fn what_names_no_row_is_no_state_key() {
    let shop = shop(
        "create table shop.t (id int primary key, code text not null unique, loose text unique, part text);
         create unique index on shop.t (part) where part is not null;
         create function shop.m(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)
             language sql as $$ select 'shop.t.' || op, 'info', coalesce(new, old) $$",
    )
    .await;
    for (options, said) in [
        ("state_key => '{}'", "1 to 16 fields"),
        ("state_key => '{id,id}'", "1 to 16 fields"),
        ("state_key => array[null]", "1 to 16 fields"),
        ("state_key => '{nothing}'", "not among the columns: nothing"),
        ("columns => '{code}', state_key => '{id}'", "not among the columns: id"),
        ("state_key => '{loose}'", "does not name a row"),
        ("state_key => '{part}'", "does not name a row"),
        ("removed_types => '{shop.t.gone}'", "with a map and a state_key"),
        ("map => 'shop.m', removed_types => '{shop.t.gone}'", "with a map and a state_key"),
        ("map => 'shop.m', state_key => '{id}', removed_types => '{shop.u.gone}'", "one word behind the prefix"),
        ("map => 'shop.m', state_key => '{id}', removed_types => '{shop.t.a.b}'", "one word behind the prefix"),
        ("map => 'shop.m', state_key => '{id}', removed_types => '{}'", "one word behind the prefix"),
        ("map => 'shop.m', state_key => '{id}', removed_types => array[null]", "one word behind the prefix"),
    ] {
        let (code, message) = shop.refusal(&format!("select rowcast.publish('shop.t', {options})")).await;
        assert_eq!(code, SqlState::INVALID_PARAMETER_VALUE, "{options}: {message}");
        assert!(message.contains(said), "{options}: {message}");
    }
    for options in
        ["state_key => '{id}'", "state_key => '{code}'", "state_key => '{part,id}'", "subject_column => 'code'"]
    {
        shop.run(&format!("select rowcast.publish('shop.t', {options})")).await;
        assert_eq!(
            shop.one("select (rows_function is not null)::text from rowcast.live_tables where name = 'shop.t'").await,
            "true"
        );
    }
}

#[tokio::test]
async fn a_map_that_breaks_its_promise_fails_the_write() {
    let shop = shop(
        "create table shop.t (id int primary key, says text, hidden boolean);
         create function shop.m(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)
             language sql as $$
             select coalesce(coalesce(new, old) ->> 'says', case op when 'delete' then 'shop.t.removed' else 'shop.t.set' end), 'info',
                    case when (coalesce(new, old) ->> 'hidden')::boolean then '{\"v\": 1}' else coalesce(new, old) end $$;
         select rowcast.publish('shop.t', map => 'shop.m', state_key => '{id}')",
    )
    .await;
    assert_eq!(shop.told("insert into shop.t values (1, null, false)").await.len(), 1);
    for (sql, said) in [
        ("insert into shop.t values (2, 'other.set', false)", "other.set of the operation insert"),
        ("insert into shop.t values (2, 'shop.t.a.b', false)", "shop.t.a.b of the operation insert"),
        ("insert into shop.t values (2, 'shop.t.removed', false)", "shop.t.removed of the operation insert"),
        ("insert into shop.t values (2, null, true)", "shop.t.set of the operation insert"),
        ("update shop.t set says = 'shop.t.deleted'", "shop.t.deleted of the operation update"),
        (
            "begin; update shop.t set says = 'shop.t.set'; delete from shop.t; commit",
            "shop.t.set of the operation delete",
        ),
    ] {
        let (code, message) = shop.refusal(sql).await;
        assert_eq!(code, SqlState::DATA_EXCEPTION, "{sql}: {message}");
        assert!(message.contains(said), "{sql}: {message}");
        shop.run("rollback").await;
    }
    assert_eq!(shop.told("delete from shop.t").await, ["t.removed 1 {\"id\": 1, \"says\": null, \"hidden\": false}"]);
}

#[tokio::test]
async fn a_map_reads_rows_as_the_owner_of_the_table_and_never_as_the_server() {
    let shop = shop("").await;
    let (owner, server) = (unique("owner"), unique("server"));
    shop.run(&format!(
        "create role {owner}; create role {server} login password 'x' in role rowcast_server;
         grant rowcast_writer to {owner}; grant all on schema shop to {owner};
         create table shop.t (id int primary key); alter table shop.t owner to {owner};
         create function shop.m(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)
             language sql stable as $$ select 'shop.t.set', 'info', coalesce(new, old) || jsonb_build_object('as', current_user) $$;
         alter function shop.m owner to {owner}; select rowcast.publish('shop.t', map => 'shop.m', state_key => '{{id}}');
         insert into shop.t values (1)"
    ))
    .await;
    let client = connect(&shop.url_of(&server, "x")).await;
    client.batch_execute("begin; select shop.rowcast_rows_t('shop.t', 'rows', null)").await.unwrap();
    let row = client.query_one("fetch 1 from rows", &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(3), format!(r#"{{"as": "{owner}", "id": 1}}"#));
    client.batch_execute("rollback").await.unwrap();
    // It reads the table that it was made for, and no other.
    let other =
        client.batch_execute("begin; select shop.rowcast_rows_t('rowcast.events', 'rows', null)").await.unwrap_err();
    assert_eq!(other.code(), Some(&SqlState::WRONG_OBJECT_TYPE));
    let direct = client.batch_execute("rollback; select * from shop.t").await.unwrap_err();
    assert_eq!(direct.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    drop(client);
    shop.run(&format!("drop owned by {owner} cascade; drop owned by {server} cascade; drop role {owner}, {server}"))
        .await;
}
