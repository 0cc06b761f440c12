//! `sync`: whoever has committed something has been sent it before the `synced`, whatever happens to the session meanwhile.

use std::time::Duration;

use futures_util::future::join_all;
use rowcast::auth::Role;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_postgres::{Client as Postgres, Transaction};

use super::raw_websocket::{Client, ServerMessage};
use super::{ServedJournal, append, token};
use crate::support::until;

const BEAT: (&str, &str) = ("ROWCAST_HEARTBEAT", "1s");
/// The sessions are still open when the server of a test ends.
const DRAIN: (&str, &str) = ("ROWCAST_DRAIN", "500ms");
/// A statement that makes every reading of the sequence wait until its transaction ends.
const LOCK_SEQUENCE: &str = "begin; alter sequence rowcast.events_seq_seq cache 1";

impl Client {
    /// Sends a `sync` with this id.
    async fn sync(&mut self, id: &str) {
        self.send(&json!({"op": "sync", "id": id})).await;
    }

    /// The seqs of the events up to the next `synced`, and that message. A `live` on the way is passed over.
    async fn synced(&mut self) -> (Vec<i64>, Value) {
        let mut seqs = Vec::new();
        loop {
            let said = self.json().await;
            match said["op"].as_str().unwrap() {
                "event" => seqs.push(said["event"]["seq"].as_i64().unwrap()),
                "synced" => return (seqs, said),
                "live" | "heartbeat" => {}
                _ => panic!("{said}"),
            }
        }
    }

    /// The next heartbeat that says what holds the stream back.
    async fn stall(&mut self) -> Value {
        loop {
            let said = self.json().await;
            if said["op"] == "heartbeat" && !said["stalled"].is_null() {
                return said["stalled"].clone();
            }
        }
    }

    /// Sends a ping and waits for the answer, so everything that was sent before has been read by the server.
    async fn heard(&mut self) {
        self.send(&json!({"op": "ping"})).await;
        self.past_heartbeats("pong").await;
    }
}

/// A session that has begun and is live.
async fn live(journal: &ServedJournal, subject: &str, target: &str) -> Client {
    let mut client = journal.session(Role::Viewer, subject, target).await;
    client.op("hello").await;
    client.op("live").await;
    client
}

/// Inserts one event, commits it, and returns its seq.
async fn commit(writer: &Postgres) -> i64 {
    let sql = "insert into rowcast.events (type) values ('note.added') returning seq";
    writer.query_one(sql, &[]).await.unwrap().get(0)
}

/// A transaction that has inserted and holds the stream back, with an event behind it that is committed.
async fn held<'a>(holder: &'a mut Postgres, writer: &Postgres) -> Transaction<'a> {
    let transaction = holder.transaction().await.unwrap();
    transaction.batch_execute("insert into rowcast.events (type) values ('a.held')").await.unwrap();
    commit(writer).await;
    transaction
}

