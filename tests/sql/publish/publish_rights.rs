//! Who may publish, with whose rights rows are captured, and what nobody gains by it.
use tokio_postgres::error::SqlState;

use super::{Shop, shop, unique};

/// A table owner who may append events, and an application role that may only write the table.
async fn two_roles(sql: &str) -> (Shop, String, String) {
    let (owner, app) = (unique("owner"), unique("app"));
    let shop = shop(&format!(
        "create role {owner}; create role {app}; grant rowcast_writer to {owner};
         grant usage, create on schema shop to {owner}; grant usage on schema shop to {app};
         set role {owner};
         create table shop.t (id int primary key, who text default current_user, v text);
         grant select, insert, update, delete on shop.t to {app};
         {sql}"
    ))
    .await;
    (shop, owner, app)
}

#[tokio::test]
async fn a_writer_of_the_table_needs_no_right_on_the_journal() {
    let (shop, _, app) = two_roles("select rowcast.publish('shop.t');").await;
    shop.run(&format!(
        "set role {app}; insert into shop.t (id) values (1); update shop.t set v = 'x'; delete from shop.t; reset role"
    ))
    .await;
    assert_eq!(shop.one("select count(*) from rowcast.events").await, "3");
}

#[tokio::test]
async fn a_writer_of_the_table_can_neither_append_events_nor_borrow_the_trigger() {
    let (shop, owner, app) = two_roles("").await;
    // Also where the owner's default privileges hand every new function to the application.
    shop.run(&format!(
        "alter default privileges in schema shop grant execute on functions to {app}; select rowcast.publish('shop.t');
         reset role; grant create on schema shop to {app}; set role {app};
         create table shop.fake (id int primary key, who text, v text)"
    ))
    .await;
    for forge in [
        "insert into rowcast.events (type) values ('shop.t.inserted')",
        "select rowcast.append_event('shop.t.inserted')",
        "create trigger forge after insert on shop.fake for each row execute function shop.rowcast_publish_t()",
        "select rowcast.publish('shop.fake')",
    ] {
        let (code, message) = shop.refusal(forge).await;
        assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE, "{forge}: {message}");
    }
    let open = format!(
        "select p.proname from pg_proc p where p.pronamespace = 'shop'::regnamespace and has_function_privilege('{app}', p.oid, 'execute')"
    );
    assert!(shop.lines(&open).await.is_empty());
    assert_eq!(
        shop.one(&format!(
            "select proowner::regrole = '{owner}'::regrole from pg_proc where proname = 'rowcast_publish_t'"
        ))
        .await,
        "t"
    );
}

#[tokio::test]
async fn nothing_of_this_schema_may_be_executed_by_everybody_but_what_is_harmless() {
    let shop = shop("").await;
    let open = "select string_agg(p.proname, ',' order by p.proname) from pg_proc p where p.pronamespace = 'rowcast'::regnamespace
                   and exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0)";
    assert_eq!(shop.lines(open).await, ["check_event,ring_bell,time_fits"]);
}

#[tokio::test]
async fn only_the_owner_of_a_table_publishes_it() {
    let (shop, _, app) = two_roles("").await;
    shop.run(&format!("reset role; grant rowcast_writer to {app}; set role {app}")).await;
    for sql in ["select rowcast.publish('shop.t')", "select rowcast.unpublish('shop.t')"] {
        let (code, message) = shop.refusal(sql).await;
        assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE);
        assert!(message.contains("must be owner"), "{message}");
    }
}

#[tokio::test]
async fn an_owner_who_may_not_append_events_or_make_functions_is_told_what_to_grant() {
    let (shop, owner, _) = two_roles("reset role;").await;
    shop.run(&format!("revoke create on schema shop from {owner}")).await;
    let (code, message) = shop.refusal("select rowcast.publish('shop.t')").await;
    assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE);
    assert!(message.contains(&format!("grant create on schema shop to {owner}")), "{message}");
    shop.run(&format!("revoke rowcast_writer from {owner}")).await;
    let (_, message) = shop.refusal("select rowcast.publish('shop.t')").await;
    assert!(message.contains(&format!("grant rowcast_writer to {owner}")), "{message}");
}

