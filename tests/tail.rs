//! The tail of a node: it follows the journal, decides the head, and keeps pages.

mod fence;
mod hush;
mod pages;
mod reading;
mod reconnection;
mod tail_node;

use tokio::task::JoinSet;
use tokio_postgres::Client;

pub(crate) use tail_node::TailNode;

use crate::support::connect;

const INSERT: &str = "insert into rowcast.events (type, payload) values ('tail.test', '{\"n\":1}')";

/// Eight connections that each commit and roll back forty transactions by turns, some with a savepoint that is taken back.
pub(crate) async fn start_writers(url: &str) -> JoinSet<()> {
    let mut writers = JoinSet::new();
    for n in 0..8 {
        let client = connect(url).await;
        writers.spawn(async move {
            for i in 0..40 {
                let end = ["commit", "rollback", "commit"][(n + i) % 3];
                let middle = ["", "savepoint s; insert into rowcast.events (type) values ('x'); rollback to s;"][i % 2];
                client.batch_execute(&format!("begin; {INSERT}; {middle} {INSERT}; {end}")).await.unwrap();
            }
        });
    }
    writers
}

pub(crate) async fn committed(client: &Client) -> Vec<i64> {
    let rows = client.query("select seq from rowcast.events order by seq", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// The last seq that was drawn, by whomever.
pub(crate) async fn last_value(client: &Client) -> i64 {
    let sql = "select case when is_called then last_value else 0 end from rowcast.events_seq_seq";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Reads all that there is and compares it with the table.
async fn delivers_the_table(node: &TailNode, client: &Client) {
    let mut reader = node.reader();
    reader.read_to(last_value(client).await).await;
    assert_eq!(reader.seen, committed(client).await);
}
