//! `rowcast speaker`: speakers are made without SQL.

use crate::support::{migrated_database, run, text};

#[tokio::test]
async fn bots_and_users_are_made_once_and_may_be_renamed() {
    let db = migrated_database().await;
    let environment = [("DATABASE_URL", db.url.as_str())];
    let make = async |args: &[&str]| run(&[&["speaker"], args].concat(), &environment).await;
    let id = async |args: &[&str]| {
        let made = make(args).await;
        assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
        text(&made.stdout).trim().to_owned()
    };
    let bot = id(&["--bot", "helper"]).await;
    assert_eq!(id(&["--bot", "helper"]).await, bot);
    let alice = id(&["--sub", "alice"]).await;
    assert_eq!(id(&["--sub", "alice", "--name", "Alice Smith"]).await, alice);
    assert_eq!(id(&["--sub", "alice"]).await, alice, "the name stays");

    let rows = "select id::text, kind, subject, name from chat.speakers order by kind";
    let rows = db.client().await.query(rows, &[]).await.unwrap();
    let rows: Vec<[Option<String>; 4]> = rows.iter().map(|row| [0, 1, 2, 3].map(|column| row.get(column))).collect();
    let row = |values: [Option<&str>; 4]| values.map(|value| value.map(str::to_owned));
    assert_eq!(
        rows,
        [
            row([Some(&bot), Some("bot"), None, Some("helper")]),
            row([Some(&alice), Some("user"), Some("alice"), Some("Alice Smith")]),
        ]
    );

    for wrong in [&["--bot", " "][..], &["--sub", ""], &[], &["--bot", "a", "--sub", "b"]] {
        let refused = make(wrong).await;
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}: {}", text(&refused.stderr));
    }
}
