//! Which tables can be published, by whatever name.
use tokio_postgres::error::SqlState;

use super::shop;

#[tokio::test]
async fn bytes_outside_the_small_alphabet_become_underscores() {
    let shop = shop(
        r#"create schema "My Shop";
           create table "My Shop"."Großer ""Käse"".v2" ("Der Schlüssel" int primary key, "a'b" text);
           select rowcast.publish('"My Shop"."Großer ""Käse"".v2"')"#,
    )
    .await;
    let told = shop.told(r#"insert into "My Shop"."Großer ""Käse"".v2" values (1, 'x')"#).await;
    assert_eq!(told, [r#"_y__hop._ro__er_____se__v2.inserted 1 {"a'b": "x", "Der Schlüssel": 1}"#]);
    assert_eq!(shop.one("select rowcast.event_word('aB-é_9')").await, "a__".to_owned() + "___9");
}

#[tokio::test]
async fn names_of_any_legal_shape_work_throughout() {
    let odd = r#"a"b'c%s$$\ d"#;
    let quoted = format!("\"{}\"", odd.replace('"', "\"\""));
    let other = quoted.replacen("a", "t", 1);
    let shop = shop(&format!(
        "create schema {quoted}; create type {quoted}.{other} as enum ('x');
         create table {quoted}.{quoted} ({quoted} text primary key, v {quoted}.{other});"
    ))
    .await;
    let name = format!("{quoted}.{quoted}").replace('\'', "''");
    let column = odd.replace('\'', "''");
    shop.run(&format!("select rowcast.publish('{name}', owner_column => '{column}', symbol_column => '{column}')"))
        .await;
    let told = shop
        .told(&format!("insert into {quoted}.{quoted} values ('k', 'x'); update {quoted}.{quoted} set v = null"))
        .await;
    assert_eq!(told.len(), 2);
    shop.run(&format!("select rowcast.publish('{name}'); select rowcast.unpublish('{name}')")).await;
}

#[tokio::test]
async fn no_line_break_in_a_name_ends_the_comment_or_the_literal_that_it_stands_in() {
    for end in ["\r", "\n", "\r\n", "\u{85}", "\u{2028}", "\u{2029}", "\u{b}", "\u{c}"] {
        for rest in ["begin perform set_config('shop.ran', 'yes', false); end; --", "x */ $$ $template$ ' \" %1$s"] {
            let name = format!("\"t{end}{}\"", rest.replace('"', "\"\""));
            let kind = name.replacen('t', "kind", 1);
            let shop = shop(&format!(
                "set standard_conforming_strings = off; create type shop.{kind} as enum ('x');
                 create table shop.{name} (id int primary key, {name} shop.{kind}, c char(9))"
            ))
            .await;
            let table = format!("$name$shop.{name}$name$");
            shop.run(&format!(
                "create function shop.m(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)
                     language plpgsql as $$ begin type := 'told'; payload := new; end $$;
                 alter function shop.m rename to {name};
                 select rowcast.publish({table}, type_prefix => 'a', map => $name$shop.{name}$name$);
                 insert into shop.{name} values (1, 'x'); select rowcast.publish({table}, type_prefix => 'a', owner_column => 'c')"
            ))
            .await;
            shop.run(&format!("insert into shop.{name} values (2, 'x', 'ann')")).await;
            shop.run(&format!("truncate shop.{name}")).await;
            assert_eq!(
                shop.lines("select type from rowcast.events order by seq").await,
                ["told", "a.inserted", "a.truncated", "a.truncated", "a.truncated"]
            );
            assert_eq!(shop.one("select coalesce(current_setting('shop.ran', true), '')").await, "", "{name:?}");
        }
    }
}

#[tokio::test]
async fn the_name_resolves_by_the_search_path_of_the_caller_and_may_be_text_or_regclass() {
    let shop = shop("create table shop.t (id int primary key); set search_path = shop").await;
    assert_eq!(shop.one("select rowcast.publish('t')").await, "shop.t");
    assert_eq!(shop.one("select rowcast.publish('shop.t'::text)").await, "shop.t");
    assert_eq!(shop.one("select rowcast.publish('t'::regclass)").await, "shop.t");
    let (code, _) = shop.refusal("select rowcast.publish('missing')").await;
    assert_eq!(code, SqlState::UNDEFINED_TABLE);
}

#[tokio::test]
async fn a_name_too_long_for_a_type_needs_a_prefix() {
    let long = "x".repeat(63);
    let shop = shop(&format!("create schema {long}; create table {long}.{long} (id int primary key)")).await;
    let (code, message) = shop.refusal(&format!("select rowcast.publish('{long}.{long}')")).await;
    assert_eq!(code, SqlState::INVALID_PARAMETER_VALUE);
    assert!(message.contains("128 bytes") && message.contains("type_prefix"), "{message}");
    shop.run(&format!("select rowcast.publish('{long}.{long}', type_prefix => '{}')", "p".repeat(118))).await;
    assert_eq!(shop.told(&format!("insert into {long}.{long} values (1)")).await.len(), 1);
    assert_eq!(shop.told(&format!("truncate {long}.{long}")).await.len(), 1);
    shop.refusal(&format!("select rowcast.publish('{long}.{long}', type_prefix => '{}')", "p".repeat(119))).await;
}

#[tokio::test]
async fn two_tables_whose_names_become_the_same_type_are_told_apart() {
    let shop = shop(
        r#"create table shop."A" (id int primary key); create table shop."B" (id int primary key);
                       select rowcast.publish('shop."A"')"#,
    )
    .await;
    let (code, message) = shop.refusal(r#"select rowcast.publish('shop."B"')"#).await;
    assert_eq!(code, SqlState::INVALID_PARAMETER_VALUE);
    assert!(message.contains("type_prefix"), "{message}");
    // Nor by a prefix that is asked for, but for the table that has it.
    for prefix in ["shop._", "shop.__"] {
        let publish = |table: &str| format!(r#"select rowcast.publish('shop."{table}"', type_prefix => '{prefix}')"#);
        shop.run(&publish("A")).await;
        shop.run(&publish("A")).await;
        let (code, message) = shop.refusal(&publish("B")).await;
        assert_eq!(code, SqlState::INVALID_PARAMETER_VALUE);
        assert!(message.contains(r#"shop."A""#) && message.contains("type_prefix"), "{message}");
    }
    shop.run(r#"select rowcast.publish('shop."B"', type_prefix => 'shop.b')"#).await;
}

#[tokio::test]
async fn composite_keys_are_compact_arrays_of_text() {
    let shop = shop(
        r#"create table shop.t (b text, a bigint, v int, primary key (a, b)); select rowcast.publish('shop.t');
           insert into shop.t values ('x "y", z', 9007199254740993, 1)"#,
    )
    .await;
    assert_eq!(shop.one("select subject from rowcast.events").await, r#"["9007199254740993","x \"y\", z"]"#);
}

#[tokio::test]
async fn keys_of_every_type_are_the_text_of_their_json() {
    for (kind, value, subject) in [
        ("timestamptz", "'2026-01-27 12:00+02'", "2026-01-27T10:00:00+00:00"),
        ("date", "'2026-01-27'", "2026-01-27"),
        ("boolean", "true", "true"),
        ("bytea", r"'\x00ff'", r"\x00ff"),
        ("numeric", "1.50", "1.50"),
        ("shop.mood", "'so so'", "so so"),
        ("int[]", "'{1,2}'", "[1, 2]"),
        ("char(4)", "'ab'", "ab  "),
    ] {
        let shop = shop(&format!(
            "create type shop.mood as enum ('so so'); create table shop.t (id {kind} primary key);
             select rowcast.publish('shop.t'); set datestyle = 'German'; insert into shop.t values ({value})"
        ))
        .await;
        assert_eq!(shop.one("select subject from rowcast.events").await, subject, "{kind}");
    }
}

#[tokio::test]
async fn a_partitioned_table_is_published_whole() {
    let shop = shop(
        "create table shop.t (id int, region text, v text, primary key (id, region)) partition by list (region);
         create table shop.a partition of shop.t for values in ('a');
         -- Columns in another order, and one dropped.
         create table shop.b (v text, junk int, region text not null, id int not null);
         alter table shop.b drop column junk;
         alter table shop.t attach partition shop.b for values in ('b');
         select rowcast.publish('shop.t');
         create table shop.c partition of shop.t for values in ('c')",
    )
    .await;
    let told = shop.told("insert into shop.t values (1, 'a', 'x'), (2, 'b', 'y'), (3, 'c', 'z')").await;
    assert_eq!(
        told,
        [
            r#"t.inserted ["1","a"] {"v": "x", "id": 1, "region": "a"}"#,
            r#"t.inserted ["2","b"] {"v": "y", "id": 2, "region": "b"}"#,
            r#"t.inserted ["3","c"] {"v": "z", "id": 3, "region": "c"}"#,
        ],
        "every partition, also one made later"
    );
    assert_eq!(
        shop.told("update shop.t set region = 'b', v = 'moved' where id = 1").await,
        [
            r#"t.deleted ["1","a"] {"v": "x", "id": 1, "region": "a"}"#,
            r#"t.inserted ["1","b"] {"v": "moved", "id": 1, "region": "b"}"#
        ],
        "a row that moves has a new key"
    );
    assert_eq!(
        shop.told("update shop.b set v = 'direct' where id = 2").await.len(),
        1,
        "written through its partition"
    );
    assert_eq!(shop.told("truncate shop.t").await, ["t.truncated - {}"]);
    shop.run("alter table shop.t detach partition shop.c").await;
    assert!(
        shop.told("insert into shop.c values (9, 'c', 'z')").await.is_empty(),
        "a detached partition is its own table"
    );
}

#[tokio::test]
async fn a_partition_itself_is_refused_and_names_the_whole() {
    let shop = shop(
        "create table shop.t (id int primary key) partition by range (id);
         create table shop.a partition of shop.t for values from (0) to (9) partition by range (id);
         create table shop.aa partition of shop.a for values from (0) to (5)",
    )
    .await;
    let (code, message) = shop.refusal("select rowcast.publish('shop.aa')").await;
    assert_eq!(code, SqlState::WRONG_OBJECT_TYPE);
    assert!(message.contains("shop.aa is a partition") && message.contains("shop.t"), "{message}");
}

#[tokio::test]
async fn what_is_not_a_table_of_the_application_is_refused() {
    let shop = shop(
        "create table shop.t (id int primary key);
         create view shop.v as select * from shop.t; create materialized view shop.m as select * from shop.t;
         create sequence shop.s; create temp table tt (id int primary key);
         create foreign data wrapper w; create server s foreign data wrapper w; create foreign table shop.f (id int) server s;
         create table rowcast.stray (id int primary key)",
    )
    .await;
    for (name, part) in [
        ("shop.v", "a view"),
        ("shop.m", "a materialized view"),
        ("shop.f", "a foreign table"),
        ("shop.s", "a sequence"),
        ("tt", "temporary"),
        ("pg_class", "system catalog"),
        ("information_schema.sql_features", "system catalog"),
        ("rowcast.events", "journal itself"),
        ("rowcast.stray", "journal itself"),
    ] {
        let (code, message) = shop.refusal(&format!("select rowcast.publish('{name}')")).await;
        assert_eq!(code, SqlState::WRONG_OBJECT_TYPE, "{name}: {message}");
        assert!(message.contains(part), "{name}: {message}");
    }
}

#[tokio::test]
async fn unlogged_tables_and_those_of_the_trading_schema_can_be_published() {
    let shop = shop("create unlogged table shop.u (id int primary key); select rowcast.publish('shop.u')").await;
    assert_eq!(shop.told("insert into shop.u values (1)").await.len(), 1);
    shop.run("select rowcast.publish('trading.config')").await;
    assert_eq!(shop.told("insert into trading.config (key, value) values ('risk.max', '{\"a\": 1}')").await.len(), 1);
}
