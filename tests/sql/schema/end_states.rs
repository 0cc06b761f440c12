//! However a database came to the last migration, it ends the same: at once, in two steps with data in between, or
//! by the runner of the refinery command line, which reads the directory instead of what is embedded.

use super::catalog;
use super::facts::{Facts, differences};
use super::in_repository;
use crate::support::{self, TestDb};
use refinery::{Runner, Target};

mod embedded {
    refinery::embed_migrations!("sql/migrations");
}

/// The last migration of the journal itself, before publishing and the applications.
const JOURNAL: i32 = 9;

type History = Vec<(i32, String, String)>;

async fn state(db: &TestDb) -> (Facts, History) {
    let client = db.client().await;
    let facts = catalog::read(&client).await;
    let query = "select version, name, checksum from public.refinery_schema_history order by version";
    let rows = client.query(query, &[]).await.unwrap();
    (facts, rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
}

async fn run(db: &TestDb, runner: Runner) -> usize {
    let report = Box::pin(runner.run_async(&mut db.client().await)).await.unwrap();
    report.applied_migrations().len()
}

fn same(name: &str, (facts, history): &(Facts, History), (expected, expected_history): &(Facts, History)) {
    let lines = differences(("migrated at once", expected), (name, facts));
    assert!(lines.is_empty(), "{}", lines.join("\n"));
    assert_eq!(history, expected_history, "{name}");
}

#[tokio::test]
async fn migrated_at_once_in_steps_or_by_the_command_line_it_ends_the_same() {
    let at_once = support::empty_database().await;
    support::migrate(&at_once.url).await;
    let expected = state(&at_once).await;
    assert_eq!(expected.1.len(), embedded::migrations::runner().get_migrations().len());

    let template = support::migrated_database().await;
    same("a clone of the template", &state(&template).await, &expected);

    let from_directory = || Runner::new(&refinery::load_sql_migrations(in_repository("sql/migrations")).unwrap());
    let command_line = support::empty_database().await;
    assert_eq!(run(&command_line, from_directory()).await, expected.1.len());
    same("by the command line", &state(&command_line).await, &expected);
    // Either may follow the other and finds nothing to do.
    assert_eq!(run(&command_line, embedded::migrations::runner()).await, 0);
    assert_eq!(run(&at_once, from_directory()).await, 0);
    same("by both", &state(&at_once).await, &expected);
}

#[tokio::test]
async fn data_written_between_two_migrations_stays_and_the_schema_ends_the_same() {
    let at_once = support::migrated_database().await;
    let stepwise = support::empty_database().await;
    let all = embedded::migrations::runner().get_migrations().len();
    let journal = embedded::migrations::runner().set_target(Target::Version(JOURNAL));
    let journal = run(&stepwise, journal).await;
    let client = stepwise.client().await;
    client
        .batch_execute(
            "insert into rowcast.events (type, payload) select 'step.taken', jsonb_build_object('n', n) from generate_series(1, 100) n;
             update rowcast.journal_state set head = 100;
             insert into rowcast.event_types values ('step.taken', 'A step.', '{n}');
             insert into rowcast.dedupe_keys (key, seq, digest) values ('k', 7, sha256('k'));
             insert into rowcast.revocations (subject) values ('alice');",
        )
        .await
        .unwrap();
    assert_eq!(run(&stepwise, embedded::migrations::runner()).await, all - journal);
    same("in steps", &state(&stepwise).await, &state(&at_once).await);
    let row = client
        .query_one(
            "select (select count(*) from rowcast.query_events(max_rows => 1000)), (select head from rowcast.journal_state),
                    (select count(*) from rowcast.event_types where type = 'step.taken'),
                    (select count(*) from rowcast.dedupe_keys),
                    (select count(*) from rowcast.revocations)",
            &[],
        )
        .await
        .unwrap();
    let counts: Vec<i64> = (0..5).map(|i| row.get(i)).collect();
    assert_eq!(counts, [100, 100, 1, 1, 1]);
}
