//! The rules of an event's values: one function behind one check, and plain types for every driver.

use super::{refused, run};
use crate::support;
use futures_util::SinkExt;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, SimpleQueryMessage};

#[tokio::test]
async fn drivers_see_plain_types_for_columns_and_parameters() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    let columns = "type, level, symbol, subject, owner, payload";
    let plain = [Type::TEXT, Type::TEXT, Type::TEXT, Type::TEXT, Type::TEXT, Type::JSONB];
    for source in ["rowcast.events", "rowcast.query_events(0)"] {
        let statement = client.prepare(&format!("select {columns} from {source}")).await.unwrap();
        let types: Vec<Type> = statement.columns().iter().map(|column| column.type_().clone()).collect();
        assert_eq!(types, plain, "{source}");
    }
    let insert = format!("insert into rowcast.events ({columns}) values ($1, $2, $3, $4, $5, $6)");
    assert_eq!(client.prepare(&insert).await.unwrap().params(), plain);
}

#[tokio::test]
async fn a_refusal_names_the_column_and_the_limit_and_keeps_the_row_to_itself() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    let payload = serde_json::json!({ "secret": "hunter2" });
    for sql in ["insert into rowcast.events (type, payload) values ($1, $2)", "select rowcast.append_event($1, $2)"] {
        client.execute(sql, &[&"note.added", &payload]).await.unwrap();
        let error = client.execute(sql, &[&"Note", &payload]).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        let rule = "type must be dotted lower-case words of at most 128 bytes";
        assert_eq!((error.code().code(), error.message(), error.column()), ("23514", rule, Some("type")), "{error}");
        assert_eq!((error.constraint(), error.table()), (Some(rule), Some("events")));
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

/// A schema that stands before `pg_catalog` in the search path of a writer. Each operator and function of it says that a value is
/// well-formed, and each type cuts values short, or refuses them. It holds what the rules of an event use, and what they could be
/// written with.
const TRAPS: &str = "
    create schema bent;
    create function bent.no(int, int) returns boolean language sql immutable as 'select false';
    create function bent.no(text, text) returns boolean language sql immutable as 'select false';
    create function bent.yes(text, text) returns boolean language sql immutable as 'select true';
    create function bent.no(timestamptz, timestamptz) returns boolean language sql immutable as 'select false';
    create operator bent.< (leftarg = int, rightarg = int, function = bent.no);
    create operator bent.<= (leftarg = int, rightarg = int, function = bent.no);
    create operator bent.> (leftarg = int, rightarg = int, function = bent.no);
    create operator bent.>= (leftarg = int, rightarg = int, function = bent.no);
    create operator bent.= (leftarg = text, rightarg = text, function = bent.yes);
    create operator bent.<> (leftarg = text, rightarg = text, function = bent.no);
    create operator bent.~ (leftarg = text, rightarg = text, function = bent.yes);
    create operator bent.!~ (leftarg = text, rightarg = text, function = bent.no);
    create operator bent.< (leftarg = timestamptz, rightarg = timestamptz, function = bent.no);
    create operator bent.>= (leftarg = timestamptz, rightarg = timestamptz, function = bent.no);
    create function bent.octet_length(text) returns int language sql immutable as 'select 1';
    create function bent.jsonb_typeof(jsonb) returns text language sql immutable as $$ select 'object' $$;
    create function bent.split_part(text, text, int) returns text language sql immutable as $$ select 'id' $$;
    create domain bent.timestamptz as pg_catalog.timestamptz check (false);
    create domain bent.text as pg_catalog.varchar(4);
    create domain bent._text as pg_catalog.text[] check (false);";

/// The values that break each rule, and the column that is named. The first, which break none, are taken.
const BROKEN: &[(&str, &str)] = &[
    ("type", "'a.b'"),
    ("type", "'A'"),
    ("type", "repeat('a', 129)"),
    ("level", "'fatal'"),
    ("symbol", "''"),
    ("symbol", "repeat('a', 65)"),
    ("subject", "''"),
    ("subject", "repeat('a', 1025)"),
    ("owner", "''"),
    ("owner", "repeat('a', 257)"),
    ("payload", "'[]'"),
    ("payload", "jsonb_build_object('a', repeat('a', 262144))"),
    ("at", "'0001-12-31 00:00:00+00 BC'"),
    ("at", "'10000-01-01 00:00:00+00'"),
];

/// A function of plpgsql is parsed in the session that calls it first, under the search path of that session.
#[tokio::test]
async fn the_search_path_of_a_writer_cannot_bend_the_rules() {
    let db = support::migrated_database().await;
    run(&db.client().await, TRAPS).await;
    let insert = |column: &str, value: &str| match column {
        "type" => format!("insert into rowcast.events (type) values ({value})"),
        _ => format!("insert into rowcast.events (type, {column}) values ('a.b', {value})"),
    };
    for path in ["bent, pg_catalog", "pg_catalog, bent", "bent, pg_temp, pg_catalog"] {
        let client = db.client().await;
        run(&client, &format!("set search_path = {path}")).await;
        let (good, broken) = BROKEN.split_first().unwrap();
        run(&client, &insert(good.0, good.1)).await;
        for (column, value) in broken {
            let error = refused(&client, &insert(column, value)).await;
            assert_eq!(error.code().code(), "23514", "{path}: {column} {value}: {error:?}");
            assert_eq!(error.column(), Some(*column), "{path}: {value}: {error:?}");
            assert!(error.message().starts_with(&format!("{column} must ")), "{path}: {column} {value}: {error:?}");
        }
    }
}

/// With `standard_conforming_strings = off` the parser drops backslashes, and a function is parsed in the session that calls it first.
#[tokio::test]
async fn the_way_in_which_a_session_reads_strings_cannot_bend_the_rules() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    let holds = "select coalesce(string_agg(p.oid::regprocedure::text, ' '), 'none') from pg_proc p
                  where p.pronamespace::regnamespace::text in ('rowcast', 'trading', 'chat') and strpos(p.prosrc, chr(92)) > 0";
    assert_eq!(text(&client, holds).await, "none");
    run(&client, "set standard_conforming_strings = off; set escape_string_warning = off").await;
    for sql in ["insert into rowcast.events (type) values ('a b!c')", "select rowcast.append_event('a b!c')"] {
        let error = refused(&client, sql).await;
        assert_eq!(error.message(), "type must be dotted lower-case words of at most 128 bytes", "{sql}");
    }
    run(&client, "insert into rowcast.events (type) values ('a.b')").await;
    assert_eq!(text(&client, "select count(*)::text from rowcast.query_events(types => '{a.*}')").await, "1");
    refused(&client, "select rowcast.query_events(types => '{ab*}')").await;
    run(&client, "select rowcast.ensure_partitions()").await;
    let table = "create table public.t (id int primary key)";
    let error = refused(&client, &format!("{table}; select rowcast.publish('public.t', type_prefix => 'a b')")).await;
    assert!(error.message().starts_with("type_prefix must be dotted"), "{error}");
    run(&client, &format!("{table}; select rowcast.publish('public.t')")).await;
}

