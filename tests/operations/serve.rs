//! A server and its database: which schema it serves, and how it lives through outages and ends.

use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rowcast::cluster::{Cluster, Search, find};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpListener;

use crate::support::{
    JWT_SECRET, PATIENCE, TestServer, binary, empty_database, in_time, migrate, migrated_database, quick_folder, until,
};

#[tokio::test]
async fn a_database_that_is_behind_is_not_served() {
    let db = empty_database().await;
    let error = TestServer::start(&db.url, &[]).await.ended().await.unwrap_err().to_string();
    assert!(
        error.starts_with("the database lacks V1__roles_and_schemas") && error.contains("`rowcast migrate`"),
        "{error}"
    );
}

#[tokio::test]
async fn a_database_that_is_ahead_is_served_unless_it_forbids_it() {
    let db = migrated_database().await;
    let client = db.client().await;
    let newer = "insert into refinery_schema_history values (999, 'future', '2026-01-01T00:00:00Z', '1')";
    client.batch_execute(newer).await.unwrap();
    TestServer::ready(&db.url, &[]).await.stop().await.unwrap();
    client.batch_execute("update rowcast.journal_state set min_version = 999").await.unwrap();
    let error = TestServer::start(&db.url, &[]).await.ended().await.unwrap_err().to_string();
    assert!(error.contains("use a newer rowcast"), "{error}");
}

#[tokio::test]
async fn the_server_needs_no_more_than_its_role() {
    let db = migrated_database().await;
    let user = format!("{}_server", db.name);
    let client = db.client().await;
    let sql = format!("create user {user} password 'secret' in role rowcast_server");
    client.batch_execute(&sql).await.unwrap();
    TestServer::ready(&db.url_of(&user, "secret"), &[]).await.stop().await.unwrap();
    client.batch_execute(&format!("drop user {user}")).await.unwrap();
}

/// A Postgres that a test may stop.
struct OwnCluster {
    folder: tempfile::TempDir,
    url: String,
    cluster: Option<Cluster>,
}

impl OwnCluster {
    async fn start() -> Self {
        let folder = quick_folder("rowcast-test-");
        let mut own = Self { folder, url: String::new(), cluster: None };
        own.open().await;
        own.url = own.cluster.as_ref().unwrap().url();
        migrate(&own.url).await;
        own
    }

    async fn open(&mut self) {
        let dir = self.folder.path().join("dev");
        let open = move || Cluster::open_with(&dir, &find(&Search::from_env(&dir)).unwrap(), &[("fsync", "off")]);
        self.cluster = Some(tokio::task::spawn_blocking(open).await.unwrap().unwrap());
    }

    async fn close(&mut self) {
        let cluster = self.cluster.take().unwrap();
        tokio::task::spawn_blocking(|| cluster.stop().unwrap()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_postgres_shows_and_passes() {
    let mut postgres = OwnCluster::start().await;
    let server = TestServer::ready(&postgres.url, &[]).await;
    postgres.close().await;
    let begun = Instant::now();
    until("the outage shows", || async { server.get("/health/ready").await.status == 503 }).await;
    in_time(begun, Duration::from_secs(2));
    assert_eq!(server.get("/health/live").await.status, 200);
    let answer = server.get("/health/db").await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("database_unavailable")));
    assert_eq!(answer.json()["detail"], "The database does not answer.");
    postgres.open().await;
    until("it is ready again", || async { server.get("/health/ready").await.status == 200 }).await;

    // And one that is down at the start.
    server.stop().await.unwrap();
    postgres.close().await;
    let server = TestServer::start(&postgres.url, &[]).await;
    assert_eq!(server.get("/health/ready").await.json()["code"], "starting");
    postgres.open().await;
    until("it becomes ready", || async { server.get("/health/ready").await.status == 200 }).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_drain_answers_what_is_under_way_and_says_that_it_drains() {
    // A database that accepts and never says a word keeps /health/db busy for its second.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://u@{}/d", silent.local_addr().unwrap());
    let mut server = TestServer::start(&url, &[]).await;
    let address = server.address().to_owned();
    let under_way = tokio::spawn({
        let address = address.clone();
        async move { crate::support::raw_http::request(&address, "GET", "/health/db", &[], b"").await }
    });
    // The gate and the request: both have connected once the request is under way.
    let (_gate, _) = silent.accept().await.unwrap();
    let (_request, _) = silent.accept().await.unwrap();
    server.ask_to_stop();
    until("it says that it drains", || async {
        let answer = crate::support::raw_http::request(&address, "GET", "/health/ready", &[], b"").await;
        answer.status == 503 && answer.json()["code"] == "draining"
    })
    .await;
    assert_eq!(under_way.await.unwrap().status, 503);
    server.ended().await.unwrap();
}

#[tokio::test]
async fn a_drain_ends_when_its_time_is_over() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://u@{}/d", silent.local_addr().unwrap());
    let mut server = TestServer::start(&url, &[("ROWCAST_DRAIN", "100ms")]).await;
    let address = server.address().to_owned();
    let cut_off =
        tokio::spawn(async move { crate::support::raw_http::request(&address, "GET", "/health/db", &[], b"").await });
    let (_gate, _) = silent.accept().await.unwrap();
    let (_request, _) = silent.accept().await.unwrap();
    server.ask_to_stop();
    server.ended().await.unwrap();
    assert_eq!(cut_off.await.unwrap().status, 0);
}

#[tokio::test]
async fn signals_end_the_binary_with_0() {
    let db = migrated_database().await;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let environment = [("DATABASE_URL", db.url.as_str()), ("ROWCAST_JWT_SECRET", JWT_SECRET)];
        let mut command = tokio::process::Command::from(binary(&["serve", "--listen", "127.0.0.1:0"], &environment));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        until("it is ready", || async {
            crate::support::raw_http::request(&address, "GET", "/health/ready", &[], b"").await.status == 200
        })
        .await;
        kill(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()), signal).unwrap();
        let ended = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
        let mut log = String::new();
        child.stderr.take().unwrap().read_to_string(&mut log).await.unwrap();
        assert_eq!(ended.code(), Some(0), "{log}");
        assert!(log.contains("shutting down") && log.contains(signal.as_str()), "{log}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_in_the_log_and_not_to_the_caller() {
    let db = migrated_database().await;
    let url = db.url_of("postgres", "hunter2");
    let environment =
        [("DATABASE_URL", url.as_str()), ("ROWCAST_JWT_SECRET", JWT_SECRET), ("ROWCAST_LOG_FORMAT", "json")];
    let mut command = tokio::process::Command::from(binary(&["serve", "--listen", "127.0.0.1:0"], &environment));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap();
    let answer = crate::support::raw_http::request(address, "GET", "/health/db", &[], b"").await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("database_unavailable")));
    assert!(!answer.body.contains("password"), "{}", answer.body);
    kill(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()), Signal::SIGTERM).unwrap();
    tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).await.unwrap();
    let told = log.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    assert!(
        told.into_iter().any(|l| l["reason"] == "login" && l["message"].as_str().unwrap().contains("28P01")),
        "{log}"
    );
    assert!(!log.contains("hunter2"), "{log}");
}
