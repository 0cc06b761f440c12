//! Owners of tables who put code of their own into the functions that read the rows: it runs as the owner, and reaches nothing of the
//! other tables of the same request.

use super::LiveShop;

/// Two logins that can do no more than publish a table each. `MALLORY` and `VICTIM` stand for their names.
const TABLES: &str = r#"
    create role MALLORY; create role VICTIM; grant rowcast_writer to MALLORY, VICTIM;
    create schema mal authorization MALLORY; create schema vic authorization VICTIM;
    create table mal.t (id int primary key); alter table mal.t owner to MALLORY;
    create table vic.secret (id int primary key, s text); alter table vic.secret owner to VICTIM;
    insert into mal.t values (1); insert into vic.secret values (1, 'Ã©');
    select rowcast.publish('mal.t'); select rowcast.publish('vic.secret');
    create function mal.who() returns text language sql security invoker as 'select current_user::text'"#;

/// What the function does before it fetches its own rows, and whether it may end well.
const ATTACKS: [&str; 4] = [
    // A cursor of its own in the place of another, to be fetched from with the other's rights.
    "for c in select name from pg_cursors where name like 'rowcast%' and name <> opened::text loop
         execute format('close %I', c.name);
         execute format('declare %I no scroll cursor for select ''1''::text, null::text, null::text, json_build_object(''who'', mal.who())::text', c.name);
     end loop;",
    // The same for those that are not there yet.
    "for i in 0..3 loop begin
         execute format('declare rowcast_rows_%s no scroll cursor for select ''1''::text, null::text, null::text, json_build_object(''who'', mal.who())::text', i);
         exception when others then null; end;
     end loop;",
    // Rows of others that nobody sees.
    "for c in select name from pg_cursors where name like 'rowcast%' and name <> opened::text loop
         execute format('move forward all in %I', c.name);
     end loop;",
    // Settings that change what others show.
    "perform set_config('client_encoding', 'LATIN1', true), set_config('client_encoding', 'LATIN1', false), set_config('search_path', 'mal', true);",
];

#[tokio::test]
async fn code_of_an_owner_reaches_nothing_of_other_tables_in_the_same_request() {
    let shop = LiveShop::start("select 1", &[]).await;
    let (mallory, victim) = (format!("mallory_{}", shop.db.name), format!("victim_{}", shop.db.name));
    shop.run(&TABLES.replace("MALLORY", &mallory).replace("VICTIM", &victim)).await;
    let honest = shop.admin("/v1/snapshot?table=vic.secret&sync=true").await.json();
    let definition =
        "select pg_get_functiondef('mal.rowcast_rows_t(regclass, refcursor, text, integer)'::regprocedure)";
    let opening: String = shop.sql.query_one(definition, &[]).await.unwrap().get(0);
    for attack in ATTACKS {
        shop.run(&format!(
            "create or replace function mal.rowcast_rows_t(opened refcursor, many integer)
                 returns table (subject text, owner text, type text, payload text) language plpgsql volatile security definer as $attack$
             declare c record; begin {attack} return query execute format('fetch forward %s from %I', many, opened); end $attack$"
        ))
        .await;
        let opened = opening
            .replace("declare\n", "declare\n    c record;\n")
            .replace("    if many is null then\n", &format!("    {attack}\n    if many is null then\n"));
        assert!(opened.contains(attack), "{opened}");
        for opening in [&opening, &opened] {
            shop.run(opening).await;
            for tables in ["table=mal.t&table=vic.secret", "table=vic.secret&table=mal.t"] {
                let answer = shop.admin(&format!("/v1/snapshot?{tables}&sync=true")).await;
                // An attack may end its own request. What is answered is right.
                assert!(!answer.body.contains(&victim), "{attack}: {}", answer.body);
                if answer.status != 200 {
                    continue;
                }
                let answered = answer.json();
                let shown = answered["tables"].as_array().unwrap().iter().find(|table| table["table"] == "vic.secret");
                assert_eq!(shown, Some(&honest["tables"][0]), "{attack}");
            }
        }
    }
    assert_eq!(shop.admin("/v1/snapshot?table=vic.secret&sync=true").await.json()["tables"], honest["tables"]);
    shop.run(&format!("drop owned by {mallory}, {victim} cascade; drop role {mallory}, {victim}")).await;
    shop.end().await;
}

#[tokio::test]
async fn rows_with_line_breaks_are_refused() {
    let shop = LiveShop::start(
        "create table shop.t (id int primary key); select rowcast.publish('shop.t'); insert into shop.t values (1)",
        &[],
    )
    .await;
    shop.run(
        "create or replace function shop.rowcast_rows_t(opened refcursor, many integer)
             returns table (subject text, owner text, type text, payload text) language sql volatile security definer as
             $$ select '1', null::text, null::text, E'{\"id\":\\n1}' $$",
    )
    .await;
    let answer = shop.admin("/v1/snapshot?table=shop.t&sync=true").await;
    assert_eq!(super::code_of(&answer), (409, "not_snapshottable".to_owned()));
    shop.end().await;
}