#[tokio::test]
async fn a_superuser_publishes_for_the_owner_and_lends_it_nothing() {
    let (shop, owner, app) = two_roles("reset role;").await;
    shop.run(
        "create function shop.whoami(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb) language sql
             as $$ select 'who.am_i', 'info', jsonb_build_object('user', current_user) $$;
         select rowcast.publish('shop.t', map => 'shop.whoami')",
    )
    .await;
    shop.run(&format!(
        "set role {app}; insert into shop.t (id) values (1); reset role; insert into shop.t (id) values (2)"
    ))
    .await;
    let users = shop.lines("select payload ->> 'user' from rowcast.events").await;
    assert_eq!(
        users,
        [owner.clone(), owner],
        "a map runs as the owner of the table, whoever writes and whoever published"
    );
}

#[tokio::test]
async fn the_owner_of_a_type_cannot_run_code_as_the_owner_of_the_table() {
    let shop = shop(
        "create type shop.mood as enum ('ok'); create type shop.pair as (a int, b shop.mood);
         create table shop.t (id shop.mood primary key, p shop.pair, ms shop.mood[]);
         select rowcast.publish('shop.t', owner_column => 'id')",
    )
    .await;
    for (from, name) in [("shop.mood", "m"), ("shop.pair", "p")] {
        for to in ["json", "text"] {
            shop.run(&format!(
                "create function shop.evil_{name}_{to}({from}) returns {to} language plpgsql as $$ begin raise 'evil'; end $$;
                 create cast ({from} as {to}) with function shop.evil_{name}_{to}({from}) as implicit"
            ))
            .await;
        }
    }
    // Published before the casts, and after them.
    for _ in 0..2 {
        let told = shop.told("insert into shop.t values ('ok', (1, 'ok'), '{ok}'); delete from shop.t").await;
        assert_eq!(told[0], r#"t.inserted ok {"p": {"a": 1, "b": "ok"}, "id": "ok", "ms": ["ok"]}"#);
        shop.run("select rowcast.publish('shop.t', owner_column => 'id')").await;
    }
}

#[tokio::test]
async fn the_search_path_of_the_writer_is_not_followed() {
    let (shop, _, app) = two_roles("select rowcast.publish('shop.t');").await;
    shop.run(&format!(
        "reset role; create schema trap; grant usage on schema trap to {app};
         create function trap.to_jsonb(int) returns jsonb language plpgsql as $$ begin raise 'trapped'; end $$;
         create function trap.jsonb_build_object(variadic text[]) returns jsonb language plpgsql as $$ begin raise 'trapped'; end $$;
         set role {app}; set search_path = trap, pg_catalog; insert into shop.t (id) values (1); reset role"
    ))
    .await;
    assert_eq!(shop.one("select payload ->> 'id' from rowcast.events").await, "1");
}

#[tokio::test]
async fn row_security_needs_an_owner_column_or_force() {
    let shop =
        shop("create table shop.t (id int primary key, who text); alter table shop.t enable row level security").await;
    let (code, message) = shop.refusal("select rowcast.publish('shop.t')").await;
    assert_eq!(code, SqlState::INVALID_PARAMETER_VALUE);
    assert!(message.contains("row security") && message.contains("owner_column"), "{message}");
    shop.run("select rowcast.publish('shop.t', owner_column => 'who')").await;
    shop.run("select rowcast.publish('shop.t', force => true)").await;
}

#[tokio::test]
async fn anyone_may_make_a_trigger_of_that_name_and_the_list_stays_whole() {
    let shop = shop(
        "create table shop.t (id int primary key); create table shop.u (id int primary key);
         create function shop.f() returns trigger language plpgsql as 'begin return null; end';
         create trigger rowcast_publish_write after insert on shop.u for each row execute function shop.f('not json');
         select rowcast.publish('shop.t')",
    )
    .await;
    assert_eq!(shop.lines("select table_name from rowcast.published").await, ["shop.t"]);
}

/// A map of the owner, which notes as whom it ran; IMMUTABLE and of a named type, so that a planner runs it to fold it.
const NOTES_ITS_USER: &str = "
    create type shop.told as (type text, level text, payload jsonb);
    create function shop.m(op text, old jsonb, new jsonb) returns shop.told language plpgsql immutable as $$ begin
        perform set_config('shop.ran_as', current_user, false);
        return ('ran.as', 'info', jsonb_build_object('user', current_user))::shop.told;
    end $$;";

#[tokio::test]
async fn a_map_is_not_run_while_the_table_is_published() {
    let (shop, owner, _) = two_roles(NOTES_ITS_USER).await;
    shop.run("reset role; select rowcast.publish('shop.t', map => 'shop.m')").await;
    assert_eq!(shop.one("select coalesce(current_setting('shop.ran_as', true), '')").await, "");
    shop.run("insert into shop.t (id) values (1)").await;
    assert_eq!(shop.lines("select payload ->> 'user' from rowcast.events").await, [owner]);
}

#[tokio::test]
async fn a_map_of_somebody_who_may_not_act_as_the_owner_is_refused_with_the_way_out() {
    let (shop, owner, app) = two_roles(NOTES_ITS_USER).await;
    shop.run(&format!("reset role; alter function shop.m owner to {app}")).await;
    for publisher in ["reset role".to_owned(), format!("set role {owner}")] {
        shop.run(&publisher).await;
        let (code, message) = shop.refusal("select rowcast.publish('shop.t', map => 'shop.m')").await;
        assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE, "{message}");
        let way_out = format!("alter function shop.m(text,jsonb,jsonb) owner to {owner};");
        assert!(message.contains(&format!("belongs to {app}")) && message.contains(&way_out), "{message}");
    }
    // Who may act as the owner gains nothing by writing its map.
    shop.run(&format!("reset role; grant {owner} to {app}; select rowcast.publish('shop.t', map => 'shop.m')")).await;
    assert_eq!(shop.told("insert into shop.t (id) values (1)").await.len(), 1);
}

