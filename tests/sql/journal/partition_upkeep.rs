//! Partitions are there before they are needed, whoever runs.

use super::{database_of, fill, number, partitions};
use crate::support::{TestServer, connect, migrate, run, text, until};

/// Takes all partitions ahead away but one.
async fn take_ahead(client: &tokio_postgres::Client) {
    for name in partitions(client).await.iter().skip(2) {
        client.batch_execute(&format!("drop table {name}")).await.unwrap();
    }
}

#[tokio::test]
async fn migrating_makes_the_partitions_ahead_also_when_nothing_is_to_be_applied() {
    let db = database_of(1000, 5).await;
    let client = db.client().await;
    fill(&client, 1).await;
    take_ahead(&client).await;
    migrate(&db.url).await;
    assert_eq!(partitions(&client).await.len(), 6);

    let server = format!("{}_m", db.name);
    let sql = format!(
        "create role {server} login password 'x' in role rowcast_server; revoke execute on function \
         rowcast.ensure_partitions() from rowcast_server"
    );
    client.batch_execute(&sql).await.unwrap();
    let answer = run(&["migrate"], &[("DATABASE_URL", &db.url_of(&server, "x"))]).await;
    assert_eq!(answer.status.code(), Some(0), "{}", text(&answer.stderr));
    client.batch_execute(&format!("drop role {server}")).await.unwrap();
}

#[tokio::test]
async fn a_server_makes_them_at_its_start_and_tries_again_without_ending() {
    let db = database_of(1000, 5).await;
    let client = connect(&db.url).await;
    take_ahead(&client).await;
    client.batch_execute("alter function rowcast.ensure_partitions() rename to ensure_nothing").await.unwrap();
    let server = TestServer::ready(&db.url, &[]).await;
    assert_eq!(partitions(&client).await.len(), 2);
    client.batch_execute("alter function rowcast.ensure_nothing() rename to ensure_partitions").await.unwrap();
    until("the partitions are there", || async {
        partitions(&client).await.len() == 6 || partitions(&client).await.len() == 5
    })
    .await;
    assert_eq!(server.get("/health/ready").await.status, 200);
    server.stop().await.unwrap();
    assert_eq!(number(&client, "select count(*) from rowcast.events").await, 0);
}
