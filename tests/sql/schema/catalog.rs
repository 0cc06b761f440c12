//! Reads a database into facts. What counts as a fact stands in `catalog.sql`.

use super::facts::Facts;
use tokio_postgres::Client;

/// Everything, the bodies of functions included. Inside a transaction it sees what that has changed.
pub(super) async fn read(client: &Client) -> Facts {
    client.batch_execute("set search_path = pg_catalog").await.unwrap();
    let rows = client.query(include_str!("catalog.sql"), &[]).await.unwrap();
    client.batch_execute("reset search_path").await.unwrap();
    let mut facts = Facts::new();
    for row in rows {
        let (fact, is): (String, String) = (row.get("fact"), row.get("is"));
        assert_eq!(facts.insert(fact.clone(), is), None, "two facts have one name: {fact}");
    }
    facts
}

/// Without the bodies of functions, which no document repeats.
pub(super) async fn read_for_document(client: &Client) -> Facts {
    let mut facts = read(client).await;
    facts.retain(|fact, _| !(fact.starts_with("function ") && fact.ends_with(": body")));
    facts
}
