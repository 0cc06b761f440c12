//! What each role may do, and what not.

use super::{number, run};
use crate::support;
use futures_util::SinkExt;
use tokio_postgres::Client;

/// What Postgres answers when this role tries, which leaves nothing behind.
async fn attempt(client: &Client, role: &str, sql: &str) -> Option<String> {
    run(client, &format!("begin; set local role {role}")).await;
    let answer = client.batch_execute(sql).await;
    run(client, "rollback").await;
    answer.err().map(|error| error.code().unwrap_or_else(|| panic!("{role}: {sql}: {error}")).code().to_owned())
}

const READS: &[&str] = &[
    "select * from rowcast.events",
    "select * from rowcast.journal_state",
    "select * from rowcast.event_types",
    "select * from rowcast.query_events()",
    "select rowcast.safe_head()",
    "select last_value from rowcast.events_seq_seq",
];

const WRITES: &[&str] = &[
    "insert into rowcast.events (id, type, level, public_safe, symbol, trade_id, subject, owner, payload)
     values (gen_random_uuid(), 'a', 'warn', true, 's', gen_random_uuid(), 's', 'o', '{}') returning seq, at",
    "select rowcast.append_event('a')",
    "select rowcast.append_event('a', dedupe_key => 'k'), rowcast.append_event('a', dedupe_key => 'k')",
];

const SERVES: &[&str] = &[
    "update rowcast.journal_state set head = head + 1",
    "select rowcast.ensure_partitions()",
    "insert into rowcast.dedupe_keys (scope, key, digest) values ('s', 'k', sha256('')) on conflict do nothing;
     update rowcast.dedupe_keys set seq = 1 where scope = 's' and key = 'k'",
    "insert into rowcast.revocations (subject) values ('s') on conflict (subject) do update set revoked_at = excluded.revoked_at",
    "select * from rowcast.revocations",
    "insert into trading.trades (symbol, side, quantity, entry_price) values ('A', 'long', 1, 1);
     update trading.trades set status = 'closed', exit_price = 2, closed_at = clock_timestamp()",
    "insert into trading.orders (client_order_id, symbol, side, type, quantity) values ('c', 'A', 'buy', 'market', 1);
     update trading.orders set status = 'cancelled'",
    "insert into trading.snapshots (equity, cash) values (1, 1); select * from trading.snapshots",
    "insert into trading.config (key, value) values ('k', '1'); update trading.config set value = '2', version = 2",
    "insert into chat.speakers (id, kind, subject) values ('00000000-0000-0000-0000-000000000001', 'user', 's');
     update chat.speakers set name = 'n';
     insert into chat.conversations (id, speaker_id) select id, id from chat.speakers;
     insert into chat.utterances (conversation_id, position, speaker_id, text) select id, 1, id, 'Hello' from chat.speakers;
     update chat.conversations set status = 'closed', closed_at = clock_timestamp()",
];

const SERVER_NEVER: &[&str] = &[
    "update rowcast.journal_state set trimmed_through = head",
    "update rowcast.journal_state set min_version = 2",
    "update rowcast.journal_state set partition_rows = 1000",
    "insert into rowcast.event_types values ('a', 'A.', '{}')",
    "update rowcast.event_types set public_fields = '{secret}'",
    "delete from rowcast.dedupe_keys",
    "delete from rowcast.revocations",
    "delete from trading.trades",
    "delete from trading.orders",
    "update trading.snapshots set cash = 0",
    "update chat.utterances set text = 'Other'",
    "update chat.speakers set subject = 'other'",
    "delete from chat.conversations",
    "update chat.conversations set owner = 'other'",
    "update chat.utterances set owner = 'other'",
    "select chat.utterance_events('insert', null, '{}')",
    "select chat.conversation_events('insert', null, '{}')",
];

