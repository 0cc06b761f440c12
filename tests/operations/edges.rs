//! Edges: nodes whose live events come from the relay's copy in Redis, and what they do when the copy is late, short, wrong or gone.

mod broken_copies;
mod copying_nodes;
mod redis_servers;
mod relayed_lists;

use rowcast::auth::Role;
use rowcast::client::{Item, Options, Start, Tokens};
use rowcast::config::Secret;
use serde_json::Value;
use tokio_postgres::Client as Postgres;

use crate::stream::ws::token;
use crate::support::redis::TestRedis;
use crate::support::restarted_server::RestartedServer;
use crate::support::scripted_server::Follower;
use crate::support::{TestDb, TestServer, migrated_database, until};

/// Commits, rolls back, and rolls back to a savepoint, so that there are numbers without events. Each is a request of its own: the
/// statements of one request are one transaction.
const WRITES: [&str; 3] = [
    "insert into rowcast.events (type, payload) select 'copy.made', jsonb_build_object('n', n) from generate_series(1, 40) n",
    "begin; insert into rowcast.events (type) values ('copy.lost'); rollback",
    "begin; insert into rowcast.events (type) values ('copy.kept');
     savepoint s; insert into rowcast.events (type) values ('copy.lost'); rollback to s;
     insert into rowcast.events (type, owner, symbol, subject, level) values ('copy.kept', 'olga', 'BTC', 'a b', 'warn'); commit",
];

/// A database, a Redis, a node that copies, and an edge.
struct Fleet {
    writer: Postgres,
    redis: TestRedis,
    node: TestServer,
    edge: TestServer,
    // Dropped last, when nobody uses it any more.
    db: TestDb,
}

impl Fleet {
    /// None where Redis is not installed.
    async fn start(more: &[(&str, &str)]) -> Option<Self> {
        let redis = TestRedis::start(&[]).await?;
        let db = migrated_database().await;
        let node = copying(&db, &redis, more).await;
        Some(Self::around(db, redis, node, more).await)
    }

    /// With this node that copies, and an edge that reads Redis.
    async fn around(db: TestDb, redis: TestRedis, node: TestServer, more: &[(&str, &str)]) -> Self {
        let edge = edge(&db, &redis, more).await;
        live_from(&edge, "redis").await;
        Self { writer: db.client().await, redis, node, edge, db }
    }

    async fn write(&self) {
        write(&self.writer).await;
    }

    /// With a process of its own that copies, and a node that would take over.
    async fn behind_a_process() -> Option<(RestartedServer, Self)> {
        let redis = TestRedis::start(&[]).await?;
        let db = migrated_database().await;
        let url = redis.url();
        let first = RestartedServer::with(&db.url, &[("ROWCAST_RELAY", "on"), ("ROWCAST_RELAY_URL", url.as_str())]);
        first.ready().await;
        let view = TestServer::at(&format!("http://{}", first.place));
        until("the first node copies", || async { view.metric("rowcast_relay_holds").await == 1 }).await;
        let node = copying(&db, &redis, &[]).await;
        Some((first, Self::around(db, redis, node, &[]).await))
    }

    async fn committed(&self) -> Vec<i64> {
        committed(&self.writer).await
    }

    async fn follow_to_the_end(&self, follower: &mut Follower, got: &mut Vec<i64>) {
        follow_to_the_end(&self.writer, follower, got).await;
    }

    async fn end(self) {
        self.edge.stop().await.unwrap();
        self.node.stop().await.unwrap();
    }
}

