//! `rowcast migrate`: once, twice, twenty at a time, behind and ahead.

use crate::support::{JWT_SECRET, connect, empty_database, migrate, migrated_database, run, text, until};

const EACH: usize = 20;

/// What such a database shows to whoever looks: its history, and which binary it asks for.
const PRERELEASE_DATABASE: &str = "
    create table refinery_schema_history (version int4 primary key, name varchar(255), applied_on varchar(255), checksum varchar(255));
    insert into refinery_schema_history select n, 'any', '2026-01-01T00:00:00Z', n::text from generate_series(1, 23) n;
    update refinery_schema_history set name = 'journal', checksum = '15130496798690391359' where version = 1;
    create schema rowcast;
    create table rowcast.journal_state (min_version integer);
    insert into rowcast.journal_state values (20);";

#[tokio::test]
async fn twenty_at_once_against_an_empty_database_end_well_with_one_history() {
    let db = empty_database().await;
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..EACH {
        let url = db.url.clone();
        all.spawn(async move { run(&["migrate"], &[("DATABASE_URL", &url)]).await });
    }
    let mut applied = 0;
    while let Some(answer) = all.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status.code(), Some(0), "{}", text(&answer.stderr));
        applied += usize::from(text(&answer.stdout).contains("applied V1__roles_and_schemas"));
    }
    assert_eq!(applied, 1);
    let rows = db.client().await.query("select version from refinery_schema_history", &[]).await.unwrap();
    assert_eq!(rows.len(), rowcast::db::migrate::embedded().len());
}

#[tokio::test]
async fn check_compares_and_changes_nothing() {
    let db = empty_database().await;
    let environment = [("DATABASE_URL", db.url.as_str())];
    let behind = run(&["migrate", "--check"], &environment).await;
    assert_eq!(behind.status.code(), Some(1));
    assert!(text(&behind.stdout).starts_with("missing V1__roles_and_schemas\n"));
    let there = "select to_regclass('refinery_schema_history') is null";
    assert!(db.client().await.query_one(there, &[]).await.unwrap().get::<_, bool>(0));

    migrate(&db.url).await;
    let current = run(&["migrate", "--check"], &environment).await;
    assert_eq!((current.status.code(), text(&current.stdout).as_str()), (Some(0), "the schema is up to date\n"));
    let again = run(&["migrate"], &environment).await;
    assert_eq!(text(&again.stdout), "nothing to do: the schema is up to date\n");
}

#[tokio::test]
async fn a_history_that_somebody_locks_is_told_with_the_name_of_who_locks_it() {
    let db = migrated_database().await;
    let stranger = db.stranger().await;
    stranger
        .simple_query("begin; savepoint a; select nextval('public.refinery_schema_history'::regclass)")
        .await
        .unwrap_err();
    stranger.batch_execute("rollback to a").await.unwrap();
    let waiting = db.stranger().await;
    let user: String = waiting.query_one("select current_user::text", &[]).await.unwrap().get(0);
    // It waits for the other, and no reader gets past it. That it has no right is found after that.
    let rule = "create rule zz as on select to public.refinery_schema_history do instead select 1";
    let refused = tokio::spawn(async move { waiting.batch_execute(rule).await.unwrap_err() });
    let client = db.client().await;
    let waits = "select exists (select from pg_locks where mode = 'AccessExclusiveLock' and not granted \
                                 and relation = 'public.refinery_schema_history'::regclass)";
    until("it waits", || async { client.query_one(waits, &[]).await.unwrap().get(0) }).await;
    for args in [&["migrate"][..], &["migrate", "--check"]] {
        let answer = run(args, &[("DATABASE_URL", &db.url)]).await;
        let said = text(&answer.stderr);
        assert!(said.contains("the history of migrations is locked, by pid ") && said.contains(&user), "{said}");
        assert_eq!(answer.status.code(), Some(1));
    }
    stranger.batch_execute("rollback").await.unwrap();
    refused.await.unwrap();
    assert_eq!(run(&["migrate", "--check"], &[("DATABASE_URL", &db.url)]).await.status.code(), Some(0));
}

#[tokio::test]
async fn a_newer_database_is_let_be_unless_it_asks_for_a_newer_binary() {
    let db = migrated_database().await;
    let client = db.client().await;
    let newer = "insert into refinery_schema_history values (999, 'future', '2026-01-01T00:00:00Z', '1')";
    client.batch_execute(newer).await.unwrap();
    for args in [&["migrate"][..], &["migrate", "--check"]] {
        let answer = run(args, &[("DATABASE_URL", &db.url)]).await;
        assert_eq!(answer.status.code(), Some(0), "{}", text(&answer.stderr));
    }
    client.batch_execute("update rowcast.journal_state set min_version = 999").await.unwrap();
    for args in [&["migrate"][..], &["migrate", "--check"]] {
        let answer = run(args, &[("DATABASE_URL", &db.url)]).await;
        assert_eq!(answer.status.code(), Some(1));
        assert!(text(&answer.stderr).contains("use a newer rowcast"), "{}", text(&answer.stderr));
    }
}

