//! What holds the stream back: a transaction that stays open, and a Postgres that is away. Sessions stay through both.

use std::time::Duration;

use rowcast::auth::Role;
use rowcast::cluster::{Cluster, Search, find};
use serde_json::{Value, json};

use super::raw_websocket::Client;
use super::{ServedJournal, append, settled, token};
use crate::support::{TestServer, connect, migrate, quick_folder, until};

const BEAT: (&str, &str) = ("ROWCAST_HEARTBEAT", "1s");

/// The first heartbeat that says, or does not say any more, what holds the stream back.
async fn beat(client: &mut Client, stalled: bool) -> Value {
    loop {
        let said = client.json().await;
        if said["op"] == "heartbeat" && said["stalled"].is_null() != stalled {
            return said;
        }
    }
}

#[tokio::test]
async fn a_transaction_that_holds_the_stream_back_shows_and_who_it_is_is_for_administrators() {
    let journal = ServedJournal::start(&[BEAT]).await;
    let mut admin = journal.session(Role::Admin, "root", "/ws").await;
    let mut viewer = journal.viewer("/ws").await;
    for client in [&mut admin, &mut viewer] {
        client.op("hello").await;
        client.op("live").await;
    }
    let mut open = journal.db.client().await;
    open.batch_execute("set application_name = 'import job'").await.unwrap();
    let pid: i32 = open.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    let transaction = open.transaction().await.unwrap();
    transaction.batch_execute("insert into rowcast.events (type) values ('a.b')").await.unwrap();
    append(&journal.writer, 3).await;
    let (for_admin, for_viewer) = tokio::join!(beat(&mut admin, true), beat(&mut viewer, true));
    let stalled = for_admin["stalled"].as_object().unwrap();
    assert_eq!((&stalled["reason"], &stalled["pid"]), (&json!("transaction"), &json!(pid)));
    assert_eq!((&stalled["application"], stalled.len()), (&json!("import job"), 4));
    let stalled = for_viewer["stalled"].as_object().unwrap();
    assert_eq!((&stalled["reason"], stalled.len()), (&json!("transaction"), 2));
    assert!(stalled["since"].as_str().unwrap().ends_with('Z'));
    transaction.commit().await.unwrap();
    for client in [&mut admin, &mut viewer] {
        assert_eq!(client.seqs(4).await, [1, 2, 3, 4]);
        assert_eq!(beat(client, false).await["events"], 4);
    }
    journal.end().await;
}

#[tokio::test]
async fn a_session_whose_own_reads_do_not_come_says_so_while_the_tail_is_well() {
    let journal = ServedJournal::start(&[BEAT, ("ROWCAST_PUBLIC_STREAM", "on")]).await;
    let fill = "insert into rowcast.events (type, symbol, public_safe)
                select 'note.added', 'S', true from generate_series(1, 6000)";
    journal.writer.batch_execute(fill).await.unwrap();
    until("the node knows of them", || async {
        journal.server.get("/public/v1/events?limit=1").await.json()["head"] == 6000
    })
    .await;
    // A public search looks there, and the tail does not.
    let blocker = journal.db.client().await;
    blocker.batch_execute("begin; lock table rowcast.event_types in access exclusive mode").await.unwrap();
    let mut client = Client::open(journal.server.address(), "/public/ws?cursor=0&symbol=S", &[]).await;
    client.op("hello").await;
    let said = beat(&mut client, true).await;
    assert_eq!(said["stalled"]["reason"], "database", "{said}");
    blocker.batch_execute("rollback").await.unwrap();
    beat(&mut client, false).await;
    journal.end().await;
}

/// What a session that has had event 5000 hears after the outage: ten events, a heartbeat that counts them, nothing else.
async fn ten_more(client: &mut Client) {
    let seqs = client.seqs(10).await;
    // A restart may burn numbers, but not deliver one again.
    assert!(seqs[0] > 5_000 && seqs.windows(2).all(|two| two[0] < two[1]), "{seqs:?}");
    let counted = loop {
        let beat = beat(client, false).await;
        if beat["events"] == 11 {
            break beat;
        }
    };
    assert_eq!(counted["check"], seqs.iter().sum::<i64>() + 5_000);
    client.silent(Duration::from_millis(100)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_goes_and_comes_back_below_the_sessions_and_nothing_is_lost_or_repeated() {
    let folder = quick_folder("rowcast-test-");
    let dir = folder.path().join("dev");
    let open = || {
        let dir = dir.clone();
        let open = move || Cluster::open_with(&dir, &find(&Search::from_env(&dir)).unwrap(), &[("fsync", "off")]);
        async { tokio::task::spawn_blocking(open).await.unwrap().unwrap() }
    };
    let cluster = open().await;
    let url = cluster.url();
    migrate(&url).await;
    let server = TestServer::ready(&url, &[("ROWCAST_HEARTBEAT", "3s")]).await;
    let writer = connect(&url).await;
    append(&writer, 5_000).await;
    settled(&server, &writer).await;
    let viewer = token(Role::Viewer, "vera");
    let mut live = Client::with(server.address(), "/ws?last=1", &viewer).await;
    let mut filtered = Client::with(server.address(), "/ws?type=note.*&cursor=4999", &viewer).await;
    for client in [&mut live, &mut filtered] {
        client.op("hello").await;
        assert_eq!(client.seqs(1).await, [5_000]);
        client.past_heartbeats("live").await;
    }
    // Both clients are read at all times: whoever answers no ping is closed.
    let stop = tokio::task::spawn_blocking(|| cluster.stop().unwrap());
    let (stopped, first, second) = tokio::join!(stop, beat(&mut live, true), beat(&mut filtered, true));
    stopped.unwrap();
    for said in [first, second] {
        let stalled = said["stalled"].as_object().unwrap();
        assert_eq!((&stalled["reason"], stalled.len()), (&json!("database"), 2));
    }
    // The session answers all the same.
    live.send(&json!({"op": "ping"})).await;
    live.past_heartbeats("pong").await;
    live.send(&json!({"op": "auth", "token": viewer})).await;
    live.past_heartbeats("auth_ok").await;
    let restart = async {
        let again = tokio::spawn(open()).await.unwrap();
        assert_eq!(again.url(), url, "somebody took the port meanwhile: run this again");
        append(&connect(&url).await, 10).await;
        again
    };
    let (again, (), ()) = tokio::join!(restart, ten_more(&mut live), ten_more(&mut filtered));
    drop((live, filtered));
    server.stop().await.unwrap();
    tokio::task::spawn_blocking(|| again.stop().unwrap()).await.unwrap();
}
