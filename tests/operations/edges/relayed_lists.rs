//! Taxonomy, revocations and stalls on an edge, which asks Postgres for none of them.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rowcast::auth::Role;
use rowcast::client::{Item, Start};
use serde_json::json;

use super::{Fleet, follow, is_live, live_from};
use crate::stream::ws::raw_websocket::Client;
use crate::stream::ws::token;
use crate::support::raw_http::request;
use crate::support::{in_time, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_ends_sessions_on_an_edge_wherever_it_was_made() {
    let Some(fleet) = Fleet::start(&[]).await else { return };
    for (subject, by) in [("ann", &fleet.node), ("ben", &fleet.edge)] {
        let early = token(Role::Viewer, subject);
        let mut session = Client::with(fleet.edge.address(), "/ws", &early).await;
        session.past_heartbeats("hello").await;
        session.past_heartbeats("live").await;
        let admin = format!("Bearer {}", token(Role::Admin, "root"));
        let body = json!({ "subject": subject }).to_string();
        let headers = [("authorization", admin.as_str()), ("content-type", "application/json")];
        let answer = request(by.address(), "POST", "/v1/revocations", &headers, body.as_bytes()).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        session.refused(4403, "revoked").await;
        let bearer = format!("Bearer {early}");
        until("the other servers refuse it too", || async {
            let mut refused = true;
            for server in [&fleet.node, &fleet.edge] {
                refused &=
                    request(server.address(), "GET", "/v1/events", &[("authorization", &bearer)], b"").await.status
                        == 401;
            }
            refused
        })
        .await;
    }
    // What the edge found by itself stays when the relay's list counts alone again.
    tokio::time::sleep(Duration::from_secs(4)).await;
    for server in [&fleet.node, &fleet.edge] {
        assert_eq!(server.metric("rowcast_revoked_subjects").await, 2);
    }
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_taxonomy_reaches_an_edge() {
    let Some(fleet) = Fleet::start(&[("ROWCAST_PUBLIC_STREAM", "on")]).await else { return };
    let insert =
        "insert into rowcast.events (type, public_safe, payload) values ('copy.public', true, '{\"a\": 1, \"b\": 2}')";
    let shown =
        async || fleet.edge.get("/public/v1/events?cursor=earliest").await.json()["events"].as_array().unwrap().len();
    fleet.writer.batch_execute(insert).await.unwrap();
    assert_eq!(shown().await, 0);
    let list = "insert into rowcast.event_types (type, public_fields, description) values ('copy.public', '{a}', 'x')";
    fleet.writer.batch_execute(list).await.unwrap();
    until("the type is public on the node", || async {
        !fleet.node.get("/public/v1/events?cursor=earliest").await.json()["events"].as_array().unwrap().is_empty()
    })
    .await;
    until("the type is public on the edge", || async { shown().await == 1 }).await;
    fleet.writer.batch_execute("delete from rowcast.event_types where type = 'copy.public'").await.unwrap();
    until("the type is hidden again", || async { shown().await == 0 }).await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_tells_what_holds_the_stream_back() {
    let Some(fleet) = Fleet::start(&[]).await else { return };
    let mut follower = follow(&fleet.edge, Start::Earliest);
    is_live(&mut follower).await;
    let holder = fleet.db.client().await;
    holder.batch_execute("begin; insert into rowcast.events (type) values ('copy.held')").await.unwrap();
    fleet.write().await;
    let stalled = async || fleet.edge.get("/health/ready").await.json()["tail"]["stalled"]["reason"] == "transaction";
    until("the edge names the reason", stalled).await;
    loop {
        if let Item::Heartbeat(heartbeat) = follower.next().await.unwrap()
            && heartbeat.stalled.is_some()
        {
            break;
        }
    }
    holder.batch_execute("commit").await.unwrap();
    let mut got = Vec::new();
    fleet.follow_to_the_end(&mut follower, &mut got).await;
    assert_eq!(got, fleet.committed().await);
    until("the stall is over", || async { !stalled().await }).await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_holds_within_a_second_though_the_node_that_copies_or_redis_is_frozen() {
    let Some((first, fleet)) = Fleet::behind_a_process().await else { return };
    let mut session = Client::with(fleet.edge.address(), "/ws", &token(Role::Viewer, "ann")).await;
    session.past_heartbeats("hello").await;
    session.past_heartbeats("live").await;
    first.signal(Signal::SIGSTOP);
    let revoked = Instant::now();
    fleet.writer.batch_execute("insert into rowcast.revocations (subject) values ('ann')").await.unwrap();
    session.refused(4403, "revoked").await;
    in_time(revoked, Duration::from_secs(1));
    first.signal(Signal::SIGCONT);
    live_from(&fleet.edge, "redis").await;
    // A Redis that does not answer any more delays nothing either.
    let mut session = Client::with(fleet.edge.address(), "/ws", &token(Role::Viewer, "ben")).await;
    session.past_heartbeats("hello").await;
    session.past_heartbeats("live").await;
    fleet.redis.freeze();
    let revoked = Instant::now();
    fleet.writer.batch_execute("insert into rowcast.revocations (subject) values ('ben')").await.unwrap();
    session.refused(4403, "revoked").await;
    in_time(revoked, Duration::from_secs(1));
    fleet.redis.thaw();
    fleet.end().await;
}
