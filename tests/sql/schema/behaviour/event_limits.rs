//! Each limit of an event, one under, at, and one over it. The message names the column and the limit, since it is
//! what a person at a prompt reads.

use super::{number, refused, refused_with, run};
use crate::support;

/// An expression for a text of so many bytes, made of two-byte letters as far as it goes.
fn bytes(count: usize) -> String {
    format!("repeat('ä', {}) || repeat('a', {})", count / 2, count % 2)
}

#[tokio::test]
async fn texts_keep_within_their_bytes() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    for (column, least, most, message) in [
        ("symbol", 1, 64, "symbol must be 1 to 64 bytes"),
        ("subject", 1, 1024, "subject must be 1 to 1024 bytes"),
        ("owner", 1, 256, "owner must be 1 to 256 bytes"),
    ] {
        let insert = |n| format!("insert into rowcast.events (type, {column}) values ('a', {})", bytes(n));
        let append = |n| format!("select rowcast.append_event('a', {column} => {})", bytes(n));
        for fits in [least, most - 1, most] {
            run(&client, &insert(fits)).await;
            run(&client, &append(fits)).await;
        }
        for exceeds in [least - 1, most + 1] {
            refused_with(&client, &insert(exceeds), "23514", message).await;
            refused_with(&client, &append(exceeds), "23514", message).await;
        }
    }
}

#[tokio::test]
async fn types_are_dotted_lower_case_words_of_at_most_128_bytes() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    for good in ["'a'", "'a.b_c.d0'", "'_'", "'0'", "repeat('a', 127)", "repeat('a', 128)", "repeat('a.', 63) || 'bc'"]
    {
        run(&client, &format!("insert into rowcast.events (type) values ({good})")).await;
    }
    let bad = [
        "''",
        "'A'",
        "'a.B'",
        "'.a'",
        "'a.'",
        "'a..b'",
        "'a b'",
        "'a-b'",
        "'ä'",
        "E'a\\n'",
        "E'a\\nb'",
        "'a.*'",
        "repeat('a', 129)",
        "repeat('a.', 64) || 'b'",
    ];
    for bad in bad {
        let message = "type must be dotted lower-case words of at most 128 bytes";
        refused_with(&client, &format!("insert into rowcast.events (type) values ({bad})"), "23514", message).await;
        refused_with(&client, &format!("select rowcast.append_event({bad})"), "23514", message).await;
    }
    for column in ["type", "level", "payload", "id", "public_safe"] {
        let other = if column == "type" { "" } else { ", type" };
        let value = if column == "type" { "" } else { ", 'a'" };
        let sql = format!("insert into rowcast.events ({column}{other}) values (null{value})");
        let error = refused(&client, &sql).await;
        assert_eq!((error.code().code(), error.column()), ("23502", Some(column)), "{error}");
    }
}

#[tokio::test]
async fn levels_are_the_five() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    for good in ["debug", "info", "warn", "error", "critical"] {
        run(&client, &format!("insert into rowcast.events (type, level) values ('a', '{good}')")).await;
    }
    for bad in ["", "INFO", "warning", "fatal", " info"] {
        let sql = format!("insert into rowcast.events (type, level) values ('a', '{bad}')");
        refused_with(&client, &sql, "23514", "level must be debug, info, warn, error or critical").await;
    }
}

#[tokio::test]
async fn payloads_are_objects_of_at_most_262144_bytes_of_text() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    let insert = |payload: &str| format!("insert into rowcast.events (type, payload) values ('a', {payload})");
    for bad in ["'[]'", "'1'", "'null'", "'true'", "'\"text\"'"] {
        refused_with(&client, &insert(bad), "23514", "payload must be a JSON object").await;
    }
    // The text that Postgres prints counts: {"t": ""} is 9 bytes around the letters.
    let limit = "payload must be at most 262144 bytes (256 KiB)";
    let sized = |total: usize| insert(&format!("jsonb_build_object('t', {})", bytes(total - 9)));
    run(&client, &sized(262_143)).await;
    run(&client, &sized(262_144)).await;
    assert_eq!(number(&client, "select max(octet_length(payload::text))::bigint from rowcast.events").await, 262_144);
    refused_with(&client, &sized(262_145), "23514", limit).await;
    // A number is counted as it prints, too: 1e131071 is eight bytes on the way in and 131072 on the way out.
    run(&client, &insert("'{\"n\": 1e131071}'")).await;
    refused_with(&client, &insert("'{\"n\": 1e131071, \"m\": 1e131071}'"), "23514", limit).await;
    // What compresses well is no smaller to a reader.
    refused_with(&client, &insert("jsonb_build_object('t', repeat(' ', 1000000))"), "23514", limit).await;
    for (bad, code) in [
        ("'{\"n\": 1e999999}'", "22003"),
        ("'{\"t\": \"\\u0000\"}'", "22P05"),
        ("'{\"n\": NaN}'", "22P02"),
        ("'{'", "22P02"),
    ] {
        let error = refused(&client, &insert(bad)).await;
        assert_eq!(error.code().code(), code, "{bad}: {error}");
    }
}