#[tokio::test]
async fn each_filter_of_query_events_finds_its_index() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    run(&client, "set enable_seqscan = off; set enable_bitmapscan = off").await;
    for (condition, index) in [
        ("type = 'a.b'", "events_p1_type_seq_idx"),
        ("type = $1::text", "events_p1_type_seq_idx"),
        ("(type >= 'a.' and type < 'a/')", "events_p1_type_seq_idx"),
        ("symbol = $1::text", "events_p1_symbol_seq_idx"),
        ("subject = $1::text", "events_p1_subject_seq_idx"),
        ("owner = $1::text", "events_p1_owner_seq_idx"),
    ] {
        let (given, argument) = if condition.contains("$1") { ("(text)", "('a')") } else { ("", "") };
        run(&client, &format!("prepare look{given} as select * from rowcast.events where {condition} and seq < 9"))
            .await;
        let plan = text(&client, &format!("explain execute look{argument}")).await;
        assert!(plan.contains(&format!("Index Scan using {index} ")), "{condition}: {plan}");
        let keys = plan.lines().find(|line| line.contains("Index Cond")).unwrap_or_default();
        assert!(keys.contains("::text") && keys.contains("seq < 9"), "{condition}: {plan}");
        run(&client, "deallocate look").await;
    }
}

/// The first column of every row, a line each.
async fn text(client: &Client, sql: &str) -> String {
    let answer = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let rows = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    rows.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn copy_is_held_to_the_rules() {
    let db = support::migrated_database().await;
    assert_eq!(copy(db.client().await, b"a.b\tinfo\t\\N\t{}\n").await, Ok(1));
    let bad: &[(&[u8], &str)] = &[
        (b"A\tinfo\tx\t{}\n", "type must be dotted lower-case words of at most 128 bytes"),
        (b"a\tfatal\tx\t{}\n", "level must be debug, info, warn, error or critical"),
        (b"a\tinfo\t\t{}\n", "symbol must be 1 to 64 bytes"),
        (b"a\tinfo\tx\t[]\n", "payload must be a JSON object"),
    ];
    for (line, rule) in bad {
        assert_eq!(copy(db.client().await, line).await, Err(("23514".to_owned(), (*rule).to_owned())));
    }
}

/// A refused COPY leaves the connection of tokio-postgres out of step, so each has its own.
async fn copy(client: Client, line: &'static [u8]) -> Result<u64, (String, String)> {
    let sql = "copy rowcast.events (type, level, symbol, payload) from stdin";
    let mut sink = std::pin::pin!(client.copy_in::<_, &'static [u8]>(sql).await.unwrap());
    sink.send(line).await.unwrap();
    sink.finish().await.map_err(|error| {
        let error = error.as_db_error().unwrap();
        (error.code().code().to_owned(), error.constraint().unwrap_or_default().to_owned())
    })
}
