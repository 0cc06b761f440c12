//! Statements within their limits: what nobody waits for is cancelled, no kind of request takes away what another needs, and a
//! connection that does not answer is given up.

use std::time::Instant;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::*;
use crate::support::in_time;

/// The statements of this database's other sessions that run now.
const RUNNING: &str = "select count(*) from pg_stat_activity
                        where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'";

/// So many events that a reader at their beginning goes by an index.
const FAR_BEHIND: i64 = 6000;

async fn fill(api: &Api) {
    let sql = format!(
        "insert into rowcast.events (type, symbol, public_safe, payload)
         select 'note.added', 'S', true, '{{}}' from generate_series(1, {FAR_BEHIND})"
    );
    api.sql.batch_execute(&sql).await.unwrap();
    let who = bearer(Role::Viewer, "v");
    until("the node knows of them", || async {
        api.get(&who, "/v1/events?limit=1").await.json()["head"] == FAR_BEHIND
    })
    .await;
}

/// How much of this there is in a lane, by the metrics.
async fn lane(api: &Api, name: &str, lane: &str) -> u64 {
    let metrics = api.server.get("/metrics").await.body;
    let line = format!("rowcast_db_lane_{name}{{lane=\"{lane}\"}} ");
    metrics.lines().find_map(|text| text.strip_prefix(&line)).unwrap().parse().unwrap()
}

/// Waits until the lane for reading has run something.
pub(super) async fn read_once(api: &Api) {
    until("something was read", || async { lane(api, "runs_total", "read").await > 0 }).await;
}

