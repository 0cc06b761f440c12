//! One reading for all who ask at the same moment.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rowcast::auth::Role;

use super::LiveShop;
use crate::support::until;

/// How often the rows of tables were read, as the server counts it.
async fn readings(shop: &LiveShop) -> u64 {
    let metrics = shop.server.get("/metrics").await.body;
    let line = metrics.lines().find(|line| line.starts_with("rowcast_snapshot_readings_total ")).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_thousand_clients_who_ask_at_once_cost_a_few_readings_and_each_is_exact() {
    let shop = LiveShop::start(
        "create table shop.t (id int primary key, v text); select rowcast.publish('shop.t');
         insert into shop.t select i, repeat('x', 100) from generate_series(1, 100) i",
        &[("ROWCAST_CONNECTIONS_PER_ADDRESS", "2000")],
    )
    .await;
    until("all is told", || async { shop.admin("/v1/events?cursor=99&limit=1").await.json()["head"] == 100 }).await;
    let ask = |number: usize| {
        let shop = &shop;
        async move {
            // Where no row has an owner, all roles see the same.
            let role = [Role::Viewer, Role::Engine, Role::Operator, Role::Admin][number % 4];
            let subject = format!("client {number}");
            let answer = shop.get(Some((role, &subject)), "/v1/snapshot?table=shop.t").await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert_eq!(answer.body.matches(r#"{"subject":"#).count(), 100);
            answer.json()["cursor"].as_str().unwrap().starts_with("100.")
        }
    };
    // As many at a time as the machine has file descriptors to spare for both sides.
    let mut exact = 0;
    let (before, begun) = (readings(&shop).await, Instant::now());
    for numbers in (0..1000).collect::<Vec<_>>().chunks(200) {
        exact += join_all(numbers.iter().map(|number| ask(*number))).await.into_iter().filter(|exact| *exact).count();
    }
    assert_eq!(exact, 1000);
    let took = readings(&shop).await - before;
    // A reading is shared for a second, and one that is under way by all who wait for it.
    let most = 2 + begun.elapsed().as_secs();
    assert!((1..=most).contains(&took), "{took} readings of at most {most}");
    shop.end().await;
}

#[tokio::test]
async fn who_asks_for_sync_sees_what_was_committed_before() {
    let shop = LiveShop::start("create table shop.t (id int primary key); select rowcast.publish('shop.t')", &[]).await;
    for id in 1..=100 {
        shop.run(&format!("insert into shop.t values ({id})")).await;
        let who = Some((Role::Viewer, "vera"));
        assert_eq!(shop.rows(who, "/v1/snapshot?table=shop.t&sync=true").await.len(), id, "{id}");
    }
    shop.end().await;
}

#[tokio::test]
async fn what_is_shared_is_forgotten_after_its_second() {
    let shop = LiveShop::start(
        "create table shop.t (id int primary key, v text); select rowcast.publish('shop.t');
         insert into shop.t select i, repeat('x', 1000) from generate_series(1, 1000) i",
        &[],
    )
    .await;
    assert_eq!(shop.admin("/v1/snapshot?table=shop.t").await.status, 200);
    until("nothing is kept", || async {
        let metrics = shop.server.get("/metrics").await.body;
        metrics.lines().any(|line| line == "rowcast_snapshot_kept_bytes 0")
    })
    .await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    shop.end().await;
}
