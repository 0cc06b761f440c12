//! A row is its event, byte for byte, whatever its columns hold and whatever the settings of sessions are.

use super::LiveShop;

/// Columns of every kind, and values at the limits.
const TABLE: &str = r#"
    create type shop.mood as enum ('so so', 'fine');
    create type shop.place as (street text, number int);
    create domain shop.cents as numeric(12,2);
    create table shop.t (
        id numeric, part text, big bigint, price shop.cents, amount money, ratio float8, flag boolean, padded char(4), at timestamptz,
        day date, span interval, raw bytea, doc jsonb, text_doc json, list int[], names text[], grid bigint[], mood shop.mood,
        place shop.place, within int4range, body text, more text, address inet, ident uuid,
        moment timestamp, short smallint, label varchar(20), "zß" text, "a""'" text, "Zz" boolean, zz date, primary key (id, part));
    select rowcast.publish('shop.t');
    insert into shop.t (id, part) values (1.0, 'nulls');
    insert into shop.t values (2.50, 'ä"\', 9007199254740993, 10.5, '12.34', 'NaN', true, 'ab', '2026-01-27 10:00:00.5+02', 'infinity',
        '1 month 2 days 3 hours', '\xdeadbeef', '{"a":[1,null],"password":"hunter2"}', '{"z":1, "a":2}', '{{1,2},{3,4}}', '{a,null,"b c"}',
        '{1,2}', 'so so', row('x', 3), '[1,6)', 'text', 'x', '10.0.0.1/8', '9f3a11c2-0000-4000-8000-00000000002a',
        '2026-01-27 10:00:00.25', -7, E'tab\t\u2028', E'\u007f\n/', '\"', false, '0044-03-15 BC');
    insert into shop.t (id, part, text_doc) values (3, 'json', '{"n":1e999,"u":"\u0000"}');
    insert into shop.t (id, part, body) values (4, 'large', repeat('x', 200000)), (5, 'larger', repeat('x', 300000)),
        (6, 'escapes', repeat(E'\u0001', 100000)), (7, 'compressed', repeat('a', 2000000)), (8, repeat('k', 2000), 'long key');
    insert into shop.t (id, part, body, more) values (9, 'two', repeat('x', 270000), repeat('y', 280000)),
        (10, 'sum', repeat('x', 140000), repeat('y', 140000));
    insert into shop.t (id, part, doc) select 11, 'doc', jsonb_agg(repeat('z', 50)) from generate_series(1, 8000)"#;

