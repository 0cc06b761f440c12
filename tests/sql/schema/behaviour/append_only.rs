//! Nobody changes what was said: not a superuser, not a replica role, not at a partition, not even zero rows.

use super::{number, refused, run};
use crate::support;
use futures_util::SinkExt;
use tokio_postgres::error::DbError;

const CHANGES: &[&str] = &[
    "update TABLE set payload = '{}'",
    "update TABLE set payload = '{}' where false",
    "update TABLE set at = at where seq = 1",
    "delete from TABLE",
    "delete from TABLE where seq = -1",
    "truncate TABLE",
    "truncate TABLE restart identity cascade",
    "insert into TABLE (type) values ('a') on conflict (seq) do update set payload = '{}'",
    "with gone as (delete from TABLE returning *) select * from gone",
];

/// Since Postgres 15.
const MERGES: &[&str] = &[
    "merge into TABLE e using (values (1)) v (s) on e.seq = v.s when matched then update set payload = '{}'",
    "merge into TABLE e using (values (1)) v (s) on e.seq = v.s when matched then delete",
    "merge into TABLE e using (values (-1)) v (s) on e.seq = v.s when matched then delete",
];

fn says_how(error: &DbError, sql: &str) {
    assert_eq!(error.code().code(), "55000", "{sql}: {error}");
    let append_only = error.message().contains("rowcast.events is append-only")
        && error.hint().is_some_and(|hint| hint.contains("rowcast trim --keep"));
    let partition = error.message().contains("insert into rowcast.events, not into its partition");
    assert!(append_only || partition && sql.starts_with("insert into rowcast.events_p"), "{sql}: {error:?}");
}

#[tokio::test]
async fn events_are_never_updated_deleted_or_truncated() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    run(&client, "insert into rowcast.events (type, payload) values ('a', '{\"n\":1}'), ('b', '{\"n\":2}')").await;
    let merges = number(&client, "select current_setting('server_version_num')::bigint").await >= 150_000;
    for replication_role in ["origin", "replica", "local"] {
        run(&client, &format!("set session_replication_role = {replication_role}")).await;
        for table in ["rowcast.events", "rowcast.events_p1", "rowcast.events_p134217729"] {
            for change in CHANGES.iter().chain(MERGES.iter().filter(|_| merges)) {
                let sql = change.replace("TABLE", table);
                says_how(&refused(&client, &sql).await, &sql);
            }
        }
    }
    let unchanged = "select count(*) from rowcast.events where (seq, type, payload) in ((1, 'a', '{\"n\":1}'), (2, 'b', '{\"n\":2}'))";
    assert_eq!(number(&client, unchanged).await, 2);
    assert_eq!(number(&client, "select count(*) from rowcast.events").await, 2);
}

#[tokio::test]
async fn a_partition_takes_no_insert_of_its_own() {
    let db = support::migrated_database().await;
    let client = db.client().await;
    for replication_role in ["origin", "replica"] {
        run(&client, &format!("set session_replication_role = {replication_role}")).await;
        for sql in [
            "insert into rowcast.events_p1 (seq, type) values (1, 'a')",
            "insert into rowcast.events_p1 (seq, type) select 1, 'a' where false",
        ] {
            says_how(&refused(&client, sql).await, sql);
        }
        // A refused COPY leaves the connection of tokio-postgres out of step, so each has its own.
        let copying = db.client().await;
        run(&copying, &format!("set session_replication_role = {replication_role}")).await;
        let copy = copying.copy_in::<_, &'static [u8]>("copy rowcast.events_p1 (seq, type) from stdin").await;
        let error = match copy {
            Err(error) => error,
            Ok(sink) => {
                let mut sink = std::pin::pin!(sink);
                match sink.send(b"1\ta\n".as_slice()).await {
                    Err(error) => error,
                    Ok(()) => sink.finish().await.unwrap_err(),
                }
            }
        };
        assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("55000"), "{error:?}");
    }
    run(&client, "insert into rowcast.events (type) values ('a')").await;
    assert_eq!(number(&client, "select count(*) from rowcast.events_p1").await, 1);
}