#[tokio::test]
async fn a_map_that_came_into_other_hands_is_not_run_any_more() {
    let (shop, owner, app) =
        two_roles(&format!("{NOTES_ITS_USER} select rowcast.publish('shop.t', map => 'shop.m');")).await;
    let steal = format!(
        "reset role; drop function shop.m; grant usage, create on schema shop to {app}; set role {app};
         create function shop.m(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb) language plpgsql
             as $$ begin perform set_config('shop.ran_as', current_user, false); end $$; reset role"
    );
    for taken in [steal, format!("alter function shop.m owner to {app}"), "drop function shop.m".to_owned()] {
        shop.run(&taken).await;
        let (code, message) = shop.refusal("insert into shop.t (id) values (1)").await;
        assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE, "{taken}: {message}");
        assert!(message.contains("shop.m(text,jsonb,jsonb)") && message.contains(&owner), "{message}");
        assert_eq!(shop.one("select coalesce(current_setting('shop.ran_as', true), '')").await, "");
    }
    assert_eq!(shop.one("select count(*) from rowcast.events").await, "0");
}

/// Makes triggers as those of a published table, with settings that name a prefix, on a table of one's own.
const FORGED: &str = r#"
    create function forged.rowcast_publish_t() returns trigger language plpgsql security definer as 'begin return null; end';
    comment on function forged.rowcast_publish_t() is 'Made by rowcast.publish for its triggers; goes with rowcast.unpublish.';
    create constraint trigger rowcast_publish_write after insert on forged.t deferrable initially deferred for each row
        execute function forged.rowcast_publish_t('{"columns":["id"],"type_prefix":"shop.t","public_safe":true}');
    create temporary table t (id int primary key);
    create trigger rowcast_publish_write after insert on pg_temp.t for each row
        execute function forged.rowcast_publish_t('{"columns":["id"],"type_prefix":"shop.t"}');"#;

#[tokio::test]
async fn a_login_without_the_right_to_append_can_neither_block_publishing_nor_stand_in_the_list() {
    let (shop, owner, app) = two_roles("reset role;").await;
    shop.run(&format!(
        "create schema forged authorization {app}; set role {app}; create table forged.t (id int primary key); {FORGED}
         set role {owner}; select rowcast.publish('shop.t')"
    ))
    .await;
    assert_eq!(shop.lines("reset role; select table_name from rowcast.published").await, ["shop.t"]);
    // Not even with a temporary table of a role that may append.
    shop.run(&format!("grant rowcast_writer to {app}")).await;
    assert_eq!(
        shop.lines("select table_name from rowcast.published order by table_name::text").await,
        ["forged.t", "shop.t"],
        "who may append events may publish"
    );
}