#[tokio::test]
async fn a_row_has_the_bytes_of_its_event_in_both_forms() {
    let shop = LiveShop::start(TABLE, &[]).await;
    let settings = "set timezone to 'Asia/Tokyo'; alter database current set datestyle to 'SQL, DMY'";
    // What a login has set for itself changes nothing.
    let login = settings.replace("alter database current set datestyle to 'SQL, DMY'", "set datestyle to 'SQL, DMY'");
    shop.run(&login).await;
    shop.run("update shop.t set flag = not flag where id = 2.5").await;
    let events = shop.admin("/v1/events?cursor=earliest&limit=1000&type=shop.t.*&sync=true").await;
    let mut last = std::collections::BTreeMap::new();
    for event in events.body.split(r#"{"seq":"#).skip(1) {
        let subject = event.split(r#""subject":"#).nth(1).unwrap().split(r#","payload":"#).next().unwrap();
        let payload = event.split(r#""payload":"#).nth(1).unwrap().trim_end_matches([',', ']']);
        let payload = payload.rsplit_once('}').unwrap().0;
        let payload = payload.split(r#"],"cursor""#).next().unwrap().trim_end_matches('}').to_owned();
        last.insert(subject.to_owned(), payload);
    }
    assert_eq!(last.len(), 11);
    // A table that was published before there was a function for many rows at once is read row by row.
    for before in ["select", "drop function shop.rowcast_rows_t(refcursor, integer)"] {
        shop.run(before).await;
        let json = shop.admin("/v1/snapshot?table=shop.t&sync=true").await;
        assert_eq!(json.status, 200, "{}", json.body);
        for (subject, payload) in &last {
            let row = format!(r#"{{"subject":{subject},"payload":{payload}"#);
            assert!(json.body.contains(&row), "{} of {subject}", &row[..row.len().min(800)]);
        }
        assert!(json.body.contains("[redacted]") && !json.body.contains("hunter2"));
        assert_eq!(json.body.matches(r#"{"subject":"#).count(), 11);
    }
    shop.end().await;
}

#[tokio::test]
async fn rows_of_partitions_are_read_at_their_root_and_those_of_children_are_not() {
    let shop = LiveShop::start(
        "create table shop.days (id int, day date, primary key (id, day)) partition by range (day);
         create table shop.days_1 partition of shop.days for values from ('2026-01-01') to ('2026-02-01');
         create table shop.days_2 partition of shop.days for values from ('2026-02-01') to ('2026-03-01');
         create table shop.parent (id int primary key); create table shop.child () inherits (shop.parent);
         select rowcast.publish('shop.days'); select rowcast.publish('shop.parent');
         insert into shop.days values (1, '2026-01-05'), (2, '2026-02-05');
         update shop.days set day = '2026-02-06' where id = 1;
         insert into shop.parent values (1); insert into shop.child values (2)",
        &[],
    )
    .await;
    let who = Some((rowcast::auth::Role::Viewer, "vera"));
    let days =
        [r#"["1","2026-02-06"] {"day":"2026-02-06","id":1}"#, r#"["2","2026-02-05"] {"day":"2026-02-05","id":2}"#];
    assert_eq!(shop.rows(who, "/v1/snapshot?table=shop.days").await, days);
    assert_eq!(shop.rows(who, "/v1/snapshot?table=shop.parent").await, [r#"1 {"id":1}"#]);
    shop.end().await;
}

/// Tables with columns that have the name under which rows are read, and columns with arrays of json.
const AWKWARD: &str = r#"
    create type shop.pair as (id int, name text);
    create table shop.named (t text primary key, t_ int, body text);
    select rowcast.publish('shop.named', owner_column => 't');
    insert into shop.named values ('a', 1, 'x'), ('large', 2, repeat('x', 300000)), ('escapes', 3, repeat(E'\u0001', 100000));
    create table shop.paired (id int primary key, name text, t shop.pair);
    select rowcast.publish('shop.paired');
    insert into shop.paired values (1, 'one', (7, 'seven')), (2, repeat('y', 300000), (8, 'eight')), (3, null, null),
        (4, repeat(E'\u0001', 100000), (9, null));
    create function shop.m(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb) language sql
        as $$ select 'shop.mapped.' || op, 'info', new $$;
    create table shop.mapped (id int primary key, t int); select rowcast.publish('shop.mapped', map => 'shop.m', state_key => '{id}');
    insert into shop.mapped values (1, 2);
    create domain shop.doc as json; create domain shop.docs as json[];
    create type shop.inner_docs as (list shop.docs); create type shop.outer_docs as (inside shop.inner_docs, one json);"#;

/// Types with an array of json in them, and a value with this element.
const LISTS: [(&str, &str, &str); 5] = [
    ("json", "json[]", "array['{}', ELEMENT]::json[]"),
    ("domain", "shop.docs", "array['{}', ELEMENT]::json[]"),
    ("elements", "shop.doc[]", "array[ELEMENT]::shop.doc[]"),
    ("composite", "shop.inner_docs", "row(array[ELEMENT]::json[])::shop.inner_docs"),
    ("nested", "shop.outer_docs", "row(row(array[ELEMENT]::json[]), '{}')::shop.outer_docs"),
];

#[tokio::test]
async fn a_row_has_the_bytes_of_its_event_whatever_its_columns_are_called_and_though_jsonb_cannot_hold_it() {
    let mut sql = AWKWARD.to_owned();
    for (name, of, value) in LISTS {
        let [plain, nul, big] =
            ["'[1.50, null]'", r#"'"\u0000"'"#, "'1e400000'"].map(|json| value.replace("ELEMENT", json));
        sql += &format!(
            "create table shop.{name} (id int primary key, y {of}, z text); select rowcast.publish('shop.{name}');
             insert into shop.{name} values (1, {plain}, 'z'), (2, {nul}, 'z'), (3, {big}, 'z'), (4, null, null),
                 (5, {plain}, repeat('z', 300000));"
        );
    }
    let shop = LiveShop::start(&sql, &[]).await;
    let tables = [("named", 3), ("paired", 4), ("mapped", 1)].into_iter().chain(LISTS.map(|(name, ..)| (name, 5)));
    for (table, count) in tables {
        let query = "select to_json(subject)::text, payload::text from rowcast.events where type like $1";
        let events = shop.sql.query(query, &[&format!("shop.{table}.%")]).await.unwrap();
        assert_eq!(events.len(), count, "{table}");
        let sent = shop.admin(&format!("/v1/events?cursor=earliest&limit=1000&type=shop.{table}.*&sync=true")).await;
        let json = shop.admin(&format!("/v1/snapshot?table=shop.{table}&sync=true")).await;
        assert_eq!(json.status, 200, "{table}: {}", json.body);
        assert_eq!(json.body.matches(r#"{"subject":"#).count(), count, "{table}");
        for event in events {
            let (subject, payload): (String, String) = (event.get(0), event.get(1));
            let shown = payload[..payload.len().min(300)].to_owned();
            assert!(sent.body.contains(&format!(r#""payload":{payload}}}"#)), "{table} {subject}: {shown}");
            assert!(json.body.contains(&format!(r#""payload":{payload}}}"#)), "{table} {subject}: {shown}");
            assert!(json.body.contains(&format!(r#"{{"subject":{subject},"#)), "{table} {subject}");
            let lost = LISTS.iter().any(|list| list.0 == table) && ["\"2\"", "\"3\""].contains(&subject.as_str());
            assert_eq!(lost, payload.contains(r#""_truncated": ["y"]"#), "{table} {subject}: {shown}");
        }
    }
    let own = shop.rows(Some((rowcast::auth::Role::User, "a")), "/v1/snapshot?table=shop.named&sync=true").await;
    assert_eq!(own, [r#"a {"body":"x","t":"a","t_":1}"#]);
    shop.end().await;
}