const NOBODY: &[&str] = &[
    "insert into rowcast.events (seq, type) overriding system value values (1, 'a')",
    "insert into rowcast.events (at, type) values (now(), 'a')",
    "update rowcast.events set payload = '{}'",
    "delete from rowcast.events",
    "truncate rowcast.events",
    "select * from rowcast.events_p1",
    "insert into rowcast.events_p1 (seq, type) values (1, 'a')",
    "drop table rowcast.events_p1",
    "alter table rowcast.events disable trigger append_only",
    "select nextval('rowcast.events_seq_seq')",
    "select setval('rowcast.events_seq_seq', 1000)",
    "create table rowcast.mine ()",
    "create function rowcast.mine() returns int language sql as 'select 1'",
];

#[tokio::test]
async fn each_role_may_do_what_it_must_and_no_more() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    let all = ["rowcast_reader", "rowcast_writer", "rowcast_server"];
    // pg_monitor stands for a role that was granted nothing here.
    let table: &[(&[&str], &[&str], &[&str])] = &[
        (READS, &all, &["pg_monitor"]),
        (WRITES, &all[1..], &["rowcast_reader", "pg_monitor"]),
        (SERVES, &all[2..], &["rowcast_reader", "rowcast_writer", "pg_monitor"]),
        (SERVER_NEVER, &[], &all),
        (NOBODY, &[], &["rowcast_reader", "rowcast_writer", "rowcast_server", "pg_monitor"]),
    ];
    for (statements, may, may_not) in table {
        for sql in *statements {
            for role in *may {
                assert_eq!(attempt(&client, role, sql).await, None, "{role}: {sql}");
            }
            for role in *may_not {
                assert_eq!(attempt(&client, role, sql).await.as_deref(), Some("42501"), "{role}: {sql}");
            }
        }
    }
}

/// A refused COPY leaves the connection of tokio-postgres out of step, so each has its own.
async fn copy_as_writer(client: Client, columns: &str, line: &'static [u8]) -> Result<u64, String> {
    run(&client, "set role rowcast_writer").await;
    let code = |error: tokio_postgres::Error| error.code().map_or_else(|| error.to_string(), |c| c.code().to_owned());
    match client.copy_in::<_, &'static [u8]>(&format!("copy rowcast.events {columns} from stdin")).await {
        Err(error) => Err(code(error)),
        Ok(sink) => {
            let mut sink = std::pin::pin!(sink);
            sink.send(line).await.unwrap();
            sink.finish().await.map_err(code)
        }
    }
}

#[tokio::test]
async fn a_writer_chooses_neither_seq_nor_time() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    let denied = Err("42501".to_owned());
    assert_eq!(copy_as_writer(db.client().await, "(seq, type)", b"7\ta\n").await, denied);
    assert_eq!(copy_as_writer(db.client().await, "(at, type)", b"2020-01-01\ta\n").await, denied);
    assert_eq!(copy_as_writer(db.client().await, "", b"7\ta\n").await, denied);
    assert_eq!(copy_as_writer(db.client().await, "(type, payload)", b"a\t{\"n\": 1}\n").await, Ok(1));
    assert_eq!(
        attempt(&client, "rowcast_writer", "insert into rowcast.events (seq, type) values (7, 'a')").await.as_deref(),
        Some("428C9")
    );
    assert_eq!(number(&client, "select seq from rowcast.events where at > now() - interval '1 minute'").await, 1);
}

#[tokio::test]
async fn a_function_that_runs_as_its_owner_is_not_led_astray() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    run(
        &client,
        "set role rowcast_writer;
         create function pg_temp.sha256(bytea) returns bytea language plpgsql as $$ begin raise 'mine'; end $$;
         create function pg_temp.convert_to(text, name) returns bytea language plpgsql as $$ begin raise 'mine'; end $$;
         set search_path = pg_temp, pg_catalog;",
    )
    .await;
    assert_eq!(number(&client, "select rowcast.append_event('a', dedupe_key => 'k')").await, 1);
}
