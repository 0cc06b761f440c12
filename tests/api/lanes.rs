//! Statements within their limits: what nobody waits for is cancelled, and no kind of request takes away what another needs.

use super::*;

/// The statements of this database's other sessions that run now, but for those that wait in `pg_sleep` on purpose.
const RUNNING: &str = "select count(*) from pg_stat_activity
                        where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'";

/// Sends a request and hangs up once its statement runs.
async fn hang_up(api: &Api, request: &str, statement: &str) {
    let mut stream = TcpStream::connect(api.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let running = format!("{RUNNING} and query like '%{statement}%'");
    until("the statement runs", || async { api.number(&running).await > 0 }).await;
    drop(stream);
    let begun = std::time::Instant::now();
    until("the statement has ended", || async { api.number(&running).await == 0 }).await;
    crate::support::in_time(begun, Duration::from_secs(3));
}

#[tokio::test]
async fn whoever_hangs_up_leaves_no_statement_running() {
    let api = Api::start(&[]).await;
    let blocker = api.db.client().await;
    blocker.batch_execute("begin; lock table trading.trades in access exclusive mode").await.unwrap();
    let token = bearer(Role::Admin, "admin");
    let request = format!("GET /v1/trades HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\n\r\n");
    hang_up(&api, &request, "from trading.trades").await;
    // With the beginning of another request behind it, which hides the end of the stream from those who do not read on.
    hang_up(&api, &request, "from trading.trades").await;
    let metrics = api.server.get("/metrics").await.body;
    assert!(metrics.contains("rowcast_db_lane_cancelled_total{lane=\"search\"} 2"), "{metrics}");
    blocker.batch_execute("rollback").await.unwrap();
    assert_eq!(api.get(&token, "/v1/trades").await.status, 200);
}
