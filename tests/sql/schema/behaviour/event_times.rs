//! Times that not everybody can write are refused, whoever writes them.

use super::{refused, run};
use crate::support;

/// Each time that is read, as an insert that sets it.
const COLUMNS: &[(&str, &str)] = &[
    ("at", "insert into rowcast.events (type, at) values ('a', $)"),
    ("revoked_at", "insert into rowcast.revocations (subject, revoked_at) values (gen_random_uuid(), $)"),
    (
        "opened_at",
        "insert into trading.trades (symbol, side, quantity, entry_price, opened_at) values ('A', 'long', 1, 1, $)",
    ),
    (
        "closed_at",
        "insert into trading.trades (symbol, side, quantity, entry_price, status, exit_price, opened_at, closed_at)
         values ('A', 'long', 1, 1, 'closed', 1, '0001-01-01Z', $)",
    ),
    (
        "created_at",
        "insert into trading.orders (client_order_id, symbol, side, type, quantity, created_at, updated_at)
         values (gen_random_uuid(), 'A', 'buy', 'market', 1, $, '9999-12-31 23:59:59Z')",
    ),
    (
        "updated_at",
        "insert into trading.orders (client_order_id, symbol, side, type, quantity, created_at, updated_at)
         values (gen_random_uuid(), 'A', 'buy', 'market', 1, '0001-01-01Z', $)",
    ),
    ("taken_at", "insert into trading.snapshots (equity, cash, taken_at) values (1, 1, $)"),
    ("updated_at", "insert into trading.config (key, value, updated_at) values ('k' || nextval('n'), '1', $)"),
    ("changed_at", "insert into trading.config_history (key, version, changed_at) values ('k', 1, $)"),
    ("created_at", "insert into chat.speakers (kind, name, created_at) values ('bot', gen_random_uuid(), $)"),
    (
        "opened_at",
        "insert into chat.conversations (speaker_id, status, opened_at, closed_at) select id, 'closed', $, '9999-12-31 23:59:59Z' from chat.speakers limit 1",
    ),
    (
        "closed_at",
        "insert into chat.conversations (speaker_id, status, opened_at, closed_at) select id, 'closed', '0001-01-01Z', $ from chat.speakers limit 1",
    ),
    (
        "said_at",
        "insert into chat.utterances (conversation_id, position, speaker_id, text, said_at)
         select id, nextval('n'), speaker_id, 'a', $ from chat.conversations limit 1",
    ),
];
/// What the insert needs.
const ROWS: &str = "create sequence n; insert into chat.speakers (kind, subject) values ('user', 'u');
     insert into chat.conversations (speaker_id) select id from chat.speakers;";

const GOOD: &[&str] = &["'0001-01-01 00:00:00Z'", "'2026-01-27 10:00:00Z'", "'9999-12-31 22:59:59.999999Z'"];
const BAD: &[&str] =
    &["'0001-12-31 23:59:59.999999Z BC'", "'10000-01-01 00:00:00Z'", "'12345-01-01'", "'-infinity'", "'infinity'"];

#[tokio::test]
async fn a_time_outside_the_years_1_to_9999_is_refused_by_its_name() {
    let db = support::migrated_database().await;
    run(&db.client().await, ROWS).await;
    // The functions are planned once a session: under the settings that it has then.
    for settings in ["", "set timezone = 'Pacific/Kiritimati'; set datestyle = 'SQL, DMY'"] {
        let client = db.client().await;
        run(&client, settings).await;
        for (column, sql) in COLUMNS {
            for good in GOOD {
                // What is published renders its times at commit, and must be able to.
                run(&client, &sql.replace('$', good)).await;
            }
            for bad in BAD {
                let sql = sql.replace('$', bad);
                let error = refused(&client, &sql).await;
                let said = format!("{column} must lie in the years 1 to 9999, in UTC");
                assert_eq!(error.code().code(), "23514", "{sql}: {error}");
                // What comes before that which it must follow breaks two rules, and Postgres names the first by its letters.
                let order = error.constraint().is_some_and(|name| name.ends_with("_times_check"));
                let named = error.constraint() == Some(&said) && error.message().contains(&said);
                assert!(order || named, "{sql}: {error}");
            }
        }
    }
}
