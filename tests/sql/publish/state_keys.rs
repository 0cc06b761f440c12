//! What `publish` makes so that the rows of a table can be read, and what it refuses.

use tokio_postgres::error::SqlState;

use super::{shop, unique};
use crate::support::connect;

#[tokio::test]
async fn the_functions_belong_to_the_owner_and_nobody_else_may_call_them_but_the_door_of_the_server() {
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
                has_function_privilege('rowcast_snapshots', p.oid, 'execute'), has_function_privilege('rowcast_server', p.oid, 'execute'),
                has_function_privilege('{writer}', p.oid, 'execute'))
           from pg_proc p where p.pronamespace = 'shop'::regnamespace order by 1"
    );
    let made = [
        "shop.rowcast_publish_t() t t f f f",
        "shop.rowcast_row_t(record) t t f f f",
        "shop.rowcast_rows_t(refcursor,integer) t t t f f",
        "shop.rowcast_rows_t(regclass,refcursor,text,integer) t t t f f",
    ];
    assert_eq!(shop.lines(&sql).await, made);
    assert_eq!(shop.one("select has_schema_privilege('rowcast_snapshots', 'shop', 'usage')::text").await, "true");
    // Again, and under another name of the table, there are as many.
    shop.run(
        "select rowcast.publish('shop.t'); alter table shop.t rename to other; select rowcast.publish('shop.other')",
    )
    .await;
    assert_eq!(shop.lines(&sql).await.len(), made.len());
    shop.run("select rowcast.unpublish('shop.other')").await;
    assert_eq!(shop.lines(&sql).await, Vec::<String>::new());
    shop.run("create table shop.gone (id int primary key); select rowcast.publish('shop.gone'); drop table shop.gone")
        .await;
    shop.run("select rowcast.publish('shop.other')").await;
    assert_eq!(shop.lines(&sql).await.len(), made.len(), "those of a table that was dropped are gone");
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
            shop.one("select (has_state and has_reader)::text from rowcast.live_tables where name = 'shop.t'").await,
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

/// A login that has the rights of the server, and an owner of a table who wishes it ill.
struct Ladder {
    shop: super::Shop,
    server: tokio_postgres::Client,
    owner: String,
    login: String,
}

impl Ladder {
    async fn start() -> Self {
        let shop = shop("").await;
        let (owner, login) = (unique("owner"), unique("server"));
        shop.run(&format!(
            "create role {owner}; create role {login} login password 'x' in role rowcast_server;
             grant rowcast_writer to {owner}; grant all on schema shop to {owner};
             create table shop.t (id int primary key); alter table shop.t owner to {owner};
             create function shop.who() returns text language plpgsql as $$ begin return current_user; end $$;
             create function shop.m(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)
                 language sql stable as $$ select 'shop.t.set', 'info', coalesce(new, old) || jsonb_build_object('as', shop.who()) $$;
             alter function shop.m owner to {owner}; select rowcast.publish('shop.t', map => 'shop.m', state_key => '{{id}}');
             insert into shop.t values (1)"
        ))
        .await;
        let server = connect(&shop.url_of(&login, "x")).await;
        Self { shop, server, owner, login }
    }

    /// The payload of the only row as the server reads it, or the error.
    async fn read(&self) -> Result<String, SqlState> {
        // By its number, since the server need not see the schema.
        let table = self.shop.one("select 'shop.t'::regclass::oid").await;
        let call = |many| format!("rowcast.read_rows({table}::oid::regclass, 'rows', null, false, {many})");
        let (opened, fetched) =
            (format!("begin read only; select from {}", call("null")), format!("select payload from {}", call("10")));
        let read = async {
            self.server.batch_execute(&opened).await?;
            Ok::<_, tokio_postgres::Error>(self.server.query_one(&fetched, &[]).await?.get(0))
        };
        let read = read.await.map_err(|error| error.code().unwrap().clone());
        self.server.batch_execute("rollback").await.unwrap();
        read
    }

    async fn end(self) {
        let Self { shop, server, owner, login } = self;
        drop(server);
        shop.run(&format!("drop owned by {owner} cascade; drop owned by {login} cascade; drop role {owner}, {login}"))
            .await;
    }
}

