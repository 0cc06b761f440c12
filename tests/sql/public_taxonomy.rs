//! The public taxonomy as a node knows it: read from the database, and changed there by plain SQL.

use std::time::{Duration, Instant};

use rowcast::db::Database;
use rowcast::shutdown::Shutdown;
use rowcast::view::{Follower, Known, Redaction};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::{PATIENCE, TestDb, connector, in_time, migrated_database};

struct TaxonomyFollower {
    known: watch::Receiver<Known>,
    shutdown: Shutdown,
    task: JoinHandle<()>,
}

impl TaxonomyFollower {
    fn of(db: &TestDb) -> Self {
        let follower = Follower::new(Database::new(connector(&db.url), 2).unwrap());
        let (known, shutdown) = (follower.subscribe(), Shutdown::new());
        let task = tokio::spawn(follower.run(shutdown.clone()));
        Self { known, shutdown, task }
    }

    /// The next taxonomy.
    async fn next(&mut self) -> Known {
        tokio::time::timeout(PATIENCE, self.known.changed()).await.expect("nothing changed").unwrap();
        self.known.borrow_and_update().clone()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("it does not end").unwrap();
    }
}

fn shown(known: &Known, event_type: &str) -> Option<String> {
    known.taxonomy.payload(event_type, true, r#"{"text": "hello", "city": "Bern"}"#, &Redaction::default())
}

#[tokio::test]
async fn a_change_by_plain_sql_is_known_on_every_node_within_a_second() {
    let db = migrated_database().await;
    let client = db.client().await;
    let mut nodes = [TaxonomyFollower::of(&db), TaxonomyFollower::of(&db)];
    for node in &mut nodes {
        let known = node.next().await;
        assert_eq!((known.version, shown(&known, "note.added").as_deref()), (1, Some(r#"{"text": "hello"}"#)));
        assert_eq!(shown(&known, "shop.opened"), None);
    }
    let changes = [
        ("insert into rowcast.event_types values ('shop.opened', 'Open.', '{city}')", Some(r#"{"city": "Bern"}"#)),
        ("update rowcast.event_types set public_fields = '{}' where type = 'shop.opened'", Some("{}")),
        (
            "update rowcast.event_types set public_fields = '{text,city}' where type = 'shop.opened'",
            Some(r#"{"text": "hello", "city": "Bern"}"#),
        ),
        ("delete from rowcast.event_types where type = 'shop.opened'", None),
    ];
    for (version, (sql, expected)) in (2..).zip(changes) {
        client.batch_execute(sql).await.unwrap();
        let begun = Instant::now();
        for node in &mut nodes {
            let known = node.next().await;
            assert_eq!((known.version, shown(&known, "shop.opened").as_deref()), (version, expected), "{sql}");
            // A second, and what a busy machine may add to it.
            in_time(begun, Duration::from_secs(3));
        }
    }
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test]
async fn what_does_not_concern_the_public_is_no_new_version_and_an_empty_list_is_one() {
    let db = migrated_database().await;
    let client = db.client().await;
    let mut node = TaxonomyFollower::of(&db);
    assert_eq!(node.next().await.version, 1);
    client.batch_execute("update rowcast.event_types set description = 'Another.'").await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(2), node.known.changed()).await.is_err());
    client.batch_execute("delete from rowcast.event_types").await.unwrap();
    let known = node.next().await;
    assert_eq!((known.version, known.taxonomy.is_empty()), (2, true));
    node.stop().await;
}

#[tokio::test]
async fn the_last_taxonomy_holds_while_it_cannot_be_read() {
    let db = migrated_database().await;
    let client = db.client().await;
    let mut node = TaxonomyFollower::of(&db);
    assert_eq!(node.next().await.version, 1);
    // As when the database is away: each look fails.
    client.batch_execute("alter table rowcast.event_types rename to away").await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(2), node.known.changed()).await.is_err());
    assert!(shown(&node.known.borrow(), "note.added").is_some());
    // Connections that are cut are made again.
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    client.batch_execute(cut).await.unwrap();
    client
        .batch_execute("alter table rowcast.away rename to event_types; delete from rowcast.event_types")
        .await
        .unwrap();
    let known = node.next().await;
    assert_eq!((known.version, known.taxonomy.is_empty()), (2, true));
    node.stop().await;
}

#[tokio::test]
async fn nothing_is_public_before_the_first_look() {
    let db = migrated_database().await;
    let follower = Follower::new(Database::new(connector(&db.url), 1).unwrap());
    let known = follower.subscribe().borrow().clone();
    assert_eq!((known.version, shown(&known, "note.added")), (0, None));
}