#[tokio::test]
async fn a_migration_that_was_changed_after_it_was_applied_is_named() {
    let db = migrated_database().await;
    let changed = "update refinery_schema_history set checksum = '1' where version = 2";
    db.client().await.batch_execute(changed).await.unwrap();
    let answer = run(&["migrate"], &[("DATABASE_URL", &db.url)]).await;
    assert_eq!(answer.status.code(), Some(1));
    assert!(text(&answer.stderr).contains("V2__checks was applied with another content"));
}

#[tokio::test]
async fn a_database_of_before_the_first_release_is_told_what_happened_and_stays_as_it_is() {
    let db = empty_database().await;
    let client = db.client().await;
    client.batch_execute(PRERELEASE_DATABASE).await.unwrap();
    let set =
        [("DATABASE_URL", db.url.as_str()), ("ROWCAST_JWT_SECRET", JWT_SECRET), ("ROWCAST_LISTEN", "127.0.0.1:0")];
    for args in [&["migrate"][..], &["migrate", "--check"], &["serve"]] {
        let answer = run(args, &set).await;
        let said = text(&answer.stderr);
        assert_eq!(answer.status.code(), Some(1), "{args:?}: {said}");
        assert!(
            said.contains("migrated by a Rowcast before 0.1.0, whose migrations were replaced"),
            "{args:?}: {said}"
        );
        assert!(said.contains("needs an empty database"), "{args:?}: {said}");
    }
    let left = "select count(*) from refinery_schema_history, rowcast.journal_state where min_version = 20";
    assert_eq!(client.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 23);
}

#[tokio::test]
async fn what_postgres_says_of_a_failed_migration_is_told() {
    let db = empty_database().await;
    db.client().await.batch_execute("create schema rowcast").await.unwrap();
    let answer = run(&["migrate"], &[("DATABASE_URL", &db.url)]).await;
    assert_eq!(answer.status.code(), Some(1));
    let said = text(&answer.stderr);
    assert!(said.contains("V1__roles_and_schemas") && said.contains("schema \"rowcast\" already exists"), "{said}");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_told_in_one_line() {
    let answer = run(&["migrate"], &[("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/d")]).await;
    assert_eq!(answer.status.code(), Some(1));
    let said = text(&answer.stderr);
    assert!(said.contains("Postgres cannot be reached") && !said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn an_owner_named_like_a_schema_finds_its_own_history_again() {
    let db = empty_database().await;
    let client = db.client().await;
    // Roles belong to the cluster: another test database may have it already.
    let role = "do $$ begin create role rowcast superuser login password 'secret';
                exception when duplicate_object or unique_violation then null; end $$";
    client.batch_execute(role).await.unwrap();
    let url = db.url_of("rowcast", "secret");
    for said in ["applied V1__roles_and_schemas", "nothing to do"] {
        let answer = run(&["migrate"], &[("DATABASE_URL", &url)]).await;
        assert!(text(&answer.stdout).starts_with(said), "{}", text(&answer.stderr));
    }
    let path = connect(&url).await.query_one("show search_path", &[]).await.unwrap();
    assert_eq!(path.get::<_, &str>(0), "public", "and so does the refinery CLI");
}

#[tokio::test]
async fn a_database_that_takes_no_changes_is_named_with_the_way_out() {
    let db = migrated_database().await;
    let alter = format!("alter database {} set default_transaction_read_only = on", db.name);
    db.client().await.batch_execute(&alter).await.unwrap();
    let answer = run(&["migrate"], &[("DATABASE_URL", &db.url)]).await;
    let said = text(&answer.stderr);
    assert_eq!(answer.status.code(), Some(1), "{said}");
    assert!(said.contains("takes no changes, since default_transaction_read_only is on: switch it off"), "{said}");
}

/// Any login can take any advisory lock: the one of migrations, and any other that a migration could wait for.
#[tokio::test]
async fn no_login_without_rights_can_hang_a_migration() {
    let of_migrations = "select pg_advisory_lock(8245940711459091457)";
    let of_partitions = "select pg_advisory_lock(hashtextextended('rowcast.ensure_partitions', 0))";
    let locks = format!("{of_migrations}; {of_partitions}");
    for db in [empty_database().await, migrated_database().await] {
        let stranger = db.stranger().await;
        let name: String = stranger.query_one("select current_user::text", &[]).await.unwrap().get(0);
        stranger.batch_execute(&locks).await.unwrap();
        let set = [("DATABASE_URL", db.url.as_str())];
        let answers = tokio::join!(run(&["migrate"], &set), run(&["migrate"], &set));
        for answer in [answers.0, answers.1] {
            assert_eq!(answer.status.code(), Some(0), "{}", text(&answer.stderr));
            assert!(text(&answer.stderr).contains(&name), "{}", text(&answer.stderr));
        }
    }
}

#[tokio::test]
async fn who_keeps_partitions_from_being_made_is_named() {
    let db = migrated_database().await;
    let (client, holder) = (db.client().await, db.client().await);
    let lock =
        "set application_name = 'the holder'; begin; lock table rowcast.journal_state in share update exclusive mode";
    holder.batch_execute(lock).await.unwrap();
    let refused = client.batch_execute("select rowcast.ensure_partitions()").await.unwrap_err();
    assert_eq!(refused.code(), Some(&tokio_postgres::error::SqlState::LOCK_NOT_AVAILABLE));
    assert!(refused.as_db_error().unwrap().message().contains("(the holder)"), "{refused:?}");
}