#[tokio::test]
async fn a_map_reads_rows_as_the_owner_of_the_table_and_never_as_the_server() {
    let ladder = Ladder::start().await;
    assert_eq!(ladder.read().await, Ok(format!(r#"{{"as": "{}", "id": 1}}"#, ladder.owner)));
    for refused in ["select * from shop.t", "select * from shop.rowcast_rows_t(null, 'rows', null, null)"] {
        let direct = ladder.server.batch_execute(refused).await.unwrap_err();
        assert_eq!(direct.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{refused}");
    }
    let other = "begin; select * from rowcast.read_rows('rowcast.events', 'rows', null, false, null)";
    let other = ladder.server.batch_execute(other).await.unwrap_err();
    assert_eq!(other.code(), Some(&SqlState::UNDEFINED_FUNCTION));
    ladder.server.batch_execute("rollback").await.unwrap();
    ladder.end().await;
}

/// What the owner of a table may make of the function that reads its rows, and as whom that runs.
#[tokio::test]
async fn whatever_the_owner_makes_of_the_functions_nothing_runs_with_the_rights_of_the_server() {
    let ladder = Ladder::start().await;
    let head =
        "create or replace function shop.rowcast_rows_t(source regclass, opened refcursor, owned_by text, many integer)
        returns table (subject text, owner text, type text, payload text) language plpgsql stable";
    let body = "$$ begin
        if many is null then open opened no scroll for select '1'::text, null::text, 'a'::text, shop.who();
        else fetch opened into subject, owner, type, payload; return next; end if; end $$";
    ladder.shop.run(&format!("{head} security definer as {body}")).await;
    assert_eq!(ladder.read().await, Ok(ladder.owner.clone()));
    // Not even the owner's own rights are given up for those of whoever calls.
    ladder.shop.run(&format!("{head} security invoker as {body}")).await;
    assert_eq!(ladder.read().await, Err(SqlState::UNDEFINED_FUNCTION));
    for taking in ["set role none", "reset session authorization", "set session authorization default"] {
        let body = format!("$$ begin execute '{taking}'; end $$");
        ladder.shop.run(&format!("{head} security definer as {body}")).await;
        assert!(ladder.read().await.is_err(), "{taking}");
    }
    let policy = format!(
        "alter table shop.t enable row level security; alter table shop.t force row level security;
         create policy p on shop.t using (shop.who() is not null); set role {}; select rowcast.publish('shop.t', force => true); reset role",
        ladder.owner
    );
    ladder.shop.run(&policy).await;
    assert_eq!(ladder.read().await, Err(SqlState::INSUFFICIENT_PRIVILEGE), "a policy runs for nobody");
    ladder.end().await;
}

#[tokio::test]
async fn settings_that_somebody_made_by_hand_are_nobodys_and_hide_no_table() {
    let shop = shop(
        "create table shop.t (id int primary key); select rowcast.publish('shop.t');
         create table shop.other (id int primary key); select rowcast.publish('shop.other');
         create function shop.rowcast_rows_t(x int) returns int language sql security definer as 'select 1'",
    )
    .await;
    let listed = "select string_agg(name || ' ' || has_reader, ',' order by name) from rowcast.live_tables";
    assert_eq!(shop.one(listed).await, "shop.other true,shop.t true");
    for settings in [
        r#"{"columns":[null,"a"],"type_prefix":"a"}"#,
        r#"{"columns":["a"],"type_prefix":null}"#,
        r#"{"columns":["a"],"type_prefix":"Not Legal"}"#,
        r#"{"columns":["a"],"type_prefix":"a","state_key":[["id"]]}"#,
        r#"{"columns":["a"],"type_prefix":"a","removed_types":[1,null]}"#,
        r#"{"columns":["a"],"type_prefix":"a","keys":[7]}"#,
    ] {
        shop.run(&format!(
            "drop trigger rowcast_publish_write on shop.t; create constraint trigger rowcast_publish_write after insert or delete on shop.t
             deferrable initially deferred for each row execute function shop.rowcast_publish_t('{settings}')"
        ))
        .await;
        assert_eq!(shop.one(listed).await, "shop.other true", "{settings}");
    }
}
