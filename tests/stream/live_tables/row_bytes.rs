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