/// Each session commits, asks, and has its event before the answer; many times, and all sessions at once.
async fn commit_and_sync(sessions: usize, rounds: usize) {
    let journal = ServedJournal::start(&[("ROWCAST_SESSIONS_PER_SUBJECT", "1000")]).await;
    let mut clients = Vec::new();
    // All are live before the first one writes.
    for _ in 0..sessions {
        clients.push((live(&journal, "vera", "/ws").await, journal.db.client().await));
    }
    let mut running = JoinSet::new();
    for (mut client, writer) in clients {
        running.spawn(async move {
            let mut newest = 0;
            for round in 0..rounds {
                let (seq, id) = (commit(&writer).await, round.to_string());
                client.sync(&id).await;
                let (seen, said) = client.synced().await;
                assert_eq!(said["id"], id);
                assert!(seen.contains(&seq) || seq <= newest, "{seq} is not among {seen:?}");
                newest = seen.last().copied().unwrap_or(newest);
                let cursor: i64 = said["cursor"].as_str().unwrap().split('.').next().unwrap().parse().unwrap();
                assert_eq!(cursor, newest);
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    journal.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_before_a_sync_has_come_before_its_answer() {
    commit_and_sync(8, 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ten thousand rounds; run it after a change to sync or to the tail"]
async fn what_was_committed_before_a_sync_has_come_before_its_answer_ten_thousand_times() {
    commit_and_sync(40, 250).await;
}

#[tokio::test]
async fn a_filter_that_hides_everything_delays_no_answer() {
    let journal = ServedJournal::start(&[DRAIN, ("ROWCAST_PUBLIC_STREAM", "on")]).await;
    let mut filtered = live(&journal, "vera", "/ws?type=nothing.*").await;
    let mut public = Client::open(journal.server.address(), "/public/ws", &[]).await;
    public.op("hello").await;
    public.op("live").await;
    for _ in 0..20 {
        let seq = commit(&journal.writer).await;
        for client in [&mut filtered, &mut public] {
            client.send(&json!({"op": "sync"})).await;
            let (seen, said) = client.synced().await;
            assert_eq!((seen, said.as_object().unwrap().len()), (vec![], 2), "{said}");
            assert!(said["cursor"].as_str().unwrap().starts_with(&format!("{seq}.")), "{said}");
        }
    }
    journal.end().await;
}

#[tokio::test]
async fn a_sync_in_the_middle_of_a_backlog_is_answered_behind_all_of_it() {
    let journal = ServedJournal::start(&[DRAIN]).await;
    journal.append(30_000).await;
    let mut client = journal.viewer("/ws?cursor=0").await;
    client.op("hello").await;
    // Committed and not waited for: the head of the node is below it when the message comes.
    let seq = commit(&journal.writer).await;
    client.sync("all of it").await;
    let (seen, _) = client.synced().await;
    assert!(seen.iter().copied().eq(1..=seq), "{} events, the last {:?}", seen.len(), seen.last());
    journal.end().await;
}

#[tokio::test]
async fn a_held_transaction_delays_the_answer_alone_and_shows_in_heartbeats() {
    let journal = ServedJournal::start(&[BEAT, DRAIN]).await;
    let (mut waits, mut other) = (live(&journal, "vera", "/ws").await, live(&journal, "otto", "/ws").await);
    let mut holder = journal.db.client().await;
    let transaction = held(&mut holder, &journal.writer).await;
    waits.sync("held").await;
    for client in [&mut waits, &mut other] {
        client.heard().await;
    }
    let (of_one, of_other) = tokio::join!(waits.stall(), other.stall());
    assert_eq!((&of_one["reason"], &of_other["reason"]), (&json!("transaction"), &json!("transaction")));
    transaction.commit().await.unwrap();
    assert_eq!(waits.synced().await.0, [1, 2]);
    assert_eq!(other.seqs(2).await, [1, 2]);
    journal.end().await;
}

#[tokio::test]
async fn numbers_of_a_transaction_that_was_rolled_back_hold_no_answer_up() {
    let journal = ServedJournal::start(&[DRAIN]).await;
    let (mut client, mut holder) = (live(&journal, "vera", "/ws").await, journal.db.client().await);
    for _ in 0..5 {
        let transaction = held(&mut holder, &journal.writer).await;
        transaction.rollback().await.unwrap();
        // Nothing is committed behind these numbers, and no bell rings for them.
        holder.batch_execute("begin; insert into rowcast.events (type) values ('a.b'); rollback").await.unwrap();
        client.sync("burnt").await;
        assert_eq!(client.synced().await.0.len(), 1);
    }
    journal.end().await;
}

#[tokio::test]
async fn answers_come_in_the_order_asked_and_one_question_too_many_ends_the_session() {
    let journal = ServedJournal::start(&[DRAIN]).await;
    let mut holder = journal.db.client().await;
    let (mut patient, mut greedy) = (live(&journal, "vera", "/ws").await, live(&journal, "greta", "/ws").await);
    let transaction = held(&mut holder, &journal.writer).await;
    for number in 0..64 {
        patient.sync(&number.to_string()).await;
        greedy.sync(&number.to_string()).await;
    }
    greedy.heard().await;
    greedy.sync("64").await;
    let error = greedy.refused(4429, "rate_limited").await;
    assert!(error["message"].as_str().unwrap().contains("64 syncs"), "{error}");
    patient.heard().await;
    transaction.commit().await.unwrap();
    for number in 0..64 {
        let (seen, said) = patient.synced().await;
        assert_eq!(said["id"], number.to_string());
        assert_eq!(seen, if number == 0 { vec![1, 2] } else { vec![] });
    }
    // There is room again.
    patient.sync("later").await;
    assert_eq!(patient.synced().await.1["id"], "later");
    journal.end().await;
}

#[tokio::test]
async fn an_id_comes_back_as_it_was_and_one_that_is_none_ends_the_session() {
    let journal = ServedJournal::start(&[DRAIN]).await;
    let mut client = live(&journal, "vera", "/ws").await;
    for id in ["", "a \"b\" \u{202e}", "🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂"] {
        client.sync(id).await;
        assert_eq!(client.synced().await.1["id"], id);
    }
    client.send(&json!({"op": "sync", "id": null})).await;
    assert_eq!(client.synced().await.1.get("id"), None);
    for (wrong, told) in [
        (json!({"op": "sync", "id": "x".repeat(65)}), "at most 64 bytes"),
        (json!({"op": "sync", "id": 7}), "id of sync must be a text"),
        (json!({"op": "sync", "id": ["a"]}), "id of sync must be a text"),
        (json!({"op": "sync", "ids": "a"}), "ids is no field of sync"),
    ] {
        let mut client = live(&journal, "vera", "/ws").await;
        client.send(&wrong).await;
        let error = client.refused(4400, "bad_request").await;
        assert!(error["message"].as_str().unwrap().contains(told), "{error}");
    }
    journal.end().await;
}

#[tokio::test]
async fn a_sync_outlives_a_subscribe_and_an_auth() {
    let journal = ServedJournal::start(&[DRAIN]).await;
    let (mut client, mut holder) = (live(&journal, "vera", "/ws").await, journal.db.client().await);
    let transaction = held(&mut holder, &journal.writer).await;
    client.sync("before").await;
    client.send(&json!({"op": "subscribe", "cursor": "0", "type": "a.*"})).await;
    client.sync("after").await;
    client.past_heartbeats("hello").await;
    client.past_heartbeats("live").await;
    client.send(&json!({"op": "auth", "token": token(Role::Admin, "vera")})).await;
    client.past_heartbeats("auth_ok").await;
    transaction.batch_execute("insert into rowcast.events (type, owner) values ('a.owned', 'una')").await.unwrap();
    append(&journal.writer, 1).await;
    transaction.commit().await.unwrap();
    // The new stream shows what the filter passes, and what an administrator may see.
    let (mut seen, first) = client.synced().await;
    let (more, second) = client.synced().await;
    seen.extend(more);
    assert_eq!((seen, &first["id"], &second["id"]), (vec![1, 3], &json!("before"), &json!("after")));
    journal.end().await;
}

/// A number of the metrics.
async fn metric(journal: &ServedJournal, name: &str) -> u64 {
    let page = journal.server.get("/metrics").await.body;
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap().parse().unwrap()
}

/// The number of runs of the lane for reading.
async fn readings(journal: &ServedJournal) -> u64 {
    metric(journal, "rowcast_db_lane_runs_total{lane=\"read\"}").await
}

#[tokio::test]
async fn a_sync_outlives_the_history_in_which_it_was_asked() {
    let journal = ServedJournal::start(&[DRAIN]).await;
    journal.append(5).await;
    let (mut client, mut holder) = (live(&journal, "vera", "/ws").await, journal.db.client().await);
    journal.writer.batch_execute("alter table rowcast.events disable trigger append_only").await.unwrap();
    let transaction = held(&mut holder, &journal.writer).await;
    client.sync("former").await;
    client.heard().await;
    // An event that was handed out is gone, and the tail finds that out when it has to connect anew.
    let lose = "delete from rowcast.events where seq = 3;
                select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = current_database() and application_name like '%tail%'";
    journal.writer.batch_execute(lose).await.unwrap();
    until("another history has begun", || async { metric(&journal, "rowcast_tail_resets_total").await == 1 }).await;
    client.heard().await;
    transaction.commit().await.unwrap();
    let (seen, said) = client.synced().await;
    assert_eq!((seen, &said["id"]), (vec![6, 7], &json!("former")));
    journal.end().await;
}

#[tokio::test]
async fn two_hundred_sessions_that_ask_at_once_share_their_readings() {
    let settings = [DRAIN, ("ROWCAST_SESSIONS_PER_SUBJECT", "1000"), ("ROWCAST_CONNECTIONS_PER_ADDRESS", "1000")];
    let journal = ServedJournal::start(&settings).await;
    let mut clients = join_all((0..200).map(|_| live(&journal, "vera", "/ws"))).await;
    let seq = commit(&journal.writer).await;
    join_all(clients.iter_mut().map(|client| client.seqs(1))).await;
    let before = readings(&journal).await;
    let locker = journal.db.client().await;
    locker.batch_execute(LOCK_SEQUENCE).await.unwrap();
    join_all(clients.iter_mut().map(async |client| {
        client.sync("shared").await;
        client.heard().await;
    }))
    .await;
    locker.batch_execute("rollback").await.unwrap();
    let answers = join_all(clients.iter_mut().map(Client::synced)).await;
    assert!(answers.iter().all(|(_, said)| said["cursor"].as_str().unwrap().starts_with(&format!("{seq}."))));
    // One reading waits for the lock, and the next one is for all others. If the tail has lost patience with the lock, they are
    // made again.
    let made = readings(&journal).await - before;
    assert!((1..=6).contains(&made), "{made} readings");
    journal.end().await;
}

#[tokio::test]
async fn a_session_whose_sync_waits_for_the_database_says_so_and_goes_on() {
    let journal = ServedJournal::start(&[BEAT, DRAIN]).await;
    let mut client = live(&journal, "vera", "/ws").await;
    let locker = journal.db.client().await;
    locker.batch_execute(LOCK_SEQUENCE).await.unwrap();
    client.sync("slow").await;
    assert_eq!(client.stall().await["reason"], "database");
    client.heard().await;
    locker.batch_execute("rollback").await.unwrap();
    assert_eq!(client.synced().await.1["id"], "slow");
    journal.end().await;
}

#[tokio::test]
async fn a_sync_that_waits_does_not_delay_the_end_of_the_server() {
    let mut journal = ServedJournal::start(&[DRAIN]).await;
    let (mut client, mut holder) = (live(&journal, "vera", "/ws").await, journal.db.client().await);
    let transaction = held(&mut holder, &journal.writer).await;
    client.sync("held").await;
    client.heard().await;
    journal.server.ask_to_stop();
    client.past_heartbeats("drain").await;
    assert_eq!(client.said().await, ServerMessage::Close(1012, "restart".to_owned()));
    drop((client, transaction));
    tokio::time::timeout(Duration::from_secs(20), journal.end()).await.unwrap();
}
