//! How each type of Postgres looks in an event.
use super::shop;

/// Publishes a table with one column of the type and returns how the value looks in the event.
async fn shown(kind: &str, value: &str) -> String {
    let shop =
        shop(&format!("create table shop.t (id int primary key, v {kind}); select rowcast.publish('shop.t')")).await;
    // Nothing of this may show.
    shop.run(
        "set timezone = 'Asia/Tokyo'; set datestyle = 'German, DMY'; set intervalstyle = 'postgres_verbose';
         set bytea_output = 'escape'; set extra_float_digits = -10",
    )
    .await;
    shop.run(&format!("insert into shop.t values (1, {value})")).await;
    shop.one("select (payload -> 'v')::text from rowcast.events").await
}

#[tokio::test]
async fn small_numbers_and_booleans_are_json() {
    assert_eq!(shown("smallint", "-7").await, "-7");
    assert_eq!(shown("int", "2147483647").await, "2147483647");
    assert_eq!(shown("boolean", "true").await, "true");
    assert_eq!(shown("float8", "0.1::float8 + 0.2::float8").await, "0.30000000000000004");
    assert_eq!(shown("real", "0.1").await, "0.1");
}

#[tokio::test]
async fn numbers_beyond_json_are_strings_whatever_their_value() {
    assert_eq!(shown("bigint", "7").await, r#""7""#);
    assert_eq!(shown("bigint", "9007199254740993").await, r#""9007199254740993""#);
    assert_eq!(shown("numeric(12,2)", "10.5").await, r#""10.50""#);
    assert_eq!(shown("numeric", "'NaN'").await, r#""NaN""#);
    assert_eq!(shown("float8", "'NaN'").await, r#""NaN""#);
    assert_eq!(shown("float8", "'-infinity'").await, r#""-Infinity""#);
    assert_eq!(shown("money", "'12.34'").await, r#""12.34""#);
}

#[tokio::test]
async fn times_are_iso_8601_in_utc() {
    assert_eq!(shown("timestamptz", "'2026-01-27 12:00:00.5+02'").await, r#""2026-01-27T10:00:00.5+00:00""#);
    assert_eq!(shown("timestamptz", "'infinity'").await, r#""infinity""#);
    assert_eq!(shown("timestamptz", "'-infinity'").await, r#""-infinity""#);
    assert_eq!(shown("timestamp", "'2026-01-27 12:00:00'").await, r#""2026-01-27T12:00:00""#);
    assert_eq!(shown("date", "'2026-01-27'").await, r#""2026-01-27""#);
    assert_eq!(shown("date", "'0044-03-15 BC'").await, r#""0044-03-15 BC""#);
    assert_eq!(shown("time", "'12:30'").await, r#""12:30:00""#);
    assert_eq!(shown("interval", "'1 month 2 days 3 hours'").await, r#""P1M2DT3H""#);
}

#[tokio::test]
async fn bytes_text_and_json() {
    assert_eq!(shown("bytea", r"'\xdeadbeef'").await, r#""\\xdeadbeef""#);
    assert_eq!(shown("text", "E'a\"b\\n\\u0001'").await, r#""a\"b\n\u0001""#);
    assert_eq!(shown("char(4)", "'ab'").await, r#""ab  ""#);
    assert_eq!(
        shown("uuid", "'9f3a11c2-0000-4000-8000-000000000001'").await,
        r#""9f3a11c2-0000-4000-8000-000000000001""#
    );
    assert_eq!(shown("jsonb", r#"'{"a": [1, null]}'"#).await, r#"{"a": [1, null]}"#);
    assert_eq!(shown("json", r#"'{"a":1}'"#).await, r#"{"a": 1}"#);
    assert_eq!(shown("inet", "'10.0.0.1'").await, r#""10.0.0.1""#);
}

#[tokio::test]
async fn json_that_jsonb_cannot_hold_is_its_text() {
    assert_eq!(shown("json", r#"'{"a":"\u0000"}'"#).await, r#""{\"a\":\"\\u0000\"}""#);
    assert_eq!(shown("json", "'1e999999'").await, r#""1e999999""#);
    assert_eq!(shown("json", "(repeat('[', 5000) || repeat(']', 5000))::json").await.len(), 10_000);
}

#[tokio::test]
async fn arrays_are_arrays_by_the_same_rules() {
    assert_eq!(shown("int[]", "'{{1,2},{3,null}}'").await, "[[1, 2], [3, null]]");
    assert_eq!(shown("bigint[]", "'{1,9007199254740993}'").await, r#"["1", "9007199254740993"]"#);
    assert_eq!(shown("numeric[]", "'[2:3]={1.0,null}'").await, r#"["1.0", null]"#);
    assert_eq!(shown("text[]", r#"'{a,"b \"c\"",null,"NULL"}'"#).await, r#"["a", "b \"c\"", null, "NULL"]"#);
    assert_eq!(shown("timestamptz[]", "'{2026-01-27 12:00+02}'").await, r#"["2026-01-27T10:00:00+00:00"]"#);
    assert_eq!(shown("int[]", "null").await, "null");
    assert_eq!(shown("int[]", "'{}'").await, "[]");
}

#[tokio::test]
async fn an_array_of_a_domain_follows_the_type_under_the_domain() {
    let shop = shop(
        "create domain shop.positive as int check (value > 0); create domain shop.small as shop.positive check (value < 100);
         create domain shop.cents as bigint; create domain shop.price as numeric(12,2); create domain shop.flag as bool;
         create domain shop.code as char(4); create domain shop.moment as timestamptz; create domain shop.doc as jsonb;
         create domain shop.pay as money; create domain shop.list as shop.small[]; create type shop.mood as enum ('ok');
         create domain shop.feeling as shop.mood;
         create type shop.bag as (counts shop.small[], flags shop.flag[]);
         create table shop.t (id int primary key, a shop.positive[], b shop.small[], c shop.cents[], d shop.price[], e shop.flag[],
                              f shop.code[], g shop.moment[], h shop.doc[], i shop.pay[], j shop.list, k shop.bag, l shop.feeling[],
                              m money[]);
         select rowcast.publish('shop.t', columns => '{a,b,c,d,e,f,g,h,i,j,k,l,m}')",
    )
    .await;
    shop.run(
        r#"insert into shop.t values (1, '{{1,2},{3,null}}', '[2:3]={4,5}', '{9007199254740993}', '{1.5}', '{t,f,null}', '{ab}',
            '{2026-01-27 12:00+02}', array['{"a":[1]}', null]::shop.doc[], '{12.34}', '{6,7}', row('{8}', '{t}'), '{ok}', '{5.60}')"#,
    )
    .await;
    let shown = shop.lines("select (jsonb_each(payload)).value::text from rowcast.events").await;
    assert_eq!(
        shown,
        [
            "[[1, 2], [3, null]]",
            "[4, 5]",
            r#"["9007199254740993"]"#,
            r#"["1.50"]"#,
            "[true, false, null]",
            r#"["ab  "]"#,
            r#"["2026-01-27T10:00:00+00:00"]"#,
            r#"[{"a": [1]}, null]"#,
            r#"["12.34"]"#,
            "[6, 7]",
            r#"{"flags": [true], "counts": [8]}"#,
            r#"["ok"]"#,
            r#"["5.60"]"#,
        ]
    );
    assert!(shop.told("insert into shop.t (id) values (2)").await[0].contains(r#""a": null, "b": null"#));
    // Nor does it depend on how the session reads NULL in the text of an array.
    let told = shop
        .told("set array_nulls = off; insert into shop.t (id, a, c) values (3, array[1, null], array[2, null])")
        .await;
    assert!(told[0].contains(r#""a": [1, null]"#) && told[0].contains(r#""c": ["2", null]"#), "{told:?}");
}

#[tokio::test]
async fn ranges_are_their_text() {
    assert_eq!(shown("int4range", "'[1,5]'").await, r#""[1,6)""#);
    assert_eq!(
        shown("tstzrange", "'[2026-01-27 12:00+02,infinity)'").await,
        r#""[\"2026-01-27 10:00:00+00\",infinity)""#
    );
}

#[tokio::test]
async fn types_of_users() {
    let shop = shop(
        "create type shop.mood as enum ('sad', 'so so');
         create domain shop.cents as bigint check (value >= 0);
         create domain shop.mail as text;
         create type shop.place as (street text, number int, mood shop.mood);
         create table shop.t (id int primary key, e shop.mood, es shop.mood[], d shop.cents, ds shop.cents[], m shop.mail,
                              c shop.place, cs shop.place[], g int generated always as (id * 2) stored, gone text);
         alter table shop.t drop column gone;
         select rowcast.publish('shop.t')",
    )
    .await;
    let all = "insert into shop.t values (1, 'so so', '{sad,so so,null}', 5, '{1,2}', 'a@b', ('High \"St\"', 3, 'sad'),
                                          array[('x', 1, null)::shop.place])";
    shop.run(all).await;
    let shown = shop.lines("select (jsonb_each(payload)).value::text from rowcast.events").await;
    assert_eq!(
        shown,
        [
            r#"{"mood": "sad", "number": 3, "street": "High \"St\""}"#,
            r#""5""#,
            r#""so so""#,
            "2",
            r#""a@b""#,
            r#"["(x,1,)"]"#,
            r#"["1", "2"]"#,
            r#"["sad", "so so", null]"#,
            "1",
        ]
    );
    let told = shop.told("insert into shop.t (id, c) values (2, (null, null, null)), (3, null)").await;
    assert!(told[0].contains(r#""c": {"mood": null, "number": null, "street": null}"#), "{told:?}");
    assert!(told[1].contains(r#""c": null"#), "{told:?}");
}

#[tokio::test]
async fn a_table_of_more_columns_than_a_function_takes_arguments() {
    let columns: String = (1..=250).map(|i| format!(", c{i} int default {i}")).collect();
    let shop =
        shop(&format!("create table shop.wide (id int primary key{columns}); select rowcast.publish('shop.wide')"))
            .await;
    shop.run("insert into shop.wide values (1)").await;
    let sums = "select count(*)::text || ' ' || sum(value::int) from rowcast.events, jsonb_each_text(payload)";
    assert_eq!(shop.one(sums).await, "251 31376");
}
