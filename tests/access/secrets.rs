//! A run of the real binary at the most talkative log, with secrets put in wherever something can be put in: every byte
//! that comes out of it, over any socket or into the log, is searched for them.

#[path = "../../src/view/redact/tests/corpus.rs"]
mod corpus;
mod doors;
mod planted;
mod traced_server;

use std::collections::BTreeSet;

use rowcast::auth::Role;
use tokio_postgres::Client;

use self::doors::{ask_badly, read_all, show_tokens, write_by_post, write_by_sql};
use self::planted::{Planted, found, planted};
use self::traced_server::{TracedServer, bearer};
use super::token;
use crate::support::{JWT_SECRET, TestDb, connect, migrated_database, until};

/// The password of the server's login: as it stands in the URL.
const DATABASE_PASSWORD: &str = "dbHush0Planted";

/// All that is planted goes in, and its last event is public.
async fn plant(server: &TracedServer, client: &Client, all: &[Planted], engine: &str) {
    write_by_sql(client, all).await;
    write_by_post(server, all, engine).await;
    let end = "insert into rowcast.events (type, public_safe, payload)
               values ('vault.opened', true, '{\"near\": \"near the end;\", \"password\": \"name0Hush\"}')";
    client.batch_execute(end).await.unwrap();
    until("all is public", || async {
        server.socket("/public/ws?last=1", "", &[], &["\"live\""]).await.contains("near the end;")
    })
    .await;
}

/// The commands that read and write beside the server. Returns what the last `rowcast tail` has said.
async fn run_commands(server: &TracedServer, database_url: &str, viewer: &str, all: &[Planted]) -> String {
    let tail = |path: &str| format!("http://{}{path}", server.address);
    let log = ("ROWCAST_LOG", "trace");
    let mut tailed = String::new();
    for (path, token) in [("", viewer), ("/public/ws", "")] {
        for json in [&["--json"][..], &[]] {
            let url = tail(path);
            let args = [&["tail", "--url", &url, "--cursor", "earliest", "--once"], json].concat();
            tailed = server.command(&args, &[log, ("ROWCAST_TOKEN", token)]).await;
            assert!(tailed.contains("near the end;"), "{tailed}");
        }
    }
    let database = [log, ("DATABASE_URL", database_url), ("ROWCAST_JWT_SECRET", JWT_SECRET)];
    for args in [&["append", "vault.kept", &all[40].json][..], &["append", "Vault", &all[40].json], &["doctor"]] {
        server.command(args, &database).await;
    }
    tailed
}

/// A transaction that holds the stream back is named to administrators.
async fn hold_the_stream_back(server: &TracedServer, database_url: &str, admin: &str) {
    let blocker = connect(database_url).await;
    let hold = "set application_name = 'near hold; password=holdHush'; begin;
                insert into rowcast.events (type, payload) values ('vault.kept', '{\"token\": \"holdHush\"}')";
    blocker.batch_execute(hold).await.unwrap();
    until("it is named", || async {
        server.socket("/ws", admin, &[], &["\"op\":\"heartbeat\""]).await.contains("near hold;")
    })
    .await;
    assert!(server.get("/health/ready", "").await.contains("near hold;"));
    blocker.batch_execute("rollback").await.unwrap();
}

/// The database goes away and comes back.
async fn lose_the_database(server: &TracedServer, db: &TestDb, all: &[Planted], engine: &str, admin: &str) {
    let away = format!(
        "alter database {0} allow_connections false;
         select pg_terminate_backend(pid) from pg_stat_activity where datname = '{0}'",
        db.name
    );
    let elsewhere = connect(&db.url.replace(&db.name, "postgres")).await;
    for statement in away.split(';') {
        elsewhere.batch_execute(statement).await.unwrap();
    }
    until("the outage shows", || async { server.get("/health/ready", "").await.contains(" 503 ") }).await;
    let text = format!(r#"{{"type":"vault.kept","payload":{}}}"#, all[40].json);
    assert!(server.post(engine, "json", &text).await.contains(" 503 "));
    server.get("/v1/events?cursor=0&limit=1000", admin).await;
    server.socket("/ws?last=3", admin, &[], &["\"op\":\"error\""]).await;
    // A connection that was just being made may have outlived the others, until the probe makes itself a new one.
    until("the probe sees it", || async { server.get("/health/db", "").await.contains(" 503 ") }).await;
    elsewhere.batch_execute(&format!("alter database {} allow_connections true", db.name)).await.unwrap();
    server.is_ready().await;
}

/// What stood beside each secret came out: an answer that is missing hides nothing.
fn the_rest_came_out(all: &[Planted], private: &str, public: &str, tailed: &str) {
    for n in 0..all.len() {
        for near in [format!("near sql {n};"), format!("near table {n};"), format!("near post {n};")] {
            assert!(private.contains(&near) && public.contains(&near), "{near}");
        }
        assert!(tailed.contains(&format!("near sql {n};")), "{n}");
    }
    assert!(private.contains("vault.[redacted]") && !public.contains("near type;"));
    assert!(!public.contains("vault.kept") && private.contains("vault.kept"));
}

async fn no_secret_comes_out(format: &str) {
    let db = migrated_database().await;
    let client = db.client().await;
    let user = format!("{}_server", db.name);
    let sql = format!("create user {user} password '{DATABASE_PASSWORD}' in role rowcast_server, rowcast_writer");
    client.batch_execute(&sql).await.unwrap();
    let url = db.url_of(&user, DATABASE_PASSWORD);
    let all = planted();
    let server = TracedServer::start(&url, format).await;
    let tokens = [("root", Role::Admin), ("vera", Role::Viewer), ("motor", Role::Engine)].map(|(s, r)| token(s, r));
    let [admin, viewer, engine] = tokens.each_ref().map(|token| bearer(token));

    plant(&server, &client, &all, &engine).await;
    let (private, public) = read_all(&server, &admin, &viewer).await;
    ask_badly(&server, &all, &viewer).await;
    show_tokens(&server, &tokens[1], &tokens[0]).await;
    let tailed = run_commands(&server, &url, &tokens[1], &all).await;
    hold_the_stream_back(&server, &url, &admin).await;
    lose_the_database(&server, &db, &all, &engine, &admin).await;

    let heard = server.end().await;
    let mut secrets: BTreeSet<String> = all.iter().flat_map(|planted| planted.secrets.clone()).collect();
    secrets.extend(tokens.iter().flat_map(|token| token.split('.').skip(1).map(str::to_owned)));
    secrets.extend([JWT_SECRET, DATABASE_PASSWORD, "holdHush"].map(str::to_owned));
    let leaks = found(&heard, &secrets);
    assert!(leaks.is_empty(), "{} of {} secrets came out:\n{}", leaks.len(), secrets.len(), leaks.join("\n"));
    the_rest_came_out(&all, &private, &public, &tailed);
    assert!(heard.contains("not currently accepting connections") && heard.contains("TRACE"), "a quiet log");
    db.client().await.batch_execute(&format!("drop user {user}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_comes_out_while_the_log_is_text() {
    no_secret_comes_out("text").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_comes_out_while_the_log_is_json() {
    no_secret_comes_out("json").await;
}
