//! The migrations under the real refinery CLI: either tool may go first, and the other then finds nothing to do. Runs
//! where `REFINERY_CLI` names the program; scripts/test builds it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::{TestDb, connect, empty_database};

/// The program, or `None` after saying that these tests show nothing without it.
#[allow(clippy::print_stderr, reason = "a test that is skipped should say so")]
fn refinery() -> Option<PathBuf> {
    let program = std::env::var_os("REFINERY_CLI").filter(|value| !value.is_empty()).map(PathBuf::from);
    if program.is_none() {
        eprintln!("skipped: REFINERY_CLI names no refinery; scripts/test builds it");
    }
    program
}

fn run(program: &Path, args: &[&str], database: &TestDb) -> String {
    let Output { status, stdout, stderr } = Command::new(program)
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("DATABASE_URL", &database.url)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8(stdout).unwrap();
    assert!(status.success(), "{}: {status}\n{told}{}", program.display(), String::from_utf8_lossy(&stderr));
    told
}

fn migrate_with_refinery(program: &Path, database: &TestDb) {
    run(program, &["migrate", "-e", "DATABASE_URL", "-p", "sql/migrations"], database);
}

fn migrate_with_rowcast(database: &TestDb) -> String {
    run(Path::new(env!("CARGO_BIN_EXE_rowcast")), &["migrate"], database)
}

/// The history but for the times.
async fn history(database: &TestDb) -> Vec<(i32, String, String)> {
    let sql = "select version, name, checksum from refinery_schema_history order by version";
    let rows = connect(&database.url).await.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

/// When each migration was applied: changes when one is applied again.
async fn times(database: &TestDb) -> Vec<String> {
    let sql = "select applied_on from refinery_schema_history order by version";
    connect(&database.url).await.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn after_the_refinery_cli_rowcast_has_nothing_to_do() {
    let Some(refinery) = refinery() else { return };
    let (by_refinery, by_rowcast) = (empty_database().await, empty_database().await);
    migrate_with_refinery(&refinery, &by_refinery);
    let before = times(&by_refinery).await;
    assert!(migrate_with_rowcast(&by_refinery).starts_with("nothing to do"));
    assert_eq!(times(&by_refinery).await, before);

    assert!(migrate_with_rowcast(&by_rowcast).starts_with("applied V1__"));
    assert_eq!(history(&by_refinery).await, history(&by_rowcast).await);
}

#[tokio::test]
async fn after_rowcast_the_refinery_cli_has_nothing_to_do() {
    let Some(refinery) = refinery() else { return };
    let database = empty_database().await;
    migrate_with_rowcast(&database);
    let (rows, before) = (history(&database).await, times(&database).await);
    assert!(!rows.is_empty());
    migrate_with_refinery(&refinery, &database);
    assert_eq!(history(&database).await, rows);
    assert_eq!(times(&database).await, before);
}