/// Sends a request and hangs up once its statement runs.
async fn hang_up(api: &Api, request: &str, statement: &str) {
    let mut stream = TcpStream::connect(api.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let running = format!("{RUNNING} and query like '%{statement}%'");
    until("the statement runs", || async { api.number(&running).await > 0 }).await;
    drop(stream);
    let begun = Instant::now();
    until("the statement has ended", || async { api.number(&running).await == 0 }).await;
    in_time(begun, Duration::from_secs(4));
}

#[tokio::test]
async fn whoever_hangs_up_leaves_no_statement_running() {
    let api = Api::start(&[]).await;
    let blocker = api.db.client().await;
    blocker.batch_execute("begin; lock table trading.trades in access exclusive mode").await.unwrap();
    let token = bearer(Role::Admin, "admin");
    let request = format!("GET /v1/trades HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\n\r\n");
    hang_up(&api, &request, "from trading.trades").await;
    until("it was cancelled", || async { lane(&api, "cancelled_total", "search").await == 1 }).await;
    // With the beginning of another request behind it, which hides the end of the stream: the limit ends it.
    hang_up(&api, &format!("{request}GET"), "from trading.trades").await;
    until("its connection is free", || async { lane(&api, "in_use", "search").await == 0 }).await;
    assert_eq!(lane(&api, "discarded_total", "search").await, 2);
    blocker.batch_execute("rollback").await.unwrap();
    assert_eq!(api.get(&token, "/v1/trades").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_of_one_address_take_nothing_from_others() {
    let api = Api::start(&[]).await;
    fill(&api).await;
    // What a public search needs, and nothing else does.
    let blocker = api.db.client().await;
    blocker.batch_execute("begin; lock table rowcast.event_types in access exclusive mode").await.unwrap();
    let mut flood = JoinSet::new();
    for _ in 0..90 {
        let address = api.address().to_owned();
        let path = "/public/v1/events?cursor=0&symbol=S&type=note.added";
        flood.spawn(async move { send(&address, "GET", path, &[], b"").await });
    }
    until("many wait", || async { lane(&api, "waiting", "search").await > 20 }).await;

    let begun = Instant::now();
    let (admin, engine) = (bearer(Role::Admin, "admin"), bearer(Role::Engine, "engine"));
    let event = br#"{"type":"note.added","payload":{}}"#;
    let ready = api.server.get("/health/ready");
    let appended = api.post(&engine, &[], event);
    let page = api.get(&admin, "/v1/events?cursor=0&limit=1");
    let search = api.get(&admin, "/v1/events?cursor=0&limit=1&symbol=S");
    let (ready, appended, page, search) = tokio::join!(ready, appended, page, search);
    assert_eq!((ready.status, appended.status), (200, 201), "{} {}", ready.body, appended.body);
    assert_eq!((page.status, search.status), (200, 200), "{} {}", page.body, search.body);
    in_time(begun, Duration::from_secs(2));

    blocker.batch_execute("rollback").await.unwrap();
    let answers = flood.join_all().await;
    assert!(answers.iter().any(|answer| answer.status == 200));
    let busy = |answer: &&Answer| answer.status == 503 && answer.json()["code"] == "database_busy";
    let busy: Vec<_> = answers.iter().filter(busy).collect();
    assert!(busy.len() >= 90 - 64 && busy.iter().all(|answer| answer.headers["retry-after"] == "1"), "{answers:?}");
}

/// A way to Postgres whose connections can go mute: they stay open, and nothing passes any more. New ones are sound.
struct Proxy {
    url: String,
    mute: watch::Sender<()>,
}

impl Proxy {
    async fn before(url: &str) -> Self {
        let (login, place) = url.split_once('@').unwrap();
        let (host, name) = place.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{login}@{}/{name}", listener.local_addr().unwrap());
        let (host, mute) = (host.to_owned(), watch::Sender::new(()));
        let told = mute.clone();
        tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let (host, mut told) = (host.clone(), told.subscribe());
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(host).await.unwrap();
                    tokio::select! {
                        _ended = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _muted = told.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self { url, mute }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_went_mute_are_given_up() {
    let db = migrated_database().await;
    let proxy = Proxy::before(&db.url).await;
    let server = TestServer::ready(&proxy.url, &[]).await;
    let api = Api { server, sql: db.client().await, db };
    fill(&api).await;
    let (admin, engine) = (bearer(Role::Admin, "admin"), bearer(Role::Engine, "engine"));
    let event = br#"{"type":"note.added","payload":{}}"#;
    let append = || async { api.post(&engine, &[], event).await };
    for answer in futures_util::future::join_all((0..4).map(|_| append())).await {
        assert_eq!(answer.status, 201);
    }
    assert_eq!(api.get(&admin, "/v1/events?cursor=0&limit=1&symbol=S").await.status, 200);
    // From here on every connection that there is has been idle for a moment, and answers nothing.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    proxy.mute.send_replace(());
    let begun = Instant::now();
    for answer in futures_util::future::join_all((0..4).map(|_| append())).await {
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    assert_eq!(api.get(&admin, "/v1/events?cursor=0&limit=1&symbol=S").await.status, 200);
    // A page that is not in memory.
    assert_eq!(api.get(&admin, "/v1/events?cursor=1000&limit=1").await.status, 200);
    in_time(begun, Duration::from_secs(6));
    until("readiness is back", || async { api.server.get("/health/ready").await.status == 200 }).await;
    assert_eq!(api.count().await, FAR_BEHIND + 8);
}

/// Lets the database take no writes, or take them again. A session keeps what it began with, so all of them end.
async fn read_only(api: &Api, state: &str) {
    let client = api.db.client().await;
    let alter = format!("alter database {} set default_transaction_read_only = {state}", api.db.name);
    client.batch_execute(&format!("begin read write; {alter}; commit")).await.unwrap();
    let end = "select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()";
    client.batch_execute(end).await.unwrap();
}

#[tokio::test]
async fn readiness_says_when_the_database_takes_no_writes() {
    let api = Api::start(&[]).await;
    let engine = bearer(Role::Engine, "engine");
    let event = br#"{"type":"note.added","payload":{}}"#;
    assert_eq!(api.post(&engine, &[], event).await.status, 201);
    read_only(&api, "on").await;
    until("readiness says so", || async {
        let answer = api.server.get("/health/ready").await;
        answer.status == 503 && answer.json()["code"] == "database_read_only"
    })
    .await;
    let refused = api.post(&engine, &[], event).await;
    assert_eq!((refused.status, &refused.json()["code"]), (503, &"database_read_only".into()), "{}", refused.body);
    assert_eq!(api.server.get("/health/db").await.json()["read_only"], true);
    read_only(&api, "off").await;
    until("it is ready again", || async { api.server.get("/health/ready").await.status == 200 }).await;
    assert_eq!(api.post(&engine, &[], event).await.status, 201);
}