/// The seqs of all events.
async fn committed(writer: &Postgres) -> Vec<i64> {
    let rows = writer.query("select seq from rowcast.events order by seq", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// The seqs that a follower has got so far and gets until it has the newest event.
async fn follow_to_the_end(writer: &Postgres, follower: &mut Follower, got: &mut Vec<i64>) {
    let newest = committed(writer).await.last().copied();
    while got.last().copied() < newest {
        if let Item::Event(event) = follower.next().await.unwrap() {
            got.push(event.seq);
        }
    }
}

async fn write(writer: &Postgres) {
    for sql in WRITES {
        writer.batch_execute(sql).await.unwrap();
    }
}

/// A node that takes part in copying.
async fn copying(db: &TestDb, redis: &TestRedis, more: &[(&str, &str)]) -> TestServer {
    let url = redis.url();
    let settings = [("ROWCAST_RELAY", "on"), ("ROWCAST_RELAY_URL", url.as_str())];
    TestServer::ready(&db.url, &[&settings, more].concat()).await
}

/// An edge.
async fn edge(db: &TestDb, redis: &TestRedis, more: &[(&str, &str)]) -> TestServer {
    let url = redis.url();
    let settings =
        [("ROWCAST_LIVE_FROM", "redis"), ("ROWCAST_RELAY_URL", url.as_str()), ("ROWCAST_HEARTBEAT", "500ms")];
    TestServer::ready(&db.url, &[&settings, more].concat()).await
}

/// Waits until the live events of a server come from there.
async fn live_from(server: &TestServer, source: &str) {
    until(&format!("live events come from {source}"), || async {
        let answer = server.get("/health/ready").await;
        answer.status == 200 && answer.json()["tail"]["live_from"] == source
    })
    .await;
}

/// Follows a server as an admin.
fn follow(server: &TestServer, start: Start) -> Follower {
    let tokens = Tokens::fixed(Secret::new(token(Role::Admin, "root")));
    Follower::start(&server.url, Options { start, tokens, ..Options::default() })
}

async fn is_live(follower: &mut Follower) {
    loop {
        if let Item::Live(_) = follower.next().await.unwrap() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_hands_out_what_the_relay_has_copied() {
    let Some(fleet) = Fleet::start(&[]).await else { return };
    let mut follower = follow(&fleet.edge, Start::Earliest);
    is_live(&mut follower).await;
    // It may have begun before the node had taken the lease.
    let polls = fleet.edge.metric("rowcast_tail_polls_total").await;
    let mut got = Vec::new();
    for _ in 0..5 {
        fleet.write().await;
        fleet.follow_to_the_end(&mut follower, &mut got).await;
    }
    assert_eq!(got, fleet.committed().await);
    assert_eq!(fleet.edge.metric("rowcast_tail_polls_total").await, polls, "an edge does not poll Postgres");
    assert_eq!(fleet.edge.metric("rowcast_tail_gaps_total").await, 0);
    assert_eq!(fleet.node.metric("rowcast_relay_events_total").await, i64::try_from(got.len()).unwrap());
    let mut redis = fleet.redis.connect().await;
    let entries: Vec<(String, Vec<(String, String)>)> =
        redis::cmd("XRANGE").arg("rowcast:{relay}:events").arg("-").arg("+").query_async(&mut redis).await.unwrap();
    let ids: Vec<String> = got.iter().map(|seq| format!("{seq}-0")).collect();
    assert_eq!(entries.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>(), ids);
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_look_the_same_on_an_edge_and_cursors_go_between_nodes() {
    let Some(fleet) = Fleet::start(&[]).await else { return };
    fleet.write().await;
    let page = async |server: &TestServer, query: &str| -> Value {
        let headers = [("authorization", format!("Bearer {}", token(Role::Admin, "root")))];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let path = format!("/v1/events?limit=1000&sync=true&{query}");
        let answer = crate::support::raw_http::request(server.address(), "GET", &path, &headers, b"").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    let (here, there) = (page(&fleet.node, "cursor=earliest").await, page(&fleet.edge, "cursor=earliest").await);
    assert_eq!(here["events"], there["events"]);
    assert_eq!(there["events"].as_array().unwrap().len(), 42);
    // What was rolled back last leaves numbers beyond the newest event, and `sync` waits until the edge has passed them.
    fleet
        .writer
        .batch_execute("begin; insert into rowcast.events (type) values ('copy.lost'); rollback")
        .await
        .unwrap();
    let cursor = there["cursor"].as_str().unwrap_or_else(|| panic!("{there}")).to_owned();
    fleet.write().await;
    let (here, there) =
        (page(&fleet.node, &format!("cursor={cursor}")).await, page(&fleet.edge, &format!("cursor={cursor}")).await);
    assert_eq!((there["events"].as_array().unwrap().len(), &here["events"]), (42, &there["events"]));
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_copy_shows_nothing_and_needs_its_key() {
    let key = ("ROWCAST_RELAY_KEY", "0123456789abcdef0123456789abcdef-relay");
    let Some(fleet) = Fleet::start(&[key]).await else { return };
    let mut follower = follow(&fleet.edge, Start::Earliest);
    is_live(&mut follower).await;
    fleet.write().await;
    let mut got = Vec::new();
    fleet.follow_to_the_end(&mut follower, &mut got).await;
    assert_eq!(got, fleet.committed().await);
    let mut redis = fleet.redis.connect().await;
    for key in ["events", "report", "taxonomy", "revocations"] {
        let stored: Vec<(String, Vec<Vec<u8>>)> = redis::cmd("XRANGE")
            .arg(format!("rowcast:{{relay}}:{key}"))
            .arg("-")
            .arg("+")
            .query_async(&mut redis)
            .await
            .unwrap();
        let shows = |word: &[u8]| {
            stored.iter().flat_map(|(_, fields)| fields).any(|text| text.windows(word.len()).any(|part| part == word))
        };
        assert!(!stored.is_empty() && !shows(b"copy.made") && !shows(b"head"), "{key}");
    }
    // One without the key reads Postgres, and says so.
    let keyless = edge(&fleet.db, &fleet.redis, &[]).await;
    live_from(&keyless, "postgres").await;
    let other = edge(&fleet.db, &fleet.redis, &[("ROWCAST_RELAY_KEY", "another key that is also long enough")]).await;
    live_from(&other, "postgres").await;
    fleet.write().await;
    for server in [keyless, other] {
        let mut follower = follow(&server, Start::Earliest);
        let mut got = Vec::new();
        fleet.follow_to_the_end(&mut follower, &mut got).await;
        assert_eq!(got, fleet.committed().await);
        server.stop().await.unwrap();
    }
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_on_postgres_grow_neither_with_edges_nor_with_clients() {
    let Some(fleet) = Fleet::start(&[]).await else { return };
    let rest = async |edges: &[TestServer]| {
        let mut followers = Vec::new();
        for edge in edges {
            for _ in 0..8 {
                followers.push(follow(edge, Start::Latest));
            }
        }
        for follower in &mut followers {
            is_live(follower).await;
        }
        // While reports come late, as on a machine that is held up, lists are read from Postgres.
        until("edges run no statement for two seconds, with clients and without events", || async {
            sessions_of_edges(&fleet, edges).await == 0
        })
        .await;
    };
    let edges = [edge(&fleet.db, &fleet.redis, &[]).await, edge(&fleet.db, &fleet.redis, &[]).await];
    for edge in &edges {
        live_from(edge, "redis").await;
    }
    rest(&edges).await;
    for edge in edges {
        edge.stop().await.unwrap();
    }
    fleet.end().await;
}

/// How many sessions of these servers have run a statement within the last two seconds.
async fn sessions_of_edges(fleet: &Fleet, edges: &[TestServer]) -> i64 {
    let ports: Vec<String> =
        edges.iter().map(|edge| format!("%:{}%", edge.address().rsplit_once(':').unwrap().1)).collect();
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and application_name like any($1) \
               and query_start > clock_timestamp() - interval '2 seconds'";
    fleet.writer.query_one(sql, &[&ports]).await.unwrap().get(0)
}
