//! `rowcast publish` and `rowcast unpublish`, as a person at a shell meets them.

use crate::support::{TestDb, migrated_database, run, text};

/// A shop, and nothing published: what the applications publish is not what these tests are about.
const ORDERS: &str = "select rowcast.unpublish(table_name) from rowcast.published; create schema shop; \
    create table shop.orders (id int primary key, customer text, status text, total numeric, trade uuid)";

/// What the applications publish is none of these tests' business.
const NOTHING_ELSE: &str = "select rowcast.unpublish(table_name) from rowcast.published";

/// Exit code, standard output, standard error.
async fn rowcast(db: &TestDb, args: &[&str]) -> (Option<i32>, String, String) {
    let answer = run(args, &[("DATABASE_URL", &db.url)]).await;
    (answer.status.code(), text(&answer.stdout), text(&answer.stderr))
}

async fn refused(db: &TestDb, args: &[&str], complaint: &str) {
    let (code, out, err) = rowcast(db, args).await;
    assert_eq!((code, out.as_str(), err.lines().count()), (Some(1), "", 1), "{args:?}: {err}");
    assert!(err.starts_with("rowcast: ") && err.contains(complaint), "{args:?}: {err}");
}

#[tokio::test]
async fn a_table_is_published_listed_and_unpublished() {
    let db = migrated_database().await;
    let client = db.client().await;
    client.batch_execute(NOTHING_ELSE).await.unwrap();
    client.batch_execute(ORDERS).await.unwrap();
    assert_eq!(rowcast(&db, &["publish", "--list"]).await, (Some(0), String::new(), String::new()));
    let columns = ["publish", "shop.orders", "--columns", "id,status", "--owner-column", "customer"];
    assert_eq!(rowcast(&db, &columns).await, (Some(0), "shop.orders\n".to_owned(), String::new()));

    client.batch_execute("insert into shop.orders values (7, 'ann', 'new', 10.5)").await.unwrap();
    let row = client.query_one("select type, owner, payload::text from rowcast.events", &[]).await.unwrap();
    let (kind, owner, payload): (String, String, String) = (row.get(0), row.get(1), row.get(2));
    assert_eq!((kind.as_str(), owner.as_str()), ("shop.orders.inserted", "ann"));
    assert_eq!(payload, r#"{"id": 7, "status": "new"}"#);

    let (_, listed, _) = rowcast(&db, &["publish", "--list"]).await;
    assert_eq!(listed, "shop.orders\tshop.orders\tid,status\towner_column=customer\n");
    let unpublished = (Some(0), "unpublished shop.orders\n".to_owned(), String::new());
    assert_eq!(rowcast(&db, &["unpublish", "shop.orders"]).await, unpublished);
    let again = (Some(0), "shop.orders was not published\n".to_owned(), String::new());
    assert_eq!(rowcast(&db, &["unpublish", "shop.orders"]).await, again);

    // The name that `--table` and the interface take, whatever schemas this login need not write.
    client.batch_execute("create table public.notes (id int primary key)").await.unwrap();
    assert_eq!(rowcast(&db, &["publish", "notes"]).await.0, Some(0));
    let (_, listed, _) = rowcast(&db, &["publish", "--list"]).await;
    assert_eq!(listed.split('\t').next(), Some("public.notes"), "{listed}");
}

#[tokio::test]
async fn every_option_reaches_the_function_in_the_database() {
    let db = migrated_database().await;
    let client = db.client().await;
    client.batch_execute(NOTHING_ELSE).await.unwrap();
    client.batch_execute(ORDERS).await.unwrap();
    client
        .batch_execute(
            "alter table shop.orders enable row level security; \
             create function shop.told(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb) \
             language sql as $$ select 'a', 'info', new $$",
        )
        .await
        .unwrap();
    refused(&db, &["publish", "shop.orders"], "row").await;
    let all = [
        "publish",
        "shop.orders",
        "--force",
        "--public-safe",
        "--type-prefix",
        "order",
        "--subject-column",
        "status",
        "--symbol-column",
        "customer",
        "--trade-id-column",
        "trade",
        "--map",
        "shop.told",
    ];
    assert_eq!(rowcast(&db, &all).await, (Some(0), "order\n".to_owned(), String::new()));
    let (_, listed, _) = rowcast(&db, &["publish", "--list"]).await;
    let options = "subject_column=status symbol_column=customer trade_id_column=trade \
                   map=shop.told(text,jsonb,jsonb) public_safe";
    assert_eq!(listed, format!("shop.orders\torder\tid,customer,status,total,trade\t{options}\n"));

    // Without a map the types are known, and so is that nothing of them can be public yet.
    let (code, out, err) = rowcast(&db, &["publish", "shop.orders", "--force", "--public-safe"]).await;
    assert_eq!((code, out.as_str()), (Some(0), "shop.orders\n"));
    assert!(err.contains("nothing reaches a public view until shop.orders.inserted"), "{err}");
    client.batch_execute("insert into rowcast.event_types values ('shop.orders.inserted', 'x', '{id}')").await.unwrap();
    let (_, _, err) = rowcast(&db, &["publish", "shop.orders", "--force", "--public-safe"]).await;
    assert_eq!(err, "");
}

#[tokio::test]
async fn what_postgres_refuses_is_said_in_its_own_words_on_one_line() {
    let db = migrated_database().await;
    let client = db.client().await;
    client.batch_execute("create table keyless (a int); create view seen as select 1 as a").await.unwrap();
    refused(&db, &["publish", "no.such"], "rowcast: schema \"no\" does not exist").await;
    refused(&db, &["publish", "no_such"], "rowcast: relation \"no_such\" does not exist").await;
    refused(&db, &["unpublish", "no_such"], "rowcast: relation \"no_such\" does not exist").await;
    refused(&db, &["publish", "keyless"], "subject_column").await;
    refused(&db, &["publish", "seen"], "seen").await;
    refused(&db, &["publish", "keyless", "--columns", "b", "--subject-column", "a"], "has no column b").await;

    let missing = run(&["publish", "t"], &[]).await;
    assert_eq!(text(&missing.stderr), "rowcast: DATABASE_URL is not set\n");
    for wrong in [&["publish"][..], &["unpublish"], &["publish", "--list", "t"], &["publish", "t", "--nonsense"]] {
        assert_eq!(rowcast(&db, wrong).await.0, Some(2), "{wrong:?}");
    }
}
